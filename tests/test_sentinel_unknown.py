"""With models that ship: what no camera sees is unknown and sets nothing off; a raccoon does."""

from typing import Any

import cv2
import numpy as np
import pytest

from garden_scene import Garden
from lotor.resources import resource
from lotor.sentinel.config import Action, Camera, Config, Target
from lotor.sentinel.event import UNKNOWN, Decision
from lotor.sentinel.models import Models
from lotor.sentinel.pipeline import Pipeline
from lotor.sentinel.rules import Now, Rules
from lotor.sentinel.scene import Frame

SIDE = 96
CONFIG = Config(
    camera=(Camera("yard", "0"),),
    target=(Target("raccoon", actions=("bark",)),),
    action=(Action("bark", "sound"),),
)


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(CONFIG)


def raccoon() -> Any:
    """The photograph of a golden vector, BGR."""
    golden = np.load(resource("models", "raccoon", "golden", "raccoon.npz"))["input"]
    return cv2.cvtColor((golden[0].astype(np.int16) + 128).astype(np.uint8), cv2.COLOR_RGB2BGR)


def noise() -> Any:
    """A broken sensor."""
    return np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def card() -> Any:
    """A test card: seven bars of colour above stripes."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for number in range(7):
        blue, green, red = (192 * (number >> bit & 1) for bit in (0, 2, 1))
        image[:, number * SIDE // 7 : (number + 1) * SIDE // 7] = blue, green, red
    image[64:, ::8] = image[64:, 1::8] = 255
    return image


def watch(models: Models, shown: Any) -> list[Decision]:
    """Let a picture move through a garden; return all that was decided."""
    pipeline, rules = Pipeline(CONFIG.camera[0], CONFIG, models), Rules(CONFIG, models.threshold_of)
    garden, made = Garden(), []
    for number in range(27):
        image, time = np.array(garden.frame()), number / 5
        if number >= 15:
            x = 40 + 6 * (number - 15)
            image[100 : 100 + SIDE, x : x + SIDE] = shown
        seen = pipeline.look(Frame("yard", number, 1.7e9 + time, time, image))
        assert seen.errors == ()
        made += rules.decide(seen, Now())
    return made


@pytest.mark.parametrize("what", [noise, card])
def test_what_no_camera_sees_is_unknown_and_sets_nothing_off(models: Models, what: Any) -> None:
    made = watch(models, what())
    assert len(made) > 3
    assert {decision.label for decision in made} == {UNKNOWN}
    assert not any(decision.acts for decision in made)
    assert all("unlike what raccoon knows" in decision.why for decision in made)


def test_a_raccoon_is_known_and_sets_it_off(models: Models) -> None:
    made = watch(models, raccoon())
    assert any(decision.acts for decision in made)
    assert UNKNOWN not in {decision.label for decision in made}
