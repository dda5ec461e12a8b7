"""What rendering needs of the plugins, made ready before the first file."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Sequence

from stellatune_plugins.cli.bundled import bundled_packages
from stellatune_plugins.cli.plugin_spec import PluginSpec
from stellatune_plugins.cli.progress import CompileNote
from stellatune_plugins.errors import AbilityNotFound, NativePluginFailed, StellatuneError
from stellatune_plugins.executor import activation_of
from stellatune_plugins.executor.component import load
from stellatune_plugins.model import AbilityKind, RuntimeRoute
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.registry import Catalog, PluginRuntime, Resolved
from stellatune_plugins.registry.opening import WASM_HINT
from stellatune_plugins.session.inputs import RankedDecoders
from stellatune_plugins.session.native_runtime import NativeRenderRuntime


def prepare(
    home: Home,
    named: Sequence[tuple[AbilityKind, PluginSpec]],
    route: RuntimeRoute,
    bus: EventBus,
    on_progress: CompileNote,
) -> None:
    """Find every plugin that was named, and bring its code into the cache while somebody watches.

    So a mistyped name fails before any file is touched, and parallel workers find everything compiled. What is wrong
    with a WebAssembly plugin itself is left to the render, which bypasses it and says so. A native one that cannot be
    loaded here is an error: its fault is the installation's, and the route that the user chose leads nowhere.

    Raises:
        AbilityNotFound: one is not there.
        NativePluginFailed: a native one cannot be used on this machine.
    """
    with PluginRuntime(home, route, bus, on_progress=on_progress) as runtime:
        for kind, spec in named:
            found = _find(runtime.catalog, kind, spec)
            if found.package is None:
                _require_native(runtime, found)
                continue
            for component in activation_of(found.package).components:
                if component.id == found.key.component_id:
                    with contextlib.suppress(StellatuneError):
                        load(found.package, component, runtime.code)
    on_progress.clear()


def _find(catalog: Catalog, kind: AbilityKind, spec: PluginSpec) -> Resolved:
    """The plugin; where there is none, the error names the one that was probably meant."""
    try:
        return catalog.find(kind, spec.plugin, spec.type_id)
    except AbilityNotFound as error:
        names = sorted({entry.key.plugin_id for entry in catalog.everything(kind)})
        near = difflib.get_close_matches(spec.plugin, names, n=1, cutoff=0.75)
        short = [name for name in names if name.rpartition(".")[2] == spec.plugin]
        if spec.plugin not in names and (near or short):
            error.hint = f"did you mean {(short or near)[0]}?"
        raise


def _require_native(runtime: PluginRuntime, found: Resolved) -> None:
    """Load a native plugin; where that fails, the hint names the WebAssembly plugin of the same id."""
    plugin = found.key.plugin_id
    try:
        runtime.natives.get(found.key.kind, plugin, found.key.type_id)
    except NativePluginFailed as error:
        installed = any(
            entry.package is not None
            for entry in runtime.catalog.everything(found.key.kind)
            if entry.key.plugin_id == plugin
        )
        if installed:
            error.hint = WASM_HINT
        elif plugin in bundled_packages():
            error.hint = (
                f"`stellatune plugin install {plugin}`, then pass --runtime wasm: the sandboxed one runs anywhere"
            )
        raise


def decodable_extensions(home: Home, route: RuntimeRoute, bus: EventBus) -> Collection[str]:
    """What counts as audio in a folder: lower case, without dots."""
    if route is RuntimeRoute.NATIVE:
        return NativeRenderRuntime().decoder.ext_scores().keys()
    with PluginRuntime(home, route, bus) as runtime:
        return RankedDecoders(runtime.decoders(), runtime.spare_decoders()).ext_scores().keys()
