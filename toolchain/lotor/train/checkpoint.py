"""The state of a training on disk, from which an interrupted one goes on to the same bytes.

One file beside what the training will write, put there by a rename when it is complete: whatever
ends the program, the file is the state of some step. It holds the weights, what the optimizer and
dropout remember, and the state of the random numbers, and says of which training it is.
"""

import io
import json
import sys
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.errors import LotorError
from lotor.files import sync_folder, write_through

EVERY = 30.0  # seconds between two states on disk
HEAD, ALL, FITTED, INTEGERS = "head", "all", "fitted", "integers"
_ORDER = (HEAD, ALL, FITTED, INTEGERS)
_SCALES = "scales"  # the weights when filters last got their scales
_BEFORE_INTEGERS = (FITTED, _SCALES)
_SHOWN = 16  # digits of a hash

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Part:
    """What is kept of a phase: steps done, the variables then, the state of the random numbers."""

    step: int
    arrays: list[Array]
    rng: dict[str, Any]


class Checkpoint:
    """The state of one training; without a file it keeps nothing.

    Args:
        path: the file.
        identity: all that the training's bytes depend on, in words that an error can use.
    """

    def __init__(self, path: Path | None = None, identity: Mapping[str, Any] | None = None) -> None:
        self.path = path
        # As JSON will give it back.
        self.identity: dict[str, Any] = json.loads(json.dumps(identity or {}))
        self._parts: dict[str, _Part] = {}
        self._next = time.monotonic() + EVERY
        self._warned = False

    @property
    def step(self) -> int:
        """Steps that are done in the phase that was kept last."""
        return next((self._parts[p].step for p in reversed(_ORDER) if p in self._parts), 0)

    @property
    def phase(self) -> str | None:
        """The phase that was kept last."""
        return next((phase for phase in reversed(_ORDER) if phase in self._parts), None)

    def load(self) -> bool:
        """Read the state that an interrupted training has left; return whether there is one.

        Raises:
            LotorError: it is of another training, or damaged.
        """
        if self.path is None:
            return False
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise LotorError(f"cannot read {self.path}: {error.strerror}") from error
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                identity = about["identity"]
                parts = {
                    name: _Part(
                        part["step"],
                        [file[f"{name}/{index}"] for index in range(part["arrays"])],
                        part["rng"],
                    )
                    for name, part in about["parts"].items()
                }
        except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise LotorError(
                f"{self.path}, the state of an interrupted training, is damaged; start over with "
                "--anew"
            ) from error
        if differing := _difference(identity, self.identity):
            raise LotorError(
                f"{self.path} is the state of an interrupted training with {differing}; give that "
                "again to go on, or start over with --anew"
            )
        self._parts = parts
        return self.phase is not None

    def passed(self, phase: str) -> bool:
        """Whether the state is of a later phase."""
        return any(later in self._parts for later in _ORDER[_ORDER.index(phase) + 1 :])

    def restore(self, phase: str, variables: Sequence[Any], rng: np.random.Generator) -> int:
        """Put a phase back to where it was; return the steps that are done, 0 without a state.

        Args:
            phase: one of this module.
            variables: of Keras, in the order in which they were kept.
            rng: what draws and varies the photographs.
        """
        part = self._parts.get(phase)
        if part is None:
            return 0
        for variable, value in zip(variables, part.arrays, strict=True):
            variable.assign(value)
        rng.bit_generator.state = part.rng
        return part.step

    def keep(
        self, phase: str, step: int, variables: Iterable[Any], rng: np.random.Generator
    ) -> None:
        """Write the state that a phase has after so many steps."""
        if self.path is None:
            return
        arrays = [np.array(np.asarray(variable)) for variable in variables]
        part = _Part(step, arrays, dict(rng.bit_generator.state))
        self._parts = {n: p for n, p in self._parts.items() if n in _BEFORE_INTEGERS}
        self._parts[phase] = part
        self._write()

    def advance(
        self, phase: str, step: int, variables: Iterable[Any], rng: np.random.Generator
    ) -> None:
        """Do the same where the last time is `EVERY` seconds ago."""
        if time.monotonic() >= self._next:
            self.keep(phase, step, variables, rng)

    def keep_scales(self, weights: Iterable[Array]) -> None:
        """Keep, from the next time on, the weights that filters got their scales from."""
        self._parts[_SCALES] = _Part(0, [np.array(array) for array in weights], {})

    @property
    def scales(self) -> list[Array] | None:
        """The weights that filters last got their scales from."""
        part = self._parts.get(_SCALES)
        return None if part is None else part.arrays

    def remove(self) -> None:
        """Forget the state, when the training has ended."""
        self._parts = {}
        if self.path is not None:
            for path in (self.path, self._new):
                path.unlink(missing_ok=True)

    @property
    def _new(self) -> Path:
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.new")

    def _write(self) -> None:
        about = {
            "identity": self.identity,
            "parts": {
                name: {"step": part.step, "arrays": len(part.arrays), "rng": part.rng}
                for name, part in self._parts.items()
            },
        }
        arrays: dict[str, Any] = {
            f"{name}/{index}": array
            for name, part in self._parts.items()
            for index, array in enumerate(part.arrays)
        }
        content = io.BytesIO()
        np.savez(content, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
        assert self.path is not None
        try:
            write_through(self._new, content.getbuffer())
            self._new.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:  # the training itself is well
            self._new.unlink(missing_ok=True)
            if not self._warned:
                print(
                    f"warning: cannot write {self.path} ({error.strerror}): if this training is "
                    "interrupted, it starts over",
                    file=sys.stderr,
                )
            self._warned = True
        self._next = time.monotonic() + EVERY


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Return what the state has that this training has not, in words; empty where all is equal."""
    for name in (*here, *there):
        old, new = (str(side.get(name, "none")) for side in (there, here))
        if old != new:
            return f"{name} {_short(old)}, this one has {_short(new)}"
    return ""


def _short(text: str) -> str:
    return text[:_SHOWN] if len(text) > _SHOWN and " " not in text else text
