"""Everything of the host's that a guest may import."""

from __future__ import annotations

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.executor.imports.sidecar import add_sidecar
from stellatune_plugins.host.services import PluginServices


def host_imports(services: PluginServices) -> HostImports:
    """The imports of one instance. WASI is the engine's own affair, with nothing granted."""
    imports = HostImports()
    add_sidecar(imports, services.sidecars)
    return imports
