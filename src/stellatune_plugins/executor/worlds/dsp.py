"""World ``dsp-plugin``: one processor, method by method, and what it returns checked."""

from __future__ import annotations

from stellatune_plugins.errors import GuestContract, ValueInvalid
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.messages import (
    Arguments,
    DescribeHotPath,
    DspArguments,
    HotPath,
    InstanceRequest,
    Number,
    OutputChannels,
    ProcessSamples,
    Samples,
    SupportedLayouts,
    Value,
)
from stellatune_plugins.executor.names import DSP
from stellatune_plugins.executor.results import unwrap
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.worlds.checks import MAX_CHANNELS, SAMPLE_BYTES, whole_frames
from stellatune_plugins.executor.worlds.exported import ExportedInstance
from stellatune_plugins.executor.worlds.hot_path import core_module, spec_record


class DspInstance(ExportedInstance):
    """One ``dsp.processor`` in its cell.

    Args:
        cell: its home, enabled; nobody else uses it.
        arguments: the stream's shape.
    """

    def __init__(self, cell: Cell, arguments: DspArguments) -> None:
        super().__init__(cell, DSP, "processor", "dsp")
        self._output: int | None = None
        self._create("dsp.create", "create", spec_record(arguments.spec), deadline=self.deadlines.create)

    def _bind(self) -> None:
        self._describe = self.method("describe-hot-path")
        self._process = self.method("process-interleaved-f32")
        self._layouts = self.method("supported-layouts")
        self._channels = self.method("output-channels")

    def _answer(self, request: InstanceRequest) -> Value:
        deadline = self.deadlines.call
        match request:
            case ProcessSamples(channels=channels, samples=samples):
                return self._processed(channels, samples)
            case DescribeHotPath(spec=spec):
                return HotPath(core_module(unwrap(self._describe(self.resource, spec_record(spec), deadline=deadline))))
            case SupportedLayouts():
                return Number(_layouts(self._layouts(self.resource, deadline=deadline)))
            case OutputChannels():
                return Number(self._output_channels())
            case _:
                raise self.foreign(request)

    def reconfigured(self) -> None:
        self._output = None

    def _output_channels(self) -> int:
        channels: int = self._channels(self.resource, deadline=self.deadlines.call)
        if not 1 <= channels <= MAX_CHANNELS:
            raise GuestContract(f"output-channels gave {channels}, outside 1 to {MAX_CHANNELS}")
        self._output = channels
        return channels

    def _processed(self, channels: int, samples: bytes) -> Samples:
        frames = whole_frames(channels, samples)
        # Asked again only where a configuration may have changed it: one guest call a block is enough.
        out = self._output if self._output is not None else self._output_channels()
        if not samples:
            return Samples(out, b"")
        answer = unwrap(self._process(self.resource, channels, samples, deadline=self.deadlines.process))
        wanted = frames * out * SAMPLE_BYTES
        if len(answer) != wanted:
            raise GuestContract(f"process gave {len(answer)} bytes for {frames} frames of {out} channels, not {wanted}")
        return Samples(out, answer)


def _layouts(bits: int) -> int:
    if bits == 0:
        raise GuestContract("supported-layouts gave no layout at all")
    return bits


def make(cell: Cell, arguments: Arguments, streams: StreamTable) -> DspInstance:  # noqa: ARG001 - as for all worlds
    """A processor.

    Raises:
        ValueInvalid: the arguments are those of another world.
    """
    if not isinstance(arguments, DspArguments):
        raise ValueInvalid(f"a dsp processor cannot be made from {type(arguments).__name__}")
    return DspInstance(cell, arguments)
