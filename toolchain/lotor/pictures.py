"""Pictures: in the terminal, and in files through matplotlib."""

import io
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotor.errors import LotorError
from lotor.files import write_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
_DPI = 110
_STYLE: Any = {
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # equally wide
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "lotor",
    "text.parse_math": False,  # names may hold "$"
}


def in_terminal(draw: Callable[..., str]) -> str:
    """Return a picture for standard output: in colour, as wide as it is, if it is a terminal.

    Args:
        draw: makes the text; takes the columns and whether it may have colours.
    """
    out = sys.stdout
    if not out.isatty():
        return draw()
    blocks = (out.encoding or "").lower().replace("-", "") == "utf8"
    plain = not blocks or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return draw(shutil.get_terminal_size().columns, colour=not plain)


def check_file(path: Path) -> None:
    """See that a picture can be drawn to a file, before the long work.

    Raises:
        LotorError: it is neither PNG nor SVG, or matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise LotorError(
            f"cannot draw to '{path}': give a file that ends in {' or '.join(SUFFIXES)}, or none "
            "for a picture in the terminal"
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise LotorError(
            "matplotlib, which draws to files, is not installed; "
            f"{sys.executable} -m pip install 'matplotlib>=3.8'"
        ) from error


def draw(figure: Callable[[], "Figure"], path: Path) -> None:
    """Draw a figure to a file; the same figure gives the same bytes.

    Raises:
        LotorError: see `check_file`, or the file cannot be written.
    """
    content = rendered(figure, path)
    try:
        write_files({path: content})
    except OSError as error:
        raise LotorError(
            f"cannot write {path}: {error.strerror}; give another file with --plot"
        ) from error


def rendered(figure: Callable[[], "Figure"], path: Path) -> bytes:
    """Return the content of a picture's file.

    Raises:
        LotorError: see `check_file`.
    """
    check_file(path)
    import matplotlib as mpl

    kind = path.suffix.lower()[1:]
    nothing = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    picture = io.BytesIO()
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for such a letter
        mpl.rcdefaults()  # whatever the user's own style is
        mpl.rcParams.update(_STYLE)
        figure().savefig(picture, format=kind, dpi=_DPI, metadata=nothing)
    return picture.getvalue()
