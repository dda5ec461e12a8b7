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

__all__ = [
    "LaunchSpec",
    "NoSidecars",
    "SidecarChannel",
    "SidecarLockGuard",
    "SidecarProcess",
    "SidecarService",
    "TransportWish",
]
