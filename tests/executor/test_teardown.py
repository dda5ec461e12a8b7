"""Ends: in order, once, and never under a running call."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import GuestTrap, InstanceDead, PluginFailure, StellatuneError
from stellatune_plugins.executor import Deactivate, Deactivated, Deadlines, ask
from stellatune_plugins.executor.cell import Cell
from stellatune_plugins.executor.states import CellState
from stellatune_plugins.host.sidecar import LaunchSpec, SidecarLockGuard, SidecarProcess
from stellatune_plugins.model import AudioSpec, DisableReason, SampleRate

SPEC = AudioSpec(SampleRate(48_000), 2)


class Stuck:
    """A service whose lock is not given before the test says so."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def launch(self, spec: LaunchSpec) -> SidecarProcess:
        raise PluginFailure("denied", "no")

    def lock(self, name: str, timeout_ms: int | None) -> SidecarLockGuard:
        self.entered.set()
        assert self.leave.wait(30)
        raise PluginFailure("timeout", "too late")


def _state(cell: Cell) -> CellState:
    """Read anew: it changes behind the type checker's back."""
    return cell.state


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Every cell that is made in the test."""
    made: list[Cell] = []
    original = Cell.__init__

    def init(self: Cell, *args: Any) -> None:
        made.append(self)
        original(self, *args)

    monkeypatch.setattr(Cell, "__init__", init)
    return made


def test_a_call_stuck_in_the_host_does_not_hold_the_teardown(make_stage: Any, cells: list[Cell]) -> None:
    """Epochs stop guests, not imports: the teardown says so, and the thread inside frees the cell when it leaves."""
    stuck = Stuck()
    table = Deadlines(wait=0.05)
    stage = make_stage(sidecars=stuck, deadlines=table)
    dsp = stage.dsp()
    processor = dsp.create(SPEC)
    seen: list[StellatuneError] = []

    def call() -> None:
        try:
            processor.apply_config('{"sidecar": 2}')
        except StellatuneError as error:
            seen.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert stuck.entered.wait(10)
    reply = ask(stage.executor, Deactivate(dsp.ability.plugin_id, DisableReason.SHUTDOWN), Deactivated)
    assert reply.forced
    assert [f.code for f in reply.failures] == ["store-misuse"]
    assert _state(cells[0]) == CellState.READY
    with pytest.raises(InstanceDead):
        processor.output_channels()
    stuck.leave.set()
    thread.join(10)
    assert _state(cells[0]) == CellState.CLOSED
    assert [e.code for e in seen] == ["plugin-error"]
    processor.close()


def test_a_broken_cell_is_freed_at_once(stage: Any, cells: list[Cell]) -> None:
    """Store and instance go with the error, not with the close."""
    with stage.processor() as processor:
        (cell,) = cells
        with pytest.raises(GuestTrap):
            processor.process(np.full((8, 2), 666, np.float32))
        assert _state(cell) == CellState.BROKEN
        assert cell._store.closed
        assert not cell._instance.alive
    assert _state(cell) == CellState.CLOSED


def test_the_instance_ends_before_its_store(stage: Any, cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """Resources are swept by the instance, and live in the Store."""
    order: list[str] = []
    processor = stage.processor()
    (cell,) = cells
    for name, part in (("instance", cell._instance), ("store", cell._store)):
        close = part.close

        def noted(name: str = name, close: Any = close) -> None:
            order.append(name)
            close()

        monkeypatch.setattr(part, "close", noted)
    processor.close()
    assert order == ["instance", "store"]


def test_instances_end_in_reverse_order(stage: Any, cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest first, the waiting cells last."""
    ended: list[int] = []
    original = Cell.close

    def close(self: Cell, reason: DisableReason) -> Any:
        ended.append(cells.index(self))
        return original(self, reason)

    dsp = stage.dsp(components=("main", "spare"))
    processors = [dsp.create(SPEC) for _ in range(3)]
    monkeypatch.setattr(Cell, "close", close)
    ask(stage.executor, Deactivate(dsp.ability.plugin_id, DisableReason.UNLOAD), Deactivated)
    # Cell 0 went to the first instance, cell 1 waits for the other component, 2 and 3 were made on demand.
    assert ended == [3, 2, 0, 1]
    for processor in processors:
        processor.close()


def test_an_interrupt_breaks_the_cell(stage: Any, cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows where the guest was when Ctrl-C came, so it is not used again."""
    with stage.processor() as processor:
        (cell,) = cells

        def interrupted(request: Any) -> Any:
            raise KeyboardInterrupt

        (pair,) = stage.executor._instances.values()
        monkeypatch.setattr(pair[1]._served, "_answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            processor.output_channels()
        assert _state(cell) == CellState.BROKEN
        with pytest.raises(InstanceDead):
            processor.output_channels()
        assert processor.recover().replaced
