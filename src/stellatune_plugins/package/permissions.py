"""What a package asks for: the ``permissions`` field. Here it is read and checked; granting is another matter."""

from __future__ import annotations

from stellatune_plugins.package.fields import Fields
from stellatune_plugins.package.hosts import parse_host
from stellatune_plugins.package.manifest import (
    DeadlineTier,
    FileAccess,
    FilePermission,
    HostPermission,
    Permissions,
    SidecarPermission,
)
from stellatune_plugins.package.paths import path_fault

MAX_ASKED = 64
MAX_MEMORY_MIB = 4096
MAX_SIDECAR_ID = 512


def read_permissions(manifest: Fields) -> Permissions:
    """The ``permissions`` of a manifest; nothing asked for where the field is absent."""
    fields = manifest.child("permissions")
    if fields is None:
        return Permissions(stated=False)
    return Permissions(
        files=tuple(f for f in map(_file, fields.objects("files", MAX_ASKED)) if f),
        hosts=tuple(_hosts(fields)),
        local_network=fields.flag("local_network"),
        sidecar=fields.flag("sidecar"),
        sidecars=tuple(s for s in map(_sidecar, fields.objects("sidecars", MAX_ASKED)) if s),
        memory_mib=fields.integer("memory_mib", 1, MAX_MEMORY_MIB),
        deadline=fields.choice("deadline", DeadlineTier, DeadlineTier.STANDARD) or DeadlineTier.STANDARD,
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
        host = parse_host(text) if text == text.lower() else None
        if host is None:
            fields.note_at(
                path,
                "must be a host in lower case: a name, `*.` and a name of two parts, `*`, or an address, with https://,"
                " http://, tcp:// or udp:// before it and a port behind it where they are not https and the usual one",
            )
        else:
            found.append(host)
    return found


def _sidecar(fields: Fields) -> SidecarPermission | None:
    sidecar = fields.text("id", required=True, limit=MAX_SIDECAR_ID)
    network, audio = fields.flag("network"), fields.flag("audio")
    return None if sidecar is None else SidecarPermission(sidecar, network=network, audio=audio)
