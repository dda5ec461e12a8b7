"""Errors cross the executor's contract without losing a field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import (
    GuestTrap,
    HookFailed,
    ManifestInvalid,
    PluginFailure,
    Problem,
    StellatuneError,
    all_errors,
)
from stellatune_plugins.executor.failures import Failure, plain
from stellatune_plugins.executor.messages import decode_reply, encode


def _made(cls: type[StellatuneError]) -> StellatuneError:
    fields = {"plugin": "org.example.a", "component": "main", "capability": "dsp/a", "operation": "dsp.process"}
    if issubclass(cls, ManifestInvalid):
        return cls([Problem("components[0].path", "is empty")], **fields)
    if issubclass(cls, PluginFailure):
        return cls("invalid-arg", "too loud", **fields)
    return cls("it went wrong", hint="do this", trap="unreachable", count=3, **fields)


@pytest.mark.parametrize("cls", list(all_errors()), ids=lambda cls: cls.code)
def test_an_error_comes_back_as_it_was(cls: type[StellatuneError]) -> None:
    """Class, message, fields, hint and details are the same after a trip through bytes."""
    error = _made(cls)
    reply = decode_reply(encode(Failure.of(error)))
    assert isinstance(reply, Failure)
    back = reply.to_error()
    assert type(back) is cls
    assert back.to_dict() == error.to_dict()
    assert str(back) == str(error)
    assert back.args == error.args


def test_codes_name_one_class_each() -> None:
    """Otherwise a failure could come back as another class."""
    codes = [cls.code for cls in all_errors()]
    assert len(codes) == len(set(codes))


def test_a_plugins_case_comes_back() -> None:
    """Callers decide by the case."""
    back = Failure.of(PluginFailure("denied", "no")).to_error()
    assert isinstance(back, PluginFailure)
    assert back.case == "denied"


def test_problems_come_back_as_problems() -> None:
    """A manifest's problems are tuples of path and message again."""
    back = Failure.of(ManifestInvalid([Problem("id", "is empty")])).to_error()
    assert isinstance(back, ManifestInvalid)
    assert back.problems == (Problem("id", "is empty"),)


def test_the_cause_comes_back() -> None:
    """A hook's failure keeps the trap that caused it."""
    error = HookFailed("the hook failed")
    error.__cause__ = GuestTrap("boom", trap="unreachable")
    back = Failure.of(error).to_error()
    assert isinstance(back.__cause__, GuestTrap)
    assert back.__cause__.details == {"trap": "unreachable"}


def test_a_foreign_cause_keeps_its_type() -> None:
    """What is no error of ours comes back as one that names it."""
    error = StellatuneError("failed")
    error.__cause__ = KeyError("x")
    back = Failure.of(error).to_error()
    assert isinstance(back.__cause__, StellatuneError)
    assert back.__cause__.details == {"type": "KeyError"}


def test_a_circle_of_causes_ends() -> None:
    """Exceptions can be each other's cause; the data cannot."""
    one, two = StellatuneError("one"), StellatuneError("two")
    one.__cause__, two.__cause__ = two, one
    assert len(encode(Failure.of(one))) < 10_000


def test_an_unknown_code_is_still_an_error() -> None:
    """A newer executor may answer codes that this side does not know."""
    assert type(Failure(code="from-the-future", message="x").to_error()) is StellatuneError


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.tuples(st.integers()),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
                    max_leaves=20))  # fmt: skip
def test_any_detail_can_travel(value: object) -> None:
    """Whatever a raiser put into the details becomes plain data."""
    failure = Failure(code="internal", message="x", details={"value": plain(value)})
    assert decode_reply(encode(failure)) == failure
