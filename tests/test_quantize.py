"""Quantizing a float file by photographs: what is read, chosen, written and told."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from conftest import Lotor
from cortex_m import needs_emulator
from full_disk import contents, refused
from garden import make_garden
from lotor.cli import main
from lotor.device import emulator
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.frontend.tflite import read_model
from lotor.side_by_side import as_text, compare_files, find_photographs
from lotor.zoo import find_model
from test_quantization_training import keras_model, run_all
from tflite_builder import ModelBuilder, Quant

pytestmark = pytest.mark.train
BOARD = "netduinoplus2"
RECIPE = "[input]\nheight = 20\nwidth = 20\nmean = 128.0\nstd = 128.0\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float file with a recipe beside it."""
    keras = keras_model("residual")
    from lotor.train.export import to_float
    from lotor.train.fold import fold

    folder = tmp_path_factory.mktemp("small")
    (folder / "small.tflite").write_bytes(to_float(fold(keras)))
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in "abcde"))
    return folder / "small.tflite"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(1)
    for number in range(24):
        small = rng.integers(0, 256, (6, 6, 3), np.uint8)
        image = cv2.resize(small, (40, 30), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def test_a_float_file_becomes_int8(
    lotor: Lotor, model: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "q" / "small.tflite"
    done = lotor("quantize", model, "--data", photographs, "-o", out, "--json", "--correct-bias")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["tried"]) == {"min-max", "average", "percentile", "mse", "entropy"}
    assert found["tried"][found["estimator"]] == max(found["tried"].values())
    assert {"name", "kind", "total", "own"} == set(found["layers"][0])
    assert found["score_sqnr_db"] > 12
    (out.parent / "recipe.toml").write_text(RECIPE)
    checked = lotor("verify", out, "--samples", "3", "--json")
    assert json.loads(checked.stdout)["mismatches"] == 0
    from lotor.preprocess import read_image
    from lotor.train.quantize import load_network

    into = load_network(find_model(str(model)))[1]
    real = np.concatenate([into.tensor(read_image(p)) for p in sorted(photographs.glob("*"))])
    pixels = np.rint(real * 128).astype(np.int8)  # the input is pixels less 128, exactly
    scores = run_all(out.read_bytes(), pixels, tmp_path)
    wanted = run_all(model.read_bytes(), real, tmp_path)
    assert np.abs((scores + 128.0) / 256 - wanted).mean() < 0.06


def test_what_can_be_chosen(model: Path, photographs: Path, tmp_path: Path) -> None:
    from lotor.train.quantize import Choice, quantize_file

    found = find_model(str(model))
    four = quantize_file(found, photographs, tmp_path / "4.tflite", Choice("mse", weight_bits=4))
    mended = quantize_file(
        found, photographs, tmp_path / "m.tflite", Choice("mse", repair=True, weight_bits=4)
    )
    assert list(four.tried) == ["mse"]
    assert four.repaired == []
    assert mended.repaired
    assert any("weights of 8 bits" in text for text in mended.repaired)
    assert mended.score_db > four.score_db
    assert len(mended.content) > len(four.content)
    even = quantize_file(found, photographs, tmp_path / "e.tflite", Choice("mse", equalize=True))
    assert even.score_db > four.score_db
    assert "worst by their own noise" in str(even)


def test_weights_of_4_bits_where_the_flash_asks_for_it(
    lotor: Lotor, model: Path, photographs: Path, tmp_path: Path
) -> None:
    from lotor.train.narrow import narrowed, weight_bytes
    from lotor.train.quantize import load_network

    network = load_network(find_model(str(model)))[0]
    convolutions = [layer for layer in network if layer.kind == "conv_2d"]
    sizes = [weight_bytes(layer) - weight_bytes(layer, 4) for layer in convolutions]
    whole = sum(weight_bytes(layer) for layer in network)
    largest = convolutions[int(np.argmax(sizes))].name
    assert narrowed(network, 0) == {}
    assert narrowed(network, whole) == {}
    assert narrowed(network, whole - 1) == {largest: 4}
    assert narrowed(network, whole - max(sizes)) == {largest: 4}
    assert set(narrowed(network, whole - max(sizes) - 1)) > {largest}
    assert set(narrowed(network, whole - sum(sizes))) == {layer.name for layer in convolutions}

    budget, out = whole - max(sizes), tmp_path / "narrow.tflite"
    done = lotor(
        "quantize", model, "--data", photographs, "-o", out, "--weight-bytes", str(budget),
        "--repair", "--estimator", "mse",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ops = read_model(out.read_bytes(), "narrow").ops
    assert [op.input(1).dtype.name for op in ops if op.kind == "CONV_2D"].count("INT4") == 1
    (out.parent / "recipe.toml").write_text(RECIPE)
    checked = lotor("verify", out, "--samples", "3", "--json")
    assert json.loads(checked.stdout)["mismatches"] == 0
    with pytest.raises(LotorError, match="4 bits in every convolution"):
        narrowed(network, 10)


def test_activations_of_16_bits(
    lotor: Lotor, model: Path, photographs: Path, tmp_path: Path
) -> None:
    out, drawn = tmp_path / "wide.tflite", tmp_path / "noise.svg"
    done = lotor(
        "quantize", model, "--data", photographs, "-o", out, "--activations", "16", "--report",
        "--plot", drawn, "--json", "--correct-bias", "--limit", "9", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["estimator"] == "min-max"
    assert found["score_sqnr_db"] > 35
    assert found["report"]["photos"] == 9
    assert found["report"]["where"]["int16"]["agreement"] == 1
    # Every layer's two bars.
    picture = drawn.read_text()
    for index in range(len(found["layers"])):
        assert f'id="layer-{index}-own"' in picture
        assert f'id="layer-{index}-total"' in picture
    (out.parent / "recipe.toml").write_text(RECIPE)
    checked = lotor("verify", out, "--samples", "3", "--json")
    assert json.loads(checked.stdout)["mismatches"] == 0


@needs_emulator
def test_a_board_is_reported_beside_float_and_integers(
    lotor: Lotor,
    model: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    out = tmp_path / "small.tflite"
    command = ("quantize", model, "--data", photographs, "-o", out, "--estimator", "min-max")
    done = lotor(*command, "--board", BOARD, "--limit", 3, "--json", timeout=600)
    try:
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)["report"]
        assert (report["photos"], report["mismatches"]) == (3, 0)
        assert list(report["where"]) == ["float", "int8", BOARD]
        assert report["where"][BOARD] == report["where"]["int8"]
        # One bit that the board sends otherwise.
        right = Session.read
        wrong = iter([0, 1, 0])

        def read(self: Session, index: int = 0) -> bytes:
            found = bytearray(right(self, index))
            found[0] ^= next(wrong)
            return bytes(found)

        monkeypatch.setattr(Session, "read", read)
        clock = itertools.count(step=10.0)  # so that work takes long, and its progress is shown
        monkeypatch.setattr("lotor.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
        found = find_model(str(model))
        again = compare_files(found, out, find_photographs(found, photographs, 3), BOARD)
        assert again["mismatches"] == 1
        assert "1 of 3 outputs of the board differ" in as_text(again)
        assert f"{BOARD}: 3/3 photographs" in capsys.readouterr().err
    finally:
        emulator.stop(BOARD)


def test_the_worst_layers_get_16_bits(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lotor.train import quantize as module
    from lotor.train.calibrate import min_max

    monkeypatch.setattr(module, "_WORTH_16", 0.2)
    monkeypatch.setattr(module, "ESTIMATORS", {"min-max": min_max})
    found = find_model(str(model))
    out = tmp_path / "mixed.tflite"
    plain = module.quantize_file(found, photographs, tmp_path / "8.tflite", module.Choice("mse"))
    mixed = module.quantize_file(found, photographs, out, module.Choice("mse", activations="mixed"))
    assert any("activations of 16 bits" in text for text in mixed.repaired)
    assert mixed.score_db > plain.score_db
    from lotor.frontend.tflite import read_model

    graph = read_model(out.read_bytes(), "mixed")
    assert graph.inputs[0].dtype.value == graph.outputs[0].dtype.value == "int8"
    assert any(op.kind == "QUANTIZE" for op in graph.ops)


def test_a_full_disk(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.tflite"
    out.write_bytes(b"of before")
    command = ["quantize", model, "--data", photographs, "-o", out, "--estimator", "min-max"]
    for room in (0, 1000):
        line = refused(room, capsys, *command)
        assert f"cannot write {out}: File too large; give another file with -o" in line
        assert contents(tmp_path) == {"small.tflite": b"of before"}


def test_data_sets_give_their_train_split(tmp_path: Path) -> None:
    from lotor.train.quantize import photographs as chosen

    paths = chosen(make_garden(tmp_path), 100)
    assert len(paths) == 16
    assert all(path.name.startswith("train") for path in paths)
    assert len(chosen(tmp_path, 5)) == 5


def test_mistakes(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = ModelBuilder(1)
    m.output(m.fully_connected(m.input((1, 4), Quant(0.1, 0)), units=2))
    (tmp_path / "int8.tflite").write_bytes(m.build())
    for arguments, says in (
        ((model, "--data", photographs, "--estimator", "msse"), "did you mean 'mse'"),
        ((model, "--data", photographs, "--weights", "3"), "8 and 4 are possible"),
        ((model, "--data", photographs, "--weight-bytes", "-1"), "--weight-bytes -1: bytes"),
        ((model, "--data", photographs, "--weight-bytes", "10"), "10; allow more or take a small"),
        (
            (model, "--data", photographs, "--equalize", "--saturated", "2"),
            "2: a share from 0 to 1",
        ),
        ((model, "--data", photographs, "--saturated", "0.1"), "is for --equalize: give that, too"),
        ((model, "--data", photographs, "--activations", "mixt"), "did you mean 'mixed'"),
        ((model, "--data", photographs, "--plot", "noise.bmp"), "ends in .png or .svg"),
        ((model, "--data", photographs, "--samples", "1"), "at least 2 photographs"),
        ((model, "--data", photographs, "--board", "netduinoplus"), "did you mean 'netduinoplus2'"),
        ((model, "--data", photographs, "--report", "--limit", "0"), "at least 1 photograph"),
        ((model, "--data", tmp_path / "none"), "no photographs at"),
        ((tmp_path / "int8.tflite", "--data", photographs), "does not take one float32 input"),
    ):
        assert main(["quantize", *map(str, arguments), "-o", str(tmp_path / "x.tflite")]) == 2
        assert says in capsys.readouterr().err
        assert not (tmp_path / "x.tflite").exists()


def test_layers_that_cannot_be_quantized_are_all_named(tmp_path: Path) -> None:
    from lotor.frontend.tflite import read_model
    from lotor.train.unpack import unpack

    m = ModelBuilder(1)
    x = m.input((1, 8, 8, 4), None, "float32")
    m.output(m.unary("TANH", m.unary("EXP", x)))
    with pytest.raises(LotorError, match=r"is EXP; .* is TANH; what can: CONV_2D"):
        unpack(read_model(m.build(), "odd"))
