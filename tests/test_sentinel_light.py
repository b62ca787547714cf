"""Day or night, told by the picture."""

import cv2
import numpy as np
import pytest

from garden_scene import Garden, Image, grey
from lotor.resources import resource
from lotor.sentinel.light import FRAMES, LightMeter, colourfulness
from lotor.sentinel.scene import Light

SEQUENCES = resource("../shared/data/sequences")


def tinted(image: Image) -> Image:
    """As a sensor without an infrared filter shows it: magenta."""
    return np.asarray(grey(image) * np.array([0.8, 0.5, 0.9]), np.uint8)


def test_colour_is_day_and_grey_is_night() -> None:
    frame = Garden().frame()
    assert LightMeter().look(frame) is Light.DAY
    assert LightMeter().look(grey(frame)) is Light.NIGHT
    assert LightMeter().look(tinted(frame)) is Light.NIGHT


def test_a_lawn_is_day_though_it_has_but_one_colour() -> None:
    lawn = np.full((240, 320, 3), (40, 110, 70), np.uint8)
    assert LightMeter().look(lawn) is Light.DAY


def test_what_is_burnt_in_does_not_make_a_night_day() -> None:
    frame = grey(Garden().frame())
    cv2.rectangle(frame, (0, 0), (160, 20), (0, 0, 255), -1)
    assert LightMeter().look(frame) is Light.NIGHT


def test_changes_after_so_many_frames_in_a_row() -> None:
    meter, garden = LightMeter(), Garden()
    meter.look(garden.frame())
    for _ in range(3):  # a few are not enough, however often
        assert [meter.look(grey(garden.frame())) for _ in range(FRAMES - 1)][-1] is Light.DAY
        assert meter.look(garden.frame()) is Light.DAY
    seen = [meter.look(grey(garden.frame())) for _ in range(FRAMES)]
    assert seen == [Light.DAY] * (FRAMES - 1) + [Light.NIGHT]


def test_stays_what_it_was_in_between() -> None:
    pale = np.full((48, 64, 3), (100, 105, 100), np.uint8)
    assert 4 < colourfulness(pale) < 6
    meter = LightMeter()
    meter.look(Garden().frame())
    assert {meter.look(pale) for _ in range(20)} == {Light.DAY}
    meter = LightMeter()
    meter.look(grey(Garden().frame()))
    assert {meter.look(pale) for _ in range(20)} == {Light.NIGHT}


def test_fixed_by_the_configuration() -> None:
    frame = Garden().frame()
    assert {LightMeter("night").look(frame) for _ in range(9)} == {Light.NIGHT}
    assert LightMeter("day").look(grey(frame)) is Light.DAY


@pytest.mark.skipif(not SEQUENCES.is_dir(), reason="needs ../shared/data/sequences")
@pytest.mark.parametrize(
    ("name", "light"),
    [
        ("synthetic_raccoon_day", Light.DAY),
        ("synthetic_raccoon_night_ir", Light.NIGHT),
        ("real_badger", Light.NIGHT),
        ("real_menchikcs_mp4", Light.DAY),
    ],
)
def test_on_sequences(name: str, light: Light) -> None:
    meter = LightMeter()
    files = sorted((SEQUENCES / name).glob("*.jpg"))
    assert {meter.look(np.asarray(cv2.imread(str(file)), np.uint8)) for file in files} == {light}
