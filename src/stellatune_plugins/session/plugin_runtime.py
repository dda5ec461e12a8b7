"""The render runtime with plugins of both runtimes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from stellatune_plugins.contract import Decoder, OutputSink, OutputSinkSession, SourceCatalog
from stellatune_plugins.hotpath import HotPathSettings
from stellatune_plugins.model import AudioSpec, Home, RuntimeRoute
from stellatune_plugins.observe import EventBus
from stellatune_plugins.registry.runtime import PluginRuntime, RuntimeSettings
from stellatune_plugins.session.chain_builder import ChainBuilder, StageRequest
from stellatune_plugins.session.inputs import RankedDecoders
from stellatune_plugins.session.native_runtime import NativeRenderRuntime
from stellatune_plugins.session.runtime import RuntimeSpec
from stellatune_plugins.session.stages import Chain, IdentityChain

FACTORY = "stellatune_plugins.session.plugin_runtime:make"


class PluginChoice(msgspec.Struct, frozen=True):
    """A plugin as the user named it. ``config_json`` lies over the plugin's defaults."""

    plugin: str
    type_id: str | None = None
    config_json: str | None = None


class ChosenSink:
    """Sessions of the sink that the user named; serves :class:`~stellatune_plugins.contract.OutputSink`.

    Args:
        plugins: where it is found.
        choice: which one, and its configuration.
    """

    def __init__(self, plugins: PluginRuntime, choice: PluginChoice) -> None:
        self._plugins = plugins
        self._choice = choice

    def create(self) -> OutputSinkSession:
        """A configured session.

        Raises:
            StellatuneError: there is no such sink, or it cannot be started.
        """
        choice = self._choice
        opened = self._plugins.open_sink(choice.plugin, type_id=choice.type_id, config_json=choice.config_json)
        return opened.instance


class PluginRenderRuntime(NativeRenderRuntime):
    """Sources, decoders, chains and sinks of any plugins.

    Args:
        home: the plugins and the compiled code.
        route: where plugins are looked up.
        stages: the chain that every stream gets.
        decoder: which one opens every input; by default the best of the route for each.
        source: where items come from.
        sink: where the music goes; by default into files, by the native sink.
        strict: a plugin that cannot be started fails the render instead of being bypassed.
        bus: where events go.
        settings: limits and deadlines of components.
        hot_settings: limits and deadlines of the fused chain.
    """

    def __init__(
        self,
        home: Home,
        route: RuntimeRoute,
        stages: Sequence[StageRequest],
        *,
        decoder: PluginChoice | None = None,
        source: PluginChoice | None = None,
        sink: PluginChoice | None = None,
        strict: bool = False,
        bus: EventBus | None = None,
        settings: RuntimeSettings | None = None,
        hot_settings: HotPathSettings | None = None,
    ) -> None:
        super().__init__(bus)
        self._parts = contextlib.ExitStack()
        self.plugins = PluginRuntime(home, route, self.bus, natives=self.native, settings=settings)
        self._stages = tuple(stages)
        self._decoder_choice = decoder
        self._source_choice = source
        self._sink_choice = sink
        self._builder = ChainBuilder(self.plugins, self._stages, bus=self.bus, settings=hot_settings, strict=strict)

    @functools.cached_property
    def decoder(self) -> Decoder:
        """The chosen decoder, or all of the route, ranked."""
        choice = self._decoder_choice
        if choice is not None:
            return self.plugins.open_decoder(choice.plugin, type_id=choice.type_id, config_json=choice.config_json)
        if self.plugins.route is RuntimeRoute.NATIVE:
            return super().decoder  # without a look at what is installed
        return RankedDecoders(self.plugins.decoders(), self.plugins.spare_decoders())

    @functools.cached_property
    def source(self) -> SourceCatalog | None:
        """A catalogue of the chosen source, opened when the first item is."""
        choice = self._source_choice
        if choice is None:
            return None
        opened = self.plugins.open_source(choice.plugin, type_id=choice.type_id, config_json=choice.config_json)
        self._parts.callback(opened.instance.close)
        return opened.instance

    @property
    def sink(self) -> OutputSink:
        """The chosen sink, or the one that writes files."""
        choice = self._sink_choice
        return super().sink if choice is None else ChosenSink(self.plugins, choice)

    def chain(self, spec: AudioSpec) -> Chain:
        return self._builder(spec) if self._stages else IdentityChain(spec)

    def close(self) -> None:
        self._parts.close()
        self.plugins.close()
        super().close()


def runtime_spec(
    home: Home,
    route: RuntimeRoute,
    stages: Sequence[StageRequest],
    *,
    decoder: PluginChoice | None = None,
    source: PluginChoice | None = None,
    sink: PluginChoice | None = None,
    strict: bool = False,
) -> RuntimeSpec:
    """How any process makes this runtime."""
    return RuntimeSpec(
        FACTORY,
        {
            "home": str(home.root),
            "route": route.value,
            "stages": [msgspec.to_builtins(stage) for stage in stages],
            "decoder": msgspec.to_builtins(decoder),
            "source": msgspec.to_builtins(source),
            "sink": msgspec.to_builtins(sink),
            "strict": strict,
        },
    )


def make(
    *,
    home: str,
    route: str,
    stages: list[dict[str, Any]],
    decoder: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
    sink: dict[str, Any] | None = None,
    strict: bool = False,
) -> PluginRenderRuntime:
    """The factory that :func:`runtime_spec` names."""
    return PluginRenderRuntime(
        Home(Path(home)),
        RuntimeRoute(route),
        msgspec.convert(stages, list[StageRequest]),
        decoder=msgspec.convert(decoder, PluginChoice | None),
        source=msgspec.convert(source, PluginChoice | None),
        sink=msgspec.convert(sink, PluginChoice | None),
        strict=strict,
    )
