"""Which folder of the store holds what.

=============================  =====================================================================================
``<id>/``                      an installed package; it is there whole or not at all
``.previous/<id>/``            the version before, for rollback
``.staging/<work>/``           operations under way; what nobody holds a lock on is left over from one that died
``.lock``                      held for moments, while names are changed
=============================  =====================================================================================

A plugin id never starts with a dot, so these names cannot meet.
"""

from __future__ import annotations

import enum
from pathlib import Path

import msgspec

from stellatune_plugins.model import PluginId
from stellatune_plugins.package.manifest_reader import is_plugin_id


class WorkKind(enum.StrEnum):
    """The operations that change the store."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"
    REMOVE = "remove"


class WorkName(msgspec.Struct, frozen=True):
    """The name of a folder below ``.staging``: it tells recovery all that it must know, so no journal is needed.

    ``incoming`` and ``outgoing`` are install ids: of the version that is to be installed when the work is done, and
    of the one that was before; ``-`` where there is none.
    """

    kind: WorkKind
    plugin: PluginId
    incoming: str
    outgoing: str = "-"

    def __str__(self) -> str:
        return f"{self.kind}-{self.plugin}+{self.incoming}+{self.outgoing}"

    @classmethod
    def parse(cls, text: str) -> WorkName | None:
        """The name again; ``None`` where it is of another kind."""
        kind, _, rest = text.partition("-")
        parts = rest.split("+")
        if kind not in set(WorkKind) or len(parts) != 3 or not is_plugin_id(parts[0]):
            return None
        return cls(WorkKind(kind), PluginId(parts[0]), parts[1], parts[2])


class StoreLayout(msgspec.Struct, frozen=True):
    """The store's folders below its root."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def staging(self) -> Path:
        return self.root / ".staging"

    @property
    def all_previous(self) -> Path:
        return self.root / ".previous"

    def package(self, plugin: str) -> Path:
        """Where a plugin is installed; the id must have been checked."""
        return self.root / plugin

    def previous(self, plugin: str) -> Path:
        """Where the version before is kept; the id must have been checked."""
        return self.all_previous / plugin


class WorkLayout(msgspec.Struct, frozen=True):
    """The names inside one folder below ``.staging``."""

    folder: Path

    @property
    def tree(self) -> Path:
        """The package that comes in; after the switch, the one that went out."""
        return self.folder / "tree"

    @property
    def aside_current(self) -> Path:
        """The installed version, while a swap without system support is half done."""
        return self.folder / "aside-current"

    @property
    def aside_previous(self) -> Path:
        """The kept version, while a swap without system support is half done."""
        return self.folder / "aside-previous"

    @property
    def orphan(self) -> Path:
        """A kept version that belongs to nothing installed, on its way out."""
        return self.folder / "orphan"
