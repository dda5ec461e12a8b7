"""Which compiled components have lanes. Only whoever grafted them on can say: a name at the root proves nothing."""

from __future__ import annotations

import weakref
from typing import Any

from stellatune_plugins.engine.lanes.graft import Lane

_attached: weakref.WeakKeyDictionary[Any, tuple[Lane, ...]] = weakref.WeakKeyDictionary()


def attach_lanes(component: Any, lanes: tuple[Lane, ...]) -> None:
    """Note that a ``wasmtime.component.Component`` was compiled from a graft; before anybody reads its shape."""
    _attached[component] = lanes


def lanes_of(component: Any) -> tuple[Lane, ...]:
    """The lanes of a component; none for one that was compiled as it is."""
    return _attached.get(component, ())
