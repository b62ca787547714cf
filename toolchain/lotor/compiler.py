"""From a model file to C: frontend, rewrites, order, memory, code."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from lotor import __version__
from lotor.codegen.c import Layer, Program, identifier, render_header, render_source
from lotor.codegen.share import Step, sharing_key
from lotor.codegen.views import Views, render_views, watch_report
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.frontend.tflite import check_magic, read_model
from lotor.graph import DType, Graph, Op, short_name
from lotor.memory import Clearance, Memory, Plan, walks_backward
from lotor.ops import model_operators, operators
from lotor.optimize import optimize
from lotor.optimize.alias_shapes import alias_shapes
from lotor.optimize.place_parts import place_parts
from lotor.report import report
from lotor.schedule import in_order, must_precede, schedule
from lotor.stripes import Striped, fit
from lotor.targets import Target, find_target
from lotor.targets.blocks import Block, best_for_all
from lotor.targets.preference import Preference
from lotor.targets.select import constant_bytes, ranked, select, signature
from lotor.targets.shared_call import SharedCall

_MAX_FILE = 1 << 29  # bytes; the weights of every microcontroller and phone are far below
_LONGEST_NAME = 200  # letters; files cannot have names much longer
_ACCELERATED = ("CUSTOM:ethos-u", "CUSTOM:edgetpu-custom-op")
_CONTROL_FLOW = ("IF", "WHILE", "STABLEHLO_CASE", "STABLEHLO_WHILE")
# What makes the arena small, by the name in `report.json`: what to skip to see how much it does.
TRICKS = {
    "order": "order",
    "aliases": alias_shapes.__name__,
    "parts": place_parts.__name__,
    "overlap": "overlap",
    "backward": "backward",
}
DEFAULT = Preference()
_PLAIN = 0.01  # part of the work
_STRIPES_EFFORT = 0.1  # dozens of plans are tried
_BORDER = "input or output"  # stands for the operator where the problem is the model's border


@dataclass(frozen=True)
class Problem:
    """Why one layer cannot be compiled."""

    layer: str
    kind: str
    reason: str


class UnsupportedModelError(LotorError):
    """A model with layers that Lotor cannot compile; `problems` lists every one."""

    def __init__(self, text: str, problems: Sequence[Problem]) -> None:
        super().__init__(text)
        self.problems = list(problems)


class RamError(LotorError):
    """A model that needs more RAM than it may take; stripes get its arena to `least` bytes."""

    def __init__(self, text: str, least: int) -> None:
        super().__init__(text)
        self.least = least


@dataclass(frozen=True)
class Compiled:
    """A compiled model.

    Attributes:
        name: C identifier that prefixes everything.
        graph: the model after the rewrites, with its input and output tensors.
        target: what the C is for.
        layers: the steps of the program.
        plan: where the tensors live.
        source: text of NAME.c.
        header: text of NAME.h.
        report: what `report.json` says.
        model_hash: SHA-256 of the model file, hexadecimal.
        ram: bytes that the arena might take; None without a limit.
        preference: what variants of kernels were chosen by.
        striped: what runs in stripes to stay below it.
        views: text of NAME_views.h; "" for what is no classifier of a camera's frames.
    """

    name: str
    graph: Graph
    target: Target
    layers: Sequence[Layer]
    plan: Plan
    source: str
    header: str
    report: dict[str, Any]
    model_hash: str
    ram: int | None = None
    preference: Preference = DEFAULT
    striped: tuple[Striped, ...] = ()
    views: str = ""

    def write(self, directory: Path) -> list[Path]:
        """Write NAME.c, NAME.h, report.json and, for a classifier of frames, NAME_views.h.

        The folder is made if needed.
        """
        texts = {
            directory / f"{self.name}.c": self.source,
            directory / f"{self.name}.h": self.header,
            directory / "report.json": json.dumps(self.report, indent=2) + "\n",
        }
        if self.views:
            texts[directory / f"{self.name}_views.h"] = self.views
        try:
            write_files({path: text.encode() for path, text in texts.items()})
        except OSError as error:
            raise LotorError(
                f"cannot write to {directory}: {error.strerror}; give another folder with -o"
            ) from error
        return list(texts)


def read_content(model: Path | bytes) -> tuple[bytes, str]:
    """Return a model's bytes and a name for messages.

    Raises:
        LotorError: the file cannot be read, or is no model or too large, which is seen before it is
            read.
    """
    if isinstance(model, bytes):
        return model, "model"
    try:
        with model.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(1 << 10)
            check_magic(head, model.stem)
            if size > _MAX_FILE:
                raise LotorError(
                    f"{model.stem}: {size:,} bytes; Lotor reads models of at most {_MAX_FILE:,}"
                )
            return head + file.read(_MAX_FILE), model.stem
    except OSError as error:
        raise LotorError(
            f"cannot read model {model}: {error.strerror}; give the path of a .tflite file"
        ) from error


def compile_model(
    model: Path | bytes,
    target: str = "portable",
    name: str | None = None,
    labels: Sequence[str] = (),
    skip: Collection[str] = (),
    ram: int | None = None,
    preference: Preference = DEFAULT,
    unknown: float | None = None,
    views: Views | None = None,
    least: bool = True,
) -> Compiled:
    """Compile a .tflite model to C.

    Args:
        model: the file, or its bytes.
        target: a name from `lotor.targets.TARGETS`.
        name: C identifier for the model; by default made from the file's name.
        labels: class names of the output, kept in the header; by default those in the file.
        skip: names of rewrites, and of `TRICKS` of the memory plan, to leave out.
        ram: bytes that the arena may take: layers run in stripes where it would take more.
        preference: what variants of kernels are chosen by.
        unknown: mean square of the second output beyond which an input is unlike all known ones:
            the header gets a function that tells it.
        views: what views of a frame are scored for.
        least: whether a refusal for want of RAM says what would do, which takes long to find.

    Raises:
        LotorError: the file is no usable model, the target or the name is wrong.
        RamError: the model needs more than `ram`.
        UnsupportedModelError: layers that cannot be compiled, all of them listed.
    """
    chosen = find_target(target)
    content, stem = read_content(model)
    if name is not None:
        _check_name(name)
    read = read_model(content, stem)
    graph = optimize(read, skip)
    problems = find_problems(graph)
    if problems:
        _refuse(graph, problems)
    model_hash = hashlib.sha256(content).hexdigest()
    limits = [limit for limit in (ram, preference.ram) if limit is not None]
    graph, lowered, plan = _with_parts_or_copies(
        read, graph, chosen, preference, skip, min(limits, default=None)
    )
    striped: tuple[Striped, ...] = ()
    if ram is not None and plan.arena_bytes > ram:
        skip = {*skip, "order"}  # the stripes have theirs
        graph, striped = _striped(graph, chosen, preference, skip, ram, plan, least)
        graph, lowered, plan = _plan(graph, chosen, preference, skip, _STRIPES_EFFORT, ram)
    layers = [
        Layer(op, steps, operators()[op.kind].macs(op))
        for op, steps in lowered
        if not steps[0].call.alias
    ]
    program = Program(
        name or identifier(stem),
        graph,
        layers,
        plan,
        model_hash,
        target,
        __version__,
        labels or graph.labels,
        preference.optimize == "size",
        unknown,
    )
    return _compiled(program, chosen, ram, preference, striped, views)


def _compiled(
    program: Program,
    target: Target,
    ram: int | None,
    preference: Preference,
    striped: tuple[Striped, ...],
    views: Views | None,
) -> Compiled:
    """Return a program with its C and its report."""
    return Compiled(
        program.name,
        program.graph,
        target,
        program.layers,
        program.plan,
        render_source(program),
        render_header(program),
        {
            **report(program),
            "stripes": [asdict(part) for part in striped],
            "extra_macs": sum(part.extra_macs for part in striped),
            "optimize": preference.optimize,
            "compiler_flag": _flag(program.layers, target, preference),
            **({"watch": watch_report(program, views)} if views else {}),
        },
        program.model_hash,
        ram,
        preference,
        striped,
        render_views(program, views) if views else "",
    )


def _check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise LotorError(f"a name of {len(name)} letters; give one of at most {_LONGEST_NAME}")
    if identifier(name) != name:
        raise LotorError(
            f"'{name}' is no usable C name; use lower-case letters, digits and _, "
            f"for instance '{identifier(name)}'"
        )


def _flag(layers: Sequence[Layer], target: Target, preference: Preference) -> str:
    """Return how the C is to be compiled: kernels in plain C gain from what -O3 does to loops."""
    if preference.optimize == "size":
        return "-Os"
    work = {True: 0, False: 0}
    for layer in layers:
        plain = any(step.variant.portable for step in layer.steps)
        work[plain] += layer.macs + layer.output.elements
    return "-O3" if work[True] > _PLAIN * sum(work.values()) else target.optimization


def memory_saved(model: Path | bytes, compiled: Compiled) -> dict[str, int]:
    """Return how many bytes larger the arena would be without each trick of the memory plan.

    Args:
        model: what was compiled.
        compiled: what came of it. All but the stripes are measured without a limit of RAM.
    """
    target = compiled.target.name

    def arena(*skip: str) -> int:
        preference = compiled.preference
        return compile_model(model, target, skip=skip, preference=preference).plan.arena_bytes

    whole = arena() if compiled.striped else compiled.plan.arena_bytes
    saved = {trick: arena(name) - whole for trick, name in TRICKS.items()}
    return {**saved, "stripes": whole - compiled.plan.arena_bytes}


def _striped(
    graph: Graph,
    target: Target,
    preference: Preference,
    skip: Collection[str],
    ram: int,
    plan: Plan,
    seek: bool,
) -> tuple[Graph, tuple[Striped, ...]]:
    """Return a graph whose arena has at most `ram` bytes, and what runs in stripes there."""
    found = fit(
        graph,
        plan,
        ram,
        lambda graph: _plan(graph, target, preference, skip, _STRIPES_EFFORT)[2],
        seek,
    )
    least = found.plan.arena_bytes
    if least <= ram:
        return found.graph, found.striped
    steps = [op for op in found.graph.ops if not operators()[op.kind].lower(op)[0].alias]
    needed = f"the whole model needs {least:,}"
    if steps:
        peak = steps[found.plan.peak_layer]
        needed = (
            f"{'with layers in stripes, ' if found.striped else ''}{short_name(peak.name)} "
            f"({peak.kind}) needs {found.plan.lower_bound:,} and the whole model {least:,}"
        )
    raise RamError(
        f"{graph.name}: {ram:,} bytes of RAM are too few; {needed}: give --ram {least} or more, a "
        "model with a smaller input, or a board with more RAM (`lotor boards`)",
        least,
    )


_Planned = tuple[Graph, list[tuple[Op, list[Step]]], Plan]


def _with_parts_or_copies(
    read: Graph,
    graph: Graph,
    target: Target,
    preference: Preference,
    skip: Collection[str],
    enough: int | None,
) -> _Planned:
    """Return `_plan` of a graph, or where that is smaller, of one that copies parts of tensors.

    A large tensor that waits for its last part may cost more memory than a copy.
    """
    placed = _plan(graph, target, preference, skip, enough=enough)
    if any(placement.parts for placement in placed[2].placements):
        copied = optimize(read, {*skip, place_parts.__name__})
        copying = _plan(copied, target, preference, skip, enough=enough)
        if copying[2].arena_bytes < placed[2].arena_bytes:
            return copying
    return placed


def _plan(
    graph: Graph,
    target: Target,
    preference: Preference = DEFAULT,
    skip: Collection[str] = (),
    effort: float = 1.0,
    enough: int | None = None,
) -> _Planned:
    """Return a graph with its layers in their order, their kernel calls, and where tensors live.

    Args:
        graph: the graph.
        target: what it runs on.
        preference: what kernels are chosen by.
        skip: names of rewrites and tricks to leave out.
        effort: of the search for places.
        enough: bytes that the arena may take, so that kernels need no less scratch memory.
    """
    lowered = _chosen(graph.ops, target, preference)
    alike = _alike(lowered, preference.optimize == "size")
    lowered, alike = (_in_blocks(steps, preference) for steps in (lowered, alike))
    if preference.optimize == "ram":
        enough = 0
    else:
        found = _placed(graph, alike, target, skip, effort)
        if enough is None:  # while stripes are sought, too
            return found
        if found[2].arena_bytes <= enough:
            return _with_more_scratch(found, target, preference, skip, effort)
    best = _placed(graph, lowered, target, skip, effort)
    while best[2].arena_bytes > enough and (smaller := _shrunk(best, target, preference)):
        lowered = [smaller.get(id(op)) or steps for op, steps in best[1]]
        found = _placed(best[0], lowered, target, skip, effort)
        if found[2].arena_bytes >= best[2].arena_bytes:
            break
        best = found
    return best


def _shrunk(planned: _Planned, target: Target, preference: Preference) -> dict[int, list[Step]]:
    """Return the layers at the peak of a plan with less memory, by their operators.

    Each takes the fastest kernels that bring it below the peak.
    """
    graph, ops, plan = planned
    found = {}
    layers = [i for i, (_, steps) in enumerate(ops) if not steps[0].call.alias]
    lowered = [steps for _, steps in ops]

    def lower(place: int, at: int, steps: list[Step]) -> bool:
        tried = [*lowered[:place], steps, *lowered[place + 1 :]]
        needs = Memory(graph, [[s.call for s in of] for of in tried], _clearances(tried)).needs
        return needs.profile(range(needs.layers))[at] < plan.live_bytes[at]

    # A model without layers has bytes in use all the same.
    for at, (place, live) in enumerate(zip(layers, plan.live_bytes, strict=False)):
        if live < max(plan.live_bytes):
            continue
        op, steps = ops[place]
        less = list(steps)
        for i, step in enumerate(steps):
            tries = _less_memory(step, target, preference)
            fitting = (t for t in tries if lower(place, at, [*steps[:i], t, *steps[i + 1 :]]))
            less[i] = next(fitting, step)
        if any(new is not old for new, old in zip(less, steps, strict=True)):
            found[id(op)] = less
    return found


def _less_memory(step: Step, target: Target, preference: Preference) -> Iterator[Step]:
    """Yield steps that may need less memory and no more flash, the fastest first."""
    if step.variant.shrink:
        yield replace(step, call=step.variant.shrink(step.call))
    most = constant_bytes(step.call)
    for choice in ranked(step.source, target, preference, True):
        dearer = choice.variant.spends and constant_bytes(choice.call) > most
        if not (choice.variant.portable or dearer):
            yield replace(step, call=choice.call, variant=choice.variant)


def _clearances(lowered: Sequence[list[Step]]) -> list[Sequence[Clearance]]:
    """Return the clearances of layers, each of a single kernel call."""
    return [
        steps[0].variant.clearances(steps[0].call)
        if len(steps) == 1 and not steps[0].call.alias
        else ()
        for steps in lowered
    ]


def _in_blocks(lowered: list[list[Step]], preference: Preference) -> list[list[Step]]:
    """Return steps whose code has the block sizes that were measured best for what shares it."""
    if preference.optimize == "size" or not preference.costs:
        return lowered
    steps = [step for steps in lowered for step in steps]
    macs = sum(step.macs for step in steps)
    measured = {id(step): preference.costs.get(signature(step.source), {}) for step in steps}
    total = sum(measured[id(step)].get(step.variant.label, 0) for step in steps)
    groups: dict[Any, list[tuple[Block, Step]]] = {}
    for step in steps:
        for block in step.variant.blocks:
            if block.function:
                key: Any = block.function(step.call)
            else:
                key = sharing_key(step, macs, False, block.name) or id(step)
            if block.code:
                groups.setdefault((block.name, key), []).append((block, step))
    changed: dict[int, Step] = {}
    for members in groups.values():
        block, _ = members[0]
        calls = [(step.call, step.variant.label, measured[id(step)]) for _, step in members]
        value = best_for_all(block, calls, total)
        for _, step in members:
            changed[id(step)] = replace(step, call=block.fit(step.call, value))
    return [[changed.get(id(step), step) for step in steps] for steps in lowered]


def _with_more_scratch(
    planned: _Planned,
    target: Target,
    preference: Preference,
    skip: Collection[str],
    effort: float,
) -> _Planned:
    """Return a plan with the block sizes in scratch memory that were measured best.

    As far as they make the arena no larger: layers at its peak make do with less.
    """
    wishes = {id(op): _wishes(steps, preference) for op, steps in planned[1]}
    while any(wishes.values()):
        lowered = [wishes[id(op)][0] if wishes[id(op)] else steps for op, steps in planned[1]]
        found = _placed(planned[0], lowered, target, skip, effort)
        if found[2].arena_bytes <= planned[2].arena_bytes:
            return found
        layers = [op for op, steps in found[1] if not steps[0].call.alias]
        peak = max(found[2].live_bytes)
        for op, live in zip(layers, found[2].live_bytes, strict=True):
            if live == peak and wishes[id(op)]:
                del wishes[id(op)][0]
                break
        else:  # not the layer at the peak, but the places of others
            next(wish for wish in wishes.values() if wish).pop(0)
    return planned


def _wishes(steps: list[Step], preference: Preference) -> list[list[Step]]:
    """Return a layer with other block sizes in scratch memory, the best first."""
    if len(steps) != 1:
        return []
    (step,) = steps
    found = []
    for block in step.variant.blocks:
        costs = preference.costs.get(signature(step.source), {})
        known = block.known(step.call, step.variant.label, costs) if not block.code else {}
        now = block.of(step.call)
        better = [v for v in known if known[v] < known.get(now, float("inf")) and v != now]
        for value in sorted(better, key=lambda value: (known[value], value)):
            found.append([replace(step, call=block.fit(step.call, value))])
    return found


def _placed(
    graph: Graph,
    lowered: Sequence[list[Step]],
    target: Target,
    skip: Collection[str],
    effort: float,
) -> _Planned:
    # An earlier plan's steps may walk backward, and are kept as they are.
    lowered = [[_walking(step, False) for step in steps] for steps in lowered]
    calls = [[step.call for step in steps] for steps in lowered]
    aliases = [step.call.alias for step, *_ in lowered]
    clearances = _clearances(lowered)
    if "overlap" in skip:
        clearances = [()] * len(lowered)
    elif "backward" in skip:
        clearances = [[replace(c, backward=None) for c in found] for found in clearances]
    memory = Memory(graph, calls, clearances)
    ops = list(zip(graph.ops, lowered, strict=True))
    if "order" in skip:
        plan = memory.plan(target.alignment, effort=effort)
    else:
        found = schedule(memory, target.alignment, must_precede(graph.ops, aliases))
        plan = replace(found.plan, order_bound=found.order.bound)
        if not found.as_in_model:
            ops = [ops[number] for number in in_order(graph.ops, aliases, found.layers)]
            graph = replace(graph, ops=[op for op, _ in ops])
    for steps, allowed in zip(lowered, clearances, strict=True):
        if allowed and walks_backward(plan, steps[0].call, allowed):
            steps[0] = _walking(steps[0], True)
    return graph, ops, plan


def _walking(step: Step, backward: bool) -> Step:
    """Return a step whose kernel walks backward, or forward."""
    params = {name: value for name, value in step.call.params.items() if name != "backward"}
    if backward:
        params["backward"] = 1
    return replace(step, call=replace(step.call, params=params))


def _chosen(ops: Sequence[Op], target: Target, preference: Preference) -> list[list[Step]]:
    """Return the kernel calls of layers, each with the variant that computes it."""
    calls, places = [], []
    for place, op in enumerate(ops):
        operator = operators()[op.kind]
        for call in operator.lower(op):
            calls.append((call, operator.macs(op)))
            places.append(place)
    found: list[list[Step]] = [[] for _ in ops]
    for place, (call, macs), choice in zip(
        places, calls, select(calls, target, preference), strict=True
    ):
        found[place].append(Step(choice.call, choice.variant, call, macs))
    return found


def _alike(lowered: Sequence[list[Step]], small: bool) -> list[list[Step]]:
    """Return the steps of all layers, made alike where their kernels share code then."""
    changed: dict[int, Step] = {}
    steps = [step for steps in lowered for step in steps]
    for share in dict.fromkeys(step.variant.share for step in steps):
        if share is not None:
            members = [step for step in steps if step.variant.share is share]
            calls = share(
                [SharedCall(step.source, step.call, step.macs) for step in members], small
            )
            for step, call in zip(members, calls, strict=True):
                changed[id(step)] = replace(step, call=call)
    return [[changed.get(id(step), step) for step in steps] for steps in lowered]


def _way_out(kind: str) -> str:
    """Return what can be done about a layer that Lotor does not know."""
    if kind.startswith("CUSTOM:Flex"):
        return "convert without TensorFlow's own operators (SELECT_TF_OPS)"
    if kind in _ACCELERATED:
        return "it was compiled for an accelerator, give the model as it was before"
    if kind.startswith("CUSTOM:"):
        return "its code is not in the file, compute it before or after the model"
    if kind in _CONTROL_FLOW:
        return "export the model without control flow, its loops unrolled"
    return "build it from those of `lotor operators`, or compute it before or after the model"


def find_problems(graph: Graph) -> list[Problem]:
    """Return everything that stops a graph from being compiled."""
    found = []
    for op in graph.ops:
        operator = operators().get(op.kind)
        used = [t for t in (*op.inputs, *op.outputs) if t is not None and t.data is None]
        tensors = (t for t in (*op.inputs, *op.outputs) if t is not None)
        unreadable = list(dict.fromkeys(t.unreadable for t in tensors if t.unreadable))
        if any(t.elements == 0 for t in used):
            reasons = [
                "reads or writes a tensor without elements; fix the sizes that were left open"
            ]
        elif operator is None:
            reasons = [f"operator not supported; {_way_out(op.kind)}"]
        elif unreadable:
            reasons = unreadable
        elif not operator.stateful and (kept := [t.name for t in used if t.variable]):
            reasons = [f"'{name}' keeps its value between runs, not supported" for name in kept]
        else:
            reasons = operator.problems(op)
        found += [Problem(op.name, op.kind, reason) for reason in reasons]
    for tensor in [*graph.inputs, *graph.outputs]:
        if tensor.dtype in (DType.OTHER, DType.INT4, DType.FLOAT16):
            needed = f"is {tensor.dtype.value}; quantized integers or float32 needed"
            reason = tensor.unreadable or needed
            found.append(Problem(tensor.name, _BORDER, reason))
    return found


def _refuse(graph: Graph, problems: Sequence[Problem]) -> NoReturn:
    layers = dict.fromkeys(p.layer for p in problems if p.kind != _BORDER)
    reasons = "; ".join(f"{short_name(p.layer)} ({p.kind}): {p.reason}" for p in problems)
    if any(op.kind not in operators() for op in graph.ops):
        reasons += f"; supported operators: {', '.join(model_operators())}"
    raise UnsupportedModelError(
        f"{graph.name}: {len(layers)} of {len(graph.ops)} layers cannot be compiled: {reasons}",
        problems,
    )
