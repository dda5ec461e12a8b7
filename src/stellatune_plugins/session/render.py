"""Rendering: decode, resample where asked, chain, write. Frame-exact; files are whole or not at all."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from stellatune_plugins.contract.capabilities import (
    AcceptsMetadata,
    CountsClipping,
    CountsDamage,
    Decoder,
    DecoderSession,
    MakesRemarks,
    OutputSink,
    OutputSinkSession,
    SourceCatalog,
)
from stellatune_plugins.errors import Interrupted, UsageError
from stellatune_plugins.model import AudioSpec, Block, Frames, NegotiatedSpec, SampleRate
from stellatune_plugins.session.feed import Feed
from stellatune_plugins.session.inputs import music_of, open_input
from stellatune_plugins.session.items import open_item
from stellatune_plugins.session.meters import Meter
from stellatune_plugins.session.report import Levels, RenderJob, RenderOptions, RenderReport
from stellatune_plugins.session.resample import Resampler
from stellatune_plugins.session.stages import Chain, ChainFactory
from stellatune_plugins.session.tail import Delivery, Tail
from stellatune_plugins.session.threads import Ahead, Behind, Inline, Reader, Writer

Progress = Callable[[int, int | None], object]
"""Called with the frames that are done and the frames there are, as far as that is known."""


class Tap(Protocol):
    """Listens to a render, such as for a picture. Called from the render's threads; must not keep a block."""

    def before(self, block: Block, spec: AudioSpec) -> None:
        """What goes into the chain."""
        ...

    def after(self, block: Block, spec: AudioSpec) -> None:
        """What is written."""
        ...


def render(
    job: RenderJob,
    options: RenderOptions | None = None,
    *,
    decoder: Decoder,
    chain_factory: ChainFactory,
    sink: OutputSink,
    source: SourceCatalog | None = None,
    on_progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    tap: Tap | None = None,
) -> RenderReport:
    """Make one file out of another, or play it, where the job's target is a device.

    Without a tail the output has exactly the input's frames (or their resampled count), in place: the chain's latency
    is compensated. With one, its frames follow.

    Args:
        job: from where to where.
        options: how.
        decoder: opens the input; :class:`~stellatune_plugins.session.inputs.RankedDecoders` chooses among several.
        chain_factory: makes the chain for the stream's shape.
        sink: writes the output, at its own pace.
        source: opens the job's item, where it has one.
        on_progress: called in the caller's thread, once a batch.
        cancelled: asked once a batch.
        tap: listens.

    Raises:
        InputUnreadable: the input is missing or no audio.
        InputDamaged: decoding had to be given up.
        OutputExists: the output is there already.
        OutputFailed: the output could not be written.
        UsageError: the options do not fit each other.
        Interrupted: ``cancelled`` said so.

    Whatever is raised, :class:`KeyboardInterrupt` included, no half file is left.
    """
    options = options or RenderOptions()
    started = time.perf_counter()
    with contextlib.ExitStack() as cleanup:
        track = _open(job, decoder, source)
        cleanup.callback(track.close)
        output = sink.create()
        cleanup.callback(output.close)
        run = _Run(job, options, track, output, chain_factory, cleanup)
        report = run.go(on_progress, cancelled, tap)
        output.flush()
        return run.settled(report, time.perf_counter() - started)


def _open(job: RenderJob, decoder: Decoder, source: SourceCatalog | None) -> DecoderSession:
    if job.item is None:
        return open_input(job.input, decoder)
    if source is None:
        raise UsageError(f"there is no source to open {job.input} with", operation="render")
    return open_item(source, job.item, decoder)


def target_json(job: RenderJob, options: RenderOptions) -> str:
    """The job's own target, else the file sink's."""
    if job.target is not None:
        return job.target
    target = {
        "path": job.output,
        "format": options.format,
        "bits": options.bits,
        "dither": options.dither,
        "seed": options.dither_seed,
        "overwrite": options.overwrite,
        "compression": options.compression,
        "quality": options.quality,
    }
    return json.dumps({key: value for key, value in target.items() if value is not None})


class _Run:
    """One render's parts, bound together before the first frame."""

    def __init__(
        self,
        job: RenderJob,
        options: RenderOptions,
        source: DecoderSession,
        output: OutputSinkSession,
        chain_factory: ChainFactory,
        cleanup: contextlib.ExitStack,
    ) -> None:
        _refuse_same_file(job)
        self._job, self._options = job, options
        self._source, self._output = source, output
        self._warnings: list[str] = []
        info = source.info()
        self._input_spec = info.spec
        self._duration_ms = info.duration_ms
        target = target_json(job, options)
        agreed = self._negotiated(target)
        rate = agreed.spec.sample_rate
        spec = AudioSpec(rate, info.spec.channels)
        self._chain: Chain = chain_factory(spec)
        cleanup.callback(self._chain.close)
        self._resampler = None
        if rate != info.spec.sample_rate:
            self._resampler = Resampler(info.spec, rate, options.resample_quality)
        self._spec = spec
        music = self._chain.output_spec
        if music != spec:
            agreed = output.negotiate_spec(target, music)
        self._feed = Feed(output, target, music, agreed)
        self._metadata = source.metadata()
        if options.keep_tags and isinstance(output, AcceptsMetadata):
            output.set_metadata(self._metadata)
        self._before = Meter(self._input_spec, loudness=options.loudness, true_peak=False)
        self._after = Meter(self._chain.output_spec, loudness=options.loudness, true_peak=options.true_peak)
        self._frames_in = 0

    def go(
        self, on_progress: Progress | None, cancelled: Callable[[], bool] | None, tap: Tap | None
    ) -> tuple[Frames, Frames]:
        """Move every frame. Gives the chain's latency and the frames of tail."""
        chain, options = self._chain, self._options
        total = None if self._duration_ms is None else self._duration_ms * self._spec.sample_rate // 1000
        delivery = Delivery(chain, options.batch)

        def measure(block: Block) -> None:
            self._after.add(block)
            if tap is not None:
                tap.after(block, chain.output_spec)

        with self._writer(self._feed.write, "write") as writer, self._writer(measure, "measure") as meter:
            with self._reader(self._blocks(tap)) as reader:
                done = 0
                for block in reader:
                    _stop_if(cancelled)
                    for out in delivery.process(block):
                        writer.put(out)
                        meter.put(out)
                    done += len(block)
                    if on_progress is not None:
                        on_progress(done, None if total is None else max(total, done))
            for out in Tail(chain, delivery, self._tail_frames(), limit=self._tail_limit()).blocks():
                _stop_if(cancelled)
                writer.put(out)
                meter.put(out)
            if on_progress is not None:
                on_progress(done, done)
            meter.finish()
            writer.finish()
        self._frames_out = delivery.delivered
        return delivery.latency, Frames(delivery.delivered - done)

    def _reader(self, blocks: Iterator[Block]) -> Reader[Block]:
        return Ahead(blocks, "stellatune-decode") if self._options.threaded else Inline(blocks)

    def _writer(self, take: Callable[[Block], None], name: str) -> Writer[Block]:
        return Behind(take, f"stellatune-{name}") if self._options.threaded else Inline(take=take)

    def settled(self, moved: tuple[Frames, Frames], seconds: float) -> RenderReport:
        """The report, once the file has its name."""
        latency, tail = moved
        audio_seconds = self._frames_in / self._input_spec.sample_rate
        if isinstance(self._source, CountsDamage):
            self._warnings += (f"the input is damaged: {what}" for what in self._source.damage())
        if isinstance(self._source, MakesRemarks):
            self._warnings += self._source.remarks()
        self._warnings += getattr(self._output, "warnings", ())
        clipped = self._output.clipped() if isinstance(self._output, CountsClipping) else 0
        if clipped:
            self._warnings.append(
                f"{clipped} samples were beyond full scale and were cut; a limiter would prevent that"
            )
        return RenderReport(
            input=self._job.input,
            output=self._job.output,
            input_spec=self._input_spec,
            output_spec=self._chain.output_spec,
            input_codec=self._metadata.format.codec,
            frames_in=Frames(self._frames_in),
            frames_out=self._frames_out,
            audio_seconds=audio_seconds,
            wall_seconds=seconds,
            times_real_time=audio_seconds / seconds if seconds > 0 else 0.0,
            latency=latency,
            tail=tail,
            before=self._before.levels() if self._frames_in else Levels(),
            after=self._after.levels() if self._frames_out else Levels(),
            clipped_samples=clipped,
            stages=self._chain.reports(),
            warnings=tuple(self._warnings),
        )

    def _negotiated(self, target: str) -> NegotiatedSpec:
        """The rate that was asked for, else the input's, else what the output takes instead."""
        asked = self._options.rate
        if asked is not None and not 1000 <= asked <= 1_536_000:
            raise UsageError(f"{asked} Hz is no sample rate to render at", operation="render")
        desired = AudioSpec(SampleRate(asked or self._input_spec.sample_rate), self._input_spec.channels)
        agreed = self._output.negotiate_spec(target, desired)
        rate = agreed.spec.sample_rate
        if rate != desired.sample_rate:
            if asked is not None:
                raise UsageError(
                    f"{self._taker} {desired.sample_rate} Hz",
                    operation="render",
                    hint=f"{rate} Hz is the nearest that it can",
                )
            self._warnings.append(f"resampled to {rate} Hz: {self._taker} {desired.sample_rate} Hz")
        return agreed

    @property
    def _taker(self) -> str:
        return "the format cannot hold" if self._job.target is None else "the target does not play"

    def _blocks(self, tap: Tap | None) -> Iterator[Block]:
        """Decoded music in the session's rate, measured on the way."""
        for block in music_of(self._source, Frames(self._options.batch)):
            self._before.add(block)
            self._frames_in += len(block)
            ready = block if self._resampler is None else self._resampler.process(block)
            if len(ready):
                if tap is not None:
                    tap.before(ready, self._spec)
                yield ready
        if self._resampler is not None:
            rest = self._resampler.finish()
            if len(rest):
                if tap is not None:
                    tap.before(rest, self._spec)
                yield rest

    def _tail_frames(self) -> Frames | None:
        """What is to follow the input's end: as the chain says, or nothing."""
        return self._chain.tail() if self._options.tail else Frames(0)

    def _tail_limit(self) -> Frames:
        return Frames(round(self._options.tail_limit_s * self._spec.sample_rate))


def _stop_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise Interrupted("the render was stopped", operation="render")


def _refuse_same_file(job: RenderJob) -> None:
    with contextlib.suppress(OSError):
        if job.item is None and job.target is None and Path(job.output).samefile(job.input):
            raise UsageError(f"{job.output} is the input itself", operation="render")
