"""What `report.json` says of a compiled model."""

from typing import Any

from lotor.codegen.c import Layer, Program, borders
from lotor.graph import Array


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

    layers = [
        {
            "index": index,
            "name": layer.name,
            "kind": layer.kind,
            "kernel": layer.kernel,
            "shape": list(layer.output.shape),
            "macs": layer.macs,
            "weights_bytes": _constant_bytes(layer),
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
        "state_bytes": sum(tensor.nbytes for tensor in plan.variables),
        "peak_layer": program.layers[plan.peak_layer].name if program.layers else None,
        "weights_bytes": sum(_constant_bytes(layer) for layer in program.layers),
        "macs": sum(layer.macs for layer in program.layers),
        "inputs": border("input"),
        "outputs": border("output"),
        "labels": list(program.labels),
        "layers": layers,
        "memory": [
            {
                "tensor": " = ".join(t.name for t in p.tensors),
                "offset": p.offset,
                "bytes": p.nbytes,
                "first": p.first,
                "last": p.last,
            }
            for p in plan.placements
        ],
    }


def _constant_bytes(layer: Layer) -> int:
    arrays: list[Array] = []
    for step in layer.steps:
        arrays += step.call.constants.values()
        arrays += [t.data for t in step.call.inputs if t.data is not None]
    return sum(int(a.nbytes) for a in arrays)
