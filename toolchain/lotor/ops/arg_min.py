"""ARG_MIN: where the smallest number lies along an axis."""

from lotor.ops.arg_max import ArgMax


class ArgMin(ArgMax):
    """As ARG_MAX, with the smallest number."""

    kind = "ARG_MIN"
    options = "ArgMinOptions"
    largest = False
