"""What codecs need of the one instance that a value goes to or comes from: where its handles are kept."""

from __future__ import annotations

from typing import Any, Protocol

from stellatune_plugins.engine.wit_types import HandleTo


class HandleSpace(Protocol):
    """Turns handles into objects and back. Addresses are of ``wasmtime_component_resource_any_t``.

    ``keep`` takes what has to live until the value was used.
    """

    def host_out(self, kind: HandleTo, value: Any, keep: list[Any]) -> int:
        """The handle for a host's object that goes to the guest."""
        ...

    def host_in(self, kind: HandleTo, address: int) -> Any:
        """The host's object behind a handle that comes from the guest."""
        ...

    def guest_out(self, kind: HandleTo, value: Any, keep: list[Any]) -> int:
        """The handle for a guest's resource that goes back to its guest."""
        ...

    def guest_in(self, kind: HandleTo, address: int) -> Any:
        """The object for a guest's resource that comes from it."""
        ...
