"""A drop-in for `tflite_runtime.interpreter`: existing scripts change one import.

    from lotor.interpreter import Interpreter

The model is compiled to C once (cached by content) and run on this machine; results equal LiteRT's
reference kernels. What Lotor cannot compile is refused with the complete list of reasons, unless
`fallback="litert"` asks for ai-edge-litert by name.

Names, arguments, dictionaries and the kind of exception (`ValueError`, `RuntimeError`) are those of
LiteRT's Python interpreter, so that scripts that catch them go on working.
"""

import enum
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lotor.compiler import UnsupportedModelError, compile_model, read_content
from lotor.errors import LotorError
from lotor.frontend.tflite import read_model, read_tensors
from lotor.graph import Array, DType, Graph, Signature, Tensor
from lotor.host import HostModel
from lotor.infer import as_list
from lotor.optimize.uint8_to_int8 import as_in_file

__all__ = ["Interpreter", "InterpreterError", "OpResolverType", "SignatureRunner", "load_delegate"]

_log = logging.getLogger(__name__)


class InterpreterError(LotorError, ValueError):
    """A wrong argument; also a `ValueError`, which is what LiteRT raises."""


class NotReadyError(LotorError, RuntimeError, ValueError):
    """A call before `allocate_tensors`; LiteRT raises a `RuntimeError` or a `ValueError`."""


class OpResolverType(enum.Enum):
    """Accepted for compatibility: every one gives the reference kernels' results."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


def load_delegate(library: str, options: Mapping[str, Any] | None = None) -> Any:
    """Refuse: Lotor compiles models to C for the processor and has no delegates.

    Raises:
        InterpreterError: always.
    """
    raise InterpreterError(
        f"delegate '{library}': Lotor runs on the processor and has no delegates; leave "
        "load_delegate out, or use ai_edge_litert for this model"
    )


class SignatureRunner:
    """Runs a model by the names of one of its signatures; made by `get_signature_runner`."""

    def __init__(self, interpreter: "Interpreter", signature: Signature) -> None:
        self._interpreter = interpreter
        self._signature = signature

    def __call__(self, **inputs: Array) -> dict[str, Array]:
        """Run one inference; returns copies of the outputs by name.

        Raises:
            InterpreterError: a missing or unknown name, or a wrong shape or type.
        """
        wanted = self._signature.inputs
        if len(inputs) != len(wanted):
            raise InterpreterError(
                "Invalid number of inputs provided for running a SignatureDef, "
                f"expected {len(wanted)} vs provided {len(inputs)}: {', '.join(wanted)}"
            )
        for name, value in inputs.items():
            if name not in wanted:
                raise InterpreterError(
                    f"Invalid Input name ({name}) for SignatureDef; known: {', '.join(wanted)}"
                )
            index = wanted[name]
            self._interpreter.resize_tensor_input(index, np.shape(value))
        self._interpreter.allocate_tensors()
        for name, value in inputs.items():
            self._interpreter.set_tensor(wanted[name], value)
        self._interpreter.invoke()
        outputs = self._signature.outputs.items()
        return {name: self._interpreter.get_tensor(index) for name, index in outputs}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """Return the details of each input by its name."""
        return self._details(self._signature.inputs)

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """Return the details of each output by its name."""
        return self._details(self._signature.outputs)

    def _details(self, names: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        known = {d["index"]: d for d in self._interpreter.get_tensor_details()}
        return {name: known[index] for name, index in names.items()}


class Interpreter:
    """A model that runs on this machine, with the call surface of LiteRT's interpreter."""

    def __new__(
        cls,
        model_path: str | Path | None = None,
        model_content: bytes | None = None,
        *args: Any,
        fallback: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return LiteRT's interpreter instead if that is asked for and Lotor refuses the model."""
        if fallback not in (None, "litert"):
            raise InterpreterError(f"fallback '{fallback}' is not known; 'litert' or nothing")
        if fallback == "litert":
            try:
                compile_model(_content(model_path, model_content))
            except UnsupportedModelError as error:
                _log.warning("%s; running it with ai-edge-litert, as asked", error)
                return _litert(model_path, model_content, *args, **kwargs)
        return super().__new__(cls)

    def __init__(
        self,
        model_path: str | Path | None = None,
        model_content: bytes | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: Any = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        *,
        target: str = "host",
        fallback: str | None = None,
    ) -> None:
        """Compile a model and load it.

        Args:
            model_path: a .tflite file.
            model_content: its bytes instead.
            experimental_delegates: none can be used.
            num_threads: checked and not used: one core runs the model.
            experimental_op_resolver_type: every one gives the reference kernels' results.
            experimental_preserve_all_tensors: keep what every layer has written for `get_tensor`.
            experimental_disable_delegate_clustering: no meaning here.
            experimental_default_delegate_latest_features: no meaning here.
            target: the target that the C is compiled for.
            fallback: "litert" gives ai-edge-litert's interpreter for a model that Lotor refuses,
                with a warning in the log; by default the refusal is raised.

        Raises:
            InterpreterError: wrong arguments, or a file that is no model.
            UnsupportedModelError: layers that cannot be compiled, all of them listed.
        """
        if num_threads is not None and not isinstance(num_threads, int):
            raise InterpreterError("type of num_threads should be int")
        if num_threads is not None and num_threads < 1:
            raise InterpreterError("num_threads should >= 1")
        if experimental_delegates:
            raise InterpreterError(
                "delegates cannot be used: Lotor runs on the processor; leave them out"
            )
        content = _content(model_path, model_content)
        name = Path(model_path).stem if model_path else "model"
        try:
            graph = read_model(content, name)
            tensors = read_tensors(content, name)
        except LotorError as error:
            raise InterpreterError(str(error)) from error
        compiled = compile_model(Path(model_path) if model_path else content, target)
        self._model = HostModel(compiled)
        self._signatures = graph.signatures
        self._tensors = _settled(tensors, compiled.graph)
        self._inputs = [_source(t) for t in graph.inputs]
        self._outputs = [_source(t) for t in graph.outputs]
        self._preserve = experimental_preserve_all_tensors
        self._layers: dict[int, Array] = {}
        self._values: dict[int, Array] | None = None

    def allocate_tensors(self) -> None:
        """Make the arrays of inputs and outputs, needed once; forget what runs have left."""
        self._model.reset()
        if self._values is None:
            places = {*self._inputs, *self._outputs}
            self._values = {
                i: np.zeros(self._tensors[i].shape, self._tensors[i].np_dtype) for i in places
            }

    def get_input_details(self) -> list[dict[str, Any]]:
        """Return a dictionary for each input: name, index, shape, dtype, quantization."""
        return [_details(i, self._tensors[i]) for i in self._inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Return a dictionary for each output: name, index, shape, dtype, quantization."""
        return [_details(i, self._tensors[i]) for i in self._outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """Return a dictionary for each tensor of the model file that has a numpy type.

        Raises:
            InterpreterError: another subgraph than the first.
        """
        _check_subgraph(subgraph_index)
        return [_details(i, t) for i, t in enumerate(self._tensors) if t.dtype is not DType.OTHER]

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copy a value into an input.

        Raises:
            InterpreterError: no input, or another shape or type.
            NotReadyError: `allocate_tensors` was not called.
        """
        tensor = self._tensor(tensor_index)
        array = np.asarray(value)
        if array.dtype != tensor.np_dtype:
            raise InterpreterError(
                f"Cannot set tensor: Got value of type {array.dtype.name.upper()} but expected "
                f"type {tensor.dtype.name} for input {tensor_index}, name: {tensor.name}"
            )
        if array.shape != tensor.shape:
            raise InterpreterError(
                f"Cannot set tensor: Dimension mismatch. Got {list(array.shape)} but expected "
                f"{list(tensor.shape)} for input {tensor_index}, name: {tensor.name}"
            )
        if tensor_index not in self._inputs:
            raise InterpreterError(
                f"tensor {tensor_index} ('{tensor.name}') is no input and cannot be set"
            )
        self._allocated()[tensor_index][...] = array

    def resize_tensor_input(self, input_index: int, tensor_size: Any, strict: bool = False) -> None:
        """Accept the size that the model has; refuse any other.

        Raises:
            InterpreterError: another size: memory is planned when the model is compiled.
        """
        tensor = self._tensor(input_index)
        wanted = tuple(int(n) for n in np.asarray(tensor_size).reshape(-1))
        if wanted != tensor.shape:
            raise InterpreterError(
                f"input '{tensor.name}' is {list(tensor.shape)} and cannot be resized to "
                f"{list(wanted)}: Lotor plans memory when it compiles; convert the model with "
                "that input size"
            )

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Array:
        """Return a copy of an input, an output, a constant or a preserved tensor.

        Raises:
            InterpreterError: no such tensor, one whose value was not kept, or another subgraph than
                the first.
            NotReadyError: `allocate_tensors` was not called.
        """
        _check_subgraph(subgraph_index)
        tensor = self._tensor(tensor_index)
        values = self._allocated()
        if tensor_index in values:
            return values[tensor_index].copy()
        if tensor.data is not None:
            return tensor.data.copy()
        if tensor_index in self._layers:
            return as_in_file(self._layers[tensor_index], tensor.np_dtype).copy()
        raise InterpreterError(
            f"the value of tensor {tensor_index} ('{tensor.name}') is not kept; "
            + (
                "the compiler has merged its layer with another one"
                if self._preserve and self._layers
                else "give experimental_preserve_all_tensors=True and invoke"
            )
        )

    def tensor(self, tensor_index: int) -> Callable[[], Array]:
        """Return a function that gives the array of an input or output itself, not a copy.

        Raises:
            InterpreterError: neither an input nor an output.
        """
        tensor = self._tensor(tensor_index)
        if tensor_index not in (*self._inputs, *self._outputs):
            raise InterpreterError(
                f"tensor {tensor_index} ('{tensor.name}') is neither input nor output; "
                "use get_tensor"
            )
        return lambda: self._allocated()[tensor_index]

    def invoke(self) -> None:
        """Run one inference.

        Raises:
            NotReadyError: `allocate_tensors` was not called.
        """
        values = self._allocated()
        inputs = [values[i] for i in self._inputs]
        if self._preserve:
            before = self._model.state
            self._layers = _preserved(self._model, inputs)
            self._model.state = before
        for index, output in zip(self._outputs, as_list(self._model.run(*inputs)), strict=True):
            values[index][...] = output

    def reset_all_variables(self) -> None:
        """Forget what the model keeps from one run to the next."""
        self._model.reset()

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """Return the names of inputs and outputs of each signature."""
        return {
            key: {"inputs": sorted(s.inputs), "outputs": sorted(s.outputs)}
            for key, s in self._signatures.items()
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """Return a function that runs a signature by names.

        Raises:
            InterpreterError: no such signature, or none named where the model has not just one.
        """
        if signature_key is None:
            if len(self._signatures) != 1:
                raise InterpreterError(
                    "SignatureDef signature_key is None and model has "
                    f"{len(self._signatures)} Signatures. None is only allowed when the model has "
                    "1 SignatureDef"
                )
            (signature_key,) = self._signatures
        if signature_key not in self._signatures:
            raise InterpreterError(
                f'Invalid signature_key provided: "{signature_key}"; '
                f"known: {', '.join(self._signatures) or 'none'}"
            )
        return SignatureRunner(self, self._signatures[signature_key])

    def _tensor(self, index: int) -> Tensor:
        if not 0 <= index < len(self._tensors):
            raise InterpreterError(
                f"Invalid tensor index {index} exceeds max tensor index {len(self._tensors) - 1}"
            )
        return self._tensors[index]

    def _allocated(self) -> dict[int, Array]:
        if self._values is None:
            raise NotReadyError("the model is not ready; call allocate_tensors() first")
        return self._values


def _content(path: str | Path | None, content: bytes | None) -> bytes:
    if path is None and content is None:
        raise InterpreterError("`model_path` or `model_content` must be specified.")
    if path is not None and content is not None:
        raise InterpreterError("Can't both provide `model_path` and `model_content`")
    if content is not None:
        return bytes(content)
    try:
        return read_content(Path(str(path)))[0]
    except LotorError as error:
        raise InterpreterError(f"Could not open '{path}': {error}") from error


def _litert(*args: Any, **kwargs: Any) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter as LiteRT
    except ImportError as error:
        raise InterpreterError(
            "fallback 'litert': ai-edge-litert is not installed; pip install 'lotor[verify]'"
        ) from error
    own = ("target", "experimental_op_resolver_type")
    return LiteRT(*args, **{k: v for k, v in kwargs.items() if k not in own})


def _check_subgraph(index: int) -> None:
    if index != 0:
        raise InterpreterError(f"subgraph_index is {index}; the model has 1 subgraph")


def _settled(tensors: Sequence[Tensor], graph: Graph) -> list[Tensor]:
    """Return the file's tensors with the shapes that the compiler found for those left open."""
    shapes = {t.source: t.shape for op in graph.ops for t in op.outputs}
    return [replace(t, shape=shapes.get(i, t.shape)) for i, t in enumerate(tensors)]


def _source(tensor: Tensor) -> int:
    assert tensor.source is not None, "the file's own tensors have an index"
    return tensor.source


def _preserved(model: HostModel, inputs: Sequence[Array]) -> dict[int, Array]:
    """Return what every layer writes, by the index of its tensor in the file."""
    found = {}
    for layer, output in zip(model.compiled.layers, model.layer_outputs(*inputs), strict=True):
        if layer.output.source is not None:
            found[layer.output.source] = output
    return found


def _details(index: int, tensor: Tensor) -> dict[str, Any]:
    quant = tensor.quant
    scales = np.array([], np.float32) if quant is None else quant.scales
    points = np.array([], np.int32) if quant is None else quant.zero_points.astype(np.int32)
    single = quant is not None and not quant.per_channel
    return {
        "name": tensor.name,
        "index": index,
        "shape": np.array(tensor.shape, np.int32),
        "shape_signature": np.array(tensor.shape_signature or tensor.shape, np.int32),
        "dtype": tensor.np_dtype.type,
        "quantization": (tensor.q.scale, tensor.q.zero_point) if single else (0.0, 0),
        "quantization_parameters": {
            "scales": scales,
            "zero_points": points,
            "quantized_dimension": 0 if quant is None else quant.axis,
            "block_size": 0,
        },
        "sparsity_parameters": {},
    }
