"""Pictures in files, through matplotlib."""

import io
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
    try:
        write_files({path: picture.getvalue()})
    except OSError as error:
        raise LotorError(
            f"cannot write {path}: {error.strerror}; give another file with --plot"
        ) from error
