"""What the fixtures that make component instances can be called with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from stellatune_plugins.engine import ComponentInstance, GuestStore, HostImports, StoreLimits


class Make(Protocol):
    """Makes instances of components given as text; each in a Store of its own unless one is given."""

    def __call__(
        self,
        text: str,
        imports: HostImports | None = None,
        *,
        store: GuestStore | None = None,
        limits: StoreLimits | None = None,
        deadline: float = 5.0,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> ComponentInstance: ...


class Tooled(Protocol):
    """Makes a component of a WIT package, from a core module in text, or from one that does nothing."""

    def __call__(self, wit: Path, world: str, core: str | None = None) -> bytes: ...
