"""The loss of a detector."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def box_loss(focus: float, weight: float, places: float) -> Callable[[Any, Any], Any]:
    """Return the loss of a detector, [n, anchors, 4 + labels].

    The focal loss of every anchor and label (Lin et al., arXiv:1708.02002; `focus` is its exponent,
    `weight` that of what is there, 1 - `weight` of what is not) and, times `places`, the smooth L1
    distance of encoded boxes (arXiv:1512.02325), of anchors that have one. Both are summed and
    divided by the number of those anchors in the batch. Targets are those of `boxes.Boxed`.
    """

    def loss(targets: Any, raw: Any) -> Any:
        boxes, logits = raw[..., :4], raw[..., 4:]
        count = logits.shape[-1]
        has, hot, matters = targets[..., 4], targets[..., 5 : 5 + count], targets[..., 5 + count :]
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(hot, logits)
        right = hot * tf.sigmoid(logits) + (1 - hot) * tf.sigmoid(-logits)
        each = hot * weight + (1 - hot) * (1 - weight)
        seen = tf.reduce_sum(matters * each * (1 - right) ** focus * entropy)
        distance = tf.abs(boxes - targets[..., :4])
        smooth = tf.where(distance < 1, 0.5 * distance**2, distance - 0.5)
        placed = tf.reduce_sum(tf.reduce_sum(smooth, axis=-1) * has)
        return (seen + places * placed) / tf.maximum(tf.reduce_sum(has), 1.0)

    return loss
