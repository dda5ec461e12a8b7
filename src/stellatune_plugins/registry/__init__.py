"""Which plugin serves what: the capability index, the routes, and the runtime behind both."""

from stellatune_plugins.registry.catalog import NATIVE_COMPONENT, Catalog, Resolved
from stellatune_plugins.registry.opening import Opened, OpenedLyrics, OpenedSink, OpenedSource, configure
from stellatune_plugins.registry.routing import RoutePolicy
from stellatune_plugins.registry.runtime import (
    HotPathSource,
    OpenedDsp,
    PluginRuntime,
    RuntimeSettings,
)

__all__ = [
    "NATIVE_COMPONENT",
    "Catalog",
    "HotPathSource",
    "Opened",
    "OpenedDsp",
    "OpenedLyrics",
    "OpenedSink",
    "OpenedSource",
    "PluginRuntime",
    "Resolved",
    "RoutePolicy",
    "RuntimeSettings",
    "configure",
]
