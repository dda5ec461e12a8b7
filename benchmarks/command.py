"""The installed ``stellatune`` command, and what it is compared with, as processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.workshop import OUT, PLUGINS, ROOT, TEN_BANDS, twins

STELLATUNE = Path(sys.executable).with_name("stellatune")
FLAC_SECONDS = 67
"""Of the piece that ``tools/compose_demo_music.py`` plays."""


def environment() -> dict[str, str]:
    """Of child processes: the native twins can be found, and modules are compiled once, as on anybody's machine."""
    variables = {**os.environ, "STELLATUNE_TWINS": str(twins())}
    if variables.pop("PYTHONDONTWRITEBYTECODE", ""):
        variables["PYTHONPYCACHEPREFIX"] = str(OUT / "pycache")
    return variables


def fresh_home(name: str) -> Path:
    """A home with the bundled plugins installed."""
    home = OUT / name
    shutil.rmtree(home, ignore_errors=True)
    command = [str(STELLATUNE), "plugin", "install", "--bundled", "--home", str(home)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return home


def render(source: Path, target: Path, home: Path, runtime: str = "wasm") -> list[str]:
    """A render through ten bands and a limiter."""
    stages = [f"--dsp=dev.stellatune.{name}={PLUGINS[name]}" for name in ("parametric-eq", "limiter")]
    where = ["--home", str(home), "--runtime", runtime, "--strict", "--force", "--format", "flac24"]
    return [str(STELLATUNE), "render", str(source), "-o", str(target), *stages, *where]


def ffmpeg(source: Path, target: Path, *, alike: bool = False, filter_threads: int | None = None) -> list[str]:
    """The same through ffmpeg's filters, in float.

    Args:
        source: any file.
        target: a FLAC file of 24 bits.
        alike: also dither, and measure loudness and true peak before and after, as ``stellatune render`` does.
        filter_threads: one is the fastest here: with the default, one a processor, they mostly wait for each other.
    """
    bands = [f"equalizer=f={f}:t=q:w={q}:g={gain}" for f, gain, q in TEN_BANDS]
    limiter = "alimiter=level_in=2:limit=0.891:attack=2:release=100:level=0"
    meter = "ebur128=peak=true:framelog=verbose"
    dither = "aresample=osf=s32:output_sample_bits=24:dither_method=triangular"
    graph = ["aformat=sample_fmts=fltp", *bands, limiter]
    if alike:
        graph = [meter, *graph, meter, dither]
    sound = ["-sample_fmt", "s32", "-bits_per_raw_sample", "24", "-c:a", "flac"]
    program = shutil.which("ffmpeg")
    assert program is not None
    quiet = [program, "-v", "error", "-nostdin", "-y", "-i", str(source)]
    threads = [] if filter_threads is None else ["-filter_threads", str(filter_threads)]
    return [*quiet, *threads, "-map", "0:a", "-af", ",".join(graph), *sound, str(target)]


def music(times: int) -> Path:
    """The repository's own piece, so many times in a row, as FLAC of 16 bits; made once."""
    import soundfile  # noqa: PLC0415 - only where it is needed

    made = OUT / f"music-{times}.flac"
    if not made.exists():
        piece = OUT / "piece.flac"
        if not piece.exists():
            subprocess.run([sys.executable, str(ROOT / "tools" / "compose_demo_music.py"), str(piece)], check=True)
        sound, rate = soundfile.read(piece, dtype="float32", always_2d=True)
        with soundfile.SoundFile(made, "w", rate, sound.shape[1], "PCM_16", format="FLAC") as file:
            for turn in range(times):
                file.write(sound * (1.0, 0.7, 0.9, 0.8)[turn % 4])
    return made
