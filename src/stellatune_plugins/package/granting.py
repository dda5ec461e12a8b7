"""Granting and revoking: the user's side of permissions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from stellatune_plugins.errors import GrantRefused
from stellatune_plugins.model import Home, PluginId
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import PermissionGranted, PermissionRevoked
from stellatune_plugins.package.authority import Authority, OnDenied
from stellatune_plugins.package.grants import (
    Grant,
    GrantKind,
    asked_grants,
    effective_grants,
    is_asked,
    is_part_of,
    real_path,
)
from stellatune_plugins.package.ledger import AuditEntry, Ledger
from stellatune_plugins.package.manifest import FileAccess, Manifest
from stellatune_plugins.package.widening import Widening, widening

KERNEL_FOLDERS: Final = ("/proc", "/sys", "/dev")


class Grants:
    """What the user of one home lets its plugins do. Safe to use from several threads and processes at once.

    Args:
        home: whose grants; ``home.grants`` is made by the first one.
        bus: hears of what is granted and revoked.
        wall: seconds since 1970, for the record.
    """

    def __init__(self, home: Home, bus: EventBus, *, wall: Callable[[], float] = time.time) -> None:
        self._home = home
        self._bus = bus
        self.ledger = Ledger(home.grants, wall=wall)

    # --- reading ----------------------------------------------------------------------------------------------------

    def granted(self, manifest: Manifest) -> frozenset[Grant]:
        """What this version was granted and asks for. A plugin that asks for nothing costs no look.

        Raises:
            StateFailed: nobody can tell; nothing may be taken as granted.
        """
        if not asks_for_anything(manifest):
            return frozenset()
        held = effective_grants(manifest, self.ledger.granted(manifest.id, manifest.version))
        return frozenset(grant for grant in held if self._fault(grant) is None)

    def authority(self, manifest: Manifest, root: Path, *, on_denied: OnDenied | None = None) -> Authority:
        """What an installed version may do from now on, whatever is granted or revoked later; raises as above."""
        folder = self._home.data_of(manifest.id)
        return Authority.of(manifest, root, folder, self.granted(manifest), on_denied=on_denied)

    def audit(self, plugin: PluginId | None = None, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """What was granted, revoked and denied, newest first."""
        return self.ledger.audit(plugin, limit=limit)

    def missing(self, manifest: Manifest) -> tuple[Grant, ...]:
        """What is asked for and not granted, not even in part."""
        held = self.granted(manifest)
        return tuple(asked for asked in asked_grants(manifest) if not any(is_part_of(g, asked) for g in held))

    def require_grantable(self, manifest: Manifest, grants: Iterable[Grant]) -> None:
        """Whether :meth:`grant` would grant these; raises as it does."""
        for grant in grants:
            fault = None if is_asked(manifest, grant) else "the plugin does not ask for it"
            fault = fault or self._fault(grant)
            if fault:
                raise GrantRefused(
                    f"{grant} cannot be granted: {fault}", plugin=manifest.id, operation="grant", grant=str(grant)
                )

    # --- changing ---------------------------------------------------------------------------------------------------

    def grant(self, manifest: Manifest, grants: Iterable[Grant]) -> tuple[Grant, ...]:
        """Grant all of these or none; gives those that are new.

        Raises:
            GrantRefused: one is not asked for, or reaches into the home.
            StateFailed: nothing was written.
        """
        wanted = tuple(grants)
        self.require_grantable(manifest, wanted)
        new = sorted(self.ledger.put(manifest.id, manifest.version, wanted)) if wanted else []
        for grant in new:
            self._bus.emit(PermissionGranted(plugin=manifest.id, version=manifest.version, grant=str(grant)))
        return tuple(new)

    def revoke(self, manifest: Manifest, grants: Iterable[Grant] | None = None) -> tuple[Grant, ...]:
        """Take grants back, all of them where none is named; gives those that were there.

        It counts from the plugin's next activation on; who wants it at once disables the plugin.

        Raises:
            StateFailed: nothing was written.
        """
        named = self.ledger.granted(manifest.id, manifest.version) if grants is None else frozenset(grants)
        gone = sorted(self.ledger.take(manifest.id, manifest.version, named)) if named else []
        for grant in gone:
            self._bus.emit(PermissionRevoked(plugin=manifest.id, version=manifest.version, grant=str(grant)))
        return tuple(gone)

    # --- as packages come and go ------------------------------------------------------------------------------------

    def widening(self, before: Manifest, after: Manifest) -> Widening:
        """What an upgrade asks for besides."""
        return widening(before, after, () if before.permissions.stated else self.granted(before))

    def upgraded(self, before: Manifest, after: Manifest, accepted: Widening | None = None) -> None:
        """Carry grants over to a new version, as far as both ask for them. To run without a sandbox is granted anew.

        Called before the new version counts: a failure here stops the upgrade, and what is written is harmless.
        """
        items = accepted.items() if accepted else ()
        if not items and not (asks_for_anything(before) or asks_for_anything(after)):
            return
        asked = effective_grants(before, self.ledger.granted(before.id, before.version))
        keep = frozenset(g for g in effective_grants(after, asked) if g.kind is not GrantKind.UNSANDBOXED)
        if not items and not keep and not self.ledger.path.exists():
            return
        carried = self.ledger.carry(after.id, before.version, after.version, keep.__contains__, items)
        for grant in sorted(carried):
            self._bus.emit(
                PermissionGranted(plugin=after.id, version=after.version, grant=str(grant), carried_over=True)
            )

    def installed(self, manifest: Manifest) -> None:
        """A plugin that comes in fresh inherits nothing from one of its name."""
        if asks_for_anything(manifest):
            self.ledger.forget(manifest.id)

    def uninstalled(self, plugin: PluginId) -> None:
        """A plugin that goes leaves no grants behind."""
        self.ledger.forget(plugin)

    # ---------------------------------------------------------------------------------------------------------------

    def _fault(self, grant: Grant) -> str | None:
        """Why nobody may have this: the home's own files decide over grants and over code that runs.

        What the kernel shows as files is memory and environments of processes, this one's too.
        """
        if grant.kind is not GrantKind.FILES:
            return None
        if any(Path(kernel).is_relative_to(grant.files.path) for kernel in KERNEL_FOLDERS):
            return "it holds the whole system; name the folder that is wanted"
        if any(Path(grant.files.path).is_relative_to(kernel) for kernel in KERNEL_FOLDERS):
            return "what is there is the system's own"
        home, path = Path(real_path(str(self._home.root))), Path(grant.files.path)
        if path.is_relative_to(home):
            return "the folder is inside this program's own"
        if home.is_relative_to(path) and grant.files.access is FileAccess.READ_WRITE:
            return "the folder holds this program's own data, which grants are part of; read access can be granted"
        return None


def asks_for_anything(manifest: Manifest) -> bool:
    """Whether grants can make a difference to a plugin."""
    asked = manifest.permissions
    return not asked.stated or asked.local_network or bool(asked_grants(manifest))
