"""Errors as plain data, and back: a failure crosses the executor's contract without losing a field."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from stellatune_plugins.errors import ManifestInvalid, PluginFailure, Problem, StellatuneError, all_errors

MAX_CAUSES = 8
"""Links of a cause chain that travel; longer ones are cut."""
MAX_DEPTH = 8
"""Levels of nesting kept in ``details``."""

Plain = Any
"""``None``, bool, int, float, str, bytes, lists and string-keyed dicts of them."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure", omit_defaults=True):
    """A :class:`StellatuneError` as data.

    ``code`` selects the class; a cause that is no StellatuneError keeps its type's name in ``foreign``.
    """

    code: str
    message: str
    plugin: str | None = None
    component: str | None = None
    capability: str | None = None
    operation: str | None = None
    hint: str = ""
    details: dict[str, Plain] = {}
    cause: Failure | None = None
    foreign: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The error and its causes as data."""
        return _failure(error, MAX_CAUSES)

    def to_error(self) -> StellatuneError:
        """The error again: same class, same fields, same causes."""
        error = _rebuild(self)
        if self.cause is not None:
            error.__cause__ = self.cause.to_error()
        return error


def _failure(error: BaseException, links: int) -> Failure:
    cause = error.__cause__ if links > 0 else None
    below = None if cause is None else _failure(cause, links - 1)
    if not isinstance(error, StellatuneError):
        return Failure(
            code=StellatuneError.code,
            message=str(error) or type(error).__name__,
            cause=below,
            foreign=type(error).__name__,
        )
    return Failure(
        code=error.code,
        message=error.message,
        plugin=error.plugin,
        component=error.component,
        capability=error.capability,
        operation=error.operation,
        hint=error.hint,
        details={str(key): plain(value) for key, value in error.details.items()},
        cause=below,
    )


def plain(value: Any, depth: int = MAX_DEPTH) -> Plain:  # noqa: PLR0911 - one line a type
    """A value in the types that messages carry; anything else becomes its text."""
    if value is None or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, int):
        # MessagePack ends at 64 bits.
        return int(value) if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return str(value)
    if depth > 0 and isinstance(value, dict):
        return {str(key): plain(item, depth - 1) for key, item in value.items()}
    if depth > 0 and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth - 1) for item in value]
    return str(value)


def _classes() -> dict[str, type[StellatuneError]]:
    return {cls.code: cls for cls in all_errors()}


def _rebuild(failure: Failure) -> StellatuneError:
    cls = _classes().get(failure.code, StellatuneError)
    # Some classes build their message from parts; here it is built already, so their __init__ is passed over.
    error = cls.__new__(cls)
    StellatuneError.__init__(
        error,
        failure.message,
        plugin=failure.plugin,
        component=failure.component,
        capability=failure.capability,
        operation=failure.operation,
        hint=failure.hint,
    )
    error.details = dict(failure.details)
    if failure.foreign is not None:
        error.details.setdefault("type", failure.foreign)
    if isinstance(error, PluginFailure):
        error.case = str(failure.details.get("case", "internal"))
    if isinstance(error, ManifestInvalid):
        problems = failure.details.get("problems", [])
        error.problems = tuple(Problem(str(p["path"]), str(p["message"])) for p in problems)
    return error
