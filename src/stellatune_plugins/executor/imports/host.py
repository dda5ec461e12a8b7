"""Everything of the host's that a guest may import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.executor.imports.answers import Answering, answering
from stellatune_plugins.executor.imports.host_stream import add_host_stream
from stellatune_plugins.executor.imports.http_client import add_http_client
from stellatune_plugins.executor.imports.sidecar import add_sidecar
from stellatune_plugins.executor.names import world_kind
from stellatune_plugins.host.services import PluginServices
from stellatune_plugins.model import AbilityKind

Serve = Callable[[HostImports, PluginServices, Answering], None]


def _streams(imports: HostImports, services: PluginServices, answering: Answering) -> None:
    add_host_stream(imports, services.streams, answering)


def _http(imports: HostImports, services: PluginServices, answering: Answering) -> None:
    add_http_client(imports, services.http, answering)


def _sidecars(imports: HostImports, services: PluginServices, answering: Answering) -> None:
    add_sidecar(imports, services.sidecars, answering)


WORLD_IMPORTS: Final[dict[AbilityKind, tuple[Serve, ...]]] = {
    AbilityKind.DECODER: (_streams, _sidecars),
    AbilityKind.SOURCE: (_streams, _sidecars),
    AbilityKind.LYRICS: (_sidecars, _http),
    AbilityKind.OUTPUT_SINK: (_sidecars,),
    AbilityKind.DSP: (_sidecars,),
}
"""What each world of the contract imports: contract, section 1."""


def host_imports(services: PluginServices, world: str, stopping: Callable[[], bool] = lambda: False) -> HostImports:
    """The imports of one instance: those of its world, and no others. WASI is the engine's own, nothing granted.

    Args:
        services: what answers.
        world: the component's.
        stopping: whether the instance is on its way out; then everything is answered with an error at once.
    """
    imports = HostImports()
    kind = world_kind(world)
    for serve in WORLD_IMPORTS[kind] if kind is not None else ():
        serve(imports, services, answering(stopping))
    return imports
