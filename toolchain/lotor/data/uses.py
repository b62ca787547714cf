"""How often the test split of a data set was used, and for how many models.

A figure on test is worth what it promises as long as nothing is chosen by it. Nobody is kept from
looking again, but each use is written down and their number told:

    STATE/test_uses.jsonl        one line a use, only ever added to

STATE is `$LOTOR_STATE_DIR`, else `lotor` in the XDG state folder: a data set may be read-only, and
a cache may be emptied.
"""

import hashlib
import json
import os
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lotor.data.manifest import DataSet
from lotor.errors import LotorError
from lotor.resources import state_dir

FILE = "test_uses.jsonl"
TEST = "test"


@dataclass(frozen=True)
class Uses:
    """Uses of one test split: how many, and for how many models of different bytes."""

    times: int
    models: int

    def __str__(self) -> str:
        times = "once" if self.times == 1 else f"{self.times} times"
        models = "1 model" if self.models == 1 else f"{self.models} different models"
        return f"{times}, for {models}"


def count_use(data: DataSet, model: str, content: bytes) -> Uses:
    """Write down that a model was measured on a data set's test split; tell stderr how many were.

    The split is known by the hash of its files' names, which in a data set of `lotor data` are
    hashes themselves: neither another label nor photographs in other splits start a new count. A
    log that cannot be read or written is a warning.

    Args:
        data: the data set.
        model: what it is called.
        content: the bytes of its file, which tell models apart; of a float model those of the int8
            one that it belongs to.

    Returns:
        all uses that the log knows, and this one.
    """
    names = sorted(photo.path.relative_to(data.folder).as_posix() for photo in data.split(TEST))
    use = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(_command()),
        "model": model,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "data": str(data.folder.absolute()),
        "manifest_sha256": data.manifest_hash,
        "test_sha256": hashlib.sha256("\n".join(names).encode("utf-8")).hexdigest(),
    }
    before: list[dict[str, Any]] = []
    where = ""
    try:
        path = state_dir() / FILE
        where = f" ({path})"
        before = _read(path)
        _append(path, json.dumps(use, ensure_ascii=False))
    except (LotorError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(
            f"warning: this use of the test split is not written down{where}: {reason}; name a "
            "folder that can be written in $LOTOR_STATE_DIR",
            file=sys.stderr,
        )
    same = [one for one in (*before, use) if one["test_sha256"] == use["test_sha256"]]
    found = Uses(len(same), len({one["model_sha256"] for one in same}))
    print(f"the test split of {data.folder} has been used {found}{where}", file=sys.stderr)
    return found


def _command() -> list[str]:
    """Return what was typed; `python -m lotor` is `lotor`."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return [name, *sys.argv[1:]]


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the uses in a log; lines that are no uses, as a full disk leaves them, are skipped."""
    uses = []
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            use = json.loads(line)
        except ValueError:
            continue
        if isinstance(use, dict) and {"test_sha256", "model_sha256"} <= set(use):
            uses.append(use)
    return uses


def _append(path: Path, line: str) -> None:
    """Add a line in one write, so that lines of two commands do not mix."""
    with path.open("ab", buffering=0) as file:
        torn = file.tell() and not path.read_bytes().endswith(b"\n")
        content = ("\n" * bool(torn) + line + "\n").encode("utf-8")
        if file.write(content) != len(content):
            raise OSError(28, os.strerror(28))
