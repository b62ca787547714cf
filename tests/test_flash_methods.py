"""Flashing by pyOCD, picotool and adafruit-nrfutil: programs that note what they are asked."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lotor.board import Board, Flash, load_board
from lotor.build import Image
from lotor.cli import main
from lotor.device import flash, nrfutil, picotool, pyocd
from lotor.device.flash import METHODS, flash_image
from lotor.errors import LotorError

PICO, NANO = load_board("raspberrypi-pico"), load_board("nano33ble")
ADAFRUIT = replace(NANO, flash=Flash("nrfutil", usb=("239a:8029",), boot_usb=("239a:0029",)))
Install = Callable[..., None]
PYOCD = shutil.which("pyocd")  # the real one, before tests put theirs on PATH


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for suffix in ("elf", "bin", "uf2"):
        (tmp_path / f"firmware.{suffix}").write_bytes(b"image")
    elf, binary, uf2 = (tmp_path / f"firmware.{suffix}" for suffix in ("elf", "bin", "uf2"))
    return Image("board", elf, binary, 5, 0, 0, bytes(20), [], {}, uf2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("LOTOR_PORT", "/dev/ttyUSB0")
    monkeypatch.delenv("LOTOR_FLASH_PORT", raising=False)
    plug(monkeypatch)


def plug(monkeypatch: pytest.MonkeyPatch, *ports: tuple[str, int, int, str | None]) -> None:
    """Plug in what has a port: device, vendor, product, serial number."""
    found = [
        SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=number)
        for device, vid, pid, number in ports
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Install a program that notes each call in `asked`, and runs some lines of shell."""

    def install(name: str, body: str = "") -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\necho \"$*\" >>'{tmp_path}/asked'\n{body}\n")
        path.chmod(0o755)

    return install


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


def probes(*uids: str) -> str:
    """A pyOCD that sees probes; what it prints is what version 0.46 prints."""
    boards = [{"unique_id": uid, "info": "Raspberry Pi Debugprobe"} for uid in uids]
    listed = json.dumps({"pyocd_version": "0.46.0", "status": 0, "boards": boards})
    return f"case $1 in json) echo '{listed}';; *) exit ${{STATUS:-0}};; esac"


def test_pyocd_takes_the_probe_of_the_port(
    image: Image, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("pyocd", probes("E66A", "E66B"))
    plug(monkeypatch, ("/dev/ttyUSB0", 0x2E8A, 0x000C, "E66B"))
    assert pyocd.flash(PICO, image) == "/dev/ttyUSB0"
    load = f"load -W -t rp2040 -u E66B -a 0x10000000 {image.bin}"
    assert asked(tmp_path) == ["json --probes", load]


def test_pyocd_takes_the_only_probe(image: Image, install: Install, tmp_path: Path) -> None:
    install("pyocd", probes("E66A"))
    pyocd.flash(NANO, image)  # its port is an adapter's
    assert asked(tmp_path)[-1] == f"load -W -t nrf52840 -u E66A -a 0x10000 {image.bin}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (probes(), "pyocd sees no probe for board nano33ble: plug it in"),
        (probes("E66A", "E66B"), r"2 probes could be board nano33ble's: E66A \(.*\), E66B \(.*one"),
        ("echo nothing", "said nothing, which is no list of probes: install"),
        ("echo '[]'; exit 1", r"said \[\], which is no list of probes"),
    ],
)
def test_pyocd_without_one_probe(
    body: str, words: str, image: Image, install: Install, tmp_path: Path
) -> None:
    install("pyocd", body)
    with pytest.raises(LotorError, match=words):
        pyocd.flash(NANO, image)
    assert asked(tmp_path) == ["json --probes"]


def test_pyocd_fails(image: Image, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("pyocd", probes("E66A").replace("exit", "echo No target device; exit"))
    monkeypatch.setenv("STATUS", "1")
    with pytest.raises(LotorError, match=r"nano33ble \(status 1\): No target device; see that"):
        pyocd.flash(NANO, image)


@pytest.mark.skipif(not PYOCD, reason="needs pyocd")
def test_the_real_pyocd_lists_its_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(str(PYOCD)).parent}:/usr/bin:/bin")
    try:
        assert pyocd.probe(NANO, "/dev/ttyUSB0")
    except LotorError as error:
        assert "sees no probe" in str(error) or "probes could be" in str(error)


def test_picotool(image: Image, install: Install, tmp_path: Path) -> None:
    install("picotool")
    assert picotool.flash(PICO, image) == "/dev/ttyUSB0"
    assert asked(tmp_path) == [f"load -v -x {image.uf2}"]
    install(
        "picotool", "echo No accessible RP-series devices in BOOTSEL mode were found.; exit 249"
    )
    with pytest.raises(LotorError, match=r"\(status 249\): No accessible .* found\.; hold BOOTSEL"):
        picotool.flash(PICO, image)
    with pytest.raises(LotorError, match="has no UF2 file"):
        picotool.flash(PICO, replace(image, uf2=None))


def test_nrfutil(
    image: Image, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("adafruit-nrfutil")
    plug(monkeypatch, ("/dev/ttyACM2", 0x239A, 0x8029, "A1"))
    assert nrfutil.flash(ADAFRUIT, image) == "/dev/ttyUSB0"
    package, serial = asked(tmp_path)
    assert package.startswith(f"dfu genpkg --dev-type 0x0052 --application {image.bin} ")
    assert f"--package {package.split()[-1]} --port /dev/ttyACM2 --baudrate 115200" in serial
    assert serial.endswith("--singlebank --touch 1200")
    assert not Path(package.split()[-1]).parent.exists()


def test_nrfutil_fails_with_status_0(
    image: Image, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As version 0.5.3 does where nobody answers; the last line is of little help."""
    says = "Failed to upgrade target. Error is: No data received on serial port."
    install(
        "adafruit-nrfutil", f"test $2 = genpkg || {{ echo '{says}'; echo 'Possible causes:'; }}"
    )
    monkeypatch.setenv("LOTOR_FLASH_PORT", "/dev/ttyACM9")
    with pytest.raises(LotorError, match=r"\(status 0\): Failed to .* port\.; press its reset"):
        nrfutil.flash(ADAFRUIT, image)


@pytest.mark.parametrize("method", ["pyocd", "picotool", "nrfutil"])
def test_what_is_not_installed(method: str, image: Image) -> None:
    board = ADAFRUIT if method == "nrfutil" else PICO
    with pytest.raises(LotorError, match=rf"{method} is missing: (`pip install|build it)"):
        METHODS[method](board, image)


def test_the_method_is_one_of_the_board_file(
    image: Image, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    used = []

    def note(name: str) -> Callable[[Board, Image], str]:
        def method(_: Board, __: Image) -> str:
            used.append(name)
            return "/dev/ttyUSB0"

        return method

    for name in ("uf2", "picotool"):
        monkeypatch.setitem(METHODS, name, note(name))
    monkeypatch.setattr(flash, "_greet", lambda *_: SimpleNamespace(build_id=image.build_id.hex()))
    flash_image(PICO, image)
    flash_image(PICO, image, "picotool")
    assert used == ["uf2", "picotool"]
    arguments = ["flash", "--board", PICO.name, "--model", "raccoon", "--method", "picotol"]
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        "lotor: board raspberrypi-pico is not flashed by 'picotol' (did you mean 'picotool'?): its "
        "file has uf2 and picotool and pyocd\n"
    )
