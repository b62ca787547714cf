"""The cases: small models, one module for each operator, found by being here.

They drive the comparison with the reference, the sanitizers, the checks of the generated C and the
kernel benchmark alike. A module holds

- `@case` models, which every check runs on: one or two for an operator, with several forms of it as
  outputs of one model, because compiling C is what costs;
- `@edge` models, which corner the arithmetic: compared with the reference and sanitized;
- `@random_models`, hypothesis strategies: compared with the reference.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache

from hypothesis import strategies as st

from tflite_builder import ModelBuilder

Build = Callable[[ModelBuilder], None]

_CASES: list[Build] = []
_EDGES: list[Build] = []
_RANDOM: dict[str, st.SearchStrategy[ModelBuilder]] = {}


def case(build: Build) -> Build:
    """Register the model of an operator."""
    _CASES.append(build)
    return build


def edge(build: Build) -> Build:
    """Register the model of an edge case."""
    _EDGES.append(build)
    return build


def random_models(draw_model: Callable[..., ModelBuilder]) -> Callable[..., ModelBuilder]:
    """Register a function that draws a model; its first argument is hypothesis' `draw`."""
    _RANDOM[draw_model.__name__.removeprefix("random_")] = st.composite(draw_model)()
    return draw_model


@cache
def _load() -> None:
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")


def cases() -> list[Build]:
    """Every operator's model."""
    _load()
    return _CASES


def edges() -> list[Build]:
    """Every edge case."""
    _load()
    return _EDGES


def random() -> dict[str, st.SearchStrategy[ModelBuilder]]:
    """Every strategy by its name."""
    _load()
    return _RANDOM


def built(build: Build) -> ModelBuilder:
    """A registered model, always the same."""
    model = ModelBuilder(seed=2)
    build(model)
    return model
