"""What all import files share: a function's answer as a WIT result, and a guest's words as plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from stellatune_plugins.engine.values import Err, Ok, Variant
from stellatune_plugins.errors import PluginFailure

STOPPING: Final = "the plugin is being stopped"

Answering = Callable[[Callable[..., Any]], Callable[..., Ok | Err]]
"""Makes of a function one that answers with a WIT result."""


def answering(stopping: Callable[[], bool]) -> Answering:
    """What makes the functions of one instance answer.

    Args:
        stopping: whether the instance is on its way out. Then nothing is begun any more: a guest that opens anew what
            was closed under it would keep the teardown waiting.
    """

    def wrap(function: Callable[..., Any]) -> Callable[..., Ok | Err]:
        def answer(*args: Any) -> Ok | Err:
            try:
                if stopping():
                    raise PluginFailure("io", STOPPING)  # noqa: TRY301 - answered like any other
                return Ok(function(*args))
            except PluginFailure as failure:
                # Anything else is the engine's to keep aside.
                text = failure.message.removeprefix(failure.case).removeprefix(": ")
                return Err(Variant(failure.case, text))

        return answer

    return wrap


def method(name: str) -> Callable[..., Any]:
    """Calls the object's own method: the one of the abstract class does nothing."""

    def call(target: Any, *args: Any) -> Any:
        return getattr(target, name)(*args)

    return call
