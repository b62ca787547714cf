"""The board raspi3b: a Raspberry Pi 3 Model B with Linux, played whole by QEMU.

Debian's kernel boots with its own device tree of the board. Our program is all that there is
besides: the kernel executes it as the first process, with the mini UART as its serial line. The
kernel's log goes out of the other UART, into the emulator's log file.
"""

from collections.abc import Sequence
from pathlib import Path

from lotor.board import Emulator
from lotor.errors import LotorError
from lotor.files import write_files

PROGRAM = "qemu-system-aarch64"
FETCH = Path(__file__).with_name("raspi3b") / "fetch.sh"
KERNEL = FETCH.with_name("kernel")
_DEVICE_TREE = "bcm2837-rpi-3-b.dtb"
_LINE, _LINE_NUMBER = "ttyS1", (4, 65)  # Documentation/admin-guide/devices.txt: char 4, 64 + n
_INIT = "init"
_FOLDER, _DEVICE, _LINK, _EXECUTABLE = 0o40755, 0o20600, 0o120777, 0o100755


def missing() -> tuple[str, str] | None:
    """Return what of the kernel is not here, and the command that fetches it."""
    if all((KERNEL / name).is_file() for name in ("vmlinuz", _DEVICE_TREE)):
        return None
    return "Debian's arm64 kernel", f"sh {FETCH}"


def command(
    emulator: Emulator, elf: Path, line: Sequence[str], arguments: Sequence[str]
) -> list[str]:
    """Return the command that boots the machine.

    Args:
        emulator: of the board.
        elf: the program; the machine's initramfs is written beside it.
        line: options of QEMU that make the character device `uart`: the other end of the line.
        arguments: for the emulator, after the board's own.

    Raises:
        LotorError: the initramfs cannot be written.
    """
    initramfs = elf.with_name("initramfs")
    try:
        write_files({initramfs: _initramfs(elf.with_suffix(".bin").read_bytes())})
    except OSError as error:
        raise LotorError(f"cannot write {initramfs}: {error.strerror}") from error
    return [
        *(emulator.program, *emulator.args, *arguments),
        *("-nodefaults", "-nographic", "-monitor", "none", "-no-reboot"),
        *("-kernel", str(KERNEL / "vmlinuz"), "-dtb", str(KERNEL / _DEVICE_TREE)),
        *("-initrd", str(initramfs), "-append", f"console=ttyAMA0 panic=-1 -- /dev/{_LINE}"),
        *("-serial", "stdio", *line, "-serial", "chardev:uart"),
    ]


def _initramfs(program: bytes) -> bytes:
    """Return an archive of the program and the device files that it opens.

    The format is cpio's "newc" (Documentation/driver-api/early-userspace/buffer-format.rst). /proc
    is a folder of the archive, not mounted: a reset executes /proc/self/exe, which is always this.
    """
    archive = bytearray()
    entries: list[tuple[str, int, bytes, tuple[int, int]]] = [
        ("dev", _FOLDER, b"", (0, 0)),
        ("dev/console", _DEVICE, b"", (5, 1)),
        (f"dev/{_LINE}", _DEVICE, b"", _LINE_NUMBER),
        ("proc", _FOLDER, b"", (0, 0)),
        ("proc/self", _FOLDER, b"", (0, 0)),
        ("proc/self/exe", _LINK, f"/{_INIT}".encode(), (0, 0)),
        (_INIT, _EXECUTABLE, program, (0, 0)),
        ("TRAILER!!!", 0, b"", (0, 0)),
    ]
    for number, (name, mode, data, device) in enumerate(entries, start=1):
        text = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(text), 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + text
        archive += bytes(-len(archive) % 4) + data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
