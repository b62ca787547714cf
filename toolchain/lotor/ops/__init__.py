"""The operators: one module each, found by being here."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

from lotor.ops.operator import CFunction, KernelCall, Operator

__all__ = ["CFunction", "KernelCall", "Operator", "model_operators", "operators"]


@cache
def operators() -> dict[str, Operator]:
    """Return every operator by its kind."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: Any = Operator  # abstract, so not a plain type[Operator]
    return {cls.kind: cls() for cls in _subclasses(found) if hasattr(cls, "kind")}


def model_operators() -> dict[str, Operator]:
    """Return the operators that model files can hold, sorted by their kind."""
    return {
        kind: operator for kind, operator in sorted(operators().items()) if not operator.internal
    }


def _subclasses(cls: type[Operator]) -> Iterator[type[Operator]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
