"""Pooling, reductions, resizing and detection: what is refused, and what the reference lacks."""

import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
import tflite

from cases.arg_max import arg
from cases.average_pool_2d import pool
from cases.cumsum import cumsum
from cases.detection_postprocess import detections, raw
from cases.mean import reduction
from cases.resize_nearest_neighbor import resize
from cases.topk_v2 import topk
from lotor import host
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.oracle import Oracle
from lotor.resources import resource
from tflite_builder import ModelBuilder, Quant, Tensor

Q = Quant(0.1, 3)


def _changed(m: ModelBuilder, t: Tensor, **fields: Any) -> None:
    """Give a tensor other properties than those that the layer needs."""
    values = {"shape": t.shape, "dtype": t.dtype, "quant": t.quant, "data": t.data} | fields
    m.tensors[t.index] = Tensor(t.index, t.name, **values)


def _pool(kernel: tuple[int, int], size: tuple[int, int], dtype: str) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input((1, *size, 1), Quant(0.1, 0), dtype)
    m.output(pool(m, "AVERAGE_POOL_2D", x, kernel, (4096, 4096)))
    return m


def _reduction(kind: str, dtype: str, **fields: Any) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input((2, 3, 4), Quant(0.1, 0) if dtype in ("int8", "int16") else None, dtype)
    y = reduction(m, kind, x, 1)
    for name, value in fields.items():
        _changed(m, m.tensors[y.index - 1] if name == "data" else y, **{name: value})
    m.output(y)
    return m


def _axis_at_run_time() -> ModelBuilder:
    m = ModelBuilder()
    x, axis = m.input((2, 3), Q), m.input((1,), None, "int32")
    m.output(m.operator("MEAN", [x, axis], [m.tensor((2,), Q)], "ReducerOptions"))
    return m


def _long_mean() -> ModelBuilder:
    m = ModelBuilder()
    m.output(reduction(m, "MEAN", m.input((1, 1 << 16), Quant(0.1, 0), "int16"), 1))
    return m


def _arg(axis: int, data: object = None, **fields: Any) -> ModelBuilder:
    m = ModelBuilder()
    y = arg(m, "ARG_MAX", m.input((2, 3), Q))
    if data is not None:
        _changed(m, m.tensors[1], data=np.asarray(data, np.int64))
    else:
        _changed(m, m.tensors[1], data=np.asarray(axis, np.int64))
    if fields:
        _changed(m, y, **fields)
    m.output(m.tensors[y.index])
    return m


def _resize(kind: str, new: tuple[int, int], **fields: Any) -> ModelBuilder:
    m = ModelBuilder()
    y = resize(m, kind, m.input((1, 3, 3, 1), Q), new, align_corners=True)
    if fields:
        _changed(m, y, **fields)
    m.output(m.tensors[y.index])
    return m


def _both_flags() -> ModelBuilder:
    m = ModelBuilder()
    m.output(resize(m, "RESIZE_BILINEAR", m.input((1, 3, 3, 1), Q), (4, 4), True, True))
    return m


def _topk(k: int) -> ModelBuilder:
    m = ModelBuilder()
    outputs = topk(m, m.input((2, 3), Q), 2)
    _changed(m, m.tensors[3], data=np.asarray(k, np.int32))
    m.output(*outputs)
    return m


def _l2_normalization(scale: float = 1 / 128, activation: int = 0) -> ModelBuilder:
    m = ModelBuilder()
    x = m.input((2, 3), Q)
    fields: dict[str, Any] = {"FusedActivationFunction": activation}
    y = m.tensor(x.shape, Quant(scale))
    m.output(m.operator("L2_NORMALIZATION", [x], [y], "L2NormOptions", 2, **fields))
    return m


def _cumsum(axis: int) -> ModelBuilder:
    m = ModelBuilder()
    m.output(cumsum(m, m.input((2, 3), None, "float32"), axis))
    return m


def _detections(columns: int = 4, dtype: str = "int8", **fields: Any) -> ModelBuilder:
    m = ModelBuilder()
    if fields.pop("mixed", False):
        boxes, scores = raw(m, 9, 4, "int8")[0], raw(m, 9, 4, "float32")[1]
    else:
        boxes, scores = raw(m, 9, columns, dtype)
    m.output(*detections(m, (boxes, scores), **fields))
    return m


REFUSED: dict[str, tuple[Callable[[], ModelBuilder], str]] = {
    "int16 window": (lambda: _pool((300, 300), (300, 300), "int16"), "at most 65534"),
    "sum of int16": (lambda: _reduction("SUM", "int16"), "int8 or int32 or float32"),
    "product of int8": (lambda: _reduction("REDUCE_PROD", "int8"), "int32 or float32"),
    "any of int8": (lambda: _reduction("REDUCE_ANY", "int8"), "bool needed"),
    "another scale": (lambda: _reduction("REDUCE_MAX", "int8", quant=Q), "share one scale"),
    "output shape": (lambda: _reduction("MEAN", "int8", shape=(2, 3)), "does not follow"),
    "axis outside": (lambda: _reduction("MEAN", "int8", data=np.array([3], np.int32)), "outside"),
    "unknown axis": (_axis_at_run_time, "must be an int32 constant"),
    "mean of too many": (_long_mean, "at most 65535"),
    "arg axis": (lambda: _arg(2), "within the input"),
    "arg type": (lambda: _arg(1, dtype="float32"), "int32 or int64 indices"),
    "arg shape": (lambda: _arg(1, shape=(3,)), "does not follow"),
    "resize shape": (lambda: _resize("RESIZE_BILINEAR", (4, 4), shape=(1, 4, 5, 1)), "follow"),
    "resize type": (lambda: _resize("RESIZE_BILINEAR", (4, 4), dtype="int16"), "int8 needed"),
    "resize beyond": (lambda: _resize("RESIZE_BILINEAR", (4095, 4)), "reaches beyond"),
    "resize huge": (lambda: _resize("RESIZE_NEAREST_NEIGHBOR", (40000, 1)), "exceeds 32767"),
    "resize flags": (_both_flags, "exclude each other"),
    "k too large": (lambda: _topk(4), "k is 4"),
    "k of nothing": (lambda: _topk(0), "k is 0"),
    "l2 activation": (lambda: _l2_normalization(activation=1), "takes no fused activation"),
    "l2 scale": (lambda: _l2_normalization(1 / 127), "scale 1/128"),
    "cumsum axis": (lambda: _cumsum(-3), "outside"),
    "columns": (lambda: _detections(6), "with a background class"),
    "overlap": (lambda: _detections(nms_iou_threshold=0.0), "above 0"),
    "threshold": (lambda: _detections(nms_score_threshold=float("nan")), "finite"),
    "scale": (lambda: _detections(h_scale=0.0), "must be finite and not 0"),
    "exponential": (lambda: _detections(h_scale=1e-4), "too large for an exponential"),
    "anchors": (lambda: _detections(anchors=[0.5, 0.5, 0.5, -0.5], dtype="float32"), "negative"),
    "no classes": (lambda: _detections(num_classes=0), "at least 1"),
    "mixed types": (lambda: _detections(mixed=True), "int8 needed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_with_a_reason(name: str) -> None:
    build, reason = REFUSED[name]
    with pytest.raises(UnsupportedModelError, match=reason) as caught:
        compile_model(build().build())
    assert str(caught.value).isprintable()


def test_indices_of_no_index_type() -> None:
    m = ModelBuilder()
    x, axis = m.input((2, 3), Q), m.constant([1], None, "int32")
    y = m.tensor((2,), None, "float32")
    kind = tflite.TensorType.FLOAT32
    m.output(m.operator("ARG_MAX", [x, axis], [y], "ArgMaxOptions", 2, OutputType=kind))
    with pytest.raises(UnsupportedModelError, match="int32 or int64 indices"):
        compile_model(m.build())


def test_sum_of_int8_is_that_of_its_uint8_form() -> None:
    # The reference reads int8 as uint8 in this one operator.
    def layer() -> ModelBuilder:
        m = ModelBuilder()
        m.output(reduction(m, "SUM", m.input((2, 9, 3), Q), 1, quant=Quant(0.4, -7)))
        return m

    twin = layer()
    twin.to_uint8()
    ours, oracle = host.load(layer().build()), Oracle(twin.build())
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.integers(-128, 128, (2, 9, 3), np.int8)
        want = oracle.run(x.view(np.uint8) ^ np.uint8(128)) ^ np.uint8(128)
        assert np.array_equal(ours.run(x), want.view(np.int8))


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_entries_beyond_the_last_detection_are_zero(dtype: str) -> None:
    m = ModelBuilder()
    inputs = raw(m, 20, 3, dtype)
    m.output(*detections(m, inputs, max_detections=15, nms_score_threshold=0.9))
    content = m.build()
    if dtype == "int8":
        m.to_uint8(0)
    ours, oracle = host.load(content), Oracle(m.build())
    rng = np.random.default_rng(1)
    counts = set()
    for _ in range(8):
        if dtype == "int8":
            values = [rng.integers(-128, 128, t.shape, np.int8) for t in inputs]
            theirs = oracle.run(*[v.view(np.uint8) ^ np.uint8(128) for v in values])
        else:
            values = [rng.normal(0, 0.5, t.shape).astype(np.float32) for t in inputs]
            theirs = oracle.run(*values)
        got = ours.run(*values)
        (count,) = map(int, got[3])
        counts.add(count)
        assert np.array_equal(got[3], theirs[3])
        for a, b in zip(got[:3], theirs[:3], strict=True):
            assert np.array_equal(a[:, :count], b[:, :count])
            assert not a[:, count:].any()
    assert max(counts) > 0 and min(counts) < 15


def test_exponential_of_the_boxes_is_exact_to_four_ulp(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    header = resource("kernels", "detection_postprocess", "portable.h")
    (tmp_path / "e.c").write_text(
        f'#include "{header}"\ndouble e(double x) {{ return lotor_double_exp(x); }}\n'
    )
    command = ["gcc", "-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "e.c"]
    subprocess.run([*command, "-o", "e.so"], cwd=tmp_path, check=True)
    ffi = cffi.FFI()
    ffi.cdef("double e(double x);")
    library: Any = ffi.dlopen(str(tmp_path / "e.so"))
    rng = np.random.default_rng(0)
    for x in [*rng.uniform(-700, 700, 5000), *rng.uniform(-3, 3, 5000), 0.0, -0.0, 709.7, -708.0]:
        assert abs(library.e(x) - math.exp(x)) <= 4 * math.ulp(math.exp(x)), x
    assert library.e(math.inf) == library.e(710.0) == math.inf
    assert library.e(-math.inf) == library.e(-1e9) == 0.0 and library.e(-746.0) == 0.0
    assert math.isnan(library.e(math.nan))
