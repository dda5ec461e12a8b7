"""Native plugins as records: found by name, loaded when needed, never in the host's way."""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from stellatune_plugins.model import AbilityKind, PluginId, TypeId

PLUGIN_ID: Final = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
PLUGIN_ID_LENGTH: Final = 128
TYPE_ID: Final = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")


class NativePluginUnavailable(Exception):
    """Raised by a plugin's factory when it cannot serve here, though nothing is wrong with it: a missing library."""


class NativeStatus(enum.StrEnum):
    """What became of a native plugin."""

    FOUND = "found"
    """Its entry point is there; its code was not loaded yet."""
    READY = "ready"
    UNAVAILABLE = "unavailable"
    """It said that it cannot serve on this machine; ``detail`` says why."""
    FAILED = "failed"
    """Its name, import or factory is broken; ``detail`` says how."""


class NativePlugin(msgspec.Struct, frozen=True, kw_only=True):
    """One ability of one native plugin."""

    plugin_id: PluginId
    kind: AbilityKind
    type_id: TypeId
    entry: str
    """Where its factory lies: ``package.module:function``."""
    distribution: str | None = None
    version: str | None = None
    status: NativeStatus = NativeStatus.FOUND
    detail: str | None = None


def split_name(name: str) -> tuple[PluginId, TypeId]:
    """An entry point's name is ``PLUGIN_ID`` or ``PLUGIN_ID/TYPE_ID``; the type's default is the id's last part.

    Raises:
        ValueError: either part breaks its pattern.
    """
    plugin_id, slash, type_id = name.partition("/")
    if len(plugin_id) > PLUGIN_ID_LENGTH or not PLUGIN_ID.fullmatch(plugin_id):
        raise ValueError(f"{plugin_id!r} is no plugin id")
    if not slash:
        type_id = plugin_id.rpartition(".")[2]
    if len(type_id) > PLUGIN_ID_LENGTH or not TYPE_ID.fullmatch(type_id):
        raise ValueError(f"{type_id!r} is no type id")
    return PluginId(plugin_id), TypeId(type_id)
