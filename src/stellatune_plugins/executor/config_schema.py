"""A plugin's configuration schema, made harmless before it is used.

The schema comes with the plugin, so it is hostile until shown otherwise. Only keywords that are cheap to evaluate
are kept; regular expressions, formats and annotations are left out (the plugin itself has the last word on a value).
References within the schema are written out, up to a budget; references to anywhere else are refused.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from stellatune_plugins.executor.guest_text import clean

MAX_SCHEMA_BYTES = 64 * 1024
MAX_CONFIG_BYTES = 64 * 1024
MAX_NODES = 2_000
"""Nodes of a schema once its references are written out."""
MAX_DEPTH = 24
MAX_WORK = 250_000
"""Schema nodes times configuration nodes: an upper bound of what checking costs, some seconds at the very worst."""
MAX_PROBLEMS = 10

_INDEX = re.compile(r"[0-9]{1,6}")

# Kept as they are, however their values look: the metaschema judges them.
_VALUES = frozenset({
    "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength",
    "minLength", "maxItems", "minItems", "minContains", "maxContains", "maxProperties", "minProperties", "required",
    "dependentRequired",
})  # fmt: skip
_SCHEMAS = frozenset({"additionalProperties", "items", "propertyNames", "contains", "not", "if", "then", "else"})
_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"properties", "dependentSchemas"})


class SchemaUnusable(ValueError):
    """Raised when a schema cannot be made harmless; the text says why."""


class ConfigProblem(msgspec.Struct, frozen=True):
    """One value that the schema does not allow; ``key`` reads like ``bands[2].gain``, empty for the whole."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


def check(config: dict[str, Any], schema_json: str) -> tuple[ConfigProblem, ...]:
    """Everything (up to a cap) that the schema has against a configuration.

    Raises:
        SchemaUnusable: the schema is malformed, too large, or refers outside itself.
    """
    # Imported when needed: it takes 0.1 s, and most commands check no configuration.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415

    schema, nodes = harmless(schema_json)
    if nodes * count_nodes(config) > MAX_WORK:
        raise SchemaUnusable("the schema and the configuration together are too large to be checked")
    try:
        Draft202012Validator.check_schema(schema)
        errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: [str(p) for p in e.path])
    except SchemaError as error:
        raise SchemaUnusable(f"the schema is malformed: {clean(error.message, 200)}") from error
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise SchemaUnusable(f"the schema cannot be evaluated: {clean(str(error), 200)}") from error
    return tuple(ConfigProblem(_key(e.path), clean(e.message, 200)) for e in errors[:MAX_PROBLEMS])


def harmless(schema_json: str) -> tuple[Any, int]:
    """The schema with what is cheap to evaluate alone, and its number of nodes."""
    if len(schema_json.encode("utf-8", "replace")) > MAX_SCHEMA_BYTES:
        raise SchemaUnusable(f"the schema has more than {MAX_SCHEMA_BYTES} bytes")
    try:
        root = msgspec.json.decode(schema_json)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise SchemaUnusable(f"the schema is no JSON: {error}") from error
    cleaner = _Cleaner(root)
    return cleaner.schema(root, 0, ()), cleaner.nodes


def count_nodes(value: Any) -> int:
    """Values in a JSON document, containers included."""
    # No recursion: a parser accepts deeper documents than Python's stack does.
    count, waiting = 0, [value]
    while waiting:
        node = waiting.pop()
        count += 1
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return count


def _key(path: Any) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return clean(text, 200)


class _Cleaner:
    """Walks one schema."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self.nodes = 0

    def schema(self, node: Any, depth: int, inside: tuple[str, ...]) -> Any:
        """One subschema; ``inside`` has the references that are being written out."""
        self._count(1)
        if depth > MAX_DEPTH:
            raise SchemaUnusable(f"the schema is nested more than {MAX_DEPTH} deep")
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise SchemaUnusable("a subschema is neither an object nor a boolean")
        if "$dynamicRef" in node or "$recursiveRef" in node:
            raise SchemaUnusable("the schema has dynamic references")
        kept = self._kept(node, depth, inside)
        _modernise(kept)
        if "$ref" in node:
            kept.setdefault("allOf", []).append(self._referred(node["$ref"], depth, inside))
        return kept

    def _kept(self, node: dict[str, Any], depth: int, inside: tuple[str, ...]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in node.items():
            if key in _VALUES:
                self._count(count_nodes(value))
                kept[key] = value
            elif key == "items" and isinstance(value, list):  # as drafts before 2020-12 wrote prefixItems
                kept["prefixItems"] = self._below(value, depth, inside)
            elif key in _SCHEMAS or (key in _SCHEMA_LISTS and isinstance(value, list)):
                kept[key] = self._below(value, depth, inside)
            elif key in _SCHEMA_MAPS and isinstance(value, dict):
                kept[key] = {name: self.schema(v, depth + 1, inside) for name, v in value.items()}
        return kept

    def _below(self, value: Any, depth: int, inside: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [self.schema(v, depth + 1, inside) for v in value]
        return self.schema(value, depth + 1, inside)

    def _referred(self, reference: Any, depth: int, inside: tuple[str, ...]) -> Any:
        if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
            raise SchemaUnusable(f"the schema refers outside itself: {clean(str(reference), 80)}")
        if reference in inside:
            raise SchemaUnusable("the schema refers to itself in a circle")
        return self.schema(self._target(reference), depth + 1, (*inside, reference))

    def _target(self, reference: str) -> Any:
        node = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and _INDEX.fullmatch(name) and int(name) < len(node):
                node = node[int(name)]
            else:
                raise SchemaUnusable(f"the schema refers to nothing: {clean(reference, 80)}")
        return node

    def _count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise SchemaUnusable(f"the schema has more than {MAX_NODES} nodes")


def _modernise(schema: dict[str, Any]) -> None:
    """Draft 4 wrote exclusive bounds as a boolean beside the bound."""
    for bound in ("maximum", "minimum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if isinstance(schema.get(exclusive), bool):
            is_exclusive = schema.pop(exclusive)
            if is_exclusive and bound in schema:
                schema[exclusive] = schema.pop(bound)
