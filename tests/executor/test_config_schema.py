"""A hostile schema costs nothing and reaches nowhere."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from stellatune_plugins.executor import config_schema
from stellatune_plugins.executor.config_schema import SchemaUnusable, check, harmless


def _schema(value: Any) -> str:
    return json.dumps(value)


def _laughs(levels: int) -> dict[str, Any]:
    """Each level refers to the next one ten times."""
    defs: dict[str, Any] = {str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"} for _ in range(10)]} for i in range(levels)}
    return {"$ref": "#/$defs/0", "$defs": {**defs, str(levels): {"type": "object"}}}


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


UNUSABLE = {
    "not-json": "{",
    "no-schema": "[]",
    "deep-json": "[" * 100_000,
    "large": _schema({"description": "x" * 70_000}),
    "remote-ref": _schema({"$ref": "https://example.org/schema.json"}),
    "file-ref": _schema({"$ref": "file:///etc/passwd"}),
    "relative-ref": _schema({"$ref": "other.json#/a"}),
    "anchor-ref": _schema({"$ref": "#anchor"}),
    "no-target": _schema({"$ref": "#/$defs/none"}),
    "huge-index": _schema({"$ref": "#/allOf/" + "9" * 5000, "allOf": []}),
    "self-ref": _schema({"$ref": "#"}),
    "circle": _schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
    "inner-circle": _schema({"properties": {"a": {"$ref": "#"}}}),
    "dynamic-ref": _schema({"$dynamicRef": "#a"}),
    "billion-laughs": _schema(_laughs(12)),
    "deep": _schema(_nested(40)),
    "wrong-type": _schema({"type": 7}),
    "wrong-properties": _schema({"properties": {"a": 3}}),
    "zero-multiple": _schema({"multipleOf": 0}),
}


@pytest.mark.parametrize("schema", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_schema_is_refused_quickly(schema: str) -> None:
    """With one kind of error, and without hanging."""
    started = time.perf_counter()
    with pytest.raises(SchemaUnusable):
        check({"a": 1}, schema)
    assert time.perf_counter() - started < 5


def test_patterns_are_never_evaluated() -> None:
    """The classic catastrophic expression against the classic text does nothing at all."""
    schema = _schema({
        "properties": {"a": {"type": "string", "pattern": "^(a+)+$", "format": "regex"}},
        "patternProperties": {"^(a+)+$": {"type": "number"}},
        "propertyNames": {"pattern": "^(a+)+$"},
    })  # fmt: skip
    started = time.perf_counter()
    assert check({"a": "a" * 40 + "!", "a" * 40 + "!": "text"}, schema) == ()
    assert time.perf_counter() - started < 5


def test_work_is_bounded_by_both_sides() -> None:
    """Many alternatives against many items are refused before they are tried."""
    schema = _schema({"additionalProperties": {"items": {"anyOf": [{"const": i} for i in range(600)]}}})
    with pytest.raises(SchemaUnusable, match="too large"):
        check({"a": list(range(10_000))}, schema)


def test_references_within_the_schema_count() -> None:
    """They are written out, and their rules hold."""
    schema = _schema({
        "$defs": {"level": {"type": "number", "maximum": 1}, "a/b": {"type": "boolean"}},
        "properties": {"x": {"$ref": "#/$defs/level"}, "y": {"$ref": "#/$defs/level"}, "z": {"$ref": "#/$defs/a~1b"}},
    })  # fmt: skip
    assert [p.key for p in check({"x": 2, "y": 0.5, "z": 1}, schema)] == ["x", "z"]


def test_older_drafts_are_understood() -> None:
    """Exclusive bounds as booleans, and items as a list."""
    schema = _schema({
        "properties": {
            "a": {"minimum": 0, "exclusiveMinimum": True},
            "b": {"items": [{"type": "string"}, {"type": "number"}]},
            "c": {"maximum": 1, "exclusiveMaximum": False},
        }
    })  # fmt: skip
    assert [p.key for p in check({"a": 0, "b": ["x", "y"], "c": 1}, schema)] == ["a", "b[1]"]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"enum": ["a", "b"]}, "c"),
        ({"const": 1}, 2),
        ({"multipleOf": 0.5}, 0.7),
        ({"minLength": 2}, "x"),
        ({"maxItems": 1}, [1, 2]),
        ({"required": ["k"]}, {}),
        ({"dependentRequired": {"k": ["l"]}}, {"k": 1}),
        ({"oneOf": [{"type": "number"}, {"minimum": 0}]}, 1),
        ({"not": {"type": "null"}}, None),
        ({"if": {"type": "number"}, "then": {"minimum": 5}}, 1),
        ({"contains": {"const": 3}}, [1]),
        ({"additionalProperties": False}, {"k": 1}),
    ],
)
def test_the_kept_keywords_work(rule: Any, value: Any) -> None:
    """Each of them can refuse a value."""
    assert [p.key for p in check({"v": value}, _schema({"properties": {"v": rule}}))] == ["v"]


def test_problems_are_capped() -> None:
    """A thousand wrong values make a short message."""
    schema = _schema({"additionalProperties": {"type": "string"}})
    problems = check({str(i): i for i in range(500)}, schema)
    assert len(problems) == config_schema.MAX_PROBLEMS
    assert all(len(str(p)) < 450 for p in problems)


def test_what_is_not_understood_is_left_out() -> None:
    """Annotations and unknown keywords neither stay nor count."""
    kept, nodes = harmless(_schema({"title": "x", "x-unit": "dB", "type": "object", "examples": [[[1]]]}))
    assert kept == {"type": "object"}
    assert nodes == 2
