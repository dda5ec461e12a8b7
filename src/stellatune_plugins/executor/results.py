"""What a guest's ``result<T, plugin-error>`` means."""

from __future__ import annotations

from typing import Any

from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.errors import GuestContract, PluginFailure
from stellatune_plugins.executor.guest_text import clean


def unwrap(result: Any) -> Any:
    """The good value.

    Raises:
        PluginFailure: the plugin answered with an error; its text is cut and cleaned.
        GuestContract: this is no result of a plugin-error at all.
    """
    if isinstance(result, Ok):
        return result.value
    if isinstance(result, Err) and isinstance(result.value, Variant) and isinstance(result.value.value, str):
        raise PluginFailure(result.value.case, clean(result.value.value))
    raise GuestContract(f"a result was expected, not {type(result).__name__}")


def optional(value: Any) -> Any:
    """A WIT option as Python has it."""
    return value.value if isinstance(value, Some) else None


def writable(data: bytes | bytearray) -> bytearray:
    """Bytes to be written to: an answer that came straight from the engine is so already, and nobody else has it."""
    return data if isinstance(data, bytearray) else bytearray(data)
