"""The picture: what it measures, and that it is drawn whatever the music."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import StageFailed
from stellatune_plugins.model import AudioSpec, Block, SampleRate
from stellatune_plugins.session.plot import Envelope, Picture, Spectrum
from stellatune_plugins.session.response import measure
from stellatune_plugins.session.stages import IdentityChain

MONO = AudioSpec(SampleRate(48000), 1)
FREQUENCIES = np.geomspace(20, 20000, 200)


class _Squash(IdentityChain):
    """Not linear: loud is made quieter."""

    def process(self, block: Block) -> Block:
        out: Block = (np.tanh(block * 20) / 20).astype(np.float32)
        return out


class _Broken(IdentityChain):
    def process(self, block: Block) -> Block:
        raise StageFailed("the stage is broken")


def test_a_delay_has_a_flat_response(studio: Any) -> None:
    """Gain is read to a hundredth of a decibel, whatever the latency, and the chain is closed."""
    made = []

    def factory(spec: AudioSpec) -> Any:
        made.append(studio.Delay(spec, 1234, gain=0.5))
        return made[-1]

    response = measure(factory, MONO, FREQUENCIES)
    assert np.abs(response.gains_db + 6.02).max() < 0.01
    assert response.linear
    assert [chain.closed for chain in made] == [1, 1]


def test_a_filters_response_is_the_formulas(studio: Any) -> None:
    """A one-pole low-pass measures as its transfer function says."""
    pole = 0.9
    response = measure(lambda spec: studio.Decay(spec, pole), MONO, FREQUENCIES)
    phase = np.exp(-2j * np.pi * FREQUENCIES / 48000)
    expected = 20 * np.log10(np.abs(1 / (1 - pole * phase)))
    assert np.abs(response.gains_db[:, 0] - expected).max() < 0.05


def test_a_chain_that_is_not_linear_is_known(studio: Any) -> None:
    """Two levels, two answers."""
    assert not measure(_Squash, MONO, FREQUENCIES).linear


@pytest.mark.parametrize("frames", [1, 63, 64, 100_000, 3_000_000])
def test_the_envelope_misses_no_peak(frames: int) -> None:
    """In bounded memory, however long the stream, a single frame's peak is still there, at its time."""
    signal = np.zeros((frames, 2), np.float32)
    signal[frames * 2 // 3, 1] = 0.9
    signal[frames // 3, 0] -= 0.7
    envelope = Envelope()
    for at in range(0, frames, 7777):
        envelope.add(signal[at : at + 7777])
    times, low, high = envelope.curve(48000)
    assert len(times) == len(low) == len(high) <= 4097
    assert float(high.max()) == np.float32(signal.max())
    assert float(low.min()) == np.float32(signal.min())
    if frames > 1:
        assert times[int(np.argmax(high))] == pytest.approx(frames * 2 / 3 / 48000, abs=0.05)


def test_a_full_scale_sine_is_0_dbfs() -> None:
    """The level of the band that has it, wherever the blocks were cut."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(100_000) / 48000)[:, None].astype(np.float32)
    spectrum = Spectrum()
    for at in range(0, len(tone), 3001):
        spectrum.add(tone[at : at + 3001])
    levels = spectrum.bands(48000, np.geomspace(20, 20000, 720))
    assert levels.max() == pytest.approx(0, abs=0.5)
    assert np.percentile(levels, 50) < -60


@pytest.mark.parametrize("kind", ["music", "silence", "short", "loud", "surround", "slow"])
def test_any_music_gives_a_picture(studio: Any, wav: Callable[..., Path], kind: str) -> None:
    """Silence, a handful of frames, far beyond full scale, 5.1, 8 kHz."""
    signal, rate = {
        "music": (studio.music(100_000), 48000),
        "silence": (np.zeros((20_000, 2), np.float32), 48000),
        "short": (studio.music(3), 48000),
        "loud": (studio.music(50_000) * 20, 48000),
        "surround": (studio.music(50_000, 6), 48000),
        "slow": (studio.music(9000, 1), 8000),
    }[kind]
    picture = Picture()
    report = studio.render(wav(signal, rate), tap=picture)
    png = picture.draw(report, IdentityChain)
    assert png.startswith(b"\x89PNG")
    assert len(png) > 20_000


def test_a_chain_that_cannot_be_measured_is_said_in_the_picture(studio: Any, wav: Callable[..., Path]) -> None:
    """The rest of the picture is still drawn."""
    picture = Picture()
    report = studio.render(wav(studio.music(5000), name="a $trange_name$ \u97f3\u697d.wav"), tap=picture)
    assert picture.draw(report, _Broken).startswith(b"\x89PNG")


def test_a_picture_is_replaced_whole(studio: Any, wav: Callable[..., Path], tmp_path: Path) -> None:
    """An older picture of the name goes; no part is left."""
    (tmp_path / "p.png").write_text("old")
    picture = Picture()
    report = studio.render(wav(studio.music(5000)), tap=picture)
    picture.save(tmp_path / "p.png", report, IdentityChain)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav", "out.wav", "p.png"]
