"""Compares a component's interfaces with the contract's, type by type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stellatune_plugins.engine.wit_names import QualifiedName
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
    FunctionType,
    HandleTo,
    InterfaceShape,
    ListOf,
    OptionOf,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)


def readable(function: str) -> str:
    """A function's name for a message."""
    return f"the function {function.rpartition(']')[2]}"


def missing_from(where: str, item: str, contract: InterfaceShape, shape: InterfaceShape) -> Iterator[str]:
    """The contract's functions and resources that ``shape`` lacks."""
    for function in contract.functions:
        if function not in shape.functions:
            yield f"{where}: {readable(function)} is missing"
    for resource, origin in contract.resources.items():
        if origin.endswith(f"/{item}#{resource}") and resource not in shape.resources:
            yield f"{where}: the resource {resource} is missing"


def differences(  # noqa: C901 - three loops over three kinds of members
    where: str, contract: InterfaceShape, shape: InterfaceShape, *, newer: bool = False
) -> Iterator[str]:
    """Everything in ``shape`` that the contract does not have, or has in another way.

    Args:
        where: begins every message.
        contract: what is expected.
        shape: what was found.
        newer: whether it is of a later version, which may have more.
    """
    for name, kind in shape.functions.items():
        if name in contract.functions:
            difference = _function_difference(contract.functions[name], kind)
            if difference:
                yield f"{where}: {readable(name)}: {difference}"
        elif not newer:
            yield f"{where}: {readable(name)} is not in the contract"
    for name, origin in shape.resources.items():
        if name in contract.resources and not _same_resource(contract.resources[name], origin):
            yield f"{where}: the resource {name} is not that of {contract.resources[name].partition('#')[0]}"
    for name, found in shape.types.items():
        if name in contract.types:
            difference = _difference(contract.types[name], found)
            if difference:
                yield f"{where}: the type {name}{difference}"
    if not newer:
        unknown = (shape.resources.keys() | shape.types.keys()) - contract.resources.keys() - contract.types.keys()
        for name in sorted(unknown):
            yield f"{where}: the type {name} is not in the contract"


def _same_resource(contract: str, found: str) -> bool:
    """Whether both stand for one resource; the versions were compared before."""
    interface, _, name = found.partition("#")
    qualified = QualifiedName.parse(interface)
    return qualified is not None and f"{qualified.unversioned}#{name}" == contract


def _function_difference(contract: FunctionType, found: FunctionType) -> str:
    if [name for name, _ in contract.params] != [name for name, _ in found.params]:
        expected, real = (", ".join(name for name, _ in side.params) for side in (contract, found))
        return f"takes ({real}) where the contract has ({expected})"
    for (name, expected_type), (_, found_type) in zip(contract.params, found.params, strict=True):
        difference = _difference(expected_type, found_type)
        if difference:
            return f"{name}{difference}"
    if (contract.result is None) != (found.result is None):
        return "has a result, and none in the contract" if contract.result is None else "has no result"
    if contract.result is not None and found.result is not None:
        difference = _difference(contract.result, found.result)
        if difference:
            return f"result{difference}"
    return ""


def _difference(contract: WitType, found: WitType) -> str:  # noqa: PLR0911 - one branch a kind of type
    """The path to the first difference and what it is; empty where there is none."""
    plain = f" is {_short(found)} where the contract has {_short(contract)}"
    if type(contract) is not type(found):
        return plain
    match contract, found:
        case (ListOf(a), ListOf(b)):
            return _inner("[]", a, b)
        case (OptionOf(a), OptionOf(b)):
            return _inner("?", a, b)
        case (ResultOf(), ResultOf()):
            return _optional(".ok", contract.ok, found.ok) or _optional(".err", contract.err, found.err)
        case (TupleOf(a), TupleOf(b)) if len(a) == len(b):
            return next((d for i in range(len(a)) if (d := _inner(f"[{i}]", a[i], b[i]))), "")
        case (RecordOf(a), RecordOf(b)) | (VariantOf(a), VariantOf(b)):
            return _members(a, b)
        case (EnumOf(a), EnumOf(b)) | (FlagsOf(a), FlagsOf(b)):
            return "" if a == b else plain
        case (HandleTo(), HandleTo()):
            same = _same_resource(contract.resource, found.resource) and contract.owned == found.owned
            return "" if same else plain
        case _:
            return "" if contract == found else plain


def _optional(step: str, contract: WitType | None, found: WitType | None) -> str:
    if contract is None or found is None:
        if contract is found:
            return ""
        return f"{step} is {_short(found)} where the contract has {_short(contract)}"
    return _inner(step, contract, found)


def _inner(step: str, contract: WitType, found: WitType) -> str:
    difference = _difference(contract, found)
    return f"{step}{difference}" if difference else ""


def _members(contract: tuple[tuple[str, Any], ...], found: tuple[tuple[str, Any], ...]) -> str:
    names, expected = [name for name, _ in found], [name for name, _ in contract]
    if names != expected:
        return f" has ({_clip(', '.join(names))}) where the contract has ({', '.join(expected)})"
    pairs = zip(contract, found, strict=True)
    return next((d for (name, a), (_, b) in pairs if (d := _optional(f".{name}", a, b))), "")


def _short(kind: WitType | None) -> str:
    return "nothing" if kind is None else _clip(str(kind))


def _clip(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}..."
