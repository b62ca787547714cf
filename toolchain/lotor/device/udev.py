"""Who may open a board's USB devices: the rule that lets users do so, and whether they may now."""

import grp
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lotor.board import Board
from lotor.errors import LotorError
from lotor.files import write_files

# Where Linux shows what is plugged in, and where the device files of USB lie.
DEVICES, NODES = Path("/sys/bus/usb/devices"), Path("/dev/bus/usb")
_GROUPS = {"tty": "dialout", "usb": "plugdev"}  # Debian's, by subsystem


def identities(board: Board) -> tuple[str, ...]:
    """Return all USB identities that a board may show, as "vid:pid"."""
    every = board.serial.usb + board.flash.usb + board.flash.boot_usb
    return tuple(dict.fromkeys(identity.lower() for identity in every))


def rule(board: Board) -> str:
    """Return the text of a udev rule that lets users open a board's USB devices.

    Raises:
        LotorError: the board file has no USB identity.
    """
    found = identities(board)
    if not found:
        raise LotorError(
            f"board {board.name} needs no udev rule: its file has no USB identity ('serial.usb')"
        )
    lines = [f"# {board.description}: its users may open its serial port and its probe."]
    for identity in found:
        vendor, product = identity.split(":")
        ids = f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"'
        lines += [
            f'SUBSYSTEM=="{system}", {ids}, MODE="0660", GROUP="{group}", TAG+="uaccess"'
            for system, group in _GROUPS.items()
        ]
    return "\n".join([*lines, ""])


def install(board: Board, file: Path) -> str:
    """Return the command that puts a written rule where udev reads it, and makes it read it.

    The number in its name is below 73, where `uaccess` is applied.
    """
    return (
        f"sudo cp {file} /etc/udev/rules.d/70-lotor-{board.name}.rules && sudo udevadm control "
        "--reload && sudo udevadm trigger"
    )


def write(board: Board, file: Path) -> str:
    """Write a board's rule to a file; return the command that installs it.

    Raises:
        LotorError: the board needs none, or the file cannot be written.
    """
    text = rule(board)
    try:
        write_files({file: text.encode()})
    except OSError as error:
        raise LotorError(
            f"cannot write {file}: {error.strerror}; give another file with --write-rule"
        ) from error
    return install(board, file)


def closed(path: Path) -> str:
    """Return why this user may not read and write a device file; "" if he may."""
    if os.access(path, os.R_OK | os.W_OK):
        return ""
    try:
        number = path.stat().st_gid
        group = grp.getgrgid(number).gr_name
    except OSError as error:
        return f"{path}: {error.strerror}"
    except KeyError:
        return f"{path} belongs to the unknown group {number}"
    if group == "root":
        return f"{path} may be opened by root only"
    mine = number in {*os.getgroups(), os.getegid()}
    return f"{path} may not be opened" if mine else f"{path} is for the group {group} only"


def nodes(wanted: Sequence[str]) -> Iterator[Path]:
    """Yield the device files of what is plugged in with one of some USB identities."""
    for device in sorted(DEVICES.glob("*")):
        try:
            vendor, product = (
                (device / name).read_text().strip() for name in ("idVendor", "idProduct")
            )
            bus, number = (int((device / name).read_text()) for name in ("busnum", "devnum"))
        except (OSError, ValueError):  # an interface, or unplugged meanwhile
            continue
        if f"{vendor}:{product}".lower() in wanted:
            yield NODES / f"{bus:03}" / f"{number:03}"
