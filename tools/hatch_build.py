"""Ships the top-level data folders inside the wheel, as `lotor/_data/...`.

An editable installation reads them where they lie, so it gets no copy.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("boards", "firmware", "hil_tests", "kernels", "models")
SKIPPED = {"__pycache__", "build", "out"}


class DataFolders(BuildHookInterface[Any]):
    """Adds each data file to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files that the checkout has, without caches and hidden files."""
        if version == "editable":
            return
        root = Path(self.root)
        for folder in FOLDERS:
            for path in sorted((root / folder).rglob("*")):
                inside = path.relative_to(root)
                hidden = any(part in SKIPPED or part.startswith(".") for part in inside.parts)
                if path.is_file() and not hidden:
                    build_data["force_include"][str(path)] = f"lotor/_data/{inside.as_posix()}"
