"""A trained model gets the second output, which tells the unknown, without training."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from garden import make_garden
from lotor import cli
from lotor.data.manifest import read_manifest
from lotor.errors import LotorError
from lotor.oracle import Oracle

pytestmark = [pytest.mark.train, pytest.mark.xdist_group("add_unlike")]

RECIPE = """
name = "tiny"
target = "raccoon"
labels = ["raccoon", "person", "other_animal", "background"]
[input]
height = 20
width = 20
mean = 128.0
std = 128.0
[data]
folder = "nowhere"
other = "other_animal"
[data.classes]
raccoon = "raccoon"
person = "person"
background = "background"
[data.share]
raccoon = 0.4
person = 0.3
other_animal = 0.2
background = 0.1
[transfer]
file = "none"
sha256 = "none"
[fit]
steps = 3
batch = 8
"""
OOD = "[ood]\ndirections = 4\n"
KEPT = {"thresholds": {"1%": 0.5}, "val": {"all": {"photos": 16}}}


@dataclasses.dataclass
class Model:
    """A trained model's folder and its photographs."""

    folder: Path
    garden: Path

    def add(self) -> dict[str, Any]:
        from lotor.train.add_unlike import add_unlike

        return add_unlike(str(self.folder / "recipe.toml"), self.garden)

    def bytes(self) -> dict[str, bytes]:
        """All files, by name."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def table(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """One as training leaves it, of weights that were drawn."""
    pytest.importorskip("tensorflow")
    from lotor.train.recipe import read_recipe

    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(name, value)  # no network: golden vectors are made of noise then
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    made = Model(tmp_path / "tiny", make_garden(tmp_path / "garden"))
    made.folder.mkdir()
    (made.folder / "recipe.toml").write_text(RECIPE)
    recipe = json.loads(json.dumps(dataclasses.asdict(read_recipe(made.folder / "recipe.toml"))))
    int8, real = trained()
    (made.folder / "tiny.tflite").write_bytes(int8)
    (made.folder / "tiny_float.tflite").write_bytes(real)
    (made.folder / "metrics.json").write_text(json.dumps(KEPT))
    lineage = {
        "model_sha256": hashlib.sha256(int8).hexdigest(),
        "recipe": recipe,
        "manifest_sha256": read_manifest(made.garden).manifest_hash,
        "seed": 3,
    }
    (made.folder / "lineage.json").write_text(json.dumps(lineage))
    (made.folder / "recipe.toml").write_text(RECIPE + OOD)
    return made


def trained(bits: int = 8, narrow: bool = False) -> tuple[bytes, bytes]:
    """The int8 and the float file."""
    from lotor.train.export import plan, to_float, to_int8
    from test_quantization_training import images, ranges_of
    from test_wide_activations import network_of

    network = of_four_labels(network_of("residual"))
    weights = {next(n.name for n in network if n.kind == "conv_2d"): 4} if narrow else {}
    planned = plan(network, ranges_of(network, images(24)), weights, bits)
    return to_int8(network, planned), to_float(network)


def of_four_labels(network: Any) -> Any:
    """Return the network with as many labels as the recipe."""

    def cut(layer: Any) -> Any:
        if layer.name not in (network.logits, *network.outputs):
            return layer
        parts = {k: v[:4] for k in ("weights", "bias") if (v := getattr(layer, k)) is not None}
        return dataclasses.replace(layer, shape=(4,), **parts)

    return dataclasses.replace(network, name="tiny", layers=tuple(map(cut, network)))


def scores(content: bytes, count: int = 12) -> list[Any]:
    """Outputs of inputs that were drawn."""
    from lotor.frontend.tflite import read_model

    into = read_model(content, "tiny").inputs[0]
    rng, oracle = np.random.default_rng(6), Oracle(content)
    spread = 1 if into.np_dtype == np.float32 else np.iinfo(into.np_dtype).max / 3
    drawn = rng.normal(0, spread, (count, *into.shape))
    return [oracle.run(each.astype(into.np_dtype)) for each in drawn.clip(-3 * spread, 3 * spread)]


def test_it_is_added_and_all_else_stays(model: Model) -> None:
    before = model.bytes()
    found = model.add()
    after = model.bytes()
    assert set(after) == set(before) | {"labels.txt", "golden/noise0.npz", "golden/noise1.npz"}
    assert after["recipe.toml"] == before["recipe.toml"]
    for name in ("tiny.tflite", "tiny_float.tflite"):
        for old, new in zip(scores(before[name]), scores(after[name]), strict=True):
            assert np.array_equal(old, new[0])
            assert new[1].shape == (1, 4)
    metrics = model.table("metrics.json")
    assert metrics == KEPT | {"ood": metrics["ood"]}
    assert metrics["ood"]["accepted"] >= 0.95
    lineage, was = model.table("lineage.json"), json.loads(before["lineage.json"])
    assert lineage == found["lineage"]
    hashes = [hashlib.sha256(after[f"tiny{end}.tflite"]).hexdigest() for end in ("", "_float")]
    assert [lineage["model_sha256"], lineage["float_sha256"]] == hashes
    assert lineage["recipe"] == was["recipe"] | {"ood": {"directions": 4}}
    assert lineage["unlike"]["to_model_sha256"] == was["model_sha256"]
    assert lineage["unlike"]["photos"] == 16
    assert len(lineage["unlike"]["photographs_sha256"]) == 64
    golden = np.load(model.folder / "golden" / "noise0.npz")
    first, second = Oracle(after["tiny.tflite"]).run(golden["input"])
    assert np.array_equal(first, golden["output"])
    assert np.array_equal(second, golden["output_1"])
    assert str(golden["model_sha256"]) == hashes[0]
    assert_tells_the_known(model)


def assert_tells_the_known(model: Model) -> None:
    """The mean square is 1 over train, by the C of the written file, and val is mostly known."""
    from lotor.classifier import HostClassifier
    from lotor.evaluate import score_photos
    from lotor.zoo import find_model

    classifier = HostClassifier(find_model(str(model.folder / "tiny.tflite")))
    parts = (read_manifest(model.garden).split(name) for name in ("train", "val"))
    train, val = (score_photos(classifier, part, lambda kind: 0).unlike for part in parts)
    assert train is not None
    assert val is not None
    assert 0.8 < train.mean() < 1.2
    assert (val <= model.table("metrics.json")["ood"]["threshold"]).mean() >= 0.95


def test_another_number_takes_its_place(model: Model) -> None:
    from lotor.frontend.tflite import read_model

    before = model.bytes()
    model.add()
    trained_as = model.table("lineage.json")["unlike"]["to_model_sha256"]
    once = model.bytes()["tiny.tflite"]
    (model.folder / "recipe.toml").write_text(RECIPE + OOD.replace("4", "3"))
    model.add()
    again = model.bytes()["tiny.tflite"]
    for old, new in zip(scores(once), scores(again), strict=True):
        assert np.array_equal(old[0], new[0])
        assert new[1].shape == (1, 3)
    for name in ("tiny.tflite", "tiny_float.tflite"):
        was, now = (len(read_model(files[name], name).ops) for files in (before, model.bytes()))
        assert now == was + 1
    assert model.table("lineage.json")["unlike"]["to_model_sha256"] == trained_as


@pytest.mark.parametrize(("bits", "narrow"), [(16, False), (8, True)])
def test_integers_are_those_of_the_file(bits: int, narrow: bool) -> None:
    pytest.importorskip("tensorflow")
    from lotor.frontend.tflite import read_model
    from lotor.train.add_unlike import integers_of
    from lotor.train.export import to_int8

    content = trained(bits, narrow)[0]
    network, planned = integers_of(read_model(content, "tiny"))
    assert (4 in planned.weight_bits.values()) == narrow
    again = to_int8(network, planned)
    for old, new in zip(scores(content), scores(again), strict=True):
        assert np.array_equal(old, new)


def test_another_first_output_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from lotor.train import add_unlike

    real = add_unlike.integers_of

    def shifted(graph: Any) -> Any:
        network, planned = real(graph)
        last = network[network.logits]
        assert last.bias is not None
        changed = dataclasses.replace(last, bias=last.bias + np.eye(4, dtype=np.float32)[0])
        layers = tuple(changed if layer.name == last.name else layer for layer in network)
        return dataclasses.replace(network, layers=layers), planned

    before = model.bytes()
    monkeypatch.setattr(add_unlike, "integers_of", shifted)
    with pytest.raises(LotorError, match=r"first output of tiny.tflite would change on \d+ of 16"):
        model.add()
    assert model.bytes() == before


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("recipe.toml", OOD, "", r"has no \[ood\]"),
        (
            "recipe.toml",
            'target = "raccoon"',
            'target = "person"',
            "`target` is not what the model",
        ),
        ("recipe.toml", "std = 128.0", "std = 64.0", "`input` is not what the model"),
        ("recipe.toml", 'name = "tiny"', 'name = "tiny"\ntask = "locate"', "trained without"),
        ("lineage.json", '"manifest_sha256": "', '"manifest_sha256": "0', "no version '0"),
        ("lineage.json", "{", "", "cannot read"),
        ("metrics.json", "{", "[", "cannot read"),
    ],
)
def test_what_it_does_not_fit_is_refused(
    model: Model, name: str, old: str, new: str, says: str
) -> None:
    path = model.folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    before = model.bytes()
    with pytest.raises(LotorError, match=says):
        model.add()
    assert model.bytes() == before


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_float.tflite", "metrics.json"])
def test_a_file_that_is_damaged_or_missing(model: Model, name: str) -> None:
    path = model.folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    before = model.bytes()
    with pytest.raises(LotorError):
        model.add()
    assert model.bytes() == before
    path.unlink()
    with pytest.raises(LotorError, match=name):
        model.add()


def test_the_float_file_is_not_taken_for_integers(model: Model) -> None:
    (model.folder / "tiny.tflite").write_bytes((model.folder / "tiny_float.tflite").read_bytes())
    with pytest.raises(LotorError, match="is not quantized"):
        model.add()


def test_the_command(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(model.folder / "recipe.toml")
    wanted = ["train", recipe, "--ood-only", "--data", str(model.garden)]
    assert cli.main([*wanted, "--steps", "3"]) == 2
    assert "leave out --steps" in capsys.readouterr().err
    assert cli.main(wanted) == 0
    said = capsys.readouterr().out
    assert "known are 16 photographs of train" in said
    assert "first output is what it was on all photographs of val" in said
