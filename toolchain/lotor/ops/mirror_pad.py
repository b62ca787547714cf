"""MIRROR_PAD: a border that mirrors what lies inside."""

import itertools
from typing import Any

from lotor.graph import Op
from lotor.ops.copy import Copy, View
from lotor.ops.movement import Movement
from lotor.ops.pad import padding_problems, paddings_of

_REFLECT, _SYMMETRIC = 0, 1


class MirrorPad(Movement):
    """Any input, paddings [rank, 2] constant, at most as wide as what they mirror.

    `attrs` is 0 where the mirror goes through the outermost elements, 1 where beside them.
    """

    kind = "MIRROR_PAD"
    inputs = 2
    options = "MirrorPadOptions"

    def read(self, options: Any) -> int:
        return int(options.Mode())

    def form_problems(self, op: Op) -> list[str]:
        x, found = op.input(0), padding_problems(op)
        if op.attrs not in (_REFLECT, _SYMMETRIC):
            return [*found, f"mode {op.attrs} is not supported; use REFLECT or SYMMETRIC"]
        skipped = 1 - op.attrs
        for size, pair in zip(x.shape, paddings_of(op) or (), strict=False):
            if max(pair) > max(0, size - skipped):
                found.append(f"paddings {list(pair)} mirror more than the {size} that there are")
        return found

    def copies(self, op: Op) -> list[Copy]:
        x, y = op.input(0), op.outputs[0]
        skipped = 1 - op.attrs
        sides = []
        for size, (before, after) in zip(x.shape, paddings_of(op) or (), strict=True):
            # (first in the output, how many, first in the input, step)
            inside = (before, size, 0, 1)
            left = (0, before, before - 1 + skipped, -1)
            right = (before + size, after, size - 1 - skipped, -1)
            sides.append([side for side in (inside, left, right) if side[1] or side is inside])
        found = []
        for chosen in itertools.product(*sides):
            source, target = View.of(x), View.of(y)
            for axis, (first, count, start, step) in enumerate(chosen):
                source = source.part(axis, start, count, step)
                target = target.part(axis, first, count)
            found.append(Copy(source, target))
        return found
