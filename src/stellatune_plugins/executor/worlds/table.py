"""Which worlds the executor serves, and with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stellatune_plugins.errors import AbilityNotFound, StellatuneError
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.messages import Arguments, InstanceRequest, Value
from stellatune_plugins.executor.names import world_kind
from stellatune_plugins.executor.streams import StreamTable
from stellatune_plugins.executor.worlds import decoder, dsp, lyrics, output_sink, source
from stellatune_plugins.model import AbilityKind


class CapabilityInstance(Protocol):
    """One instance of an ability, in a cell of its own."""

    def call(self, request: InstanceRequest) -> Value: ...

    def close(self) -> tuple[StellatuneError, ...]: ...


InstanceMaker = Callable[[Cell, Arguments, StreamTable], CapabilityInstance]

_MAKERS: dict[AbilityKind, InstanceMaker] = {
    AbilityKind.DECODER: decoder.make,
    AbilityKind.SOURCE: source.make,
    AbilityKind.LYRICS: lyrics.make,
    AbilityKind.DSP: dsp.make,
    AbilityKind.OUTPUT_SINK: output_sink.make,
}


def serves_world(world: str) -> bool:
    """Whether components of this world (``stellatune:plugin/dsp-plugin@0.1.0``) can be activated."""
    return world_kind(world) in _MAKERS


def maker_for(kind: AbilityKind) -> InstanceMaker:
    """How instances of this kind are made.

    Raises:
        AbilityNotFound: this executor does not run the kind.
    """
    maker = _MAKERS.get(kind)
    if maker is None:
        raise AbilityNotFound(f"this host does not run {kind} plugins as WebAssembly", capability=str(kind))
    return maker
