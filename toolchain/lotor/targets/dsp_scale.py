"""How kernels in C requantize: `kernels/common/dsp_general.h`, also for Armv7-M."""

from dataclasses import dataclass

import numpy as np

from lotor.graph import Array
from lotor.targets.dsp_weights import line_from_24_bits
from lotor.targets.linear_scale import LinearScale, Sums

_SHIFT = 12  # which most layers can have
_MOST_SUM = 1 << 23
_LOW_LIFTS = (4, 0)  # for larger sums
LINE, _TWICE, _REFERENCE, _ONCE = range(4)


@dataclass(frozen=True)
class DspScale:
    """The cheapest exact way from a layer's sums to its outputs; there always is one.

    Attributes:
        params: what the kernel needs to know.
        table: int32[channels, entries], the bias and what the way needs of each channel.
    """

    params: dict[str, int]
    table: Array

    @classmethod
    def of(cls, sums: Sums) -> "DspScale":
        """Return that of a layer."""
        line = line_from_24_bits(sums, _SHIFT)
        if line is None and _MOST_SUM <= sums.largest < 1 << 31:
            line = sums.line(_LOW_LIFTS)
        return cls.on_line(sums, line)

    @classmethod
    def on_line(cls, sums: Sums, line: LinearScale | None) -> "DspScale":
        """Return that of a layer whose line is known; None where it has none."""
        twice = None if sums.once or sums.largest >= 1 << 30 else sums.rounded_twice()
        if line is not None:
            way, lift, shift, numbers = LINE, line.lift, line.shift, line.table
        elif twice is not None:
            way, lift, shift, numbers = _TWICE, 0, 0, twice.table
        else:
            numbers = np.stack([sums.multiplier, sums.shift], 1)
            way, lift, shift = _ONCE if sums.once else _REFERENCE, 0, 0
        moved = sums.bias + (0 if line is None else line.move)
        bias = moved.astype(np.int32).astype(np.int64)  # wraps, as the reference's sums do
        table = np.concatenate([bias[:, None], numbers], axis=1)
        params = {"way": way, "lift": lift, "shift": shift, "out_offset": sums.zero_point}
        params |= dict(zip(("out_min", "out_max"), sums.limits, strict=True))
        return cls(params | {"entries": table.shape[1]}, table.astype(np.int32))

    @property
    def proved(self) -> bool:
        """Whether no sum can leave the range of int32 on the way."""
        return self.params["way"] in (LINE, _TWICE)

    def lifted(self, largest: int) -> "DspScale":
        """Return the scale of sums of int16 weights that are shifted to the left as far as can be.

        Args:
            largest: the largest magnitude of the weights as they are.
        """
        lift = min(self.params["lift"], 15 - max(largest, 1).bit_length())
        table = self.table.copy()
        table[:, 0] <<= lift  # the line's sums have room for its whole lift
        params = {"lift": self.params["lift"] - lift, "weights_lift": lift}
        return DspScale(self.params | params, table)
