"""What counts as moving, and what does not: light, noise, rain, shaking, what came to stay."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garden_scene import SIZE, Garden, Image, grey
from lotor.sentinel.motion import (
    BLIND_S,
    LEARN_S,
    LEAST_SIDE,
    REGIONS,
    Motion,
    MotionDetector,
    crop_of,
)
from lotor.sentinel.scene import Light
from lotor.sentinel.tracks import iou

STEP = 0.2  # seconds between frames


class Watch:
    """A detector that knows its garden, and the time."""

    def __init__(self, detector: MotionDetector | None = None, seed: int = 0) -> None:
        self.detector = detector or MotionDetector()
        self.garden, self.time = Garden(seed), 100.0
        self.see(self.garden.frame, 5.0)

    def look(self, image: Image, light: Light = Light.DAY) -> Motion:
        self.time += STEP
        return self.detector.look(image, self.time, light)

    def see(
        self, frames: Callable[[], Image], seconds: float, light: Light = Light.DAY
    ) -> list[Motion]:
        return [self.look(frames(), light) for _ in range(round(seconds / STEP))]


def moving(motions: list[Motion]) -> int:
    return sum(bool(motion.regions) for motion in motions)


def test_an_animal_that_walks() -> None:
    watch = Watch()
    for x in range(40, 280, 15):
        (region,) = watch.look(watch.garden.frame((x, 150, 20))).regions
        assert iou(region, (x - 20, 140, x + 20, 160)) > 0.6


def test_what_lies_behind_what_moves_is_known() -> None:
    watch = Watch()
    empty, frame = watch.garden.frame(), watch.garden.frame((150, 150, 20), (60, 60, 14))
    kept = frame.copy()
    regions = watch.look(frame).regions
    (hidden,) = [box for box in regions if iou(box, (130, 140, 170, 160)) > 0.5]
    shown = watch.detector.behind(frame, [hidden])
    assert (frame == kept).all()  # others look at it, too
    there = slice(135, 165), slice(120, 180)
    assert cv2.absdiff(frame, empty)[there].mean() > 5 * cv2.absdiff(shown, empty)[there].mean()
    elsewhere = np.ones(frame.shape[:2], bool)
    x0, y0, x1, y1 = hidden
    elsewhere[y0 - 12 : y1 + 12, x0 - 12 : x1 + 12] = False
    assert (shown[elsewhere] == frame[elsewhere]).all()
    assert watch.detector.behind(frame, []) is frame
    assert MotionDetector().behind(frame, [hidden]) is frame  # nothing is known yet


@pytest.mark.parametrize("middle", [(20, 10), (300, 230), (160, 120)])
def test_only_what_moves_gives_way(middle: tuple[int, int]) -> None:
    """Not the corners of its box: somebody who stands still may be there."""
    watch, (x, y) = Watch(), middle
    regions = watch.look(watch.garden.frame((x, y, 40))).regions
    (box,) = regions
    white = np.full((240, 320, 3), 255, np.uint8)
    shown = watch.detector.behind(white, regions)
    assert (shown[y, x] < 255).all()
    x0, y0, x1, y1 = box
    corners = [(x0, y0), (x1 - 1, y0), (x0, y1 - 1), (x1 - 1, y1 - 1)]
    inside = [(a, b) for a, b in corners if 4 < a < 315 and 4 < b < 235]
    assert inside and all((shown[b, a] == 255).all() for a, b in inside)


def test_what_else_moves_stays() -> None:
    watch = Watch()
    regions = watch.look(watch.garden.frame((100, 100, 30), (220, 160, 30))).regions
    assert len(regions) == 2
    white = np.full((240, 320, 3), 255, np.uint8)
    shown = watch.detector.behind(white, regions[:1])
    there = [bool((shown[y, x] < 255).all()) for x, y in ((100, 100), (220, 160))]
    assert sorted(there) == [False, True]
    watch.look(watch.garden.frame())  # of the last frame alone
    assert watch.detector.behind(white, regions) is white


def test_nothing_is_nothing() -> None:
    watch = Watch()
    assert moving(watch.see(watch.garden.frame, 20)) == 0


def test_a_dark_animal_in_infrared_is_no_shadow() -> None:
    watch = Watch()
    watch.see(lambda: grey(watch.garden.frame()), 5, Light.NIGHT)
    frame = grey(watch.garden.frame())
    frame[130:170, 130:190] = (frame[130:170, 130:190] * 0.6).astype(np.uint8)
    assert watch.look(frame, Light.NIGHT).regions


def test_a_shadow_by_day_is_nothing() -> None:
    watch = Watch()

    def shaded() -> Image:
        image = watch.garden.frame().astype(np.float64)
        image[100:160, 100:200] *= 0.7
        return image.astype(np.uint8)

    assert moving(watch.see(shaded, 2)) == 0


def test_what_rests_is_background_after_a_while_but_not_soon() -> None:
    watch = Watch()
    motions = watch.see(lambda: watch.garden.frame((160, 150, 25)), LEARN_S + 40)
    seen = [bool(motion.regions) for motion in motions]
    assert all(seen[: round(60 / STEP)])
    assert not any(seen[-round(10 / STEP) :])


@pytest.mark.parametrize("step", [0.2, 1.0])
def test_rests_as_long_at_any_rate(step: float) -> None:
    detector, garden, now = MotionDetector(), Garden(), 0.0
    for _ in range(30):
        now += step
        detector.look(garden.frame(), now)
    begun = last = now
    while now < begun + LEARN_S + 60:
        now += step
        if detector.look(garden.frame((160, 150, 25)), now).regions:
            last = now
    assert 0.7 * LEARN_S < last - begun < 1.4 * LEARN_S


@pytest.mark.parametrize("gain", [0.5, 1.5])
def test_light_switched_is_no_motion_and_learnt_at_once(gain: float) -> None:
    watch = Watch()

    def lit(*blobs: tuple[int, int, int]) -> Image:
        return np.asarray(np.clip(watch.garden.frame(*blobs) * gain, 0, 255), np.uint8)

    after = watch.see(lit, 10)
    assert moving(after) == 0
    watch.see(lit, 1)
    assert watch.look(lit((160, 150, 30))).regions  # and it sees again


def test_infrared_filter_clicks() -> None:
    watch = Watch()
    after = watch.see(lambda: grey(watch.garden.frame()), 10, Light.NIGHT)
    assert after[0].settling
    assert moving(after) == 0
    assert not after[-1].settling


def test_shaking_and_rain_are_tolerated() -> None:
    watch = Watch()
    rng, lawn = watch.garden.rng, watch.garden.lawn

    def shaken() -> Image:
        dx, dy = rng.integers(-2, 3, 2)
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = cv2.warpAffine(lawn, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE)
        return watch.garden.noisy(np.asarray(moved, np.uint8))

    def rain() -> Image:
        image = watch.garden.frame()
        for x, y in zip(rng.integers(0, 320, 40), rng.integers(0, 240, 40), strict=True):
            cv2.line(image, (int(x), int(y)), (int(x) + 2, int(y) + 14), (200, 200, 200), 1)
        return image

    assert moving(watch.see(shaken, 20)) <= 2
    assert moving(watch.see(rain, 20)) <= 5


def test_masks_and_least_area() -> None:
    left = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
    watch = Watch(MotionDetector([left]))
    assert watch.look(watch.garden.frame((60, 150, 20))).regions == ()
    assert watch.look(watch.garden.frame((250, 150, 20))).regions
    picky = Watch(MotionDetector(least_area=0.05))
    assert picky.look(picky.garden.frame((160, 150, 20))).regions == ()
    assert picky.look(picky.garden.frame((160, 150, 80))).regions


def test_parts_are_joined_and_only_the_largest_are_told() -> None:
    watch = Watch()
    (region,) = watch.look(watch.garden.frame((150, 150, 12), (180, 150, 12))).regions
    assert iou(region, (138, 144, 192, 156)) > 0.6
    many = [(40 + 80 * (i % 4), 60 + 120 * (i // 4), 12 + 2 * i) for i in range(8)]
    found = watch.look(watch.garden.frame(*many)).regions
    assert len(found) == REGIONS
    assert all(y0 > 120 for _, y0, _, _ in found)  # the larger half is below


def test_another_size_or_a_long_pause_begins_anew() -> None:
    watch = Watch()
    small = Garden(size=(160, 120))
    assert watch.look(small.frame((80, 60, 20))) == Motion(())
    watch.time += 100
    assert watch.look(small.frame()) == Motion(())


def test_a_view_that_never_rests_is_blind() -> None:
    watch = Watch()

    rng = np.random.default_rng(1)

    def anything() -> Image:
        return np.asarray(
            cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), SIZE), np.uint8
        )

    motions = watch.see(anything, BLIND_S + 10)
    assert not any(motion.blind for motion in motions[: round(0.8 * BLIND_S / STEP)])
    assert motions[-1].blind
    assert moving(motions) == 0
    watch.see(watch.garden.frame, 2)
    assert not watch.look(watch.garden.frame()).blind


@given(
    st.integers(1, 700),
    st.integers(1, 500),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_crops(width: int, height: int, x: float, y: float, w: float, h: float) -> None:
    x0, y0 = min(int(x * width), width - 1), min(int(y * height), height - 1)
    x1, y1 = min(width, x0 + max(1, int(w * width))), min(height, y0 + max(1, int(h * height)))
    left, top, right, bottom = crop_of((x0, y0, x1, y1), width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert left <= x0
    assert top <= y0
    assert x1 <= right
    assert y1 <= bottom
    side = max(LEAST_SIDE, right - left, bottom - top)
    assert right - left == min(side, width)
    assert bottom - top == min(side, height)
