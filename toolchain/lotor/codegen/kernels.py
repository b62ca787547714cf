"""The kernel headers that a model uses, merged so that the generated file needs no library."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_LOCAL = re.compile(r'^#include "(?P<path>[^"]+)"\n', re.MULTILINE)
_SYSTEM = re.compile(r"^#include <[^>]+>\n", re.MULTILINE)
# A comment, a definition and the blank line after it, as clang-format lays them out.
_FUNCTION = re.compile(
    r"(?:^/\*(?:(?!\*/)[\s\S])*\*/\n)?"
    r"^static inline [^;{}]*?\b(?P<name>\w+)\([^;{}]*\) \{(?:[^\n]*\}|\n[\s\S]*?^\})\n\n?",
    re.MULTILINE,
)
_WORD = re.compile(r"\w+")
_GUARD = re.compile(r"^#(ifndef|define) LOTOR_\w+_H\n|^#endif\n?\Z", re.MULTILINE)


def merge_headers(headers: Iterable[Path], called: Iterable[str]) -> str:
    """Return the text of headers and of what they include, each once, without include guards.

    System headers are left out: the generated file includes the three that are allowed. So are the
    functions that nobody calls, for which compilers would warn.

    Args:
        headers: the kernels' headers.
        called: the functions that the generated code calls.
    """
    merged: dict[Path, str] = {}
    for header in headers:
        _merge(header.resolve(), merged)
    text = _without_unused("\n".join(merged.values()), set(called))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"  # a header's last function may be gone


def _without_unused(text: str, called: set[str]) -> str:
    functions = list(_FUNCTION.finditer(text))
    own = {match: Counter(_WORD.findall(match[0])) for match in functions}
    uses = Counter(_WORD.findall(text))
    kept = functions
    while True:
        unused = [
            m for m in kept if m["name"] not in called and uses[m["name"]] == own[m][m["name"]]
        ]
        if not unused:
            break
        for match in unused:
            uses.subtract(own.pop(match))
        kept = [match for match in kept if match in own]
    parts, end = [], 0
    for match in functions:
        if match not in own:
            parts.append(text[end : match.start()])
            end = match.end()
    return "".join([*parts, text[end:]])


def _merge(header: Path, merged: dict[Path, str]) -> None:
    if header in merged:
        return
    text = header.read_text()
    for match in _LOCAL.finditer(text):
        _merge((header.parent / match["path"]).resolve(), merged)
    for pattern in (_LOCAL, _SYSTEM, _GUARD):
        text = pattern.sub("", text)
    merged[header] = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
