"""The render runtime with DSP stages of both runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from stellatune_plugins.hotpath import HotPathSettings
from stellatune_plugins.model import AudioSpec, Home, RuntimeRoute
from stellatune_plugins.observe import EventBus
from stellatune_plugins.registry.runtime import PluginRuntime, RuntimeSettings
from stellatune_plugins.session.chain_builder import ChainBuilder, StageRequest
from stellatune_plugins.session.native_runtime import NativeRenderRuntime
from stellatune_plugins.session.runtime import RuntimeSpec
from stellatune_plugins.session.stages import Chain, IdentityChain

FACTORY = "stellatune_plugins.session.plugin_runtime:make"


class PluginRenderRuntime(NativeRenderRuntime):
    """Native decoders and file sink, and chains of any plugins.

    Args:
        home: the plugins and the compiled code.
        route: where DSPs are looked up.
        stages: the chain that every stream gets.
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
        strict: bool = False,
        bus: EventBus | None = None,
        settings: RuntimeSettings | None = None,
        hot_settings: HotPathSettings | None = None,
    ) -> None:
        super().__init__(bus)
        self.plugins = PluginRuntime(home, route, self.bus, natives=self.native, settings=settings)
        self._stages = tuple(stages)
        self._builder = ChainBuilder(self.plugins, self._stages, bus=self.bus, settings=hot_settings, strict=strict)

    def chain(self, spec: AudioSpec) -> Chain:
        return self._builder(spec) if self._stages else IdentityChain(spec)

    def close(self) -> None:
        self.plugins.close()
        super().close()


def runtime_spec(
    home: Home, route: RuntimeRoute, stages: Sequence[StageRequest], *, strict: bool = False
) -> RuntimeSpec:
    """How any process makes this runtime."""
    return RuntimeSpec(
        FACTORY,
        {
            "home": str(home.root),
            "route": route.value,
            "stages": [msgspec.to_builtins(stage) for stage in stages],
            "strict": strict,
        },
    )


def make(*, home: str, route: str, stages: list[dict[str, Any]], strict: bool) -> PluginRenderRuntime:
    """The factory that :func:`runtime_spec` names."""
    requests = [msgspec.convert(stage, StageRequest) for stage in stages]
    return PluginRenderRuntime(Home(Path(home)), RuntimeRoute(route), requests, strict=strict)
