"""Keep resource variables in the arena, with the first values that initialisers assign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lotor.graph import DType, Graph, Op, Tensor, Within
from lotor.ops.var_handle import VariableName

_Handles = Mapping[Tensor, VariableName]


def resource_variables(graph: Graph) -> Graph:
    """Keep resource variables in the arena, with the first values that initialisers assign.

    VAR_HANDLE and CALL_ONCE layers vanish; READ_VARIABLE reads and ASSIGN_VARIABLE writes a tensor
    that is a variable. What cannot be kept so stays as it is, and is refused afterwards.
    """
    handles = _handles(graph.ops)
    if not handles:
        return graph
    first = _first_values(graph)
    made = {}
    for name, use in _uses(graph, handles).items():
        start = None if first is None else first.get(name)
        values = use.values if start is None else [*use.values, start]
        if first is None or use.escapes or not _alike(values):
            continue
        if start is not None or use.assigned_first:
            made[name] = _variable(name, values[0], start)
    kept = {handle: made[name] for handle, name in handles.items() if name in made}
    ops = (_converted(op, kept, called=first is not None) for op in graph.ops)
    return replace(graph, ops=[op for op in ops if op is not None])


@dataclass
class _Use:
    """What a graph does with a variable: the tensors read from it and assigned to it."""

    values: list[Tensor] = field(default_factory=list)
    assigned_first: bool = False
    escapes: bool = False


def _handles(ops: Sequence[Op]) -> dict[Tensor, VariableName]:
    return {op.outputs[0]: op.attrs for op in ops if op.kind == "VAR_HANDLE"}


def _first_values(graph: Graph) -> dict[VariableName, Tensor] | None:
    """Return the constants that initialisers assign; None if they do anything else."""
    found = {}
    for call in (op for op in graph.ops if op.kind == "CALL_ONCE"):
        initialiser = graph.subgraphs.get(call.attrs)
        if initialiser is None:
            return None
        handles = _handles(initialiser.ops)
        for op in initialiser.ops:
            if op.kind == "VAR_HANDLE":
                continue
            if op.kind != "ASSIGN_VARIABLE" or op.input(0) not in handles:
                return None
            if op.input(1).data is None:
                return None
            found[handles[op.input(0)]] = op.input(1)
    return found


def _uses(graph: Graph, handles: _Handles) -> dict[VariableName, _Use]:
    found = {name: _Use() for name in handles.values()}
    for tensor in graph.outputs:
        if tensor in handles:
            found[handles[tensor]].escapes = True
    for op in graph.ops:
        for place, read in enumerate(op.inputs):
            if read is None or read not in handles:
                continue
            use = found[handles[read]]
            if place == 0 and op.kind == "READ_VARIABLE":
                use.values.append(op.outputs[0])
            elif place == 0 and op.kind == "ASSIGN_VARIABLE":
                use.assigned_first |= not use.values
                use.values.append(op.input(1))
            else:
                use.escapes = True
    return found


def _alike(values: Sequence[Tensor]) -> bool:
    """Return whether there are values, all of one shape and one type that C has."""
    forms = {(tensor.shape, tensor.dtype) for tensor in values}
    return len(forms) == 1 and values[0].dtype not in (DType.OTHER, DType.INT4, DType.FLOAT16)


def _variable(name: VariableName, like: Tensor, start: Tensor | None) -> Tensor:
    initial = None if start is None else start.data
    made = replace(like, name=name.text, data=None, source=None, variable=True, initial=initial)
    return replace(made, within=None, shape_signature=None)


def _converted(op: Op, kept: Mapping[Tensor, Tensor], called: bool) -> Op | None:
    """Return a layer without handles; None for one that is not needed any more."""
    if op.kind == "CALL_ONCE" and called:
        return None
    if op.kind == "VAR_HANDLE" and op.outputs[0] in kept:
        return None
    variable = kept.get(op.input(0)) if op.inputs and op.inputs[0] is not None else None
    if variable is None:
        return op
    if op.kind == "READ_VARIABLE":
        return replace(op, inputs=[variable])
    after = replace(
        variable, variable=False, initial=None, within=Within(variable, 0, variable.row)
    )
    return replace(op, name=variable.name, inputs=[op.input(1)], outputs=[after])
