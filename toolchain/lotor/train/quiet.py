"""Silence for code that writes to the error stream behind Python's back."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lotor.errors import LotorError


@contextmanager
def quiet() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere; an exception still reaches its handler."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def loading() -> Iterator[None]:
    """Import TensorFlow without what it says of itself.

    Raises:
        LotorError: it, or another package of training, is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet():
            yield
    except ImportError as error:
        raise LotorError(
            f"training needs the package {error.name}: pip install 'lotor[train]'"
        ) from error
    # Layers of many shapes are compiled one by one on purpose: it need not warn of that.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
