"""Damages model files in thousands of ways and watches what the compiler does with them.

    python tests/mutations.py --count 20000 [--first N] [--workers N] [--build 0.02]

Each mutation follows from its number. The compiler must accept the file or raise `LotorError`, in
5 seconds of processor time and 1 GiB; of what it accepts, a part is built under the sanitizers and
run.
"""

import argparse
import json
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from cases import built, cases, edges
from lotor.compiler import Compiled, compile_model
from lotor.errors import LotorError
from model_files import pack, unpack
from sanitized import program, run_program

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = CHECKOUT.parent / "shared" / "models"
SECONDS = 5
MEMORY = 1 << 30
_LARGEST = 1 << 22  # bytes of a file that is mutated
_WATCHDOG = 120  # seconds in which a worker must answer, on a machine that does much else
_SMALL = 1 << 21  # MACs, and bytes of arena, of models that are also run

Rng = np.random.Generator


@dataclass(frozen=True)
class Outcome:
    """What became of one mutation; `kind` is compiled, refused, failed, hung or died."""

    number: int
    kind: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: int = 0
    ran: bool = False

    @property
    def good(self) -> bool:
        """Whether that is allowed."""
        return self.kind in ("compiled", "refused")


@dataclass
class Summary:
    """The figures of many mutations."""

    kinds: Counter[str] = field(default_factory=Counter)
    ran: int = 0
    slowest: Outcome | None = None
    largest: Outcome | None = None
    bad: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.kinds[outcome.kind] += 1
        self.ran += outcome.ran
        if not outcome.good:
            self.bad.append(outcome)
        if self.slowest is None or outcome.seconds > self.slowest.seconds:
            self.slowest = outcome
        if self.largest is None or outcome.megabytes > self.largest.megabytes:
            self.largest = outcome

    def __str__(self) -> str:
        counts = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        lines = [f"{self.kinds.total()} mutations: {counts}; {self.ran} built and run"]
        if self.slowest is not None and self.largest is not None:
            lines.append(
                f"slowest {self.slowest.seconds:.2f} s (number {self.slowest.number}), "
                f"most memory {self.largest.megabytes} MiB (number {self.largest.number})"
            )
        lines += [f"number {o.number} {o.kind}: {o.detail}" for o in self.bad[:50]]
        return "\n".join(lines)


# What is damaged.


@cache
def corpus() -> list[tuple[str, bytes]]:
    """Files by name: every case, the shipped models, and those beside the checkout."""
    found = [(build.__name__, built(build).build()) for build in [*cases(), *edges()]]
    paths = [*CHECKOUT.glob("models/*/*.tflite"), *CHECKOUT.glob("tests/regressions/*.tflite")]
    if SHARED.is_dir():
        paths += SHARED.rglob("*.tflite")
    for path in sorted(paths):
        if path.stat().st_size <= _LARGEST:
            found.append((path.stem, path.read_bytes()))
    return found


def mutation(number: int) -> tuple[str, bytes]:
    """The name of the file and its damaged bytes; always the same for a number."""
    rng = np.random.default_rng(number)
    files = corpus()
    small = [f for f in files if len(f[1]) < 50_000]
    pool = small if rng.random() < 0.8 else files
    name, content = pool[int(rng.integers(len(pool)))]
    meanings = [bool(rng.random() < 0.8) for _ in range(int(rng.choice([1, 1, 1, 2, 3, 8])))]
    # Bytes last: a file with damaged bytes cannot be taken apart in any reasonable time.
    for meaning in sorted(meanings, reverse=True):
        content = (_change_object if meaning else _change_bytes)(content, rng)
    return name, content


# Damage to bytes.


def _change_bytes(content: bytes, rng: Rng) -> bytes:
    kinds = [*[_flip] * 4, *[_overwrite] * 4, _truncate, _remove, _repeat]
    changed = bytearray(content)
    if changed:
        kinds[int(rng.integers(len(kinds)))](changed, rng)
    return bytes(changed)


def _place(content: bytearray, rng: Rng) -> int:
    """A place in the file, more often where its structure lies: at the start or end."""
    size = len(content)
    region = rng.random()
    if region < 0.3:
        return int(rng.integers(min(size, 512)))
    if region < 0.6:
        return int(rng.integers(max(0, size - 4096), size))
    return int(rng.integers(size))


def _flip(content: bytearray, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 9))):
        content[_place(content, rng)] ^= 1 << int(rng.integers(8))


def _overwrite(content: bytearray, rng: Rng) -> None:
    at = _place(content, rng) & ~3
    size = len(content)
    values = [0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x10000, size, size - at, 4, 1 << 30]
    value = values[int(rng.integers(len(values)))] & 0xFFFFFFFF
    content[at : at + 4] = struct.pack("<I", value)


def _truncate(content: bytearray, rng: Rng) -> None:
    del content[int(rng.integers(len(content))) :]


def _remove(content: bytearray, rng: Rng) -> None:
    at = _place(content, rng)
    del content[at : at + int(rng.integers(1, 64))]


def _repeat(content: bytearray, rng: Rng) -> None:
    at = _place(content, rng)
    content[at:at] = content[at : at + int(rng.integers(1, 64))]


# Damage to what the bytes mean.

_INTEGERS = [0, 1, -1, 2, 3, 7, 127, 128, 255, 1 << 16, 1 << 28, (1 << 31) - 1, -(1 << 31)]
_FLOATS = [0.0, -1.0, 1.0, float("nan"), float("inf"), 1e-38, 1e-45, 3e38, -0.0, 1e-10, 0.5]


def _change_object(content: bytes, rng: Rng) -> bytes:
    try:
        model = unpack(content)
        _OBJECTS[int(rng.integers(len(_OBJECTS)))](model, rng)
        return pack(model)
    except Exception:  # a value that the format cannot hold
        return _change_bytes(content, rng)


def _pick(things: Sequence[Any], rng: Rng) -> Any:
    return things[int(rng.integers(len(things)))]


def _tensor(model: Any, rng: Rng) -> Any:
    return _pick(model.subgraphs[0].tensors, rng)


def _op(model: Any, rng: Rng) -> Any:
    return _pick(model.subgraphs[0].operators, rng)


def _integer(rng: Rng) -> int:
    return int(_pick(_INTEGERS, rng)) if rng.random() < 0.6 else int(rng.integers(-9, 70))


def _listed(values: Any, rng: Rng, new: Callable[[], Any]) -> list[Any]:
    """A list with an entry changed, added, dropped, doubled, or in another order."""
    changed = [] if values is None else list(values)
    kind = int(rng.integers(7))
    at = int(rng.integers(len(changed))) if changed else 0
    if kind <= 2 and changed:
        changed[at] = new()
    elif kind == 3 and changed:
        del changed[at]
    elif kind == 4 and changed:
        changed.insert(at, changed[at])
    elif kind == 5:
        rng.shuffle(changed)
    else:
        changed.insert(at, new())
    return changed


def _shape(model: Any, rng: Rng) -> None:
    tensor = _tensor(model, rng)
    tensor.shape = _listed(tensor.shape, rng, lambda: _integer(rng))


def _matching_shapes(model: Any, rng: Rng) -> None:
    """Change one size wherever it occurs, so that layers still fit each other."""
    tensors = model.subgraphs[0].tensors
    sizes = sorted({int(n) for t in tensors if t.shape is not None for n in t.shape})
    if not sizes:
        return
    old, new = _pick(sizes, rng), _pick([0, 1, 2, 5, 1 << 12, 1 << 16, 1 << 20], rng)
    for tensor in tensors:
        if tensor.shape is not None and tensor.buffer == 0:
            tensor.shape = [new if n == old else n for n in tensor.shape]


def _huge_rank(model: Any, rng: Rng) -> None:
    _tensor(model, rng).shape = [1] * int(rng.integers(5, 5000))


def _signature(model: Any, rng: Rng) -> None:
    _tensor(model, rng).shapeSignature = [_integer(rng) for _ in range(int(rng.integers(6)))]


def _dtype(model: Any, rng: Rng) -> None:
    _tensor(model, rng).type = int(rng.integers(0, 24))


def _swap_dtypes(model: Any, rng: Rng) -> None:
    a, b = _tensor(model, rng), _tensor(model, rng)
    a.type, b.type = b.type, a.type


def _every_dtype(model: Any, rng: Rng) -> None:
    """Another type wherever one occurs: int8 -> int16, ..."""
    old, new = _tensor(model, rng).type, int(rng.integers(0, 18))
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == old:
            tensor.type = new


def _buffer(model: Any, rng: Rng) -> None:
    tensor = _tensor(model, rng)
    tensor.buffer = _pick([0, _tensor(model, rng).buffer, len(model.buffers), 2**32 - 1], rng)


def _flags(model: Any, rng: Rng) -> None:
    tensor = _tensor(model, rng)
    kind = int(rng.integers(4))
    if kind == 0:
        tensor.isVariable = True
    elif kind == 1:
        tensor.sparsity = schema.SparsityParametersT()
    elif kind == 2:
        tensor.externalBuffer = 1
    else:
        tensor.name = _pick([None, "", "x" * 100_000, "a\nb", "\x00", "*/", "é" * 50], rng)


def _quantization(model: Any, rng: Rng) -> None:
    tensor = _tensor(model, rng)
    if tensor.quantization is None or rng.random() < 0.1:
        tensor.quantization = schema.QuantizationParametersT()
    quant = tensor.quantization
    kind = int(rng.integers(7))
    if kind == 0:
        quant.scale = _listed(quant.scale, rng, lambda: _pick(_FLOATS, rng))
    elif kind == 1:
        quant.zeroPoint = _listed(quant.zeroPoint, rng, lambda: _integer(rng))
    elif kind == 2:
        quant.zeroPoint = [_pick([-(1 << 63), (1 << 63) - 1, 1 << 31, -128, 127, 128], rng)]
    elif kind == 3:
        quant.quantizedDimension = _integer(rng)
    elif kind == 4:
        tensor.quantization = None
    elif kind == 5:
        factor = 10.0 ** int(rng.integers(-30, 30))
        quant.scale = [min(float(s) * factor, 3e38) for s in quant.scale]
    else:
        count = int(rng.integers(2, 20))
        quant.scale, quant.zeroPoint = [0.01] * count, [0] * count


def _inputs(model: Any, rng: Rng) -> None:
    op, tensors = _op(model, rng), model.subgraphs[0].tensors
    op.inputs = _listed(op.inputs, rng, lambda: _index(len(tensors), rng))


def _outputs(model: Any, rng: Rng) -> None:
    op, tensors = _op(model, rng), model.subgraphs[0].tensors
    op.outputs = _listed(op.outputs, rng, lambda: _index(len(tensors), rng))


def _index(count: int, rng: Rng) -> int:
    if rng.random() < 0.7:
        return int(rng.integers(-1, count))
    return int(_pick([count, -2, (1 << 31) - 1, -(1 << 31)], rng))


def _cycle(model: Any, rng: Rng) -> None:
    first, second = _op(model, rng), _op(model, rng)
    if first.inputs is not None and len(first.inputs) and second.outputs is not None:
        first.inputs = [*second.outputs[:1], *first.inputs[1:]]


def _code(model: Any, rng: Rng) -> None:
    code = _pick(model.operatorCodes, rng)
    number = int(rng.integers(-1, 215))
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)


def _known_code(model: Any, rng: Rng) -> None:
    """Another operator that Lotor has, so that its checks meet a stranger's tensors."""
    from lotor.ops import operators

    kinds = [kind for kind in sorted(operators()) if not kind.startswith("CUSTOM")]
    number = getattr(schema.BuiltinOperator, _pick(kinds, rng))
    code = _pick(model.operatorCodes, rng)
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    if rng.random() < 0.7:
        for op in model.subgraphs[0].operators:
            if op.opcodeIndex == list(model.operatorCodes).index(code):
                _give_options(op, _pick(kinds, rng) if rng.random() < 0.2 else None, number)


def _give_options(op: Any, kind: str | None, number: int) -> None:
    from lotor.ops import operators

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    options = operators()[kind or names[number]].options
    if options is None:
        op.builtinOptions, op.builtinOptionsType = None, 0
        return
    op.builtinOptions = getattr(schema, f"{options}T")()
    op.builtinOptionsType = getattr(schema.BuiltinOptions, options)


def _opcode_index(model: Any, rng: Rng) -> None:
    _op(model, rng).opcodeIndex = _pick([0, 1, len(model.operatorCodes), 2**32 - 1], rng)


def _options(model: Any, rng: Rng) -> None:
    op = _op(model, rng)
    options = op.builtinOptions
    if options is None or rng.random() < 0.1:
        op.builtinOptionsType = int(rng.integers(0, 127))
        return
    names = [name for name in vars(options) if not name.startswith("_")]
    if not names:
        return
    name = _pick(names, rng)
    value = getattr(options, name)
    if isinstance(value, bool):
        setattr(options, name, not value)
    elif isinstance(value, float):
        setattr(options, name, _pick(_FLOATS, rng))
    elif isinstance(value, int):
        setattr(options, name, _integer(rng))
    else:
        setattr(options, name, _listed(value, rng, lambda: _integer(rng)))


def _borders(model: Any, rng: Rng) -> None:
    sub = model.subgraphs[0]
    place = "inputs" if rng.random() < 0.5 else "outputs"
    setattr(sub, place, _listed(getattr(sub, place), rng, lambda: _index(len(sub.tensors), rng)))


def _layers(model: Any, rng: Rng) -> None:
    sub = model.subgraphs[0]
    sub.operators = _listed(sub.operators, rng, lambda: _op(model, rng))


def _data(model: Any, rng: Rng) -> None:
    buffer = _pick(model.buffers, rng)
    if buffer.data is None or len(buffer.data) == 0:
        return
    data = np.array(buffer.data, np.uint8)
    kind = int(rng.integers(5))
    if kind == 0:
        data = data[: int(rng.integers(data.size))]
    elif kind == 1:
        data = np.concatenate([data, data])
    elif kind == 2:
        data[:] = rng.integers(0, 256, data.size, np.uint8)
    elif kind == 3 and data.size >= 4:
        words = data[: data.size // 4 * 4].view(np.int32)
        words[int(rng.integers(words.size))] = np.array(_integer(rng)).astype(np.int32)
    else:
        buffer.data, buffer.offset, buffer.size = None, _pick([2, 1 << 20, 2**63], rng), 1 << 10
        return
    buffer.data = data


def _small_constants(model: Any, rng: Rng) -> None:
    """Axes, paddings, shapes, slices: constants whose numbers decide sizes."""
    few = [t for t in model.subgraphs[0].tensors if t.type in (2, 4) and t.buffer]
    if not few:
        return
    tensor = _pick(few, rng)
    width = np.int32 if tensor.type == 2 else np.int64
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) % np.dtype(width).itemsize:
        return
    values = np.array(data, np.uint8).view(width)
    if values.size and values.size < 64:
        values[int(rng.integers(values.size))] = np.array(_integer(rng)).astype(width)
        model.buffers[tensor.buffer].data = values.view(np.uint8)


def _tables(model: Any, rng: Rng) -> None:
    kind = int(rng.integers(5))
    if kind == 0:
        model.subgraphs.append(model.subgraphs[0])
    elif kind == 1:
        model.buffers = model.buffers[: int(rng.integers(len(model.buffers)))]
    elif kind == 2:
        model.version = _pick([0, 2, 4, 2**32 - 1], rng)
    elif kind == 3:
        model.operatorCodes = model.operatorCodes[:-1]
    else:
        model.subgraphs[0].tensors = model.subgraphs[0].tensors[:-1]


_OBJECTS: list[Callable[[Any, Rng], None]] = [
    _shape,
    _shape,
    _matching_shapes,
    _matching_shapes,
    _huge_rank,
    _signature,
    _dtype,
    _swap_dtypes,
    _every_dtype,
    _buffer,
    _flags,
    _quantization,
    _quantization,
    _inputs,
    _inputs,
    _outputs,
    _cycle,
    _code,
    _known_code,
    _known_code,
    _opcode_index,
    _options,
    _options,
    _options,
    _borders,
    _layers,
    _data,
    _small_constants,
    _small_constants,
    _tables,
]


# The watch.


class _HungError(BaseException):
    """No `Exception`, so that nothing under test takes it for its own."""


def _alarm(*_: object) -> NoReturn:
    raise _HungError


def work(first: int, last: int, build: float) -> None:
    """Compile mutations in this process; a line of JSON to stdout for each."""
    corpus()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _alarm)
    for number in range(first, last):
        print(json.dumps(asdict(try_one(number, build))), flush=True)


def try_one(number: int, build: float) -> Outcome:
    """Compile one mutation, and run a part of those that compile."""
    name, content = mutation(number)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory counts from here
    before = _resident("VmRSS")
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    compiled = None
    try:
        compiled = compile_model(content)
        kind, detail = "compiled", ""
    except LotorError as error:
        kind, detail = "refused", str(error)
        # The frontend takes every exception for damage; a mistake in an operator is none.
        cause = None if isinstance(error.__cause__, ValueError) else error.__cause__
        within = traceback.extract_tb(cause.__traceback__) if cause else []
        if not detail.isprintable() or (within and "/ops/" in within[-1].filename):
            kind = "failed"
    except (_HungError, Exception) as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        kind = "hung" if isinstance(error, _HungError) else "failed"
        frames = traceback.extract_tb(error.__traceback__)
        last = ([f for f in frames if "/lotor/" in f.filename] or frames)[-1]
        detail = f"{type(error).__name__}: {error} at {Path(last.filename).name}:{last.lineno}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begun
    megabytes = max(0, _resident("VmHWM") - before) >> 10
    if compiled is not None and _runs(compiled, number, build):
        wrong = _run(compiled, number)
        if wrong:
            return Outcome(number, "failed", f"{name}: {wrong}", seconds, megabytes)
        return Outcome(number, kind, detail, seconds, megabytes, ran=True)
    if kind in ("hung", "failed"):
        detail = f"{name}: {detail}"
    return Outcome(number, kind, detail[:300], seconds, megabytes)


def _resident(key: str) -> int:
    """A figure of this process' memory, KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def _runs(compiled: Compiled, number: int, build: float) -> bool:
    report = compiled.report
    small = report["macs"] < _SMALL and report["arena_bytes"] < _SMALL
    small = small and len(compiled.source) < _SMALL
    return bool(small and np.random.default_rng([number, 1]).random() < build)


def _run(compiled: Compiled, number: int) -> str:
    """Run two inputs of rubbish under the sanitizers; what is wrong, or nothing."""
    rng = np.random.default_rng([number, 2])
    folder = Path(tempfile.mkdtemp(prefix="lotor-mutation-"))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limits[1], limits[1]))  # the sanitizers map a lot
    try:
        size = sum(t.nbytes for t in [*compiled.graph.inputs, *compiled.graph.outputs])
        rubbish = rng.integers(0, 256, 2 * size, np.uint8).tobytes()
        return run_program(program(compiled, folder, "gcc"), rubbish, 2, compare=False)
    except AssertionError as error:  # C that does not compile
        return str(error)[:300]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        shutil.rmtree(folder)


def outcomes(first: int, last: int, build: float) -> Iterator[Outcome]:
    """Try mutations in a process that is started anew whenever it dies."""
    at = first
    while at < last:
        command = [sys.executable, __file__, "--work", str(at), str(last), str(build)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            killed = [False]
            while True:
                line = _line(worker, killed)
                if not line:
                    break
                yield Outcome(**json.loads(line))
                at += 1
            worker.kill()
        if at < last:
            name, _ = mutation(at)
            kind = "hung" if killed[0] else "died"
            yield Outcome(at, kind, f"{name}: worker ended with {worker.returncode}")
            at += 1


def _line(worker: "subprocess.Popen[str]", killed: list[bool]) -> str:
    """The worker's next line; empty when it has ended, which it does when it takes too long."""
    import threading

    def kill() -> None:
        killed[0] = True
        worker.kill()

    assert worker.stdout is not None
    timer = threading.Timer(_WATCHDOG, kill)
    timer.start()
    try:
        return worker.stdout.readline()
    finally:
        timer.cancel()


def run(first: int, count: int, build: float, workers: int = 1, progress: bool = False) -> Summary:
    """Try `count` mutations from number `first` on."""
    summary = Summary()
    edges_ = np.linspace(first, first + count, workers + 1).astype(int).tolist()

    def part(place: int) -> None:
        for outcome in outcomes(edges_[place], edges_[place + 1], build):
            summary.add(outcome)
            if progress and summary.kinds.total() % 500 == 0:
                print(summary, file=sys.stderr, flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(part, range(workers)))
    return summary


def main() -> int:
    """Run mutations and print the figures."""
    parser = argparse.ArgumentParser(description="Mutate model files and compile them.")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--build", type=float, default=0.02, help="part that is built and run")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(int(args.work[0]), int(args.work[1]), float(args.work[2]))
        return 0
    summary = run(args.first, args.count, args.build, args.workers, progress=True)
    print(summary)
    return 1 if summary.bad else 0


if __name__ == "__main__":
    sys.exit(main())
