"""The only importer of wasmtime."""

from stellatune_plugins.engine.component import ComponentInstance
from stellatune_plugins.engine.config import EngineSettings, WasmEngine
from stellatune_plugins.engine.function import GuestFunction
from stellatune_plugins.engine.linker import HostImports
from stellatune_plugins.engine.resources import GuestResource, ResourceTable
from stellatune_plugins.engine.store import GuestStore, StoreLimits
from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.engine.world import check_world

__all__ = [
    "ComponentInstance",
    "EngineSettings",
    "Err",
    "GuestFunction",
    "GuestResource",
    "GuestStore",
    "HostImports",
    "Ok",
    "ResourceTable",
    "Some",
    "StoreLimits",
    "Variant",
    "WasmEngine",
    "check_world",
]
