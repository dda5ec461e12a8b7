"""Every function of every world, when the guest traps, hangs, hoards memory or answers with an error there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from host_fakes import Answers, MemoryStream, Streams, rawf

from stellatune_plugins.errors import CallDeadline, GuestTrap, InstanceDead, PluginFailure, StellatuneError
from stellatune_plugins.executor import Status, StatusReport, ask
from stellatune_plugins.model import AudioSpec, Frames, SampleRate

SPEC = AudioSpec(SampleRate(48_000), 2)
DEEDS: dict[str, type[StellatuneError]] = {
    "trap": GuestTrap,
    "loop": CallDeadline,
    "grow": GuestTrap,
    "error": PluginFailure,
}


def _track() -> MemoryStream:
    return MemoryStream(rawf(np.zeros((100, 2), np.float32)))


def _session(stage: Any, part: str) -> Any:
    return stage.decoder(part).open(_track(), None)


def _catalog(stage: Any, part: str) -> Any:
    return stage.catalog(part)


def _provider(stage: Any, part: str) -> Any:
    return stage.provider(part)


def _sink(stage: Any, part: str) -> Any:
    return stage.sink(part)


def _opened_sink(stage: Any, part: str) -> Any:
    sink = stage.sink(part)
    sink.open("{}", SPEC)
    return sink


COMMON: dict[str, Callable[[Any], Any]] = {
    "plan": lambda i: i.plan_config("{}"),
    "apply": lambda i: i.apply_config("{}"),
    "export": lambda i: i.export_state(),
    "import": lambda i: i.import_state("{}"),
}
CALLS: dict[Callable[[Any, str], Any], dict[str, Callable[[Any], Any]]] = {
    _session: {
        **COMMON,
        "info": lambda s: s.info(),
        "metadata": lambda s: s.metadata(),
        "read": lambda s: s.read_pcm(Frames(10)),
        "seek": lambda s: s.seek_ms(1),
    },
    _catalog: {
        **COMMON,
        "list": lambda c: c.list_items_json("{}"),
        "track": lambda c: c.open_uri("actor:5"),
        "next": lambda c: c.open_uri("actor:5").stream().read(5),
    },
    _provider: {**COMMON, "search": lambda p: p.search("la"), "fetch": lambda p: p.fetch("id \x01 one")},
    _sink: {
        **COMMON,
        "targets": lambda s: s.list_targets_json(),
        "negotiate": lambda s: s.negotiate_spec("{}", SPEC),
        "open": lambda s: s.open("{}", SPEC),
        "status": lambda s: s.status(),
        "flush": lambda s: s.flush(),
        "reset": lambda s: s.reset(),
    },
    _opened_sink: {"write": lambda s: s.write(np.zeros((8, 2), np.float32))},
}
CASES = [
    (make, hook, deed)
    for make, calls in CALLS.items()
    for hook in calls
    for deed in DEEDS
    # The four methods are the same code in every world, so one world goes through all deeds with them.
    if hook not in COMMON or make is _session or deed == "trap"
]
MAKES = {_session: "open", _catalog: "create", _provider: "create", _sink: "create"}


@pytest.fixture
def stage(make_stage: Any) -> Any:
    """With something behind every import."""
    return make_stage(streams=Streams(lambda _: _track()), http=Answers({"http://lyrics.example/la": "[]"}))


@pytest.mark.parametrize(("make", "hook", "deed"), CASES, ids=[f"{m.__name__[1:]}-{h}-{d}" for m, h, d in CASES])
def test_each_deed_at_each_function(stage: Any, make: Any, hook: str, deed: str) -> None:
    """The right error, in time; an answer leaves the guest alive, everything else does not, and recovery helps."""
    call = CALLS[make][hook]
    with make(stage, f"{hook}:{deed}") as instance:
        started = time.perf_counter()
        with pytest.raises(DEEDS[deed]) as caught:
            call(instance)
        assert time.perf_counter() - started < 5
        assert caught.value.plugin == "org.example.actor"
        if deed == "error":
            assert caught.value.message == "internal: as the  [31mpart  says"
            return
        with pytest.raises(InstanceDead):
            call(instance)
        assert instance.recover().replaced


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("make", MAKES, ids=lambda m: m.__name__[1:])
def test_each_deed_at_the_making(stage: Any, make: Any, deed: str) -> None:
    """Nothing is left of an instance that never was."""
    with pytest.raises(DEEDS[deed]):
        make(stage, f"{MAKES[make]}:{deed}")
    report = ask(stage.executor, Status(), StatusReport)
    assert not report.instances
    assert [p.instances for p in report.plugins] == [0]


@pytest.mark.parametrize("deed", ["trap", "loop"])
@pytest.mark.parametrize("hook", ["close", "drop", "on-disable"])
@pytest.mark.parametrize("make", MAKES, ids=lambda m: m.__name__[1:])
def test_each_deed_at_the_end(stage: Any, make: Any, hook: str, deed: str) -> None:
    """It is gone all the same, and soon."""
    instance = make(stage, f"{hook}:{deed}")
    started = time.perf_counter()
    instance.close()
    assert time.perf_counter() - started < 5
    assert not ask(stage.executor, Status(), StatusReport).instances
