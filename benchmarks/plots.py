"""Pictures of a run, one a subject."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from benchmarks.results import Row, Run
from benchmarks.subjects import (
    bulk_bytes,
    calls,
    chain,
    decode,
    equaliser,
    kernels,
    render,
    sidecars,
    startup,
    transports,
)

OURS, THEIRS, BAR = "#1f77b4", "#b0b0b0", "#d62728"


def draw(run: Run, folder: Path) -> list[Path]:
    """Draw what the run has; gives the files."""
    drawn = []
    for module, paint in (
        (bulk_bytes, _calls),
        (calls, _calls),
        (chain, _chain),
        (decode, _decode),
        (equaliser, _equaliser),
        (kernels, _kernels),
        (render, _render),
        (sidecars, _milliseconds),
        (startup, _milliseconds),
        (transports, _calls),
    ):
        rows = [row for row in run.rows if row.subject == module.NAME]
        if not rows:
            continue
        figure = paint(rows)
        figure.suptitle(module.TITLE, x=0.01, ha="left")
        path = folder / f"bench-{module.NAME}.png"
        figure.savefig(path, dpi=110, metadata={"Software": ""})
        plt.close(figure)
        drawn.append(path)
    return drawn


def _bars(rows: Sequence[Row], scale: float, unit: str, *, log: bool = False) -> Any:
    """Ours and the baseline of each row, side by side."""
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.5 * len(rows)), layout="constrained")
    places = range(len(rows))
    axes.barh([p - 0.2 for p in places], [r.measured.median * scale for r in rows], 0.38, color=OURS)
    axes.barh([p + 0.2 for p in places], [r.compared.median * scale for r in rows], 0.38, color=THEIRS)
    for place, row in zip(places, rows, strict=True):
        axes.text(row.measured.median * scale, place - 0.2, f" {row.ratio.median:.2g}x", va="center", fontsize=8)
    axes.set_yticks(list(places), [f"{r.case}\n{r.ours} / {r.baseline}" for r in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    if log:
        axes.set_xscale("log")
    return figure


def _calls(rows: Sequence[Row]) -> Any:
    return _bars(rows, 1e6, "microseconds, median", log=True)


def _frames(row: Row) -> int:
    return int(row.case.rpartition(", ")[2].split()[0])


def _chain(rows: Sequence[Row]) -> Any:
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for panel, baseline in zip(panels, (chain.STEPS, chain.NATIVE), strict=True):
        for index, length in enumerate(chain.LENGTHS):
            for ours, style in ((chain.FUSED, "o-"), (chain.BATCH, "s:")):
                some = [
                    r for r in rows if r.case.startswith(f"{length} stage") and (r.ours, r.baseline) == (ours, baseline)
                ]
                if some:
                    label = f"{length} stages, {ours}"
                    where = [_frames(r) for r in some]
                    panel.plot(where, [r.ratio.median for r in some], style, color=f"C{index}", label=label)
        panel.axhline(1.0, color=THEIRS)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(chain.FRAMES, [str(frames) for frames in chain.FRAMES])
        panel.set_xlabel("frames a block")
        panel.set_title(f"time over {baseline}", fontsize=10)
        panel.legend(fontsize=7)
    return figure


def _equaliser(rows: Sequence[Row]) -> Any:
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for ours, style in ((equaliser.OURS, "o-"), (equaliser.BATCH, "s--")):
        some = [r for r in rows if r.ours == ours]
        axes.plot(
            [_frames(r) for r in some], [r.ratio.median for r in some], style, label=f"{ours} / {some[0].baseline}"
        )
    axes.axhline(0.3, color=BAR, label="target")
    axes.set_xscale("log", base=2)
    axes.set_xticks(equaliser.FRAMES, [str(frames) for frames in equaliser.FRAMES])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("frames a block")
    axes.set_ylabel("ratio of times")
    axes.legend()
    return figure


def _kernels(rows: Sequence[Row]) -> Any:
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    names = list(dict.fromkeys(r.case.partition(",")[0] for r in rows))
    sizes = sorted({_frames(r) for r in rows if "," in r.case})
    for index, frames in enumerate(sizes):
        some = {r.case.partition(",")[0]: r for r in rows if "," in r.case and _frames(r) == frames}
        where = [n + (index - (len(sizes) - 1) / 2) * 0.27 for n, name in enumerate(names) if name in some]
        axes.bar(where, [some[name].ratio.median for name in names if name in some], 0.25, label=f"{frames} frames")
    for n, row in ((names.index(r.case), r) for r in rows if "," not in r.case):
        axes.bar(n, row.ratio.median, 0.25, color="black", label=f"mean, {kernels.FRAMES[0]} frames")
    axes.axhline(1.4, color=BAR, label="most for one")
    axes.axhline(1.15, color=BAR, linestyle="--", label="most for the mean")
    axes.axhline(1.0, color=THEIRS)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("wasm over native")
    axes.margins(y=0.3)
    axes.legend(fontsize=8, ncols=3, loc="upper right")
    return figure


def _render(rows: Sequence[Row]) -> Any:
    return _bars([r for r in rows if r.unit == "s"], 1.0, "seconds, median")


def _decode(rows: Sequence[Row]) -> Any:
    return _bars([r for r in rows if r.unit == "s"], 1e3, "milliseconds for 67 seconds of music, median")


def _milliseconds(rows: Sequence[Row]) -> Any:
    return _bars([r for r in rows if r.unit == "s"], 1e3, "milliseconds, median", log=True)
