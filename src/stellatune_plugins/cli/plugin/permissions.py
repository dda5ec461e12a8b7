"""``stellatune plugin permissions``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from stellatune_plugins.cli.consent import named
from stellatune_plugins.cli.grant_text import LOCAL_NETWORK, UNSTATED, words
from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.output import print_json, print_text
from stellatune_plugins.cli.text import printable, table
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import GrantRefused
from stellatune_plugins.package import AuditEntry, Grant, Grants, Manifest, asked_grants
from stellatune_plugins.package.grants import is_part_of, stored_grant

AUDIT_LINES = 100


def permissions(
    plugin: str,
    /,
    *,
    grant: Annotated[tuple[str, ...], Parameter(name="--grant", negative=())] = (),
    revoke: Annotated[tuple[str, ...], Parameter(name="--revoke", negative=())] = (),
    audit: bool = False,
    common: Common | None = None,
) -> None:
    """Show what a plugin asks for and was granted; grant and revoke.

    A grant reads like `host:https://api.example.org`, `local:http://127.0.0.1:4533`, `files:/music`,
    `files:/music:rw`, `sidecar:ID`, `sidecar-network:ID`, `sidecar-audio:ID`, `unsandboxed:ID`, `memory:512` or
    `deadline:patient`. It counts for this version of the plugin, from the next time that it is enabled.

    Args:
        plugin: The plugin's id.
        grant: Grant this; `all` for everything that it asks for, except to run without a sandbox. May be repeated.
        revoke: Take this back, before anything is granted; `all` for everything. May be repeated.
        audit: Show what was granted, revoked and denied, newest first.
        common: Options of every command.
    """
    common = common or Common()
    with Workbench(common) as bench:
        manifest = bench.store.get(plugin).manifest
        wanted = named(grant, _everything(manifest) if "all" in grant else ())
        bench.grants.require_grantable(manifest, wanted)  # before anything is revoked
        unwanted = None if "all" in revoke else _named_as_kept(revoke)
        revoked = bench.grants.revoke(manifest, unwanted) if revoke else ()
        granted = bench.grants.grant(manifest, wanted) if grant else ()
        data = _data(manifest, bench.grants) | {
            "newly_granted": list(map(str, granted)),
            "revoked": list(map(str, revoked)),
        }
        entries = bench.grants.audit(manifest.id, limit=AUDIT_LINES) if audit else ()
    if audit:
        data["audit"] = [_entry(entry) for entry in entries]
    if common.json:
        print_json(data)
    else:
        print_text("\n".join(_lines(data)))


def _named_as_kept(texts: Iterable[str]) -> tuple[Grant, ...]:
    """Grants to revoke: as they were kept, also where a link has taken a granted folder's place since."""
    return tuple(grant for text in texts for grant in (stored_grant(text), *named([text], ())) if grant is not None)


def _everything(manifest: Manifest) -> tuple[Grant, ...]:
    everything = asked_grants(manifest)
    if not everything:
        raise GrantRefused(
            "the plugin asks for nothing that could be granted at once",
            plugin=manifest.id,
            operation="grant",
            hint="name what to grant, such as --grant local:http://127.0.0.1:4533",
        )
    return everything


def _data(manifest: Manifest, grants: Grants) -> dict[str, Any]:
    held = sorted(grants.granted(manifest))
    return {
        "id": manifest.id,
        "version": manifest.version,
        "stated": manifest.permissions.stated,
        "local_network": manifest.permissions.local_network,
        "asked": [
            {"grant": str(wish), "text": words(wish), "granted": _how_far(wish, held)}
            for wish in asked_grants(manifest)
        ],
        "granted": [{"grant": str(grant), "text": words(grant)} for grant in held],
    }


def _how_far(wish: Grant, held: list[Grant]) -> str:
    if wish in held:
        return "yes"
    return "in part" if any(is_part_of(grant, wish) for grant in held) else "no"


def _entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "action": str(entry.action),
        "version": entry.version,
        "item": entry.item,
        "detail": entry.detail,
        "first": _time(entry.first_ms),
        "last": _time(entry.last_ms),
        "times": entry.times,
    }


def _time(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).isoformat(timespec="seconds")


def _lines(data: dict[str, Any]) -> Iterator[str]:
    for key, verb in (("revoked", "revoked"), ("newly_granted", "granted")):
        for item in data[key]:
            yield f"{verb} {printable(item)}"
    yield f"{data['id']} {printable(data['version'])}"
    if data["asked"]:
        yield table(["ASKS FOR", "GRANTED", "TO"], [[a["grant"], a["granted"], a["text"]] for a in data["asked"]])
    if data["local_network"]:
        yield f"asks to {LOCAL_NETWORK}: --grant local:http://HOST:PORT"
    if not data["stated"]:
        yield UNSTATED
    elif not data["asked"] and not data["local_network"]:
        yield "asks for nothing beyond its own folders"
    asked = {a["grant"] for a in data["asked"]}
    for item in data["granted"]:
        if item["grant"] not in asked:
            yield f"granted {printable(item['grant'])}: {printable(item['text'])}"
    if data.get("audit"):
        rows = [[e["last"], e["action"], e["version"], e["item"], _what(e)] for e in data["audit"]]
        yield ""
        yield table(["TIME", "WHAT", "VERSION", "GRANT", "DETAIL"], rows)


def _what(entry: dict[str, Any]) -> str:
    return str(entry["detail"]) + (f", {entry['times']} times" if entry["times"] > 1 else "")
