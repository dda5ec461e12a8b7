"""The host-stream and http-client interfaces reach their services, and no guest gets more than its world allows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from host_fakes import Answers, GenerousStream, MemoryStream, Streams, rawf

from stellatune_plugins.errors import GuestContract, GuestTrap, HostImportFailed, PluginFailure, WorldMismatch
from stellatune_plugins.executor import Deadlines
from stellatune_plugins.executor.imports.host import WORLD_IMPORTS, host_imports
from stellatune_plugins.executor.imports.host_stream import MAX_READ
from stellatune_plugins.executor.names import HOST_STREAM, HTTP_CLIENT, SIDECAR, world_kind
from stellatune_plugins.host.services import NoServices
from stellatune_plugins.host.stream import HttpMethod, OpenRequest, StreamKind
from stellatune_plugins.model import AbilityKind

EMPTY = MemoryStream(rawf(np.zeros((0, 2), np.float32)))


def _toured(stage: Any, which: int) -> list[Any]:
    """What a guest saw on its tour of the interface."""
    with stage.catalog() as catalog:
        catalog.apply_config(json.dumps({"tour": which}))
        seen: list[Any] = json.loads(catalog.export_state())
        return seen


@pytest.fixture
def track() -> MemoryStream:
    """Ten bytes."""
    return MemoryStream(bytes(range(10)))


def test_every_function_of_a_stream_arrives(make_stage: Any, track: MemoryStream) -> None:
    """Open, read, read of nothing, tell, size, seek from each origin, an impossible seek, close, read after it."""
    streams = Streams(lambda _: track)
    seen = _toured(make_stage(streams=streams), 1)
    assert seen == [1, 4, 0, 4, 10, 8, 2, 0, 3, 4, "invalid-arg", "io"]
    assert streams.requests == [OpenRequest(kind=StreamKind.FILE, target="track.bin")]
    assert track.closes == 2  # by word, and by letting go


def test_a_request_arrives_whole(make_stage: Any, track: MemoryStream) -> None:
    """Every field of it, bytes that are no text included."""
    streams = Streams(lambda _: track)
    assert _toured(make_stage(streams=streams), 2) == [1]
    assert streams.requests == [
        OpenRequest(
            kind=StreamKind.HTTP,
            target="https://music.example/a b",
            method=HttpMethod.POST,
            headers=(("x-one", "1"), ("x-two", "2")),
            body=b"\x00\xff body",
            connect_timeout_ms=1500,
            read_timeout_ms=0xFFFF_FFFF,
        )
    ]


def test_an_unknown_size_is_unsupported(make_stage: Any) -> None:
    """The contract has no other word for it."""
    streams = Streams(lambda _: MemoryStream(bytes(10), size_known=False))
    assert _toured(make_stage(streams=streams), 1)[4] == "unsupported"


def test_a_stream_that_only_goes_forward_says_so(make_stage: Any) -> None:
    """With the service's own case."""
    streams = Streams(lambda _: MemoryStream(bytes(10), seekable=False))
    seen = _toured(make_stage(streams=streams), 1)
    assert [seen[5], seen[8], seen[9]] == ["unsupported"] * 3


def test_a_service_that_gives_too_much_is_cut(make_stage: Any) -> None:
    """The guest gets what it asked for at most, a part at a time, and no position that has no number."""
    stream = GenerousStream(bytes(10))
    seen = _toured(make_stage(streams=Streams(lambda _: stream), deadlines=Deadlines.uniform(5)), 1)
    assert seen == [1, 4, 0, "internal", 10, "internal", MAX_READ, 4, "internal", "internal", "internal", "io"]
    assert f"read {MAX_READ}" in stream.log


def test_without_a_service_everything_is_denied(stage: Any) -> None:
    """Which the guest is told, and lives with."""
    assert _toured(stage, 1) == ["denied"]


def test_a_defect_of_the_service_breaks_the_cell(make_stage: Any) -> None:
    """Its text is none of the guest's business."""

    def broken(request: OpenRequest) -> MemoryStream:
        raise ZeroDivisionError("oops")

    with make_stage(streams=Streams(broken)).catalog() as catalog:
        with pytest.raises(HostImportFailed) as caught:
            catalog.apply_config('{"tour": 1}')
        assert "ZeroDivisionError" in str(caught.value)


def test_a_handle_that_was_never_given_ends_the_guest(make_stage: Any, track: MemoryStream) -> None:
    """The component model's own check."""
    stage = make_stage(streams=Streams(lambda _: track))
    with stage.catalog() as catalog, pytest.raises((GuestTrap, GuestContract)):
        catalog.apply_config('{"tour": 3}')


@pytest.mark.parametrize("end", ["close", "trap"])
def test_streams_close_with_the_cell(make_stage: Any, end: str) -> None:
    """Whatever the guest left open, and however it ends."""
    made = [MemoryStream(bytes(10)) for _ in range(3)]
    streams = Streams(lambda _: made[len(streams.opened)])
    with make_stage(streams=streams).catalog("list:trap") as catalog:
        catalog.apply_config('{"tour": 4}')
        assert [s.closes for s in made] == [0, 0, 0]
        if end == "trap":
            with pytest.raises(GuestTrap):
                catalog.list_items_json("{}")
            assert [s.closes for s in made] == [1, 1, 1]
    assert [s.closes for s in made] == [1, 1, 1]


def test_a_decoder_may_open_streams_of_its_own(make_stage: Any, track: MemoryStream) -> None:
    """Beside the one that it was given."""
    streams = Streams(lambda _: track)
    with make_stage(streams=streams).decoder().open(EMPTY, None) as session:
        session.apply_config('{"tour": 1}')
        assert json.loads(session.export_state() or "")[0] == 1


# --- http-client ------------------------------------------------------------------------------------------------------


def test_a_fetch_arrives(make_stage: Any) -> None:
    """URL there, body back."""
    http = Answers({"http://lyrics.example/la la": '{"a": "ü"}'})
    with make_stage(http=http).provider() as provider:
        assert provider.search("la la")[0].title == '{"a": "ü"}'
    assert http.asked == ["http://lyrics.example/la la"]


@pytest.mark.parametrize("case", ["denied", "timeout", "io", "invalid-arg"])
def test_a_fetch_that_fails_says_how(make_stage: Any, case: str) -> None:
    """The guest gets the case, and here passes it on."""
    http = Answers({"http://lyrics.example/x": PluginFailure(case, "no")})
    with make_stage(http=http).provider() as provider, pytest.raises(PluginFailure) as caught:
        provider.search("x")
    assert caught.value.case == case


def test_an_endless_body_is_no_answer(make_stage: Any) -> None:
    """The service has its own limit; this one is the boundary's."""
    http = Answers({"http://lyrics.example/x": " " * (16 * 1024 * 1024 + 1)})
    with make_stage(http=http).provider() as provider, pytest.raises(PluginFailure) as caught:
        provider.search("x")
    assert caught.value.case == "io"


# --- what each world imports ------------------------------------------------------------------------------------------

ALLOWED = {
    AbilityKind.DECODER: {HOST_STREAM, SIDECAR},
    AbilityKind.SOURCE: {HOST_STREAM, SIDECAR},
    AbilityKind.LYRICS: {SIDECAR, HTTP_CLIENT},
    AbilityKind.OUTPUT_SINK: {SIDECAR},
    AbilityKind.DSP: {SIDECAR},
}


@pytest.mark.parametrize("kind", list(AbilityKind))
def test_a_world_gets_its_imports_and_no_others(kind: AbilityKind) -> None:
    """As the contract's table of worlds says."""
    imports = host_imports(NoServices(), f"stellatune:plugin/{kind.world_name}@0.1.0")
    assert imports.functions.keys() | imports.resources.keys() == ALLOWED[kind]
    assert set(WORLD_IMPORTS) == set(AbilityKind)


def test_a_foreign_world_gets_nothing() -> None:
    """Nobody said what it may have."""
    assert world_kind("stellatune:plugin/painter-plugin@0.1.0") is None
    assert not host_imports(NoServices(), "stellatune:plugin/painter-plugin@0.1.0").functions


def test_a_component_with_anothers_imports_is_not_activated(stage: Any, actor: Any) -> None:
    """A lyrics component that calls itself a dsp has no dsp to export, and may not fetch either."""
    with pytest.raises(WorldMismatch):
        stage.processor(wasm=actor(kind=AbilityKind.LYRICS))
