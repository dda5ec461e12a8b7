"""The states that cells, plugins and instances go through."""

from __future__ import annotations

import enum


class CellState(enum.StrEnum):
    """One component instance in its Store. It only ever moves down this list, and never back."""

    STARTING = "starting"
    """Instantiated; ``on-enable`` has not answered yet."""
    READY = "ready"
    """Enabled: capability calls are allowed."""
    BROKEN = "broken"
    """Trapped, ran out of time, broke the contract, or the host's own import failed: to be replaced."""
    CLOSED = "closed"
    """Store, instance and resources are gone."""


class PluginState(enum.StrEnum):
    """One plugin in the executor."""

    ACTIVATING = "activating"
    ACTIVE = "active"
    DEACTIVATING = "deactivating"


class InstanceState(enum.StrEnum):
    """One capability instance."""

    LIVE = "live"
    DEAD = "dead"
    """Its cell broke; ``Recover`` gives it a fresh one."""
    BARRED = "barred"
    """Its cell broke more often than the replacement budget allows; ``Lift`` starts a new budget."""
