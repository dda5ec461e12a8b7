"""The decoder through the program: installed from the bundle, chosen by name, its failures shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flac_sounds
import flac_streams
import numpy as np
import soundfile


def _stellatune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stellatune_plugins", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_renders_a_file_and_stops_at_damage(tmp_path: Path) -> None:
    """The samples of the file, bit for bit; for a damaged one the plugin's own words, and no output."""
    home = ("--home", tmp_path / "home")
    with_plugin = ("--runtime", "hybrid", "--decoder", "dev.stellatune.flac", *home)
    assert _stellatune("plugin", "install", "dev.stellatune.flac", *home).returncode == 0

    samples = flac_sounds.piece(24, 2, 30_000)
    how = flac_streams.Frame("mid-side", (flac_streams.Subframe(kind="lpc", order=8),))
    data = flac_streams.stream(samples, 24, how)
    sound, out = tmp_path / "sound.flac", tmp_path / "out.wav"
    sound.write_bytes(data)
    done = _stellatune("render", sound, "-o", out, "--format", "wav32f", *with_plugin)
    assert done.returncode == 0, done.stderr
    rendered, _ = soundfile.read(out, dtype="float32", always_2d=True)
    assert np.array_equal(rendered, flac_sounds.floats(samples, 24))

    sound.write_bytes(data[:20_000] + b"\0" + data[20_001:])
    bad = tmp_path / "bad.wav"
    done = _stellatune("render", sound, "-o", bad, *with_plugin)
    assert done.returncode == 1
    assert "io: damaged at byte" in done.stderr
    assert not bad.exists()
