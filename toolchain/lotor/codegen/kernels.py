"""The kernel headers that a model uses, merged so that the generated file needs no library."""

import re
from collections.abc import Iterable
from pathlib import Path

_LOCAL = re.compile(r'^#include "(?P<path>[^"]+)"\n', re.MULTILINE)
_SYSTEM = re.compile(r"^#include <[^>]+>\n", re.MULTILINE)
_GUARD = re.compile(r"^#(ifndef|define) LOTOR_\w+_H\n|^#endif\n?\Z", re.MULTILINE)


def merge_headers(headers: Iterable[Path]) -> str:
    """Return the text of headers and of what they include, each once, without include guards.

    System headers are left out: the generated file includes the three that are allowed.
    """
    merged: dict[Path, str] = {}
    for header in headers:
        _merge(header.resolve(), merged)
    return "\n".join(merged.values())


def _merge(header: Path, merged: dict[Path, str]) -> None:
    if header in merged:
        return
    text = header.read_text()
    for match in _LOCAL.finditer(text):
        _merge((header.parent / match["path"]).resolve(), merged)
    for pattern in (_LOCAL, _SYSTEM, _GUARD):
        text = pattern.sub("", text)
    merged[header] = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
