"""Results on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec


def print_json(data: Any) -> None:
    """One JSON document, indented, in ASCII-safe UTF-8 whatever the locale says."""
    text = msgspec.json.format(msgspec.json.encode(data, enc_hook=_plain), indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(text + b"\n")


def print_text(text: str) -> None:
    """Lines for a person; characters that the terminal's encoding lacks are escaped, never fatal."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no plain data")
