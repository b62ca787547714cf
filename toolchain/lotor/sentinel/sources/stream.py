"""A network camera: RTSP, MJPEG, HLS and whatever else OpenCV's FFmpeg opens by its address."""

import os
import socket
from urllib.parse import urlsplit

import cv2

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import Opening, Source, redact

OPEN_S = 8.0
"""Seconds in which a camera must begin to send."""
READ_S = 8.0
"""Seconds in which the next picture must come."""
_ASK_S = 3.0  # for the answer that says why it does not open
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class Stream(Source):
    """`rtsp://`, `rtsps://`, `http://` or `https://`; RTSP runs over TCP.

    OPENCV_FFMPEG_CAPTURE_OPTIONS in the environment replaces what is asked of FFmpeg, e.g.
    `rtsp_transport;udp`.

    Raises:
        LotorError: it does not open; says which step failed, without the address's secrets.
    """

    def __init__(self, opening: Opening) -> None:
        self._url = opening.camera.source
        self.where = redact(self._url)
        # FFmpeg need not find out the rate: the first picture then comes seconds earlier.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fpsprobesize;1")
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_S * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_S * 1000)),
        ]
        self._capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            self._capture.release()
            raise LotorError(why_not(self._url))

    def grab(self) -> bool:
        """Wait for the next picture."""
        if not self._capture.grab():
            raise LotorError(f"{self.where} sends no more pictures")
        return True

    def picture(self) -> Image:
        """Return what was grabbed last."""
        found, image = self._capture.retrieve()
        if not found:
            raise LotorError(f"{self.where} sent a picture that cannot be decoded")
        return image  # type: ignore[return-value]

    def close(self) -> None:
        """End the connection."""
        self._capture.release()


def why_not(url: str) -> str:
    """Ask a camera without FFmpeg, which does not say why it fails; return a line."""
    where, parts = redact(url), urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    at = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), _ASK_S) as line:
            line.settimeout(_ASK_S)
            status = _status(line, parts.scheme, url) if parts.scheme in ("rtsp", "http") else 0
    except socket.gaierror:
        return f"{where}: no address is known for the host '{host}'; is its name right?"
    except ConnectionRefusedError:
        return f"{where}: nobody listens on {at}; is the port right, and the camera's stream on?"
    except TimeoutError:
        return f"{where}: {at} does not answer; is the camera on, and on this network?"
    except OSError as error:
        return f"{where}: {at} cannot be reached: {error.strerror or error}"
    if status in (401, 403):
        if parts.username is None:
            return f"{where}: it asks for a user; write USER:PASSWORD@ before its host"
        return f"{where}: it refuses; are user and password right (@ is written %40, : %3A)?"
    if status in (404, 454):
        return f"{where}: there is no such stream on the camera; is the path right?"
    if status >= 400:
        return f"{where}: it answers with error {status}"
    return f"{where}: it answers, but sends no video that can be read within {OPEN_S:g} s"


def _status(line: socket.socket, scheme: str, url: str) -> int:
    """Return the status code with which a request without credentials is answered; 0: none."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    if scheme == "rtsp":
        ask = f"DESCRIBE rtsp://{host}{path} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    else:
        ask = f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n"
    line.sendall(ask.encode())
    words = line.recv(256).split(b" ", 2)  # RTSP/1.0 401 Unauthorized
    return int(words[1]) if len(words) > 1 and words[1][:3].isdigit() else 0
