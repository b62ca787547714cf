"""The most stack that an image for a Cortex-M can use, computed from its code.

Frames are the compiler's (`-fstack-usage`); calls are those of the linked image's disassembly, so
that what the C library and the compiler's own helpers call is seen, too. A function without a
compiler's word, out of a library, has a frame of all that its instructions take off the stack
pointer. A call through a pointer may reach every function whose address the image holds, or that
nothing calls by its name, of those further in: the firmware's loop calls requests so, both call
models, and any of them a library's functions (GCC keeps addresses of these in registers). Nothing
further in calls outward: what calls itself is reported. An exception lies on top of the deepest
call: its frame (DDI 0403, B1.5.6: 8 words, 26 with floating point, and 4 bytes to align it) and the
deepest handler. Handlers have one priority, so that there is one at a time; faults have a stack of
their own.
"""

import re
import struct
import subprocess
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = ("-fstack-usage",)
_ENTRY, _VECTORS = "Reset_Handler", ".vectors"
_OWN_STACK = frozenset({"Fault_Handler"})  # it leaves the stack at once
_ON_PURPOSE = frozenset({"hal_provoke", "outgrow"})  # faults on request
_LOOP, _REQUEST, _MODEL, _LIBRARY = range(4)  # further and further in
_EXCEPTION, _WITH_FLOATS = 4 * 8 + 4, 4 * 26 + 4

_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\s+(?:[0-9a-f]{4} ?)+\s*\t(\S+)\s*([^;@]*)")
_CALL = re.compile(r"^(?:bl|blx|b)(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(?:\.[nw])?$")
_TARGET = re.compile(r"^[0-9a-f]+ <([^+>]+)>")
_REGISTER = re.compile(r"^(?:r\d+|sl|fp|ip)$")


@dataclass(frozen=True)
class StackUse:
    """The most stack that an image can use.

    Attributes:
        bytes: of the deepest calls and of an exception on top of them.
        path: the deepest calls, outermost first.
        exception_bytes: the part of an exception and its handler.
        unseen: why the number is no bound, where it is none.
    """

    bytes: int
    path: list[str]
    exception_bytes: int
    unseen: list[str]


@dataclass
class _Function:
    frame: int = 0
    calls: set[str] = field(default_factory=set)
    indirect: bool = False
    rank: int = _LIBRARY


def stack_use(
    elf: Path, usage: Iterable[Path], prefix: str, models: Collection[str] = ()
) -> StackUse:
    """Return the most stack that an image can use.

    Args:
        elf: the linked image of a Cortex-M.
        usage: what GCC wrote beside the object files (`.su`).
        prefix: what the names of the compiler's tools begin with.
        models: folders of `usage` with functions of models.
    """
    frames, unfixed = _frames(usage, models)
    functions, addresses = _functions(_said(prefix + "objdump", "-d", elf))
    for name, function in functions.items():
        if known := frames.get(_plain(name)):
            function.frame, function.rank = known
    vectors, held = _held_addresses(elf, prefix, addresses)
    named = {call for function in functions.values() for call in function.calls}
    pointed = ((held | (functions.keys() - named)) & functions.keys()) - vectors - _ON_PURPOSE
    pointed -= {_ENTRY}
    graph = _Graph(functions, sorted(pointed))
    for name in pointed:
        for inner in graph.reached(name, direct=True):
            functions[inner].rank = max(functions[inner].rank, _REQUEST)
    deepest, path = graph.depth(_ENTRY)
    handlers = [graph.depth(name)[0] for name in sorted(vectors - _OWN_STACK - {_ENTRY})]
    floats = "Tag_FP_arch" in _said(prefix + "readelf", "-A", elf)
    exception = (_WITH_FLOATS if floats else _EXCEPTION) + max(handlers, default=0)
    reached = graph.reached(_ENTRY)
    return StackUse(
        deepest + exception,
        path,
        exception,
        sorted(
            [
                f"{n} takes memory of a size that it computes"
                for n in reached
                if _plain(n) in unfixed
            ]
            + [f"{n} calls itself" for n in graph.recursive]
            + [
                f"{n} calls through a pointer"
                for n in reached
                if functions[n].indirect and functions[n].rank == _LIBRARY
            ]
        ),
    )


def _said(*command: Any) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _plain(name: str) -> str:
    """Return a symbol's name as the compiler's files have it."""
    return re.sub(r"\.\d+$", "", name)


def _frames(
    usage: Iterable[Path], models: Collection[str]
) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """Return frame and rank of functions, and those whose frames are not fixed."""
    frames: dict[str, tuple[int, int]] = {}
    unfixed = set()
    for path in usage:
        rank = _MODEL if path.parent.name in models else _LOOP
        for line in path.read_text(encoding="utf-8").splitlines():
            place, size, kind = line.split("\t")
            name = place.rsplit(":", 1)[1]
            known = frames.get(name, (0, rank))  # another function in another file
            frames[name] = max(int(size), known[0]), min(rank, known[1])
            if kind == "dynamic":
                unfixed.add(name)
    return frames, unfixed


def _functions(disassembly: str) -> tuple[dict[str, _Function], dict[int, str]]:
    functions: dict[str, _Function] = {}
    addresses: dict[int, str] = {}
    name = ""
    for line in disassembly.splitlines():
        if head := _FUNCTION.match(line):
            name = head[2]
            addresses[int(head[1], 16)] = name
            functions[name] = _Function()
        elif (found := _INSTRUCTION.match(line)) and name:
            _take(functions[name], name, found[1], found[2].strip())
    return functions, addresses


def _take(function: _Function, name: str, mnemonic: str, operands: str) -> None:
    """Note what an instruction takes of the stack and what it calls."""
    function.frame += _pushed(mnemonic.removesuffix(".w").removesuffix(".n"), operands)
    if not _CALL.match(mnemonic) and not mnemonic.startswith("bx"):
        return
    target = _TARGET.match(operands)
    if target and target[1] != name:
        function.calls.add(target[1])
    elif _REGISTER.match(operands):
        function.indirect = True


def _pushed(mnemonic: str, operands: str) -> int:
    """Return the bytes by which an instruction lowers the stack pointer."""
    if mnemonic in ("push", "vpush") or (
        mnemonic in ("stmdb", "stmfd", "vstmdb") and operands.startswith("sp!")
    ):
        total = 0
        for part in operands.partition("{")[2].rstrip("}").split(","):
            first, _, last = part.strip().partition("-")
            numbers = [int(re.sub(r"\D", "", one) or 0) for one in (first, last or first)]
            total += (numbers[1] - numbers[0] + 1) * (8 if first.startswith("d") else 4)
        return total
    if mnemonic in ("sub", "subw"):
        taken = re.match(r"sp, (?:sp, )?#(\d+)", operands)
        return int(taken[1]) if taken else 0
    before = re.search(r"\[sp, #-(\d+)\]!", operands)
    return int(before[1]) if before else 0


def _held_addresses(
    elf: Path, prefix: str, addresses: Mapping[int, str]
) -> tuple[set[str], set[str]]:
    """Return the functions that the vector table and the rest of an image have addresses of."""
    vectors: set[str] = set()
    others: set[str] = set()
    table = _said(prefix + "objdump", "-h", "-w", elf)
    content = elf.read_bytes()
    for line in table.splitlines():
        words = line.split()
        if (
            len(words) < 7
            or not words[0].isdigit()
            or "CONTENTS" not in line
            or "ALLOC" not in line
        ):
            continue
        size, offset = int(words[2], 16), int(words[5], 16)
        found = vectors if words[1] == _VECTORS else others
        for (word,) in struct.iter_unpack("<I", content[offset : offset + size // 4 * 4]):
            if word & 1 and word - 1 in addresses:  # Thumb code has the lowest bit set
                found.add(addresses[word - 1])
    return vectors, others


class _Graph:
    """Who calls whom, and how deep that goes."""

    def __init__(self, functions: Mapping[str, _Function], pointed: list[str]) -> None:
        self._functions = functions
        self._pointed = pointed
        self._known: dict[str, tuple[int, list[str]]] = {}
        self._open: list[str] = []
        self.recursive: set[str] = set()

    def calls(self, name: str, direct: bool = False) -> list[str]:
        """Return what a function may call."""
        function = self._functions[name]
        more = [
            one
            for one in self._pointed
            if function.indirect and not direct and self._functions[one].rank > function.rank
        ]
        found = dict.fromkeys([*sorted(function.calls), *more])
        return [one for one in found if one in self._functions and one not in _ON_PURPOSE]

    def depth(self, name: str) -> tuple[int, list[str]]:
        """Return the bytes and the path of the deepest calls that begin with a function."""
        if name not in self._known:
            self._open.append(name)
            deepest: tuple[int, list[str]] = 0, []
            for one in self.calls(name):
                if one in self._open:
                    self.recursive.add(one)
                else:
                    deepest = max(deepest, self.depth(one), key=lambda found: found[0])
            self._open.pop()
            self._known[name] = self._functions[name].frame + deepest[0], [name, *deepest[1]]
        return self._known[name]

    def reached(self, name: str, direct: bool = False) -> set[str]:
        """Return all functions that calls from one may reach, with it."""
        found, left = {name}, [name]
        while left:
            new = set(self.calls(left.pop(), direct)) - found
            found |= new
            left += new
        return found
