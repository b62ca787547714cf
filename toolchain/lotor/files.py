"""Files that are written whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files and make their folders; none changes unless there is room for all.

    Raises:
        OSError: a file cannot be written.
    """
    scratch = {
        path: path.with_name(f".{os.getpid()}-{number}") for number, path in enumerate(contents)
    }
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch[path].write_bytes(content)
        for path, new in scratch.items():
            new.replace(path)
    finally:
        for new in scratch.values():
            new.unlink(missing_ok=True)
