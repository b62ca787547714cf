"""Every operator's case model as C on this machine against LiteRT, side by side in one process."""

import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tests"))

from cases import Build, built, cases  # noqa: E402
from lotor.bench import bench  # noqa: E402
from lotor.errors import LotorError  # noqa: E402


def measure(build: Build) -> str:
    """Return the line of one case."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{build.__name__}.tflite"
        path.write_bytes(built(build).build())
        try:
            (row,) = bench([str(path)])
        except (LotorError, RuntimeError, ValueError) as error:
            return f"{build.__name__:<36} not measured: {str(error).splitlines()[0]}"
    return f"{row.model:<36} {row.lotor_us:10.1f} {row.litert_us:10.1f} {row.ratio:15.2f}"


def main() -> None:
    """Print a line for each case: medians of alternating runs, and their ratio."""
    if len(sys.argv) > 1:
        print(measure(next(b for b in cases() if b.__name__ == sys.argv[1])))
        return
    print(f"{'case':<36} {'Lotor us':>10} {'LiteRT us':>10} {'LiteRT / Lotor':>15}")
    for build in cases():  # each in a process of its own: LiteRT crashes on some of them
        command = [sys.executable, __file__, build.__name__]
        done = subprocess.run(command, capture_output=True, text=True)
        failed = f"{build.__name__:<36} not measured: ended with status {done.returncode}\n"
        print(done.stdout or failed, end="", flush=True)


if __name__ == "__main__":
    main()
