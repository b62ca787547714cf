"""The drop-in interpreter: the same calls on Lotor and on LiteRT give the same answers."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter as LiteRT

from cases import built
from cases.network import network
from cases.svdf import layers_over_time
from exactness import as_list, difference, inputs_of
from lotor.compiler import UnsupportedModelError
from lotor.errors import LotorError
from lotor.interpreter import Interpreter, InterpreterError, NotReadyError, load_delegate
from lotor.oracle import Oracle
from model_files import pack, signature, unpack
from tflite_builder import ModelBuilder, Quant


def two_borders() -> bytes:
    """A model of two inputs and two outputs, one of them a tensor inside."""
    m = ModelBuilder(seed=4)
    a, b = m.input((1, 5, 4, 3), Quant(0.1, 3)), m.input((1, 3), Quant(0.05, -7))
    y = m.conv2d(a, 3)
    m.output(m.add(m.mean(y), b), y)
    return m.build()


def unsupported() -> bytes:
    """A model that LiteRT runs and Lotor does not."""
    m = ModelBuilder()
    x = m.input((1, 1, 8), dtype="float32")
    lengths = m.constant(np.array([1, 8]), None, "int32")
    spectrum = m.tensor((1, 1, 5), None, "complex64")
    m.operator("RFFT2D", [x, lengths], [spectrum], "Rfft2dOptions")
    m.output(m.operator("COMPLEX_ABS", [spectrum], [m.tensor((1, 1, 5), None, "float32")]))
    return m.build()


def same_details(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            if key == "quantization_parameters":
                for part in b[key]:
                    np.testing.assert_array_equal(a[key][part], b[key][part])
                    assert np.asarray(a[key][part]).dtype == np.asarray(b[key][part]).dtype
            else:
                np.testing.assert_array_equal(a[key], b[key])
                assert type(a[key]) is type(b[key])


@pytest.mark.parametrize("content", [two_borders(), built(network).build()], ids=["two", "net"])
def test_a_script_for_litert_runs_unchanged(content: bytes) -> None:
    rng = np.random.default_rng(3)
    oracle = Oracle(content)
    interpreters = [Interpreter(model_content=content), LiteRT(model_content=content)]
    for each in interpreters:
        each.allocate_tensors()
    ours, theirs = interpreters
    same_details(ours.get_input_details(), theirs.get_input_details())
    same_details(ours.get_output_details(), theirs.get_output_details())
    same_details(ours.get_tensor_details(), theirs.get_tensor_details()[: len(ours._tensors)])
    assert ours.get_signature_list() == theirs.get_signature_list()
    for _ in range(3):
        inputs = []
        for detail in ours.get_input_details():
            if detail["dtype"] is np.float32:
                inputs.append(rng.normal(0, 3, detail["shape"]).astype(np.float32))
            else:
                inputs.append(rng.integers(-128, 128, detail["shape"], dtype=np.int8))
            ours.set_tensor(detail["index"], inputs[-1])
        ours.invoke()
        expected = as_list(oracle.run(*inputs))
        for detail, want in zip(ours.get_output_details(), expected, strict=True):
            got = ours.get_tensor(detail["index"])
            assert got.tobytes() == want.tobytes() and got.dtype == want.dtype
            assert ours.tensor(detail["index"])().tobytes() == want.tobytes()


def test_arrays_of_inputs_and_outputs_can_be_written_in_place() -> None:
    content = two_borders()
    ours = Interpreter(model_content=content)
    ours.allocate_tensors()
    a, b = (d["index"] for d in ours.get_input_details())
    ours.tensor(a)()[...] = 5
    ours.tensor(b)().fill(-3)
    view = ours.tensor(ours.get_output_details()[0]["index"])
    before = view().copy()
    ours.invoke()
    want = Oracle(content).run(np.full((1, 5, 4, 3), 5, np.int8), np.full((1, 3), -3, np.int8))
    assert view().tobytes() == want[0].tobytes() != before.tobytes()
    copy = ours.get_tensor(a)
    copy += 1
    assert (ours.get_tensor(a) == 5).all()


def test_constants_and_preserved_tensors() -> None:
    content = built(network).build()
    x = np.random.default_rng(1).normal(0, 2, (1, 12, 12, 3)).astype(np.float32)
    oracle = Oracle(content)
    oracle.run(x)
    ours = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    ours.allocate_tensors()
    ours.set_tensor(ours.get_input_details()[0]["index"], x)
    ours.invoke()
    kept = 0
    for detail in ours.get_tensor_details():
        try:
            got = ours.get_tensor(detail["index"])
        except InterpreterError as error:
            assert "merged" in str(error)
            continue
        assert got.tobytes() == oracle.tensor(detail["index"]).tobytes(), detail["name"]
        kept += 1
    assert kept > 20
    plain = Interpreter(model_content=content)
    plain.allocate_tensors()
    plain.invoke()
    inside = next(iter(ours._layers))
    with pytest.raises(InterpreterError, match="experimental_preserve_all_tensors"):
        plain.get_tensor(inside)


@pytest.mark.parametrize("preserve", [False, True])
def test_what_a_model_keeps_is_reset_as_by_litert(preserve: bool) -> None:
    model = built(layers_over_time)
    content = model.build()
    ours = Interpreter(model_content=content, experimental_preserve_all_tensors=preserve)
    oracle = Oracle(content)
    ours.allocate_tensors()
    runs = list(inputs_of(model))
    for reset in (False, True, False):
        if reset:
            ours.reset_all_variables()
            oracle.reset()
        for inputs in runs:
            for detail, x in zip(ours.get_input_details(), inputs, strict=True):
                ours.set_tensor(detail["index"], x)
            ours.invoke()
            want = as_list(oracle.run(*inputs))
            got = [ours.get_tensor(d["index"]) for d in ours.get_output_details()]
            assert not difference(got, want)


def test_a_path_and_thread_count_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "two.tflite"
    path.write_bytes(two_borders())
    for given in (path, str(path)):
        Interpreter(given, num_threads=4).allocate_tensors()
    Interpreter(model_path=str(path), experimental_op_resolver_type="any").allocate_tensors()


def test_signatures_run_by_name() -> None:
    model = unpack(two_borders())
    model.signatureDefs = [signature("serve", {"image": 0, "bias": 1}, {"sum": 8, "map": 4})]
    outputs = model.subgraphs[0].outputs
    model.signatureDefs[0].outputs[0].tensorIndex = outputs[0]
    model.signatureDefs[0].outputs[1].tensorIndex = outputs[1]
    content = pack(model)
    ours, theirs = Interpreter(model_content=content), LiteRT(model_content=content)
    assert ours.get_signature_list() == theirs.get_signature_list()
    run, reference = ours.get_signature_runner(), theirs.get_signature_runner("serve")
    for details in ("get_input_details", "get_output_details"):
        a, b = getattr(run, details)(), getattr(reference, details)()
        assert a.keys() == b.keys()
        same_details([a[k] for k in b], [b[k] for k in b])
    image, bias = np.full((1, 5, 4, 3), 9, np.int8), np.full((1, 3), 2, np.int8)
    got = run(bias=bias, image=image)
    want = Oracle(content).run(image, bias)
    assert list(got) == ["sum", "map"]
    assert [y.tobytes() for y in got.values()] == [y.tobytes() for y in want]
    with pytest.raises(InterpreterError, match="expected 2 vs provided 1"):
        run(image=image)
    with pytest.raises(InterpreterError, match=r"other.*image"):
        run(other=bias, image=image)
    with pytest.raises(InterpreterError, match="cannot be resized"):
        run(bias=bias, image=np.zeros((2, 5, 4, 3), np.int8))


def mistakes() -> list[tuple[str, Any, str]]:
    content = two_borders()

    def ready() -> Interpreter:
        made = Interpreter(model_content=content)
        made.allocate_tensors()
        return made

    return [
        ("nothing", lambda: Interpreter(), "must be specified"),
        ("both", lambda: Interpreter("x", b"y"), "both"),
        ("no file", lambda: Interpreter("/no/such.tflite"), "Could not open"),
        ("no model", lambda: Interpreter(model_content=b"rubbish"), "TFL3"),
        ("threads", lambda: Interpreter(model_content=content, num_threads=0), ">= 1"),
        (
            "delegates",
            lambda: Interpreter(model_content=content, experimental_delegates=[1]),
            "delegates",
        ),
        ("fallback", lambda: Interpreter(model_content=content, fallback="tf"), "litert"),
        ("type", lambda: ready().set_tensor(0, np.zeros((1, 5, 4, 3))), "FLOAT64.*INT8"),
        ("shape", lambda: ready().set_tensor(0, np.zeros((5, 4, 3), np.int8)), "mismatch"),
        ("index", lambda: ready().set_tensor(999, np.zeros(1)), "999"),
        ("negative", lambda: ready().get_tensor(-1), "-1"),
        ("inside", lambda: ready().tensor(2), "neither"),
        ("resize", lambda: ready().resize_tensor_input(0, [2, 5, 4, 3]), "cannot be resized"),
        ("signature", lambda: ready().get_signature_runner("x"), "x"),
        ("no signature", lambda: ready().get_signature_runner(), "0 Signatures"),
        ("subgraph", lambda: ready().get_tensor_details(1), "subgraph"),
        ("tensor of a subgraph", lambda: ready().get_tensor(0, 1), "subgraph"),
        ("delegate", lambda: load_delegate("libedgetpu.so.1"), "libedgetpu"),
    ]


@pytest.mark.parametrize(
    ("call", "text"), [m[1:] for m in mistakes()], ids=[m[0] for m in mistakes()]
)
def test_mistakes_are_value_errors_with_a_mend(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        call()
    assert isinstance(caught.value, LotorError)


def test_the_same_size_is_no_resize() -> None:
    ours = Interpreter(model_content=two_borders())
    ours.resize_tensor_input(0, np.array([1, 5, 4, 3]))
    ours.allocate_tensors()


@pytest.mark.parametrize("call", ["invoke", "set_tensor", "get_tensor"])
def test_calls_before_allocation(call: str) -> None:
    ours = Interpreter(model_content=two_borders())
    arguments = {"invoke": (), "get_tensor": (0,), "set_tensor": (0, np.zeros((1, 5, 4, 3), "b"))}
    with pytest.raises(RuntimeError, match="allocate_tensors") as caught:
        getattr(ours, call)(*arguments[call])
    assert isinstance(caught.value, NotReadyError)
    assert isinstance(caught.value, ValueError), "which LiteRT raises for set_tensor"


def test_litert_stands_in_only_where_it_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnsupportedModelError, match="RFFT2D"):
        Interpreter(model_content=unsupported())
    with caplog.at_level(logging.WARNING):
        other = Interpreter(model_content=unsupported(), fallback="litert")
    assert isinstance(other, LiteRT)
    assert "RFFT2D" in caplog.text and "ai-edge-litert" in caplog.text
    other.allocate_tensors()
    other.invoke()
    caplog.clear()
    assert type(Interpreter(model_content=two_borders(), fallback="litert")) is Interpreter
    assert caplog.text == ""
