"""What a render needs of the program around it, made from plain data so that worker processes can make it too."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol, cast

import msgspec

from stellatune_plugins.contract.capabilities import Decoder, OutputSink, SourceCatalog
from stellatune_plugins.errors import UsageError
from stellatune_plugins.model import AudioSpec
from stellatune_plugins.observe import EventBus
from stellatune_plugins.session.stages import Chain


class RenderRuntime(Protocol):
    """Everything that renders share: source, decoders, chains, sink, events."""

    @property
    def bus(self) -> EventBus: ...

    @property
    def decoder(self) -> Decoder: ...

    @property
    def sink(self) -> OutputSink: ...

    @property
    def source(self) -> SourceCatalog | None:
        """Where jobs with an item are opened; ``None`` where there is none."""
        ...

    def chain(self, spec: AudioSpec) -> Chain:
        """A fresh chain for a stream of this shape."""
        ...

    def close(self) -> None:
        """May be called again."""
        ...


class RuntimeSpec(msgspec.Struct, frozen=True):
    """How to make a runtime.

    Args:
        factory: ``package.module:function``; called with ``arguments`` as keywords, gives a :class:`RenderRuntime`.
        arguments: plain data (what JSON holds), such as the home's path, the DSP stages and the route.
    """

    factory: str = "stellatune_plugins.session.native_runtime:make"
    arguments: dict[str, Any] = {}


def build(spec: RuntimeSpec) -> RenderRuntime:
    """Make the runtime that the spec describes, in this process.

    Raises:
        UsageError: the factory's path leads nowhere.
    """
    module_name, _, name = spec.factory.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"no runtime factory at {spec.factory!r}: {error}", operation="runtime.build") from error
    return cast("Callable[..., RenderRuntime]", factory)(**spec.arguments)
