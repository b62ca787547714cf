"""What is installed here, what is missing, and the command that installs it."""

import grp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import machine

from lotor import libsodium
from lotor.board import Emulator, check_boards, list_boards, load_board
from lotor.device.emulator_programs import missing
from lotor.errors import LotorError
from lotor.resources import cache_dir, resource, run_dir
from lotor.targets import find_target


@dataclass(frozen=True)
class Check:
    """One thing that was looked for.

    Attributes:
        name: what was looked for.
        ok: whether it is here and new enough.
        found: its version or place; what is wrong with it otherwise.
        needed_for: the work that cannot be done without it.
        mend: the command that installs it; empty when `ok`.
        needed: whether its absence fails the whole examination.
    """

    name: str
    ok: bool
    found: str
    needed_for: str
    mend: str
    needed: bool


@dataclass(frozen=True)
class _Tool:
    command: str
    package: str
    needed_for: str


# Commands that Lotor calls, and the Debian package of each.
TOOLS = (
    _Tool("gcc", "gcc", "running models on this machine"),
    _Tool("arm-none-eabi-gcc", "gcc-arm-none-eabi", "building firmware"),
    _Tool("qemu-system-arm", "qemu-system-arm", "emulated boards"),
    _Tool("node", "nodejs", "boards that node plays"),
    _Tool("npm", "npm", "packages of what node runs"),
    _Tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "programs for Raspberry Pis"),
    _Tool("qemu-aarch64", "qemu-user", "emulated Raspberry Pis"),
    _Tool("clang", "clang", "development: the second compiler of the tests"),
    _Tool("cppcheck", "cppcheck", "development: make lint"),
    _Tool("xtensa-lx106-elf-gcc", "gcc-xtensa-lx106", "development: tests on Xtensa"),
    _Tool("qemu-system-xtensa", "qemu-system-misc", "development: tests on Xtensa"),
)
# Asked for only by boards that need it.
_OPENOCD = _Tool("openocd", "openocd", "flashing a board through its debug probe")

# What each extra of the package is for; a Python package of no listed extra is no one's business.
_EXTRAS = {
    "": "everything",
    "verify": "lotor verify, lotor bench",
    "flash": "building firmware",
    "hil": "lotor hil",
    "plot": "lotor inspect --plot FILE",
    "train": "lotor train, lotor evaluate",
    "dev": "development: tests and linters",
}
_ORDER = list(_EXTRAS)
_SETUP = {"": "setup", "verify": "setup", "flash": "setup", "hil": "setup-hil"}


def examine(board: str | None = None) -> list[Check]:
    """Look for everything that Lotor uses.

    Args:
        board: the name of a board; what building for it, flashing and reaching it takes is then
            needed as well. Without it only running models on this machine is.

    Returns:
        The checks, in reading order.

    Raises:
        LotorError: there is no such board.
    """
    chosen = None if board is None else load_board(board)
    needed = {"gcc"}
    if chosen:
        needed |= set() if chosen.framework else {find_target(chosen.target).compiler}
        needed |= {chosen.emulator.program} if chosen.emulator else set()
    checks = [_python(), *_packages({"", "flash"} if chosen else {""})]
    checks += [_tool(tool, tool.command in needed) for tool in TOOLS]
    if chosen and chosen.openocd:
        checks.append(_tool(_OPENOCD, True))
    if chosen and chosen.update:
        checks.append(_libsodium(chosen.name))
    checks += [_boards(), _folder("cache", cache_dir), _folder("run folder", run_dir)]
    if chosen and chosen.emulator:
        checks.append(_emulator(chosen.name, chosen.emulator))
    elif chosen:
        checks.append(_serial_rights())
    return checks


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 11)
    mend = "" if ok else "sudo apt-get install -y python3.11"
    return Check("python", ok, f"{version}, {sys.executable}", "everything", mend, True)


def _packages(needed_extras: set[str]) -> list[Check]:
    """Check what the package's metadata asks for, each under the first extra that names it."""
    groups: dict[str, tuple[str, str]] = {}
    for requirement in metadata.requires("lotor") or []:
        spec, _, marker = requirement.partition(";")
        match = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*(?:>=([\d.]+))?", spec)
        extra = re.search(r"extra == ['\"](\w+)", marker)
        group = extra.group(1) if extra else ""
        if match is None or group not in _EXTRAS:
            continue
        on = re.search(r"platform_machine (==|!=) ['\"](\w+)", marker)
        if on and (machine() == on.group(2)) != (on.group(1) == "=="):
            continue
        name, least = match.group(1), match.group(2) or "0"
        known = groups.get(name)
        if known is None or _ORDER.index(group) < _ORDER.index(known[1]):
            groups[name] = (least, group)
    by_extra = sorted(groups.items(), key=lambda item: (_ORDER.index(item[1][1]), item[0]))
    return [
        _package(name, least, group, group in needed_extras) for name, (least, group) in by_extra
    ]


def _package(name: str, least: str, extra: str, needed: bool) -> Check:
    try:
        found = metadata.version(name)
        ok = _numbers(found) >= _numbers(least)
        found = found if ok else f"{found}, older than {least}"
    except metadata.PackageNotFoundError:
        found, ok = "not found", False
    mend = "" if ok else _setup_command(f"'{name}>={least}'", _SETUP.get(extra, "setup-dev"))
    return Check(name, ok, found, _EXTRAS[extra], mend, needed)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def _setup_command(package: str, target: str) -> str:
    in_checkout = (resource("boards").parent / "Makefile").is_file()
    return f"make {target}" if in_checkout else f"{sys.executable} -m pip install {package}"


def _tool(tool: _Tool, needed: bool) -> Check:
    path = shutil.which(tool.command)
    if path is None:
        mend = f"sudo apt-get install -y {tool.package}"
        return Check(tool.command, False, "not found", tool.needed_for, mend, needed)
    return Check(tool.command, True, _version(path), tool.needed_for, "", needed)


def _version(path: str) -> str:
    """Return the first line of `PATH --version`, or the path of a tool that does not say."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return path
    return (said.stdout.splitlines() or [path])[0]


def _boards() -> Check:
    folder = resource("boards")
    names, mistakes = list_boards(), check_boards()
    if mistakes:
        return Check("board files", False, "; ".join(mistakes), "boards", f"edit {folder}", True)
    mend = "" if names else "install lotor again: its data files are missing"
    return Check("board files", bool(names), f"{len(names)} in {folder}", "boards", mend, True)


def _folder(name: str, locate: Callable[[], Path]) -> Check:
    variable = "LOTOR_CACHE" if name == "cache" else "LOTOR_RUN_DIR"
    purpose = "compiled models, firmware" if name == "cache" else "emulated boards"
    try:
        folder = locate()
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except (LotorError, OSError) as error:
        mend = f"export {variable}=a folder that you may write to"
        return Check(name, False, str(error), purpose, mend, True)
    return Check(name, True, str(folder), purpose, "", True)


def _libsodium(board: str) -> Check:
    try:
        found, mend = str(libsodium.find()), ""
    except LotorError:
        found, mend = "not found", libsodium.COMMAND
    return Check("libsodium", not mend, found, f"the boot loader of board {board}", mend, True)


def _emulator(board: str, emulator: Emulator) -> Check:
    lacking = missing(emulator)
    found, mend = (f"{lacking[0]} not found", lacking[1]) if lacking else (emulator.program, "")
    return Check("emulator", not lacking, found, f"board {board}", mend, True)


def _serial_rights() -> Check:
    """Debian lets the members of `dialout` open serial ports."""
    try:
        member = grp.getgrnam("dialout").gr_gid in {*os.getgroups(), os.getegid()}
    except KeyError:
        member = True
    ok = member or os.geteuid() == 0
    mend = "" if ok else "sudo usermod -a -G dialout $USER, then log in again"
    found = "may be opened" if ok else "this user is not in the group dialout"
    return Check("serial ports", ok, found, "real boards", mend, True)


def describe(checks: list[Check]) -> str:
    """Return the checks as a table, then what to type for what is missing."""
    name_width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        state = "ok" if check.ok else "MISSING" if check.needed else "absent"
        purpose = "" if check.ok else f"  (for {check.needed_for})"
        lines.append(f"{state:<8}{check.name:<{name_width}}  {check.found}{purpose}")
    needed = [check.mend for check in checks if check.needed and not check.ok]
    wished = [check.mend for check in checks if not check.needed and not check.ok]
    for title, mends in (("Needed:", needed), ("For the rest:", wished)):
        if mends:
            lines += ["", title, *(f"  {mend}" for mend in dict.fromkeys(mends))]
    if not needed:
        lines += ["", "Everything needed is here."]
    return "\n".join(lines)
