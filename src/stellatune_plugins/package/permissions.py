"""What a package asks for: the ``permissions`` field. Here it is read and checked; granting is another matter."""

from __future__ import annotations

import ipaddress
import re

from stellatune_plugins.package.fields import Fields
from stellatune_plugins.package.manifest import FileAccess, FilePermission, HostPermission, Permissions
from stellatune_plugins.package.paths import path_fault

MAX_ASKED = 64
MAX_MEMORY_MIB = 4096

_NAME_PART = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)


def read_permissions(manifest: Fields) -> Permissions:
    """The ``permissions`` of a manifest; nothing asked for where the field is absent."""
    fields = manifest.child("permissions")
    if fields is None:
        return Permissions()
    return Permissions(
        files=tuple(f for f in map(_file, fields.objects("files", MAX_ASKED)) if f),
        hosts=tuple(_hosts(fields)),
        local_network=fields.flag("local_network"),
        sidecar=fields.flag("sidecar"),
        memory_mib=fields.integer("memory_mib", 1, MAX_MEMORY_MIB),
    )


def _file(fields: Fields) -> FilePermission | None:
    path = fields.text("path", required=True, limit=512)
    access = fields.choice("access", FileAccess, FileAccess.READ)
    if path is None or access is None:
        return None
    inner = path.removeprefix("~/") if path.startswith("~/") else path.removeprefix("/")
    if inner == path:
        fields.note("path", "must be absolute, or start with ~/")
        return None
    fault = path_fault(inner.removesuffix("/")) if inner else None
    if fault:
        fields.note("path", fault.message)
        return None
    return FilePermission(path, access)


def _hosts(fields: Fields) -> list[HostPermission]:
    found = []
    for path, text in fields.texts("hosts", MAX_ASKED, longest=300):
        host = parse_host(text)
        if host is None:
            fields.note_at(path, "must be a host's name in lower case, `*.` and a name of two parts, or an address")
        else:
            found.append(host)
    return found


def parse_host(text: str) -> HostPermission | None:
    """A host as a manifest writes it: ``api.example.org``, ``*.example.org:8443``, ``[::1]:80``; ``None`` if not."""
    match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", text, re.ASCII)
    if match is None:
        return None
    host, port = match[1], int(match[2]) if match[2] else None
    if port is not None and not 1 <= port <= 65535:
        return None
    return HostPermission(host, port) if _is_address(host) or _is_name(host) else None


def _is_address(host: str) -> bool:
    try:
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1])
        else:
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    name = host.removeprefix("*.")
    parts = name.split(".")
    if len(name) > 253 or parts[-1].isdigit() or (name != host and len(parts) < 2):
        return False
    return all(_NAME_PART.fullmatch(part) for part in parts)
