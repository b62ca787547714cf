"""A board that is a thread at the other end of a pty and answers as a test tells it to."""

import os
import pty
import struct
import threading
import time
import tty
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from lotor.device.link import ANSWER, ERROR, Decoder, Frame, Request, encode

Reply = bytes | float | Frame
Handler = Callable[[Frame], Iterable[Reply]]


def answer(request: Frame, payload: bytes = b"") -> Frame:
    """The regular answer to a request."""
    return Frame(request.type | ANSWER, request.sequence, payload)


def refusal(request: Frame, code: int, text: str = "") -> Frame:
    """The error answer to a request."""
    return Frame(ERROR, request.sequence, bytes([request.type, code]) + text.encode())


def notice(code: int) -> Frame:
    """The error answer to a frame that could not be read."""
    return Frame(ERROR, 0xFFFF, bytes([0, code]))


def item(tag: int, value: bytes) -> bytes:
    """One item of a tag list."""
    return struct.pack("<BH", tag, len(value)) + value


def model_item(
    index: int, name: str, digest: bytes, inputs: list[int], outputs: list[int]
) -> bytes:
    """One model of a hello, of three layers."""
    head = struct.pack("<BIIBB", index, 4096, 3, len(inputs), len(outputs))
    return item(10, head + digest + struct.pack(f"<{len(inputs + outputs)}I", *inputs, *outputs)
                + name.encode())  # fmt: skip


HELLO = (
    item(1, b"fake")
    + item(2, b"FAKE1")
    + item(3, b"1.2.3")
    + item(4, bytes(range(20)))
    + item(5, struct.pack("<I", 168_000_000))
    + item(6, b"instructions")
    + item(7, struct.pack("<I", 65536))
    + item(8, struct.pack("<I", 1040))
    + item(9, b"\0")
    + model_item(0, "small", b"\x11" * 32, [8], [4])
    + model_item(1, "large", b"\x22" * 32, [3000, 5], [2500, 1])
    + item(12, struct.pack("<I", 2))
    + item(13, struct.pack("<I", 1))
    + item(99, b"from the future")
)


class FakeBoard:
    """Answers frames on a pty with what `handler` gives for them.

    A handler yields frames, raw bytes, or a number of seconds to wait. Hello is answered with
    `HELLO` unless the handler does it.

    Attributes:
        url: the path of the pty for the other side.
        requests: the frames received so far.
    """

    def __init__(self, handler: Handler | None = None, own_hello: bool = False) -> None:
        self._handler, self._own_hello = handler, own_hello
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.url = os.ttyname(self._slave)
        self.requests: list[Frame] = []
        self.decoder = Decoder()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._stop = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop = True
        os.write(self._slave, b"\0")  # wakes the thread
        self._thread.join(5)
        os.close(self._slave)
        os.close(self._master)

    def send(self, reply: Reply) -> None:
        """Send something now, or wait."""
        if isinstance(reply, float | int):
            time.sleep(reply)
            return
        data = encode(reply) if isinstance(reply, Frame) else reply
        while data:
            data = data[os.write(self._master, data) :]

    def _serve(self) -> None:
        while not self._stop:
            for frame in self.decoder.feed(os.read(self._master, 4096)):
                self.requests.append(frame)
                if frame.type == Request.HELLO and not self._own_hello:
                    self.send(answer(frame, HELLO))
                elif self._handler:
                    for reply in self._handler(frame):
                        self.send(reply)
