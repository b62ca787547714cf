"""MCUNet (Lin et al., arXiv:2007.10319): inverted residuals that were searched for.

Kernels, expansions and widths of its blocks differ. They are those of the visual wake words network
that MIT HAN Lab publishes with TinyEngine (`assets/vww.tflite`).
"""

from typing import Any

import keras
from keras import layers

from lotor.train.networks.blocks import classifier, conv, depthwise, divisible, linear, unit
from lotor.train.recipe import Network

_STEM = 16
# Kernel, expansion, channels, stride.
_BLOCKS = (
    (3, 1, 8, 1),
    (3, 6, 16, 2),
    (3, 3, 16, 1),
    (3, 3, 16, 1),
    (7, 3, 24, 2),
    (3, 6, 24, 1),
    (5, 5, 24, 1),
    (7, 6, 40, 2),
    (7, 6, 40, 1),
    (3, 6, 48, 1),
    (3, 4, 48, 1),
    (5, 5, 96, 2),
    (3, 5, 96, 1),
    (3, 4, 96, 1),
    (7, 3, 160, 1),
)


def build(how: Network, height: int, width: int, labels: int) -> keras.Model:
    """Return the classifier; see `lotor.train.networks`."""
    image = keras.Input((height, width, 3), name="image")
    stem = divisible(_STEM * how.width)
    x = unit(conv("conv0", stem, 3, how.stem_stride, "valid"), _padded("conv0", image, 3))
    for index, (kernel, expansion, channels, stride) in enumerate(_BLOCKS, 1):
        name, start, inputs = f"block{index}", x, x.shape[-1]
        outputs = divisible(channels * how.width)
        if expansion > 1:
            x = unit(conv(f"{name}_expand", inputs * expansion, 1), x)
        if stride > 1:
            x = _padded(f"{name}_depthwise", x, kernel)
        padding = "valid" if stride > 1 else "same"
        x = unit(depthwise(f"{name}_depthwise", kernel, stride, padding), x)
        x = linear(conv(f"{name}_project", outputs, 1), x)
        if stride == 1 and inputs == outputs:
            x = layers.Add(name=f"{name}_add")([start, x])
    return keras.Model(image, classifier(x, labels, how.dropout))


def _padded(name: str, x: Any, kernel: int) -> Any:
    """Pad all sides alike, as PyTorch does: with a stride, "same" would pad the far ones more."""
    return layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
