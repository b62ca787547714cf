"""DS-CNN (Zhang et al., arXiv:1711.07128), MLPerf Tiny's keyword spotter, for images.

Its spectrograms are 49x10; images are larger, and so two of the blocks halve them, too.
"""

import keras

from lotor.train.networks.blocks import classifier, conv, depthwise, divisible, unit
from lotor.train.recipe import Network

_CHANNELS = 64
_STEM = 5
_BLOCKS = 4
_HALVE = (0, 2)


def build(how: Network, height: int, width: int, labels: int) -> keras.Model:
    """Return the classifier; see `lotor.train.networks`.

    All layers have 64 times `width` channels.
    """
    channels = divisible(_CHANNELS * how.width)
    image = keras.Input((height, width, 3), name="image")
    x = unit(conv("stem", channels, _STEM, how.stem_stride), image)
    for index in range(max(1, round(_BLOCKS * how.depth))):
        stride = 2 if index in _HALVE else 1
        x = unit(depthwise(f"depthwise{index + 1}", 3, stride), x)
        x = unit(conv(f"pointwise{index + 1}", channels, 1), x)
    return keras.Model(image, classifier(x, labels, how.dropout))
