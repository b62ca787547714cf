"""Batches of varied photographs, and the optimisation."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lotor.data.manifest import Photo
from lotor.errors import LotorError
from lotor.preprocess import Image, normalize, read_image, resize
from lotor.progress import Progress
from lotor.train import networks
from lotor.train.augment import Scenery, augment
from lotor.train.checkpoint import ALL, FITTED, HEAD, INTEGERS, Checkpoint
from lotor.train.distill import TOLD, Teacher, loss, pupil
from lotor.train.networks import ssd_lite
from lotor.train.qat import QuantizedModel
from lotor.train.recipe import Recipe
from lotor.train.transfer import Folded, start_classifier, transfer

Array = npt.NDArray[np.float32]

_REFRESHES = 10  # of the filters' scales, while a network is trained as integers


class Diverged(LotorError):
    """Training went astray: going on from its state would go the same way."""


class Photos:
    """Decoded photographs of one split with their label indices; kept in memory (0.15 MB each).

    With a teacher in the recipe its soft labels stand behind the true ones.
    """

    def __init__(self, photos: Sequence[Photo], recipe: Recipe) -> None:
        self.teacher = Teacher(recipe.teacher, recipe.labels) if recipe.teacher else None
        self.photos, self.recipe = list(photos), recipe
        self.shape = recipe.input  # which pictures are varied at
        if self.teacher:
            height = max(self.shape.height, self.teacher.height)
            width = max(self.shape.width, self.teacher.width)
            self.shape = replace(self.shape, height=height, width=width)
        self.images: list[Image] = []
        with Progress("reading photographs", len(self.photos), "files") as progress:
            for photo in self.photos:
                self.images.append(read_image(photo.path))
                progress.advance()
        self.labels = np.array([recipe.label_of(photo.kind) for photo in self.photos])
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
        return augment(image, photo, self.shape, self.recipe.augment, rng)

    def batches(
        self, rng: np.random.Generator, taught: bool = True
    ) -> Iterator[tuple[Array, Array]]:
        """Yield varied batches for ever: inputs [n, h, w, 3], one-hot labels [n, labels].

        A teacher sees the same pictures: they are varied at the larger of both sizes. Unless
        `taught`, its soft labels are left out.
        """
        recipe, hot = self.recipe, np.eye(len(self.recipe.labels), dtype=np.float32)
        shape, teacher = recipe.input, self.teacher if taught else None
        while True:
            drawn = self.draw(recipe.fit.batch, rng)
            pixels = np.stack([self.varied(int(i), rng) for i in drawn])
            labels = hot[self.labels[drawn]]
            seen = _resized(pixels, shape.height, shape.width)
            inputs = normalize(seen, shape.mean, shape.std)
            part = _parts(len(drawn), recipe.fit.mixup, rng)
            if teacher:
                view = _resized(pixels, teacher.height, teacher.width).astype(np.float32)
                soft = teacher.soft_labels(_mixed(view, part))
                labels = np.concatenate([_mixed(labels, part), soft], axis=1)
            else:
                labels = _mixed(labels, part)
            yield _mixed(inputs, part), labels


def _resized(pixels: Image, height: int, width: int) -> Image:
    """Return pictures [n, h, w, 3] at no more than their size, averaged over areas."""
    if pixels.shape[1:3] == (height, width):
        return pixels
    return np.stack(
        [np.asarray(cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA)) for p in pixels]
    )


def _parts(count: int, strength: float, rng: np.random.Generator) -> Array | None:
    """Return how much of itself each picture of a batch keeps; None of everything."""
    if strength <= 0:
        return None
    part = rng.beta(strength, strength, count).astype(np.float32)
    return np.maximum(part, 1 - part)


def _mixed(values: Array, part: Array | None) -> Array:
    """Blend neighbours in a batch (Zhang et al., "mixup", arXiv:1710.09412)."""
    if part is None:
        return values
    along = part.reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(along * values + (1 - along) * values[::-1], np.float32)


def make_repeatable(seed: int) -> None:
    """Seed everything and forbid whatever makes two trainings on one machine differ."""
    keras.backend.clear_session()  # its counters name the tensors of the file
    keras.utils.set_random_seed(seed)
    # TensorFlow refuses to change its threads once it has started to compute.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def started(
    photos: Photos, weights: Sequence[Folded] | None, rng: np.random.Generator
) -> keras.Model:
    """Return the recipe's network with the weights that it starts from; see `transfer`."""
    recipe, shape = photos.recipe, photos.recipe.input
    model = networks.build(recipe.network, shape.height, shape.width, len(recipe.labels))
    if weights:
        # Large pictures have more places each that statistics come from.
        count = min(512, max(64, 512 * 96 * 96 // (shape.height * shape.width)))
        typical = np.stack([photos.plain(int(i)) for i in photos.draw(count, rng)])
        transfer(model, weights, typical)
        start_classifier(model, recipe)
    return model


def fit(
    model: keras.Model,
    photos: Photos,
    recipe: Recipe,
    rng: np.random.Generator,
    saved: Checkpoint | None = None,
) -> None:
    """Train in place: first the classifier alone, then everything, weights averaged at the end.

    Args:
        model: to logits [n, labels], with a layer "logits".
        photos: the train split.
        recipe: how.
        rng: draws and varies the photographs.
        saved: the state that the training goes on from, and that it keeps.
    """
    saved = saved or Checkpoint()
    batches = photos.batches(rng)
    how = recipe.fit
    # A classifier alone has nothing to learn from features of nothing.
    head = min(how.head_steps, how.steps // 4) if recipe.transfer else 0
    learner = pupil(model, photos.teacher)
    heads = ("logits", TOLD, ssd_lite.HEAD)
    backbone = [layer for layer in learner.layers if not layer.name.startswith(heads)]
    with Progress(f"training {recipe.name}", how.steps, "steps") as progress:
        if head and not saved.passed(HEAD):
            for layer in backbone:
                layer.trainable = False
            first = keras.optimizers.Adam(how.rate * 3)
            state = _State(saved, HEAD, learner, first, rng)
            progress.done = state.done
            left = head - state.done
            _steps(learner, batches, left, first, loss(recipe), progress, state.advance)
            for layer in backbone:
                layer.trainable = True
        if not saved.passed(ALL):
            optimizer = _optimizer(recipe, how.steps - head)
            state = _State(saved, ALL, learner, optimizer, rng)
            progress.done = head + state.done
            left = how.steps - head - state.done
            _steps(learner, batches, left, optimizer, loss(recipe), progress, state.advance)
            if how.average > 0:
                optimizer.finalize_variable_values(learner.trainable_variables)
    if saved.passed(ALL):
        saved.restore(FITTED, model.variables, rng)
    else:
        saved.keep(FITTED, how.steps, model.variables, rng)


class _State:
    """The state of one phase: put back from a checkpoint, and kept there after every step."""

    def __init__(
        self,
        saved: Checkpoint,
        phase: str,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        rng: np.random.Generator,
    ) -> None:
        optimizer.build(model.trainable_variables)
        self._saved, self._phase, self._rng = saved, phase, rng
        # With the seeds of dropout and the statistics of normalisation.
        self._variables = [*model.variables, *optimizer.variables]
        self.done = saved.restore(phase, self._variables, rng)

    def advance(self) -> None:
        """Count a step."""
        self.done += 1
        self._saved.advance(self._phase, self.done, self._variables, self._rng)


def train_integers(
    model: QuantizedModel, photos: Photos, rng: np.random.Generator, saved: Checkpoint | None = None
) -> None:
    """Train a network of integers in place, weights averaged at the end.

    Filters get the scales of their weights anew ten times.
    """
    saved = saved or Checkpoint()
    recipe, how = photos.recipe, photos.recipe.quantize
    if photos.teacher and photos.teacher.own:  # integers have no second classifier
        recipe = replace(recipe, teacher=None)
    batches = photos.batches(rng, taught=recipe.teacher is not None)
    fine = replace(photos.recipe.fit, rate=how.rate, average=min(photos.recipe.fit.average, 0.98))
    optimizer = _optimizer(replace(photos.recipe, fit=fine), how.steps)
    ends = sorted({round(how.steps * part / _REFRESHES) for part in range(_REFRESHES + 1)})
    if saved.scales is not None:  # scales are those of weights that have moved on since
        model.set_weights(saved.scales)
        model.refresh()
    else:
        saved.keep_scales(model.get_weights())
    state = _State(saved, INTEGERS, model, optimizer, rng)
    with Progress("training as integers", how.steps, "steps") as progress:
        progress.done = state.done
        for end in ends[1:]:
            if end < state.done:
                continue
            left = end - state.done
            _steps(model, batches, left, optimizer, loss(recipe), progress, state.advance)
            if end == how.steps and fine.average > 0:
                optimizer.finalize_variable_values(model.trainable_variables)
            model.refresh()
            saved.keep_scales(model.get_weights())


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
    loss: Callable[[Any, Any], Any],
    progress: Progress,
    after: Callable[[], None],
) -> None:
    """Take steps, and call `after` behind each."""
    model.compile(optimizer, loss)
    label = progress.label
    for _ in range(count):
        value = float(model.train_on_batch(*next(batches)))
        if not np.isfinite(value):
            raise Diverged("training diverged (the loss is no number); lower fit.rate")
        progress.label = f"{label}, loss {value:.3f}"
        after()
        progress.advance()
    progress.label = label
