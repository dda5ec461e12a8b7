"""Checks the world that a component declares against what it really imports and exports.

A component fits where every interface that the world exports is there, each of its functions with the very type that
the contract gives it, and where it imports nothing but the world's interfaces, with their types, and WASI preview 2.
Versions 0.1.x serve each other. All differences are reported at once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

from stellatune_plugins.contract import wit_folder
from stellatune_plugins.engine.shape import component_shape
from stellatune_plugins.engine.wasi import is_wasi
from stellatune_plugins.engine.wit_compare import differences, missing_from
from stellatune_plugins.engine.wit_names import QualifiedName
from stellatune_plugins.engine.wit_text import WitPackage, read_package
from stellatune_plugins.engine.wit_types import InterfaceShape
from stellatune_plugins.errors import WorldMismatch

_MOST_PROBLEMS: Final = 40
"""Differences that are spelled out; a hostile component could have millions."""


@functools.cache
def contract_package() -> WitPackage:
    """The contract's own WIT package."""
    files = sorted((item for item in wit_folder().iterdir() if item.name.endswith(".wit")), key=lambda item: item.name)
    return read_package(item.read_text(encoding="utf-8") for item in files)


def check_world(component: Any, world: str) -> None:
    """Refuse a component that is not of the world it declares.

    Args:
        component: a ``wasmtime.component.Component``.
        world: as the manifest has it, such as ``stellatune:plugin/dsp-plugin@0.1.0``.

    Raises:
        WorldMismatch: it is not; ``details['problems']`` has every difference.
        WasmInvalid: its types are too deep or too many.
    """
    problems = list(_problems(component, world))
    if not problems:
        return
    shown = problems[:_MOST_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    raise WorldMismatch(f"the component is not of world {world}: {'; '.join(shown)}", world=world, problems=shown)


def _problems(component: Any, world: str) -> Iterator[str]:
    package = contract_package()
    home = _contract_name("")
    declared = QualifiedName.parse(world)
    if declared is None or declared.package != home.package or declared.item not in package.worlds:
        known = ", ".join(f"{home.package}/{name}" for name in package.worlds)
        yield f"there is no such world; the worlds are {known}"
        return
    if not declared.compatible(_contract_name(declared.item)):
        yield f"this host serves version {package.name.partition('@')[2]} of the contract"
        return
    shape = component_shape(component)
    yield from _import_problems(package, declared.item, shape.imports)
    yield from _export_problems(package, declared.item, shape.exports)


def _contract_name(item: str) -> QualifiedName:
    package, _, version = contract_package().name.partition("@")
    major, minor, patch = map(int, version.split("."))
    return QualifiedName(package, item, (major, minor, patch))


def _import_problems(package: WitPackage, world: str, imports: dict[str, InterfaceShape]) -> Iterator[str]:
    allowed = package.allowed_imports(world)
    for name, shape in imports.items():
        if is_wasi(name):
            if "@0.2." not in name:
                yield f"imports {name}, which is not WASI 0.2"
            continue
        qualified = QualifiedName.parse(name)
        if qualified is None or qualified.package != _contract_name("").package or qualified.item not in allowed:
            if name:
                yield f"imports {name}, which the world does not have"
            else:
                yield f"imports {', '.join(sorted((*shape.functions, *shape.types, *shape.resources)))} at its root"
            continue
        if not qualified.compatible(_contract_name(qualified.item)):
            yield f"imports {name}, and this host serves {package.name}"
            continue
        yield from differences(f"import {qualified.item}", package.interfaces[qualified.item], shape)


def _export_problems(package: WitPackage, world: str, exports: dict[str, InterfaceShape]) -> Iterator[str]:
    wanted = package.worlds[world].exports
    found: set[str] = set()
    for name, shape in exports.items():
        qualified = QualifiedName.parse(name)
        if qualified is None or qualified.package != _contract_name("").package:
            continue  # what else a component offers is nobody's business: it is never called
        item = qualified.item
        if item not in wanted:
            yield f"exports {name}, which the world does not have"
        elif item in found:
            yield f"exports {item} more than once"
        elif not qualified.compatible(_contract_name(item)):
            yield f"exports {name}, and this host serves {package.name}"
        else:
            newer = (qualified.version or ()) > (_contract_name(item).version or ())
            yield from missing_from(f"export {item}", item, package.interfaces[item], shape)
            yield from differences(f"export {item}", package.interfaces[item], shape, newer=newer)
        found.add(item)
    package_name, _, version = package.name.partition("@")
    for item in sorted(wanted - found):
        yield f"does not export {package_name}/{item}@{version}"
