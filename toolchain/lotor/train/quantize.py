"""`lotor quantize`: a float model to int8 or 16x8, with what that costs, layer by layer.

Ranges come from some photographs, and every choice is made by others: the one with the least noise
in the scores wins.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lotor.compiler import read_content
from lotor.data.manifest import MANIFEST, read_manifest
from lotor.detect import find_images
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.frontend.tflite import read_model
from lotor.graph import Graph
from lotor.preprocess import ImageInput, image_input, read_image
from lotor.progress import Progress
from lotor.suggest import did_you_mean
from lotor.train.calibrate import ESTIMATORS, Seen, find_estimator, ranges, watch
from lotor.train.correct_bias import correct_bias
from lotor.train.equalize import channel_tops, equalize, without_relu6
from lotor.train.export import Plan, changed, output_quantization, plan, to_int8
from lotor.train.layers import Array, Network
from lotor.train.narrow import narrowed
from lotor.train.qat import QuantizedModel
from lotor.train.rounded import Integers, RoundedNetwork
from lotor.train.run import FloatNetwork
from lotor.train.sqnr import LayerNoise, as_dicts, as_text, noise
from lotor.train.unpack import unpack
from lotor.zoo import ModelFile

_BATCH = 32
_WORTH = 0.1  # dB in the scores that a change must bring to be kept
_WORTH_16 = 1.0  # the same of 16 bits, which take more time and memory
_REPAIRED = 5  # layers at most
ACTIVATIONS = ("8", "16", "mixed")


@dataclass(frozen=True)
class Choice:
    """How to quantize.

    Attributes:
        estimator: a name in `ESTIMATORS`, or "best" of all of them.
        equalize: even out channels between layers first.
        saturated: share of a tensor's values that may reach the limit of a ReLU6 for that to become
            a ReLU, which equalisation can pass; 0 for none, 1 for every ReLU6.
        correct_bias: take shifted means out of the biases.
        repair: give the worst layers the range that helps them most, and 8 bits in place of 4.
        weight_bits: 8 or 4, of all convolutions.
        weight_bytes: 4 bits for the largest convolutions until all fit; 0 for no limit.
        activations: "8" or "16" bits; "mixed": 8, and 16 where `repair` gains much by it.
    """

    estimator: str = "best"
    equalize: bool = False
    correct_bias: bool = False
    repair: bool = False
    weight_bits: int = 8
    activations: str = "8"
    weight_bytes: int = 0
    saturated: float = 0.0


@dataclass(frozen=True)
class Quantized:
    """A quantized model, and what it cost.

    Attributes:
        content: the int8 `.tflite`.
        noise: of every layer.
        tried: dB of the scores over their noise, for every estimator that was tried.
        estimator: the one that was taken.
        repaired: what was changed for the worst layers, in words.
        score_db: dB of the scores over their noise, as they are in the end.
    """

    content: bytes
    noise: list[LayerNoise]
    tried: Mapping[str, float]
    estimator: str
    repaired: list[str]
    score_db: float

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "bytes": len(self.content),
            "estimator": self.estimator,
            "tried": dict(self.tried),
            "repaired": self.repaired,
            "score_sqnr_db": self.score_db,
            "layers": as_dicts(self.noise),
        }

    def __str__(self) -> str:
        lines = [as_text(self.noise)]
        if len(self.tried) > 1:
            every = ", ".join(f"{name} {ratio:.1f}" for name, ratio in self.tried.items())
            lines.append(f"scores, dB by estimator of ranges: {every}; taken: {self.estimator}")
        lines += [f"repaired: {text}" for text in self.repaired]
        lines.append(f"scores: {self.score_db:.1f} dB over the noise of quantization")
        return "\n".join(lines)


def quantize(
    network: Network,
    calibration: Sequence[Array],
    judging: Sequence[Array],
    choice: Choice,
    input_range: tuple[float, float] | None = None,
) -> Quantized:
    """Quantize a network.

    Args:
        network: in float.
        calibration: batches, float32 [n, *input]: ranges come from these.
        judging: other batches, which choices are made by.
        choice: how.
        input_range: of the input, where pixels give it.

    Raises:
        LotorError: see `plan` and `find_estimator`.
    """
    if choice.activations not in ACTIVATIONS:
        raise LotorError(
            f"activations of '{choice.activations}' bits"
            f"{did_you_mean(choice.activations, ACTIVATIONS)}: {', '.join(ACTIVATIONS)} are "
            "possible"
        )
    if choice.weight_bits not in (8, 4):
        raise LotorError(f"weights of {choice.weight_bits} bits: 8 and 4 are possible")
    if not 0 <= choice.saturated <= 1:
        raise LotorError(f"--saturated {choice.saturated:g}: a share from 0 to 1 is needed")
    if choice.saturated and not choice.equalize:
        raise LotorError(f"--saturated {choice.saturated:g} is for --equalize: give that, too")
    if choice.weight_bytes < 0:
        raise LotorError(f"--weight-bytes {choice.weight_bytes}: bytes of flash needed")
    wide = choice.activations == "16"
    names = list(ESTIMATORS) if choice.estimator == "best" else [choice.estimator]
    if wide and choice.estimator == "best":
        names = ["min-max"]  # 65536 steps are fine enough for any range
    for name in names:
        find_estimator(name)
    given = real = FloatNetwork(network)
    even = network
    if choice.equalize:
        even = without_relu6(network, watch(network, given, calibration), choice.saturated)
        even = equalize(even, channel_tops(FloatNetwork(even), calibration))
        real = FloatNetwork(even)  # the same function, whose channels are those of the integers
    seen = watch(even, real, calibration)
    bits = narrowed(even, choice.weight_bytes)
    if choice.weight_bits == 4:
        bits = {layer.name: 4 for layer in even if layer.kind == "conv_2d"}

    def model(planned: Plan) -> Integers:
        exact = not planned.mixed
        built: Integers = QuantizedModel(even, planned) if exact else RoundedNetwork(even, planned)
        return correct_bias(even, built, calibration) if choice.correct_bias else built

    activations = 16 if wide else 8
    plans = {n: plan(even, ranges(even, seen, n, input_range), bits, activations) for n in names}
    tried: dict[str, float] = {}
    with Progress("quantizing", len(names), "estimators") as progress:
        for name, planned in plans.items():
            tried[name] = _score_db(given, model(planned), judging)
            progress.advance()
    best = max(tried, key=lambda name: tried[name])
    planned = plans[best]
    repaired: list[str] = []
    if choice.repair or choice.activations == "mixed":
        planned, repaired = _repaired(real, planned, seen, model, judging, choice)
    built = model(planned)
    found = noise(real, built, judging)
    content = to_int8(built.network, planned)
    return Quantized(content, found, tried, best, repaired, _score_db(given, built, judging))


def _score_db(real: FloatNetwork, built: Integers, batches: Sequence[Array]) -> float:
    scores = real.network.logits
    (last,) = (layer for layer in noise(real, built, batches) if layer.name == scores)
    return last.total


def _repaired(
    real: FloatNetwork,
    planned: Plan,
    seen: Mapping[str, Seen],
    model: Callable[[Plan], Integers],
    judging: Sequence[Array],
    choice: Choice,
) -> tuple[Plan, list[str]]:
    """Change the worst layers' ranges or bits one by one, as long as the scores gain by it."""
    network, said, mixed = real.network, [], choice.activations == "mixed"
    best = _score_db(real, model(planned), judging)
    worst = sorted(noise(real, model(planned), judging), key=lambda layer: layer.own)
    for layer in worst[:_REPAIRED]:
        options: dict[str, Plan] = {}
        if planned.bits(layer.name) < 8 and not choice.weight_bytes:
            bits = {**planned.weight_bits, layer.name: 8}
            options["weights of 8 bits"] = replace(planned, weight_bits=bits)
        bits_now = planned.tensors[layer.name].bits
        for name in ESTIMATORS:
            limits = ranges(network, {layer.name: seen[layer.name]}, name)[layer.name]
            quant = output_quantization(network[layer.name], limits, planned.tensors, bits_now)
            if quant != planned.tensors[layer.name]:
                options[f"range by {name}"] = changed(network, planned, layer.name, quant)
        results = {text: _score_db(real, model(other), judging) for text, other in options.items()}
        if mixed and layer.name not in network.outputs:
            limits = ranges(network, {layer.name: seen[layer.name]})[layer.name]
            quant = output_quantization(network[layer.name], limits, planned.tensors, 16)
            text = "activations of 16 bits"
            options[text] = changed(network, planned, layer.name, quant)
            found = _score_db(real, model(options[text]), judging)
            if found > max([best, *results.values()]) + _WORTH_16:
                results[text] = found
        if results and max(results.values()) > best + _WORTH:
            text = max(results, key=lambda text: results[text])
            said.append(f"{layer.name}: {text}, scores {best:.1f} to {results[text]:.1f} dB")
            planned, best = options[text], results[text]
    return planned, said


def load_network(model: ModelFile) -> tuple[Network, ImageInput]:
    """Return a float model and how photographs enter it.

    A model of a recipe is its float file (`NAME_float.tflite`) beside the int8 one.
    """
    beside = model.path.with_name(f"{model.name}_float.tflite")
    path = beside if beside.is_file() else model.path
    graph: Graph = read_model(read_content(path)[0], model.name)
    return unpack(graph), image_input(graph.inputs[0], model.recipe)


def photographs(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Return photographs to quantize by: of the train split, or any below a folder without one."""
    if (folder / MANIFEST).is_file():
        paths = [photo.path for photo in read_manifest(folder).split("train")]
    else:
        paths = find_images([folder])
    if len(paths) < 2:
        raise LotorError(f"{folder} has {len(paths)} photographs to quantize by; 100 are a start")
    order = np.random.default_rng(seed).permutation(len(paths))
    return [paths[index] for index in order[:count]]


def batches_of(paths: Sequence[Path], into: ImageInput) -> Iterator[Array]:
    """Yield photographs in batches, float32 [n, height, width, channels]."""
    with Progress("reading", len(paths), "photographs") as progress:
        for start in range(0, len(paths), _BATCH):
            some = [into.tensor(read_image(path))[0] for path in paths[start : start + _BATCH]]
            progress.advance(len(some))
            yield np.stack(some).astype(np.float32)


def quantize_file(
    model: ModelFile, folder: Path, out: Path, choice: Choice, samples: int = 400
) -> Quantized:
    """Quantize a float model by photographs and write it.

    Args:
        model: whose float file is read.
        folder: of photographs; a third of them judges.
        out: the file to write.
        choice: how.
        samples: photographs at most.
    """
    network, into = load_network(model)
    paths = photographs(folder, samples)
    judges = max(1, len(paths) // 3)
    judging, calibration = (list(batches_of(p, into)) for p in (paths[:judges], paths[judges:]))
    pixels = tuple((value - into.mean) / into.std for value in (0.0, 255.0))
    found = quantize(network, calibration, judging, choice, (pixels[0], pixels[1]))
    try:
        write_files({out: found.content})
    except OSError as error:
        raise LotorError(
            f"cannot write {out}: {error.strerror}; give another file with -o"
        ) from error
    print(f"wrote {out}", file=sys.stderr)
    return found
