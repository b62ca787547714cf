"""A full disk: the kernel itself refuses to let files grow, whoever writes them and however."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond `room` bytes.

    The error is EFBIG, where a full disk gives ENOSPC; like there, what fits is written before.
    Use `capsys`, or what the test prints is refused, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
