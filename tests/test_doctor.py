"""`lotor doctor` names what is missing and how to get it."""

import json
from pathlib import Path

import pytest

from lotor import doctor
from lotor.cli import main

CHECKOUT = Path(__file__).resolve().parents[1]


def test_complete_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--board", "netduinoplus2", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert all({"name", "ok", "found", "needed_for", "mend"} <= check.keys() for check in checks)
    named = {check["name"]: check for check in checks}
    assert len(named) == len(checks)
    for name in (
        "python",
        "numpy",
        "gcc",
        "arm-none-eabi-gcc",
        "platformio",
        "board files",
        "cache",
    ):
        assert named[name]["ok"], named[name]
    assert named["qemu-system-arm"]["needed"]
    assert all(bool(check["mend"]) != check["ok"] for check in checks)


def test_missing_compiler_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "MISSING gcc" in out
    assert "sudo apt-get install -y gcc\n" in out


def test_emulator_is_needed_for_emulated_boards_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    alone = {check.name: check for check in doctor.examine()}
    board = {check.name: check for check in doctor.examine("netduinoplus2")}
    assert not alone["qemu-system-arm"].needed
    assert board["qemu-system-arm"].needed
    assert not board["cppcheck"].needed


def test_old_and_absent_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999", "pyserial>=3", "no-such-package>=1.2; extra == 'verify'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: wanted)
    checks = {check.name: check for check in doctor.examine()}
    assert checks["pyserial"].ok
    assert not checks["numpy"].ok
    assert "older than 999" in checks["numpy"].found
    assert checks["no-such-package"].found == "not found"
    assert checks["no-such-package"].mend == "make setup"
    assert not checks["no-such-package"].needed


def test_unwritable_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "file" / "cache"))
    (cache,) = (check for check in doctor.examine() if check.name == "cache")
    assert not cache.ok
    assert "LOTOR_CACHE" in cache.mend


def test_wrong_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--board", "netduinoplus"]) == 2
    assert "did you mean 'netduinoplus2'" in capsys.readouterr().err


def test_packages_are_those_that_setup_installs() -> None:
    lines = (CHECKOUT / "tools" / "apt-packages.txt").read_text().splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    installed = {(package, proof) for _, package, proof in rows}
    assert {(tool.package, tool.command) for tool in doctor.TOOLS} <= installed
