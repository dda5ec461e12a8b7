"""Helper processes of plugins: started, spoken with, supervised, stopped."""

from stellatune_plugins.host.sidecar.interface import (
    LaunchSpec,
    NoSidecars,
    SidecarChannel,
    SidecarLockGuard,
    SidecarProcess,
    SidecarService,
    TransportWish,
)
from stellatune_plugins.host.sidecar.plugin_sidecars import PluginSidecars
from stellatune_plugins.host.sidecar.service import SidecarHost
from stellatune_plugins.host.sidecar.settings import SidecarSettings

__all__ = [
    "LaunchSpec",
    "NoSidecars",
    "PluginSidecars",
    "SidecarChannel",
    "SidecarHost",
    "SidecarLockGuard",
    "SidecarProcess",
    "SidecarService",
    "SidecarSettings",
    "TransportWish",
]
