"""What is asked of a render, and what it says afterwards: plain data, which crosses processes and prints as JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stellatune_plugins.model import AudioSpec, Frames, StageReport

OutputFormat = Literal["wav", "flac", "ogg", "opus"]
SampleBits = Literal["16", "24", "32f"]
ResampleQuality = Literal["HQ", "VHQ"]


class RenderJob(msgspec.Struct, frozen=True):
    """One file to make, or one thing to play, out of a file or a source's track.

    Args:
        input: path of the input, or what to call the track.
        output: path of the output, or what to call the device.
        plot: path of a PNG that shows what changed.
        item: the track's JSON or URI, where the input is a source's.
        target: the sink's target as JSON, where the output is no file.
    """

    input: str
    output: str
    plot: str | None = None
    item: str | None = None
    target: str | None = None


class RenderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to render.

    Args:
        rate: sample rate of the output in hertz; ``None`` keeps the input's where the format allows it.
        resample_quality: soxr's quality, used only where the rate changes.
        format: container and codec; ``None`` goes by the output's extension.
        bits: sample format of WAV and FLAC; ``None`` means 24 bit.
        dither: TPDF dither wherever a fixed-point output rounds.
        dither_seed: the same seed gives the same file.
        overwrite: replace an output that is there already.
        compression: 0 (fast) to 1 (small), FLAC.
        quality: 0 to 1, Ogg Vorbis and Opus.
        tail: render what sounds on after the input's end.
        tail_limit_s: where a tail without end is cut at the latest, in seconds.
        keep_tags: carry tags and pictures over.
        loudness: measure loudness (EBU R 128) of input and output.
        true_peak: measure the output's true peak.
        batch: frames that go through the pipeline at once.
        threaded: decode, process and write in a thread each.
    """

    rate: int | None = None
    resample_quality: ResampleQuality = "VHQ"
    format: OutputFormat | None = None
    bits: SampleBits | None = None
    dither: bool = True
    dither_seed: int = 0
    overwrite: bool = False
    compression: float | None = None
    quality: float | None = None
    tail: bool = True
    tail_limit_s: float = 30.0
    keep_tags: bool = True
    loudness: bool = True
    true_peak: bool = True
    batch: int = 16384
    threaded: bool = True


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """Measured levels of one signal; ``None`` where it was not measured, too short or silent."""

    peak_dbfs: float | None = None
    """Highest sample."""
    true_peak_dbtp: float | None = None
    """Highest point between the samples, four times oversampled (ITU-R BS.1770-5, annex 2)."""
    loudness_lufs: float | None = None
    """Integrated loudness (EBU R 128)."""
    range_lu: float | None = None
    """Loudness range (EBU Tech 3342)."""


class RenderReport(msgspec.Struct, frozen=True, kw_only=True):
    """One finished render."""

    input: str
    output: str
    input_spec: AudioSpec
    output_spec: AudioSpec
    input_codec: str
    frames_in: Frames
    """Decoded frames, encoder delay and padding already trimmed."""
    frames_out: Frames
    """Frames written, tail included."""
    audio_seconds: float
    wall_seconds: float
    times_real_time: float
    latency: Frames
    """The chain's latency, which was compensated."""
    tail: Frames
    """Frames written after the input's end."""
    before: Levels
    after: Levels
    clipped_samples: int
    stages: tuple[StageReport, ...] = ()
    warnings: tuple[str, ...] = ()


class RenderFailure(msgspec.Struct, frozen=True, kw_only=True):
    """One render that gave no file; ``error`` as :meth:`StellatuneError.to_dict` gives it."""

    input: str
    output: str
    error: dict[str, Any]
