"""What every rewrite has done to a model and what that saved."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lotor.graph import DType, Graph, Op, Tensor, short_name
from lotor.ops import operators
from lotor.optimize import trace
from lotor.optimize.edit import compiles

_LISTED = 6  # layers that a line of text names


def report_passes(graph: Graph) -> list[dict[str, Any]]:
    """Run every rewrite and say what each has done.

    Returns:
        For each rewrite: `name`, `purpose`, the layers `removed`, `changed` and `added` (`layer`,
        `kind`), and `saved`: how many `ops`, `macs`, `weights_bytes` and `activation_bytes` fewer
        there are (negative: more). Work and memory of layers count once they can be compiled.
    """
    costs = _Costs()
    before = costs.of(graph)
    found = []
    for result in trace(graph):
        removed, changed, added = _differences(result.removed, result.added)
        after = costs.of(result.graph)
        found.append(
            {
                "name": result.name,
                "purpose": result.purpose,
                "removed": removed,
                "changed": changed,
                "added": added,
                "saved": {key: before[key] - after[key] for key in before},
            }
        )
        before = after
    return found


def as_text(passes: Iterable[dict[str, Any]]) -> str:
    """Return the rewrites for people."""
    lines = []
    for one in passes:
        lines.append(f"{one['name']}: {one['purpose']}")
        for what in ("removed", "changed", "added"):
            if one[what]:
                lines.append(f"  {what} {len(one[what])}: {_names(one[what])}")
        if not any(one[what] for what in ("removed", "changed", "added")):
            lines.append("  nothing to do")
            continue
        saved = one["saved"]
        lines.append(
            f"  saves {saved['ops']:,} layers, {saved['macs']:,} MACs, "
            f"{saved['weights_bytes']:,} bytes of weights, "
            f"{saved['activation_bytes']:,} bytes of activations"
        )
    return "\n".join(lines)


def _names(layers: list[dict[str, str]]) -> str:
    named = [f"{layer['kind']} {short_name(layer['layer'])}" for layer in layers[:_LISTED]]
    rest = len(layers) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _differences(removed: list[Op], added: list[Op]) -> tuple[list[dict[str, str]], ...]:
    """Return removed, changed and added layers; one that keeps name and operator has changed."""

    def row(op: Op) -> dict[str, str]:
        return {"layer": op.name, "kind": op.kind}

    old = Counter((op.name, op.kind) for op in removed)
    new = Counter((op.name, op.kind) for op in added)
    both = old & new
    groups: tuple[list[dict[str, str]], ...] = ([], [], [])
    matched = Counter(both)
    for op in removed:
        key = (op.name, op.kind)
        groups[1 if matched[key] > 0 else 0].append(row(op))
        matched[key] -= 1
    matched = Counter(both)
    for op in added:
        key = (op.name, op.kind)
        if matched[key] <= 0:
            groups[2].append(row(op))
        matched[key] -= 1
    return groups


class _Costs:
    """Work and memory of graphs; layers that graphs share are looked at once."""

    def __init__(self) -> None:
        self._layers: dict[Op, tuple[int, int]] = {}

    def of(self, graph: Graph) -> dict[str, int]:
        layers = [self._layer(op) for op in graph.ops]
        read = {t for op in graph.ops for t in op.inputs if t is not None}
        return {
            "ops": len(graph.ops),
            "macs": sum(macs for macs, _ in layers),
            "weights_bytes": sum(_stored(t) for t in read if t.data is not None),
            "activation_bytes": sum(size for _, size in layers),
        }

    def _layer(self, op: Op) -> tuple[int, int]:
        if op not in self._layers:
            self._layers[op] = _layer_costs(op)
        return self._layers[op]


def _stored(constant: Tensor) -> int:
    """Return the bytes of a constant in flash, but for what aligns odd rows of int4."""
    return (constant.elements + 1) // 2 if constant.dtype is DType.INT4 else constant.nbytes


def _layer_costs(op: Op) -> tuple[int, int]:
    """Return multiply-accumulates and bytes written; an alias writes nothing."""
    if not compiles(op):
        return 0, 0
    operator = operators()[op.kind]
    written = 0 if operator.lower(op)[0].alias else sum(t.nbytes for t in op.outputs)
    return operator.macs(op), written
