"""Give the memory of frames back to the system as soon as they are let go."""

import contextlib
import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of mallopt(3)
_LARGE = 256 * 1024  # bytes; a frame of 320x240 is smaller, all others are not


def return_freed_memory() -> None:
    """Tell glibc to map large blocks by themselves, and to keep few heaps; once, at the start.

    Else it raises its threshold above a frame's size when the first one is let go, and frames,
    which come and go in many threads, leave holes in as many heaps. Without glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_ARENA_MAX, 2)
