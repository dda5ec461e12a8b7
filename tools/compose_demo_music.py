"""Render an original little piece, for demos where no recorded music can be had.

``python tools/compose_demo_music.py OUT.flac`` writes 67 seconds of stereo at 44.1 kHz: a quiet song in E minor for
keys, melody, bass, pad and brushes. Every sample is computed from this file; the same numpy gives the same samples.
The composition is part of this repository and under its licence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf

RATE = 44_100
BEAT_S = 60 / 76
BAR_BEATS = 4
SEED = 1906

Wave = npt.NDArray[np.float64]

# One bar each: the bass note, then the chord from low to high, as MIDI note numbers.
EM, CMAJ7, G, D = (40, 52, 55, 59, 66), (36, 52, 55, 59, 64), (43, 50, 55, 59, 62), (42, 50, 54, 57, 62)
AM7, B7, C, GB = (45, 52, 55, 60, 64), (47, 51, 54, 57, 63), (36, 52, 55, 60, 64), (47, 50, 55, 59, 67)
VERSE = (EM, CMAJ7, G, D, EM, CMAJ7, AM7, B7)
CHORUS = (G, D, C, GB, AM7, EM, C, D)
CODA = (EM, CMAJ7, AM7, EM)
BARS = (*VERSE, *CHORUS, *CODA)

# One bar each: notes and their lengths in beats.
MELODY: tuple[tuple[tuple[int, float], ...], ...] = (
    ((71, 1.5), (69, 0.5), (67, 1), (64, 1)),
    ((67, 1), (71, 1), (76, 2)),
    ((74, 1.5), (71, 0.5), (67, 1), (69, 1)),
    ((69, 1), (66, 1), (62, 2)),
    ((64, 0.5), (67, 0.5), (71, 1), (74, 1), (71, 1)),
    ((72, 1.5), (71, 0.5), (67, 2)),
    ((69, 1), (72, 1), (76, 1), (72, 1)),
    ((71, 2), (75, 1), (78, 1)),
    ((79, 1.5), (78, 0.5), (74, 1), (71, 1)),
    ((69, 1), (74, 1), (78, 2)),
    ((76, 1.5), (74, 0.5), (72, 1), (67, 1)),
    ((71, 1), (74, 1), (79, 2)),
    ((76, 1), (72, 1), (69, 1), (72, 1)),
    ((71, 1.5), (69, 0.5), (67, 2)),
    ((72, 1), (76, 1), (79, 1), (76, 1)),
    ((78, 2), (74, 1), (69, 1)),
    ((71, 1.5), (69, 0.5), (67, 1), (64, 1)),
    ((67, 1), (71, 1), (76, 2)),
    ((72, 1), (69, 1), (67, 2)),
    ((64, 4),),
)

ARPEGGIO = (1, 3, 2, 4, 3, 4, 2, 3)


def hertz(note: float) -> float:
    """Equal temperament, A4 = 440 Hz."""
    return float(440 * 2 ** ((note - 69) / 12))


def seconds(length: float) -> Wave:
    """Time in seconds, sample by sample."""
    return np.arange(round(length * RATE)) / RATE


def keys(note: int, length: float, velocity: float) -> Wave:
    """An electric piano: partials that decay the faster the higher they are, and a soft hammer."""
    t = seconds(length + 1.8)
    f = hertz(note)
    wave = np.zeros_like(t)
    for partial in range(1, 9):
        # Strings are stiff: their partials lie a little above the harmonic series.
        stretched = f * partial * np.sqrt(1 + 0.0004 * partial**2)
        if stretched < RATE * 0.45:
            level = velocity ** (0.4 + 0.2 * partial) / partial**1.6
            wave += level * np.sin(2 * np.pi * stretched * t) * np.exp(-t * (0.7 + 0.55 * partial) * (f / 260) ** 0.4)
    release = np.clip((length + 1.8 - t) / 0.25, 0, 1)
    return wave * np.clip(t / 0.004, 0, 1) * release * 0.5


def lead(note: int, length: float, velocity: float) -> Wave:
    """A reed with vibrato that comes late, as a player's would."""
    t = seconds(length + 0.12)
    vibrato = 0.12 * np.clip((t - 0.25) / 0.5, 0, 1) * np.sin(2 * np.pi * 5.2 * t)
    phase = 2 * np.pi * np.cumsum(hertz(note) * 2 ** (vibrato / 12)) / RATE
    wave = sum(level * np.sin(k * phase) for k, level in enumerate((1, 0.34, 0.42, 0.12, 0.14, 0.05), start=1))
    envelope = np.clip(t / 0.045, 0, 1) * np.clip((length + 0.12 - t) / 0.12, 0, 1)
    return np.asarray(wave) * envelope * (0.85 + 0.15 * np.exp(-3 * t)) * velocity * 0.22


def bass(note: int, length: float) -> Wave:
    """A plucked bass, mostly its fundamental."""
    t = seconds(length)
    f = hertz(note)
    wave = sum(np.sin(2 * np.pi * f * k * t) * np.exp(-t * (0.9 + 1.3 * k)) / k**1.3 for k in range(1, 6))
    return np.asarray(wave) * np.clip(t / 0.008, 0, 1) * np.clip((length - t) / 0.06, 0, 1) * 0.5


def pad(notes: tuple[int, ...], length: float) -> Wave:
    """Slow strings: three voices a note, slightly out of tune, low-passed by their own spectrum. Two channels."""
    t = seconds(length + 1.0)
    wave = np.zeros((t.size, 2))
    for note in notes:
        for cents, left in ((-6, 0.8), (0, 0.5), (7, 0.2)):
            f = hertz(note + cents / 100)
            voice = sum(np.sin(2 * np.pi * f * k * t + k * note + cents) / k**2 for k in range(1, 6))
            wave += np.asarray(voice)[:, None] * np.array([left, 1 - left])
    envelope = np.clip(t / 0.9, 0, 1) * np.clip((length + 1.0 - t) / 1.0, 0, 1)
    return np.asarray(wave * envelope[:, None] * 0.022)


def kick(velocity: float) -> Wave:
    """A soft drum: a sine that falls from 110 to 48 Hz."""
    t = seconds(0.4)
    return np.sin(2 * np.pi * (48 * t + 62 / 28 * (1 - np.exp(-28 * t)))) * np.exp(-9 * t) * velocity * 0.75


def brush(noise: np.random.Generator, velocity: float, length: float) -> Wave:
    """A brush on the snare: noise whose highs are kept by a difference, and that swells before it fades."""
    t = seconds(length)
    hiss = np.diff(noise.standard_normal(t.size + 1))
    return hiss * np.clip(t / (0.15 * length), 0, 1) * np.exp(-t * 5 / length) * velocity * 0.05


def room(dry: Wave, noise: np.random.Generator) -> Wave:
    """A small hall: convolution with two decaying noises, one a channel, whose highs die first."""
    t = seconds(1.9)
    size = 1 << int(np.ceil(np.log2(dry.shape[0] + t.size)))
    wet = np.zeros_like(dry)
    for channel in range(2):
        response = noise.standard_normal(t.size) * np.exp(-t * 3.4) * np.clip(t / 0.012, 0, 1)
        spectrum = np.fft.rfft(response, size)
        spectrum /= 1 + (np.fft.rfftfreq(size, 1 / RATE) / 2600) ** 2
        wet[:, channel] = np.fft.irfft(np.fft.rfft(dry[:, channel], size) * spectrum, size)[: dry.shape[0]]
    return np.asarray(wet / np.max(np.abs(wet)) * np.max(np.abs(dry)))


def performance() -> Iterator[tuple[float, float, Wave]]:
    """Every sound: when it starts in seconds, where it stands from left (0) to right (1), and its samples."""
    hand = np.random.default_rng(SEED)

    def late(spread: float) -> float:
        return float(abs(hand.normal(0, spread)))

    for number, chord in enumerate(BARS):
        start = number * BAR_BEATS * BEAT_S
        last = number == len(BARS) - 1
        swell = 0.7 if number < 4 else 1.0 if number < 16 else 0.75

        for step in range(1 if last else 8):
            at = start + step * BEAT_S / 2 + late(0.006)
            accent = (0.62 if step % 4 == 0 else 0.42) * swell + hand.normal(0, 0.03)
            yield at, 0.38, keys(chord[ARPEGGIO[step]] + 12 * (step % 8 == 5), 4.0 if last else 0.6, accent)

        yield start, 0.5, bass(chord[0], (3.9 if last else 1.9) * BEAT_S)
        if not last:
            yield start + 2.5 * BEAT_S + late(0.008), 0.5, bass(chord[0], 1.4 * BEAT_S) * 0.7

        beat = 0.0
        for note, length in MELODY[number]:
            at = start + beat * BEAT_S + late(0.012)
            yield at, 0.58, lead(note, length * BEAT_S * 0.96, swell * (0.9 + 0.1 * (beat == 0)))
            beat += length

        if 4 <= number < 18:
            for step in range(8):
                at = start + step * BEAT_S / 2 + late(0.004)
                if step in {0, 5}:
                    yield at, 0.5, kick(swell if step == 0 else 0.6 * swell)
                if step in {2, 6}:
                    yield at, 0.46, brush(hand, swell, 0.34)
                yield at, 0.7, brush(hand, 0.35 * swell * (1.3 if step % 2 else 0.7), 0.07)


def compose() -> npt.NDArray[np.float32]:
    """The whole piece: float32 of shape ``(frames, 2)``, peak at -1.5 dBFS."""
    frames = round((len(BARS) * BAR_BEATS * BEAT_S + 3.8) * RATE)
    dry = np.zeros((frames, 2))
    for at, right, whole in performance():
        first = round(at * RATE)
        sound = whole[: frames - first]
        # Constant power: as loud wherever it stands.
        dry[first : first + sound.size] += sound[:, None] * np.array(
            [np.cos(right * np.pi / 2), np.sin(right * np.pi / 2)]
        )
    for number, chord in enumerate(BARS):
        first = round(number * BAR_BEATS * BEAT_S * RATE)
        strings = pad(chord[1:], BAR_BEATS * BEAT_S)[: frames - first]
        dry[first : first + strings.shape[0]] += strings * (0.6 if number < 4 else 1.0)
    mix = dry + 0.2 * room(dry, np.random.default_rng(SEED + 1))
    fade = np.clip((frames - np.arange(frames)) / (1.5 * RATE), 0, 1)
    mix *= fade[:, None]
    return np.asarray(mix / np.max(np.abs(mix)) * 10 ** (-1.5 / 20), dtype=np.float32)


def main(path: Path) -> None:
    """Write the piece with its tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sf.SoundFile(path, "w", samplerate=RATE, channels=2, subtype="PCM_24") as file:
        file.title = "Lamps Along the Canal"
        file.artist = "The Stellatune Demo Ensemble"
        file.album = "Stellatune Demo"
        file.genre = "Instrumental"
        file.write(compose())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
