"""REDUCE_ALL: whether all are true, over any axes."""

from lotor.ops.reduce_any import ReduceAny


class ReduceAll(ReduceAny):
    """bool."""

    kind = "REDUCE_ALL"
    every = True
