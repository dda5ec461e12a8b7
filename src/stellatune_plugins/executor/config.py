"""The configuration that an instance gets: the plugin's defaults under the user's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from stellatune_plugins.contract import Configurable
from stellatune_plugins.errors import ConfigRejected
from stellatune_plugins.executor.config_schema import MAX_CONFIG_BYTES, SchemaUnusable, check
from stellatune_plugins.executor.guest_text import clean
from stellatune_plugins.model import ConfigUpdateMode

OPERATION = "config.check"

Instance = TypeVar("Instance", bound=Configurable)


def effective_config(
    user_json: str | None,
    *,
    default_json: str | None = None,
    schema_json: str | None = None,
    plugin: str | None = None,
    capability: str | None = None,
) -> str | None:
    """The plugin's defaults, overlaid key by key (not deeper) with the user's JSON object.

    The user's values are checked against the schema; defaults alone are the plugin's own affair. The plugin has the
    last word in any case, when it is given the result.

    Returns:
        Compact JSON text; ``None`` where there are neither defaults nor values of the user.

    Raises:
        ConfigRejected: no JSON object, too large, or against the schema; ``details['keys']`` names what is wrong.
    """
    where = {"plugin": plugin, "capability": capability, "operation": OPERATION}
    if user_json is None and default_json is None:
        return None
    try:
        defaults = {} if default_json is None else _read(default_json)
    except ValueError as error:
        raise ConfigRejected(f"the plugin's default configuration is unusable: {error}", **where, keys=[]) from error
    if user_json is None:
        return _write(defaults)
    try:
        given = _read(user_json)
    except ValueError as error:
        raise ConfigRejected(f"the configuration is unusable: {error}", **where, keys=[]) from error
    merged = {**defaults, **given}
    if schema_json is not None:
        try:
            problems = check(merged, schema_json)
        except SchemaUnusable as error:
            raise ConfigRejected(
                f"the configuration cannot be checked: {error}",
                **where,
                hint="the plugin's configuration schema is at fault; report it to its author",
                keys=[],
            ) from error
        if problems:
            text = "; ".join(str(p) for p in problems)
            raise ConfigRejected(f"the configuration is not valid: {text}", **where, keys=[p.key for p in problems])
    return _write(merged)


def reconfigure(current: Instance, create: Callable[[], Instance], config_json: str) -> Instance:
    """Take a running instance to another configuration, the way that its own plan says.

    Args:
        current: the instance as it runs; it is closed where another one takes its place.
        create: makes a fresh instance of the same kind.
        config_json: the effective configuration.

    Returns:
        ``current``, or the fresh instance with the old one's state.

    Raises:
        ConfigRejected: the plan, or the instance, refuses; ``current`` goes on unchanged.
    """
    plan = current.plan_config(config_json)
    if plan.mode is ConfigUpdateMode.REJECT:
        raise ConfigRejected(plan.reason or "the plugin refuses this configuration", operation="config.plan")
    if plan.mode is ConfigUpdateMode.HOT_APPLY:
        current.apply_config(config_json)
        return current
    state = current.export_state()
    fresh = create()
    try:
        if state is not None:
            fresh.import_state(state)
        fresh.apply_config(config_json)
    except BaseException:
        fresh.close()
        raise
    current.close()
    return fresh


def _read(text: str) -> dict[str, Any]:
    if len(text.encode("utf-8", "replace")) > MAX_CONFIG_BYTES:
        raise ValueError(f"it has more than {MAX_CONFIG_BYTES} bytes")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"it is no JSON ({clean(str(error), 120)})") from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - a fault of the text, as the others are
    return value


def _write(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
