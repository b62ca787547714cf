"""MobileNetV1 (Howard et al., arXiv:1704.04861): depthwise separable convolutions."""

import keras

from lotor.train.networks.blocks import classifier, conv, depthwise, unit
from lotor.train.recipe import Network

_FIRST = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))  # channels, stride
_REPEATED = 5  # of 512 channels
_LAST = ((1024, 2), (1024, 1))


def build(how: Network, height: int, width: int, labels: int) -> keras.Model:
    """Return the classifier; see `lotor.train.networks`.

    With `stem_stride` 1 every layer sees twice the resolution, as if the photograph had been
    enlarged.
    """
    blocks = (*_FIRST, *((512, 1),) * max(1, round(_REPEATED * how.depth)), *_LAST)
    image = keras.Input((height, width, 3), name="image")
    x = unit(conv("conv0", round(32 * how.width), 3, how.stem_stride), image)
    for index, (channels, stride) in enumerate(blocks, 1):
        x = unit(depthwise(f"depthwise{index}", 3, stride), x)
        x = unit(conv(f"pointwise{index}", round(channels * how.width), 1), x)
    return keras.Model(image, classifier(x, labels, how.dropout))
