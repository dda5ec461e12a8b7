"""Waits in the host end before the guest's call does, and with the teardown."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from host_fakes import MemoryStream, Streams, WaitingStream, rawf

from stellatune_plugins.errors import InstanceDead, PluginFailure, StellatuneError
from stellatune_plugins.executor import Deactivate, Deactivated, Deadlines, ask
from stellatune_plugins.executor.imports import host_imports
from stellatune_plugins.host import budget
from stellatune_plugins.host.services import NoServices, ServedPlugin
from stellatune_plugins.host.sidecar import (
    LaunchSpec,
    SidecarChannel,
    SidecarLockGuard,
    SidecarProcess,
    TransportWish,
)
from stellatune_plugins.model import AbilityKind, DisableReason, Frames

LATE = 0.5
"""Seconds that a call may come back late here, where two cores may be busy with other tests."""


class Waiting:
    """Every function of every service waits as long as it may, then answers ``timeout``."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.entered = threading.Event()
        self.closed = threading.Event()

    def wait(self, closed: threading.Event | None = None) -> None:
        seconds = budget.within(self.timeout)
        self.entered.set()
        if (closed or self.closed).wait(seconds):
            raise PluginFailure("io", "closed")
        raise PluginFailure("timeout", "nothing came")


class Http(Waiting):
    """Fetches nothing."""

    def fetch_json(self, url: str) -> str:
        self.wait()
        return url


class SlowChannel(SidecarChannel):
    """Waits where it is told to."""

    def __init__(self, sidecars: Sidecars) -> None:
        self._sidecars = sidecars
        self._closed = threading.Event()

    def transport(self) -> str:
        return "stdio"

    def write(self, data: bytes) -> int:
        self._sidecars.wait_in("[method]channel.write", self._closed)
        return len(data)

    def read(self, max_bytes: int, timeout_ms: int | None) -> bytes:
        self._sidecars.wait_in("[method]channel.read", self._closed)
        return b""

    def close(self) -> None:
        self._closed.set()


class SlowProcess(SidecarProcess):
    """Likewise."""

    def __init__(self, sidecars: Sidecars) -> None:
        self._sidecars = sidecars

    def open_control(self) -> SidecarChannel:
        self._sidecars.wait_in("[method]process.open-control")
        return SlowChannel(self._sidecars)

    def open_data(self, role: str, preferred: tuple[TransportWish, ...]) -> SidecarChannel:
        self._sidecars.wait_in("[method]process.open-data")
        return SlowChannel(self._sidecars)

    def wait_exit(self, timeout_ms: int | None) -> int | None:
        self._sidecars.wait_in("[method]process.wait-exit")
        return None

    def terminate(self, grace_ms: int) -> None:
        self._sidecars.wait_in("[method]process.terminate")

    def close(self) -> None:
        self._sidecars.closed.set()


class Sidecars(Waiting):
    """Waits in one function, and does everything else at once."""

    def __init__(self, timeout: float, waits: str) -> None:
        super().__init__(timeout)
        self._waits = waits

    def wait_in(self, where: str, closed: threading.Event | None = None) -> None:
        if where == self._waits:
            self.wait(closed)

    def launch(self, spec: LaunchSpec) -> SidecarProcess:
        self.wait_in("launch")
        return SlowProcess(self)

    def lock(self, name: str, timeout_ms: int | None) -> SidecarLockGuard:
        self.wait_in("lock")
        raise AssertionError


def _waits(make_stage: Any, which: str, timeout: float, **how: Any) -> tuple[Any, Waiting, Callable[[], Any]]:
    """An instance, the service behind it, and a call that waits in the import."""
    if which == "fetch-json":
        http = Http(timeout)
        provider = make_stage(http=http, **how).provider()
        return provider, http, lambda: provider.search("x")
    if which in TOURS:
        waiting = Waiting(timeout)
        stream = WaitingStream(timeout, which.rpartition(".")[2])
        stream.entered, stream.closed = waiting.entered, waiting.closed
        catalog = make_stage(streams=Streams(lambda _: stream), **how).catalog()
        return catalog, waiting, lambda: catalog.apply_config(f'{{"tour": {TOURS[which]}}}')
    if which == "open":
        waiting = Waiting(timeout)

        def open_(_: Any) -> MemoryStream:
            waiting.wait()
            raise AssertionError

        catalog = make_stage(streams=Streams(open_), **how).catalog()
        return catalog, waiting, lambda: catalog.apply_config('{"tour": 5}')
    sidecars = Sidecars(timeout, waits=which)
    processor = make_stage(sidecars=sidecars, **how).processor()
    return processor, sidecars, lambda: processor.apply_config(f'{{"sidecar": {SIDECARS[which]}}}')


STREAM = "[method]host-stream-handle."
TOURS = {STREAM + "read": 5, STREAM + "seek": 6, STREAM + "tell": 7, STREAM + "size": 8}
SIDECARS = {
    "launch": 1,
    "lock": 2,
    "[method]process.terminate": 1,
    "[method]channel.read": 4,
    "[method]process.open-data": 5,
    "[method]process.wait-exit": 6,
    "[method]channel.write": 7,
    "[method]process.open-control": 8,
}
WAITS = ["fetch-json", "open", *TOURS, *SIDECARS]
NEVER_WAIT = {
    "[method]channel.transport",
    "[method]channel.close",
    "[method]lock-guard.unlock",
    STREAM + "close",
}
"""They give no result, so they have no word for a timeout; a service answers them at once."""


def test_every_import_is_tried() -> None:
    """A function that is added to the host's side without a wait of its own here fails this test."""
    every = {
        name
        for kind in AbilityKind
        for functions in host_imports(NoServices(), f"stellatune:plugin/{kind.world_name}@0.1.0").functions.values()
        for name in functions
    }
    assert every == {*WAITS, *NEVER_WAIT}


@pytest.mark.parametrize("which", WAITS)
def test_a_wait_ends_at_the_imports_own_deadline(make_stage: Any, which: str) -> None:
    """The guest is back right after it, answers what it was told, and lives."""
    instance, _, call = _waits(make_stage, which, 0.1, deadlines=Deadlines())
    with instance:
        started = time.perf_counter()
        with pytest.raises(PluginFailure, match="timeout"):
            call()
        assert 0.09 < time.perf_counter() - started < 0.1 + LATE
        instance.plan_config("{}")


@pytest.mark.parametrize("which", WAITS)
def test_a_wait_ends_before_the_guests_call_does(make_stage: Any, which: str) -> None:
    """An import that would wait for an hour gives up a little earlier than the call, so that the guest can say so."""
    instance, _, call = _waits(make_stage, which, 3600, deadlines=Deadlines.uniform(0.6))
    with instance:
        started = time.perf_counter()
        with pytest.raises(PluginFailure, match="timeout"):
            call()
        assert time.perf_counter() - started < 0.6 + LATE
        instance.plan_config("{}")


def test_how_late_a_guest_comes_back(make_stage: Any) -> None:
    """Over many waits, the middle one is within the 50 ms that are promised, on any machine that is not drowning."""
    late = []
    instance, _, call = _waits(make_stage, "fetch-json", 0.02, deadlines=Deadlines())
    with instance:
        for _ in range(30):
            started = time.perf_counter()
            with pytest.raises(PluginFailure, match="timeout"):
                call()
            late.append(time.perf_counter() - started - 0.02)
    assert statistics.median(late) < 0.05


def test_a_guest_behind_a_guest_ends_first(make_stage: Any) -> None:
    """A decoder reads from a source that waits: the source answers, then the decoder does, and both live."""
    stream = WaitingStream(3600)
    stage = make_stage(streams=Streams(lambda _: stream), deadlines=Deadlines.uniform(0.8))
    head = rawf(np.zeros((10, 2), np.float32))
    catalog = stage.catalog(plugin="org.example.source")

    class Behind(MemoryStream):
        def read(self, max_bytes: int) -> bytes:
            if self.position < 12:
                return super().read(max_bytes)
            catalog.apply_config('{"tour": 5}')
            raise AssertionError

    with catalog, stage.decoder().open(Behind(head), None) as session:
        started = time.perf_counter()
        with pytest.raises(PluginFailure, match="timeout") as caught:
            session.read_pcm(Frames(10))
        assert time.perf_counter() - started < 0.8 + LATE
        assert isinstance(caught.value.__cause__, PluginFailure)
        catalog.plan_config("{}")
        session.plan_config("{}")


@pytest.mark.parametrize("end", ["close", "deactivate"])
@pytest.mark.parametrize("which", [*TOURS, *(name for name in SIDECARS if name.startswith("[method]"))])
def test_a_teardown_ends_a_wait(make_stage: Any, which: str, end: str) -> None:
    """Streams and channels are closed under the guest that waits for one, so nobody waits for the wait."""
    instance, waiting, call = _waits(make_stage, which, 30, deadlines=Deadlines(call=30))
    seen: list[StellatuneError] = []

    def run() -> None:
        try:
            call()
        except StellatuneError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert waiting.entered.wait(10)
    started = time.perf_counter()
    if end == "close":
        instance.close()
    else:
        executor, plugin = instance._executor, instance.ability.plugin_id
        reply = ask(executor, Deactivate(plugin, DisableReason.HOST_DISABLE), Deactivated)
        assert not reply.forced
    thread.join(10)
    assert not thread.is_alive()
    assert time.perf_counter() - started < 5
    assert [type(error) for error in seen] == [PluginFailure]
    with pytest.raises(InstanceDead):
        instance.plan_config("{}")
    instance.close()


@pytest.mark.parametrize("which", ["fetch", "lock"])
def test_a_deactivation_ends_a_wait_without_an_object(make_stage: Any, which: str) -> None:
    """A fetch or a lock has nothing that could be closed under it: the plugin's services end, and it with them."""
    http, sidecars = Http(30), Sidecars(30, waits="lock")

    class Closing(NoServices):
        def __init__(self, plugin: ServedPlugin) -> None:
            super().__init__(plugin)
            self.http, self.sidecars = http, sidecars

        def close(self) -> None:
            http.closed.set()
            sidecars.closed.set()

    stage = make_stage(services=Closing, deadlines=Deadlines(call=30))
    instance: Any = stage.provider() if which == "fetch" else stage.processor()
    seen: list[StellatuneError] = []

    def run() -> None:
        try:
            if which == "fetch":
                instance.search("x")
            else:
                instance.apply_config('{"sidecar": 2}')
        except StellatuneError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert (http if which == "fetch" else sidecars).entered.wait(10)
    started = time.perf_counter()
    reply = ask(stage.executor, Deactivate(instance.ability.plugin_id, DisableReason.SHUTDOWN), Deactivated)
    thread.join(10)
    assert time.perf_counter() - started < 6
    assert not reply.forced
    assert [str(error.details.get("case")) for error in seen] == ["io"]
    instance.close()


def test_a_guest_that_never_gives_up_is_stopped_too(make_stage: Any) -> None:
    """What was closed under it cannot be opened anew: on the way out nothing begins."""
    opened: list[WaitingStream] = []

    def open_(_: Any) -> WaitingStream:
        opened.append(WaitingStream(20))
        return opened[-1]

    catalog = make_stage(streams=Streams(open_), deadlines=Deadlines(call=30)).catalog()
    seen: list[StellatuneError] = []

    def run() -> None:
        try:
            catalog.apply_config('{"tour": 9}')
        except StellatuneError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not (opened and opened[0].entered.wait(0.01)):
        assert thread.is_alive()
    started = time.perf_counter()
    catalog.close()
    thread.join(10)
    assert time.perf_counter() - started < 5
    assert [str(error.details.get("case")) for error in seen] == ["io"]
    assert len(opened) == 1


def test_a_teardown_ends_a_track_that_is_being_opened(make_stage: Any) -> None:
    """Opening waits for a stream too; the session that never was leaves nothing."""
    stream = WaitingStream(30)
    stage = make_stage(deadlines=Deadlines())
    decoder = stage.decoder()
    seen: list[StellatuneError] = []

    def run() -> None:
        try:
            decoder.open(stream, None)
        except StellatuneError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert stream.entered.wait(10)
    started = time.perf_counter()
    ask(stage.executor, Deactivate(decoder.ability.plugin_id, DisableReason.SHUTDOWN), Deactivated)
    thread.join(10)
    assert not thread.is_alive()
    assert time.perf_counter() - started < 5
    assert len(seen) == 1
    assert len(stage.executor.streams) == 0
