"""Every model of a folder, compiled and compared with the reference: the conformance table.

Each model is examined in a process of its own, with limits of time and memory, so that neither a
hostile file nor a crash of the reference stops the others.
"""

import json
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.graph import DType, Graph
from lotor.progress import Progress
from lotor.verify import TOLERANCE, verify

_SECONDS = 900
_MEMORY = 8 << 30
_MACS = 4_000_000_000  # of all samples together: the reference takes seconds for each of them
_FEWEST = 3
_WORKERS = 2

# What became of a model, in the order in which the page lists them.
EXACT, CLOSE, DIFFERS = "exact", "close", "differs"
REFUSED, NO_REFERENCE, FAILED = "refused", "no reference", "failed"
STATUSES = (EXACT, CLOSE, DIFFERS, REFUSED, NO_REFERENCE, FAILED)


@dataclass(frozen=True)
class Refusal:
    """Why layers of one operator cannot be compiled; `count` of them for the same reason."""

    kind: str
    reason: str
    count: int


@dataclass(frozen=True)
class Record:
    """What was found of one model.

    Attributes:
        path: relative to the folder that was given.
        status: `exact`, `close` (float32 outputs within the tolerance), `differs`, `refused`,
            `no reference` or `failed`.
        group: `image`, `signal` or `operator` (a file of one layer), told by input and size.
        format: `int8`, `uint8`, `int16`, `float32`, `hybrid` (float32 with int8 weights), `other`.
        layers: how many the file has.
        operators: how often it has each.
        arena_bytes: RAM that the compiled model needs.
        lower_bound: what no plan can be below.
        samples: inputs compared.
        elements: output elements compared.
        mismatches: output elements that differ in any bit.
        max_abs_diff: the largest difference.
        max_rel_diff: the largest difference, as a part of the output's largest element.
        first_bad_layer: the first layer that differs.
        refusals: complete list of what stops the compiler.
        reason: one line, where nothing could be compared.
    """

    path: str
    status: str
    group: str = "operator"
    format: str = "other"
    layers: int = 0
    operators: dict[str, int] = field(default_factory=dict)
    arena_bytes: int | None = None
    lower_bound: int | None = None
    samples: int = 0
    elements: int = 0
    mismatches: int = 0
    max_abs_diff: float = 0.0
    max_rel_diff: float = 0.0
    first_bad_layer: str | None = None
    refusals: list[Refusal] = field(default_factory=list)
    reason: str = ""


def conformance(folders: Sequence[Path], samples: int, seed: int = 0) -> list[Record]:
    """Examine every .tflite file below folders, in order of their paths.

    Args:
        folders: where to look.
        samples: inputs for each model, at most; large models get fewer.
        seed: decides the inputs.

    Raises:
        LotorError: a folder is missing or holds no model, or LiteRT is not installed.
    """
    if samples < 1:
        raise LotorError(f"--samples {samples}: at least 1 needed")
    reference_version()
    found = [(path, path.relative_to(folder)) for folder in folders for path in find_models(folder)]
    with (
        Progress("conformance", len(found), "models") as progress,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):

        def one(item: tuple[Path, Path]) -> Record:
            record = _in_a_process(item[0], str(item[1]), samples, seed)
            progress.advance()
            return record

        return list(pool.map(one, found))


def find_models(folder: Path) -> list[Path]:
    """Return the .tflite files below a folder, sorted.

    Raises:
        LotorError: there is none.
    """
    found = sorted(path for path in folder.rglob("*.tflite") if path.is_file())
    if not found:
        raise LotorError(f"no .tflite file in {folder}; give a folder that holds models")
    return found


def reference_version() -> str:
    """Return the version of LiteRT.

    Raises:
        LotorError: it is not installed.
    """
    try:
        return version("ai-edge-litert")
    except PackageNotFoundError as error:
        raise LotorError(
            "LiteRT, the reference, is not installed; pip install 'lotor[verify]'"
        ) from error


# One model, in a process of its own.


def _in_a_process(path: Path, name: str, samples: int, seed: int) -> Record:
    command = [sys.executable, "-m", "lotor.conformance", str(path), name, str(samples), str(seed)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Record(name, FAILED, reason=f"took more than {_SECONDS} s")
    lines = done.stdout.splitlines()
    try:
        data = json.loads(lines[-1])
        data["refusals"] = [Refusal(**entry) for entry in data["refusals"]]
        return Record(**data)
    except (IndexError, ValueError, KeyError, TypeError):
        stage = lines[-1] if lines else "starting"
        errors = done.stderr.strip().splitlines()
        said = f": {errors[-1]}" if errors and done.returncode > 0 else ""
        return Record(name, FAILED, reason=f"ended with status {done.returncode}, {stage}{said}")


def examine(path: Path, name: str, samples: int, seed: int) -> Record:
    """Compile one model and compare it with the reference, in this process.

    Args:
        path: the .tflite file.
        name: how the record calls it.
        samples: inputs, at most.
        seed: decides them.
    """
    from lotor.compiler import compile_model, find_problems, read_content
    from lotor.frontend.tflite import read_model
    from lotor.optimize import optimize
    from lotor.oracle import Oracle

    try:
        graph = read_model(*read_content(path))
    except LotorError as error:
        return Record(name, REFUSED, reason=str(error))
    facts: dict[str, Any] = {
        "group": _group(graph),
        "format": _format(graph),
        "layers": len(graph.ops),
        "operators": dict(sorted(Counter(op.kind for op in graph.ops).items())),
    }
    print("compiling", flush=True)
    try:
        compiled = compile_model(path, "host")
    except LotorError as error:
        layers: dict[tuple[str, str], set[str]] = {}
        for problem in find_problems(optimize(graph)):
            key = (problem.kind, _without_names(problem.reason))
            layers.setdefault(key, set()).add(problem.layer)
        rows = [Refusal(*key, len(names)) for key, names in sorted(layers.items())]
        return Record(name, REFUSED, **facts, refusals=rows, reason="" if rows else str(error))
    facts |= {
        "arena_bytes": compiled.plan.arena_bytes,
        "lower_bound": compiled.plan.lower_bound,
    }
    print("reading it into the reference", flush=True)
    try:
        Oracle(path)
    except LotorError as error:
        return Record(name, NO_REFERENCE, **facts, reason=_first_line(str(error)))
    print("comparing", flush=True)
    macs = max(compiled.report["macs"], 1)
    try:
        result = verify(str(path), min(samples, max(_FEWEST, _MACS // macs)), seed)
    except LotorError as error:
        return Record(name, FAILED, **facts, reason=_first_line(str(error)))
    except RuntimeError as error:  # what LiteRT raises when a layer cannot be run
        return Record(name, NO_REFERENCE, **facts, reason=_first_line(str(error)))
    return Record(
        name,
        EXACT if not result.mismatches else CLOSE if result.ok else DIFFERS,
        **facts,
        samples=result.samples,
        elements=result.elements,
        mismatches=result.mismatches,
        max_abs_diff=result.max_abs_diff,
        max_rel_diff=result.max_rel_diff,
        first_bad_layer=result.first_bad_layer,
    )


def _without_names(reason: str) -> str:
    """Return a reason without the tensors' names, so that equal ones are counted together."""
    return re.sub(r"'[^']*' ?", "", reason).strip()


def _first_line(text: str) -> str:
    """Return what LiteRT says first; it joins its messages without a space."""
    line = text.splitlines()[0] if text else ""
    return line.split(".Tensor ", 1)[0]


def _group(graph: Graph) -> str:
    if len(graph.ops) <= 1:
        return "operator"
    for tensor in graph.inputs:
        if len(tensor.shape) == 4:
            _, a, b, c = tensor.shape
            if (c in (1, 3, 4) and min(a, b) >= 16) or (a in (1, 3, 4) and min(b, c) >= 16):
                return "image"
    return "signal"


def _format(graph: Graph) -> str:
    """Return the type in which most layers compute."""
    types = Counter(op.outputs[0].dtype for op in graph.ops if op.outputs)
    for tensor in (t for op in graph.ops for t in op.inputs[:1] if t is not None):
        types[tensor.dtype] += 1
    for dtype in (DType.UINT8, DType.INT16, DType.INT8):
        if types[dtype] * 2 > types.total():
            return str(dtype.value)
    if types[DType.FLOAT32] * 2 <= types.total():
        return "other"
    weights = [t.dtype for op in graph.ops for t in op.inputs[1:2] if t is not None and t.quant]
    quantized = [d for d in weights if d in (DType.INT8, DType.UINT8, DType.INT4)]
    return "hybrid" if quantized else "float32"


# The table.


def as_text(records: Sequence[Record]) -> str:
    """Return a line for each model, and how many there are of each kind."""
    width = max(len(r.path) for r in records)
    lines = [
        f"{'model':<{width}} {'format':<8} {'layers':>6} {'arena':>9} {'bound':>9}  result",
    ]
    for r in records:
        arena = "-" if r.arena_bytes is None else f"{r.arena_bytes:,}"
        bound = "-" if r.lower_bound is None else f"{r.lower_bound:,}"
        lines.append(
            f"{r.path:<{width}} {r.format:<8} {r.layers:6} {arena:>9} {bound:>9}  {result(r)}"
        )
    return "\n".join([*lines, "", *_totals(records)])


def result(record: Record) -> str:
    """Return what became of a model in a few words."""
    if record.status == EXACT:
        return f"0 mismatches, {record.samples} inputs"
    if record.status in (CLOSE, DIFFERS):
        return (
            f"{record.mismatches:,} of {record.elements:,} mismatches, {record.samples} inputs, by "
            f"at most {record.max_rel_diff:.1e} of the largest, first in {record.first_bad_layer}"
        )
    if record.refusals:
        kinds = dict.fromkeys(r.kind for r in record.refusals)
        return f"refused: {', '.join(kinds)}"
    return f"{record.status}: {record.reason}"


def _totals(records: Sequence[Record]) -> list[str]:
    counts = Counter(r.status for r in records)
    return [f"{counts[s]} {s}" for s in STATUSES if counts[s]]


_GROUPS = {
    "image": "Models that take images",
    "signal": "Models that take sound and other signals",
    "operator": "Files of a single operator",
}


def as_page(records: Sequence[Record], samples: int, command: str) -> str:
    """Return the page of the documentation.

    Args:
        records: what was found.
        samples: the inputs that were asked for.
        command: what prints the same table.
    """
    lines = [
        "# Conformance",
        "",
        f"Every model is compiled, run on up to {samples} random inputs, and each element of its",
        f"outputs is compared with LiteRT {reference_version()} and its reference kernels",
        "(`BUILTIN_REF`). A mismatch is an element that differs in any bit. `arena` is the RAM",
        "that a model needs, inputs and outputs included; `bound` is what no plan can be below.",
        f"`close`: float32 outputs that differ by at most {TOLERANCE:g} of the largest element, as",
        "exponentials and logarithms end in other bits; what an operator promises, its file says.",
        "",
        f"Printed and written by `{command}`.",
        "",
        "## Summary",
        "",
        *_summary(records),
    ]
    for group, title in _GROUPS.items():
        chosen = [r for r in records if r.group == group]
        if chosen:
            rows = _single(chosen) if group == "operator" else _rows(chosen)
            lines += ["", f"## {title}", "", *rows]
    rest = [r for r in records if r.status not in (EXACT, CLOSE, DIFFERS)]
    if rest:
        lines += ["", "## What is refused, completely", "", *_refused(rest)]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]


def _summary(records: Sequence[Record]) -> list[str]:
    rows = []
    for group, title in _GROUPS.items():
        for kind in ("int8", "uint8", "int16", "float32", "hybrid", "other"):
            counts = Counter(r.status for r in records if (r.group, r.format) == (group, kind))
            if counts:
                numbers = [str(counts[s]) for s in STATUSES]
                rows.append([title, kind, str(counts.total()), *numbers])
    return _table(["files", "numbers", "all", *STATUSES], rows)


def _rows(records: Sequence[Record]) -> list[str]:
    rows = []
    for r in records:
        arena = "" if r.arena_bytes is None else f"{r.arena_bytes:,}"
        bound = "" if r.lower_bound is None else f"{r.lower_bound:,}"
        operators = ", ".join(f"{n} {kind}" for kind, n in r.operators.items())
        rows.append([f"`{r.path}`", r.format, operators, arena, bound, result(r)])
    return _table(["model", "numbers", "operators", "arena", "bound", "result"], rows)


def _single(records: Sequence[Record]) -> list[str]:
    """Return a row for the files of one operator in one folder."""
    groups: dict[tuple[str, str, str], Counter[str]] = {}
    for r in records:
        kind = ", ".join(r.operators) or "?"
        key = (str(Path(r.path).parent), kind, r.format)
        groups.setdefault(key, Counter())[r.status] += 1
    rows = [
        [f"`{folder}`", kind, form, ", ".join(f"{n} {status}" for status, n in sorted(c.items()))]
        for (folder, kind, form), c in sorted(groups.items())
    ]
    return _table(["folder", "operator", "numbers", "files"], rows)


def _refused(records: Sequence[Record]) -> Iterator[str]:
    """Yield an entry for each list of reasons, with the files that it holds for."""
    same: dict[tuple[str, ...], list[str]] = {}
    for r in records:
        reasons = [f"{r.status}: {r.reason}"] if r.reason else []
        reasons += [f"{e.kind} ({e.count}): {e.reason}" for e in r.refusals]
        same.setdefault(tuple(reasons), []).append(r.path)
    for reasons_, paths in same.items():
        shown = ", ".join(f"`{path}`" for path in paths[:3])
        yield f"- {shown}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}"
        yield from (f"  - {reason}" for reason in reasons_)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    _path, _name, _samples, _seed = sys.argv[1:]
    print(json.dumps(asdict(examine(Path(_path), _name, int(_samples), int(_seed)))))
