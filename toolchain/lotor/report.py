"""What `report.json` says of a compiled model."""

from collections.abc import Iterable, Mapping
from typing import Any

from lotor.codegen.c import Program, borders, constant_key
from lotor.codegen.share import Step
from lotor.graph import Array
from lotor.memory import Placement

KINDS = ("input", "output", "state", "activation", "scratch")  # what memory is for


def report(program: Program) -> dict[str, Any]:
    """Return report.json: everything that is known before a board is touched."""
    plan = program.plan

    def border(kind: str) -> list[dict[str, Any]]:
        return [
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype.value,
                "scale": tensor.q.scale if tensor.quant else None,
                "zero_point": tensor.q.zero_point if tensor.quant else None,
                "offset": plan.offset(tensor),
                "bytes": tensor.nbytes,
            }
            for name, tensor in borders(program.graph)
            if name.startswith(kind)
        ]

    kinds, steps = _kinds(program), [step for layer in program.layers for step in layer.steps]
    memory = [_placement(placement, kinds) for placement in plan.placements]
    layers = [
        {
            "index": index,
            "name": layer.name,
            "kind": layer.kind,
            "kernel": layer.kernel,
            "shape": list(layer.output.shape),
            "macs": layer.macs,
            "weights_bytes": _constant_bytes(layer.steps),
            "unpacked_bytes": _constant_bytes(layer.steps, packed=False),
            "live_bytes": _union(_live(memory, index)),
        }
        for index, layer in enumerate(program.layers)
    ]
    return {
        "name": program.name,
        "model_hash": program.model_hash,
        "target": program.target,
        "tool_version": program.tool_version,
        "arena_bytes": plan.arena_bytes,
        "ram_bytes": plan.arena_bytes,
        "ram_lower_bound": plan.lower_bound,
        "ram_order_bound": plan.order_bound or None,
        "state_bytes": sum(tensor.nbytes for tensor in plan.variables),
        "peak_layer": program.layers[plan.peak_layer].name if program.layers else None,
        "weights_bytes": _constant_bytes(steps),
        "unpacked_bytes": _constant_bytes(steps, packed=False),
        "macs": sum(layer.macs for layer in program.layers),
        "inputs": border("input"),
        "outputs": border("output"),
        "labels": list(program.labels),
        "layers": layers,
        "peak": _peak(program, memory),
        "memory": memory,
    }


# Where bytes begin and end in the arena.
_Interval = tuple[int, int]


def _placement(placement: Placement, kinds: Mapping[int, str]) -> dict[str, Any]:
    here = [*placement.tensors, *(tensor for tensor, _ in placement.parts)]
    found = {kinds.get(id(tensor), "scratch") for tensor in here}
    return {
        "tensor": " = ".join(tensor.name for tensor in placement.tensors),
        "kind": "state" if placement.variable else min(found, key=KINDS.index),
        "offset": placement.offset,
        "bytes": placement.nbytes,
        "first": placement.first,
        "last": placement.last,
        "segments": [
            {"offset": s.offset, "bytes": s.nbytes, "first": s.first, "last": s.last}
            for s in placement.segments
        ],
    }


def _kinds(program: Program) -> dict[int, str]:
    """Return what tensors are for, by their identity; those that only kernels know are scratch."""
    flowing = [t for layer in program.layers for t in (*layer.op.inputs, *layer.op.outputs)]
    return {
        **{id(tensor): "activation" for tensor in flowing},
        **{id(tensor): "output" for tensor in program.graph.outputs},
        **{id(tensor): "input" for tensor in program.graph.inputs},
    }


def _peak(program: Program, memory: list[dict[str, Any]]) -> dict[str, Any]:
    """Return where the most bytes of the arena are in use at once, and by what.

    Before the first layer only the inputs are there, after the last one only the outputs: these
    moments count as the layers -1 and `len(layers)`.
    """
    count = len(program.layers)
    live = {layer: _union(_live(memory, layer)) for layer in range(-1, count + 1)}
    most = max(live.values())
    inner = [layer for layer in range(count) if live[layer] == most]
    layers = inner or [layer for layer in live if live[layer] == most]
    tensors = []
    for index, entry in enumerate(memory):
        own = _live([entry], layers[0])
        others = _live([*memory[:index], *memory[index + 1 :]], layers[0])
        if own:
            size = _union(own)
            shared = size + _union(others) - _union([*own, *others])
            tensors.append(
                {
                    "tensor": entry["tensor"],
                    "kind": entry["kind"],
                    "offset": own[0][0],
                    "bytes": size,
                    "overlap_bytes": shared,
                }
            )
    return {
        "layers": layers,
        "live_bytes": most,
        "unused_bytes": program.plan.arena_bytes - most,
        "overlap_bytes": sum(tensor["bytes"] for tensor in tensors) - most,
        "tensors": sorted(tensors, key=lambda tensor: (-tensor["bytes"], tensor["offset"])),
    }


def _live(memory: Iterable[dict[str, Any]], layer: int) -> list[_Interval]:
    """Return the bytes of the arena that are in use while a layer runs."""
    return [
        (start := entry["offset"] + segment["offset"], start + segment["bytes"])
        for entry in memory
        for segment in entry["segments"]
        if segment["first"] <= layer <= segment["last"]
    ]


def _union(intervals: Iterable[_Interval]) -> int:
    """Return how many bytes intervals cover together."""
    total, reached = 0, 0
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _constant_bytes(steps: Iterable[Step], packed: bool = True) -> int:
    """Return the bytes of constants, those that several calls share once.

    Args:
        steps: the calls.
        packed: as the chosen kernels have them; else as portable ones do.
    """
    arrays: list[Array] = []
    for step in steps:
        call = step.call if packed else step.source
        arrays += call.constants.values()
        arrays += [t.data for t in call.inputs if t.data is not None]
    return sum({constant_key(array): array.nbytes for array in arrays}.values())
