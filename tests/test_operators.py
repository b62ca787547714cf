"""Every operator, bit for bit against LiteRT's reference kernels, on small models."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from cases import Build, built, cases, edges, random
from cases.binary import binary
from effort import examples
from exactness import assert_exact
from lotor import host
from tflite_builder import ModelBuilder, Quant

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _explore(operator: str, count: int, derandomize: bool) -> None:
    @settings(
        max_examples=count,
        derandomize=derandomize,
        deadline=None,
        database=None,
        suppress_health_check=CHECKS,
    )
    @given(random()[operator])
    def property_(model: ModelBuilder) -> None:
        assert_exact(model)

    property_()


@pytest.mark.parametrize("operator", sorted(random()))
def test_equals_the_reference(operator: str) -> None:
    _explore(operator, examples(5), derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operator", sorted(random()))
def test_equals_the_reference_on_many_models(operator: str) -> None:
    _explore(operator, 100, derandomize=False)


@pytest.mark.parametrize("build", cases() + edges(), ids=lambda build: build.__name__)
def test_small_model_equals_the_reference(build: Build) -> None:
    assert_exact(built(build))


def test_floats_beyond_int32_saturate() -> None:
    # The reference's conversion is undefined there; Lotor's is not.
    m = ModelBuilder()
    x = m.input((1, 6), dtype="float32")
    m.output(m.quantize(x, Quant(0.0625, -5)))
    values = np.array([[1e30, -1e30, np.inf, -np.inf, 1e9, -1e9]], np.float32)
    got = host.load(m.build()).run(values)
    assert got.tolist() == [[127, -128, 127, -128, 127, -128]]


def test_casts_of_floats_beyond_a_type_saturate() -> None:
    # As undefined in C; not-a-number is the highest.
    m = ModelBuilder()
    x = m.input((5,), dtype="float32")
    types = ("int8", "uint8", "int16", "int32", "int64")
    m.output(*(m.operator("CAST", [x], [m.tensor((5,), None, dtype)]) for dtype in types))
    values = np.array([np.nan, np.inf, 1e30, -np.inf, -1e30], np.float32)
    for got, dtype in zip(host.load(m.build()).run(values), types, strict=True):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        assert got.tolist() == [high, high, high, low, low], dtype


def test_softmax_over_more_classes_than_the_reference_can_count() -> None:
    # 512 equal logits make the reference abort; every probability is below half a step here.
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 1000), Quant(0.05, 0))))
    model = host.load(m.build())
    assert (model.run(np.full((1, 1000), 3, np.int8)) == -128).all()
    peak = np.full((1, 1000), -128, np.int8)
    peak[0, 7] = 127
    assert model.run(peak).argmax() == 7


@pytest.mark.parametrize("scale", [0.9, 1 / 7, 0.004])
def test_small_quotients_that_the_reference_shifts_too_far(scale: float) -> None:
    m = ModelBuilder()
    a, b = m.input((256, 1), Quant(0.5, 3)), m.input((255,), Quant(0.5, -100))
    m.output(binary(m, "DIV", a, b, Quant(scale, -7)))
    ramp = np.arange(-128, 128)
    divisors = np.delete(ramp, 28)  # without zero, where the reference stops
    got = host.load(m.build()).run(ramp[:, None].astype(np.int8), divisors.astype(np.int8))
    exact = (ramp[:, None] - 3) / (divisors + 100) / scale - 7
    assert np.abs(got - np.clip(exact, -128, 127)).max() < 0.51
