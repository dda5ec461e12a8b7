"""How a plugin is named on the command line: ``ID[/TYPE_ID][=JSON|=@FILE]``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from stellatune_plugins.errors import UsageError

MAX_CONFIG_BYTES = 1024 * 1024


class PluginSpec(NamedTuple):
    """A plugin, which of its abilities (``None``: its only one of the kind), and a configuration as JSON text."""

    plugin: str
    type_id: str | None = None
    config_json: str | None = None


def parse(text: str, option: str = "--dsp") -> PluginSpec:
    """Read one value of an option; a configuration's file is read at once.

    Raises:
        UsageError: it is written wrongly, its JSON does not parse or is no object, or its file cannot be read.
    """
    name, equals, config = text.partition("=")
    plugin, slash, type_id = name.partition("/")
    if not plugin or (slash and not type_id):
        raise _wrong(option, text, "it is written ID[/TYPE_ID][=JSON|=@FILE]")
    if not equals:
        return PluginSpec(plugin, type_id or None)
    if config.startswith("@"):
        config = _read(option, text, Path(config[1:]))
    return PluginSpec(plugin, type_id or None, _checked(option, text, config))


def parse_json(text: str, option: str) -> str:
    """Read an option that is a JSON object, or ``@FILE`` with one in it; gives the JSON text.

    Raises:
        UsageError: as :func:`parse`.
    """
    value = _read(option, text, Path(text[1:])) if text.startswith("@") else text
    return _checked(option, text, value, what="the value", example='\'{"backend": "pulseaudio"}\'')


def _read(option: str, text: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise _wrong(option, text, f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise _wrong(option, text, f"{path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(option, text, f"{path} is not UTF-8 text") from error


def _checked(
    option: str,
    text: str,
    config: str,
    *,
    what: str = "the configuration",
    example: str = "'dev.stellatune.gain={\"gain_db\": -3}'",
) -> str:
    try:
        value: Any = json.loads(config, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        hint = f"quote the JSON for the shell: {example}"
        raise _wrong(option, text, f"{what} is not JSON: {error}", hint=hint) from error
    if not isinstance(value, dict):
        raise _wrong(option, text, f"{what} is not a JSON object")
    return config


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _wrong(option: str, text: str, why: str, *, hint: str | None = None) -> UsageError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return UsageError(f"{option} {shown!r}: {why}", operation="command-line", hint=hint or "see --help")
