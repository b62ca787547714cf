"""Sounds, played to nothing by miniaudio's null device."""

import contextlib
import ctypes
import time
import wave
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause, bark
from lotor.sentinel.actions import sound as sound_module
from lotor.sentinel.actions.sound import Options, Sound

miniaudio = pytest.importorskip("miniaudio", reason="needs the sentinel extra")

CAUSE = Cause("raccoon", "garden", 1.0)


def write(path: Path, samples: NDArray[np.int16], rate: int = 44_100) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def pulled(sound: Sound, *counts: int) -> NDArray[np.int16]:
    """Return what a sound device gets that asks for so many samples, one call after the other."""
    stream = sound._stream()
    next(stream)
    parts = [np.frombuffer(stream.send(count), np.int16) for count in counts]
    assert [len(part) for part in parts] == list(counts)
    return np.concatenate(parts)


def test_a_bark_is_the_same_every_time_and_sounds_like_one() -> None:
    sound = bark.bark()
    assert sound.dtype == np.int16 and 30_000 < np.abs(sound).max() < 32_767
    bark.bark.cache_clear()
    assert np.array_equal(sound, bark.bark())
    # Three barks of a fifth to a quarter of a second, with silence between them.
    loud = np.abs(sound.astype(float))
    frames = loud[: len(loud) // 220 * 220].reshape(-1, 220).max(1) > 2500
    edges = np.flatnonzero(np.diff(np.r_[0, frames.astype(int), 0]))
    lengths = (edges[1::2] - edges[::2]) * 220 / bark.RATE
    assert len(lengths) == 3 and all(0.1 < length < 0.3 for length in lengths), lengths
    # What is loud is where dogs bark and people hear well: below 4 kHz, not a hum below 200 Hz.
    power = np.abs(np.fft.rfft(sound / 32767)) ** 2
    at = np.fft.rfftfreq(len(sound), 1 / bark.RATE)
    assert power[(at > 200) & (at < 4000)].sum() > 0.9 * power.sum()
    assert len({tuple(sound[a * 220 : a * 220 + 2000]) for a in edges[::2]}) == 3  # no two alike


def test_the_pitch_of_a_bark_rises_and_falls() -> None:
    one = bark._one(0.25, 1.0, np.random.default_rng(1))

    def pitch(at: float) -> float:
        part = one[int(at * len(one)) :][:700]
        part = part - part.mean()
        echo = np.correlate(part, part, "full")[len(part) - 1 :]
        low, high = int(bark.RATE / 1000), int(bark.RATE / 300)
        return bark.RATE / (low + int(np.argmax(echo[low:high])))

    start, top, end = pitch(0.0), pitch(0.34), pitch(0.75)
    assert 400 < start < 650 < top < 800 and 350 < end < 550


def test_the_command_writes_a_wav(tmp_path: Path) -> None:
    bark.write(tmp_path / "bark.wav")
    with wave.open(str(tmp_path / "bark.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, bark.RATE)
        assert file.readframes(10**6) == bark.bark().tobytes()


def test_it_repeats_until_the_end(tmp_path: Path) -> None:
    ramp = np.arange(1000, dtype=np.int16)
    sound = Sound("s", Options(str(write(tmp_path / "ramp.wav", ramp))), tmp_path)
    assert np.array_equal(pulled(sound, 441, 1, 2000), np.tile(ramp, 3)[:2442])
    barks = Sound("s", Options(), tmp_path)
    assert np.array_equal(pulled(barks, 70_000), np.tile(bark.bark(), 2)[:70_000])


def test_volume(tmp_path: Path) -> None:
    path = write(tmp_path / "full.wav", np.full(100, -32768, np.int16))
    for volume in (0.0, 0.25, 1.0):
        sound = Sound("s", Options(str(path), volume), tmp_path)
        assert set(pulled(sound, 100)) == {int(-32768 * volume)}


def test_other_rates_and_channels_are_converted(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "two.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(np.tile(np.array([1000, 3000], "<i2"), 2205).tobytes())
    got = pulled(Sound("s", Options("two.wav"), tmp_path), 4000)
    assert np.abs(got[100:-100] - 2000).max() <= 2


def test_it_plays_and_stops_at_once(tmp_path: Path) -> None:
    sound = Sound("s", Options(device="null"), tmp_path)
    asked = []
    stream = sound._stream

    def counted() -> Generator[bytes, int, None]:
        inner = stream()
        next(inner)
        count = yield b""
        while True:
            asked.append(count)
            count = yield inner.send(count)

    sound._stream = counted  # type: ignore[method-assign]
    sound.on(CAUSE, 5)
    until = time.monotonic() + 10
    while len(asked) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(asked) >= 3
    sound.off()
    sound.off()
    there = len(asked)
    time.sleep(0.3)
    assert len(asked) == there
    sound.on(CAUSE, 5)  # and again
    sound.close()


def test_a_machine_without_sound_says_so(tmp_path: Path) -> None:
    """Lest a deterrent is silent, and recorded as done."""
    if Path("/proc/asound/cards").exists():
        pytest.skip("this machine has a sound device")
    with pytest.raises(LotorError, match=r"no sound device|is there a sound device\?"):
        Sound("s", Options(), tmp_path).on(CAUSE, 1)


def test_the_silent_device_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing else works miniaudio plays to nothing by itself."""
    real = miniaudio.PlaybackDevice

    def silent(*given: Any, **more: Any) -> Any:
        return real(*given, **{**more, "backends": [miniaudio.Backend.NULL]})

    monkeypatch.setattr(miniaudio, "PlaybackDevice", silent)
    with pytest.raises(LotorError, match="this machine has no sound device"):
        Sound("s", Options(), tmp_path).on(CAUSE, 1)


def test_the_sound_library_writes_nothing_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        pytest.skip("the ALSA library is not there")

    def open_absent(*_: object, **__: object) -> None:
        device = ctypes.c_void_p()
        assert alsa.snd_pcm_open(ctypes.byref(device), b"no-such-device", 0, 0) < 0
        raise miniaudio.MiniaudioError("no device", -401)

    alsa.snd_lib_error_set_handler(None)  # its own, which writes
    with contextlib.suppress(miniaudio.MiniaudioError):
        open_absent()
    assert "ALSA lib" in capfd.readouterr().err
    sound_module._hush.cache_clear()
    monkeypatch.setattr(miniaudio, "PlaybackDevice", open_absent)
    with pytest.raises(LotorError, match="is there a sound device"):
        Sound("s", Options(), tmp_path).on(CAUSE, 1)
    assert capfd.readouterr().err == ""


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"there is no file .*nothing.wav"):
        Sound("s", Options("nothing.wav"), tmp_path)
    with pytest.raises(LotorError, match=r"'options.volume' is 2; it must be 0 to 1"):
        Sound("s", Options(volume=2), tmp_path)
    (tmp_path / "text.mp3").write_text("no sound")
    broken = Sound("s", Options("text.mp3", device="null"), tmp_path)
    with pytest.raises(
        LotorError, match=r"action 's': cannot play text.mp3 .*failed to init decoder"
    ):
        broken.on(CAUSE, 1)
    write(tmp_path / "empty.wav", np.zeros(0, np.int16))
    empty = Sound("s", Options("empty.wav", device="null"), tmp_path)
    with pytest.raises(LotorError, match=r"empty.wav is empty"):
        empty.on(CAUSE, 1)
    with pytest.raises(LotorError, match="there is no sound device 'trumpet'"):
        Sound("s", Options(device="trumpet"), tmp_path).on(CAUSE, 1)


def test_it_says_what_it_does(tmp_path: Path) -> None:
    assert Sound("s", Options(volume=0.5), tmp_path).describe() == (
        "play a dog's bark at 50 % volume"
    )
