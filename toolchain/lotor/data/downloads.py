"""`downloads.csv` of a data set: the SHA-256 of every file that was pulled into it.

A public data set has no version of its own: whoever pulls it again, years later or elsewhere, is
told where a server has other bytes by now.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from lotor.errors import LotorError

DOWNLOADS = "downloads.csv"
_COLUMNS = ("set", "file", "sha256")


def read_downloads(folder: Path) -> dict[tuple[str, str], str]:
    """Return the SHA-256 of what was pulled, by public data set and file."""
    path = folder / DOWNLOADS
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        return {(row["set"], row["file"]): row["sha256"] for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise LotorError(f"{path} is no list of downloads: {error}") from error


def with_downloads(folder: Path, name: str, found: Mapping[str, str]) -> dict[Path, bytes]:
    """Return `downloads.csv` as it is to be, by its path; nothing where nothing was downloaded.

    Args:
        folder: of the data set.
        name: of the public data set.
        found: the SHA-256 of its files, by their names.

    Raises:
        LotorError: other bytes than before.
    """
    if not found:
        return {}
    known = read_downloads(folder)
    for file, sha256 in found.items():
        before = known.setdefault((name, file), sha256)
        if before != sha256:
            raise LotorError(
                f"{file} of '{name}' is not what was pulled into {folder} before: its SHA-256 is "
                f"{sha256}, {DOWNLOADS} there has {before}; pull into another folder, or remove "
                "that line to take it"
            )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_COLUMNS, *((*key, known[key]) for key in sorted(known))])
    return {folder / DOWNLOADS: text.getvalue().encode("utf-8")}
