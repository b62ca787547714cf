"""Estimates the cycles of a Cortex-M4 from exact counts of its instructions.

The timings are those of the "Arm Cortex-M4 Processor Technical Reference Manual" (DDI 0439),
sections 3.3.1 (tables 3-1 and 3-2), 3.3.2 "Load/store timings" and, for floating point, 7.2.3, for
memory without wait states:

- Data processing takes 1 cycle, also multiplying, multiplying with accumulation and the DSP
  instructions; so does what an IT block skips.
- LDR takes 2 cycles, 1 right after another LDR that does not load its address. STR takes 1, with
  a register as offset 2, but 1 right after an LDR. LDM, STM, PUSH, POP, LDRD and STRD take 1 + N
  for N registers and overlap with nothing.
- A load or store takes a cycle more when the data processing right before it makes its address,
  and a load of a word or halfword that is not aligned takes as many more as it has parts more.
- A branch that is taken takes 1 + P, otherwise 1; P also adds to every other load or move into PC.
- In floating point, VMOV between the two kinds of registers takes 2 cycles, VLDR and VSTR 2 (3 for
  two words), multiplying with accumulation 3, VDIV and VSQRT 14, and what uses the result of the
  instruction right before it one more, but for an addend.

Where the manual leaves a range, the choice is: P (1 to 3, "depending on the alignment and width of
the target instruction, and whether the processor manages to speculate the address early") is 2,
and 3 where the target is 32 bits wide and straddles two words; a division (2 to 12) takes 7; MRS,
MSR and CPS (1 or 2) take 2; IT (0 or 1) takes 1. Loads of literals (which may wait for the fetch
unit) and wide loads and stores at odd halfwords (which may overlap less) are taken as any other.

All is exact but for these choices: which branches were taken, which loads an IT block skipped and
which were unaligned is counted, not guessed. The same timings stand in for a Cortex-M7, whose
manual states none; it can issue two instructions a cycle, so that this is an upper bound at best.
"""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lotor.build import PREFIX
from lotor.device.counting import Count, Counts
from lotor.errors import LotorError

TARGETS = ("cortex-m4", "cortex-m7")
"""What cycles are estimated for."""

_REFILL = 2  # P
_DIVISION = 7
_CONDITIONS = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_BRANCH = re.compile(rf"b({_CONDITIONS})?|bl|bx|blx|bxns|blxns|cbn?z|le|letp|wls|wlstp")
_CONDITIONAL = re.compile(rf"b({_CONDITIONS})|cbn?z|le|letp|wls|wlstp")
_MULTIPLE = re.compile(r"(ldm|stm|vldm|vstm)(ia|db|ea|fd)?|push|pop|vpush|vpop")
_CORE = r"(?:r\d+|sl|fp|ip|lr)"
_FLOAT_MAC = re.compile(r"v(n?ml[as]|fn?m[as])\b")
_FLOAT = re.compile(r"v(add|sub|n?mul|div|sqrt|cvtr?|n?ml[as]|fn?m[as])\b")
_NO_RESULT = re.compile(r"cmp|cmn|tst|teq|nop|it[te]*|msr|cps|v|dsb|dmb|isb|udf")
_TWO_RESULTS = re.compile(r"[us]mull|[us]mlal|umaal|smlsld")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+((?:[0-9a-f]{4} ?)+)\s*\t(\S+)\s*(.*)$")
_LABEL = re.compile(r"^([0-9a-f]+) <(.+)>:$")


@dataclass(frozen=True)
class Instruction:
    """One instruction of an image.

    Attributes:
        address: of its first byte.
        size: 2 or 4 bytes.
        mnemonic: without condition and width.
        operands: as objdump writes them.
        function: the symbol that it belongs to.
        start: the address of that.
        skippable: whether it is in an IT block.
        text: all of it, as objdump writes it.
    """

    address: int
    size: int
    mnemonic: str
    operands: str
    function: str
    start: int = 0
    skippable: bool = False
    text: str = ""

    @property
    def after(self) -> int:
        """The address behind it."""
        return self.address + self.size

    @cached_property
    def registers(self) -> int:
        """How many words a load or store of several registers moves."""
        listed = re.search(r"\{(.*)\}", self.operands)
        total = 0
        for part in listed[1].split(",") if listed else ():
            first, _, last = part.strip().partition("-")
            numbers = [int(re.sub(r"\D", "", name) or 0) for name in (first, last or first)]
            total += (numbers[1] - numbers[0] + 1) * (2 if first.startswith("d") else 1)
        return total

    @property
    def loads(self) -> bool:
        """Whether it is a load of one register, which may overlap with its neighbours."""
        return self.mnemonic.startswith("ldr") and self.mnemonic != "ldrd"

    @property
    def stores(self) -> bool:
        """Whether it is a store of one register."""
        return self.mnemonic.startswith("str") and self.mnemonic != "strd"

    @property
    def multiple(self) -> bool:
        """Whether it loads or stores a list of registers."""
        return bool(_MULTIPLE.fullmatch(self.mnemonic))

    @property
    def transfers(self) -> int:
        """How many accesses to memory it makes; 0 if it is no load or store."""
        if self.multiple:
            return self.registers
        if self.mnemonic in ("ldrd", "strd"):
            return 2
        single = self.loads or self.stores or self.mnemonic in ("vldr", "vstr", "tbb", "tbh")
        return 1 if single else 0

    @cached_property
    def results(self) -> frozenset[str]:
        """The core registers that data processing, or a load of one register, writes."""
        nothing = _NO_RESULT.match(self.mnemonic) or self.transfers or self.branches
        if nothing and not self.loads:
            moved = re.match(rf"{_CORE}\b", self.operands)
            return frozenset({moved[0]} if moved and self.mnemonic.startswith("vmov") else ())
        count = 2 if _TWO_RESULTS.match(self.mnemonic) else 1
        return frozenset(part.strip() for part in self.operands.split(",")[:count])

    @cached_property
    def address_registers(self) -> frozenset[str]:
        """The registers that the address of a load or store is made of."""
        if self.mnemonic in ("push", "pop", "vpush", "vpop"):
            return frozenset({"sp"})
        if self.multiple:
            return frozenset({self.operands.split(",")[0].strip(" !")})
        inside = re.search(r"\[(.*?)\]", self.operands)
        names = re.findall(r"\b[a-z]\w+", inside[1]) if inside else ()
        return frozenset(names) - {"lsl", "pc"}

    @property
    def conditional(self) -> bool:
        """Whether it may, or may not, branch."""
        return self.skippable or bool(_CONDITIONAL.fullmatch(self.mnemonic))

    @cached_property
    def branches(self) -> bool:
        """Whether it can go elsewhere than to the next instruction."""
        if _BRANCH.fullmatch(self.mnemonic) or self.mnemonic in ("tbb", "tbh"):
            return True
        if self.mnemonic == "pop" or self.mnemonic.startswith("ldm"):
            return bool(re.search(r"\bpc\b.*\}", self.operands))
        return self.operands.startswith("pc,") and not self.stores

    @cached_property
    def target(self) -> int | None:
        """Where a direct branch goes to."""
        found = re.search(r"\b([0-9a-f]+) <", self.operands)
        return int(found[1], 16) if found and self.branches else None


@dataclass(frozen=True)
class Cycles:
    """An estimate, and what it is made of.

    Attributes:
        instructions: one cycle each.
        memory: what loads and stores take more.
        branches: what taken branches take more.
        stalls: addresses that were made by the instruction before.
        other: unaligned loads, divisions, floating point and moves to and from its registers.
    """

    instructions: int = 0
    memory: int = 0
    branches: int = 0
    stalls: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All cycles."""
        return self.instructions + self.memory + self.branches + self.stalls + self.other

    def __add__(self, other: "Cycles") -> "Cycles":
        return self._with(other, 1)

    def __sub__(self, other: "Cycles") -> "Cycles":
        return self._with(other, -1)

    def _with(self, other: "Cycles", sign: int) -> "Cycles":
        return Cycles(
            self.instructions + sign * other.instructions,
            self.memory + sign * other.memory,
            self.branches + sign * other.branches,
            self.stalls + sign * other.stalls,
            self.other + sign * other.other,
        )


@dataclass(frozen=True)
class Program:
    """The instructions of an image, by address."""

    instructions: Mapping[int, Instruction]
    _before: dict[int, Instruction] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        before = {one.after: one for one in self.instructions.values()}
        object.__setattr__(self, "_before", before)

    @classmethod
    def read(cls, elf: Path) -> "Program":
        """Disassemble an image.

        Raises:
            LotorError: there is no disassembler.
        """
        command = [f"{PREFIX}objdump", "-d", str(elf)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except FileNotFoundError as error:
            raise LotorError(
                f"{command[0]} is missing: `sudo apt-get install binutils-arm-none-eabi`"
            ) from error
        return cls.parse(done.stdout.splitlines())

    @classmethod
    def parse(cls, lines: Sequence[str]) -> "Program":
        """Read what objdump says."""
        found: dict[int, Instruction] = {}
        function, start, skippable = "", 0, 0
        for line in lines:
            if label := _LABEL.match(line):
                function, start, skippable = label[2], int(label[1], 16), 0
            elif (parts := _LINE.match(line)) and not parts[3].startswith("."):
                mnemonic = parts[3].split(".")[0] if parts[3][0] != "v" else parts[3]
                if skippable:
                    mnemonic = re.sub(rf"(?:{_CONDITIONS})(?=$|\.)", "", mnemonic, count=1)
                operands = re.split(r"\s*[@;]", parts[4])[0]
                at, size = int(parts[1], 16), len("".join(parts[2].split())) // 2
                text = f"{parts[3]} {operands}".rstrip()
                found[at] = Instruction(
                    at, size, mnemonic, operands, function, start, skippable > 0, text
                )
                skippable = max(0, skippable - 1)
                if re.fullmatch(r"it[te]{0,3}", mnemonic):
                    skippable = len(mnemonic) - 1
        return cls(found)

    def before(self, one: Instruction) -> Instruction | None:
        """Return the instruction right before another, in memory."""
        return self._before.get(one.address)

    def cycles(self, counts: Counts) -> dict[int, Cycles]:
        """Return what every instruction took."""
        return {at: self._cycles(self.at(at), counts) for at in counts}

    def total(self, counts: Counts) -> Cycles:
        """Return what all of them took."""
        return sum(self.cycles(counts).values(), Cycles())

    def at(self, address: int) -> Instruction:
        """Return the instruction at an address; a NOP where the image has none."""
        return self.instructions.get(address) or Instruction(address, 2, "nop", "", "")

    def _cycles(self, one: Instruction, counts: Counts) -> Cycles:
        count = counts[one.address]
        done = _done(one, count)
        previous = self.before(one)
        # All executions of an instruction that does not branch go on to the next.
        followed = 0
        if previous and not previous.branches:
            followed = min(done, _done(previous, counts.get(previous.address, Count())))
        memory = _memory(one) * done
        stalls = 0
        if previous and followed and one.transfers:
            clash = previous.results & one.address_registers
            overlap = (one.loads or _by_register(one)) and previous.loads and not clash
            memory -= followed if overlap else 0
            stalls = followed if clash and not previous.loads else 0
        if previous and followed and _waits(one, previous):
            stalls = followed
        left = 0
        if one.branches:
            left = count.left if one.conditional else done
        straddles = count.arrived if one.size == 4 and one.address % 4 else 0
        return Cycles(
            count.executed,
            memory,
            _REFILL * left + straddles,
            stalls,
            count.penalty + _slow(one) * done,
        )


def _waits(one: Instruction, previous: Instruction) -> bool:
    """Whether a floating-point instruction uses what the one before it computes."""
    if one.mnemonic[0] != "v" or not _FLOAT.match(previous.mnemonic):
        return False
    result = previous.operands.split(",")[0].strip()
    used = [part.strip() for part in one.operands.split(",")]
    from_first = one.mnemonic.startswith(("vcmp", "vstr"))  # or that is the result, or the addend
    return result in used[0 if from_first else 1 :]


def _done(one: Instruction, count: Count) -> int:
    """Return how often an instruction was not skipped, as far as can be told."""
    if one.skippable and one.transfers:
        return count.accesses // one.transfers
    return count.executed


def _by_register(one: Instruction) -> bool:
    """Whether it is a store with a register as offset."""
    return one.stores and len(one.address_registers) > 1


def _memory(one: Instruction) -> int:
    """Return what a load or store takes beyond one cycle when it overlaps with nothing."""
    if one.multiple:
        return one.registers
    if one.mnemonic in ("ldrd", "strd"):
        return 2
    if one.mnemonic.startswith(("vldr", "vstr")):
        return 2 if one.operands.startswith("d") else 1
    if one.stores:
        return 1 if _by_register(one) or one.mnemonic.startswith("strex") else 0
    return 1 if one.loads or one.mnemonic in ("tbb", "tbh") else 0


def _slow(one: Instruction) -> int:
    """Return what other instructions take beyond one cycle."""
    if one.mnemonic in ("udiv", "sdiv"):
        return _DIVISION - 1
    if one.mnemonic.startswith(("vdiv", "vsqrt")):
        return 13
    if _FLOAT_MAC.match(one.mnemonic):
        return 2
    if one.mnemonic.startswith("vmov") and re.search(rf"\b{_CORE}\b", one.operands):
        return 1
    return 1 if one.mnemonic in ("mrs", "msr", "cpsid", "cpsie") else 0
