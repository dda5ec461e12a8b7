"""What the host decides about all sidecars."""

from __future__ import annotations

import msgspec

from stellatune_plugins.host.sidecar.keeper.plan import Limits
from stellatune_plugins.host.sidecar.sandbox.tiers import SandboxTier


class SidecarSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and times that no plugin chooses."""

    limits: Limits = Limits()
    most: int = 16
    """Sidecars of one plugin at the same time."""
    grace: float = 2.0
    """Seconds between a closed stdin and SIGTERM where the host itself stops a sidecar."""
    tier: SandboxTier | None = None
    """The one tier to use; the strongest by default."""
