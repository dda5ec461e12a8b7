"""The policy that gives a failed stage another chance."""

from stellatune_plugins.hotpath.recovery import RecoveryPolicy


def test_strikes_count_only_in_a_row() -> None:
    """A good block in between starts the count again."""
    policy = RecoveryPolicy(strikes=3, pauses=())
    assert [policy.strike(at, 10) for at in (0, 10, 30, 40, 50)] == [False, False, False, False, True]


def test_each_chance_waits_longer_and_then_there_is_none() -> None:
    """The pauses are used up one by one."""
    policy = RecoveryPolicy(strikes=1, pauses=(0, 100))
    assert [policy.return_at(1000) for _ in range(3)] == [1000, 1100, None]
    assert policy.replacements == 2
