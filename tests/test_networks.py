"""Every family of networks: built, trained a little, quantized, compiled; the same bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.host import load
from lotor.oracle import Oracle
from lotor.train.calibrate import ranges, watch
from lotor.train.export import plan, to_int8
from lotor.train.networks import FAMILIES
from lotor.train.recipe import Network

pytestmark = pytest.mark.train

SIZE, LABELS = 32, 4
# Small ones, for the sake of time; a depth that changes the number of layers where it can.
SMALL = {
    "mobilenet_v1": Network("mobilenet_v1", 0.25, 0.2),
    "mobilenet_v2": Network("mobilenet_v2", 0.25, 0.6),
    "mcunet": Network("mcunet", 0.25),
    "ds_cnn": Network("ds_cnn", 0.25, 0.5),
    "resnet8": Network("resnet8", 0.5),
}


def built(how: Network, inputs: Any) -> Any:
    """A network with normalisation as it is after training: by the statistics of these inputs."""
    pytest.importorskip("tensorflow")
    import keras

    from lotor.train import networks

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    height, width = inputs.shape[1:3]
    model = networks.build(how, height, width, LABELS)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.momentum = 0.0
            layer.gamma.assign(rng.uniform(0.7, 1.4, layer.gamma.shape))
            layer.beta.assign(rng.normal(0.2, 0.3, layer.beta.shape))
    model(inputs, training=True)
    return model


def images(count: int) -> Any:
    rng = np.random.default_rng(4)
    coarse = np.kron(rng.normal(0, 50, (count, 4, 4, 3)), np.ones((1, SIZE // 4, SIZE // 4, 1)))
    pixels = np.rint(coarse + rng.normal(0, 20, coarse.shape)).clip(-128, 127)
    return (pixels / 128).astype(np.float32)


def test_all_families_are_tested() -> None:
    assert set(SMALL) == set(FAMILIES)


# Each takes a quarter of a minute; `make test` goes the road with one of a kind.
LONG = {"mcunet", "mobilenet_v1"}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in LONG else []) for k in SMALL]
)
def test_a_network_is_the_same_on_every_road(kind: str, tmp_path: Path) -> None:
    """Steps in Keras, folded, calibrated, exported: training's integers, LiteRT's and the C's."""
    inputs = images(12)
    model = built(SMALL[kind], inputs)
    import keras

    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel
    from lotor.train.run import FloatNetwork

    labels = np.eye(LABELS, dtype=np.float32)[np.arange(12) % LABELS]
    entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), entropy, run_eagerly=True)  # tracing takes longer
    before = model.get_layer("logits").get_weights()[0]
    model.train_on_batch(inputs, labels)
    assert (model.get_layer("logits").get_weights()[0] != before).any()
    network = fold(model, softmax=False)  # behind it, few bits would be seen
    run = FloatNetwork(network)
    real = np.asarray(model(inputs, training=False))
    np.testing.assert_allclose(run(inputs)["logits"], real, rtol=1e-3, atol=1e-3)
    seen = watch(network, run, [inputs])
    planned = plan(network, ranges(network, seen, "min-max", (-1.0, 127 / 128)))
    trained = QuantizedModel(network, planned)
    path = tmp_path / f"{kind}.tflite"
    path.write_bytes(to_int8(trained.network, planned))
    quantized = planned.tensors[network.input].quantize(inputs)
    expected, of_c = (
        np.concatenate([each.run(x[None]) for x in quantized])
        for each in (Oracle(path), load(path))
    )
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(of_c, expected)
    out = planned.tensors["logits"]
    integers = np.asarray(trained(inputs))
    steps = np.rint(integers / out.scale).astype(int) + out.zero_point
    np.testing.assert_array_equal(steps, expected)
    assert np.corrcoef(integers.ravel(), real.ravel())[0, 1] > 0.7  # of weights as they came


def layer_count(model: Any) -> int:
    return sum(not layer.name.endswith(("_bn", "_relu", "_add", "_pad")) for layer in model.layers)


@pytest.mark.parametrize("kind", SMALL)
def test_width_depth_and_stem_do_what_they_say(kind: str) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train import networks

    depth = 2.0 if FAMILIES[kind].depth else 1.0
    plain = networks.build(Network(kind, 0.5), 64, 64, LABELS)
    other = networks.build(Network(kind, 1.0, depth, stem_stride=1), 64, 64, LABELS)
    assert plain.output_shape == (None, LABELS)
    channels, wide = (model.layers[1 + (kind == "mcunet")].filters for model in (plain, other))
    assert wide == 2 * channels
    coarse, fine = (model.get_layer("pool").input.shape for model in (plain, other))
    assert fine[1:3] == tuple(2 * side for side in coarse[1:3])
    assert (layer_count(other) > layer_count(plain)) == bool(FAMILIES[kind].depth)


def test_networks_have_their_published_sizes() -> None:
    """Those of Keras applications, normalisation's statistics included."""
    pytest.importorskip("tensorflow")
    from lotor.train import networks

    for kind, parameters in (("mobilenet_v1", 4_253_864), ("mobilenet_v2", 3_538_984)):
        assert networks.build(Network(kind, 1.0), 224, 224, 1000).count_params() == parameters


def test_memory_does_not_hang_on_weights_that_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train import networks
    from lotor.train.networks.sizes import sizes

    how = [SMALL["mobilenet_v1"]]
    wanted = sizes(32, 4, how, how)
    assert [size.kind for size in wanted] == ["mobilenet_v1", "mobilenet_v1 + ssd_lite"]
    real = networks.build

    def idle(*about: Any) -> Any:
        """A network of which a layer says the same of every image."""
        model = real(*about)
        layer = model.get_layer("pointwise1")
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
        return model

    monkeypatch.setattr(networks, "build", idle)
    assert sizes(32, 4, how, how) == wanted


@pytest.mark.train
def test_normalisation_in_one_operation_is_that_of_keras() -> None:
    tf = pytest.importorskip("tensorflow")
    from keras import layers

    from lotor.train.networks.norm import BatchNormalization

    x = np.random.default_rng(0).normal(2, 3, (2, 3, 3, 4)).astype(np.float32)
    seen = []
    for kind in (layers.BatchNormalization, BatchNormalization):
        layer = kind(epsilon=1e-3, momentum=0.9)
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            y = layer(inputs, training=True)
            loss = tf.reduce_sum(y**3)
        gradients = tape.gradient(loss, [inputs, layer.gamma, layer.beta])
        seen.append([y, *gradients, *layer.get_weights(), layer(inputs)])
    for old, new in zip(*seen, strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-3, atol=1e-3)
