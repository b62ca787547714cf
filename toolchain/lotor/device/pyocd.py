"""Flashing through a debug probe with pyOCD, for chips that it knows (`pyocd list --targets`).

The command line is that of pyOCD 0.46 (`pyocd load --help`, `pyocd json --probes`).
"""

import json
from typing import Any

from lotor.board import Board
from lotor.build import Image
from lotor.device import tool
from lotor.device.openocd import serial_number
from lotor.device.ports import locate, port_lock
from lotor.errors import LotorError

INSTALL = "`pip install pyocd`"
_SECONDS, _LIST_SECONDS = 180, 20


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash and start it; return the board's port.

    The probe is the one with the serial number of the port, where that is a probe's own; else the
    only one.

    Args:
        board: with a table [pyocd].
        image: its ELF is written, of a board with updates all of its flash.

    Raises:
        LotorError: no or several ports or probes, pyOCD is missing, or it failed.
    """
    if board.pyocd is None:
        raise LotorError(f"board {board.name} is not flashed with pyOCD")
    program = tool.find("pyocd", INSTALL)
    url, _ = locate(board.name)
    with port_lock(url):
        uid = probe(board, url)
        # -W: fail at once where there is no probe, rather than wait for one.
        # With updates flash holds more than the image.
        whole = ["-a", hex(board.flash_origin), str(image.bin)]
        what = whole if board.update else [str(image.elf)]
        command = [program, "load", "-W", "-t", board.pyocd.target, "-u", uid, *what]
        done = tool.run(
            command,
            _SECONDS,
            f"pyocd did not end within {_SECONDS} s on board {board.name}: unplug the board, plug "
            "it in and flash it again",
        )
    if done.status:
        raise LotorError(
            f"pyocd could not flash board {board.name} (status {done.status}): "
            f"{done.words[-300:]}; see that its cable carries data, and that no debugger holds it"
        )
    return url


def probe(board: Board, url: str) -> str:
    """Return the unique id of a board's probe.

    Raises:
        LotorError: there is none, or there are several and no port's serial number tells.
    """
    program = tool.find("pyocd", INSTALL)
    late = f"pyocd did not list its probes within {_LIST_SECONDS} s: plug them in anew"
    done = tool.run([program, "json", "--probes"], _LIST_SECONDS, late)
    found = _probes(done)
    number = serial_number(url)
    mine = [uid for uid in found if uid == number] or list(found)
    if not mine:
        raise LotorError(
            f"pyocd sees no probe for board {board.name}: plug it in; if only root may use it, "
            f"`lotor doctor --board {board.name} --write-rule FILE` writes the udev rule"
        )
    if len(mine) > 1:
        listed = ", ".join(f"{uid} ({info})" for uid, info in found.items())
        raise LotorError(
            f"{len(mine)} probes could be board {board.name}'s: {listed}; unplug all but one, or "
            "name the port of one in LOTOR_PORT"
        )
    return mine[0]


def _probes(done: tool.Ended) -> dict[str, str]:
    """Return what `pyocd json --probes` found: descriptions by unique id."""
    try:
        # Warnings may stand before it.
        listed: Any = json.loads(done.said[done.said.index("{") :])
        return {entry["unique_id"]: str(entry.get("info", "")) for entry in listed["boards"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LotorError(
            f"`pyocd json --probes` said {done.words[:200]}, which is no list of probes: install "
            "pyocd anew"
        ) from error
