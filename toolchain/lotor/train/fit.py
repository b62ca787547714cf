"""Batches of varied photographs, and the optimisation."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lotor.data.manifest import Photo
from lotor.errors import LotorError
from lotor.preprocess import Image, normalize, read_image, resize
from lotor.progress import Progress
from lotor.train.augment import Scenery, augment
from lotor.train.qat import QuantizedModel
from lotor.train.recipe import Recipe

Array = npt.NDArray[np.float32]

_REFRESHES = 10  # of the filters' scales, while a network is trained as integers


class Photos:
    """Decoded photographs of one split with their label indices; kept in memory (0.15 MB each)."""

    def __init__(self, photos: Sequence[Photo], recipe: Recipe) -> None:
        self.photos, self.recipe = list(photos), recipe
        self.images: list[Image] = []
        with Progress("reading photographs", len(self.photos), "files") as progress:
            for photo in self.photos:
                self.images.append(read_image(photo.path))
                progress.advance()
        self.labels = np.array([recipe.label_of(photo.kind) for photo in self.photos])
        for index, label in enumerate(recipe.labels):
            if recipe.data.share[label] > 0 and not (self.labels == index).any():
                raise LotorError(f"no photograph to train on is labelled {label}")
        how = recipe.augment
        self.scenery: Scenery | None = None
        if how.composite > 0 or how.distant > 0:
            self.scenery = Scenery(self.photos, self.images, self.labels, how)

    def draw(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the indices of `count` photographs, labels drawn by the recipe's shares."""
        share = np.array([self.recipe.data.share[label] for label in self.recipe.labels])
        chosen = rng.choice(len(share), count, p=share / share.sum())
        return np.array([rng.choice(np.flatnonzero(self.labels == label)) for label in chosen])

    def plain(self, index: int) -> Array:
        """Return one photograph as it is, float32 [height, width, 3]."""
        shape = self.recipe.input
        pixels = resize(self.images[index], shape.height, shape.width, shape.aspect)
        return normalize(pixels, shape.mean, shape.std)

    def varied(self, index: int, rng: np.random.Generator) -> Image:
        """Return a random variant of one photograph, RGB uint8 [height, width, 3]."""
        image, photo = self.images[index], self.photos[index]
        if self.scenery is not None:
            image, photo = self.scenery.place(index, rng)
        return augment(image, photo, self.recipe.input, self.recipe.augment, rng)

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Yield varied batches for ever: inputs [n, h, w, 3], one-hot labels [n, labels]."""
        recipe, hot = self.recipe, np.eye(len(self.recipe.labels), dtype=np.float32)
        while True:
            drawn = self.draw(recipe.fit.batch, rng)
            pixels = [self.varied(int(i), rng) for i in drawn]
            inputs = normalize(np.stack(pixels), recipe.input.mean, recipe.input.std)
            labels = hot[self.labels[drawn]]
            if recipe.fit.mixup > 0:
                inputs, labels = _mixup(inputs, labels, recipe.fit.mixup, rng)
            yield inputs, labels


def _mixup(
    inputs: Array, labels: Array, strength: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Blend neighbours in a batch (Zhang et al., arXiv:1710.09412)."""
    part = rng.beta(strength, strength, len(inputs)).astype(np.float32)
    part = np.maximum(part, 1 - part)
    mixed = part[:, None, None, None] * inputs + (1 - part)[:, None, None, None] * inputs[::-1]
    return mixed, part[:, None] * labels + (1 - part)[:, None] * labels[::-1]


def make_repeatable(seed: int) -> None:
    """Seed everything and forbid whatever makes two trainings on one machine differ."""
    keras.backend.clear_session()  # its counters name the tensors of the file
    keras.utils.set_random_seed(seed)
    # TensorFlow refuses to change its threads once it has started to compute.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def fit(model: keras.Model, photos: Photos, recipe: Recipe, rng: np.random.Generator) -> None:
    """Train in place: first the classifier alone, then everything, weights averaged at the end."""
    batches = photos.batches(rng)
    how = recipe.fit
    head = min(how.head_steps, how.steps // 4)
    backbone = [layer for layer in model.layers if layer.name != "logits"]
    with Progress(f"training {recipe.name}", how.steps, "steps") as progress:
        if head:
            for layer in backbone:
                layer.trainable = False
            first = keras.optimizers.Adam(how.rate * 3)
            _steps(model, batches, head, first, how.smoothing, progress)
            for layer in backbone:
                layer.trainable = True
        optimizer = _optimizer(recipe, how.steps - head)
        _steps(model, batches, how.steps - head, optimizer, how.smoothing, progress)
    if how.average > 0:
        optimizer.finalize_variable_values(model.trainable_variables)


def train_integers(model: QuantizedModel, photos: Photos, rng: np.random.Generator) -> None:
    """Train a network of integers in place, weights averaged at the end.

    Filters get the scales of their weights anew ten times.
    """
    batches, how = photos.batches(rng), photos.recipe.quantize
    fine = replace(photos.recipe.fit, rate=how.rate, average=min(photos.recipe.fit.average, 0.98))
    optimizer = _optimizer(replace(photos.recipe, fit=fine), how.steps)
    ends = sorted({round(how.steps * part / _REFRESHES) for part in range(_REFRESHES + 1)})
    with Progress("training as integers", how.steps, "steps") as progress:
        for start, end in itertools.pairwise(ends):
            _steps(model, batches, end - start, optimizer, fine.smoothing, progress)
            if end == how.steps and fine.average > 0:
                optimizer.finalize_variable_values(model.trainable_variables)
            model.refresh()


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    how = recipe.fit
    warm = max(1, min(100, steps // 10))
    rate = keras.optimizers.schedules.CosineDecay(
        how.rate / 20, max(1, steps - warm), alpha=0.2, warmup_target=how.rate, warmup_steps=warm
    )
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=how.weight_decay,
        use_ema=how.average > 0,
        ema_momentum=how.average or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def _steps(
    model: keras.Model,
    batches: Iterator[tuple[Array, Array]],
    count: int,
    optimizer: keras.optimizers.Optimizer,
    smoothing: float,
    progress: Progress,
) -> None:
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizer, loss)
    label = progress.label
    for _ in range(count):
        value = float(model.train_on_batch(*next(batches)))
        if not np.isfinite(value):
            raise LotorError("training diverged (the loss is no number); lower fit.rate")
        progress.label = f"{label}, loss {value:.3f}"
        progress.advance()
    progress.label = label
