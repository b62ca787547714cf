"""C functions that several layers share.

A kernel is specialised for the parameters of its layer, as they are constants. Where that does not
pay (`Variant.shared`), layers that call the same kernel get one function: what all of them have in
common stays constant, the rest comes in a small structure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.ops import KernelCall
from lotor.targets.variants import Variant

# Unsigned ones first: they turn into every type without a warning, enumerations too.
_INTEGERS = ("uint8", "int8", "uint16", "int16", "int32")


@dataclass(frozen=True)
class Step:
    """A kernel call and the implementation that was chosen for it.

    Attributes:
        call: as the implementation takes it.
        variant: the implementation.
        source: the call of the portable kernel.
        macs: of the layer.
    """

    call: KernelCall
    variant: Variant
    source: KernelCall
    macs: int

    @property
    def function(self) -> str:
        """The C function."""
        return f"lotor_{self.call.function}_{self.variant.name}"

    @property
    def structure(self) -> str:
        """The C structure of its parameters."""
        return f"lotor_{self.call.structure or self.call.function}_params"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The C types of what it takes after its parameters."""
        call = self.call
        read = [f"const {tensor.dtype.c_name} *" for tensor in call.inputs]
        read += [f"const {c_type(array.dtype)} *" for array in call.constants.values()]
        return (*read, *(f"{tensor.dtype.c_name} *" for tensor in call.outputs))


@dataclass(frozen=True, eq=False)
class Group:
    """Calls that share one function.

    Attributes:
        name: of the structure of what they differ in; the function's is `NAME_run`.
        steps: the calls.
    """

    name: str
    steps: Sequence[Step]

    @property
    def params(self) -> list[str]:
        """The parameters in which they differ, the widest first, so that no room is lost."""
        first = self.steps[0].call.params
        differ = [
            # By their text: 0.0 equals -0.0.
            name
            for name in first
            if len({str(step.call.params[name]) for step in self.steps}) > 1
        ]
        return sorted(differ, key=lambda name: -_size(self.type(name)))

    def type(self, name: str) -> str:
        """Return the C type of a parameter: the smallest integer that holds it."""
        step = self.steps[0]
        values = [step.call.params[name] for step in self.steps]
        if isinstance(values[0], str):
            return f"{step.call.functions[values[0]].type} *"
        if any(isinstance(value, float) for value in values):
            return "float "
        fits = (np.iinfo(kind) for kind in _INTEGERS)
        kind = next(i.dtype for i in fits if i.min <= min(values) and max(values) <= i.max)
        return f"{kind}_t "


def c_type(dtype: Any) -> str:
    """Return the C type of the elements of an array."""
    kind = str(np.dtype(dtype))
    return {"float64": "double", "float32": "float", "bool": "uint8_t"}.get(kind, f"{kind}_t")


def find_groups(steps: Iterable[Step], share_all: bool) -> dict[int, Group]:
    """Return the groups by the identity of their steps; a kernel that one layer calls has none.

    Args:
        steps: of a program.
        share_all: whether also kernels are shared that are faster when they are specialised.
    """
    steps = list(steps)
    macs = sum(step.macs for step in steps)
    alike: dict[Any, list[Step]] = {}
    for step in steps:
        key = sharing_key(step, macs, share_all)
        if key is not None:
            alike.setdefault(key, []).append(step)
    found: dict[int, Group] = {}
    count: dict[str, int] = {}
    for members in alike.values():
        if len(members) == 1:
            continue
        name = members[0].function  # no model's functions begin as it does
        number = count[name] = count.get(name, -1) + 1
        group = Group(f"{name}_{number}", members)
        found |= {id(step): group for step in members}
    return found


def sharing_key(step: Step, macs: int, share_all: bool, but: str = "") -> Any:
    """Return what is equal in steps that share a function; None where a step has its own.

    Args:
        step: the step.
        macs: of the program.
        share_all: as for `find_groups`.
        but: a parameter that is no part of it.
    """
    shared = step.variant.shared
    if share_all and step.variant.portable:
        shared = ()
    if shared is None or (not share_all and step.macs > step.variant.apart * macs):
        return None
    fixed = tuple(step.call.params[name] for name in shared if name != but)
    return step.function, step.structure, step.arguments, tuple(step.call.params), fixed


def render_group(group: Group, fields: Mapping[str, str]) -> str:
    """Return the C of a group: the structure, unless all is equal, and the function.

    Args:
        group: the group.
        fields: the C text of the parameters that all have in common.
    """
    step, differ = group.steps[0], group.params
    members = "".join(f"    {group.type(name)}{member(name)};\n" for name in differ)
    values = {
        name: f"layer->{member(name)}" if name in differ else fields[name]
        for name in step.call.params
    }
    lines = "".join(f"        .{name} = {text},\n" for name, text in values.items())
    types = step.arguments
    head = [f"const struct {group.name} *layer"] if differ else []
    arguments = ", ".join([*head, *(f"{kind}a{i}" for i, kind in enumerate(types))])
    passed = "".join(f", a{i}" for i in range(len(types)))
    structure = f"struct {group.name} {{\n{members}}};\n" if differ else ""
    return (
        f"/* {len(group.steps)} layers share this function. */\n{structure}"
        f"static LOTOR_SHARED void {group.name}_run({arguments}) {{\n"
        f"    const struct {step.structure} params = {{\n{lines}    }};\n"
        f"    {step.function}(&params{passed});\n"
        "}\n"
    )


def member(name: str) -> str:
    """Return what a parameter, perhaps one within another structure, is called in a group's."""
    return name.replace(".", "_")


def _size(c_name: str) -> int:
    return next((int(bits) // 8 for bits in ("32", "16", "8") if bits in c_name), 4)
