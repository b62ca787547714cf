"""`lotor data label`: a page of this machine alone, on which one labels photographs by keyboard.

Each label is written to a journal in the data set at once; ending the program makes one new version
of them. A journal that was left behind (power cut) is taken up by the next start.
"""

import errno
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lotor.data.manifest import UNLABELLED, Photo
from lotor.data.store import commit, locked, open_store
from lotor.errors import LotorError
from lotor.preprocess import read_image

JOURNAL = "labels.jsonl"
_PAGE = Path(__file__).with_name("label.html")
_LONGEST_NAME = 64
_LARGEST_REQUEST = 4096

Suggest = Callable[[Path], tuple[str, float]]
"""From a photograph's file: the label that a model gives it, and its probability."""


@dataclass(frozen=True)
class Labelled:
    """What a session of labelling did."""

    labelled: int
    left: int
    version: str

    def __str__(self) -> str:
        return f"{self.labelled} labelled, {self.left} left\nversion {self.version}"


class Labelling:
    """Photographs that wait for a label, and what was said of them; one user, several requests.

    Args:
        folder: of the data set.
        suggest: a model's opinion; None for none.
        kinds: classes to offer; those of the data set when empty.
        again: also those that have a label.
    """

    def __init__(
        self,
        folder: Path,
        suggest: Suggest | None = None,
        kinds: Sequence[str] = (),
        again: bool = False,
    ) -> None:
        self.folder, self._suggest, self._lock = folder, suggest, threading.Lock()
        self.photos = {photo.id: photo for photo in open_store(folder).photos}
        known = Counter(p.kind for p in self.photos.values() if p.kind != UNLABELLED)
        self.kinds = list(kinds) or [kind for kind, _ in known.most_common()]
        waiting = [p.id for p in self.photos.values() if again or p.kind == UNLABELLED]
        self._queue = waiting
        self.total = len(waiting)
        self.said: dict[str, str] = {}
        self._order: list[str] = []
        self._opinions: dict[str, tuple[str, float]] = {}
        for line in self._journal_lines():
            self._take(line["id"], line["kind"])
        self._mend_journal()

    def _journal_lines(self) -> list[dict[str, str]]:
        path = self.folder / JOURNAL
        lines = []
        content = path.read_bytes() if path.exists() else b""
        for text in content.split(b"\n")[:-1]:  # the power went while what follows was written
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
        return [line for line in lines if line.get("id") in self.photos]

    def _mend_journal(self) -> None:
        """Remove a line that was cut off, so that the next label does not become a part of it."""
        path = self.folder / JOURNAL
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)

    def _take(self, number: str, kind: str | None) -> None:
        if kind is None:
            if self.said.pop(number, None) is not None:
                self._order.remove(number)
                self._queue.insert(0, number)
            return
        self.said[number] = kind
        if number in self._order:
            self._order.remove(number)
        self._order.append(number)
        if number in self._queue:
            self._queue.remove(number)
        if kind not in self.kinds:
            self.kinds.append(kind)

    def _write(self, number: str, kind: str | None) -> None:
        line = json.dumps({"id": number, "kind": kind}).encode() + b"\n"
        with (self.folder / JOURNAL).open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)  # the next label would become a part of half a line
                raise
        self._take(number, kind)

    def label(self, number: str, kind: str) -> None:
        """Say what a photograph shows.

        Raises:
            LotorError: no such photograph, or no sound name of a class.
        """
        if number not in self.photos:
            raise LotorError(f"no photograph {number}")
        if not kind or len(kind) > _LONGEST_NAME or not kind.isprintable() or ";" in kind:
            raise LotorError(f"a class needs a name of 1 to {_LONGEST_NAME} letters other than ;")
        with self._lock:
            self._write(number, kind)

    def skip(self, number: str) -> None:
        """Look at a photograph later, after all others."""
        with self._lock:
            if number in self._queue:
                self._queue.remove(number)
                self._queue.append(number)

    def undo(self) -> None:
        """Take the last label back."""
        with self._lock:
            if self._order:
                self._write(self._order[-1], None)

    def state(self) -> dict[str, Any]:
        """Return what the page shows."""
        with self._lock:
            number = self._queue[0] if self._queue else None
            following = self._queue[1] if len(self._queue) > 1 else None
            found: dict[str, Any] = {
                "name": self.folder.resolve().name,
                "kinds": self.kinds,
                "total": self.total,
                "done": self.total - len(self._queue),
                "id": number,
                "next": following,
                "kind": self.photos[number].kind if number else None,
                "last": self.said[self._order[-1]] if self._order else None,
                "suggestion": None,
                "score": 0.0,
            }
        if number and self._suggest:
            if number not in self._opinions:
                try:
                    self._opinions[number] = self._suggest(self.photos[number].path)
                except LotorError:
                    return found  # no opinion on what cannot be read; the page says that it cannot
            found["suggestion"], found["score"] = self._opinions[number]
        return found

    def finish(self) -> Labelled:
        """Make one new version of all that was said, and remove the journal."""
        with self._lock, locked(self.folder):
            data = open_store(self.folder)
            if not self.said:
                (self.folder / JOURNAL).unlink(missing_ok=True)
                return Labelled(0, len(self._queue), data.manifest_hash)
            photos = [_labelled(photo, self.said.get(photo.id)) for photo in data.photos]
            try:
                version = commit(self.folder, photos).manifest_hash
            except LotorError as error:
                raise LotorError(
                    f"{error}; the labels are kept in {JOURNAL} there: make room, and the next "
                    "`lotor data label` takes them up"
                ) from error
            (self.folder / JOURNAL).unlink(missing_ok=True)
            return Labelled(len(self.said), len(self._queue), version)


def _labelled(photo: Photo, kind: str | None) -> Photo:
    if kind is None:
        return photo
    # Boxes that said no more than "something" get its name.
    named = tuple(
        box._replace(kind=kind) if box.kind in ("", photo.kind, UNLABELLED) else box
        for box in photo.boxes
    )
    return replace(photo, kind=kind, boxes=named)


def model_suggestions(model: str) -> Suggest:
    """Return the opinion of a classifier on this machine.

    Args:
        model: its name or path.
    """
    from lotor.classifier import HostClassifier
    from lotor.detect import score_image
    from lotor.zoo import find_model

    classifier = HostClassifier(find_model(model))

    def suggest(path: Path) -> tuple[str, float]:
        scores = score_image(classifier, read_image(path), None)[0]
        best = int(scores.argmax())
        return classifier.labels[best], float(scores[best])

    return suggest


def serve(labelling: Labelling, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the page on this machine alone; the caller runs it and closes it.

    Args:
        labelling: what to show.
        port: TCP port; 0 for a free one.

    Raises:
        LotorError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(labelling))
    except OSError as error:
        raise LotorError(
            f"cannot listen on port {port} ({error.strerror}); give another one with --port"
        ) from error
    server.daemon_threads = True
    return server


def _handler(labelling: Labelling) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._ours():
                return
            if self.path == "/":
                self._send(_PAGE.read_bytes(), "text/html; charset=utf-8")
            elif self.path == "/state":
                self._state()
            elif photo := labelling.photos.get(self.path.removeprefix("/photo/")):
                self._photo(photo)
            else:
                self._fail(HTTPStatus.NOT_FOUND, f"nothing at {self.path}")

        def do_POST(self) -> None:
            if not self._ours():
                return
            length = int(self.headers.get("Content-Length") or 0)
            if length > _LARGEST_REQUEST:
                self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too long")
                return
            # Pages of other sites cannot send this type without asking first.
            if self.headers.get_content_type() != "application/json":
                self._fail(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
                return
            try:
                said = json.loads(self.rfile.read(length))
                if self.path == "/label":
                    labelling.label(str(said["id"]), str(said["kind"]))
                elif self.path == "/skip":
                    labelling.skip(str(said["id"]))
                elif self.path == "/undo":
                    labelling.undo()
                else:
                    self._fail(HTTPStatus.NOT_FOUND, f"nothing at {self.path}")
                    return
            except (ValueError, KeyError, TypeError, LotorError) as error:
                self._fail(HTTPStatus.BAD_REQUEST, str(error))
                return
            except OSError as error:
                self._fail(HTTPStatus.INSUFFICIENT_STORAGE, f"cannot write: {error.strerror}")
                return
            self._state()

        def _photo(self, photo: Photo) -> None:
            kind = "image/png" if photo.path.suffix == ".png" else "image/jpeg"
            try:
                content = photo.path.read_bytes()
            except OSError as error:
                self._fail(HTTPStatus.NOT_FOUND, f"cannot read {photo.path}: {error.strerror}")
            else:
                self._send(content, kind)

        def _ours(self) -> bool:
            """Refuse requests that came here under another name (DNS rebinding)."""
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            if host in ("127.0.0.1", "localhost"):
                return True
            self._fail(HTTPStatus.FORBIDDEN, "this page is for this machine alone")
            return False

        def _state(self) -> None:
            self._send(json.dumps(labelling.state()).encode(), "application/json")

        def _fail(self, status: HTTPStatus, text: str) -> None:
            self._send(json.dumps({"error": text}).encode(), "application/json", status)

        def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            with suppress(ConnectionError):  # the tab was closed meanwhile
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def label(
    folder: Path,
    model: str | None = None,
    kinds: Sequence[str] = (),
    again: bool = False,
    port: int = 0,
    ready: Callable[[str], None] = lambda url: None,
) -> Labelled:
    """Serve the page until Ctrl-C or SIGTERM, then make a version of the labels.

    Args:
        folder: of the data set.
        model: name or path of a model whose opinion is shown.
        kinds: classes to offer; those of the data set when empty.
        again: also show photographs that have a label.
        port: TCP port; 0 for a free one.
        ready: gets the page's address.
    """

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)  # as whatever has started it would end it
    suggest = model_suggestions(model) if model else None
    labelling = Labelling(folder, suggest, kinds, again)
    with serve(labelling, port) as server:
        ready(f"http://127.0.0.1:{server.server_address[1]}/")
        try:
            server.serve_forever(0.1)
        except KeyboardInterrupt:
            pass
        finally:
            done = labelling.finish()
    return done
