"""`lotor networks`: what each family costs before anything is trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod

from lotor.compiler import compile_model
from lotor.errors import LotorError
from lotor.train import networks
from lotor.train.anchors import Detections
from lotor.train.boxes import detector_of, ending_of
from lotor.train.export import plan, to_int8
from lotor.train.fold import fold
from lotor.train.layers import Layer
from lotor.train.layers import Network as Folded
from lotor.train.networks import ssd_lite
from lotor.train.recipe import Data, Detect, Fit, Input, Network, Recipe

_LEAST_SIDE = 32
_CHOICES = (
    Network("mobilenet_v1", 0.25),
    Network("mobilenet_v1", 0.5),
    Network("mobilenet_v2", 0.35),
    Network("mobilenet_v2", 1.0),
    Network("mcunet", 0.5),
    Network("mcunet", 1.0),
    Network("ds_cnn", 1.0),
    Network("resnet8", 1.0),
)
_DETECTORS = (Network("mobilenet_v1", 0.25), Network("mobilenet_v2", 0.35))


@dataclass(frozen=True)
class Size:
    """What a network costs.

    Attributes:
        kind: its family, and what stands on it.
        width: the multiplier of its channels.
        parameters: weights and biases, normalisation folded in.
        macs: multiplications with a sum, for one image.
        ram_bytes: scratch memory (arena) of the compiled int8 model, without stripes.
        source: where it was published.
    """

    kind: str
    width: float
    parameters: int
    macs: int
    ram_bytes: int
    source: str


def sizes(
    side: int,
    labels: int,
    choices: Sequence[Network] = _CHOICES,
    detectors: Sequence[Network] = _DETECTORS,
) -> list[Size]:
    """Return what networks cost for images [side, side, 3].

    Args:
        side: pixels.
        labels: number of classes.
        choices: classifiers.
        detectors: backbones of detectors as a recipe's `[detect]` has them by default; left out
            where the image is no whole number of their cells.
    """
    if side < _LEAST_SIDE or labels < 1:
        raise LotorError(
            f"images of {side} pixels and {labels} labels: at least {_LEAST_SIDE} pixels and 1 "
            "label are needed"
        )
    found = [_size(how, fold(networks.build(how, side, side, labels))) for how in choices]
    if side % max(Detect().strides):
        detectors = ()
    return found + [_detector_size(how, side, labels) for how in detectors]


def _detector_size(how: Network, side: int, labels: int) -> Size:
    names = [*(f"label {index}" for index in range(labels)), Detect().background]
    recipe = Recipe("", names[0], names, Input(side, side), Data("", {}, "", {}), Fit(1),
                    task="detect", network=how)  # fmt: skip
    model = detector_of(networks.build(how, side, side, labels), recipe)
    return _size(how, fold(ssd_lite.ends(model)), ending_of(recipe))


def _size(how: Network, network: Folded, ending: Detections | None = None) -> Size:
    # Any ranges and weights: none of what is told depends on them, once no channel counts as idle.
    planned = plan(network, dict.fromkeys((network.input, *(n.name for n in network)), (-1.0, 1.0)))
    idle = ("remove_constant_channels",)
    report = compile_model(to_int8(network, planned, ending), "portable", skip=idle).report
    weights = [(layer, layer.weights, layer.bias) for layer in network]
    source = networks.FAMILIES[how.kind].source
    return Size(
        f"{how.kind} + ssd_lite" if ending else how.kind,
        how.width,
        sum(w.size + b.size for _, w, b in weights if w is not None and b is not None),
        sum(_macs(network, layer) for layer in network),
        int(report["arena_bytes"]),
        f"{source}, {ssd_lite.SOURCE}" if ending else source,
    )


def _macs(network: Folded, layer: Layer) -> int:
    if layer.weights is None:
        return 0
    each = layer.weights.size // layer.weights.shape[layer.channel_axis]
    return prod(layer.shape) * int(each)


def as_text(found: Sequence[Size], side: int) -> str:
    """Return the table for people, in Markdown."""
    lines = [
        f"| kind | width | parameters | MACs at {side}x{side} | RAM (int8) | from |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {s.kind} | {s.width:g} | {s.parameters:,} | {s.macs / 1e6:.1f} M | "
        f"{s.ram_bytes / 1024:.0f} KB | {s.source} |"
        for s in found
    ]
    return "\n".join(lines)


def as_dicts(found: Sequence[Size]) -> list[dict[str, int | float | str]]:
    """Return what `--json` prints."""
    return [asdict(size) for size in found]
