"""The firmware's server as a process of this machine, with a port that a session can use."""

import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lotor.board_camera import Camera
from lotor.build import WARNINGS
from lotor.errors import LotorError
from lotor.image_sources import ImageModel, SelfTest, check_models, config_header, image_source
from lotor.resources import resource
from lotor.watch_image import watch_files


def build_host_server(
    models: Sequence[ImageModel],
    build_dir: Path,
    sanitize: bool = False,
    tests: Sequence[SelfTest] | None = None,
    camera: Camera | None = None,
) -> Path:
    """Build the firmware's server as a program of this machine, to test and to fuzz it.

    It speaks the link on stdin and stdout, and ends when stdin does.

    Args:
        models: compiled for this machine.
        build_dir: where to build.
        sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer; a mistake ends it.
        tests: the self-test of each model; none when None.
        camera: a synthetic one that it has.

    Returns:
        The program.
    """
    check_models(models, None)
    build_dir.mkdir(parents=True, exist_ok=True)
    firmware = resource("firmware")
    tests = tests or [SelfTest() for _ in models]
    texts = {
        "lotor_config.h": config_header(models, None),
        "lotor_image.c": image_source(models, tests, bytes(20), None),
    }
    if camera:
        texts |= watch_files(models, camera, {}, 1_000_000_000)
    for model in models:
        texts |= {f"{model.name}.c": model.source, f"{model.name}.h": model.header}
    for name, text in texts.items():
        (build_dir / name).write_text(text, encoding="utf-8")
    program = build_dir / "lotor-server"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitize else []
    parts = ["src", "camera", "watch"] if camera else ["src"]
    sources = [
        *(path for part in parts for path in sorted(firmware.glob(f"{part}/*.c"))),
        firmware / "hal/host/hal.c",
        *sorted(build_dir / name for name in texts if name.endswith(".c")),
    ]
    flags = [*WARNINGS, "-D_GNU_SOURCE", "-DLOTOR_HOST", "-DLOTOR_PROFILE", "-O1", "-g", *checks]
    flags += ["-DLOTOR_CAMERA"] if camera else []
    include = [f"-I{firmware / 'include'}", f"-I{build_dir}"]
    command = ["cc", *flags, *include, *map(str, sources), "-lm", "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LotorError(f"the server does not build here: {done.stderr.strip()[:400]}")
    return program


class HostServer:
    """Runs the program that `build_host_server` made; is itself the port of a session."""

    def __init__(self, program: Path) -> None:
        self.url = str(program)
        self._log = program.with_suffix(".log").open("w+b")
        self.process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )

    def read(self, timeout: float) -> bytes:
        """Wait up to `timeout` seconds for bytes; say what the sanitizers said when it died."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], max(timeout, 0))
        data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
        if ready and not data:
            raise LotorError(f"the server died: {self._said()}")
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        assert self.process.stdin is not None
        try:
            while data:
                data = data[self.process.stdin.write(data) or 0 :]
        except BrokenPipeError as error:
            raise LotorError(f"the server died: {self._said()}") from error

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)
        self._log.close()

    def _said(self) -> str:
        self.process.wait(10)
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
