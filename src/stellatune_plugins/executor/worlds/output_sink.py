"""World ``output-sink-plugin``: one output, and what it claims checked."""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.errors import GuestContract, ValueInvalid
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.messages import (
    Arguments,
    DescribeSinkHotPath,
    FlushSink,
    HotPath,
    InstanceRequest,
    ListTargets,
    Negotiate,
    Negotiated,
    Nothing,
    Number,
    OpenSink,
    QueryStatus,
    ResetSink,
    SinkArguments,
    SinkState,
    Text,
    Value,
    WriteSamples,
)
from stellatune_plugins.executor.names import OUTPUT_SINK
from stellatune_plugins.executor.results import unwrap
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.worlds.checks import audio_spec, json_text, whole_frames
from stellatune_plugins.executor.worlds.exported import ExportedInstance
from stellatune_plugins.executor.worlds.hot_path import core_module, spec_record
from stellatune_plugins.model import Frames, NegotiatedSpec, SinkStatus

MAX_TARGETS_BYTES: Final = 1024 * 1024
MAX_PREFERRED_FRAMES: Final = 1024 * 1024
"""Of the chunk that a sink likes best; a larger wish is no wish."""


class OutputSinkInstance(ExportedInstance):
    """One ``output-sink.session`` in its cell.

    Args:
        cell: its home, enabled; nobody else uses it.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell, OUTPUT_SINK, "session", "output-sink")
        self._create("output-sink.create", "create", deadline=self.deadlines.device)

    def _bind(self) -> None:
        self._targets = self.method("list-targets-json")
        self._negotiate = self.method("negotiate-spec-json")
        self._describe = self.method("describe-hot-path")
        self._open = self.method("open-json")
        self._write = self.method("write-interleaved-f32")
        self._status = self.method("query-status")
        self._flush = self.method("flush")
        self._reset = self.method("reset")

    def _answer(self, request: InstanceRequest) -> Value:  # noqa: PLR0911 - one case a request
        sink, deadlines = self.resource, self.deadlines
        match request:
            case WriteSamples(channels=channels, samples=samples):
                return Number(self._written(channels, samples))
            case QueryStatus():
                status = unwrap(self._status(sink, deadline=deadlines.device))
                return SinkState(SinkStatus(status["queued-samples"], status["running"]))
            case ListTargets():
                text = unwrap(self._targets(sink, deadline=deadlines.device))
                return Text(json_text(text, "list-targets-json", MAX_TARGETS_BYTES))
            case Negotiate(target_json=target, desired=desired):
                record = unwrap(self._negotiate(sink, target, spec_record(desired), deadline=deadlines.device))
                return Negotiated(_negotiated(record))
            case DescribeSinkHotPath(spec=spec):
                return HotPath(core_module(unwrap(self._describe(sink, spec_record(spec), deadline=deadlines.call))))
            case OpenSink(target_json=target, spec=spec):
                unwrap(self._open(sink, target, spec_record(spec), deadline=deadlines.device))
                return Nothing()
            case FlushSink():
                unwrap(self._flush(sink, deadline=deadlines.play_out))
                return Nothing()
            case ResetSink():
                unwrap(self._reset(sink, deadline=deadlines.device))
                return Nothing()
            case _:
                raise self.foreign(request)

    def _written(self, channels: int, samples: bytes) -> int:
        frames = whole_frames(channels, samples)
        accepted: int = unwrap(self._write(self.resource, channels, samples, deadline=self.deadlines.device))
        if accepted > frames:
            raise GuestContract(f"write-interleaved-f32 accepted {accepted} of {frames} frames")
        return accepted


def _negotiated(record: Any) -> NegotiatedSpec:
    spec = audio_spec(record["spec"]["sample-rate"], record["spec"]["channels"], "negotiate-spec-json")
    wish = record["preferred-chunk-frames"]
    chunk = Frames(wish if wish <= MAX_PREFERRED_FRAMES else 0)
    return NegotiatedSpec(spec, chunk, record["prefer-track-rate"])


def make(cell: Cell, arguments: Arguments, streams: StreamTable) -> OutputSinkInstance:  # noqa: ARG001 - as for all
    """A sink session.

    Raises:
        ValueInvalid: the arguments are those of another world.
    """
    if not isinstance(arguments, SinkArguments):
        raise ValueInvalid(f"an output sink cannot be made from {type(arguments).__name__}")
    return OutputSinkInstance(cell)
