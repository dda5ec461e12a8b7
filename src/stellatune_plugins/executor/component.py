"""A plugin's component: read, compiled, checked, ready to be instantiated."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Protocol

from stellatune_plugins.engine.world import check_world
from stellatune_plugins.errors import PluginNotInstalled, StellatuneError
from stellatune_plugins.executor.messages import Activate, ComponentRef
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.installed import InstalledPlugin, read_installed


class ComponentLoader(Protocol):
    """Where compiled components come from: :class:`~stellatune_plugins.engine.cache.CodeStore`."""

    def load_component(self, wasm: bytes, *, path: str, plugin: str | None = None) -> Any: ...


@dataclasses.dataclass(frozen=True)
class LoadedComponent:
    """Code whose world was checked."""

    plugin: PluginId
    ref: ComponentRef
    code: Any
    """wasmtime's component, opaque outside ``engine/``."""


def open_package(plan: Activate) -> InstalledPlugin:
    """The installed package that a plan means.

    Raises:
        PluginNotInstalled: there is none in its folder, or one of another id or version.
        StoreFailed: it is damaged.
    """
    try:
        package = read_installed(Path(plan.root))
    except OSError as error:
        raise PluginNotInstalled(
            f"the package cannot be read: {error.strerror}", plugin=plan.plugin, operation="activate"
        ) from error
    if (package.id, package.version) != (plan.plugin, plan.version):
        raise PluginNotInstalled(
            f"version {plan.version} is not there any more, but {package.id} {package.version}",
            plugin=plan.plugin,
            operation="activate",
        )
    return package


def load(package: InstalledPlugin, ref: ComponentRef, loader: ComponentLoader) -> LoadedComponent:
    """Read one component's file as it was installed, compile it, and check its world.

    Raises:
        StoreFailed: its file is not what was installed.
        NotWasm: it is no binary component.
        WasmInvalid: it does not validate.
        CompileLimit: compiling takes too much.
        WorldMismatch: its imports and exports are not those of the declared world.
    """
    try:
        code = loader.load_component(package.read(ref.path), path=ref.path, plugin=package.id)
        check_world(code, ref.world)
    except StellatuneError as error:
        error.at(plugin=package.id, component=ref.id, operation="activate")
        raise
    return LoadedComponent(package.id, ref, code)
