"""Packages and native records as the catalogue meets them, made from plain data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stellatune_plugins.model import AbilityKind, PluginId, TypeId
from stellatune_plugins.native import NativePlugin, NativeStatus
from stellatune_plugins.package import InstalledPlugin, parse_manifest

MakePackage = Callable[..., InstalledPlugin]
MakeNative = Callable[..., NativePlugin]


@pytest.fixture
def package(tmp_path: Path) -> MakePackage:
    """Makes an installed plugin from ``(kind, type_id)`` pairs; its files are never read."""

    def make(plugin: str, *abilities: tuple[str, str], **extra: Any) -> InstalledPlugin:
        document = {
            "schema_version": 1,
            "id": plugin,
            "name": plugin.title(),
            "version": "1.0.0",
            "api_version": 1,
            "components": [
                {
                    "id": f"c{index}",
                    "path": f"wasm/c{index}.wasm",
                    "world": f"stellatune:plugin/{kind}-plugin@0.1.0",
                    "abilities": [{"kind": kind, "type_id": type_id, **extra}],
                }
                for index, (kind, type_id) in enumerate(abilities)
            ],
        }
        manifest = parse_manifest(msgspec.json.encode(document))
        return InstalledPlugin(manifest, tmp_path / plugin, receipt=None)  # type: ignore[arg-type]

    return make


@pytest.fixture
def native() -> MakeNative:
    """Makes a native record."""

    def make(
        plugin: str, kind: AbilityKind, type_id: str, status: NativeStatus = NativeStatus.FOUND, entry: str = "a:b"
    ) -> NativePlugin:
        return NativePlugin(plugin_id=PluginId(plugin), kind=kind, type_id=TypeId(type_id), entry=entry, status=status)

    return make
