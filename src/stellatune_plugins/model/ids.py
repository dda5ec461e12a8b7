"""Identity and units as types."""

from __future__ import annotations

import enum
from typing import NewType

import msgspec

PluginId = NewType("PluginId", str)
ComponentId = NewType("ComponentId", str)
TypeId = NewType("TypeId", str)

Frames = NewType("Frames", int)
"""A count of frames: one sample for every channel."""

SampleRate = NewType("SampleRate", int)
"""Frames a second, in hertz."""

DurationMs = NewType("DurationMs", int)
"""Milliseconds."""


class AbilityKind(enum.StrEnum):
    """What a plugin can do. The values are the names in WIT."""

    DECODER = "decoder"
    SOURCE = "source"
    LYRICS = "lyrics"
    DSP = "dsp"
    OUTPUT_SINK = "output-sink"

    @property
    def manifest_name(self) -> str:
        """How packages in the field write the kind: ``output_sink``."""
        return self.value.replace("-", "_")

    @property
    def world_name(self) -> str:
        """The world that a component with such an ability declares: ``dsp-plugin``."""
        return f"{self.value}-plugin"


class RuntimeKind(enum.StrEnum):
    """Which of the two runtimes serves a plugin."""

    NATIVE = "native"
    WASM = "wasm"


class RuntimeRoute(enum.StrEnum):
    """Where abilities are looked up.

    ``native`` (the default) looks among native plugins only; ``wasm`` takes every kind of ability that wasm
    packages serve from them and the rest from native plugins; ``hybrid`` prefers native and falls back to wasm.
    """

    NATIVE = "native"
    WASM = "wasm"
    HYBRID = "hybrid"


class AbilityKey(msgspec.Struct, frozen=True, order=True):
    """The binding of an ability: contract, section 3."""

    plugin_id: PluginId
    kind: AbilityKind
    type_id: TypeId
    component_id: ComponentId

    def __str__(self) -> str:
        return f"{self.plugin_id}/{self.kind}/{self.type_id}@{self.component_id}"
