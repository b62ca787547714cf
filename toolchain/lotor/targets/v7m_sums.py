"""What the kernels for Armv7-M share: sums of 32 bits."""

from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded

_LIFTS = (0, 4, 8, 10, 11)
_MOST_SUM = 1 << 30  # that fits 32 bits twice


def line_of(sums: Sums) -> LinearScale | None:
    """Return the line of sums; None if there is none."""
    return sums.line(_LIFTS)


def rounded_of(sums: Sums) -> TwiceRounded | None:
    """Return the reference's own way; None where it does not serve, or no room."""
    return sums.rounded_twice() if sums.largest < _MOST_SUM else None
