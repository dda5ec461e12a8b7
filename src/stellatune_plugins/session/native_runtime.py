"""The plainest render runtime: native decoders, the file sink, and no DSP stage."""

from __future__ import annotations

from stellatune_plugins.contract.capabilities import Decoder, OutputSink, SourceCatalog
from stellatune_plugins.model import AbilityKind, AudioSpec
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.observe import EventBus
from stellatune_plugins.session.inputs import RankedDecoders
from stellatune_plugins.session.stages import Chain, IdentityChain

FILE_SINK = "dev.stellatune.native.file-sink"


class NativeRenderRuntime:
    """Serves :class:`~stellatune_plugins.session.runtime.RenderRuntime` with native plugins alone."""

    def __init__(self, bus: EventBus | None = None) -> None:
        self._bus = bus or EventBus()
        self.native = NativeRuntime(bus=self._bus)
        self._decoder = RankedDecoders([served for _, served in self.native.ready(AbilityKind.DECODER)])

    @property
    def bus(self) -> EventBus:
        return self._bus

    @property
    def decoder(self) -> Decoder:
        return self._decoder

    @property
    def sink(self) -> OutputSink:
        return self.native.output_sink(FILE_SINK)

    @property
    def source(self) -> SourceCatalog | None:
        """None: files only."""
        return None

    def chain(self, spec: AudioSpec) -> Chain:
        return IdentityChain(spec)

    def close(self) -> None:
        pass


def make() -> NativeRenderRuntime:
    """The factory that :class:`~stellatune_plugins.session.runtime.RuntimeSpec` names by default."""
    return NativeRenderRuntime()
