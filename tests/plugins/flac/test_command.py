"""The decoder through the program: installed from the bundle, chosen by name, its failures shown."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import flac_sounds
import flac_streams
import numpy as np
import soundfile
from mutagen.flac import FLAC


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


def test_covers_arrive_and_those_that_do_not_are_named(tmp_path: Path) -> None:
    """A cover of 3.5 MiB is in the output; what is beyond all measure is in the report."""
    home = ("--home", tmp_path / "home")
    assert _stellatune("plugin", "install", "dev.stellatune.flac", *home).returncode == 0
    cover = b"\x89PNG\r\n\x1a\n" + np.random.default_rng(3).bytes(3_500 << 10)
    samples = flac_sounds.piece(16, 2, 3_000)
    info = flac_streams.stream_info(samples, 16, blocks=(1_000, 1_000))
    how = flac_streams.Frame(channels=(flac_streams.Subframe(),))
    frames = [flac_streams.frame(samples[at : at + 1_000], 16, at // 1_000, how) for at in (0, 1_000, 2_000)]
    blocks = [(0, info), *((6, _picture(kind, data)) for kind, data in ((3, cover), (4, cover + bytes(10 << 20))))]
    sound, out = tmp_path / "sound.flac", tmp_path / "out.flac"
    sound.write_bytes(flac_streams.metadata(blocks) + b"".join(frames))
    done = _stellatune("render", sound, "-o", out, "--runtime", "hybrid", "--decoder", "dev.stellatune.flac", *home)
    assert done.returncode == 0, done.stderr
    assert "left out: picture 2 of 13741 KiB: no more than 16 MiB in all" in " ".join(done.stdout.split())
    assert [picture.data for picture in FLAC(out).pictures] == [cover]  # type: ignore[no-untyped-call]


def _picture(kind: int, data: bytes) -> bytes:
    """The content of a picture block."""
    return struct.pack(">III", kind, 0, 0) + bytes(16) + struct.pack(">I", len(data)) + data
