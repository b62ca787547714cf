"""The programs that play boards: what they need, and whether it is installed."""

import json
import shutil
from pathlib import Path

from lotor.board import Emulator
from lotor.device import raspi3b_machine

SCRIPTS = Path(__file__).parent  # where the scripts of `node` lie
_PACKAGES = {  # others have the program's name
    "qemu-aarch64": "qemu-user",
    "qemu-system-aarch64": "qemu-system-arm",
    "node": "nodejs npm",
}


def missing(emulator: Emulator) -> tuple[str, str] | None:
    """Return what an emulator needs and has not, and the command that installs it."""
    if not shutil.which(emulator.program):
        package = _PACKAGES.get(emulator.program, emulator.program)
        return emulator.program, f"sudo apt-get install {package}"
    if emulator.program == raspi3b_machine.PROGRAM:
        return raspi3b_machine.missing()
    if emulator.program != "node":
        return None
    folder = (SCRIPTS / emulator.args[0]).parent
    wanted = _npm_packages(folder / "package-lock.json")
    have = _npm_packages(folder / "node_modules/.package-lock.json")
    for name, version in wanted.items():
        if have.get(name) != version:
            return f"{name} {version}", f"npm ci --prefix {folder}"
    return None


def _npm_packages(lock: Path) -> dict[str, str]:
    """Return the versions that a lock file of npm names; none when there is no such file."""
    try:
        packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
        return {
            path.removeprefix("node_modules/"): package["version"]
            for path, package in packages.items()
            if path
        }
    except (OSError, ValueError, KeyError):
        return {}
