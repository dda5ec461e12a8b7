"""What a new version of a plugin asks for beyond the installed one."""

from __future__ import annotations

import shlex
from collections.abc import Collection

import msgspec

from stellatune_plugins.errors import PermissionsHeld
from stellatune_plugins.package.grants import Grant, asked_grants, is_asked
from stellatune_plugins.package.manifest import Manifest

LOCAL_NETWORK = "local:*"
"""Stands for the wish to reach this machine and the local network, which is granted host by host."""


class Widening(msgspec.Struct, frozen=True, kw_only=True):
    """What is new in what is asked for; empty where nothing is."""

    plugin: str
    from_version: str
    to_version: str
    grants: tuple[Grant, ...]
    local_network: bool = False

    def __bool__(self) -> bool:
        return bool(self.grants) or self.local_network

    def items(self) -> tuple[str, ...]:
        """Everything new, as text."""
        return (*map(str, self.grants), *((LOCAL_NETWORK,) if self.local_network else ()))

    def held(self) -> PermissionsHeld:
        """The error for an upgrade that nobody accepted."""
        flags = " ".join(f"--grant {shlex.quote(str(grant))}" for grant in self.grants)
        return PermissionsHeld(
            f"version {self.to_version} asks for more than {self.from_version}: {', '.join(self.items())}",
            plugin=self.plugin,
            operation="upgrade",
            hint=f"pass --accept to upgrade and grant none of it, or grant it: {flags or '--grant all'}",
            new=list(self.items()),
        )


def widening(before: Manifest, after: Manifest, granted: Collection[Grant] = ()) -> Widening:
    """Compare two versions.

    Args:
        before: the installed one. Where it states no permissions, only what was ``granted`` to it is known.
        after: the new one.
        granted: what the user granted to the installed one.
    """
    stated = before.permissions.stated
    known = {g for g in asked_grants(after) if (is_asked(before, g) if stated else g in granted)}
    local = after.permissions.local_network and not before.permissions.local_network
    return Widening(
        plugin=after.id,
        from_version=before.version,
        to_version=after.version,
        grants=tuple(g for g in asked_grants(after) if g not in known),
        local_network=local,
    )
