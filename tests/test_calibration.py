"""Calibration, decisions and the unknown, against values worked out by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor import ood
from lotor.calibration import (
    calibration_error,
    fit_temperature,
    log_loss,
    prior_weights,
    softmax,
)
from lotor.decision import LEAST_COST, NOTHING, Chosen, Costs, cheapest, choose, read_chosen, stated
from lotor.detect import as_text, detect
from lotor.errors import LotorError
from lotor.train.recipe import Calibrate, read_recipe
from lotor.zoo import ModelFile
from test_detect import Brightness
from test_train import TEXT, write_recipe


def test_calibration_error_by_hand() -> None:
    # Two bins of two: sure 0.6 and 0.7, one right; sure 0.8 and 1.0, both right.
    sure = np.array([1.0, 0.6, 0.8, 0.7])
    scores = np.stack([sure, 1 - sure], axis=1)
    truth = np.array([0, 0, 0, 1])
    expected = (abs(0.6 + 0.7 - 1) + abs(0.8 + 1.0 - 2)) / 4
    assert calibration_error(scores, truth, bins=2) == pytest.approx(expected)
    # One bin: the mean of all.
    assert calibration_error(scores, truth, bins=1) == pytest.approx(abs(3.1 - 3) / 4)
    assert math.isnan(calibration_error(scores[:0], truth[:0]))


def test_equal_scores_share_a_bin_in_any_order() -> None:
    scores = np.tile([0.7, 0.3], (40, 1))
    truth = np.repeat([0, 1], [30, 10])
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(truth)
        assert calibration_error(scores, shuffled) == pytest.approx(0.05)


def test_weights_give_labels_other_shares() -> None:
    truth = np.array([0, 0, 0, 1])
    weights = prior_weights(truth, [0.5, 0.5])
    assert weights.tolist() == pytest.approx([2 / 3] * 3 + [2.0])
    assert prior_weights(truth, None).tolist() == [1.0] * 4
    # Label 0 is right with 0.8, label 1 wrong with 0.6: a quarter of all, or half.
    scores = np.array([[0.8, 0.2]] * 3 + [[0.6, 0.4]])
    assert calibration_error(scores, truth, bins=1) == pytest.approx((3 * 0.2 - 0.6) / 4)
    weighted = calibration_error(scores, truth, weights, bins=1)
    assert weighted == pytest.approx(abs(0.5 * 0.2 - 0.5 * 0.6))


def test_log_loss_by_hand() -> None:
    logits = np.array([[0.0, math.log(3)], [0.0, 0.0]])
    truth = np.array([1, 0])
    assert log_loss(logits, truth) == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    assert softmax(logits)[0].tolist() == pytest.approx([0.25, 0.75])
    assert softmax(2 * logits, 2.0)[0].tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("hidden", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_again(hidden: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 3))
    truth = np.array([rng.choice(3, p=p) for p in softmax(logits)])
    found = fit_temperature(hidden * logits, truth)
    assert found == pytest.approx(hidden, rel=0.05)
    losses = [log_loss(hidden * logits, truth, found * f) for f in (0.97, 1.0, 1.03)]
    assert losses[1] == min(losses)
    before = calibration_error(softmax(hidden * logits), truth)
    after = calibration_error(softmax(hidden * logits, found), truth)
    assert after < 0.02
    assert hidden == 1.0 or before > 3 * after


def test_temperatures_have_limits() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, np.array([0, 1])) <= 0.1
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(20)


SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
POSITIVE = np.array([True, False, True, False, False])


def test_the_cheapest_threshold_by_hand() -> None:
    # Both found at one false alarm in three, or one of two found at none.
    dear_misses = Costs(false_alarm=1, miss=10, prior=0.5)
    assert cheapest(SCORES, POSITIVE, dear_misses) == pytest.approx(0.65)
    dear_alarms = Costs(false_alarm=10, miss=1, prior=0.5)
    assert cheapest(SCORES, POSITIVE, dear_alarms) == pytest.approx(0.85)
    assert dear_alarms.expected(0.5, 0.0) == pytest.approx(0.25)
    # So rare a target is not worth one false alarm in three, were it even alone below it.
    rare = Costs(false_alarm=1, miss=1, prior=0.001)
    assert cheapest(SCORES, SCORES < 0.55, rare) > 1
    assert cheapest(SCORES, POSITIVE, Costs(0.0, 1, 0.5)) == pytest.approx(0.65)
    assert cheapest(np.full(4, 0.5), np.arange(4) > 0, Costs(1, 100, 0.5)) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(200) < 0.2
    scores = np.round(rng.normal(positive, 1.0), 1)
    costs = Costs(rng.uniform(0.1, 5), rng.uniform(0.1, 5), prior=0.1)

    def cost(t: float) -> float:
        alarms = scores >= t
        return float(costs.expected(alarms[positive].mean(), alarms[~positive].mean()))

    best = cost(cheapest(scores, positive, costs))
    assert best <= min(cost(t) for t in np.append(scores, [-9, 9])) + 1e-12


def test_what_is_chosen_comes_with_intervals() -> None:
    rng = np.random.default_rng(1)
    positive = np.arange(300) < 60
    scores = 1 / (1 + np.exp(-rng.normal(positive * 3.0 - 1.5, 1)))
    groups = [str(i // 3) for i in range(300)]
    costs = Costs(1, 5, 0.1)
    found = choose(scores, positive, groups, costs, rounds=200)
    assert found is not None
    assert found["threshold_95"][0] <= found["threshold"] <= found["threshold_95"][1]
    assert found["cost_95"][0] < found["cost"] < found["cost_95"][1]
    assert found["cost"] == pytest.approx(
        0.1 * 5 * (1 - found["recall"]) + 0.9 * found["false_alarms"], abs=1e-4
    )
    assert found["cost_silent"] == pytest.approx(0.5)
    assert choose(scores, np.zeros(300, bool), groups, costs) is None
    assert stated({}) is None
    assert stated({"decision": {"miss_cost": 2, "prior": 0.1}}) == Costs(1.0, 2.0, 0.1)


def test_choices_are_read_for_the_frame_and_for_views(tmp_path: Path) -> None:
    metrics = {
        "thresholds": {"1%": 0.4},
        "thresholds_views": {"1%": 0.6},
        "decision": {"full": {"threshold": 0.5}, "views": {"threshold": 0.7}},
        "ood": {"threshold": 2.5},
    }
    model = ModelFile("m", tmp_path / "m.tflite")
    assert read_chosen(model) == NOTHING
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert read_chosen(model) == Chosen({"1%": 0.4, LEAST_COST: 0.5}, 2.5)
    assert read_chosen(model, views=True) == Chosen({"1%": 0.6, LEAST_COST: 0.7}, 2.5)
    (tmp_path / "metrics.json").write_text('{"decision": [1]}')
    assert read_chosen(model) == NOTHING
    (tmp_path / "metrics.json").write_text('{"thresholds": {"1%": 0.25}}')
    assert read_chosen(model) == Chosen({"1%": 0.25})


class Wary(Brightness):
    """It knows nothing that is bright."""

    def unlike(self, output: np.ndarray) -> float | None:
        return 4 * float(output[0, 0])


def test_detection_alarms_and_admits_what_it_does_not_know(tmp_path: Path) -> None:
    import cv2

    paths = []
    for red in (10, 120, 240):
        paths.append(tmp_path / f"{red}.png")
        cv2.imwrite(str(paths[-1]), np.full((20, 20, 3), (0, 0, red), np.uint8))
    chosen = Chosen({LEAST_COST: 0.4}, 3.0)
    found = detect(Wary(), paths, None, chosen, alarm_for=0)
    assert [image["alarm"] for image in found] == [False, True, False]
    assert [image["label"] for image in found] == ["background", "raccoon", "unknown"]
    assert found[2]["ood"] == pytest.approx(3.75)
    assert found[2]["scores"]["raccoon"] > 0.4  # the alarm's threshold: what is unknown is none
    assert found[2]["score"] == max(found[2]["scores"].values())
    lines = as_text(found).splitlines()
    assert ["ALARM" in line for line in lines] == [False, True, False]
    assert lines[2].startswith("unknown") and "%" not in lines[2]
    assert "%" in lines[1]
    (plain,) = detect(Brightness(), paths[:1], 0)
    assert "alarm" not in plain
    assert "ood" not in plain


def test_scores_of_the_unknown_by_hand() -> None:
    logits = np.array([[0.0, math.log(3)], [1.0, 1.0]])
    assert ood.energy(logits).tolist() == pytest.approx([-math.log(4), -1 - math.log(2)])
    doubled = -2 * math.log(1 + math.sqrt(3))
    assert ood.energy(logits, 2.0)[0] == pytest.approx(doubled)
    assert ood.small_logit(logits).tolist() == pytest.approx([-math.log(3), -1])
    assert ood.least_sure(softmax(logits)).tolist() == pytest.approx([0.25, 0.5])
    assert ood.small_norm(np.array([[3.0, 4.0]])).tolist() == [-5.0]
    assert ood.threshold(np.arange(1, 101.0)) == 95
    assert ood.threshold(np.array([2.0])) == 2


def test_distances_are_to_the_nearest_mean_in_its_spread() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 2], 4000)
    known = rng.normal(0, (1.0, 3.0), (8000, 2)) + np.where(truth == 2, 20, 0)[:, None]
    distance = ood.Distance.of(known, truth)
    found = distance(np.array([[0.0, 6.0], [22.0, 20.0], [0.0, 0.0]]))
    assert found == pytest.approx([4, 4, 0], rel=0.1, abs=0.01)
    assert ood.Distance.of(known, truth, diagonal=True)(known).mean() == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('[calibrate]\ntemperature = "autto"', "did you mean 'auto'"),
        ("[calibrate.prior]\nraccoon = 0.5", "needs a share above 0 of every label"),
        ("[decision]\nprior = 1.5", "a prior from 0 to below 1"),
        ("[decision]\nmiss_cost = -1", "costs of at least 0"),
        ("[ood]\ndirections = -1", "0 is the least"),
    ],
)
def test_unsound_recipes(tmp_path: Path, section: str, says: str) -> None:
    with pytest.raises(LotorError, match=says):
        read_recipe(write_recipe(tmp_path, f"{TEXT}\n{section}\n"))


def test_16_bits_take_no_steps(tmp_path: Path) -> None:
    text = TEXT.replace("samples = 12", "samples = 12\nactivations = 16")
    with pytest.raises(LotorError, match="not trained as integers"):
        read_recipe(write_recipe(tmp_path, text))
    with pytest.raises(LotorError, match="it must be 8 or 16"):
        read_recipe(write_recipe(tmp_path, text.replace("= 16", "= 12")))
    with pytest.raises(LotorError, match="0 for no limit"):
        read_recipe(write_recipe(tmp_path, text.replace("activations = 16", "weight_bytes = -1")))


@pytest.mark.train
def test_a_temperature_is_used_only_where_it_harms_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.finish import choose_temperature

    recipe = read_recipe(write_recipe(tmp_path))
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (3000, 4))
    truth = np.array([rng.choice(4, p=p) for p in softmax(logits)])
    found = choose_temperature(logits * 3, truth, recipe)
    assert found["used"]
    assert found["temperature"] == pytest.approx(3, rel=0.1)
    assert found["after"]["calibration_error"] < 0.3 * found["before"]["calibration_error"]
    assert found["after"]["accuracy"] == pytest.approx(found["before"]["accuracy"], abs=0.01)
    # The likelihood wants it cold, and scores near 1 then fall together in steps of 1/256.
    apart = np.array([[9.0 - i / 100, 0, 0, 0] for i in range(50)])
    cold = choose_temperature(np.concatenate([apart, -apart[:, [1, 0, 2, 3]]]),
                              np.repeat([0, 2], 50), recipe)  # fmt: skip
    assert cold["before"].keys() == cold["after"].keys()
    always = replace(recipe, calibrate=Calibrate("on"))
    assert choose_temperature(logits, truth, always)["used"]


@pytest.mark.train
@pytest.mark.parametrize("bits", [8, 16])
def test_calibrating_keeps_the_integers_and_adds_an_output(bits: int, tmp_path: Path) -> None:
    from test_quantization_training import images, ranges_of
    from test_wide_activations import network_of

    network = network_of("residual")
    from lotor.oracle import Oracle
    from lotor.train.export import plan, quantize_layer, to_int8
    from lotor.train.finish import _UNLIKE, UNLIKE, _with_output, cooled, unlike_layer
    from lotor.train.run import FloatNetwork

    inputs = images(24)
    planned = plan(network, ranges_of(network, inputs), activations=bits)
    cool, then = cooled(network, planned, 2.5)
    before, after = (quantize_layer(n["logits"], p) for n, p in ((network, planned), (cool, then)))
    assert (before.weights == after.weights).all()
    assert np.abs(before.bias - after.bias).max() <= 1
    logits = FloatNetwork(network)(inputs)["logits"]
    np.testing.assert_allclose(FloatNetwork(cool)(inputs)["logits"], logits / 2.5, rtol=1e-4)

    features = FloatNetwork(network)(inputs)["mean"]
    layer = unlike_layer("mean", features, 3)
    both = _with_output(cool, layer)
    seen: Any = FloatNetwork(both)(inputs)[UNLIKE]
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-4)
    # One of the 8 channels is always 0 and tells nothing.
    assert (features.std(axis=0) > 0).sum() == 7
    np.testing.assert_allclose(np.square(seen).mean(axis=0), 1, rtol=1e-3)
    whole = replace(then, tensors={**then.tensors, UNLIKE: _UNLIKE[bits]})
    content = to_int8(both, whole)
    (tmp_path / "two.tflite").write_bytes(content)
    oracle = Oracle(tmp_path / "two.tflite")
    first, second = oracle.run(whole.tensors["image"].quantize(inputs[:1]))
    assert second.shape == (1, 3)
    np.testing.assert_allclose(_UNLIKE[bits].real(second)[0], seen[0], atol=0.6)
    expected = softmax(logits[:1].astype(np.float64), 2.5)[0]
    np.testing.assert_allclose(whole.tensors["probabilities"].real(first)[0], expected, atol=0.06)
    more = unlike_layer("mean", features, 9)
    assert more.weights is not None
    assert [bool(row.any()) for row in more.weights] == [True] * 7 + [False] * 2
