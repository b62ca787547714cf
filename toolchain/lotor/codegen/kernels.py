"""The kernel headers that a model uses, merged so that the generated file needs no library."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_LOCAL = re.compile(r'^#include "(?P<path>[^"]+)"\n', re.MULTILINE)
_SYSTEM = re.compile(r"^#include <[^>]+>\n", re.MULTILINE)
# A comment, a definition and the blank line after it, as clang-format lays them out.
_DEFINITION = re.compile(
    r"(?:^/\*(?:(?!\*/)[\s\S])*\*/\n)?"
    r"^(?:static (?:inline|LOTOR_SHARED) [^;{}]*?\b(?P<function>\w+)\([^;{}]*\) \{"
    r"(?:[^\n]*\}|\n[\s\S]*?^\})"
    r"|struct (?P<struct>\w+) \{\n[\s\S]*?^\};)\n\n?",
    re.MULTILINE,
)
_FLOATING = re.compile(r"\b(?:float|double)\b")
# GCC fuses unless it is told a strict standard, clang within an expression.
_NO_FUSION = """\
/* A multiplication and an addition that are fused into one instruction would round once where the
 * reference rounds twice. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

"""
_COMMENT = re.compile(r"/\*[\s\S]*?\*/")
_BETWEEN = "\f\n"  # headers
_WORD = re.compile(r"\w+")
_GUARD = re.compile(r"^#(ifndef|define) LOTOR_\w+_H\n|^#endif\n?\Z", re.MULTILINE)


def merge_headers(headers: Iterable[Path], called: Iterable[str]) -> str:
    """Return the text of headers and of what they include, each once, without include guards.

    System headers are left out: the generated file includes the three that are allowed. So are
    functions and structures that nobody uses, and headers of which nothing is left. Where floats
    are left, the compiler is told to round as the reference does.

    Args:
        headers: the kernels' headers.
        called: the functions that the generated code calls.
    """
    merged: dict[Path, str] = {}
    for header in headers:
        _merge(header.resolve(), merged)
    text = _without_unused(_BETWEEN.join(merged.values()), set(called))
    left = [part for part in text.split(_BETWEEN) if _COMMENT.sub("", part).strip()]
    # A header's last function may be gone.
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(left)).strip() + "\n"
    return _NO_FUSION + text if _FLOATING.search(_COMMENT.sub("", text)) else text


def _without_unused(text: str, called: set[str]) -> str:
    definitions = list(_DEFINITION.finditer(text))
    names = {match: match["function"] or match["struct"] for match in definitions}
    own = {match: Counter(_words(match[0])) for match in definitions}
    uses = Counter(_words(text))
    kept = definitions
    while True:
        unused = [m for m in kept if names[m] not in called and uses[names[m]] == own[m][names[m]]]
        if not unused:
            break
        for match in unused:
            uses.subtract(own.pop(match))
        kept = [match for match in kept if match in own]
    parts, end = [], 0
    for match in definitions:
        if match not in own:
            parts.append(text[end : match.start()])
            end = match.end()
    return "".join([*parts, text[end:]])


def _words(text: str) -> list[str]:
    """Return the words outside of comments, which may speak of functions that are gone."""
    return _WORD.findall(_COMMENT.sub("", text))


def _merge(header: Path, merged: dict[Path, str]) -> None:
    if header in merged:
        return
    text = header.read_text()
    for match in _LOCAL.finditer(text):
        _merge((header.parent / match["path"]).resolve(), merged)
    for pattern in (_LOCAL, _SYSTEM, _GUARD):
        text = pattern.sub("", text)
    merged[header] = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
