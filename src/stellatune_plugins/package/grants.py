"""Grants: what a user may allow a plugin, one by one, as text and as types; and what of it a manifest asks for.

A grant counts where it is asked for as well (:func:`is_asked`). It may be narrower than what is asked, never wider.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import UsageError
from stellatune_plugins.package.hosts import ANY_PORT, covers, host_text, is_address, parse_host
from stellatune_plugins.package.manifest import (
    DeadlineTier,
    FileAccess,
    FilePermission,
    HostPermission,
    Manifest,
    Permissions,
    SidecarNeed,
)
from stellatune_plugins.package.paths import shown
from stellatune_plugins.package.permissions import MAX_MEMORY_MIB

DEFAULT_MEMORY_MIB: Final = 256
"""What an instance may have without a grant."""

MAX_GRANT_TEXT: Final = 4096


class GrantKind(enum.StrEnum):
    """What kind of thing is allowed: the word before the colon."""

    HOST = "host"
    """Connect to a public host."""
    LOCAL = "local"
    """Connect to one host and port of this machine or the local network."""
    FILES = "files"
    """Read, or read and write, below a folder."""
    SIDECAR = "sidecar"
    """Run a native program, in its sandbox."""
    SIDECAR_NETWORK = "sidecar-network"
    SIDECAR_AUDIO = "sidecar-audio"
    UNSANDBOXED = "unsandboxed"
    """Run a native program without a sandbox where there is none. Never part of ``all``."""
    MEMORY = "memory"
    DEADLINE = "deadline"

    @property
    def is_single(self) -> bool:
        """Whether a plugin has at most one of these: a new one takes the old one's place."""
        return self in {GrantKind.MEMORY, GrantKind.DEADLINE}


_OF_SIDECARS = frozenset([GrantKind.SIDECAR, GrantKind.SIDECAR_NETWORK, GrantKind.SIDECAR_AUDIO, GrantKind.UNSANDBOXED])


class Grant(msgspec.Struct, frozen=True, order=True):
    """One thing that is allowed. Made by :func:`parse_grant`, so that equal grants are equal objects."""

    kind: GrantKind
    value: str
    """What comes after the colon, in its one canonical spelling."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"

    @property
    def host(self) -> HostPermission:
        """Of a ``host`` or ``local`` grant."""
        found = parse_host(self.value)
        assert found is not None, self  # noqa: S101 - parse_grant saw to it
        return found

    @property
    def files(self) -> FilePermission:
        """Of a ``files`` grant; the path is absolute."""
        if self.value.endswith(":rw"):
            return FilePermission(self.value.removesuffix(":rw"), FileAccess.READ_WRITE)
        return FilePermission(self.value, FileAccess.READ)

    @property
    def mib(self) -> int:
        """Of a ``memory`` grant."""
        return int(self.value)

    @property
    def tier(self) -> DeadlineTier:
        """Of a ``deadline`` grant."""
        return DeadlineTier(self.value)


def parse_grant(text: str) -> Grant:
    """Read what ``--grant`` takes, such as ``host:https://api.example.org`` or ``files:/music:rw``.

    Folders become absolute and free of links as of now: a link put in their way later takes the grant's force.

    Raises:
        UsageError: it is no grant.
    """
    word, colon, value = text.partition(":")
    try:
        kind = GrantKind(word)
    except ValueError:
        raise _refused(text, f"a grant starts with one of {', '.join(f'{k}:' for k in GrantKind)}") from None
    if not colon or not value or len(text) > MAX_GRANT_TEXT or not value.isprintable():
        raise _refused(text, "something printable must follow the colon")
    return Grant(kind, _canonical(kind, value, text))


def stored_grant(text: str) -> Grant | None:
    """Read back what :func:`parse_grant` made, to the letter; ``None`` where it did not make this.

    Links are not resolved again, for a link that came later would carry the grant elsewhere.
    """
    word, _, value = text.partition(":")
    try:
        grant = parse_grant(text) if word != GrantKind.FILES else None
    except UsageError:
        return None
    if grant is None:
        grant = Grant(GrantKind.FILES, value)
        path = grant.files.path
        if not _fits(path) or os.path.normpath(path) != path:
            return None
    return grant if str(grant) == text else None


def _canonical(kind: GrantKind, value: str, text: str) -> str:
    if kind in {GrantKind.HOST, GrantKind.LOCAL}:
        return _host_value(kind, value, text)
    if kind is GrantKind.FILES:
        return _files_value(value, text)
    if kind is GrantKind.MEMORY:
        if not re.fullmatch(r"[1-9][0-9]{0,3}", value, re.ASCII) or int(value) > MAX_MEMORY_MIB:
            raise _refused(text, f"memory is a whole number of MiB, 1 to {MAX_MEMORY_MIB}")
    elif kind is GrantKind.DEADLINE and value not in set(DeadlineTier):
        raise _refused(text, f"a deadline is one of {', '.join(DeadlineTier)}")
    return value


def _host_value(kind: GrantKind, value: str, text: str) -> str:
    host = parse_host(value)
    if host is None:
        hint = "write a host like https://api.example.org, http://*.example.org:8080, tcp://192.0.2.1:6600 or https://*"
        raise _refused(text, f"{hint}; names outside ASCII in their xn-- form")
    if kind is GrantKind.LOCAL and (host.host.startswith("*") or host.port == ANY_PORT):
        raise _refused(text, "a local grant names one host and one port, like local:http://127.0.0.1:4533")
    return host_text(host)


def _files_value(value: str, text: str) -> str:
    path, access = (value.removesuffix(":rw"), ":rw") if value.endswith(":rw") else (value, "")
    if not path.startswith(("/", "~/")) and path != "~":
        raise _refused(text, "a folder is absolute, or starts with ~/")
    found = _files_grant(path, access)
    if found is None:
        raise _refused(text, "the folder's real name has characters that a grant cannot carry; use another one")
    return found.value


def real_path(path: str) -> str:
    """Absolute, ``~`` expanded, every link on the way resolved; also for what is not there yet."""
    return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raise on a loop of links


def _files_grant(path: str, access: str) -> Grant | None:
    real = real_path(path)
    return Grant(GrantKind.FILES, f"{real}{access}") if _fits(real) else None


def _fits(path: str) -> bool:
    """Whether a grant can carry a path: a read grant whose folder's own name ends so would read back as another."""
    return path.startswith("/") and path.isprintable() and not path.endswith(":rw")


def _refused(text: str, why: str) -> UsageError:
    return UsageError(f"{shown(text)} is no grant", operation="grant", hint=why)


# --- asking ---------------------------------------------------------------------------------------------------------


def asked_grants(manifest: Manifest) -> tuple[Grant, ...]:
    """The grants that would give a plugin everything it asks for: what ``all`` means. ``unsandboxed`` is never in it.

    Of the local network they have only what the manifest names by address; the rest the user grants host by host.
    """
    return tuple(dict.fromkeys(_asked(manifest)))


def _asked(manifest: Manifest) -> Iterator[Grant]:
    asked = manifest.permissions
    yield from (Grant(GrantKind.HOST, host_text(host)) for host in asked.hosts)
    if asked.local_network:
        # Not names: whoever owns one would say by its address what "all" has opened.
        exact = (host for host in asked.hosts if is_address(host.host) and host.port != ANY_PORT)
        yield from (Grant(GrantKind.LOCAL, host_text(host)) for host in exact)
    for files in asked.files:
        found = _files_grant(files.path, ":rw" if files.access is FileAccess.READ_WRITE else "")
        if found is not None:
            yield found
    yield from _asked_of_sidecars(manifest)
    if asked.memory_mib is not None and asked.memory_mib > DEFAULT_MEMORY_MIB:
        yield Grant(GrantKind.MEMORY, str(asked.memory_mib))
    if asked.deadline.factor > 1:
        yield Grant(GrantKind.DEADLINE, asked.deadline)


def _asked_of_sidecars(manifest: Manifest) -> Iterator[Grant]:
    for sidecar, needs in sorted(asked_sidecars(manifest).items()):
        yield Grant(GrantKind.SIDECAR, sidecar)
        if SidecarNeed.NETWORK in needs:
            yield Grant(GrantKind.SIDECAR_NETWORK, sidecar)
        if SidecarNeed.AUDIO in needs:
            yield Grant(GrantKind.SIDECAR_AUDIO, sidecar)


def asked_sidecars(manifest: Manifest) -> dict[str, set[SidecarNeed]]:
    """Every sidecar that a manifest asks for, with all that it says it needs."""
    asked = manifest.permissions
    needs = {spec.id: set(spec.needs) for spec in manifest.sidecars}
    found: dict[str, set[SidecarNeed]] = {spec: needs[spec] for spec in needs if asked.sidecar}
    for sidecar in asked.sidecars:
        wanted = found.setdefault(sidecar.id, needs.get(sidecar.id, set()))
        if sidecar.network:
            wanted.add(SidecarNeed.NETWORK)
        if sidecar.audio:
            wanted.add(SidecarNeed.AUDIO)
    return found


def is_asked(manifest: Manifest, grant: Grant) -> bool:
    """Whether a manifest asks for all that this grant would give. One without ``permissions`` leaves it to the user."""
    asked = manifest.permissions
    if not asked.stated:
        return True
    if grant.kind in _OF_SIDECARS:
        needs = asked_sidecars(manifest).get(grant.value)
        wanted = {GrantKind.SIDECAR_NETWORK: SidecarNeed.NETWORK, GrantKind.SIDECAR_AUDIO: SidecarNeed.AUDIO}
        return needs is not None and (grant.kind not in wanted or wanted[grant.kind] in needs)
    return _is_asked(asked, grant)


def _is_asked(asked: Permissions, grant: Grant) -> bool:
    if grant.kind is GrantKind.HOST:
        return any(covers(host, grant.host) for host in asked.hosts)
    if grant.kind is GrantKind.LOCAL:
        return asked.local_network
    if grant.kind is GrantKind.FILES:
        return any(_holds(files, grant.files) for files in asked.files)
    if grant.kind is GrantKind.MEMORY:
        return asked.memory_mib is not None and grant.mib <= asked.memory_mib
    return grant.kind is GrantKind.DEADLINE and grant.tier.factor <= asked.deadline.factor


def _holds(asked: FilePermission, granted: FilePermission) -> bool:
    enough = asked.access is FileAccess.READ_WRITE or granted.access is FileAccess.READ
    return enough and Path(granted.path).is_relative_to(real_path(asked.path))


def is_part_of(granted: Grant, asked: Grant) -> bool:
    """Whether a grant gives the whole or a part of what another one would."""
    if granted.kind is not asked.kind:
        return False
    if granted.kind is GrantKind.HOST:
        return covers(asked.host, granted.host)
    if granted.kind is GrantKind.FILES:
        return _holds(asked.files, granted.files)
    return granted == asked or granted.kind.is_single


def effective_grants(manifest: Manifest, granted: Iterable[Grant]) -> frozenset[Grant]:
    """What is both asked for and granted."""
    return frozenset(grant for grant in granted if is_asked(manifest, grant))


def grant_for_host(scheme: str, host: str, port: int, *, local: bool = False) -> str | None:
    """The text that would allow a connection; ``None`` where nothing can. ``host`` is canonical."""
    found = parse_host(f"{scheme}://{host}:{port}")
    if found is None:
        return None
    return f"{GrantKind.LOCAL if local else GrantKind.HOST}:{host_text(found)}"
