"""The memory map: what is drawn is what was planned."""

import copy
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from conftest import CHECKOUT, Lotor
from lotor.cli import main
from lotor.compiler import Compiled, compile_model
from lotor.errors import LotorError
from lotor.inspection import inspect
from lotor.memory_map import as_text, boxes, figure, save
from lotor.memory_map import shared as shared_bytes
from lotor.pictures import check_file
from lotor.zoo import find_model
from tflite_builder import ModelBuilder, Quant

_SVG = "{http://www.w3.org/2000/svg}"


def small_model() -> bytes:
    """Two branches that meet, so that something lives long, and outputs over inputs."""
    m = ModelBuilder(seed=3)
    x = m.rename(m.input((1, 16, 16, 4), Quant(0.05, -3)), "net/x")
    a = m.rename(m.conv2d(x, channels=8, kernel=(3, 3), stride=(2, 2)), "net/a;net/fused")
    b = m.rename(m.conv2d(a, channels=8, kernel=(1, 1)), "net/b")
    c = m.rename(m.add(a, b), "net/sum/c")
    m.output(m.rename(m.max_pool2d(c, (2, 2), (2, 2)), "net/y"))
    return m.build()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "small.tflite"
    path.write_bytes(small_model())
    return path


@pytest.fixture(scope="module")
def compiled(model: Path) -> Compiled:
    return compile_model(model)


@pytest.fixture(scope="module")
def data(model: Path) -> dict[str, Any]:
    return inspect(str(model))


def staircase() -> dict[str, Any]:
    """An inspection of a tensor that is written in three parts, and used up part by part."""

    def entry(name: str, kind: str, offset: int, *segments: tuple[int, int, int, int]) -> Any:
        keys = ("offset", "bytes", "first", "last")
        return {
            "tensor": name,
            "kind": kind,
            "offset": offset,
            "bytes": sum(segment[1] for segment in segments),
            "segments": [dict(zip(keys, segment, strict=True)) for segment in segments],
        }

    return {
        "arena_bytes": 240,
        "ram_lower_bound": 200,
        "peak": {"layers": [1]},
        "ops": [{"kind": "CONV_2D"}] * 3,
        "memory": [
            entry("rows", "activation", 120, (0, 40, 0, 1), (40, 40, 1, 2), (80, 40, 2, 3)),
            entry("x", "input", 0, (0, 130, -1, 1)),
        ],
    }


def test_a_box_is_a_placement(data: dict[str, Any], compiled: Compiled) -> None:
    found = {(box.low, box.high, box.first, box.last) for box in boxes(data)}
    plan = compiled.plan
    assert found == {(p.offset, p.offset + p.nbytes, p.first, p.last) for p in plan.placements}
    assert [box.name for box in boxes(data)] == ["x", "a", "b", "sum/c", "y"]
    assert {box.name: box.kind for box in boxes(data)} == {
        "x": "input",
        "a": "activation",
        "b": "activation",
        "sum/c": "activation",
        "y": "output",
    }


def test_every_part_of_a_life_has_a_box() -> None:
    m = ModelBuilder(seed=2)
    x = m.conv2d(m.input((1, 48, 48, 2)), channels=12, kernel=(3, 3))
    m.output(m.max_pool2d(m.depthwise_conv2d(x, kernel=(3, 3)), (4, 4), (4, 4)))
    whole = compile_model(m.build())
    striped = compile_model(m.build(), ram=whole.plan.arena_bytes // 2)
    placements = striped.plan.placements
    assert max(len(p.segments) for p in placements) > 1
    assert [(b.low, b.high, b.first, b.last) for b in boxes(striped.report)] == [
        (p.offset + s.offset, p.offset + s.end, s.first, s.last)
        for p in placements
        for s in p.segments
    ]


def test_shared_bytes_are_those_of_two_at_once(data: dict[str, Any]) -> None:
    layers, arena = len(data["ops"]), data["arena_bytes"]
    counted = np.zeros((layers + 2, arena), int)
    for box in boxes(data):
        counted[box.first + 1 : box.last + 2, box.low : box.high] += 1
    drawn = np.zeros((layers + 2, arena), bool)
    for both in shared_bytes(boxes(data)):
        drawn[both.first + 1 : both.last + 2, both.low : both.high] = True
    assert drawn.any()
    assert np.array_equal(drawn, counted > 1)


def test_parts_of_a_tensor_make_a_staircase() -> None:
    steps = [box for box in boxes(staircase()) if box.tensor == 0]
    corners = [(box.low, box.high, box.first, box.last) for box in steps]
    assert corners == [(120, 160, 0, 1), (160, 200, 1, 2), (200, 240, 2, 3)]
    both = [(s.low, s.high, s.first, s.last) for s in shared_bytes(boxes(staircase()))]
    assert both == [(120, 130, 0, 1)]


def _rectangles(data: dict[str, Any], prefix: str) -> dict[str, tuple[float, ...]]:
    (axes,) = figure(data, "title").axes
    return {
        str(patch.get_gid()): (*patch.get_xy(), patch.get_width(), patch.get_height())
        for patch in axes.patches
        if isinstance(patch, Rectangle) and str(patch.get_gid()).startswith(prefix)
    }


def test_the_rectangles_of_a_picture_are_the_plan(data: dict[str, Any]) -> None:
    assert _rectangles(data, "tensor") == {
        f"tensor-{i}-0": (e["first"], e["offset"], e["last"] + 1 - e["first"], e["bytes"])
        for i, e in enumerate(data["memory"])
    }
    assert _rectangles(staircase(), "tensor") == {
        "tensor-0-0": (0, 120, 2, 40),
        "tensor-0-1": (1, 160, 2, 40),
        "tensor-0-2": (2, 200, 2, 40),
        "tensor-1-0": (-1, 0, 3, 130),
    }
    assert _rectangles(staircase(), "shared") == {"shared-0": (0, 120, 2, 10)}
    assert _rectangles(staircase(), "peak")["peak-1"][::2] == (1, 1)


def _lines(data: dict[str, Any]) -> dict[str, float]:
    (axes,) = figure(data, "title").axes
    return {str(line.get_gid()): float(np.asarray(line.get_ydata())[0]) for line in axes.lines}


def test_lines_at_arena_bound_and_limit() -> None:
    tight = {"board": "tiny", "ram_needed": 1240, "ram_limit": 1100}
    assert _lines(staircase()) == {"arena": 240, "lower-bound": 200}
    assert _lines(staircase() | tight)["tiny-has"] == 100
    # A limit far above would press the map flat; the title names it.
    wide = staircase() | tight | {"ram_limit": 5000}
    assert set(_lines(wide)) == {"arena", "lower-bound"}
    (axes,) = figure(wide, "title").axes
    assert "tiny has 4,000" in axes.get_title(loc="left")


def test_every_layer_has_its_name(data: dict[str, Any]) -> None:
    (axes,) = figure(data, "title").axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["input", "0 conv_2d", "1 conv_2d", "2 add", "3 max_pool_2d", "output"]
    written = {text.get_text().split("\n")[0] for text in axes.texts}
    assert {"x", "a", "b", "y"} <= written


def test_labels_stay_inside_their_boxes(data: dict[str, Any]) -> None:
    long = copy.deepcopy(data)
    for index, entry in enumerate(long["memory"]):
        entry["tensor"] = f"{'long' * 12}{index}"
    for drawn in (data, long):
        found = figure(drawn, "title")
        found.draw_without_rendering()
        (axes,) = found.axes
        corners = [p.get_window_extent() for p in axes.patches if "tensor" in str(p.get_gid())]
        labels = [t for t in axes.texts if t.get_transform() == axes.transData]
        labels = [t for t in labels if t.get_text() != "▼"]
        assert labels
        for label in labels:
            box = label.get_window_extent()
            assert any(
                c.x0 <= box.x0 and box.x1 <= c.x1 and c.y0 <= box.y0 and box.y1 <= c.y1
                for c in corners
            ), label.get_text()


def test_many_layers_are_thinned_out() -> None:
    long = staircase() | {"ops": [{"kind": "CONV_2D"}] * 600}
    (axes,) = figure(long, "title").axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert 100 < len(names) < 300
    assert figure(long, "title").get_figwidth() <= 30
    lines = as_text(long).splitlines()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_model_gives_the_same_bytes(
    suffix: str, data: dict[str, Any], tmp_path: Path
) -> None:
    files = [tmp_path / f"deep/er/{name}.{suffix}" for name in "ab"]
    for file in files:
        save(data, file, "small")
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) < 100_000
    assert not re.search(rb"20\d\d-\d\d-\d\d", first)


def test_the_svg_holds_every_box(data: dict[str, Any], tmp_path: Path) -> None:
    save(data, tmp_path / "map.svg", "a $strange$ title")
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    ids = {element.get("id") for element in root.iter()}
    assert {f"tensor-{index}-0" for index in range(len(data["memory"]))} <= ids
    texts = "".join(text.text or "" for text in root.iter(f"{_SVG}text"))
    assert "a $strange$ title" in texts
    assert f"arena {data['arena_bytes']:,}" in texts


def test_letters_in_a_pipe(data: dict[str, Any]) -> None:
    assert as_text(data) == (Path(__file__).parent / "golden/memory_map.txt").read_text().rstrip()


def test_letters_of_a_staircase() -> None:
    tight = {"board": "tiny", "ram_needed": 1240, "ram_limit": 1120}
    lines = as_text(staircase() | tight, 40).splitlines()
    # A row is 10 bytes, a layer 5 columns; lines cross at the lower bound and the board's limit.
    rows = [line[12::5] for line in lines[:24]]
    assert rows == [
        *["...AA"] * 3,
        "---AA",
        *["..AA."] * 4,
        *[".AA.."] * 3,
        "B##--",
        *["BBB.."] * 12,
    ]
    assert {len(line) for line in lines[:24]} == {12 + 5 * 5}
    assert lines[24:26] == [f"{'':12}in   0    1    2    out", f"{'':12}          ^ peak"]
    assert lines[-2:] == [
        "line at 200: lower bound",
        "line at 120: all that tiny has for the arena",
    ]


def test_the_smallest_of_many_tensors_share_a_sign(data: dict[str, Any]) -> None:
    (segment,) = data["memory"][0]["segments"]
    sizes = [{"bytes": 100 + i, "segments": [segment | {"bytes": 100 + i}]} for i in range(30)]
    many = data | {"memory": [data["memory"][0] | size for size in sizes]}
    legend = as_text(many).splitlines()[26:]
    assert [line[0] for line in legend[:13]] == list("ABCDEFGHIJKLM")
    assert "+ 4 smaller ones" in legend
    assert "103 input" not in as_text(many)
    assert "104 input" in as_text(many)


def test_the_terminal_has_no_more_columns(data: dict[str, Any]) -> None:
    for columns in (40, 80, 200):
        assert max(map(len, as_text(data, columns).splitlines())) <= columns


def test_colours_say_what_memory_is_for(data: dict[str, Any]) -> None:
    text = as_text(data, 80, colour=True)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 80
    assert "▀" in plain
    for name in ("x", "y", "input", "output", "activation", "shared"):
        assert name in plain
    assert text.count("\x1b[0m") >= 24  # no line stains the next


@pytest.mark.parametrize("name", ["map.jpg", "map", "map.svg.gz"])
def test_a_file_of_another_kind(name: str, model: Path, lotor: Lotor, tmp_path: Path) -> None:
    done = lotor("inspect", model, "--plot", tmp_path / name)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert ".png or .svg" in done.stderr


def test_a_folder_that_cannot_be_written(model: Path, lotor: Lotor) -> None:
    done = lotor("inspect", model, "--plot", "/proc/none/map.svg")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "/proc/none/map.svg" in done.stderr
    assert "--plot" in done.stderr


def test_a_full_disk_leaves_the_old_picture(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.svg"
    file.write_text("old")
    limits = (4096, 4096)  # bytes of a file
    done = subprocess.run(
        [sys.executable, "-m", "lotor", "inspect", str(model), "--plot", str(file)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert f"cannot write {file}" in done.stderr
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(file, "old")]


def test_letters_that_the_font_lacks(data: dict[str, Any], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(data, tmp_path / "map.png", "日")


def test_without_matplotlib(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["inspect", str(model), "--plot", "map.svg"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'matplotlib" in line
    assert main(["inspect", str(model), "--plot"]) == 0  # the terminal needs none
    with pytest.raises(LotorError, match="matplotlib"):
        check_file(Path("map.png"))


def test_a_drawn_file_is_named(model: Path, lotor: Lotor, tmp_path: Path) -> None:
    file = tmp_path / "new" / "map.png"
    done = lotor("inspect", model, "--plot", file)
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout.splitlines()[-1]
    assert file.read_bytes().startswith(b"\x89PNG")
    drawn = lotor("inspect", model, "--plot")
    assert drawn.stdout.startswith(as_text(inspect(str(model))))


@pytest.mark.shared
def test_the_docs_have_the_true_arenas(shared: Path) -> None:
    page = (CHECKOUT / "docs/memory.md").read_text()
    figures = page.split("## Figures")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", figures, re.MULTILINE)
    files = {path.stem: path for path in (shared / "models").rglob("*.tflite")}
    assert len(rows) == 7
    for name, written in rows:
        found = inspect(str(files.get(name, name)), "portable")
        each = sum(entry["bytes"] for entry in found["memory"])
        true = (len(found["ops"]), each, found["ram_lower_bound"], found["arena_bytes"])
        assert written == " | ".join(f"{figure:,}" for figure in true), name
        arena = compile_model(
            find_model(str(files.get(name, name))).path, "cortex-m4"
        ).plan.arena_bytes
        assert re.search(rf"\s{arena:,}\s+for\s+`{name}`", figures), name


@pytest.mark.shared
def test_the_docs_have_the_true_maps(shared: Path, lotor: Lotor, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/memory.md").read_text()
    commands = re.findall(r"^`lotor (inspect \S+ .*--plot) docs/(\S+)`$", page, re.MULTILINE)
    assert len(commands) == len(list((CHECKOUT / "docs").glob("memory-*.svg"))) == 6
    files = {path.name: str(path) for path in (shared / "models").rglob("*.tflite")}
    for command, name in commands:
        words = [files.get(word, word) for word in command.split()]
        assert lotor(*words, tmp_path / name).returncode in (0, 1)
        drawn, shown = (
            [
                element.get("id") if element.text is None else element.text
                for element in ElementTree.parse(folder / name).iter()
                if element.tag == f"{_SVG}text" or "tensor" in element.get("id", "")
            ]
            for folder in (tmp_path, CHECKOUT / "docs")
        )
        assert drawn == shown, name


def test_what_cannot_be_compiled_has_no_map(lotor: Lotor, tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.unary("SKIP_GRAM", m.max_pool2d(m.input((1, 4, 4, 2)))))
    (tmp_path / "odd.tflite").write_bytes(m.build())
    done = lotor("inspect", tmp_path / "odd.tflite", "--plot", tmp_path / "map.svg")
    assert done.returncode == 1
    assert "cannot be compiled" in done.stdout
    assert not (tmp_path / "map.svg").exists()
