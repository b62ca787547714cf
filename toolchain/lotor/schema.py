"""TOML tables -> dataclasses: the dataclasses are the schema.

A field is a key, its annotation the type, a default makes it optional. Types: str, bool, int, float
(a whole number will do), `Literal` of strings, a dataclass (a table), `Mapping[str, T]` (a table of
free keys), `tuple[T, ...]` (a list, also of tables or of lists), and `T | None` (may be left out).
"""

import dataclasses
import math
import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lotor.errors import LotorError, reason
from lotor.suggest import did_you_mean

T = TypeVar("T")

_NAMES = {
    str: ("a string", "strings"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
}


def read_table(path: Path, where: str) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        LotorError: it cannot be read; begins with `where`.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LotorError(f"{where}: cannot be read: {reason(error)}") from error


def parse(schema: type[T], table: Mapping[str, Any], where: str, prefix: str = "") -> T:
    """Return the dataclass that a table describes.

    Args:
        schema: a dataclass.
        table: as `tomllib` has it.
        where: what mistakes begin with, e.g. "board file pico.toml".
        prefix: of the keys, e.g. "flash.".

    Raises:
        LotorError: a key that is none, is missing, or has a value of another type.
    """
    hints = get_type_hints(schema)
    for key in table:
        if key not in hints:
            raise LotorError(
                f"{where}: '{prefix}{key}' is no key{did_you_mean(key, hints)}; keys here: "
                f"{', '.join(sorted(hints))}"
            )
    values = {}
    for item in dataclasses.fields(schema):  # type: ignore[arg-type]
        if item.name in table:
            key = prefix + item.name
            values[item.name] = _value(hints[item.name], table[item.name], key, where)
        elif item.default is item.default_factory is dataclasses.MISSING:
            raise LotorError(f"{where}: the key '{prefix}{item.name}' is missing")
    return schema(**values)


def _value(hint: Any, value: Any, key: str, where: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if value not in choices:
            hint_text = did_you_mean(value, choices) if isinstance(value, str) else ""
            raise LotorError(
                f"{where}: '{key}' is {value!r}{hint_text}; one of {', '.join(choices)}"
            )
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise LotorError(f"{where}: '{key}' must be a table, not {value!r}")
        return parse(hint, value, where, key + ".")  # type: ignore[arg-type]
    if get_origin(hint) is Mapping:
        if not isinstance(value, dict):
            raise LotorError(f"{where}: '{key}' must be a table, not {value!r}")
        each = get_args(hint)[1]
        return {name: _value(each, part, f"{key}.{name}", where) for name, part in value.items()}
    if get_origin(hint) is tuple:
        return _items(get_args(hint)[0], value, key, where)
    if hint is Any:
        return value
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise LotorError(f"{where}: '{key}' must be {_NAMES[hint][0]}, not {value!r}")
    return value


def _items(kind: Any, value: Any, key: str, where: str) -> tuple[Any, ...]:
    """Return a list's parts; a mistake in one of no simple type is named by its number."""
    if kind in _NAMES:
        allowed = (int, float) if kind is float else (kind,)
        if not isinstance(value, list) or not all(type(part) in allowed for part in value):
            raise LotorError(f"{where}: '{key}' must be a list of {_NAMES[kind][1]}, not {value!r}")
        return tuple(kind(part) for part in value)
    if not isinstance(value, list):
        header = re.sub(r"\[\d+\]", "", key)
        what = f"tables ([[{header}]])" if dataclasses.is_dataclass(kind) else "lists"
        raise LotorError(f"{where}: '{key}' must be a list of {what}, not {value!r}")
    return tuple(
        _value(kind, part, f"{key}[{number}]", where) for number, part in enumerate(value, 1)
    )
