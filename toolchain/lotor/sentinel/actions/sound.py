"""`kind = "sound"`: play a file, or the built-in bark, again and again until it is to end.

Sound comes from this process and ends with it. What people cannot hear is not claimed: loudspeakers
for people hardly play it.
"""

import contextlib
import ctypes
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import cycle, repeat
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause, bark
from lotor.suggest import did_you_mean

NULL = "null"
"""The device that plays to nothing, for tests."""

_BUFFER_MS = 100

Block = NDArray[np.int16]


@dataclass(frozen=True)
class Options:
    """What to play.

    Attributes:
        file: wav, mp3, flac or ogg (Vorbis); the built-in bark when left out.
        volume: share of full scale, 0..1.
        device: name of the sound device, or a part of it; the system's own when left out.
    """

    file: str = ""
    volume: float = 1.0
    device: str = ""


class Sound:
    """Plays a sound."""

    ENDS_ALONE = True
    Options: ClassVar[type[Any]] = Options

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        self._name, self._options = name, options
        self._file = folder / Path(options.file).expanduser() if options.file else None
        if not 0 <= options.volume <= 1:
            raise LotorError(
                f"action '{name}': 'options.volume' is {options.volume:g}; it must be 0 to 1"
            )
        if self._file is not None and not self._file.is_file():
            raise LotorError(f"action '{name}': there is no file {self._file}")
        self._lock = threading.Lock()
        self._player: Any = None

    def describe(self) -> str:
        """Return what it plays."""
        what = self._file.name if self._file else "a dog's bark"
        return f"play {what} at {100 * self._options.volume:g} % volume"

    def on(self, cause: Cause, seconds: float) -> None:
        """Begin to play.

        Raises:
            LotorError: no sound device, or the file cannot be played.
        """
        miniaudio = _miniaudio()
        with self._lock:
            self._stop()
            try:
                stream = self._stream()
                next(stream)
                player = self._open(miniaudio)
                self._player = player
                player.start(stream)
            except miniaudio.MiniaudioError as error:
                self._stop()
                text = " ".join(map(str, error.args))
                raise LotorError(
                    f"action '{self._name}': cannot {self.describe()}: {text}; is there a sound "
                    "device? see `aplay -l`"
                ) from error

    def off(self) -> None:
        """Stop at once."""
        with self._lock:
            self._stop()

    def close(self) -> None:
        """Stop."""
        self.off()

    def _stop(self) -> None:
        player, self._player = self._player, None
        if player is not None:
            player.close()

    def _open(self, miniaudio: Any) -> Any:
        wanted, backends = self._options.device, None
        chosen = None
        if wanted == NULL:
            backends = [miniaudio.Backend.NULL]
        elif wanted:
            devices = {d["name"]: d["id"] for d in miniaudio.Devices().get_playbacks()}
            matching = [name for name in devices if wanted.casefold() in name.casefold()]
            if not matching:
                raise LotorError(
                    f"action '{self._name}': there is no sound device '{wanted}'"
                    f"{did_you_mean(wanted, devices)}; devices: {', '.join(devices) or 'none'}"
                )
            chosen = devices[matching[0]]
        player = miniaudio.PlaybackDevice(
            miniaudio.SampleFormat.SIGNED16,
            nchannels=1,
            sample_rate=bark.RATE if self._file is None else 44_100,
            buffersize_msec=_BUFFER_MS,
            device_id=chosen,
            backends=backends,
            app_name="lotor",
        )
        # Without a device miniaudio plays to nothing, and says nothing.
        if player.backend == "Null" and wanted != NULL:
            player.close()
            raise LotorError(
                f"action '{self._name}': this machine has no sound device; see `aplay -l`"
            )
        return player

    def _stream(self) -> Generator[bytes, int, None]:
        """Take the number of samples that are wanted next, and give as many, without an end."""
        blocks = self._blocks()
        held = next(blocks)  # what cannot be decoded fails here
        count = yield b""
        while True:
            while len(held) < count:
                held = np.concatenate([held, next(blocks)])
            now, held = held[:count], held[count:]
            count = yield (now * self._options.volume).astype(np.int16).tobytes()

    def _blocks(self) -> Iterator[Block]:
        """Give the sound again and again, in blocks; a long file is decoded as it is played."""
        if self._file is None:
            yield from repeat(bark.bark())
        miniaudio = _miniaudio()
        for _ in cycle([None]):
            length = 0
            blocks = miniaudio.stream_file(str(self._file), nchannels=1, sample_rate=44_100)
            for block in blocks:
                length += len(block)
                if len(block):
                    yield np.asarray(block, np.int16)
            if not length:
                raise LotorError(f"action '{self._name}': {self._file} is empty")


_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)
_NOTHING = _HANDLER(lambda *_: None)
"""Takes what the ALSA library says: dozens of lines where a sound card is missing."""


@cache
def _hush() -> None:
    """Keep the ALSA library from writing to stderr: what fails is told by the error it returns."""
    with contextlib.suppress(OSError, AttributeError):
        # snd_lib_error_set_handler of alsa/error.h; its handler takes more arguments, unread here.
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_NOTHING)


def _miniaudio() -> Any:
    _hush()
    try:
        import miniaudio
    except ImportError as error:
        raise LotorError(
            "sounds need the package miniaudio: `pip install 'lotor[sentinel]'`"
        ) from error
    return miniaudio
