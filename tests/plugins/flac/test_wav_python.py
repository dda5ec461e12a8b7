"""The decoder in Python: built as its author would build it, and run as the host runs any other."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from flac_player import Player

from stellatune_plugins.engine.compiler import CompileLimits
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import Frames

ROOT = Path(__file__).resolve().parents[3]
SUBTYPES = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32}


def wav(subtype: str, container: str = "WAV", frames: int = 20_000) -> tuple[bytes, np.ndarray]:
    """A file, and its samples as libsndfile gives them."""
    sound = np.random.default_rng(2).uniform(-1, 1, (frames, 2))
    out = io.BytesIO()
    soundfile.write(out, sound, 48_000, subtype, format=container)
    heard, _ = soundfile.read(io.BytesIO(out.getvalue()), dtype="float32", always_2d=True)
    return out.getvalue(), heard


# Packing an interpreter and compiling what comes out takes half a minute on a quiet machine.
@pytest.mark.timeout(600)
def test_it_is_built_on_demand_and_decodes(make_player: Callable[..., Player], tmp_path: Path) -> None:
    """One build, then every width, a seek, and refusals: bit for bit libsndfile's samples."""
    command = [sys.executable, "tools/build_plugins.py", "wav-python", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    player = make_player(tmp_path / "dev.stellatune.wav-python", CompileLimits(seconds=400))
    for subtype in SUBTYPES:
        for container in ("WAV", "WAVEX"):
            data, heard = wav(subtype, container)
            track = player.decode(data, 5_000)
            assert not track.failures
            assert np.array_equal(track.samples, heard), (subtype, container)
    data, heard = wav("PCM_24")
    session = player.open(data)
    assert session.info().duration_ms == 416
    session.seek_ms(333)
    assert np.array_equal(session.read_pcm(Frames(100)).block, heard[333 * 48 : 333 * 48 + 100])
    session.close()
    for bad, message in ((b"RIFF....AIFF", "not a WAV file"), (data[:30], "the file ends too early")):
        with pytest.raises(PluginFailure, match=message):
            player.open(bad)
