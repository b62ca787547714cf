"""What happens to a training photograph before the model sees it.

Softening (shrink and enlarge) matters most: in the garden data every raccoon comes from a large
original and many others from tiny ones, so sharpness must carry no information.
"""

from lotor.train.augment.composite import Scenery
from lotor.train.augment.vary import NOTHING, augment, augment_tracked

__all__ = ["NOTHING", "Scenery", "augment", "augment_tracked"]
