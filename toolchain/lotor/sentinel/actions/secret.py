"""Secrets live in files of their own, so that the configuration can be shown to anybody."""

from pathlib import Path

from lotor.errors import LotorError


def read_secret(name: str, folder: Path, file: str) -> str:
    """Return the first line of a file.

    Args:
        name: of the action.
        folder: of the configuration, to which the file is relative.
        file: its path.

    Raises:
        LotorError: it cannot be read, or has nothing in its first line.
    """
    path = folder / Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LotorError(f"action '{name}': the secret in {path} cannot be read: {error}") from None
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise LotorError(f"action '{name}': the first line of {path} must be the secret")
    return lines[0].strip()
