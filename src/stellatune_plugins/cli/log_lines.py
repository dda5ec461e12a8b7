"""A line of a log for a person."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from stellatune_plugins.cli.text import printable

_EVERYWHERE = frozenset({"time", "event", "plugin"})


def readable(line: bytes) -> str:
    """Time, event and fields on one line; what a guest or sidecar said comes in its own words."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return printable(line.decode("utf-8", "replace"))
    event = str(fields.get("event", ""))
    said = fields.get("text") if event == "guest.output" else None
    if said is not None:
        what = f"{fields.get('stream', '')}: {said}"
        what += f" (and {fields['cut']} characters more)" if fields.get("cut") else ""
    else:
        rest = {name: value for name, value in fields.items() if name not in _EVERYWHERE and value is not None}
        what = " ".join([event, *(f"{name}={_plain(value)}" for name, value in rest.items())])
    return f"{_time(fields.get('time'))}  {printable(what)}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f'"{text}"' if " " in text else text


def _time(text: object) -> str:
    try:
        return f"{dt.datetime.fromisoformat(str(text)).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return "?" * 19
