"""Writes test guests in component text: echoes for any type, by the flattening rules of the canonical ABI."""

from __future__ import annotations

from collections.abc import Iterable

from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    HandleTo,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)

LIBC = """
  (core module $libc
    (memory (export "memory") 2 64)
    (global $top (mut i32) (i32.const 8192))
    (func (export "reset") (global.set $top (i32.const 8192)))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))))
      (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
"""
"""A bump allocator whose arena is emptied at each post-return; the first 8 KiB are free for results."""

_FLAT = {"s64": "i64", "u64": "i64", "f32": "f32", "f64": "f64"}
MAX_FLAT_PARAMS = 16


def flatten(kind: WitType) -> list[str]:  # noqa: PLR0911 - one branch a kind of type
    """The core values that carry a value of the type."""
    match kind:
        case Primitive("string") | ListOf():
            return ["i32", "i32"]
        case Primitive(name):
            return [_FLAT.get(name, "i32")]
        case RecordOf(fields):
            return [flat for _, field in fields for flat in flatten(field)]
        case TupleOf(elements):
            return [flat for element in elements for flat in flatten(element)]
        case VariantOf(cases):
            return _flatten_cases([case for _, case in cases])
        case OptionOf(payload):
            return _flatten_cases([None, payload])
        case ResultOf(ok, err):
            return _flatten_cases([ok, err])
        case EnumOf() | FlagsOf() | HandleTo():
            return ["i32"]
    raise TypeError(kind)


def _flatten_cases(cases: list[WitType | None]) -> list[str]:
    joined: list[str] = []
    for case in cases:
        for index, flat in enumerate(flatten(case) if case is not None else []):
            if index == len(joined):
                joined.append(flat)
            elif joined[index] != flat:
                both = {joined[index], flat}
                joined[index] = "i32" if both == {"i32", "f32"} else "i64"
    return ["i32", *joined]


class Writer:
    """Collects type definitions; what WIT gives a name to is imported under one, as the validator wants."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[str, str] = {}

    def ref(self, kind: WitType) -> str:  # noqa: PLR0911 - one branch a kind of type
        """How text refers to the type."""
        match kind:
            case Primitive(name):
                return name
            case ListOf(element):
                return f"(list {self.ref(element)})"
            case OptionOf(payload):
                return f"(option {self.ref(payload)})"
            case ResultOf(ok, err):
                good = f" {self.ref(ok)}" if ok is not None else ""
                bad = f" (error {self.ref(err)})" if err is not None else ""
                return f"(result{good}{bad})"
            case TupleOf(elements):
                return f"(tuple {' '.join(map(self.ref, elements))})"
            case RecordOf(fields):
                return self._named("(record " + " ".join(f'(field "{n}" {self.ref(t)})' for n, t in fields) + ")")
            case VariantOf(cases):
                parts = [f'(case "{n}"' + (f" {self.ref(t)})" if t is not None else ")") for n, t in cases]
                return self._named(f"(variant {' '.join(parts)})")
            case EnumOf(names):
                return self._named("(enum " + " ".join(f'"{n}"' for n in names) + ")")
            case FlagsOf(names):
                return self._named("(flags " + " ".join(f'"{n}"' for n in names) + ")")
        raise TypeError(kind)

    def _named(self, text: str) -> str:
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = f"$t{len(self._names)}"
            self.lines.append(f"(type {name}-plain {text})")
            self.lines.append(f'(import "t{len(self._names) - 1}" (type {name} (eq {name}-plain)))')
        return name


def echo_component(functions: Iterable[tuple[str, WitType]]) -> str:
    """A component that imports ``x: func(v: T) -> T`` for each name and type, and exports ``echo-x`` that calls it."""
    writer = Writer()
    imports, lowered, core_imports, core_functions, instances, lifts = [], [], [], [], [], []
    for name, kind in functions:
        reference = writer.ref(kind)
        flat = flatten(kind)
        params = flat if len(flat) <= MAX_FLAT_PARAMS else ["i32"]
        spilled = len(flat) > 1
        options = '(memory $libc "memory") (realloc (core func $libc "realloc"))'
        imports.append(f'(import "{name}" (func ${name} (param "v" {reference}) (result {reference})))')
        lowered.append(f"(core func $low-{name} (canon lower (func ${name}) {options}))")
        signature = " ".join(f"(param {p})" for p in params)
        low = f"{signature} (param i32)" if spilled else f"{signature} (result {flat[0]})"
        high = f"{signature} (result {'i32' if spilled else flat[0]})"
        gets = " ".join(f"(local.get {index})" for index in range(len(params)))
        body = f"(call ${name} {gets} (i32.const 1024)) (i32.const 1024)" if spilled else f"(call ${name} {gets})"
        core_imports.append(f'(import "host" "{name}" (func ${name} {low}))')
        core_functions.append(f'(func (export "{name}") {high} {body})')
        result = "i32" if spilled else flat[0]
        core_functions.append(f'(func (export "post-{name}") (param {result}) (call $reset))')
        instances.append(f'(export "{name}" (func $low-{name}))')
        lifts.append(
            f'(func (export "echo-{name}") (param "v" {reference}) (result {reference}) '
            f'(canon lift (core func $main "{name}") {options} (post-return (core func $main "post-{name}"))))'
        )
    return "\n".join(
        (
            "(component",
            *writer.lines,
            *imports,
            LIBC,
            '(alias core export $libc "memory" (core memory $memory))',
            *(line.replace('$libc "memory"', "$memory") for line in lowered),
            "(core module $main",
            *core_imports,
            '(import "libc" "reset" (func $reset))',
            *core_functions,
            ")",
            "(core instance $main (instantiate $main",
            '(with "libc" (instance $libc))',
            f'(with "host" (instance {" ".join(instances)}))))',
            *(line.replace('$libc "memory"', "$memory") for line in lifts),
            ")",
        )
    )
