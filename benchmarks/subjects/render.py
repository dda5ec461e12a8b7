"""A whole file, FLAC to FLAC, through ten bands and a limiter: ``stellatune render`` against ``ffmpeg``.

Whole processes, from the shell's point of view. ffmpeg's graph has the same bands and its own limiter, works in float
like ours, and writes 24 bits at the same compression. The command also dithers and measures loudness and true peak of
what comes in and what goes out; against the plain graph that is work for nothing, so another ffmpeg does the same.
The target is judged against the fastest way to run ffmpeg that was found.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from benchmarks.command import FLAC_SECONDS, environment, ffmpeg, fresh_home, music, render
from benchmarks.race import Process, of_processes, race_processes, run_process
from benchmarks.results import Row, Skipped
from benchmarks.workshop import OUT, Workshop

NAME = "render"
TITLE = "Rendering a whole file"
WASM, TWINS = "stellatune, wasm", "stellatune, native twins"
_TIMES = 3  # the piece in a row: 3 minutes and 21 seconds
PLAIN, DEFAULT, ALIKE = "ffmpeg, one filter thread", "ffmpeg", "ffmpeg, dithered and measured"


def measure(shop: Workshop) -> Iterator[Row | Skipped]:
    """Wall clock, processor time and memory."""
    if shutil.which("ffmpeg") is None:
        yield Skipped(NAME, "there is no ffmpeg on this machine (Debian: apt-get install ffmpeg)")
        return
    source, home, variables = music(_TIMES), fresh_home("render-home"), environment()
    commands = {
        WASM: render(source, OUT / "wasm.flac", home),
        TWINS: render(source, OUT / "native.flac", home, "native"),
        PLAIN: ffmpeg(source, OUT / "ffmpeg-one.flac", filter_threads=1),
        DEFAULT: ffmpeg(source, OUT / "ffmpeg.flac"),
        ALIKE: ffmpeg(source, OUT / "ffmpeg-alike.flac", alike=True, filter_threads=1),
    }

    def start(command: list[str]) -> Process:
        return run_process(command, variables)

    start(commands[WASM])  # compiles the plugins, which is start-up's business
    runners = {name: lambda command=command: start(command) for name, command in commands.items()}
    taken = race_processes(runners, 2 if shop.quick else 7)
    wall, cpu, rss = (of_processes(taken, what) for what in ("wall", "cpu", "rss"))
    audio = FLAC_SECONDS * _TIMES
    fast = audio / wall.spread(WASM).median
    clock, effort = f"{audio} s of music, wall clock", f"{audio} s of music, processor time"
    yield wall.row(NAME, clock, WASM, PLAIN, most_ratio=1.0, note=f"{fast:.0f} times real time")
    for baseline in (DEFAULT, ALIKE, TWINS):
        yield wall.row(NAME, clock, WASM, baseline)
    for baseline in (PLAIN, ALIKE):
        yield cpu.row(NAME, effort, WASM, baseline)
    yield rss.row(NAME, "memory at the most", WASM, PLAIN, unit="B")
