"""What rendering needs of the plugins, made ready before the first file."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence

from stellatune_plugins.cli.progress import CompileNote
from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.executor import activation_of
from stellatune_plugins.executor.component import load
from stellatune_plugins.model import AbilityKind, RuntimeRoute
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.registry import PluginRuntime
from stellatune_plugins.session.chain_builder import StageRequest
from stellatune_plugins.session.native_runtime import NativeRenderRuntime


def prepare(
    home: Home, stages: Sequence[StageRequest], route: RuntimeRoute, bus: EventBus, on_progress: CompileNote
) -> None:
    """Find every stage, and bring its code into the cache while somebody watches.

    So a mistyped name fails before any file is touched, and parallel workers find everything compiled. What is wrong
    with a plugin itself is left to the render, which bypasses it and says so.

    Raises:
        AbilityNotFound: a stage's plugin is not there.
    """
    with PluginRuntime(home, route, bus, on_progress=on_progress) as runtime:
        for stage in stages:
            found = runtime.catalog.find(AbilityKind.DSP, stage.plugin, stage.type_id)
            if found.package is None:
                continue
            for component in activation_of(found.package).components:
                if component.id == found.key.component_id:
                    with contextlib.suppress(StellatuneError):
                        load(found.package, component, runtime.code)
    on_progress.clear()


def decodable_extensions() -> Collection[str]:
    """What counts as audio in a folder: lower case, without dots."""
    return NativeRenderRuntime().decoder.ext_scores().keys()
