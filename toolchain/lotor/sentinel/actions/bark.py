"""A dog's bark, synthesised: no recording, the same bytes everywhere.

Source and filter, as in speech synthesis (Fant, Acoustic Theory of Speech Production, 1960): a
train of glottal pulses whose pitch rises and falls within a quarter of a second, with breath noise,
through the resonances of a dog's throat and muzzle. To listen:
`python -m lotor.sentinel.actions.bark bark.wav`.
"""

import sys
import wave
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 22_050
"""Samples a second."""

_FORMANTS = ((620.0, 130.0, 1.0), (1350.0, 220.0, 0.6), (2700.0, 380.0, 0.25))
"""Frequency and bandwidth in Hz, and strength, of each resonance."""

# Seconds of silence before it, seconds, pitch relative to the first, loudness.
_BARKS = ((0.05, 0.23, 1.0, 0.9), (0.16, 0.19, 1.08, 0.8), (0.42, 0.26, 0.94, 1.0))
_TAIL_S = 0.55
_PEAK = 0.95

Samples = NDArray[np.float64]


@cache
def bark() -> NDArray[np.int16]:
    """Return three barks and a pause, int16 [samples], at `RATE`; made to be played in a loop."""
    rng = np.random.default_rng(1)
    parts = list[Samples]()
    for silence, seconds, pitch, loudness in _BARKS:
        parts += [np.zeros(round(silence * RATE)), loudness * _one(seconds, pitch, rng)]
    parts.append(np.zeros(round(_TAIL_S * RATE)))
    sound = np.concatenate(parts)
    return np.asarray(np.round(sound / np.abs(sound).max() * _PEAK * 32767), np.int16)


def _one(seconds: float, pitch: float, rng: np.random.Generator) -> Samples:
    """Return one bark, float [samples], about -1..1."""
    count = round(seconds * RATE)
    t = np.arange(count) / count
    # Up from 400 to 800 Hz in the first quarter, then down to 300; the voice is rough.
    f0 = pitch * np.interp(t, [0, 0.25, 0.45, 1], [400, 800, 700, 300])
    rough = np.interp(
        np.arange(count),
        np.arange(0, count + 90, 90),
        rng.normal(0, 0.02, len(range(0, count + 90, 90))),
    )
    phase = np.cumsum(f0 * (1 + rough)) / RATE
    cycle = phase % 1
    # Open for 60 % of a cycle, closing faster than opening: the closing excites the resonances.
    pulse = np.where(
        cycle < 0.4,
        np.sin(np.pi * cycle / 0.8) ** 2,
        np.where(cycle < 0.6, np.cos(np.pi * (cycle - 0.4) / 0.4), 0),
    )
    # Every other pulse is weaker, which makes it growl.
    pulse *= 1 - 0.35 * (np.floor(phase) % 2)
    noise = rng.normal(0, 1, count) * (0.10 + 0.30 * np.exp(-t / 0.08)) * (0.4 + 0.6 * pulse)
    sound = _through(np.diff(pulse + 0.35 * noise, prepend=0.0))
    attack = 1 - np.exp(-t * seconds / 0.006)
    decay = np.clip((1 - t) / 0.55, 0, 1) ** 1.3
    return np.asarray(np.tanh(2.2 * sound / np.abs(sound).max()) * attack * decay, np.float64)


def _through(source: Samples) -> Samples:
    """Return a source after the resonances, each of two poles, side by side."""
    frequency = np.fft.rfftfreq(2 * len(source), 1 / RATE)
    response = np.zeros(len(frequency), np.complex128)
    for centre, width, strength in _FORMANTS:
        response += strength * centre * width / (centre**2 - frequency**2 + 1j * width * frequency)
    # numpy's FFT and libm may differ in a last bit between machines; that is far below int16.
    heard = np.fft.irfft(np.fft.rfft(source, 2 * len(source)) * response)
    return np.asarray(heard[: len(source)], np.float64)


def write(path: Path) -> None:
    """Write it as a wav file.

    Raises:
        OSError: it cannot be written.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bark().astype("<i2").tobytes())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
