"""Running PlatformIO on a description of a program (firmware/platform), without its registry."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lotor.resources import resource


def build(
    folder: Path,
    environment: str,
    description: dict[str, Any],
    kept: Sequence[str],
    examine: Callable[[Path], None] = lambda objects: None,
) -> tuple[int, str]:
    """Build what a description says; leave it, and `build.json` and `build.log`, in the folder.

    Args:
        folder: where.
        environment: of `firmware/platformio.ini`.
        description: see firmware/platform/builder/main.py.
        kept: the files that are made.
        examine: called with the folder of the made files and the objects, before that is removed.

    Returns:
        PlatformIO's exit status, and what it and the compiler said.
    """
    path = folder / "build.json"
    path.write_text(json.dumps(description, indent=2), encoding="utf-8")
    core = folder / "pio"
    provide_scons(core)
    done = run(environment, path, folder / "pio/work", {"PLATFORMIO_CORE_DIR": str(core)})
    (folder / "build.log").write_text(done.stdout, encoding="utf-8")
    if not done.returncode:
        examine(folder / "out" / environment)
        for name in kept:
            shutil.move(folder / "out" / environment / name, folder / name)
        shutil.rmtree(core)
        shutil.rmtree(folder / "out")
    return done.returncode, done.stdout


def run(
    environment: str, description: Path, work: Path, variables: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run `pio run` on the firmware; what it and the compiler said is in `stdout`.

    Args:
        environment: of `firmware/platformio.ini`.
        description: `build.json`, for the scripts of the environment; what is built lies beside it,
            in `out`.
        work: a folder for PlatformIO's own files.
        variables: more of PlatformIO's variables.
        arguments: e.g. `-t upload`.
    """
    variables = {
        "LOTOR_IMAGE": str(description),
        "PLATFORMIO_WORKSPACE_DIR": str(work),
        "PLATFORMIO_BUILD_DIR": str(description.parent / "out"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "platformio", "run", "-e", environment, *arguments],
        cwd=resource("firmware"),
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def provide_scons(core: Path) -> None:
    """Make PlatformIO's package `tool-scons` out of the SCons that pip installed.

    PlatformIO takes a package as installed when its folder holds a `.piopm` file of the wanted
    version and owner; ours only imports the installed SCons.
    """
    import SCons
    from platformio.dependencies import get_core_dependencies

    version = get_core_dependencies()["tool-scons"].lstrip("~^=")
    package = core / "packages" / "tool-scons"
    package.mkdir(parents=True, exist_ok=True)
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None}
    meta = {"name": "tool-scons", "version": version}
    files = {
        "package.json": json.dumps(meta | {"description": "SCons from PyPI", "system": "*"}),
        ".piopm": json.dumps(meta | {"type": "tool", "spec": spec | {"uri": None}}),
        ".piokeep": "",
        "scons.py": (
            f"import sys\nsys.path.insert(0, {str(Path(SCons.__file__).parents[1])!r})\n"
            "import SCons.Script\n"
            'if __name__ == "__main__":\n    SCons.Script.main()\n'
        ),
    }
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
