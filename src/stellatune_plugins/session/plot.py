"""One picture of a render: waveform and spectrum before and after, and what the chain does to each frequency."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stellatune_plugins.errors import StellatuneError, UsageError
from stellatune_plugins.model import AudioSpec, Block
from stellatune_plugins.native.publish import PartFile, output_failed
from stellatune_plugins.session.report import Levels, RenderReport
from stellatune_plugins.session.response import Response, band_power, measure
from stellatune_plugins.session.stages import ChainFactory

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
except ModuleNotFoundError as missing:
    raise UsageError(
        "pictures need matplotlib, which is not installed",
        operation="render.plot",
        hint="install stellatune-plugins[plot]",
    ) from missing

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.floating[Any]]

_BINS: Final = 4096
_WINDOW: Final = 8192
_BEFORE, _AFTER, _CHAIN = "#8a93a6", "#0f8b8d", "#d1495b"
_INK, _GRID, _PAPER = "#222b3a", "#dfe3ea", "#ffffff"
_TICKS: Final = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


_REACH: Final = 3
_KERNEL: Final = np.hanning(2 * _REACH + 3)[1:-1] / (_REACH + 1)
"""Rounds off the steps that the bands' sharp edges make."""


class Envelope:
    """Lowest and highest sample of each stretch of a stream of unknown length, in bounded memory."""

    def __init__(self) -> None:
        self.frames = 0
        self._stretch = 64
        self._low = np.zeros(_BINS, np.float32)
        self._high = np.zeros(_BINS, np.float32)
        self._used = 0
        self._rest: tuple[Block, Block] = (np.zeros(0, np.float32), np.zeros(0, np.float32))

    def add(self, block: Block) -> None:
        """Take the next frames."""
        low = np.concatenate([self._rest[0], np.minimum.reduce([block[:, c] for c in range(block.shape[1])])])
        high = np.concatenate([self._rest[1], np.maximum.reduce([block[:, c] for c in range(block.shape[1])])])
        self.frames += len(block)
        at = 0
        while (count := min((len(low) - at) // self._stretch, _BINS - self._used)) > 0:
            end = at + count * self._stretch
            room = slice(self._used, self._used + count)
            self._low[room] = low[at:end].reshape(count, -1).min(axis=1)
            self._high[room] = high[at:end].reshape(count, -1).max(axis=1)
            self._used += count
            at = end
            if self._used == _BINS:
                self._halve()
        self._rest = (low[at:].copy(), high[at:].copy())

    def curve(self, rate: int) -> tuple[Floats, Floats32, Floats32]:
        """Times in seconds, lowest, highest."""
        low, high = self._low[: self._used], self._high[: self._used]
        if len(self._rest[0]):
            low = np.append(low, self._rest[0].min())
            high = np.append(high, self._rest[1].max())
        times = (np.arange(len(low)) + 0.5) * (self._stretch / rate)
        return times.astype(np.float64), low, high

    def _halve(self) -> None:
        half = _BINS // 2
        self._low[:half] = self._low.reshape(half, 2).min(axis=1)
        self._high[:half] = self._high.reshape(half, 2).max(axis=1)
        self._used = half
        self._stretch *= 2


class Spectrum:
    """Mean power density of a stream, by Welch's method without overlap."""

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW + 1)[:_WINDOW].astype(np.float32)
        self._sum = np.zeros(_WINDOW // 2 + 1)
        self._count = 0
        self._rest: Block | None = None

    def add(self, block: Block) -> None:
        """Take the next frames."""
        if self._rest is not None:
            block = np.concatenate([self._rest, block])
        whole = len(block) // _WINDOW
        if whole:
            parts = block[: whole * _WINDOW].reshape(whole, _WINDOW, -1) * self._window[:, None]
            self._sum += (np.abs(np.fft.rfft(parts, axis=1)) ** 2).sum(axis=(0, 2))
            self._count += whole * parts.shape[2]
        self._rest = block[whole * _WINDOW :].copy()

    def bands(self, rate: int, frequencies: Floats) -> Floats:
        """Levels of twelfth-octave bands in dB, 0 dB being a full-scale sine."""
        if not self._count and self._rest is not None and len(self._rest):
            self.add(np.zeros((_WINDOW - len(self._rest), self._rest.shape[1]), np.float32))
        bins = np.fft.rfftfreq(_WINDOW, 1 / rate).astype(np.float64)
        # Twice for the negative frequencies, twice because a full-scale sine has half the power of full scale.
        scale = 4 / (rate * float(np.square(self._window).sum()) * max(1, self._count))
        power = np.pad(band_power(bins, self._sum * scale, frequencies, 1 / 12), _REACH, mode="edge")
        power = np.convolve(power, _KERNEL, "valid")
        return np.asarray(10 * np.log10(np.maximum(power, 1e-15)), np.float64)


class Picture:
    """Listens to a render, in bounded memory, and draws it: a :class:`~stellatune_plugins.session.render.Tap`."""

    def __init__(self) -> None:
        self._envelopes = (Envelope(), Envelope())
        self._spectra = (Spectrum(), Spectrum())
        self._specs: list[AudioSpec | None] = [None, None]

    def before(self, block: Block, spec: AudioSpec) -> None:
        self._take(0, block, spec)

    def after(self, block: Block, spec: AudioSpec) -> None:
        self._take(1, block, spec)

    def save(self, path: Path, report: RenderReport, chain_factory: ChainFactory) -> None:
        """Draw the picture and write it as PNG; a picture that is there is replaced.

        Raises:
            OutputFailed: the file could not be written.
        """
        data = self.draw(report, chain_factory)
        part = PartFile(path, overwrite=True)
        try:
            if part.file is not None:
                part.file.write(data)
            part.publish()
        except OSError as error:
            raise output_failed(path, error) from error
        finally:
            part.discard()

    def draw(self, report: RenderReport, chain_factory: ChainFactory) -> bytes:
        """The picture as PNG."""
        spec = self._specs[0] or report.input_spec
        highest = min(spec.sample_rate / 2 * 0.98, 60000)
        frequencies = np.geomspace(20, highest, 720)
        figure = Figure(figsize=(12, 9.2), dpi=110, facecolor=_PAPER, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        grid = figure.add_gridspec(4, 1, height_ratios=(1, 1, 2.1, 1.7))
        top = figure.add_subplot(grid[0])
        waves = (top, figure.add_subplot(grid[1], sharex=top))
        self._draw_waves(waves, report)
        self._draw_spectra(figure.add_subplot(grid[2]), frequencies)
        _draw_response(figure.add_subplot(grid[3]), _response(chain_factory, spec, frequencies), frequencies)
        figure.suptitle(_title(report), x=0.012, ha="left", color=_INK, fontsize=12, linespacing=1.5)
        out = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a title may have characters that the font lacks: boxes are shown
            canvas.print_figure(out, format="png", facecolor=_PAPER)
        return out.getvalue()

    def _take(self, which: int, block: Block, spec: AudioSpec) -> None:
        self._specs[which] = spec
        self._envelopes[which].add(block)
        self._spectra[which].add(block)

    def _draw_waves(self, axes: tuple[Axes, Axes], report: RenderReport) -> None:
        highest = 0.05
        for which, (axis, name, color) in enumerate(zip(axes, ("before", "after"), (_BEFORE, _AFTER), strict=True)):
            spec = self._specs[which] or report.output_spec
            times, low, high = self._envelopes[which].curve(spec.sample_rate)
            if len(low):
                highest = max(highest, float(np.abs(low).max()), float(np.abs(high).max()))
                axis.fill_between(times, low, high, color=color, linewidth=0.4, edgecolor=color)
            _plain(axis)
            axis.set_ylabel(name, color=color, fontweight="bold")
            axis.set_yticks([-1, 0, 1])
            axis.axhline(0, color=_INK, linewidth=0.4, alpha=0.5)
            levels = (report.before, report.after)[which]
            axis.text(
                0.995, 0.94, _levels_text(levels), transform=axis.transAxes, ha="right", va="top", fontsize=9,
                color=_INK, bbox={"facecolor": _PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 2},
            )  # fmt: skip
        for axis in axes:
            axis.set_ylim(-1.08 * max(1.0, highest), 1.08 * max(1.0, highest))
            axis.margins(x=0)
            if highest > 1:
                for edge in (-1, 1):
                    axis.axhline(edge, color=_CHAIN, linewidth=0.6, linestyle=":")
        axes[0].tick_params(labelbottom=False)
        axes[1].xaxis.set_major_formatter(FuncFormatter(_clock))

    def _draw_spectra(self, axis: Axes, frequencies: Floats) -> None:
        levels = [
            spectrum.bands(spec.sample_rate, frequencies) if spec else None
            for spectrum, spec in zip(self._spectra, self._specs, strict=True)
        ]
        _plain(axis)
        shown = [level for level in levels if level is not None]
        top = max((float(level.max()) for level in shown), default=0.0)
        floor = max(min((float(np.percentile(level, 2)) for level in shown), default=-90.0), top - 90) - 6
        if levels[0] is not None:
            axis.fill_between(frequencies, levels[0], floor - 20, color=_BEFORE, alpha=0.25, linewidth=0)
            axis.plot(frequencies, levels[0], color=_BEFORE, linewidth=1.4, label="before")
        if levels[1] is not None:
            axis.plot(frequencies, levels[1], color=_AFTER, linewidth=1.8, label="after")
        axis.set_ylim(floor, top + 6)
        axis.set_ylabel("level of a twelfth octave, dBFS", color=_INK)
        axis.set_title("Spectrum", loc="left", fontsize=10, color=_INK)
        if shown:
            axis.legend(loc="upper right", frameon=False, ncols=2, fontsize=9)
        _frequency_axis(axis, frequencies)


def _response(chain_factory: ChainFactory, spec: AudioSpec, frequencies: Floats) -> Response | StellatuneError:
    try:
        return measure(chain_factory, spec, frequencies)
    except StellatuneError as error:
        return error


def _draw_response(axis: Axes, response: Response | StellatuneError, frequencies: Floats) -> None:
    _plain(axis)
    axis.axhline(0, color=_INK, linewidth=0.6, alpha=0.6)
    note = "measured at \u221220 dBFS"
    if isinstance(response, StellatuneError):
        note = f"could not be measured: {_escaped(str(response))}"
        axis.set_ylim(-6, 6)
    else:
        gains = response.gains_db
        if np.ptp(gains, axis=1).max() < 0.1:
            gains = gains[:, :1]
        for channel in range(gains.shape[1]):
            label = f"channel {channel + 1}" if gains.shape[1] > 1 else None
            axis.plot(
                frequencies, gains[:, channel], color=_CHAIN, linewidth=1.8, alpha=1 if channel == 0 else 0.55,
                linestyle="-" if channel == 0 else "--", label=label,
            )  # fmt: skip
        high, low = max(3.0, float(gains.max())), min(-3.0, float(np.percentile(gains, 1)))
        margin = 0.12 * (high - low)
        axis.set_ylim(max(low, high - 60) - margin, high + margin)
        if gains.shape[1] > 1:
            axis.legend(loc="upper right", frameon=False, ncols=gains.shape[1], fontsize=9)
        if not response.linear:
            note += "; the chain is not linear, at other levels the curve differs"
    axis.set_ylabel("gain, dB", color=_INK)
    axis.set_title(f"Frequency response of the chain, {note}", loc="left",
                   fontsize=10, color=_INK)  # fmt: skip
    _frequency_axis(axis, frequencies)
    axis.set_xlabel("frequency, Hz", color=_INK)


def _plain(axis: Axes) -> None:
    axis.set_facecolor(_PAPER)
    axis.grid(visible=True, color=_GRID, linewidth=0.7)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_GRID)
    axis.tick_params(colors=_INK, labelsize=9, length=0)


def _frequency_axis(axis: Axes, frequencies: Floats) -> None:
    axis.set_xscale("log")
    axis.set_xlim(frequencies[0], frequencies[-1])
    axis.xaxis.set_major_locator(FixedLocator([t for t in _TICKS if t <= frequencies[-1]]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda f, _: f"{f / 1000:g}k" if f >= 1000 else f"{f:g}"))


def _clock(seconds: float, _position: Any) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:02.0f}" if rest == round(rest) else f"{int(minutes)}:{rest:04.1f}"


def _decibels(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.1f} {unit}".replace("-", "\u2212")


def _levels_text(levels: Levels) -> str:
    parts = (
        _decibels(levels.loudness_lufs, "LUFS"),
        None if levels.range_lu is None else f"range {levels.range_lu:.1f} LU",
        None if levels.peak_dbfs is None else f"peak {_decibels(levels.peak_dbfs, 'dBFS')}",
        None if levels.true_peak_dbtp is None else f"true peak {_decibels(levels.true_peak_dbtp, 'dBTP')}",
    )
    return "   ".join(part for part in parts if part) or "silence"


def _title(report: RenderReport) -> str:
    names = [_escaped(Path(path).name) for path in (report.input, report.output)]
    chain = " \u2192 ".join(stage.type_id for stage in report.stages) or "no stages"
    facts = [
        f"chain: {chain}",
        f"{report.output_spec.sample_rate / 1000:g} kHz, {report.output_spec.channels} ch",
        f"{report.times_real_time:.0f} times real time",
    ]
    bypassed = [stage.type_id for stage in report.stages if stage.bypasses]
    if bypassed:
        facts.append("bypassed: " + ", ".join(bypassed))
    return f"{names[0]}  \u2192  {names[1]}\n" + "   |   ".join(_escaped(fact) for fact in facts)


def _escaped(text: str) -> str:
    """A dollar sign would start mathematics."""
    return text.replace("$", r"\$")
