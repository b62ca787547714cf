"""How much is drawn at random: little by `make test`, more by `make test-full`."""

import os

FULL = bool(os.environ.get("LOTOR_TEST_FULL"))


def examples(few: int, more: int = 4) -> int:
    """Return how many examples to draw: `few`, or `more` times as many by `make test-full`."""
    return few * more if FULL else few
