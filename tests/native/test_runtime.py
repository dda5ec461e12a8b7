"""Finding and loading native plugins: records with a status, and a host that nothing stops."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from stellatune_plugins import native
from stellatune_plugins.errors import AbilityNotFound, NativePluginFailed
from stellatune_plugins.model import AbilityKind
from stellatune_plugins.native import GROUPS, NativePluginUnavailable, NativeRuntime, NativeStatus
from stellatune_plugins.native.records import split_name
from stellatune_plugins.observe import EventBus

Groups = dict[str, list[tuple[str, str]]]


class _Sink:
    def create(self) -> object:
        return object()


def _unavailable() -> object:
    raise NativePluginUnavailable("no such device")


def _raising() -> object:
    raise ZeroDivisionError("oops")


def _exiting() -> object:
    raise SystemExit(3)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An importable module with factories of every temper."""
    module = types.ModuleType("tests_native_plugins")
    module.__dict__.update(
        calls=[], sink=_Sink, unavailable=_unavailable, raising=_raising, exiting=_exiting, useless=object
    )
    monkeypatch.setitem(sys.modules, "tests_native_plugins", module)
    return module


def found(groups: Groups) -> Callable[[str], Iterable[EntryPoint]]:
    """Entry points as the installation would have them."""
    return lambda group: [EntryPoint(name, value, group) for name, value in groups.get(group, [])]


def sinks(*entries: tuple[str, str]) -> Callable[[str], Iterable[EntryPoint]]:
    """Entry points of output sinks alone."""
    return found({"stellatune.output_sink": list(entries)})


def test_the_front_door() -> None:
    """Every public name is there."""
    assert all(hasattr(native, name) for name in native.__all__)


def test_groups_are_one_a_capability() -> None:
    """Their names are the manifest's."""
    assert sorted(GROUPS.values()) == [
        "stellatune.decoder", "stellatune.dsp", "stellatune.lyrics", "stellatune.output_sink", "stellatune.source",
    ]  # fmt: skip


def test_built_ins_come_through_the_same_door() -> None:
    """Decoder, sink and the DSP twins are entry points of our own distribution."""
    runtime = NativeRuntime()
    ids = {r.plugin_id for r in runtime.records() if r.distribution == "stellatune-plugins"}
    assert {"dev.stellatune.native.ffmpeg-decoder", "dev.stellatune.native.file-sink", "dev.stellatune.gain"} <= ids
    assert runtime.load(AbilityKind.DECODER, "dev.stellatune.native.ffmpeg-decoder").status is NativeStatus.READY


@pytest.mark.usefixtures("plugins")
def test_finding_runs_no_plugin_code() -> None:
    """A record is ``found`` until somebody asks for the plugin; then its factory runs once."""
    runtime = NativeRuntime(entry_points=sinks(("a.b/x", "tests_native_plugins:sink")))
    assert runtime.records()[0].status is NativeStatus.FOUND
    first = runtime.output_sink("a.b")
    assert runtime.output_sink("a.b", "x") is first
    assert runtime.records()[0].status is NativeStatus.READY


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("factory", "status", "detail"),
    [
        ("tests_native_plugins:unavailable", NativeStatus.UNAVAILABLE, "no such device"),
        ("tests_native_plugins:raising", NativeStatus.FAILED, "ZeroDivisionError"),
        ("tests_native_plugins:useless", NativeStatus.FAILED, "lacks create"),
        ("tests_native_plugins:missing", NativeStatus.FAILED, "missing"),
        ("tests_native_plugins:exiting", NativeStatus.FAILED, "SystemExit"),
        ("no_such_package_at_all:make", NativeStatus.UNAVAILABLE, "no_such_package_at_all"),
    ],
)
def test_a_bad_plugin_is_a_record(factory: str, status: NativeStatus, detail: str) -> None:
    """Whatever goes wrong in one plugin, the record says it and the others load."""
    runtime = NativeRuntime(entry_points=sinks(("a.bad", factory), ("b.good", "tests_native_plugins:sink")))
    bad, good = runtime.load_all()
    assert (bad.status, good.status) == (status, NativeStatus.READY)
    assert detail in (bad.detail or "")
    with pytest.raises(NativePluginFailed) as caught:
        runtime.output_sink("a.bad")
    assert caught.value.plugin == "a.bad"
    assert caught.value.details["status"] == str(status)


@pytest.mark.usefixtures("plugins")
def test_loading_is_an_event() -> None:
    """Each load is told once, with status and reason."""
    bus = EventBus()
    runtime = NativeRuntime(bus=bus, entry_points=sinks(("a.bad", "tests_native_plugins:unavailable")))
    with bus.recording() as events:
        runtime.load_all()
        runtime.load_all()
    event: Any = events[0]
    assert len(events) == 1
    assert (event.plugin, event.status, event.detail) == ("a.bad", "unavailable", "no such device")


@pytest.mark.usefixtures("plugins")
def test_a_name_that_is_taken_goes_to_the_first() -> None:
    """The second claimant is a failed record; the same one twice is no conflict."""
    runtime = NativeRuntime(
        entry_points=sinks(
            ("a.b", "tests_native_plugins:sink"),
            ("a.b", "tests_native_plugins:useless"),
            ("a.b", "tests_native_plugins:sink"),
        )
    )
    assert [r.status for r in runtime.load_all()] == [NativeStatus.READY, NativeStatus.FAILED]


@pytest.mark.parametrize("name", ["", "A.b", "../x", "a..b", "a/", "a/../b", "a/b/c", "x" * 129, "a b"])
def test_bad_names_are_failed_records(name: str) -> None:
    """An entry point whose name is no plugin id is shown and never loaded."""
    with pytest.raises(ValueError, match=r"no (plugin|type) id"):
        split_name(name)
    runtime = NativeRuntime(entry_points=sinks((name, "tests_native_plugins:sink")))
    assert [r.status for r in runtime.load_all()] == [NativeStatus.FAILED]


def test_the_type_is_the_ids_last_part() -> None:
    """Unless the name says otherwise."""
    assert split_name("dev.stellatune.gain") == ("dev.stellatune.gain", "gain")
    assert split_name("dev.stellatune.native.file-sink/file") == ("dev.stellatune.native.file-sink", "file")


@pytest.mark.usefixtures("plugins")
def test_what_is_not_there_is_not_found() -> None:
    """An unknown plugin, another kind, and a type that must be named among several."""
    runtime = NativeRuntime(
        entry_points=sinks(("a.b/x", "tests_native_plugins:sink"), ("a.b/y", "tests_native_plugins:sink"))
    )
    for ask in (
        lambda: runtime.output_sink("no.body"),
        lambda: runtime.dsp("a.b", "x"),
        lambda: runtime.output_sink("a.b"),
        lambda: runtime.source("a.b"),
        lambda: runtime.lyrics("a.b"),
    ):
        with pytest.raises(AbilityNotFound):
            ask()
    assert [r.type_id for r, _ in runtime.ready(AbilityKind.OUTPUT_SINK)] == ["x", "y"]
