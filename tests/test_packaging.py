"""The wheel, installed elsewhere, does what the checkout does."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tflite_builder import ModelBuilder, Quant

CHECKOUT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(CHECKOUT)]
    subprocess.run(command, check=True, timeout=120)
    (path,) = folder.glob("lotor-*.whl")
    return path


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel; the tests' own Python brings the dependencies."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, timeout=120
    )
    return folder


def _lotor(elsewhere: Path, cwd: Path, *arguments: str) -> str:
    own = {"LOTOR_CACHE": str(cwd / "cache"), "LOTOR_RUN_DIR": str(cwd / "run")}
    env = os.environ | own | {"PYTHONPATH": str(elsewhere)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lotor", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_the_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "lotor/py.typed",
        "lotor/_data/boards/netduinoplus2.toml",
        "lotor/_data/models/raccoon/raccoon.tflite",
        *(f"lotor/device/rp2040/{name}.mjs" for name in ("control", "nor", "run", "xip")),
        "lotor/device/rp2040/package-lock.json",
        *(
            f"lotor/sentinel/page/{name}"
            for name in ("index.html", "page.css", "page.js", "icon.svg")
        ),
    ):
        assert expected in names
    for prefix, suffix in (
        ("lotor/_data/kernels/conv_2d/", ".h"),
        ("lotor/_data/firmware/", ".c"),
        ("lotor/_data/firmware/", "platformio.ini"),
        ("lotor/_data/hil_tests/test_", ".py"),
    ):
        assert any(n.startswith(prefix) and n.endswith(suffix) for n in names), (prefix, suffix)
    assert not [
        n for n in names if "__pycache__" in n or "node_modules" in n or n.startswith("tests")
    ]
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_installed_package_is_the_one_that_runs(elsewhere: Path, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(elsewhere)}
    code = "import lotor.resources as r; print(r.resource('kernels'))"
    out = subprocess.check_output([sys.executable, "-P", "-c", code], env=env, cwd=tmp_path)
    assert Path(out.decode().strip()) == elsewhere / "lotor" / "_data" / "kernels"


def test_commands_work_outside_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    builder = ModelBuilder(seed=1)
    x = builder.input((1, 8, 8, 3), Quant(0.05, -3))
    builder.output(builder.conv2d(x, channels=4, kernel=(3, 3), activation="RELU"))
    (tmp_path / "tiny.tflite").write_bytes(builder.build())

    assert _lotor(elsewhere, tmp_path, "--version").startswith("lotor ")
    boards = json.loads(_lotor(elsewhere, tmp_path, "boards", "--json"))
    assert "netduinoplus2" in {board["name"] for board in boards["boards"]}
    compile_ = ("compile", "tiny.tflite", "--target", "portable", "-o", "out", "--json")
    report = json.loads(_lotor(elsewhere, tmp_path, *compile_))
    assert {Path(file).name for file in report["files"]} == {"tiny.c", "tiny.h", "report.json"}
    assert (tmp_path / "out" / "tiny.c").stat().st_size > 0
    assert json.loads(_lotor(elsewhere, tmp_path, "inspect", "raccoon", "--json"))["macs"] > 0


def test_a_board_passes_its_smoke_test_outside_the_checkout(
    elsewhere: Path, tmp_path: Path
) -> None:
    """Firmware, platform, HAL, HIL tests and model all come from the wheel."""
    arguments = ("hil", "--board", "netduinoplus2", "-m", "smoke", "--junit", "report.xml")
    _lotor(elsewhere, tmp_path, *arguments)
    (suite,) = ElementTree.parse(tmp_path / "report.xml").getroot().iter("testsuite")
    skipped = [str(test.attrib["message"]) for test in suite.iter("skipped")]
    assert all("has no camera" in reason for reason in skipped), skipped
    assert int(suite.attrib["tests"]) > len(skipped)
    assert suite.attrib["failures"] == suite.attrib["errors"] == "0"


def test_a_board_of_ones_own_outside_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    model = str(CHECKOUT / "hil_tests/hil_tiny.tflite")
    _lotor(elsewhere, tmp_path, "new-board", "mine", "--from", "netduinoplus2")
    assert (tmp_path / "mine.toml").is_file()
    board = ("--board", "./mine.toml")
    assert _lotor(elsewhere, tmp_path, "flash", *board, "--model", model).startswith("mine runs ")
    try:
        (entry,) = json.loads(_lotor(elsewhere, tmp_path, "boards", *board, "--json"))["boards"]
        assert entry["running"]["models"] == ["hil_tiny"]
    finally:
        _lotor(elsewhere, tmp_path, "flash", *board, "--stop")
