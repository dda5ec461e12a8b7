"""States, reasons and plans of a plugin's life: contract, section 3."""

from __future__ import annotations

import enum

import msgspec


class DisableReason(enum.StrEnum):
    """WIT ``lifecycle.disable-reason``; the order is the contract's."""

    HOST_DISABLE = "host-disable"
    UNLOAD = "unload"
    SHUTDOWN = "shutdown"
    RELOAD = "reload"


class DesiredState(enum.StrEnum):
    """What the user wants of a plugin."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class ActualState(enum.StrEnum):
    """What became of it."""

    ACTIVE = "active"
    DISABLED = "disabled"
    FAILED = "failed"
    MISSING = "missing"


class ConfigUpdateMode(enum.StrEnum):
    """WIT ``common.config-update-mode``."""

    HOT_APPLY = "hot-apply"
    RECREATE = "recreate"
    REJECT = "reject"


class ConfigUpdatePlan(msgspec.Struct, frozen=True):
    """WIT ``common.config-update-plan``."""

    mode: ConfigUpdateMode
    reason: str | None = None
