"""What one plugin of one version may do: asked for by its manifest *and* granted by the user."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import msgspec

from stellatune_plugins.errors import PluginFailure, StoreFailed
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.grants import (
    DEFAULT_MEMORY_MIB,
    Grant,
    GrantKind,
    effective_grants,
    real_path,
)
from stellatune_plugins.package.hosts import canonical_host, matches
from stellatune_plugins.package.manifest import DeadlineTier, FileAccess, FilePermission, HostPermission, Manifest
from stellatune_plugins.package.manifest_reader import is_plugin_id
from stellatune_plugins.package.paths import shown


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """A guest wanted something that it may not have."""

    plugin: PluginId
    version: str
    what: str
    """What it tried, such as ``open a file``."""
    wanted: str
    """What it wanted, in its own words."""
    grant: str | None
    """The grant that would allow it; ``None`` where none can."""


OnDenied = Callable[[Denial], None]


class SidecarGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A sidecar that may be run, and what it may have beyond its sandbox."""

    id: str
    network: bool = False
    audio: bool = False
    unsandboxed: bool = False


class Authority:
    """Immutable: what a user grants or revokes counts from the plugin's next activation on.

    Make it by :meth:`of`; the plain constructor grants what it is given without asking whether it was asked for.

    Args:
        plugin: whose.
        version: the version that is active.
        root: the package's folder, which may be read.
        data_folder: where the plugin's own data folder lies, or is to be made.
        granted: what may be done beyond the two.
        memory_mib: what the plugin asked for.
        deadline: what the plugin asked for.
        on_denied: hears of every denial, in the guest's thread.
    """

    def __init__(
        self,
        plugin: PluginId,
        version: str,
        root: Path,
        data_folder: Path,
        *,
        granted: Iterable[Grant] = (),
        memory_mib: int | None = None,
        deadline: DeadlineTier = DeadlineTier.STANDARD,
        on_denied: OnDenied | None = None,
    ) -> None:
        if not is_plugin_id(plugin):
            raise ValueError(f"{shown(plugin)} is no plugin id")
        self._plugin = plugin
        self._version = version
        self._root = root
        self._data_folder = data_folder
        self._granted = frozenset(granted)
        self._hosts = self._of_hosts(GrantKind.HOST)
        self._local = self._of_hosts(GrantKind.LOCAL)
        self._memory_mib = self._memory(memory_mib)
        self._tier = self._deadline(deadline)
        self._on_denied = on_denied

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        root: Path,
        data_folder: Path,
        granted: Iterable[Grant],
        *,
        on_denied: OnDenied | None = None,
    ) -> Self:
        """Of one version: what of ``granted`` its manifest asks for."""
        return cls(
            manifest.id,
            manifest.version,
            root,
            data_folder,
            granted=effective_grants(manifest, granted),
            memory_mib=manifest.permissions.memory_mib,
            deadline=manifest.permissions.deadline,
            on_denied=on_denied,
        )

    # --- who --------------------------------------------------------------------------------------------------------

    @property
    def plugin(self) -> PluginId:
        """Whose authority this is."""
        return self._plugin

    @property
    def version(self) -> str:
        """The plugin's version."""
        return self._version

    @property
    def granted(self) -> frozenset[Grant]:
        """What is both asked for and granted."""
        return self._granted

    # --- files ------------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The package's folder: read-only."""
        return self._root

    @property
    def data(self) -> Path:
        """The plugin's own folder, read-write, private to the user; made when it is asked for first.

        Raises:
            StoreFailed: it cannot be made, or something else is in its place.
        """
        folder = self._data_folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.is_symlink():
                raise StoreFailed(f"{folder} is a link, not the plugin's data folder", plugin=self._plugin)
        except OSError as error:
            raise StoreFailed(f"the plugin's data folder cannot be made: {error}", plugin=self._plugin) from error
        return folder

    def file_roots(self) -> tuple[FilePermission, ...]:
        """What may be read or written, by absolute path: the package, the data folder, and what is granted.

        A root below another one that allows as much is left out. So is one that a link has taken the place of since
        it was granted, itself or on the way to it: it is no longer what the user saw.
        """
        granted = [grant.files for grant in sorted(self._granted) if grant.kind is GrantKind.FILES]
        mine = [FilePermission(str(self._root), FileAccess.READ), FilePermission(str(self.data), FileAccess.READ_WRITE)]
        kept = [files for files in granted if real_path(files.path) == files.path]
        return (*mine, *(files for files in kept if not any(_makes_idle(o, files) for o in kept)))

    # --- network ----------------------------------------------------------------------------------------------------

    def may_connect(self, scheme: str, host: str, port: int) -> bool:
        """Whether this host may be asked for by this name (scheme ``https``, ``http``, ``tcp`` or ``udp``).

        Its addresses must be public all the same, or :meth:`may_reach_local`.
        """
        name = canonical_host(host)
        if name is None:
            return False
        return any(matches(pattern, scheme, name, port) for pattern in (*self._hosts, *self._local))

    def may_reach_local(self, scheme: str, host: str, port: int) -> bool:
        """Whether this host and port, so named, may have an address of this machine or the local network."""
        name = canonical_host(host)
        return name is not None and any(matches(pattern, scheme, name, port) for pattern in self._local)

    # --- sidecars ---------------------------------------------------------------------------------------------------

    def sidecar(self, sidecar_id: str) -> SidecarGrant | None:
        """What this sidecar may do; ``None`` where it may not be run."""
        if not self._has(GrantKind.SIDECAR, sidecar_id):
            return None
        return SidecarGrant(
            id=sidecar_id,
            network=self._has(GrantKind.SIDECAR_NETWORK, sidecar_id),
            audio=self._has(GrantKind.SIDECAR_AUDIO, sidecar_id),
            unsandboxed=self._has(GrantKind.UNSANDBOXED, sidecar_id),
        )

    # --- limits -----------------------------------------------------------------------------------------------------

    @property
    def memory_mib(self) -> int | None:
        """Linear memory of one instance; ``None`` for the host's default. Above the default only where granted."""
        return self._memory_mib

    @property
    def deadline_tier(self) -> DeadlineTier:
        """How long calls may take. Longer than standard only where granted."""
        return self._tier

    # --- denying ----------------------------------------------------------------------------------------------------

    def denied(self, what: str, wanted: str, grant: str | None) -> PluginFailure:
        """Record a denial and give the failure to raise.

        Args:
            what: what was tried, as in "may not ...": ``connect to``, ``open the file``.
            wanted: the guest's own words.
            grant: the text for ``--grant`` that would allow it; ``None`` where none can.
        """
        denial = Denial(plugin=self._plugin, version=self._version, what=what, wanted=wanted, grant=grant)
        if self._on_denied is not None:
            self._on_denied(denial)
        return PluginFailure(
            "denied",
            f"the plugin may not {what} {shown(wanted)}",
            plugin=self._plugin,
            hint=denial_hint(self._plugin, grant),
            grant=grant,
        )

    # ---------------------------------------------------------------------------------------------------------------

    def _has(self, kind: GrantKind, value: str) -> bool:
        return Grant(kind, value) in self._granted

    def _of_hosts(self, kind: GrantKind) -> tuple[HostPermission, ...]:
        return tuple(grant.host for grant in sorted(self._granted) if grant.kind is kind)

    def _memory(self, asked: int | None) -> int | None:
        allowed = max((g.mib for g in self._granted if g.kind is GrantKind.MEMORY), default=None)
        if asked is None:
            return allowed
        if allowed is not None:
            return min(asked, allowed)
        return asked if asked <= DEFAULT_MEMORY_MIB else None

    def _deadline(self, asked: DeadlineTier) -> DeadlineTier:
        granted = [g.tier for g in self._granted if g.kind is GrantKind.DEADLINE]
        if granted:
            return max(granted, key=lambda tier: tier.factor)
        return asked if asked.factor <= 1 else DeadlineTier.STANDARD


def denial_hint(plugin: str, grant: str | None) -> str:
    """What the reader of a denial can do."""
    if grant is None:
        return "no grant allows this; report it to the plugin's author"
    return f"`stellatune plugin permissions {plugin} --grant {shlex.quote(grant)}` allows it"


def _makes_idle(other: FilePermission, files: FilePermission) -> bool:
    """Whether ``other`` is another root that holds this one and allows as much."""
    allows = other.access is FileAccess.READ_WRITE or files.access is FileAccess.READ
    return other != files and allows and os.path.commonpath([other.path, files.path]) == other.path
