"""The restart policy against a plain reference, written from its description and not from its code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from stellatune_plugins.host.sidecar.supervision import Again, Decision, Quarantine, Rest, Supervision
from stellatune_plugins.package.manifest import SidecarRestart


@dataclass
class Plain:
    """Every failure there ever was, counted anew each time."""

    policy: SidecarRestart
    failures: list[float] = field(default_factory=list)
    restarts: int = 0

    def ended(self, now: float, *, lasted: float | None, failed: bool, intended: bool, chance: float) -> Decision:
        if lasted is not None and lasted >= 600:
            self.restarts = 0
            self.failures = []
        if intended:
            return Rest()
        if failed:
            self.failures.append(now)
            in_a_minute = [then for then in self.failures if now - 60 < then]
            in_ten = [then for then in self.failures if now - 600 < then]
            if len(in_a_minute) >= 5:
                return Quarantine(len(in_a_minute), 60)
            if len(in_ten) >= 8:
                return Quarantine(len(in_ten), 600)
        wanted = {
            SidecarRestart.NEVER: False,
            SidecarRestart.ON_FAILURE: failed,
            SidecarRestart.ALWAYS: True,
        }[self.policy]
        if not wanted:
            return Rest()
        self.restarts += 1
        delays = [0, 1, 2, 4, 8, 16, 32]
        delay = delays[self.restarts - 1] if self.restarts <= len(delays) else 60
        return Again(delay * (0.8 + 0.4 * chance), self.restarts)


Step = tuple[float, float | None, bool, bool, float]
steps = st.lists(
    st.tuples(
        st.floats(0, 700),  # seconds until it is started
        st.one_of(st.none(), st.floats(0, 50), st.floats(590, 700)),  # how long it runs; None: it does not start
        st.booleans(),  # fails
        st.sampled_from([False, False, False, True]),  # intended
        st.floats(0, 1),
    ),
    max_size=40,
)


def same(one: Decision, other: Decision) -> bool:
    """Whether two decisions are the same, but for rounding."""
    if isinstance(one, Again) and isinstance(other, Again):
        return one.attempt == other.attempt and math.isclose(one.delay, other.delay, abs_tol=1e-9)
    return one == other


@settings(max_examples=300)
@given(st.sampled_from(list(SidecarRestart)), steps)
def test_decides_as_the_plain_reference_does(policy: SidecarRestart, history: list[Step]) -> None:
    """For any history of starts, ends, failures and healthy runs."""
    chances = [0.0]
    machine, plain, now = Supervision(policy, lambda: chances[0]), Plain(policy), 0.0
    for wait, lasted, fails, intended, chance in history:
        now += wait
        chances[0] = chance
        if lasted is not None:
            machine.started(now)
            now += lasted
        failed = fails or lasted is None
        # What was measured, since sums are rounded.
        measured = None if lasted is None else now - (now - lasted)
        if measured is not None and 599.9 < measured < 600.1:
            return
        got = machine.ended(now, failed=failed, intended=intended)
        wanted = plain.ended(now, lasted=lasted, failed=failed, intended=intended, chance=chance)
        assert same(got, wanted), (got, wanted)
        if isinstance(got, Quarantine):
            machine.lifted()
            plain.failures, plain.restarts = [], 0


def test_backoff_as_described() -> None:
    """At once, then 1 s doubling to 60 s; 20 % more or less."""
    machine = Supervision(SidecarRestart.ALWAYS, lambda: 0.5)
    delays = [machine.ended(now, failed=False) for now in range(9)]
    assert [d.delay for d in delays if isinstance(d, Again)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    for chance, delay in ((0.0, 0.8), (1.0, 1.2)):
        machine = Supervision(SidecarRestart.ALWAYS, lambda chance=chance: chance)  # type: ignore[misc]
        machine.ended(0, failed=False)
        second = machine.ended(0, failed=False)
        assert isinstance(second, Again)
        assert math.isclose(second.delay, delay)


def test_five_failures_in_a_minute_are_too_many() -> None:
    """Four are not, and five in more than a minute are not."""
    machine = Supervision(SidecarRestart.ON_FAILURE, lambda: 0.5)
    assert [type(machine.ended(now, failed=True)) for now in (0, 10, 20, 30)] == [Again] * 4
    assert isinstance(machine.ended(60.1, failed=True), Again)
    assert machine.ended(61, failed=True) == Quarantine(5, 60.0)


def test_eight_failures_in_ten_minutes_are_too_many() -> None:
    """Spread so that no minute has five."""
    machine = Supervision(SidecarRestart.NEVER, lambda: 0.5)
    assert [machine.ended(80 * i, failed=True) for i in range(7)] == [Rest()] * 7
    assert machine.ended(560, failed=True) == Quarantine(8, 600.0)


def test_earlier_hosts_failures_count() -> None:
    """Four before a restart of the host and one after it."""
    machine = Supervision(SidecarRestart.ON_FAILURE, lambda: 0.5, [-40, -30, -20, -10])
    assert machine.ended(1, failed=True) == Quarantine(5, 60.0)


def test_ten_healthy_minutes_start_anew() -> None:
    """The next restart comes at once again."""
    machine = Supervision(SidecarRestart.ON_FAILURE, lambda: 0.5)
    for now in (0, 100, 200):
        machine.ended(now, failed=True)
    machine.started(300)
    assert machine.ended(900, failed=True) == Again(0.0, 1)
