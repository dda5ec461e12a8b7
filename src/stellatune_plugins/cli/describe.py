"""Installed plugins as data and as text."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stellatune_plugins.cli.grant_text import asked
from stellatune_plugins.cli.text import printable, size
from stellatune_plugins.package import Grant, InstalledPlugin

if TYPE_CHECKING:
    from stellatune_plugins.native.records import NativePlugin


def summary(plugin: InstalledPlugin) -> dict[str, Any]:
    """The fields that lists show."""
    return {
        "id": plugin.id,
        "name": plugin.manifest.name,
        "version": plugin.version,
        "runtime": "wasm",
        "state": str(plugin.state),
        "abilities": [
            {"kind": str(key.kind), "type_id": key.type_id, "component": key.component_id}
            for key, _ in plugin.manifest.ability_keys()
        ],
        "bytes": plugin.receipt.total_bytes,
        "digest": plugin.receipt.package_sha256,
        "root": str(plugin.root),
    }


def native_details(entries: Sequence[NativePlugin]) -> dict[str, Any]:
    """What ``plugin info`` shows of a native plugin: its abilities, one entry each."""
    first = entries[0]
    return {
        "id": first.plugin_id,
        "name": first.distribution or first.entry,
        "version": first.version or "",
        "runtime": "native",
        "abilities": [
            {
                "kind": str(entry.kind),
                "type_id": entry.type_id,
                "entry": entry.entry,
                "state": str(entry.status),
                "detail": entry.detail,
            }
            for entry in entries
        ],
    }


def native_text(data: dict[str, Any]) -> str:
    """For a person."""
    lines = [f"{printable(data['id'])} {printable(data['version'])}, native, from {printable(data['name'])}"]
    for ability in data["abilities"]:
        lines.append(f"  {ability['kind']}/{printable(ability['type_id'])}  {printable(ability['entry'])}")
        if ability["detail"]:
            lines.append(f"    {printable(ability['detail'])}")
    lines.append("It runs in the program itself, without a sandbox; its documentation describes its configuration.")
    return "\n".join(lines)


def details(plugin: InstalledPlugin, previous: InstalledPlugin | None, granted: Collection[Grant]) -> dict[str, Any]:
    """Everything that ``plugin info`` shows; ``granted`` is what counts of the user's grants."""
    manifest, receipt = plugin.manifest, plugin.receipt
    return summary(plugin) | {
        "description": manifest.description,
        "license": manifest.license,
        "homepage": manifest.homepage,
        "previous_version": previous.version if previous else None,
        "installed_at": dt.datetime.fromtimestamp(receipt.installed_at_ms / 1000, dt.UTC).isoformat(timespec="seconds"),
        "source": receipt.source,
        "asks_for": asked(manifest),
        "granted": sorted(map(str, granted)),
        "components": [
            {
                "id": component.id,
                "world": component.world,
                "path": component.path,
                "abilities": [
                    {
                        "kind": str(ability.kind),
                        "type_id": ability.type_id,
                        "display_name": ability.display_name,
                        "config_schema": _json(ability.config_schema_json),
                        "default_config": _json(ability.default_config_json),
                    }
                    for ability in component.abilities
                ],
            }
            for component in manifest.components
        ],
        "files": [{"path": f.path, "bytes": f.size, "sha256": f.sha256} for f in receipt.files],
    }


def info_text(data: dict[str, Any]) -> str:
    """``plugin info`` for a person."""
    return "\n".join(_info_lines(data))


def _info_lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"{printable(data['name'])} ({data['id']}) {printable(data['version'])}"
    if data["description"]:
        yield printable(data["description"])
    yield ""
    for label, value in (
        ("licence", data["license"]),
        ("homepage", data["homepage"]),
        ("installed", f"{data['installed_at']} from {data['source']}"),
        ("earlier version", data["previous_version"]),
        ("folder", data["root"]),
        ("size", f"{size(data['bytes'])} in {len(data['files'])} files"),
        ("digest", f"sha256:{data['digest']}"),
    ):
        if value:
            yield f"{label + ':':16} {printable(value)}"
    yield f"{'asks for:':16} " + ("; ".join(map(printable, data["asks_for"])) or "nothing beyond its own folders")
    if data["asks_for"] or data["granted"]:
        yield f"{'granted:':16} " + (", ".join(map(printable, data["granted"])) or "nothing")
    for component in data["components"]:
        yield f"\ncomponent {component['id']}: {printable(component['path'])}, world {component['world']}"
        for ability in component["abilities"]:
            yield f"  {ability['kind']}/{ability['type_id']}  {printable(ability['display_name'] or '')}".rstrip()
            yield from _config_lines(ability["config_schema"], "    ")
            if ability["default_config"] is not None:
                yield f"    default: {printable(json.dumps(ability['default_config'], ensure_ascii=False))}"


def _config_lines(schema: object, indent: str) -> Iterator[str]:
    """The properties of a JSON schema, nested ones indented; what is no schema is left out."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(indent) > 16:
        return
    for name, field in properties.items():
        if isinstance(field, dict):
            yield f"{indent}{printable(name)}: {_field_text(field)}"
            yield from _config_lines(field, indent + "  ")
            yield from _config_lines(field.get("items"), indent + "  ")


def _field_text(field: dict[str, Any]) -> str:
    unit = f" {field['x-unit']}" if "x-unit" in field else ""
    parts = [str(field.get("type", "any"))]
    if isinstance(field.get("enum"), list):
        parts = [" | ".join(map(str, field["enum"]))]
    if "minimum" in field or "maximum" in field:
        parts.append(f"{field.get('minimum', '')} to {field.get('maximum', '')}{unit}")
    if "maxItems" in field:
        parts.append(f"at most {field['maxItems']}")
    if "default" in field and not isinstance(field["default"], (dict, list)):
        parts.append(f"default {json.dumps(field['default'], ensure_ascii=False)}")
    text = ", ".join(parts)
    if field.get("description"):
        text += f". {field['description']}"
    return printable(text)


def _json(text: str | None) -> Any:
    """The manifest's rules say that it parses."""
    return None if text is None else json.loads(text)
