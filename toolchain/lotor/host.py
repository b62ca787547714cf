"""The generated C on this machine: built once, loaded through cffi."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from lotor.codegen.c import ARENA_ALIGN
from lotor.compiler import Compiled, compile_model
from lotor.errors import LotorError
from lotor.graph import Array, Tensor
from lotor.resources import cache_dir
from lotor.targets import Target

# No contraction: a fused multiply-add would round once where the reference rounds twice.
_FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-ffp-contract=off")

# Lets Python see every layer's output: the hook of the generated code calls a function pointer.
_TRACE = """
static void (*layer_hook)(int, const void *, size_t);
void lotor_set_layer_hook(void (*hook)(int, const void *, size_t)) { layer_hook = hook; }
void lotor_layer_done(int layer, const void *output, size_t bytes) {
    if (layer_hook != NULL) {
        layer_hook(layer, output, bytes);
    }
}
"""

_TRACE_LOCK = threading.Lock()


class HostModel:
    """A compiled model that runs on this machine; calls from several threads take turns.

    Attributes:
        compiled: what the compiler knows of it.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self._ffi = cffi.FFI()
        self._ffi.cdef(
            f"int {compiled.name}_run(void *, {', '.join(['void *'] * self._borders)});"
            f"int {compiled.name}_reset(void *);"
            "void lotor_set_layer_hook(void (*)(int, const void *, size_t));"
        )
        self._library = self._ffi.dlopen(str(build_library(compiled, trace=False)))
        self._run = getattr(self._library, f"{compiled.name}_run")
        self._tracing: Any = None
        raw = np.zeros(compiled.plan.arena_bytes + ARENA_ALIGN, np.uint8)
        start = -raw.ctypes.data % ARENA_ALIGN
        self._memory = raw[start : start + compiled.plan.arena_bytes]
        self._arena = self._ffi.from_buffer(self._memory.data)
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget what the model keeps from one run to the next."""
        if self.compiled.plan.variables:
            with self._lock:
                getattr(self._library, f"{self.compiled.name}_reset")(self._arena)

    @property
    def state(self) -> bytes:
        """What the model keeps from one run to the next; may be set to an earlier value."""
        with self._lock:
            return b"".join(self._memory[place].tobytes() for place in self._state_places())

    @state.setter
    def state(self, value: bytes) -> None:
        with self._lock:
            for place in self._state_places():
                size = place.stop - place.start
                self._memory[place] = np.frombuffer(value[:size], np.uint8)
                value = value[size:]

    def _state_places(self) -> list[slice]:
        plan = self.compiled.plan
        return [slice(plan.offset(t), plan.offset(t) + t.nbytes) for t in plan.variables]

    @property
    def _borders(self) -> int:
        return len(self.compiled.graph.inputs) + len(self.compiled.graph.outputs)

    def run(self, *inputs: Array) -> Any:
        """Run one inference.

        Args:
            inputs: one array for each input of the model, of its exact shape and type.

        Returns:
            The output array, or a tuple of them where the model has several.

        Raises:
            LotorError: an input has another shape or type.
        """
        outputs = self._invoke(self._run, inputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def layer_outputs(self, *inputs: Array) -> list[Array]:
        """Run one inference and return what every layer has written, in order of the layers."""
        if self._tracing is None:
            library = build_library(self.compiled, trace=True)
            self._tracing = self._ffi.dlopen(str(library))
        layers = self.compiled.layers
        seen: dict[int, Array] = {}

        @self._ffi.callback("void(int, const void *, size_t)")
        def keep(layer: int, output: Any, _: int) -> None:
            if layer >= 0:
                tensor = layers[layer].output
                rows = max(tensor.elements // tensor.row, 1)
                elements = (rows - 1) * tensor.step + tensor.row
                data = bytes(self._ffi.buffer(output, elements * tensor.np_dtype.itemsize))
                flat = np.frombuffer(data, tensor.np_dtype)
                strides = (tensor.step * flat.itemsize, flat.itemsize)
                table = np.lib.stride_tricks.as_strided(flat, (rows, tensor.row), strides)
                seen[layer] = table.reshape(tensor.shape)

        with _TRACE_LOCK:  # the hook belongs to the library, which other models may share
            self._tracing.lotor_set_layer_hook(keep)
            try:
                self._invoke(getattr(self._tracing, f"{self.compiled.name}_run"), inputs)
            finally:
                self._tracing.lotor_set_layer_hook(self._ffi.NULL)
        return [seen[index] for index in range(len(layers))]

    def _invoke(self, function: Any, inputs: Sequence[Array]) -> list[Array]:
        graph = self.compiled.graph
        checked = check_inputs(graph.inputs, inputs)
        outputs = [np.empty(t.shape, t.np_dtype) for t in graph.outputs]
        pointers = [self._ffi.from_buffer(a.data) for a in [*checked, *outputs]]
        with self._lock:
            status = function(self._arena, *pointers)
        if status != 0:
            raise RuntimeError(f"{self.compiled.name}_run returned {status}")
        return outputs


def check_inputs(tensors: Sequence[Tensor], inputs: Sequence[Array]) -> list[Array]:
    """Return inputs as contiguous arrays after checking them against the model's.

    Raises:
        LotorError: wrong number, shape or type.
    """
    if len(inputs) != len(tensors):
        raise LotorError(f"the model has {len(tensors)} input(s), {len(inputs)} given")
    checked = []
    for tensor, array in zip(tensors, inputs, strict=True):
        if tuple(array.shape) != tensor.shape or array.dtype != tensor.np_dtype:
            raise LotorError(
                f"input '{tensor.name}' must be {tensor.dtype.value} {list(tensor.shape)}, "
                f"not {array.dtype} {list(array.shape)}"
            )
        checked.append(np.ascontiguousarray(array))
    return checked


def load(model: str | Path | bytes, target: str = "host", ram: int | None = None) -> HostModel:
    """Compile a model for this machine and load it.

    Args:
        model: a .tflite file, its bytes, or the name of a model that ships with Lotor.
        target: `host`, `portable` or another target that this machine can run.
        ram: bytes that the arena may take; layers run in stripes where it would take more.

    Raises:
        LotorError: the model cannot be read or compiled, or there is no C compiler.
    """
    from lotor.zoo import find_model

    if isinstance(model, bytes):
        return HostModel(compile_model(model, target, ram=ram))
    found = find_model(str(model))
    return HostModel(compile_model(found.path, target, labels=found.labels or (), ram=ram))


def build_library(compiled: Compiled, trace: bool) -> Path:
    """Return the shared library of a model, built if the cache has none of this content.

    The file's name is the hash of everything that decides its bytes. It is built beside its final
    place and renamed, so that two processes that build at once never see half a file.
    """
    _check_runs_here(compiled.target)
    compiler = shutil.which(compiled.target.compiler)
    if compiler is None:
        raise LotorError(
            f"no C compiler '{compiled.target.compiler}' found; install it, "
            "for instance: sudo apt-get install gcc"
        )
    flags = [*_FLAGS, *compiled.target.flags]
    parts = [compiled.header, compiled.source, _TRACE if trace else "", *flags, _machine(compiler)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    folder = cache_dir() / "host"
    library = folder / f"{compiled.name[:40]}-{key[:32]}.so"
    if library.exists():
        return library
    command = [compiler, *flags, *(["-DLOTOR_PROFILE"] if trace else [])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
            os.replace(_build(compiled, trace, command, Path(scratch)), library)
    except OSError as error:
        raise LotorError(
            f"cannot build in {folder}: {error.strerror}; name another folder in $LOTOR_CACHE"
        ) from error
    return library


def _build(compiled: Compiled, trace: bool, command: Sequence[str], folder: Path) -> Path:
    (folder / f"{compiled.name}.h").write_text(compiled.header, "utf-8")
    source = compiled.source + (_TRACE if trace else "")
    (folder / f"{compiled.name}.c").write_text(source, "utf-8")
    done = subprocess.run(
        [*command, f"{compiled.name}.c", "-o", "model.so"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [*done.stderr.split("\n"), "no message"]
        raise LotorError(
            f"{command[0]} cannot build {compiled.name} for target {compiled.target.name}: "
            f"{next(line for line in lines if line.strip())}"
        )
    return folder / "model.so"


def _check_runs_here(target: Target) -> None:
    if target.machine != platform.machine() or target.cpu_flag not in _cpu_flags().split(" "):
        raise LotorError(
            f"this machine ({platform.machine()}) cannot run target {target.name}; "
            "use target host or portable, or a board"
        )


def _machine(compiler: str) -> str:
    """Return what `-march=native` depends on: compiler and processor."""
    version = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, check=False)
    return f"{platform.machine()} {version.stdout.decode().strip()} {_cpu_flags()}"


@cache
def _cpu_flags() -> str:
    """Return what the processor can do, words between single spaces, one empty word included."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return " "
    lines = [line for line in info.splitlines() if line.startswith(("flags", "Features"))]
    return " " + (lines[0].split(":", 1)[1] if lines else "")
