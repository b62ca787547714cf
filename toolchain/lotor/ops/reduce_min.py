"""REDUCE_MIN: the smallest number over any axes."""

from lotor.ops.reduce_max import ReduceMax


class ReduceMin(ReduceMax):
    """As REDUCE_MAX, with the smallest number."""

    kind = "REDUCE_MIN"
    largest = False
