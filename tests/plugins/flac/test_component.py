"""The component by itself: several sessions in one instance, and what is left when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flac_sounds
import flac_streams
import numpy as np
import pytest
from flac_player import MemoryStream

from stellatune_plugins.engine import ComponentInstance, Err, GuestStore, HostImports, Ok, WasmEngine
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.executor.names import DECODER, HOST_STREAM

COMPONENT = Path(__file__).resolve().parents[3] / "src/stellatune_plugins/bundled/dev.stellatune.flac/wasm/flac.wasm"
PLACES = 4


@pytest.fixture
def instance(engine: WasmEngine) -> Iterator[ComponentInstance]:
    """One instance, whose streams are in memory."""
    imports = HostImports()
    imports.add_resource(HOST_STREAM, "host-stream-handle", MemoryStream)
    imports.add(HOST_STREAM, "open", lambda request: Err(None))
    imports.add(HOST_STREAM, "[method]host-stream-handle.read", lambda stream, most: Ok(stream.read(most)))
    imports.add(HOST_STREAM, "[method]host-stream-handle.seek", lambda stream, to, whence: Ok(stream.seek(to)))
    imports.add(HOST_STREAM, "[method]host-stream-handle.tell", lambda stream: Ok(stream.tell()))
    imports.add(HOST_STREAM, "[method]host-stream-handle.size", lambda stream: Ok(stream.size()))
    imports.add(HOST_STREAM, "[method]host-stream-handle.close", lambda stream: None)
    component = CodeStore(engine, None).load_component(COMPONENT.read_bytes(), path=COMPONENT.name)
    with (
        GuestStore(engine, label="flac") as store,
        ComponentInstance(store, component, imports, label="flac", deadline=20.0) as made,
    ):
        yield made


def track(seed: int) -> tuple[bytes, Any]:
    """A file of its own, and its samples."""
    samples = flac_sounds.noise(16, 2, 3_000, seed)
    how = flac_streams.Frame("mid-side", (flac_streams.Subframe(),))
    return flac_streams.stream(samples, 16, how), flac_sounds.floats(samples, 16)


def test_four_sessions_in_turn_and_a_fifth_refused(instance: ComponentInstance) -> None:
    """Each has its own place in its own track; a place is free again when a session is dropped."""
    open_ = instance.function(DECODER, "open")
    read = instance.resource_method(DECODER, "session", "read-pcm-f32")
    tracks = [track(seed) for seed in range(PLACES + 1)]
    streams = [MemoryStream(data) for data, _ in tracks]
    sessions = [open_(stream, None).value for stream in streams[:PLACES]]

    refused = open_(streams[PLACES], None)
    assert isinstance(refused, Err)
    assert refused.value.value == "too many sessions in one instance (4)"
    assert streams[PLACES].closed

    heard: list[list[bytes]] = [[] for _ in sessions]
    for _ in range(6):
        for index, session in enumerate(sessions):
            heard[index].append(read(session, 500).value["interleaved-f32le"])
    for index, (_, samples) in enumerate(tracks[:PLACES]):
        assert np.array_equal(np.frombuffer(b"".join(heard[index]), np.float32).reshape(-1, 2), samples)

    sessions.pop(1).drop()
    assert streams[1].closed
    data, samples = tracks[PLACES]
    again = open_(MemoryStream(data), None).value
    assert read(again, 3_000).value["interleaved-f32le"] == samples.tobytes()
    for session in [*sessions, again]:
        session.drop()
    assert instance.held_resources == 0


def test_a_closed_session_answers_with_an_error(instance: ComponentInstance) -> None:
    """Its stream is given back at once; every other call is an invalid argument, not a trap."""
    stream = MemoryStream(track(1)[0])
    session = instance.function(DECODER, "open")(stream, None).value
    instance.resource_method(DECODER, "session", "close")(session)
    assert stream.closed
    for method, arguments in (
        ("info", ()), ("metadata", ()), ("read-pcm-f32", (100,)), ("seek-ms", (0,)),
        ("apply-config-update-json", ("{}",)),
    ):  # fmt: skip
        answer = instance.resource_method(DECODER, "session", method)(session, *arguments)
        assert isinstance(answer, Err), method
        assert (answer.value.case, answer.value.value) == ("invalid-arg", "the session is closed")
    session.drop()


def test_many_tracks_one_after_the_other_take_no_more_memory(instance: ComponentInstance) -> None:
    """A place's memory is used again: a hundred sessions fit where the limit has room for a few."""
    open_ = instance.function(DECODER, "open")
    read = instance.resource_method(DECODER, "session", "read-pcm-f32")
    data, samples = track(2)
    for _ in range(100):
        session = open_(MemoryStream(data), None).value
        assert read(session, 10).value["interleaved-f32le"] == samples[:10].tobytes()
        session.drop()
