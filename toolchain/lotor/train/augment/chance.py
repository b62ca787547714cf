"""Chances that leave the random stream alone where they are zero."""

import numpy as np


def happens(probability: float, rng: np.random.Generator) -> bool:
    """Draw whether something happens; nothing is drawn for a probability of 0.

    What a recipe leaves off so changes nothing in the photographs of a seed.
    """
    return probability > 0 and bool(rng.random() < probability)
