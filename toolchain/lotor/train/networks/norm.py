"""Batch normalisation (Ioffe and Szegedy, arXiv:1502.03167) as one operation of TensorFlow.

Keras 3 makes it of eight, which take two thirds of a step on a processor.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("lotor")
class BatchNormalization(layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Keras's layer, for [n, h, w, channels]."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the inputs, normalised: by their own statistics where they are trained on."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
        variance *= (count - 1.0) / count  # TensorFlow divides by one less, Keras does not
        for running, seen in ((self.moving_mean, mean), (self.moving_variance, variance)):
            running.assign(running * self.momentum + seen * (1.0 - self.momentum))
        return y
