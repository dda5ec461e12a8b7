"""What all import files share: a function's answer as a WIT result, and a guest's words as plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stellatune_plugins.engine.values import Err, Ok, Variant
from stellatune_plugins.errors import PluginFailure


def answering(function: Callable[..., Any]) -> Callable[..., Ok | Err]:
    """The function with its answer as a WIT result. Anything but a PluginFailure is the engine's to keep aside."""

    def answer(*args: Any) -> Ok | Err:
        try:
            return Ok(function(*args))
        except PluginFailure as failure:
            text = failure.message.removeprefix(failure.case).removeprefix(": ")
            return Err(Variant(failure.case, text))

    return answer


def method(name: str) -> Callable[..., Any]:
    """Calls the object's own method: the one of the abstract class does nothing."""

    def call(target: Any, *args: Any) -> Any:
        return getattr(target, name)(*args)

    return call
