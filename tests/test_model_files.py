"""What real model files have besides layers: signatures, labels, odd storage, old habits."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers  # type: ignore[import-untyped]

from cases import built
from cases.conv_2d import conv_2d
from cases.detection_postprocess import detection_postprocess
from cases.network import network
from exactness import as_list, difference, inputs_of
from lotor import host
from lotor.classifier import HostClassifier
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.errors import LotorError
from lotor.frontend.tflite import read_model, read_tensors
from lotor.graph import DType
from lotor.optimize import trace
from lotor.oracle import Oracle
from lotor.verify import random_inputs
from lotor.zoo import find_model
from model_files import (
    pack,
    signature,
    unpack,
    with_axes_in_place,
    with_buffers_outside,
    with_labels,
)
from tflite_builder import ModelBuilder, Quant


def _softmax(classes: int = 4) -> bytes:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, classes), Quant(0.1, 0))))
    return m.build()


def _classifier(classes: int) -> bytes:
    m = ModelBuilder()
    m.output(m.mean(m.conv2d(m.input((1, 4, 4, 1), Quant(1 / 255, -128)), classes)))
    return m.build()


def _edited(content: bytes, edit: Callable[[Any], None]) -> bytes:
    model = unpack(content)
    edit(model)
    return pack(model)


def _refusal(content: bytes) -> str:
    with pytest.raises(LotorError) as caught:
        compile_model(content)
    return str(caught.value)


def test_buffers_outside_the_flatbuffer() -> None:
    model = built(conv_2d)
    content = with_buffers_outside(model.build())
    assert len(content) > len(model.build())
    ours, oracle = host.load(content), Oracle(content)
    for inputs in inputs_of(model):
        assert not difference(as_list(ours.run(*inputs)), as_list(oracle.run(*inputs)))
    assert "damaged" in _refusal(content[:-20])


def test_signatures_name_inputs_and_outputs() -> None:
    def name(model: Any) -> None:
        model.signatureDefs = [
            signature("serving_default", {"image": 0}, {"scores": 1}),
            signature("elsewhere", {"image": 0}, {"scores": 1}, subgraph=1),
        ]

    graph = read_model(_edited(_softmax(), name), "m")
    assert list(graph.signatures) == ["serving_default"]
    found = graph.signatures["serving_default"]
    assert (dict(found.inputs), dict(found.outputs)) == ({"image": 0}, {"scores": 1})
    assert (
        compile_model(_edited(_softmax(), name)).graph.signatures.keys() == graph.signatures.keys()
    )


def test_signature_of_a_tensor_that_is_not_there() -> None:
    def name(model: Any) -> None:
        model.signatureDefs = [signature("serving_default", {"image": 9}, {})]

    assert "tensor 9 of 2" in _refusal(_edited(_softmax(), name))


@pytest.mark.parametrize("kind", [2, 3])
def test_labels_in_the_file(kind: int, tmp_path: Path) -> None:
    content = with_labels(_classifier(3), "raccoon\ncat\r\n\nWaschbär\n".encode(), kind)
    compiled = compile_model(content)
    assert compiled.graph.labels == ("raccoon", "cat", "Waschbär")
    assert '#define MODEL_LABELS {"raccoon", "cat", "Waschbär"}' in compiled.header
    assert compiled.report["labels"] == ["raccoon", "cat", "Waschbär"]
    assert '{"other"}' in compile_model(content, labels=["other"]).header
    path = tmp_path / "named.tflite"
    path.write_bytes(content)
    assert HostClassifier(find_model(str(path))).labels == ["raccoon", "cat", "Waschbär"]
    path.write_bytes(with_labels(_classifier(4), b"too\nfew"))
    assert HostClassifier(find_model(str(path))).labels[:2] == ["class 0", "class 1"]


@pytest.mark.parametrize(
    "content",
    [
        with_labels(_softmax(), b"a\nb", kind=1),
        with_labels(_softmax(), b"a\nb", listed="missing.txt"),
        with_labels(_softmax(), b"\xff\xfe"),
        with_labels(_softmax(), b"a\nb")[:-30],
    ],
    ids=["vocabulary", "no such file", "no text", "damaged archive"],
)
def test_labels_that_cannot_be_read_stop_nothing(content: bytes) -> None:
    assert compile_model(content).graph.labels == ()


def test_every_tensor_of_the_file() -> None:
    model = built(network)
    tensors = read_tensors(model.build(), "m")
    assert [t.name for t in tensors] == [t.name for t in model.tensors]
    assert [t.source for t in tensors] == list(range(len(tensors)))


def test_open_sizes_are_kept_beside_the_stored_ones() -> None:
    m = ModelBuilder()
    m.output(m.conv2d(m.input((1, 4, 4, 2), Quant(0.1, 0), signature=(-1, 4, 4, 2)), 3))
    graph = compile_model(m.build()).graph
    assert graph.inputs[0].shape == (1, 4, 4, 2)
    assert graph.inputs[0].shape_signature == (-1, 4, 4, 2)
    assert graph.outputs[0].shape_signature is None


def test_sparse_constants_are_refused() -> None:
    def thin(model: Any) -> None:
        model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()

    assert "sparse; convert the model without" in _refusal(_edited(built(conv_2d).build(), thin))


def test_constants_in_another_file_are_refused() -> None:
    def move(model: Any) -> None:
        model.subgraphs[0].tensors[1].externalBuffer = 1

    assert "lies in another file" in _refusal(_edited(built(conv_2d).build(), move))


def test_quantization_by_blocks_is_refused() -> None:
    def block(model: Any) -> None:
        quant = model.subgraphs[0].tensors[1].quantization
        quant.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        quant.details = schema.BlockwiseQuantizationT()

    assert "by blocks; quantize the model per channel" in _refusal(
        _edited(built(conv_2d).build(), block)
    )


def test_all_layers_with_constants_that_cannot_be_read_are_listed() -> None:
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2), Quant(0.1, 0))
    y = m.conv2d(m.conv2d(m.unary("SKIP_GRAM", x), 3), 3)
    m.output(m.conv2d(y, 3))

    def spoil(model: Any) -> None:
        _, second, third = [op for op in model.subgraphs[0].operators if len(op.inputs) == 3]
        model.subgraphs[0].tensors[second.inputs[1]].sparsity = schema.SparsityParametersT()
        model.subgraphs[0].tensors[third.inputs[1]].externalBuffer = 1

    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(_edited(m.build(), spoil))
    assert [(p.kind, p.reason.split(";")[0].split("' ")[-1]) for p in caught.value.problems] == [
        ("SKIP_GRAM", "operator not supported"),
        ("CONV_2D", "is sparse"),
        ("CONV_2D", "lies in another file"),
    ]


def test_variables_are_refused_where_no_operator_keeps_them() -> None:
    m = ModelBuilder()
    state = m.tensor((1, 4), Quant(0.1, 0), name="memory")
    m.output(m.add(m.input((1, 4), Quant(0.1, 0)), state))

    def keep(model: Any) -> None:
        model.subgraphs[0].tensors[state.index].isVariable = True

    assert "'memory' keeps its value between runs" in _refusal(_edited(m.build(), keep))


def _with_initialiser(called: int) -> bytes:
    def add(model: Any) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = schema.BuiltinOperator.CALL_ONCE
        code.deprecatedBuiltinCode = 127
        model.operatorCodes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, [], []
        op.builtinOptionsType = schema.BuiltinOptions.CallOnceOptions
        op.builtinOptions = schema.CallOnceOptionsT()
        op.builtinOptions.initSubgraphIndex = called
        model.subgraphs[0].operators.insert(0, op)
        empty = schema.SubGraphT()
        empty.tensors, empty.inputs, empty.outputs, empty.operators = [], [], [], []
        model.subgraphs.append(empty)

    return _edited(_softmax(), add)


def test_initialisers_are_read() -> None:
    graph = read_model(_with_initialiser(1), "m")
    assert list(graph.subgraphs) == [1]
    assert graph.ops[0].kind == "CALL_ONCE"


@pytest.mark.parametrize("called", [0, 2, 2**31 - 1])
def test_initialisers_that_are_not_there(called: int) -> None:
    assert "CALL_ONCE" in _refusal(_with_initialiser(called))


def test_other_subgraphs_are_refused() -> None:
    def add(model: Any) -> None:
        model.subgraphs.append(model.subgraphs[0])

    assert "2 subgraphs" in _refusal(_edited(_softmax(), add))


def test_an_absent_option_table_means_zeros() -> None:
    def strip(model: Any) -> None:
        for op in model.subgraphs[0].operators:
            op.builtinOptionsType, op.builtinOptions = 0, None

    m = ModelBuilder()
    x = m.input((2, 6), Quant(0.1, 0))
    m.output(m.reshape(x, (3, 4)), m.add(x, x, "NONE"))
    content = _edited(m.build(), strip)
    ours, oracle = host.load(content), Oracle(content)
    for inputs in inputs_of(m):
        assert not difference(as_list(ours.run(*inputs)), as_list(oracle.run(*inputs)))
    assert "at least 1" in _refusal(_edited(built(conv_2d).build(), strip))


def test_ranges_without_scales() -> None:
    def old(model: Any) -> None:
        quant = model.subgraphs[0].tensors[0].quantization
        quant.min, quant.max, quant.scale, quant.zeroPoint = [-6.0], [6.0], None, None

    assert "needs one scale" in _refusal(_edited(_softmax(), old))


def test_scales_of_float_tensors_mean_nothing() -> None:
    def zero(model: Any) -> None:
        quant = schema.QuantizationParametersT()
        quant.scale, quant.zeroPoint = [0.0], [0]
        model.subgraphs[0].tensors[0].quantization = quant

    m = ModelBuilder()
    m.output(m.quantize(m.input((1, 4), dtype="float32"), Quant(0.1, 0)))
    assert compile_model(_edited(m.build(), zero)).graph.inputs[0].quant is None
    # As the converter writes for int16 tensors that were zero in all representative data.
    text = _refusal(_edited(_softmax(), zero))
    assert "scale 0" in text and "representative data" in text and "damaged" not in text


@pytest.mark.parametrize("scale", [-1.0, math.nan, math.inf])
def test_scales_that_are_no_positive_number(scale: float) -> None:
    def wrong(model: Any) -> None:
        model.subgraphs[0].tensors[0].quantization.scale = [scale]

    assert "not a positive number" in _refusal(_edited(_softmax(), wrong))


def test_constants_without_elements() -> None:
    m = ModelBuilder()
    x = m.input((1, 1), Quant(0.1, 0))
    y = m.tensor((), Quant(0.1, 0))
    shape = m.constant(np.zeros(0, np.int32), None, "int32")
    m.output(m.operator("RESHAPE", [x, shape], [y], "ReshapeOptions"))
    ours = host.load(m.build())
    assert np.asarray(ours.run(np.full((1, 1), 7, np.int8))).tolist() == 7


def test_packed_int4_constants() -> None:
    def shrink(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[1]
        tensor.type = schema.TensorType.INT4
        values = np.asarray(model.buffers[tensor.buffer].data, np.uint8) & 15
        values = np.append(values, np.zeros(values.size % 2, np.uint8))
        model.buffers[tensor.buffer].data = values[::2] | values[1::2] << 4

    m = ModelBuilder()
    m.output(m.fully_connected(m.input((1, 5), Quant(0.1, 0)), 3))
    weights = read_tensors(_edited(m.build(), shrink), "m")[1]
    assert weights.dtype is DType.INT4 and weights.data is not None
    whole = np.asarray(m.tensors[1].data)
    assert np.array_equal(weights.data, (whole << 4) >> 4)


def test_constants_are_not_copied() -> None:
    m = ModelBuilder()
    m.output(m.conv2d(m.input((1, 4, 4, 64), Quant(0.1, 0)), 64))
    content = m.build()
    data = read_tensors(content, "m")[1].data
    assert data is not None and not data.flags.owndata and not data.flags.writeable


def test_input_that_is_a_constant() -> None:
    def more(model: Any) -> None:
        model.subgraphs[0].inputs = [0, 1]

    assert "is a constant" in _refusal(_edited(built(conv_2d).build(), more))


def test_input_listed_twice() -> None:
    def twice(model: Any) -> None:
        model.subgraphs[0].inputs = [0, 0]

    assert "listed twice" in _refusal(_edited(_softmax(), twice))


@pytest.mark.parametrize("size", [0, 1 << 27])
def test_shapes_that_no_rewrite_copes_with(size: int) -> None:
    m = ModelBuilder()
    m.output(m.unary("RELU", m.unary("ABS", m.input((1, size), Quant(0.1, 0)))))
    graph = read_model(m.build(), "m")
    assert list(trace(graph)) == []
    assert (size > 0) or "without elements" in _refusal(m.build())


def test_detections_without_their_options_are_refused() -> None:
    def strip(model: Any) -> None:
        for op in model.subgraphs[0].operators:
            op.customOptions = list(flexbuffers.Dumps({"max_detections": 3}))

    assert "the options lack max_classes_per_detection, nms" in _refusal(
        _edited(built(detection_postprocess).build(), strip)
    )


@pytest.mark.shared
def test_odd_axes_of_biases(shared: Path) -> None:
    # LiteRT refuses the file as it is; it has per-channel biases that name the weights' axis.
    path = shared / "models/tensorflow+tflite-micro/tensorflow/lite/micro/models"
    content = (path / "person_detect.tflite").read_bytes()

    oracle, ours = Oracle(with_axes_in_place(content)), host.load(content)
    for inputs in random_inputs(ours.compiled.graph, 8, seed=0):
        assert not difference(as_list(ours.run(*inputs)), as_list(oracle.run(*inputs)))
