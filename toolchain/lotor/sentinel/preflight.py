"""What a start of the sentinel needs from this machine: looked at, and left as it is.

`--check` tells it. Nothing is switched on or off, made, sent, or kept open.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from lotor.errors import LotorError
from lotor.files import locked
from lotor.sentinel.actions.load import missing_package
from lotor.sentinel.config import Config
from lotor.sentinel.daemon import check_sources, store_folder
from lotor.sentinel.database import LOCK
from lotor.sentinel.mqtt import check_files
from lotor.sentinel.notify import check_addresses
from lotor.sentinel.page import listen
from lotor.sentinel.sources import is_missing, kind_of, redact
from lotor.sentinel.webhook import place_of

_MB = 10**6
_DEV, _FACTORY = Path("/dev"), "GPIOZERO_PIN_FACTORY"


def running(config: Config, folder: Path) -> str:
    """Return which process is a sentinel with the same store, e.g. "process 12"; "" for none."""
    path = store_folder(config, folder) / LOCK
    if not path.is_file():
        return ""
    try:
        with locked(path, wait=False):
            return ""
    except BlockingIOError:
        return path.read_text("utf-8").strip() or "another process"
    except OSError:
        return ""  # it is no longer there, or may not be read: the store says so


def against_start(config: Config, folder: Path) -> Iterator[str]:
    """Give what a start would fail at, a line each."""
    checks: list[Callable[[], object]] = [
        partial(check_sources, config),
        partial(_store, store_folder(config, folder)),
        partial(_page, config, folder),
        *_telling(config, folder),
    ]
    for check in checks:
        try:
            check()
        except LotorError as error:
            yield str(error)


def doubtful(config: Config, folder: Path) -> Iterator[str]:
    """Give what a start would get over, and what may not be meant, a line each."""
    deciding = config.deciding
    for camera in config.camera:
        source = camera.source
        least = (deciding.votes - 1) / camera.rate
        if least > deciding.memory_s:
            yield (
                f"camera {camera.name}: {deciding.votes} votes take {least:g} s at rate = "
                f"{camera.rate:g}, and a frame is forgotten after {deciding.memory_s:g} s, so that "
                f"nothing is ever called: set deciding.memory_s = {2 * least:g}, or a higher rate"
            )
        if is_missing(source, folder):
            what = f"there is no file or folder '{redact(source)}' now"
            yield f"camera {camera.name}: {what}; it is waited for"
        if kind_of(source) == "v4l2":
            path = f"/dev/video{int(source)}" if source.isdecimal() else source
            if not Path(path).exists():
                yield f"camera {camera.name}: there is no {path} now; it is waited for"
            elif not os.access(path, os.R_OK | os.W_OK):
                yield (
                    f"camera {camera.name}: no permission to open {path}: run `sudo usermod -aG "
                    "video $USER` and log in again"
                )
    for action in config.action:
        package = missing_package(action.kind)
        if package and action.dry_run:
            yield f"action {action.name}: {package}, before it is no dry run any more"
        if action.kind == "gpio" and not (list(_DEV.glob("gpiochip*")) or _FACTORY in os.environ):
            yield f"action {action.name}: this machine has no GPIO pins (no {_DEV}/gpiochip0)"
    place = _there(store_folder(config, folder))
    free, least = shutil.disk_usage(place).free / _MB, config.store.free_mb
    if free < least:
        yield (
            f"{free:.0f} MB are free on the disk of {place}, and store.free_mb leaves {least} MB: "
            "no new pictures and clips are kept"
        )


def _there(folder: Path) -> Path:
    """Return the nearest folder that there is already."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _store(folder: Path) -> None:
    place = _there(folder)
    try:
        if not place.is_dir():
            raise NotADirectoryError(0, "it is no folder")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise LotorError(
            f"store.folder is {folder}, and nothing can be written to {place}: {error.strerror}; "
            "give another one, or its user the right"
        ) from error


def _page(config: Config, folder: Path) -> None:
    if config.page.on:
        try:
            listen(config.page).close()
        except LotorError:
            if not running(config, folder):  # else it is that one's own page
                raise


def _telling(config: Config, folder: Path) -> Iterator[Callable[[], object]]:
    if config.mqtt is not None:
        yield partial(check_files, config.mqtt, folder)
    for number, hook in enumerate(config.webhook, 1):
        yield partial(place_of, hook.url, number)
    if config.notify is not None:
        yield partial(check_addresses, config.notify, folder)
