"""The table of deadlines."""

from __future__ import annotations

import math

import pytest

from stellatune_plugins.executor.deadlines import Deadlines


def test_a_teardown_waits_longer_than_any_single_call() -> None:
    """Otherwise it would give up on a call that is stopped a moment later."""
    table = Deadlines()
    assert all(table.wait > getattr(table, name) for name in table.__struct_fields__ if name != "wait")


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", Deadlines.__struct_fields__)
def test_only_positive_and_finite_deadlines_are_taken(name: str, seconds: float) -> None:
    """A deadline of nothing would stop every call, an endless one none."""
    with pytest.raises(ValueError, match=name):
        Deadlines(**{name: seconds})


def test_a_uniform_table_has_one_deadline() -> None:
    """All guest calls share it; the wait stays above it."""
    table = Deadlines.uniform(20)
    assert {getattr(table, name) for name in table.__struct_fields__ if name != "wait"} == {20}
    assert table.wait > 20
