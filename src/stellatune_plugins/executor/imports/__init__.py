"""One file an interface that guests import."""

from stellatune_plugins.executor.imports.host import host_imports
from stellatune_plugins.executor.imports.sidecar import (
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
    "host_imports",
]
