"""Package folders with one actor each, ready to be installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guest_builder import GUESTS, build_component, with_part

from stellatune_plugins.model import AbilityKind

SOURCES = {
    AbilityKind.DECODER: "decoder_actor.c",
    AbilityKind.SOURCE: "source_actor.c",
    AbilityKind.LYRICS: "lyrics_actor.c",
    AbilityKind.DSP: "actor.c",
    AbilityKind.OUTPUT_SINK: "sink_actor.c",
}


def world_package(
    folder: Path,
    kind: AbilityKind,
    plugin: str,
    *,
    part: str = "",
    scores: Mapping[str, int] | None = None,
    wildcard: int | None = None,
    files: Mapping[str, bytes] | None = None,
    **ability: Any,
) -> Path:
    """A package of the kind's actor in a part, with ``files`` beside it and ``ability`` in its manifest's entry."""
    root = folder / plugin
    (root / "wasm").mkdir(parents=True)
    component = with_part(build_component(GUESTS / SOURCES[kind], kind.world_name), part)
    (root / "wasm" / "actor.wasm").write_bytes(component)
    for name, data in (files or {}).items():
        (root / name).write_bytes(data)
    if kind is AbilityKind.DECODER:
        rules: dict[str, Any] = {"ext_scores": [{"ext": ext, "score": score} for ext, score in (scores or {}).items()]}
        ability["decoder"] = rules if wildcard is None else rules | {"wildcard_score": wildcard}
    manifest = {
        "schema_version": 1,
        "id": plugin,
        "name": plugin.rpartition(".")[2].title(),
        "version": "1.0.0",
        "api_version": 1,
        "components": [
            {
                "id": "main",
                "path": "wasm/actor.wasm",
                "world": f"stellatune:plugin/{kind.world_name}@0.1.0",
                "abilities": [{"kind": kind.manifest_name, "type_id": "actor", **ability}],
            }
        ],
    }
    (root / "plugin.json").write_text(json.dumps(manifest))
    return root
