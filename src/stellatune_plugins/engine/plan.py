"""Everything about a component that its instances share: its shape, and the codecs of its functions."""

from __future__ import annotations

import weakref
from typing import Any

from stellatune_plugins.engine.codec import FunctionCodec
from stellatune_plugins.engine.lanes import Lane, LaneCodec, lanes_of
from stellatune_plugins.engine.shape import component_shape
from stellatune_plugins.engine.wasi import is_wasi
from stellatune_plugins.engine.wit_names import QualifiedName, find_compatible
from stellatune_plugins.errors import WorldMismatch


def operation_name(interface: str, function: str) -> str:
    """A function's short name for errors and logs: ``dsp.create``, ``dsp.processor.close``."""
    name = QualifiedName.parse(interface)
    short = function.rpartition("]")[2]
    return f"{name.item if name else interface}.{short}" if interface else short


class ComponentPlan:
    """See the module. Codecs are made when first asked for; two threads that make the same one do no harm."""

    def __init__(self, component: Any) -> None:
        self.shape = component_shape(component)
        self.imports_wasi = any(map(is_wasi, self.shape.imports))
        self.imports_functions = any(shape.functions or shape.resources for shape in self.shape.imports.values())
        self.import_lanes: tuple[Lane, ...] = ()
        self._export_lanes: dict[tuple[str, str], Lane] = {}
        for lane in lanes_of(component):
            if lane.bulk.imported:
                self.import_lanes += (lane,)
            else:
                self._export_lanes[lane.interface, lane.bulk.name] = lane
        self._codecs: dict[tuple[bool, str, str], FunctionCodec] = {}
        self._lane_codecs: dict[Lane, LaneCodec] = {}

    def import_codec(self, interface: str, name: str) -> FunctionCodec:
        """The codec of an imported function."""
        key = (True, interface, name)
        codec = self._codecs.get(key)
        if codec is None:
            kind = self.shape.imports[interface].functions[name]
            codec = self._codecs[key] = FunctionCodec(operation_name(interface, name), kind)
        return codec

    def export_codec(self, interface: str, name: str) -> tuple[str, FunctionCodec]:
        """The interface's real name, perhaps of another compatible version, and the codec of a function of it.

        Raises:
            WorldMismatch: the component does not export it.
        """
        found = interface if interface in self.shape.exports else find_compatible(interface, list(self.shape.exports))
        kind = None if found is None else self.shape.exports[found].functions.get(name)
        if found is None or kind is None:
            raise WorldMismatch(f"the component does not export {interface}#{name}".replace(" #", " "))
        key = (False, found, name)
        codec = self._codecs.get(key)
        if codec is None:
            codec = self._codecs[key] = FunctionCodec(operation_name(interface, name), kind)
        return found, codec

    @property
    def has_lanes(self) -> bool:
        """Whether bulk bytes have fast ways in or out."""
        return bool(self.import_lanes or self._export_lanes)

    def export_lane(self, interface: str, name: str) -> Lane | None:
        """The lane of an exported function, if it has one; by the interface's real name."""
        return self._export_lanes.get((interface, name))

    def lane_codec(self, lane: Lane) -> LaneCodec:
        """The codec of a lane."""
        codec = self._lane_codecs.get(lane)
        if codec is None:
            side = self.shape.imports if lane.bulk.imported else self.shape.exports
            kind = side[lane.interface].functions[lane.bulk.name]
            name = operation_name(lane.interface, lane.bulk.name)
            codec = self._lane_codecs[lane] = LaneCodec(name, kind, lane.bulk)
        return codec


_plans: weakref.WeakKeyDictionary[Any, ComponentPlan] = weakref.WeakKeyDictionary()


def plan_of(component: Any) -> ComponentPlan:
    """The plan of a ``wasmtime.component.Component``; made once for each.

    Raises:
        WasmInvalid: its types are too deep or too many.
    """
    plan = _plans.get(component)
    if plan is None:
        plan = _plans[component] = ComponentPlan(component)
    return plan
