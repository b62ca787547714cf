"""Folding, writing and training as integers: equal to Keras, and to the file bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.compiler import compile_model
from lotor.errors import LotorError
from lotor.train.calibrate import ESTIMATORS, Seen, find_estimator, ranges, watch
from lotor.train.export import (
    SOFTMAX,
    Plan,
    Quantization,
    changed,
    plan,
    quantize_layer,
    to_float,
    to_int8,
)
from lotor.train.layers import Layer, Network

pytestmark = pytest.mark.train


def keras_model(kind: str, classes: int = 5) -> Any:
    """A small model that has every layer that can be quantized, with weights of any size."""
    pytest.importorskip("tensorflow")
    import keras
    from keras import layers

    rng = np.random.default_rng(3)
    x = image = keras.Input((20, 20, 3), name="image")
    x = layers.Conv2D(8, 3, 2, "same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    if kind == "residual":
        y = layers.Conv2D(16, 1, use_bias=False, name="expand")(x)
        y = layers.BatchNormalization(name="expand_bn")(y)
        y = layers.ReLU(name="expand_relu")(y)
        y = layers.DepthwiseConv2D(3, 1, "same", use_bias=False, name="depth")(y)
        y = layers.BatchNormalization(scale=False, name="depth_bn")(y)
        y = layers.ReLU(6.0, name="depth_relu")(y)
        y = layers.Conv2D(8, 1, name="project")(y)
        x = layers.Add(name="sum")([x, y])
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
        x = layers.DepthwiseConv2D(3, 2, "valid", activation="relu", name="down")(x)
        x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    model = keras.Model(image, layers.Dense(classes, name="logits")(x), name=kind)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.beta.shape[0]
            layer.set_weights(
                [rng.uniform(0.5, 2, n)] * bool(layer.scale)
                + [rng.normal(0, 0.5, n), rng.normal(0, 0.2, n), rng.uniform(0.05, 0.6, n)]
            )
        elif layer.weights:
            layer.set_weights([rng.normal(0, 0.4, w.shape) for w in layer.get_weights()])
    return model


def images(count: int) -> Any:
    """Photographs as models see them: steps of 1/128 from -1 to 127/128, of differing contrast."""
    rng = np.random.default_rng(4)
    contrast = rng.uniform(0.1, 1, (count, 1, 1, 1))
    pixels = np.rint(rng.normal(0, 60, (count, 20, 20, 3)) * contrast).clip(-128, 127)
    return (pixels / 128).astype(np.float32)


def run_all(content: bytes, inputs: Any, folder: Path) -> Any:
    """Return the outputs of a file in LiteRT's reference kernels, for each input."""
    from lotor.oracle import Oracle

    (folder / "model.tflite").write_bytes(content)
    oracle = Oracle(folder / "model.tflite")
    return np.concatenate([oracle.run(inputs[i : i + 1]) for i in range(len(inputs))])


def ranges_of(
    network: Network, inputs: Any, estimator: str = "min-max"
) -> dict[str, tuple[float, float]]:
    """Return the ranges of all tensors."""
    from lotor.train.run import FloatNetwork

    seen = watch(network, FloatNetwork(network), [inputs[:8], inputs[8:]])
    return ranges(network, seen, estimator, (-1.0, 127 / 128))


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_float_file_is_the_model(kind: str, tmp_path: Path) -> None:
    model = keras_model(kind)
    from lotor.train.fold import fold

    inputs = images(4)
    network = fold(model, softmax=False)
    assert {layer.kind for layer in network} >= {"conv_2d", "mean", "fully_connected"}
    expected = model(inputs, training=False).numpy()
    found = run_all(to_float(network), inputs, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    probabilities = run_all(to_float(fold(model)), inputs, tmp_path)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_bias_in_front_of_normalisation_is_folded_too(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    import keras
    from keras import layers

    from lotor.train.fold import fold

    rng = np.random.default_rng(6)
    image = keras.Input((20, 20, 3))
    model = keras.Model(image, layers.BatchNormalization()(layers.Conv2D(4, 3)(image)))
    for layer in model.layers[1:]:
        layer.set_weights([rng.uniform(0.2, 2, w.shape) for w in layer.get_weights()])
    inputs = images(2)
    expected = model(inputs, training=False).numpy()
    found = run_all(to_float(fold(model, softmax=False)), inputs, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_training_computes_what_the_file_computes(kind: str, bits: int, tmp_path: Path) -> None:
    """Before and after some steps: every output of the integers, bit for bit."""
    model = keras_model(kind)
    import keras

    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel

    inputs = images(48)
    network = fold(model, softmax=False)
    weight_bits = {layer.name: bits for layer in network if layer.kind == "conv_2d"}
    planned = plan(network, ranges_of(network, inputs[:16]), weight_bits)
    trained = QuantizedModel(network, planned)
    out = planned.tensors[network.outputs[0]]

    def check() -> Any:
        found = trained(inputs).numpy()
        steps = np.rint(found / out.scale).astype(int) + out.zero_point
        quantized = planned.tensors[network.input].quantize(inputs)
        expected = run_all(to_int8(trained.network, planned), quantized, tmp_path)
        assert len(np.unique(expected)) > 30  # it tells photographs apart
        np.testing.assert_array_equal(steps, expected)
        return found

    first = check()
    real = model(inputs, training=False).numpy()
    if bits == 8:
        assert np.corrcoef(first.ravel(), real.ravel())[0, 1] > 0.99
    labels = np.eye(5, dtype=np.float32)[np.random.default_rng(5).integers(0, 5, 48)]
    trained.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    losses = [float(trained.train_on_batch(inputs, labels)) for _ in range(8)]
    assert losses[-1] < losses[0]
    trained.refresh()
    changed = check()
    assert np.abs(changed - first).max() > 0
    trained.train_on_batch(inputs, labels)


def test_gradients_are_those_of_the_real_numbers() -> None:
    """Straight through: away from the clamps, the gradient of the folded float network."""
    model = keras_model("plain")
    import tensorflow as tf

    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel

    inputs = images(12)
    network = fold(model, softmax=False)
    found = ranges_of(network, inputs)
    planned = plan(network, {name: (2 * low, 2 * high) for name, (low, high) in found.items()})
    trained = QuantizedModel(network, planned)
    target = np.random.default_rng(5).normal(0, 1, (12, 5)).astype(np.float32)

    def gradient(run: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(run(inputs) * target)
        return tape.gradient(loss, weights).numpy()

    mine = gradient(trained, trained._kernels["logits"].value)
    theirs = gradient(lambda x: model(x, training=False), model.get_layer("logits").kernel.value)
    assert np.corrcoef(mine.ravel(), theirs.T.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(mine, theirs.T, atol=0.1 * np.abs(theirs).max())


def test_all_tensors_are_seen_as_they_are() -> None:
    model = keras_model("residual")
    from lotor.train.fold import fold
    from lotor.train.run import FloatNetwork

    inputs = images(4)
    network = fold(model, softmax=False)
    found = FloatNetwork(network)(inputs)
    assert set(found) == {network.input, *(layer.name for layer in network)}
    expected = model(inputs, training=False).numpy()
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-4, atol=1e-3)
    assert found["stem"].min() == 0
    assert found["stem"].max() <= 6


def seen(*batches: Any) -> Seen:
    found = Seen()
    for batch in batches:
        found.add(np.asarray(batch, np.float32), np.random.default_rng(0))
    return found


def test_estimators_differ_in_what_they_clip() -> None:
    rng = np.random.default_rng(0)
    bulk = rng.normal(0, 1, (4, 50_000))
    bulk[0, 0] = 40
    found = {name: estimate(seen(*bulk)) for name, estimate in ESTIMATORS.items()}
    assert found["min-max"][1] == 40
    assert found["average"][1] == pytest.approx(np.mean(bulk.max(axis=1)))
    assert 3 < found["percentile"][1] < 5
    assert found["mse"][1] < 39
    assert found["entropy"][1] < 20
    for low, high in found.values():
        assert low < -2 and high > 2
    # Of what has no outlier, nobody clips much.
    even = rng.uniform(0, 6, (4, 50_000))
    for name, estimate in ESTIMATORS.items():
        low, high = estimate(seen(*even))
        assert low == pytest.approx(0, abs=0.01), name
        assert high == pytest.approx(6, abs=0.15), name
        assert estimate(seen(np.zeros(10))) == (0, 0)
    with pytest.raises(LotorError, match=r"no range estimator 'msse' .did you mean 'mse'"):
        find_estimator("msse")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_gives_a_model_like_the_real_one(estimator: str, tmp_path: Path) -> None:
    model = keras_model("residual")
    from lotor.train.fold import fold

    inputs = images(32)
    network = fold(model)
    planned = plan(network, ranges_of(network, inputs, estimator))
    quantized = planned.tensors[network.input].quantize(inputs)
    found = SOFTMAX.real(run_all(to_int8(network, planned), quantized, tmp_path))
    expected = run_all(to_float(network), inputs, tmp_path)
    assert np.abs(found - expected).mean() < 0.05


def test_a_range_becomes_a_scale() -> None:
    quant = Quantization.of(-1, 127 / 128)
    assert (quant.scale, quant.zero_point) == (1 / 128, 0)
    assert Quantization.of(2, 6) == Quantization.of(0, 6)
    assert Quantization.of(0, 6).zero_point == -128
    assert Quantization.of(0, 0) == Quantization(1, -128)  # of what is always 0
    assert SOFTMAX.quantize(np.array([0.0, 0.5, 1.0], np.float32)).tolist() == [-128, 0, 127]
    with pytest.raises(LotorError, match="cannot be quantized"):
        Quantization.of(0, float("nan"))


def test_what_must_have_one_scale_changes_together() -> None:
    model = keras_model("residual")
    from lotor.train.fold import fold

    network = fold(model)
    planned = plan(network, ranges_of(network, images(12)))
    other = changed(network, planned, "down", Quantization(0.5, -128))
    assert other.tensors["pool"] == other.tensors["down"] == Quantization(0.5, -128)
    assert other.tensors["pad"] == planned.tensors["sum"]


def test_filters_of_nothing_and_large_biases_fit() -> None:
    weights = np.zeros((3, 4), np.float32)
    weights[1] = 1e-7
    bias = np.array([5, 5, 0], np.float32)
    layer = Layer("dense", "fully_connected", ("x",), (3,), weights, bias)
    planned = Plan({"x": Quantization(0.01, 0), "dense": Quantization(0.1, 0)})
    found = quantize_layer(layer, planned)
    np.testing.assert_allclose(found.bias * (0.01 * found.scales), bias, rtol=1e-3)
    assert not found.weights[0].any()


@pytest.mark.parametrize("large", [1, 1e6])
def test_a_network_that_says_nothing_can_be_run(tmp_path: Path, large: float) -> None:
    """Layers whose outputs are always 0, or next to it, as before any training."""
    rng = np.random.default_rng(0)
    weights = (large * rng.normal(0, 1, (4, 4))).astype(np.float32)
    layers = []
    for index, (low, shift) in enumerate(((-9.0, 0.0), (0.0, 1e-12), (0.0, 1e-5))):
        bias = np.full(4, low or shift, np.float32)
        clamp = (0.0, 6.0)
        name, before = f"dense{index}", f"dense{index - 1}" if index else "x"
        layers.append(Layer(name, "fully_connected", (before,), (4,), weights, bias, clamp=clamp))
    network = Network("silent", "x", (4,), tuple(layers), ("dense2",))
    found = {"x": (0.0, 1.0), "dense0": (0.0, 0.0), "dense1": (0.0, 1e-12), "dense2": (0.0, 1e-5)}
    content = to_int8(network, plan(network, found))
    assert run_all(content, np.zeros((1, 4), np.int8), tmp_path).shape == (1, 4)
    # And compiled: factors between scales are such that the compiler takes them.
    assert compile_model(content, "portable").report["macs"] > 0


def test_what_cannot_be_folded_is_named() -> None:
    pytest.importorskip("tensorflow")
    import keras
    from keras import layers

    from lotor.train.fold import fold

    image = keras.Input((8, 8, 3))
    for layer, says in (
        (layers.LeakyReLU(name="leak"), "layer leak is a LeakyReLU"),
        (layers.Conv2D(4, 3, dilation_rate=2, name="wide"), "layer wide: dilation"),
        (layers.Conv2D(4, 3, activation="tanh", name="soft"), "activation tanh"),
        (layers.BatchNormalization(name="norm"), "norm does not follow a convolution"),
        (layers.ReLU(name="relu"), "activation relu must come right behind"),
    ):
        with pytest.raises(LotorError, match=says):
            fold(keras.Model(image, layer(image)))


def test_a_tensor_without_a_range_is_named() -> None:
    layer = Layer("dense", "fully_connected", ("x",), (1,), np.ones((1, 2), np.float32),
                  np.zeros(1, np.float32))  # fmt: skip
    network = Network("n", "x", (2,), (layer,), ("dense",))
    with pytest.raises(LotorError, match="tensor 'dense' has no range"):
        plan(network, {"x": (0, 1)})


def unequal(kind: str = "residual") -> Any:
    """A model whose channels reach very different magnitudes behind a ReLU."""
    model = keras_model(kind)
    layer = model.get_layer("expand_bn")
    gamma, *rest = layer.get_weights()
    gamma[::2] *= 0.02
    layer.set_weights([gamma, rest[0] * np.where(np.arange(len(gamma)) % 2, 1, 0.02), *rest[1:]])
    return model


def test_equalisation_changes_nothing_but_ranges(tmp_path: Path) -> None:
    model = unequal()
    from lotor.train.equalize import equalize
    from lotor.train.fold import fold
    from lotor.train.run import FloatNetwork

    inputs = images(8)
    network = fold(model, softmax=False)
    before = FloatNetwork(network)(inputs)
    tops = {name: np.abs(v).max(axis=tuple(range(v.ndim - 1))) for name, v in before.items()}
    for given in (None, tops):
        even = equalize(network, given)
        after = FloatNetwork(even)(inputs)
        np.testing.assert_allclose(after["logits"], before["logits"], rtol=1e-3, atol=1e-2)
        # ReLU6 lets no scaling through, and what two layers read stays.
        np.testing.assert_array_equal(after["stem"], before["stem"])
    alive = tops["expand"] > 0
    spread = [np.abs(v["expand"]).max(axis=(0, 1, 2))[alive] for v in (before, after)]
    assert spread[0].max() / spread[0].min() > 20
    assert spread[1].max() / spread[1].min() < 5


def separable() -> Network:
    """A network of depthwise-separable blocks with ReLU6, as MobileNets have; one is cut off."""
    rng = np.random.default_rng(8)

    def layer(name: str, kind: Any, source: str, shape: tuple[int, ...], top: float = 6.0) -> Layer:
        unequal = np.exp(rng.uniform(-1, 1, shape[0] if kind == "conv_2d" else shape[3]))
        along = (-1, 1, 1, 1) if kind == "conv_2d" else (1, 1, 1, -1)
        weights = (rng.normal(0, 0.2, shape) * unequal.reshape(along)).astype(np.float32)
        bias = rng.normal(0, 0.1, len(unequal)).astype(np.float32)
        return Layer(name, kind, (source,), (10, 10, len(bias)), weights, bias,
                     padding="SAME", clamp=(0.0, top))  # fmt: skip

    layers = (
        layer("point1", "conv_2d", "image", (12, 1, 1, 3)),
        layer("depth1", "depthwise_conv_2d", "point1", (1, 3, 3, 12)),
        layer("point2", "conv_2d", "depth1", (9, 1, 1, 12), top=0.05),
        layer("depth2", "depthwise_conv_2d", "point2", (1, 3, 3, 9)),
    )
    return Network("separable", "image", (10, 10, 3), layers, ("depth2",))


def test_equalisation_passes_a_relu6_that_cuts_nothing_off() -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.equalize import equalize, without_relu6
    from lotor.train.run import FloatNetwork

    network, inputs = separable(), images(16)[:, :10, :10]
    run = FloatNetwork(network)
    before, seen = run(inputs), watch(network, run, [inputs])
    assert before["point1"].max() < 6 and before["depth1"].max() < 6
    cut = float((before["point2"] >= np.float32(0.05)).mean())
    assert 0.02 < cut < 0.5
    opened = without_relu6(network, seen)
    clamps = [(0.0, None), (0.0, None), (0.0, 0.05), (0.0, 6.0)]  # the last has no layer behind it
    assert [layer.clamp for layer in opened] == clamps
    even = equalize(opened)
    np.testing.assert_allclose(FloatNetwork(even)(inputs)["depth2"], before["depth2"], atol=1e-5)

    def ranges_between(network: Network, first: str, second: str) -> tuple[Any, Any]:
        made, read = (np.abs(np.asarray(network[n].weights)) for n in (first, second))
        return (
            made.max(axis=(1, 2, 3)) if len(made) > 1 else made.max(axis=(0, 1, 2)),
            read.max(axis=(0, 1, 2)),
        )

    for first, second in (("point1", "depth1"), ("depth1", "point2")):
        made, read = ranges_between(network, first, second)
        assert (made / read).max() / (made / read).min() > 4
        np.testing.assert_allclose(*ranges_between(even, first, second), rtol=0.01)
    # What cuts samples off stays as it is.
    np.testing.assert_array_equal(even["depth2"].weights, network["depth2"].weights)
    # The share that may be cut off is stated; the paper's is 1.
    assert without_relu6(network, seen, cut * 0.8)["point2"].clamp == (0.0, 0.05)
    assert without_relu6(network, seen, cut * 1.2)["point2"].clamp == (0.0, None)
    everywhere = equalize(without_relu6(network, seen, 1.0))
    np.testing.assert_allclose(*ranges_between(everywhere, "point2", "depth2"), rtol=0.01)
    assert np.abs(FloatNetwork(everywhere)(inputs)["depth2"] - before["depth2"]).max() > 0.01


def test_dead_channels_do_not_spoil_equalisation() -> None:
    """MobileNets have some: what is typical is said by the others."""
    pytest.importorskip("tensorflow")
    from lotor.train.equalize import channel_tops, equalize, without_relu6
    from lotor.train.run import FloatNetwork

    network, inputs = separable(), images(16)[:, :10, :10]
    first = network["point1"]
    assert first.weights is not None and first.bias is not None
    first.weights[:3], first.bias[:3] = 0, -1
    run = FloatNetwork(network)
    before = run(inputs)
    opened = without_relu6(network, watch(network, run, [inputs]))
    even = equalize(opened, channel_tops(run, [inputs[:5], inputs[5:]]))
    after = FloatNetwork(even)(inputs)
    alive = after["point1"].max(axis=(0, 1, 2))[3:]
    assert alive.min() > 0.1
    np.testing.assert_allclose(alive, alive.mean(), rtol=1e-4)
    np.testing.assert_allclose(after["depth2"], before["depth2"], atol=1e-5)
    by_weights = np.asarray(equalize(opened)["point1"].bias)
    np.testing.assert_array_equal(by_weights[:3], first.bias[:3])


def test_equalisation_saves_what_one_scale_drowns(tmp_path: Path) -> None:
    model = unequal()
    from lotor.train.equalize import equalize
    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel
    from lotor.train.run import FloatNetwork
    from lotor.train.sqnr import noise

    inputs = images(24)
    network = fold(model, softmax=False)
    seen_of = FloatNetwork(network)(inputs)
    tops = {name: np.abs(v).max(axis=tuple(range(v.ndim - 1))) for name, v in seen_of.items()}
    ratios = []
    for each in (network, equalize(network, tops)):
        quantized = QuantizedModel(each, plan(each, ranges_of(each, inputs)))
        (found,) = (layer for layer in noise(each, quantized, [inputs]) if layer.name == "depth")
        ratios.append(found.total)
    assert ratios[1] > ratios[0] + 2


def test_the_worst_layer_is_named() -> None:
    model = keras_model("residual")
    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel
    from lotor.train.sqnr import as_text, noise

    inputs = images(16)
    network = fold(model)
    found = ranges_of(network, inputs)
    fine = noise(network, QuantizedModel(network, plan(network, found)), [inputs])
    assert all(layer.own > 25 for layer in fine)
    assert all(layer.total <= layer.own + 3 for layer in fine if layer.name != "stem")
    wide = {**found, "expand": (0.0, 40 * found["expand"][1])}
    coarse = noise(network, QuantizedModel(network, plan(network, wide)), [inputs])
    assert min(coarse, key=lambda layer: layer.own).name == "expand"
    assert "worst by their own noise: expand (" in as_text(coarse)


def test_biases_take_back_a_shifted_mean(tmp_path: Path) -> None:
    model = keras_model("residual")
    from lotor.train.correct_bias import correct_bias
    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel
    from lotor.train.rounded import RoundedNetwork
    from lotor.train.run import FloatNetwork

    inputs = images(48)
    network = fold(model, softmax=False)
    bits = {layer.name: 4 for layer in network if layer.kind == "conv_2d"}
    planned = plan(network, ranges_of(network, inputs), bits)
    wanted = FloatNetwork(network)(inputs)["logits"]

    def shift(quantized: Any) -> float:
        found = np.asarray(quantized(inputs))
        return float(np.abs((found - wanted).mean(axis=0)).mean())

    plain = shift(QuantizedModel(network, planned))
    batches = [inputs[:24], inputs[24:]]
    corrected = correct_bias(network, QuantizedModel(network, planned), batches)
    assert shift(corrected) < 0.3 * plain
    # A layer sees what all corrections before it have changed, with activations of any width.
    wide = plan(network, ranges_of(network, inputs), bits, activations=16)
    plain = shift(RoundedNetwork(network, wide))
    assert shift(correct_bias(network, RoundedNetwork(network, wide), batches)) < 0.05 * plain
    # The file computes the same.
    quantized = planned.tensors[network.input].quantize(inputs)
    out = planned.tensors["logits"]
    steps = np.rint(np.asarray(corrected(inputs)) / out.scale).astype(int) + out.zero_point
    expected = run_all(to_int8(corrected.network, planned), quantized, tmp_path)
    np.testing.assert_array_equal(steps, expected)


def test_gradients_pass_what_is_within_the_limits_and_nothing_else() -> None:
    tf = pytest.importorskip("tensorflow")
    from lotor.train import qat

    sums = tf.constant([[[[-30.0, 10.0]], [[0.0, 400.0]]]])
    bias = tf.constant([2.0, 4.0], tf.float64)
    factor = qat._factor(np.array([0.5, 0.25]))
    with tf.GradientTape() as tape:
        tape.watch((sums, bias))
        out = qat._requantized(sums, bias, factor, tf.constant(-10.0), tf.constant(50.0))
    assert out.numpy().ravel().tolist() == [-10.0, 4.0, 1.0, 50.0]  # 3.5 away from zero
    by_sums, by_bias = tape.gradient(out, (sums, bias))
    assert by_sums.numpy().ravel().tolist() == [0.0, 0.25, 0.5, 0.0]
    assert by_bias.numpy().tolist() == [0.5, 0.25]
