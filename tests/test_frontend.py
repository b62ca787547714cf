"""Models that cannot be compiled: one clear line each, and never another kind of failure."""

from pathlib import Path

import numpy as np
import pytest
import tflite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases import built, cases
from effort import examples
from exactness import assert_exact
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.errors import LotorError
from tflite_builder import ModelBuilder, Quant, Tensor

NETWORK = built(next(b for b in cases() if b.__name__ == "network")).build()
BRANCHES = built(next(b for b in cases() if b.__name__ == "conv_2d")).build()
FUZZ = settings(
    max_examples=examples(60),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def _compile_or_refuse(content: bytes) -> str | None:
    """The refusal's text; None if the model compiles. Anything else that is raised is a bug."""
    try:
        compile_model(content)
    except LotorError as error:
        assert "\n" not in str(error), "an error is one line"
        assert str(error).isprintable(), "an error can be shown on a terminal"
        return str(error)
    return None


def _refusal(m: ModelBuilder) -> str:
    text = _compile_or_refuse(m.build())
    assert text is not None, f"compiled\n{m!r}"
    return text


@FUZZ
@given(st.sampled_from([NETWORK, BRANCHES]), st.floats(0, 1))
def test_truncated_file(content: bytes, part: float) -> None:
    kept = int(len(content) * part)
    text = _compile_or_refuse(content[:kept])
    assert text is not None or len(content) - kept < 16, "compiled without its data"


@FUZZ
@given(
    st.sampled_from([NETWORK, BRANCHES]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
)
def test_damaged_bytes(content: bytes, flips: list[tuple[float, int]]) -> None:
    damaged = bytearray(content)
    for place, value in flips:
        damaged[8 + int((len(content) - 8) * place)] ^= value
    _compile_or_refuse(bytes(damaged))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_every_byte_damaged_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = NETWORK if seed % 2 else BRANCHES
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= (1, 0x80, 0xFF, int(rng.integers(1, 256)))[rng.integers(4)]
        _compile_or_refuse(bytes(damaged))


@FUZZ
@given(st.binary(max_size=400), st.booleans())
def test_garbage(content: bytes, looks_right: bool) -> None:
    if looks_right:
        content = content[:4].ljust(4, b"\x10") + b"TFL3" + content[4:]
    assert _compile_or_refuse(content) is not None


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 100, b"\x08\0\0\0TFL3", b"GIF89a" * 9])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    assert _compile_or_refuse(content) is not None
    path = tmp_path / "thing.tflite"
    path.write_bytes(content)
    with pytest.raises(LotorError, match="thing"):
        compile_model(path)


def test_unreadable_paths(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.tflite", tmp_path):
        with pytest.raises(LotorError, match=path.name):
            compile_model(path)


def test_every_unsupported_layer_is_named_at_once() -> None:
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2), Quant(0.1, 0))
    first = m.rename(m.unary("SKIP_GRAM", m.conv2d(x, 2)), "skipped")
    second = m.rename(m.unary("LSH_PROJECTION", first), "hashed")
    third = m.rename(m.unary("HASHTABLE_SIZE", m.conv2d(second, 2)), "counted")
    m.output(m.mean(third))
    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(m.build())
    named = [("skipped", "SKIP_GRAM"), ("hashed", "LSH_PROJECTION"), ("counted", "HASHTABLE_SIZE")]
    for words in named:
        assert all(word in str(caught.value) for word in words)
    assert [(p.layer, p.kind) for p in caught.value.problems] == named
    assert "CONV_2D" in str(caught.value), "it says what is supported"


def test_float_model() -> None:
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2), dtype="float32")
    m.output(m.softmax(m.conv2d(x, 3)))
    assert _compile_or_refuse(m.build()) is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "bool"])
def test_inputs_and_outputs_of_other_types(dtype: str) -> None:
    m = ModelBuilder()
    m.output(m.reshape(m.input((1, 9), Quant(0.1, 0) if "8" in dtype else None, dtype), (9,)))
    assert_exact(m)


@pytest.mark.parametrize("dtype", ["float16"])
def test_inputs_of_types_that_no_kernel_reads(dtype: str) -> None:
    m = ModelBuilder()
    m.output(m.reshape(m.input((1, 9), None, dtype), (9,)))
    assert dtype in _refusal(m)


def test_several_subgraphs() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 9))))
    m.extra_subgraphs = 1
    assert "2 subgraphs" in _refusal(m)


def _same(m: ModelBuilder, kind: str, x: Tensor) -> Tensor:
    return m.operator(kind, [x], [m.tensor(x.shape, x.quant)])


def test_control_flow_is_listed_with_all_other_layers() -> None:
    m = ModelBuilder()
    x = _same(m, "WHILE", m.input((1, 9)))
    m.output(_same(m, "ROUND", _same(m, "IF", x)))
    m.extra_subgraphs = 4
    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(m.build())
    assert [p.kind for p in caught.value.problems] == ["WHILE", "IF", "ROUND"]
    assert "unrolled" in caught.value.problems[0].reason


@pytest.mark.parametrize(
    ("kind", "mend"),
    [
        ("CUSTOM:FlexErf", "SELECT_TF_OPS"),
        ("CUSTOM:ethos-u", "accelerator"),
        ("CUSTOM:edgetpu-custom-op", "accelerator"),
        ("CUSTOM:Mine", "code is not in the file"),
        ("ROUND", "lotor operators"),
    ],
)
def test_says_what_to_do_about_an_unknown_layer(kind: str, mend: str) -> None:
    m = ModelBuilder()
    m.output(_same(m, kind, m.input((1, 9))))
    assert mend in _refusal(m)


def test_a_type_that_no_kernel_knows() -> None:
    m = ModelBuilder()
    x = m.input((1, 9))
    m.output(m.operator("CAST", [x], [m.tensor(x.shape, None, "complex64")]))
    text = _refusal(m)
    assert text.count("is of an unknown type; ") == 2, "of the layer, and of the model's output"


def test_dynamic_batch_is_compiled_as_stored() -> None:
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2), Quant(0.1, 0), signature=(-1, 4, 4, 2))
    m.output(m.conv2d(x, 3))
    assert_exact(m)


@pytest.mark.parametrize("size", [0, -1, 1 << 20])
def test_shapes_that_no_arena_holds(size: int) -> None:
    m = ModelBuilder()
    x = m.input((1, size, size, 2), Quant(0.1, 0))
    y = m.softmax(x)
    m.output(y)
    assert x.name in (text := _refusal(m)) or y.name in text


def _conv(m: ModelBuilder, x: Tensor) -> Tensor:
    return m.rename(m.conv2d(x, 3), "layer")


def test_missing_quantization() -> None:
    for broken in ("input", "weights", "output"):
        m = ModelBuilder()
        y = _conv(m, m.input((1, 4, 4, 2), Quant(0.1, 0)))
        m.output(y)
        place = {"input": 0, "weights": 1, "output": 3}[broken]
        old = m.tensors[place]
        m.tensors[place] = Tensor(old.index, broken, old.shape, old.dtype, None, None, old.data)
        text = _refusal(m)
        assert (broken in text and "layer" in text) or broken == "output", text


def test_asymmetric_weights() -> None:
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2), Quant(0.1, 0))
    m.output(m.rename(m.conv2d(x, 3, weight_quant=Quant(0.01, 5)), "layer"))
    assert "layer" in _refusal(m)


def test_weights_computed_at_run_time() -> None:
    m = ModelBuilder()
    x, w = m.input((1, 6), Quant(0.1, 0), "int16"), m.input((3, 6), Quant(0.1, 0))
    y = m.tensor((1, 3), Quant(0.1, 0), "int16", name="layer")
    m.output(m.operator("FULLY_CONNECTED", [x, w], [y], "FullyConnectedOptions"))
    assert "layer" in _refusal(m)


def test_shapes_that_do_not_broadcast() -> None:
    for other in ((1, 4, 3, 2), (4,), (1, 1, 1, 1, 3)):
        m = ModelBuilder()
        a, b = m.input((1, 4, 4, 2), Quant(0.1, 0)), m.input(other, Quant(0.1, 0))
        y = m.tensor((1, 4, 4, 2), Quant(0.1, 0), name="layer")
        m.output(m.operator("ADD", [a, b], [y], "AddOptions"))
        text = _refusal(m)
        assert "layer" in text and str(list(other)) in text


def test_other_fused_activations() -> None:
    for kind in ("TANH", "SIGN_BIT"):
        m = ModelBuilder()
        x = m.input((1, 6), Quant(0.1, 0))
        y = m.tensor((1, 6), Quant(0.1, 0), name="layer")
        activation = getattr(tflite.ActivationFunctionType, kind)
        m.output(m.operator("ADD", [x, x], [y], "AddOptions", FusedActivationFunction=activation))
        text = _refusal(m)
        assert "layer" in text and "activation" in text


def test_pooling_and_padding_that_change_the_scale() -> None:
    for pool in ("average_pool2d", "max_pool2d"):
        m = ModelBuilder()
        y = getattr(m, pool)(m.input((1, 4, 4, 2), Quant(0.1, 0)))
        m.tensors[y.index] = Tensor(y.index, "layer", y.shape, "int8", Quant(0.2, 0))
        m.output(y)
        assert "layer" in _refusal(m)


def test_softmax_with_another_output_scale() -> None:
    m = ModelBuilder()
    y = m.softmax(m.input((1, 9), Quant(0.1, 0)))
    m.tensors[y.index] = Tensor(y.index, "layer", y.shape, "int8", Quant(1 / 128, -128))
    m.output(y)
    assert "layer" in _refusal(m)


def test_softmax_over_more_classes_than_its_sum_holds() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4096), Quant(0.1, 0))))
    with pytest.raises(LotorError, match="4096 classes; at most 4095"):
        compile_model(m.build())


def test_softmax_of_degenerate_logits() -> None:
    m = ModelBuilder()
    m.output(m.rename(m.softmax(m.input((1, 9), Quant(2.0**-27, 0))), "layer"))
    assert "layer" in _refusal(m)


def test_layers_out_of_order() -> None:
    m = ModelBuilder()
    y = m.softmax(m.conv2d(m.input((1, 4, 4, 2), Quant(0.1, 0)), 3))
    m.output(y)
    m.operators.reverse()
    assert _refusal(m)


def test_output_that_nothing_computes() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4), Quant(0.1, 0))), m.tensor((1, 4), Quant(0.1, 0), name="z"))
    assert "z" in _refusal(m)


def test_shapes_that_do_not_follow() -> None:
    for build in cases():
        whole = built(build)
        for place, tensor in enumerate(whole.tensors):
            if tensor.data is not None or tensor in whole.inputs or len(tensor.shape) < 2:
                continue
            m = built(build)
            shape = (*tensor.shape[:-1], tensor.shape[-1] + 1)
            m.tensors[place] = Tensor(place, tensor.name, shape, tensor.dtype, tensor.quant)
            _refusal(m)


def test_missing_operands() -> None:
    for build in cases():
        kinds = [op.kind for op in built(build).operators]
        for number in sorted({kind: i for i, kind in enumerate(kinds)}.values()):
            m = built(build)
            op = m.operators[number]
            float_ = all(m.tensors[i].dtype == "float32" for i in op.outputs)
            for keep in range(len(op.inputs)):
                m.operators[number] = type(op)(
                    op.kind, op.inputs[:keep], op.outputs, op.options, op.version
                )
                text = _compile_or_refuse(m.build())
                optional = (op.kind, keep) in {
                    ("CONV_2D", 2),
                    ("DEPTHWISE_CONV_2D", 2),
                    ("FULLY_CONNECTED", 2),
                    ("RESHAPE", 1),
                } or (op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM" and keep == 20 and float_)
                assert (text is None) == optional, (op.kind, keep, text)


FAR = Quant(1e-20, 0)


@pytest.mark.parametrize("operator", ["conv2d", "fully_connected", "add", "quantize", "mean"])
def test_scales_so_far_apart_that_a_shift_leaves_int32(operator: str) -> None:
    m = ModelBuilder()
    x = m.input((1, 2, 2, 4), Quant(0.1, 0))
    outputs = {
        "conv2d": lambda: m.conv2d(x, weight_quant=Quant(0.01), quant=FAR),
        "fully_connected": lambda: m.fully_connected(x, weight_quant=Quant(0.01), quant=FAR),
        "add": lambda: m.add(x, x, quant=FAR),
        "quantize": lambda: m.quantize(x, FAR),
        "mean": lambda: m.mean(x, quant=FAR),
    }
    m.output(outputs[operator]())
    limit = "below 1 needed" if operator == "add" else "below 2^30 needed"
    assert limit in _refusal(m)


@pytest.mark.parametrize("scale", [3e38, 1e-45])
def test_scales_at_the_ends_of_float32(scale: float) -> None:
    m = ModelBuilder()
    x = m.input((1, 2, 2, 4), Quant(scale, 0))
    m.output(m.max_pool2d(x, activation="RELU6"), m.add(x, x, "RELU6", Quant(scale, 0)))
    _compile_or_refuse(m.build())


@pytest.mark.parametrize("zero_point", [-(2**31), -129, 128])
def test_zero_point_outside_int8(zero_point: int) -> None:
    m = ModelBuilder()
    m.output(m.conv2d(m.input((1, 2, 2, 1), Quant(0.1, zero_point))))
    assert f"zero point {zero_point}" in _refusal(m)


def test_softmax_of_a_single_number() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((), Quant(0.1, 0))))
    assert "no axis" in _refusal(m)


def test_window_beyond_int32() -> None:
    m = ModelBuilder()
    m.output(m.conv2d(m.input((1, 2, 2, 1), Quant(0.1, 0)), dilation=(2**30, 1)))
    assert "window spans" in _refusal(m)


def test_operator_with_another_output() -> None:
    m = ModelBuilder()
    x = m.input((1, 4), Quant(0.1, 0))
    first, second = m.tensor((1, 4), x.quant), m.tensor((1, 4), x.quant)
    m.operator("SOFTMAX", [x], [first, second], "SoftmaxOptions", Beta=1.0)
    m.output(m.add(first, second))
    assert "has 2 outputs" in _refusal(m)


def test_names_with_control_characters() -> None:
    m = ModelBuilder()
    x = m.input((1, 4), Quant(0.1, 0))
    m.output(m.rename(m.unary("SIN", x), "line\nend\x1b[31m"))
    assert "line_end_[31m (SIN)" in _refusal(m)


def test_a_constant_as_output() -> None:
    m = ModelBuilder()
    x = m.input((1, 4), Quant(0.1, 0))
    m.output(m.softmax(x), m.constant(np.zeros((1, 4), np.int8), Quant(0.1, 0)))
    assert "is a constant" in _refusal(m)
