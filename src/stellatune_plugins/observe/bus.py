"""Where events go: hooks that each layer's caller registers."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from stellatune_plugins.observe.events import Event

Hook = Callable[[Event], None]

_log = logging.getLogger(__name__)


class EventBus:
    """Hands each event to every hook, in the emitter's thread.

    A hook must be quick. One that raises is logged and does not disturb the emitter or the other hooks.
    """

    def __init__(self) -> None:
        self._hooks: tuple[Hook, ...] = ()
        self._lock = threading.Lock()

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Add a hook; the returned function takes it out again and may be called twice."""
        with self._lock:
            self._hooks = (*self._hooks, hook)

        def unsubscribe() -> None:
            with self._lock:
                self._hooks = tuple(h for h in self._hooks if h is not hook)

        return unsubscribe

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[Event]]:
        """Collect the events of a while."""
        events: list[Event] = []
        unsubscribe = self.subscribe(events.append)
        try:
            yield events
        finally:
            unsubscribe()

    def emit(self, event: Event) -> None:
        """Hand an event to every hook."""
        for hook in self._hooks:
            try:
                hook(event)
            except Exception:  # noqa: BLE001 - whatever a hook raises is its own affair
                _log.exception("an event hook failed on %s", event.name)
