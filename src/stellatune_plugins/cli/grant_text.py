"""Permissions in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stellatune_plugins.package import FileAccess, Grant, GrantKind, Manifest, asked_grants
from stellatune_plugins.package.hosts import ANY_NAME, ANY_PORT

LOCAL_NETWORK: Final = "reach hosts of this machine and the local network that you name"
UNSTATED: Final = "its manifest does not say what it asks for; errors name what it lacks"


def asked(manifest: Manifest) -> list[str]:
    """What a plugin asks for, a line each."""
    lines = [words(grant) for grant in asked_grants(manifest)]
    return [*lines, LOCAL_NETWORK] if manifest.permissions.local_network else lines


def words(grant: Grant) -> str:
    """What a grant allows, to be read after "it may"."""
    return _WORDS[grant.kind](grant)


def _host(grant: Grant) -> str:
    host = grant.host
    name = "any host" if host.host == ANY_NAME else host.host
    if host.host.startswith("*."):
        name = f"any host below {host.host[2:]}"
    port = "" if host.port is None else " on any port" if host.port == ANY_PORT else f" on port {host.port}"
    return f"connect to {name}{port} by {host.scheme}"


def _local(grant: Grant) -> str:
    return f"reach {grant.value} on this machine or the local network"


def _files(grant: Grant) -> str:
    verb = "read and write" if grant.files.access is FileAccess.READ_WRITE else "read"
    return f"{verb} files below {grant.files.path}"


_WORDS: Final[dict[GrantKind, Callable[[Grant], str]]] = {
    GrantKind.HOST: _host,
    GrantKind.LOCAL: _local,
    GrantKind.FILES: _files,
    GrantKind.SIDECAR: lambda grant: f"run the program {grant.value}, in a sandbox",
    GrantKind.SIDECAR_NETWORK: lambda grant: f"give the program {grant.value} the network, all of it",
    GrantKind.SIDECAR_AUDIO: lambda grant: f"give the program {grant.value} the sound devices",
    GrantKind.UNSANDBOXED: lambda grant: f"run the program {grant.value} with all your rights, where no sandbox works",
    GrantKind.MEMORY: lambda grant: f"use {grant.value} MiB of memory an instance",
    GrantKind.DEADLINE: lambda grant: f"take {grant.tier.factor:g} times the usual time for its work",
}
