"""JSON as a hostile author might write it: read strictly, every breach noted with its place."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from stellatune_plugins.errors import Problem

MAX_NESTING = 32

# Possessive, and content with a missing end quote, so that the time is linear for any text.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

ROOT = "$"
"""The path of the document itself."""


class JsonRefused(Exception):
    """Raised when text is no JSON that could be looked into further; ``problems`` says why."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(p.message for p in problems))
        self.problems = problems


class _Object(dict[str, Any]):
    """An object that remembers which keys were given more than once."""

    repeated: tuple[str, ...] = ()


def read_json(data: bytes, *, max_bytes: int) -> tuple[Any, list[Problem]]:
    """The value, and problems that do not hinder reading on (repeated keys, bad text, numbers out of range).

    Raises:
        JsonRefused: where nothing can be read on: too long, not UTF-8, a byte order mark, too deep, not JSON.
    """
    if len(data) > max_bytes:
        raise JsonRefused(Problem(ROOT, f"longer than {max_bytes} bytes"))
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise JsonRefused(Problem(ROOT, "starts with a byte order mark"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonRefused(Problem(ROOT, f"not UTF-8, from byte {error.start} on")) from error
    value = parse_text(text)
    problems: list[Problem] = []
    _inspect(value, "", problems)
    return value, problems


def parse_text(text: str) -> Any:
    """A JSON text, nested at most :data:`MAX_NESTING` deep, without ``NaN`` and ``Infinity``."""
    if _nesting(text) > MAX_NESTING:
        raise JsonRefused(Problem(ROOT, f"nested more than {MAX_NESTING} levels deep"))
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or an integer of thousands of digits
        raise JsonRefused(Problem(ROOT, f"not JSON: {error}")) from error


def _nesting(text: str) -> int:
    depth = deepest = 0
    for char in _STRING.sub("", text):
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        result.repeated = tuple(key for key, count in counts.items() if count > 1)
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _inspect(value: Any, path: str, problems: list[Problem]) -> None:
    if isinstance(value, dict):
        problems.extend(
            Problem(field(path, key), "the key is there more than once") for key in getattr(value, "repeated", ())
        )
        for key, item in value.items():
            _inspect_text(key, field(path, key), problems)
            _inspect(item, field(path, key), problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _inspect(item, f"{path}[{index}]", problems)
    elif isinstance(value, str):
        _inspect_text(value, path, problems)
    elif isinstance(value, float) and not math.isfinite(value):
        problems.append(Problem(path, "the number is too large"))


def _inspect_text(text: str, path: str, problems: list[Problem]) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        problems.append(Problem(path, "has a lone surrogate, so it is not valid Unicode"))


def field(path: str, key: str) -> str:
    """The path of a field; a key that is no plain word is quoted and cut, since it is foreign text."""
    plain = key.isascii() and key.replace("_", "").isalnum() and len(key) <= 64
    name = key if plain else f"[{key[:64]!a}]"
    return f"{path}.{name}" if path and plain else path + name
