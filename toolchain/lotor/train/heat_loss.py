"""The loss of a heat map."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def heat_loss(focus: float) -> Callable[[Any, Any], Any]:
    """Return the focal loss (Lin et al., arXiv:1708.02002) of cells that may have several labels.

    -(1 - p)^focus log p of the probability p that a cell has one of its labels, times its weight;
    summed over cells, averaged over photographs.
    """

    def loss(cells: Any, logits: Any) -> Any:
        allowed, weight = cells[..., :-1], cells[..., -1]
        logs = tf.nn.log_softmax(logits)
        log_p = tf.reduce_logsumexp(tf.where(allowed > 0, logs, -1e9), axis=-1)
        lost = weight * (1 - tf.exp(log_p)) ** focus * -log_p
        return tf.reduce_mean(tf.reduce_sum(lost, axis=(1, 2)))

    return loss
