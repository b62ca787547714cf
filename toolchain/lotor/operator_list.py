"""Every operator that can be compiled, with what it takes."""

import inspect
from collections.abc import Iterable

from lotor.ops import model_operators


def operator_list() -> list[dict[str, str]]:
    """Return name (`operator`) and types, shapes and limits (`takes`) of each, sorted by name."""
    return [
        {"operator": kind, "takes": _first_paragraph(type(operator))}
        for kind, operator in model_operators().items()
    ]


def as_text(rows: Iterable[dict[str, str]]) -> str:
    """Return them for people."""
    return "\n".join(f"{row['operator']:<36} {row['takes']}" for row in rows)


def as_markdown(rows: Iterable[dict[str, str]]) -> str:
    """Return them as the table of docs/operators.md."""
    lines = ["| operator | what it takes |", "| --- | --- |"]
    lines += [f"| {row['operator']} | {row['takes'].replace('|', '/')} |" for row in rows]
    return "\n".join(lines)


def _first_paragraph(documented: type) -> str:
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())
