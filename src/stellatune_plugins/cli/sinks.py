"""What the output sinks of both runtimes can play to."""

from __future__ import annotations

from typing import Any

import msgspec

from stellatune_plugins.cli.options import Common
from stellatune_plugins.cli.plugin_spec import PluginSpec
from stellatune_plugins.cli.workbench import Workbench
from stellatune_plugins.errors import GuestContract, StellatuneError
from stellatune_plugins.model import AbilityKind, RuntimeRoute
from stellatune_plugins.registry import PluginRuntime, Resolved

MAX_TARGETS = 1_000
"""Of one sink."""


def targets(spec: PluginSpec | None, route: RuntimeRoute, common: Common) -> list[dict[str, Any]]:
    """One entry a sink; what goes wrong with one is its entry's ``error``, and does not keep the others away.

    Raises:
        StellatuneError: the one sink that was named cannot be asked.
    """
    with Workbench(common, route=route) as bench:
        runtime = bench.runtime
        if spec is not None:
            found = runtime.catalog.find(AbilityKind.OUTPUT_SINK, spec.plugin, spec.type_id)
            listed = [_entry(found, _targets(runtime, found, spec.config_json))]
        else:
            listed = [_asked(runtime, found) for found in runtime.catalog.of_kind(AbilityKind.OUTPUT_SINK)]
        bench.compile_note.clear()
    return listed


def _asked(runtime: PluginRuntime, found: Resolved) -> dict[str, Any]:
    try:
        return _entry(found, _targets(runtime, found, None))
    except StellatuneError as error:
        return _entry(found, []) | {"error": error.to_dict()}


def _targets(runtime: PluginRuntime, found: Resolved, config_json: str | None) -> list[Any]:
    opened = runtime.open_sink(found.key.plugin_id, type_id=found.key.type_id, config_json=config_json)
    try:
        listed = msgspec.json.decode(opened.instance.list_targets_json())
    except (msgspec.DecodeError, RecursionError) as error:
        raise GuestContract("the sink's targets are no JSON", plugin=found.key.plugin_id) from error
    finally:
        opened.instance.close()
    if not isinstance(listed, list):
        raise GuestContract("the sink's targets are no list", plugin=found.key.plugin_id)
    return listed[:MAX_TARGETS]


def _entry(found: Resolved, listed: list[Any]) -> dict[str, Any]:
    return {
        "plugin": found.key.plugin_id,
        "type_id": found.key.type_id,
        "runtime": str(found.runtime),
        "name": found.display_name,
        "targets": listed,
        "error": None,
    }
