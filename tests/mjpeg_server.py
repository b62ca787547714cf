"""A network camera that sends MJPEG over HTTP, and fails as asked."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import cv2
import numpy as np

_HEAD = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


def picture(number: int, width: int = 160, height: int = 120) -> Any:
    """Return BGR uint8 of which no two in a row are alike."""
    image = np.full((height, width, 3), 40, np.uint8)
    cv2.rectangle(image, (number * 7 % width, 20), (number * 7 % width + 20, 60), (0, 200, 90), -1)
    image[0, 0] = number % 251
    return image


class MjpegServer:
    """Serves until the end of its `with` on `port`.

    Attributes:
        mode: "well", "stall" in the middle of a picture, "garbage" instead of pictures, "end" of
            the connection after some.
        size: width and height.
        still: the same picture all the time.
        wants: the Authorization header without which it refuses; None for none.
    """

    def __init__(self, port: int = 0) -> None:
        self.mode, self.size, self.still = "well", (160, 120), False
        self.wants: str | None = None
        self._ended = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers["Authorization"] != camera.wants:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    camera.stream(self.wfile)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/garden.mjpg"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stream(self, to: Any) -> None:
        """Send pictures, 50 a second."""
        number = 0
        while not self._ended.wait(0.02):
            if self.mode == "garbage":
                to.write(np.random.default_rng(number).bytes(2000))
            else:
                image = picture(0 if self.still else number, *self.size)
                data = cv2.imencode(".jpg", image)[1].tobytes()
                wire = _HEAD % len(data) + data + b"\r\n"
                if self.mode == "stall" and number:
                    to.write(wire[: len(wire) // 2])
                    while self.mode == "stall" and not self._ended.wait(0.02):
                        pass
                    return
                to.write(wire)
                if self.mode == "end" and number > 20:
                    return
            number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def until(true: Any, seconds: float = 30.0) -> None:
    """Wait for a condition; fails when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)
