"""Sixteen threads, each with its own guests, failing at random: every exception arrives where it belongs.

At full size 200,000 calls. Stock wasmtime-py keeps the exception of a host function in one place for the whole
process, and crosses or loses one in ten.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from failing_guest import TEXT
from wasmtime import component as wc

from stellatune_plugins.engine import ComponentInstance, Err, GuestStore, HostImports, Ok, Variant, WasmEngine
from stellatune_plugins.engine.assemble import assemble
from stellatune_plugins.errors import (
    CallDeadline,
    GuestContract,
    GuestTrap,
    HostImportFailed,
    InstanceDead,
    ValueInvalid,
)

THREADS = 16
WEIGHTS = {
    "plain": 40,
    "fallible": 30,
    "answered": 20,
    "misfit": 5,
    "raise-plain": 2,
    "raise-fallible": 2,
    "wrong-shape": 1,
    "interrupt": 1,
    "trap": 2,
    "loop": 0.2,
    "bad": 1,
}
"""How often each kind of call is made."""

pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]


class Defect(Exception):
    """A failure of one call of one thread."""


class Caller:
    """One thread's work: calls at random, each outcome compared with what it must be."""

    def __init__(self, engine: WasmEngine, component: Any, seed: int, calls: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._engine = engine
        self._component = component
        self._dice = random.Random(seed)
        self._calls = calls
        self._answer: Callable[[int], Any] = Ok
        self._instance: ComponentInstance | None = None

    def run(self) -> None:
        kinds, weights = zip(*WEIGHTS.items(), strict=True)
        try:
            for _ in range(self._calls):
                kind = self._dice.choices(kinds, weights)[0]
                if self._instance is None:
                    self._open()
                self._call(kind)
                self.outcomes[kind] += 1
        except BaseException as error:  # noqa: BLE001 - whatever ends a thread is a finding
            self.complaints.append(f"the thread ended by {error!r}")
        finally:
            self._close()

    def _open(self) -> None:
        imports = HostImports()
        imports.add("", "plain", self._serve)
        imports.add("", "fallible", self._serve)
        store = GuestStore(self._engine, label="threads")
        self._instance = ComponentInstance(store, self._component, imports, label="threads", deadline=30.0)
        self._functions = {
            name: self._instance.function("", name) for name in ("plain", "fallible", "trap", "loop", "bad", "text")
        }

    def _serve(self, number: int) -> Any:
        return self._answer(number)

    def _close(self) -> None:
        if self._instance is not None:
            self._instance.close()
            self._instance.store.close()
            self._instance = None

    def _call(self, kind: str) -> None:
        number = self._dice.randrange(1 << 31)
        match kind:
            case "plain":
                self._answer = lambda n: n + 1
                self._expect(self._functions["plain"](number) == number + 1, "another call's result")
            case "fallible":
                self._answer = lambda n: Ok(n + 2)
                self._expect(self._functions["fallible"](number) == number + 2, "another call's result")
            case "answered":
                self._answer = lambda _n: Err(Variant("io", "no"))
                self._expect(self._functions["fallible"](number) == 0, "an error that did not arrive")
            case "misfit":
                self._fails(ValueInvalid, self._functions["plain"], -1 - number, dies=False)
            case "raise-plain" | "raise-fallible":
                defect = Defect(number)
                self._answer = _raiser(defect)
                error = self._fails(HostImportFailed, self._functions[kind.removeprefix("raise-")], number)
                self._expect(error is not None and error.__cause__ is defect, "another thread's exception")
            case "wrong-shape":
                self._answer = lambda _n: "text"
                error = self._fails(HostImportFailed, self._functions["fallible"], number)
                self._expect(error is not None and isinstance(error.__cause__, ValueInvalid), "another exception")
            case "interrupt":
                interrupt = KeyboardInterrupt(number)
                self._answer = _raiser(interrupt)
                error = self._fails(KeyboardInterrupt, self._functions["plain"], number)
                self._expect(error is interrupt, "another thread's interrupt")
            case "trap":
                self._fails(GuestTrap, self._functions["trap"])
            case "loop":
                self._fails(CallDeadline, self._functions["loop"], deadline=0.002)
            case "bad":
                self._fails(GuestContract, self._functions["bad"])

    def _fails(
        self, wanted: type[BaseException], function: Any, *args: Any, dies: bool = True, deadline: float | None = None
    ) -> BaseException | None:
        try:
            function(*args, deadline=deadline)
        except BaseException as error:  # noqa: BLE001 - a wrong one is a finding
            self._expect(type(error) is wanted, f"{error!r} where {wanted.__name__} belongs")
            found: BaseException | None = error
        else:
            self.complaints.append(f"{wanted.__name__} was lost")
            found = None
        assert self._instance is not None
        self._expect(self._instance.alive is not dies, "the wrong state afterwards")
        if dies:
            with pytest.raises(InstanceDead):
                self._functions["text"]()
            self._close()
        return found

    def _expect(self, fine: bool, otherwise: str) -> None:
        if not fine:
            self.complaints.append(otherwise)


def _raiser(error: BaseException) -> Callable[[int], Any]:
    def answer(_number: int) -> Any:
        raise error

    return answer


def test_no_exception_is_lost_or_crossed(stress_size: Callable[[int, int], int]) -> None:
    """Results, errors and causes all belong to the call that was made."""
    calls = stress_size(4_000, 200_000)
    with WasmEngine() as engine:
        component = wc.Component(engine.raw, assemble(TEXT))
        callers = [Caller(engine, component, seed, calls // THREADS) for seed in range(THREADS)]
        threads = [threading.Thread(target=caller.run) for caller in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    complaints = Counter(complaint for caller in callers for complaint in caller.complaints)
    assert not complaints
    outcomes: Counter[str] = sum((caller.outcomes for caller in callers), Counter())
    assert outcomes.total() == calls // THREADS * THREADS
    assert set(outcomes) == set(WEIGHTS)
