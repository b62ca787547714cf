"""The networks that a recipe can name, a module each: `[network] kind`.

A module has `build(how, height, width, labels)`, a functional Keras model from float32
[n, height, width, 3] to logits [n, labels], whose classifier is the layer "logits" behind "pool".
Each of its convolutions NAME is followed by its normalisation NAME_bn, so that `transfer` can put
folded weights in. No framework is imported before one is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lotor.train.recipe import Network


@dataclass(frozen=True)
class Family:
    """What is known of a family before it is built.

    Attributes:
        source: where it was published.
        depth: what `depth` multiplies, None where the number of layers is fixed.
    """

    source: str
    depth: str | None


FAMILIES: Mapping[str, Family] = {
    "mobilenet_v1": Family("arXiv:1704.04861", "the five blocks of 512 channels"),
    "mobilenet_v2": Family("arXiv:1801.04381", "the blocks of each stage"),
    "mcunet": Family("arXiv:2007.10319", None),
    "ds_cnn": Family("arXiv:1711.07128", "the four blocks"),
    "resnet8": Family("arXiv:2106.07597", "the blocks of each stage"),
}


def build(how: "Network", height: int, width: int, labels: int) -> Any:
    """Return a new network, a `keras.Model` to logits.

    Args:
        how: the recipe's `[network]`, checked.
        height: pixels.
        width: pixels.
        labels: number of classes.
    """
    return import_module(f"{__name__}.{how.kind}").build(how, height, width, labels)
