"""What can go wrong on the way, apart from refusals."""

from __future__ import annotations

from stellatune_plugins.errors import PluginFailure


class ConnectionLost(Exception):
    """Raised when a connection broke or could not be made: trying again may help. Never reaches a guest as it is."""

    def failure(self) -> PluginFailure:
        """What the guest is told once trying again is over."""
        return PluginFailure("io", str(self))
