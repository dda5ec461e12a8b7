"""Talking to an executor, wherever it is."""

from __future__ import annotations

from typing import Protocol, TypeVar

from stellatune_plugins.errors import StellatuneError
from stellatune_plugins.executor.failures import Failure
from stellatune_plugins.executor.messages import Reply, Request
from stellatune_plugins.executor.streams import StreamTable

R = TypeVar("R")


class Executor(Protocol):
    """Takes messages: :class:`~stellatune_plugins.executor.local.LocalExecutor`, or one behind a process boundary."""

    @property
    def streams(self) -> StreamTable:
        """Streams that messages name by number."""
        ...

    def handle(self, request: Request) -> Reply: ...


def ask(executor: Executor, request: Request, expected: type[R]) -> R:
    """Send a message and take its reply.

    Raises:
        StellatuneError: the failure that came back, as the error it was; or a reply of another kind.
    """
    reply = executor.handle(request)
    if isinstance(reply, expected):
        return reply
    if isinstance(reply, Failure):
        raise reply.to_error()
    raise StellatuneError(
        f"the executor answered {type(reply).__name__} where {expected.__name__} was due",
        operation=str(request.__struct_config__.tag),
    )
