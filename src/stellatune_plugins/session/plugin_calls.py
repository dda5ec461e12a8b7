"""Calling a plugin's code, of either runtime, so that only errors of the taxonomy come back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from stellatune_plugins.errors import NativePluginFailed, StellatuneError
from stellatune_plugins.model import RuntimeKind


@contextlib.contextmanager
def calling(runtime: RuntimeKind, plugin: str, operation: str) -> Iterator[None]:
    """Name the plugin in whatever goes wrong.

    Raises:
        NativePluginFailed: native code raised what is no error of ours.
        StellatuneError: any error of ours, as it was; a component's client that raises anything else is the host's
            own defect, and gets the class's own code ``internal``.
    """
    try:
        yield
    except StellatuneError as error:
        error.at(plugin=plugin, operation=operation)
        raise
    except Exception as error:
        wrapped = NativePluginFailed if runtime is RuntimeKind.NATIVE else StellatuneError
        raise wrapped(_words(error), plugin=plugin, operation=operation) from error


def _words(error: Exception) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of a plugin's own may not even print
        return name
    return f"{name}: {text}" if text else name
