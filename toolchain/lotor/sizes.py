"""How large the generated code is."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from lotor.compiler import Compiled

_FLAGS = ("-std=c11", "-ffunction-sections", "-c")  # as in a firmware image


def code_bytes(compiled: Compiled) -> int | None:
    """Return the bytes of machine code, without weights; None without a working compiler.

    Built with the target's own compiler as in firmware; the sizes are those of the object's
    sections.
    """
    compiler = shutil.which(compiled.target.compiler)
    size = shutil.which(compiled.target.compiler.removesuffix("gcc").removesuffix("cc") + "size")
    if compiler is None or size is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        compiled.write(Path(folder))
        flags = [*_FLAGS, compiled.report["compiler_flag"], *compiled.target.flags]
        command = [compiler, *flags, f"{compiled.name}.c", "-o", "model.o"]
        if subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode != 0:
            return None  # it lacks the C headers or does not know the processor
        done = subprocess.run(
            [size, "-A", "-d", "model.o"], cwd=folder, check=True, capture_output=True, text=True
        )
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(".text")]
    return sum(int(row[1]) for row in rows)
