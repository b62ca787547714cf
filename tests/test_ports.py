"""Ports: one holder each, clear errors, and the right one found by its USB identity."""

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from lotor.device.ports import Busy, Lock, Port, find_usb_port, is_url
from lotor.errors import LotorError


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def echo_url() -> Iterator[str]:
    """A TCP server on a free port that serves one client at a time and sends all back."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    while data := client.recv(4096):
                        if data == b"hang up":
                            break
                        client.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def pty_pair() -> Iterator[tuple[int, str]]:
    """The master of a raw pty and the path of its other side."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def read_all(port: Port, count: int) -> bytes:
    data = b""
    until = time.monotonic() + 5
    while len(data) < count and time.monotonic() < until:
        data += port.read(0.5)
    return data


def test_every_byte_value_passes_a_socket(echo_url: str) -> None:
    port = Port(echo_url)
    sent = bytes(range(256)) * 40
    port.write(sent)
    assert read_all(port, len(sent)) == sent
    port.close()
    port.close()
    again = Port(echo_url)
    again.write(b"again")
    assert read_all(again, 5) == b"again"
    again.close()


def test_every_byte_value_passes_a_pty(pty_pair: tuple[int, str]) -> None:
    master, path = pty_pair
    port = Port(path)
    port.write(bytes(range(256)))
    assert os.read(master, 1000) == bytes(range(256))
    os.write(master, bytes(range(256)))
    assert read_all(port, 256) == bytes(range(256))
    port.close()


def test_a_read_waits_only_so_long(echo_url: str) -> None:
    port = Port(echo_url)
    start = time.monotonic()
    assert port.read(0.1) == b""
    assert 0.05 < time.monotonic() - start < 1.0
    assert port.read(-1.0) == b""
    port.close()


@pytest.mark.parametrize("kind", ["socket", "pty"])
def test_a_port_has_one_holder(kind: str, request: pytest.FixtureRequest) -> None:
    url = (
        request.getfixturevalue("echo_url")
        if kind == "socket"
        else request.getfixturevalue("pty_pair")[1]
    )
    port = Port(url)
    with pytest.raises(Busy, match=rf"^port {url} is busy: this process \({os.getpid()}\) has it"):
        Port(url)
    port.close()
    Port(url).close()


def test_a_port_held_by_a_foreign_program(pty_pair: tuple[int, str]) -> None:
    """A terminal program knows nothing of lock files; it locks the device itself."""
    _, path = pty_pair
    foreign = serial.Serial(path, exclusive=True)
    with pytest.raises(Busy, match=rf"^port {path} is busy: another program has it open"):
        Port(path)
    foreign.close()
    Port(path).close()


def test_a_lock_names_its_holder_and_ends_with_it(run_dir: Path) -> None:
    code = "import time; from lotor.device.ports import Lock; "
    code += "lock = Lock('board-b', 'board b'); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=rf"^board b is busy: process {holder.pid} \(.*time.sleep"):
            Lock("board-b", "board b")
        Lock("board-c", "board c").release()
        holder.send_signal(signal.SIGKILL)
    with Lock("board-b", "board b", wait=5.0):
        assert (run_dir / "board-b.lock").read_text() == str(os.getpid())


def test_a_lock_waits_for_its_holder() -> None:
    first = Lock("x", "x")
    threading.Timer(0.2, first.release).start()
    Lock("x", "x", wait=5.0).release()


def test_ports_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match="there is no port /dev/ttyNONE7; ports here: "):
        Port("/dev/ttyNONE7")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(LotorError, match=f"nobody listens on {url}: is the board running"):
        Port(url)
    with pytest.raises(LotorError, match="cannot open port /aaa"):
        Port("/" + "a" * 300)
    with pytest.raises(LotorError, match="cannot open port what://ever"):
        Port("what://ever")
    plain = tmp_path / "file"
    plain.write_text("no tty")
    with pytest.raises(LotorError, match=f"cannot open port {plain}"):
        Port(str(plain))
    # No failed attempt keeps a lock.
    with pytest.raises(LotorError, match="nobody listens"):
        Port(url)


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(13, "could not open port /dev/ttyACM0: [Errno 13] Permission")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(LotorError, match=r"no permission .* usermod -aG dialout"):
        Port("/dev/ttyACM0")


def test_a_lost_connection(echo_url: str) -> None:
    port = Port(echo_url)
    port.write(b"hang up")
    with pytest.raises(LotorError, match=f"lost the connection to {echo_url}"):
        for _ in range(50):
            port.read(0.1)
    port.close()


def info(device: str, vid: int | None, pid: int | None, number: str | None) -> ListPortInfo:
    port = ListPortInfo(device)
    port.vid, port.pid, port.serial_number = vid, pid, number
    return port


def test_a_real_board_is_found_by_its_usb_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [
        info("/dev/ttyS0", None, None, None),
        info("/dev/ttyACM0", 0x2341, 0x805A, "A1"),
        info("/dev/ttyACM1", 0x2E8A, 0x0005, "P1"),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: here)
    assert find_usb_port("nano", ["2341:805a", "2341:005a"]) == "/dev/ttyACM0"
    assert find_usb_port("nano", ["2341:805A"], "A1") == "/dev/ttyACM0"
    with pytest.raises(LotorError, match=r"board nano's USB identity 2341:805a and serial number"):
        find_usb_port("nano", ["2341:805a"], "B2")
    with pytest.raises(LotorError, match="USB identity 1111:2222 or 1111:2223: plug it in"):
        find_usb_port("other", ["1111:2222", "1111:2223"])
    here.append(info("/dev/ttyACM2", 0x2341, 0x805A, None))
    with pytest.raises(LotorError) as error:
        find_usb_port("nano", ["2341:805a"])
    assert str(error.value) == (
        "2 ports could be board nano: /dev/ttyACM0 (2341:805a, serial number A1); "
        "/dev/ttyACM2 (2341:805a); name one in LOTOR_PORT"
    )


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("netduinoplus2", False),
        ("mps2-an386", False),
        ("socket://h:1", True),
        ("/dev/ttyACM0", True),
        ("COM3", True),
        ("loop://", True),
    ],
)
def test_a_port_is_told_from_a_board(text: str, url: bool) -> None:
    assert is_url(text) is url


def test_an_adapter_leaves_reset_and_boot_pins_alone(
    pty_pair: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DTR and RTS rest for adapters that boards of Espressif have; others get both, as ever."""
    _, path = pty_pair
    opened = []
    real = serial.serial_for_url

    def remember(*arguments: Any, **options: Any) -> serial.SerialBase:
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(serial, "serial_for_url", remember)
    for vid, pid, lines in ((0x1A86, 0x7523, False), (0x10C4, 0xEA60, False), (0x2341, 1, True)):
        here = [info("/dev/ttyUSB9", 0x1A86, 0x7523, None), info(path, vid, pid, None)]
        monkeypatch.setattr(list_ports, "comports", lambda here=here: here)
        Port(path).close()
        assert (opened[-1].dtr, opened[-1].rts) == (lines, lines)
