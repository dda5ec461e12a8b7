"""From bytes to a :class:`Manifest`: every rule of the contract, all problems at once."""

from __future__ import annotations

import re
from typing import Any

from stellatune_plugins.errors import ManifestInvalid, Problem
from stellatune_plugins.model import AbilityKind, ComponentId, PluginId, TypeId
from stellatune_plugins.package.fields import Fields
from stellatune_plugins.package.manifest import (
    API_VERSION,
    SCHEMA_VERSION,
    AbilitySpec,
    ComponentSpec,
    DecoderRules,
    Manifest,
    RawManifest,
    SidecarNeed,
    SidecarRestart,
    SidecarScope,
    SidecarSpec,
    SidecarStart,
    TransportKind,
    TransportOption,
)
from stellatune_plugins.package.paths import folded, shown
from stellatune_plugins.package.permissions import read_permissions
from stellatune_plugins.package.strict_json import ROOT, JsonRefused, parse_text, read_json

MAX_MANIFEST_BYTES = 256 * 1024
MAX_PLUGIN_ID = 128
MAX_PROBLEMS = 100
"""More than these are counted, not listed."""
MAX_LIST = 256
MAX_U32 = 0xFFFF_FFFF

_PLUGIN_ID = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*", re.ASCII)
_WORLD = re.compile(r"stellatune:plugin/([a-z-]+)@0\.1\.(0|[1-9][0-9]{0,8})", re.ASCII)
_WORLD_NAMES = frozenset(kind.world_name for kind in AbilityKind)


def is_plugin_id(text: str) -> bool:
    """Whether a text is a plugin id, and so may become the name of a folder."""
    return len(text) <= MAX_PLUGIN_ID and _PLUGIN_ID.fullmatch(text) is not None


def parse_manifest(data: bytes) -> Manifest:
    """Read and check a ``plugin.json``.

    Raises:
        ManifestInvalid: with every breach of the contract, each under its field path.
    """
    problems: list[Problem] = []
    raw = _read_raw(data, problems)
    return validate_manifest(raw, problems)


def read_raw_manifest(data: bytes) -> RawManifest:
    """Read a ``plugin.json`` without checking more than its syntax; raises :class:`ManifestInvalid`."""
    problems: list[Problem] = []
    raw = _read_raw(data, problems)
    if problems:
        raise _invalid(problems)
    return raw


def validate_manifest(raw: RawManifest, earlier: list[Problem] | None = None) -> Manifest:
    """Check a document's fields; ``earlier`` problems, of its syntax, are reported along."""
    problems = list(earlier or ())
    fields = Fields(raw.data, "", problems)
    fields.integer("schema_version", SCHEMA_VERSION, SCHEMA_VERSION, required=True)
    fields.integer("api_version", API_VERSION, API_VERSION, required=True)
    plugin_id = _plugin_id(fields)
    name = fields.text("name", required=True)
    version = fields.text("version", required=True, limit=64)
    manifest = Manifest(
        id=PluginId(plugin_id or ""),
        name=name or "",
        version=version or "",
        components=_components(fields),
        description=fields.text("description", limit=4096, lines=True),
        license=fields.text("license"),
        homepage=_homepage(fields),
        permissions=read_permissions(fields),
        sidecars=_sidecars(fields),
        raw=raw,
    )
    if problems:
        raise _invalid(problems, plugin=plugin_id)
    return manifest


def _read_raw(data: bytes, problems: list[Problem]) -> RawManifest:
    try:
        value, found = read_json(data, max_bytes=MAX_MANIFEST_BYTES)
    except JsonRefused as error:
        raise _invalid(error.problems) from error
    if not isinstance(value, dict):
        raise _invalid([Problem(ROOT, "must be an object")])
    problems.extend(found)
    return RawManifest(value)


def _invalid(problems: Any, plugin: str | None = None) -> ManifestInvalid:
    problems = list(problems)
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS
        problems = [*problems[:MAX_PROBLEMS], Problem(ROOT, f"and {rest} more problems")]
    return ManifestInvalid(problems, plugin=plugin)


def _plugin_id(fields: Fields) -> str | None:
    text = fields.text("id", required=True, limit=MAX_PLUGIN_ID)
    if text is not None and not is_plugin_id(text):
        fields.note("id", "must be lower-case letters and digits, in parts joined by single dots or hyphens")
        return None
    return text


def _homepage(fields: Fields) -> str | None:
    text = fields.text("homepage", limit=2048)
    if text is not None and not re.fullmatch(r"https?://[^\s\"'<>`\\]+", text):
        fields.note("homepage", "must be an http or https address")
        return None
    return text


# --- components and abilities ---------------------------------------------------------------------------------------


def _components(manifest: Fields) -> tuple[ComponentSpec, ...]:
    found: list[ComponentSpec] = []
    ids: set[str] = set()
    bound: set[tuple[AbilityKind, str]] = set()
    for fields in manifest.objects("components", MAX_LIST, required=True):
        component_id = fields.text("id", required=True)
        if component_id is not None and component_id in ids:
            fields.note("id", f"{shown(component_id)} is the id of an earlier component")
        ids.add(component_id or "")
        path = fields.relative_path("path")
        world, kind = _world(fields)
        abilities = []
        for ability_fields in fields.objects("abilities", MAX_LIST, required=True):
            ability = _ability(ability_fields, kind)
            if ability is None:
                continue
            if (ability.kind, ability.type_id) in bound:
                ability_fields.note("type_id", f"{ability.kind} {shown(ability.type_id)} is there already")
            bound.add((ability.kind, ability.type_id))
            abilities.append(ability)
        found.append(
            ComponentSpec(
                id=ComponentId(component_id or ""), path=path or "", world=world or "", abilities=tuple(abilities)
            )
        )
    return tuple(found)


def _world(fields: Fields) -> tuple[str | None, AbilityKind | None]:
    text = fields.text("world", required=True)
    if text is None:
        return None, None
    match = _WORLD.fullmatch(text)
    if match is None or match[1] not in _WORLD_NAMES:
        fields.note("world", f"is {shown(text)}; must read like stellatune:plugin/dsp-plugin@0.1.0")
        return None, None
    return text, AbilityKind(match[1].removesuffix("-plugin"))


def _ability(fields: Fields, world: AbilityKind | None) -> AbilitySpec | None:
    kind = _kind(fields)
    if kind is not None and world is not None and kind is not world:
        fields.note("kind", f"is {kind}, which the component's world {world.world_name} does not export")
    type_id = fields.text("type_id", required=True)
    display_name = fields.text("display_name")
    schema = _json_text(fields, "config_schema_json")
    default = _json_text(fields, "default_config_json")
    decoder = _decoder_rules(fields) if kind is AbilityKind.DECODER else None
    if kind is None or type_id is None:
        return None
    return AbilitySpec(
        kind=kind,
        type_id=TypeId(type_id),
        display_name=display_name,
        config_schema_json=schema,
        default_config_json=default,
        decoder=decoder,
    )


def _kind(fields: Fields) -> AbilityKind | None:
    text = fields.text("kind", required=True)
    if text is None:
        return None
    for kind in AbilityKind:
        if text in {kind.value, kind.manifest_name}:
            return kind
    fields.note("kind", f"is {shown(text)}; must be one of {', '.join(k.manifest_name for k in AbilityKind)}")
    return None


def _json_text(fields: Fields, key: str) -> str | None:
    text = fields.document(key)
    if text is not None:
        try:
            parse_text(text)
        except JsonRefused as error:
            fields.note(key, f"holds no JSON: {error.problems[0].message}")
    return text


def _decoder_rules(fields: Fields) -> DecoderRules | None:
    rules = fields.child("decoder")
    if rules is None:
        if not fields.has("decoder"):
            fields.note("decoder", "is missing; a decoder says which files it takes")
        return None
    scores: dict[str, int] = {}
    for entry in rules.objects("ext_scores", MAX_LIST):
        ext = entry.text("ext", required=True, limit=32)
        score = entry.integer("score", 0, MAX_U32, required=True)
        if ext is None or score is None:
            continue
        ext = ext.strip().removeprefix(".").lower()
        if ext in {"", "*"}:
            entry.note("ext", "must name an extension; wildcard_score stands for all others")
        elif ext in scores:
            entry.note("ext", f"{shown(ext)} is there already")
        else:
            scores[ext] = score
    return DecoderRules(tuple(scores.items()), rules.integer("wildcard_score", 0, MAX_U32))


# --- sidecars -------------------------------------------------------------------------------------------------------


def _sidecars(manifest: Fields) -> tuple[SidecarSpec, ...]:
    found: list[SidecarSpec] = []
    ids: set[str] = set()
    for fields in manifest.objects("sidecars", 16):
        sidecar_id = fields.text("id", required=True, limit=64)
        if sidecar_id is not None and folded(sidecar_id) in ids:
            fields.note("id", f"{shown(sidecar_id)} is the id of an earlier sidecar")
        ids.add(folded(sidecar_id or ""))
        found.append(
            SidecarSpec(
                id=sidecar_id or "",
                executable=fields.relative_path("executable") or "",
                args=tuple(text for _, text in fields.texts("args", MAX_LIST, longest=4096)),
                start=fields.choice("start", SidecarStart, SidecarStart.ON_DEMAND) or SidecarStart.ON_DEMAND,
                scope=fields.choice("scope", SidecarScope, SidecarScope.INSTANCE) or SidecarScope.INSTANCE,
                transports=tuple(t for t in map(_transport, fields.objects("transports", 16)) if t),
                restart=fields.choice("restart", SidecarRestart, SidecarRestart.NEVER) or SidecarRestart.NEVER,
                needs=fields.choices("needs", SidecarNeed),
            )
        )
    return tuple(found)


def _transport(fields: Fields) -> TransportOption | None:
    kind = fields.choice("kind", TransportKind)
    priority = fields.integer("priority", 0, 255)
    frame = fields.integer("max_frame_bytes", 1, MAX_U32)
    return None if kind is None else TransportOption(kind, priority or 0, frame)
