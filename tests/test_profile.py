"""`lotor profile`: what every layer took, as a table, as bars, against an older profile."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from conftest import Lotor
from lotor.board import load_board
from lotor.device import emulator
from lotor.device.cycles import Cycles
from lotor.device.hot_loops import HotLoop, LoopLine
from lotor.errors import LotorError
from lotor.profile_compare import as_text as compared_as_text
from lotor.profile_compare import compare, read
from lotor.profile_plot import as_text, save
from lotor.profiling import LayerTime, Profile, hot_as_text, profile
from tflite_builder import ModelBuilder, Quant

BOARD = "netduinoplus2"
_SVG = "{http://www.w3.org/2000/svg}"


def layer(index: int, name: str, ticks: int, macs: int, **rest: Any) -> LayerTime:
    parts = Cycles(ticks, ticks // 4, ticks // 8, 2, 1)
    values: dict[str, Any] = {
        "index": index,
        "name": name,
        "kind": "CONV_2D",
        "kernel": "conv_2d/dsp",
        "macs": macs,
        "ticks": ticks,
        "ticks_per_mac": ticks / macs if macs else None,
        "share": ticks / 1800,
        "cycles_estimate": parts.total,
        "cycles_parts": parts,
    }
    return LayerTime(**values | rest)


def example() -> Profile:
    layers = [
        layer(0, "net/first", 1000, 2000),
        layer(1, "net/second", 800, 0, kernel="softmax/portable"),
    ]
    total = sum(one.cycles_estimate or 0 for one in layers)
    return Profile("net", BOARD, layers, 1800, "instructions", total, 500, 500, 100)


def words(line: str) -> str:
    return " ".join(line.split())


def without_cycles(found: Profile) -> Profile:
    layers = [replace(one, cycles_estimate=None, cycles_parts=None) for one in found.layers]
    return replace(found, layers=layers, cycles_estimate=None)


def test_the_table() -> None:
    lines = str(example()).splitlines()
    assert words(lines[0]) == "# kernel instructions est. cycles MACs per MAC share layer"
    assert words(lines[1]) == "0 conv_2d/dsp 1,000 1,378 2,000 0.50 55.6% net/first"
    assert words(lines[2]) == "1 softmax/portable 800 1,103 0 44.4% net/second"
    assert lines[3] == (
        f"net on {BOARD}: 1,800 instructions, 2,481 estimated cycles, RAM 500 bytes, "
        "stack 100 bytes"
    )
    plain = str(without_cycles(example()))
    assert "cycles" not in plain and "0.50" in plain


def test_bars() -> None:
    lines = as_text(example(), 60).splitlines()
    room = 60 - len("  1 softmax/portable") - len("1,378") - 2
    bars = [re.sub(r"[^#+=*]", "", line) for line in lines[:2]]
    assert len(bars[0]) == room
    assert len(bars[1]) == round(room * 1103 / 1378)
    assert re.fullmatch(r"#+\++=+", bars[0])
    assert bars[0].count("#") == round(room * 1000 / 1378)
    assert lines[2].startswith("# instructions  + loads and stores")
    assert max(map(len, lines[:2])) <= 60
    plain = as_text(without_cycles(example()), 60).splitlines()
    assert len(plain) == 2 and plain[0].endswith("1,000 " + "#" * room)
    coloured = as_text(example(), 60, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).count("█") == len(bars[0] + bars[1]) + 4


def test_bars_of_a_model_without_layers() -> None:
    assert as_text(replace(example(), layers=[], cycles_estimate=None)) == ""


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_profile_gives_the_same_picture(suffix: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        save(example(), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    if suffix == "svg":
        root = ElementTree.fromstring(first)
        ids = {element.get("id") for element in root.iter()}
        assert {f"layer-{one}-{part}" for one in range(2) for part in range(4)} <= ids
        texts = " ".join(text.text or "" for text in root.iter(f"{_SVG}text"))
        assert "1,800 instructions, 2,481 estimated cycles" in texts
        assert "1,000 instructions, 0.50 a MAC" in texts


def test_the_hottest_loops_as_text() -> None:
    lines = [LoopLine(0x100, 4, 2.0, "ldr r1, [r0]"), LoopLine(0x102, 4, 2.5, "bne.n 100")]
    loop = HotLoop(0, "layer_0", 8, 1, 4, 8, 18, 0, None, {"load": 4, "branch": 4}, 0.8, lines)
    text = hot_as_text(replace(example(), hot=[loop]))
    assert "layer 0 net/first, conv_2d/dsp: 1,000 instructions, 1,378 estimated cycles" in text
    assert "layer_0 + 8, 0x100 to 0x102: 80.0% of the layer's instructions" in text
    assert "multiply" not in text
    assert hot_as_text(replace(example(), hot=[])) == "no layer has a loop"


def older(path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """Write the example as a profile of earlier."""
    data = copy.deepcopy(asdict(example()))
    change(data)
    path.write_text(json.dumps(data))
    return path


def test_the_same_profile_has_no_changes(tmp_path: Path) -> None:
    path = older(tmp_path / "old.json")
    found = compare(read(path), path, example())
    assert [change.state for change in found.layers] == ["same", "same"]
    lines = compared_as_text(found, example()).splitlines()
    assert lines[0] == f"compared with {path}:"
    assert lines[1] == "2 layers as before"
    assert words(lines[2]) == "all layers 1,800 1,800 +0.0% 2,481 2,481 +0.0%"


def test_what_changed(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        first, second = data["layers"]
        first |= {"ticks": 2000, "cycles_estimate": 2756, "kernel": "conv_2d/portable"}
        second["name"] = "net/gone"
        data |= {"ticks": 2800, "cycles_estimate": 3859, "board": "mps2-an386"}

    path = older(tmp_path / "old.json", change)
    found = compare(read(path), path, example())
    assert [(one.name, one.state) for one in found.layers] == [
        ("net/first", "changed"),
        ("net/second", "new"),
        ("net/gone", "removed"),
    ]
    assert [one["state"] for one in found.as_dict()["layers"]] == ["changed", "new", "removed"]
    lines = compared_as_text(found, example()).splitlines()
    assert lines[0] == f"compared with {path}, measured on mps2-an386:"
    assert "conv_2d/dsp 2,000 1,000 -50.0% 2,756 1,378 -50.0% net/first" in words(lines[2])
    assert lines[2].endswith("(was conv_2d/portable)")
    assert lines[3].endswith("net/second (new)") and lines[4].endswith("net/gone (removed)")
    assert words(lines[5]) == "all layers 2,800 1,800 -35.7% 3,859 2,481 -35.7%"


def test_layers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    twins = replace(example(), layers=[layer(0, "stripe", 10, 0), layer(1, "stripe", 20, 0)])
    path = tmp_path / "old.json"
    path.write_text(json.dumps(asdict(twins)))
    found = compare(read(path), path, twins)
    assert [(one.old_ticks, one.ticks) for one in found.layers] == [(10, 10), (20, 20)]


def test_a_board_without_estimated_cycles(tmp_path: Path) -> None:
    path = older(tmp_path / "old.json")
    new = without_cycles(example())
    text = compared_as_text(compare(read(path), path, new), new)
    assert "est. cycles" not in text
    assert "all layers" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "other"}, "old.json is a profile of other, not of net"),
        ({"tick_unit": "cycles"}, "counts cycles on netduinoplus2, netduinoplus2 counts instruct"),
    ],
)
def test_profiles_that_cannot_be_compared(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = older(tmp_path / "old.json", lambda data: data.update(change))
    with pytest.raises(LotorError, match=said):
        compare(read(path), path, example())


BROKEN: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "No such file"),
    "text": (b"  # kernel", "is not JSON"),
    "bytes": (b"\xff\xfe", "is not JSON"),
    "list": (b"[1]", "is not a profile"),
    "inspection": (b'{"ops": []}', "is not a profile"),
    "layers": (
        b'{"model":"net","board":"b","tick_unit":"instructions","ticks":1,"layers":[{"name":"x"}]}',
        "is not a profile",
    ),
    "estimate": (
        b'{"model":"net","board":"b","tick_unit":"t","ticks":1,"layers":[],"cycles_estimate":"1"}',
        "is not a profile",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_files_that_are_no_profile(kind: str, tmp_path: Path, lotor: Lotor) -> None:
    path, (content, said) = tmp_path / "old.json", BROKEN[kind]
    if content is not None:
        path.write_bytes(content)
    done = lotor("profile", "raccoon", "--board", BOARD, "--compare", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(path) in done.stderr and said in done.stderr
    assert "lotor profile MODEL --board B --json" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hot", "0"], "'0' is no number of layers"),
        (["--hot", "many"], "'many' is no number of layers"),
        (["--plot", "bars.jpg"], ".png or .svg"),
    ],
)
def test_mistakes(arguments: list[str], said: str, lotor: Lotor) -> None:
    done = lotor("profile", "raccoon", "--board", BOARD, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_loops_of_a_real_board(monkeypatch: pytest.MonkeyPatch) -> None:
    real = replace(load_board(BOARD), emulator=None)
    monkeypatch.setattr("lotor.profiling.load_board", lambda _: real)
    with pytest.raises(LotorError, match="on emulated boards only"):
        profile("raccoon", BOARD, hot=1)


needs_emulator = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    m = ModelBuilder(seed=3)
    x = m.input((1, 8, 8, 4), Quant(1 / 128, 0))
    y = m.conv2d(x, channels=4, kernel=(3, 3), activation="RELU")
    m.output(m.softmax(m.fully_connected(m.mean(y, (1, 2)), units=4)))
    path = tmp_path / "small.tflite"
    path.write_bytes(m.build())
    yield path
    emulator.stop(BOARD)


@needs_emulator
def test_the_command(small: Path, tmp_path: Path, lotor: Lotor) -> None:
    command = ("profile", small, "--board", BOARD)
    done = lotor(*command, "--json", "--hot", "1")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    keys = "layers ticks tick_unit cycles_estimate ram_bytes stack_bytes"
    assert set(keys.split()) <= data.keys()
    keys = "name kernel macs ticks ticks_per_mac share cycles_estimate cycles_parts"
    assert all(set(keys.split()) <= one.keys() for one in data["layers"])
    assert sum(one["ticks"] for one in data["layers"]) == data["ticks"]
    assert sum(one["cycles_estimate"] for one in data["layers"]) == data["cycles_estimate"]
    for one in data["layers"]:
        assert one["cycles_parts"]["instructions"] == one["ticks"]
        assert sum(one["cycles_parts"].values()) == one["cycles_estimate"]
        assert one["ticks"] < one["cycles_estimate"] < 3 * one["ticks"]
    assert data["layers"][0]["kernel"].startswith("conv_2d/dsp")
    (loop,) = data["hot"]
    assert loop["layer"] == 0 and loop["macs"] > 0 and loop["lines"][0]["executed"] > 1

    old, bars = tmp_path / "old.json", tmp_path / "bars.svg"
    data["layers"][0]["ticks"] += 100
    old.write_text(json.dumps(data))
    done = lotor(*command, "--compare", old, "--plot", bars)
    assert done.returncode == 0, done.stderr
    assert f"bars: {bars}" in done.stdout and f"compared with {old}:" in done.stdout
    assert "3 layers as before" in done.stdout
    assert "<svg" in bars.read_text()

    drawn = lotor(*command, "--plot", "--hot").stdout
    assert re.search(r"^  0 conv_2d/dsp\w* +[\d,]+ #+\+*=*\**$", drawn, re.M)
    assert "estimated cycles, RAM" in drawn and "iterations of" in drawn

    old.write_text(json.dumps(data | {"model": "large"}))
    done = lotor(*command, "--compare", old)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is a profile of large, not of small" in done.stderr
