"""How often a cell may be replaced."""

from __future__ import annotations

from stellatune_plugins.executor.recovery import ReplacementBudget, ReplacementPolicy


class Clock:
    """Seconds that a test turns on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_counts_within_the_window() -> None:
    """Three in a minute, and the fourth is refused."""
    budget = ReplacementBudget(ReplacementPolicy(3, 60), Clock())
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    assert budget.overdrawn


def test_old_replacements_are_forgotten() -> None:
    """Crashes that lie far apart never add up."""
    clock = Clock()
    budget = ReplacementBudget(ReplacementPolicy(3, 60), clock)
    for _ in range(20):
        assert budget.spend()
        clock.now += 30.5
    assert budget.spent == 20


def test_time_does_not_lift_the_bar() -> None:
    """Once overdrawn, somebody has to look at it."""
    clock = Clock()
    budget = ReplacementBudget(ReplacementPolicy(1, 60), clock)
    assert [budget.spend(), budget.spend()] == [True, False]
    clock.now += 3600
    assert not budget.spend()


def test_lifting_starts_a_new_budget() -> None:
    """After that the full number is allowed again."""
    budget = ReplacementBudget(ReplacementPolicy(2, 60), Clock())
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    budget.lift()
    assert not budget.overdrawn
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    assert budget.spent == 4
