"""The source world: catalogues, streams of the host's handed through, and streams of the plugin's own."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from host_fakes import MemoryStream, Streams, rawf

from stellatune_plugins.contract import ByteStream, Source, SourceCatalog, SourceStream
from stellatune_plugins.errors import (
    GuestContract,
    GuestTrap,
    InstanceDead,
    PluginFailure,
    StellatuneError,
    ValueInvalid,
)
from stellatune_plugins.executor import Deactivate, Deactivated, Deadlines, WasmSource, ask
from stellatune_plugins.model import DisableReason, Frames

MUSIC = np.random.default_rng(8).uniform(-1, 1, (3_000, 2)).astype(np.float32)


def _bytes(count: int) -> bytes:
    """What ``source_actor.c`` puts into its own streams."""
    return bytes(n % 251 for n in range(count))


def _drain(stream: ByteStream, most: int = 1000) -> bytes:
    return b"".join(iter(lambda: stream.read(most), b""))


@pytest.fixture
def track() -> MemoryStream:
    """What the host opens for the guest."""
    return MemoryStream(rawf(MUSIC))


@pytest.fixture
def catalog_of(make_stage: Any, track: MemoryStream) -> Any:
    """Makes catalogues of the actor in a part, with a stream service that opens ``track``."""
    deadlines = Deadlines.uniform(0.6)  # some answers here are large
    return lambda part="": make_stage(streams=Streams(lambda _: track), deadlines=deadlines).catalog(part)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_a_list_is_asked_and_answered_in_json(catalog_of: Any) -> None:
    """What is in it is the plugin's affair; this one repeats the question."""
    with catalog_of() as catalog:
        asked = '{"repeat": "ü\\u0000 ☃"}'
        assert catalog.list_items_json(asked) == asked


@pytest.mark.parametrize("part", ["list:garbage", "list:big"])
def test_an_answer_that_is_no_json_breaks_the_cell(catalog_of: Any, part: str) -> None:
    """Or one without end."""
    with catalog_of(part) as catalog:
        with pytest.raises(GuestContract):
            catalog.list_items_json("{}")
        with pytest.raises(InstanceDead):
            catalog.list_items_json("{}")


# --- streams of the host's ------------------------------------------------------------------------------------------


def test_a_stream_of_the_hosts_comes_back_itself(catalog_of: Any, track: MemoryStream) -> None:
    """No copy, no layer: it seeks as the host's does, and it is the opener's to close."""
    with catalog_of() as catalog:
        opened = catalog.open_stream_json('"p"')
        assert opened.stream() is track
        assert opened.ext_hint() == "raw"
        assert opened.metadata().tags.artists == ("One", "Other")
    assert track.closes == 0
    opened.stream().close()
    assert track.closes == 1


def test_it_stands_where_the_guest_left_it(catalog_of: Any, track: MemoryStream) -> None:
    """A source may skip a head of its own; where the music starts is where the stream stands."""
    with catalog_of() as catalog:
        stream = catalog.open_uri("actor:s").stream()
        assert stream.tell() == 4
        stream.close()


def test_a_stream_that_the_guest_closed_says_so(catalog_of: Any) -> None:
    """It is handed through all the same; reading it fails, in words."""
    with catalog_of() as catalog:
        stream = catalog.open_uri("actor:c").stream()
        with pytest.raises(PluginFailure, match="closed"):
            stream.read(10)


@pytest.mark.parametrize("name", ["t", "f", "o"])
def test_a_handle_that_is_none_ends_the_guest(catalog_of: Any, track: MemoryStream, name: str) -> None:
    """The same one twice, a number out of the air, one of its own resources: the component model refuses them all."""
    with catalog_of() as catalog:
        first = catalog.open_uri("actor:p").stream()
        with pytest.raises((GuestTrap, GuestContract)):
            catalog.open_uri(f"actor:{name}")
        with pytest.raises(InstanceDead):
            catalog.list_items_json("{}")
        # What was handed through before is the host's own, and does not die with the guest.
        assert first.read(4) == b"RAWF"
        first.close()
    assert track.closes == 1


def test_opening_may_fail(catalog_of: Any) -> None:
    """The plugin's own answer; the catalogue goes on."""
    with catalog_of() as catalog:
        with pytest.raises(PluginFailure) as caught:
            catalog.open_uri("actor:e")
        assert caught.value.case == "not-found"
        catalog.open_uri("actor:10").stream().close()


def test_the_services_refusal_is_the_sources_answer(stage: Any) -> None:
    """This guest passes it on."""
    with stage.catalog() as catalog:
        with pytest.raises(PluginFailure) as caught:
            catalog.open_uri("actor:p")
        assert caught.value.case == "denied"


# --- streams of its own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", "next:pieces"])
@pytest.mark.parametrize("size", [0, 1, 999, 1000, 5000])
def test_a_processed_stream_is_read_to_its_end(catalog_of: Any, part: str, size: int) -> None:
    """Every byte once, in whatever pieces the guest gives them."""
    with catalog_of(part) as catalog:
        stream = catalog.open_uri(f"actor:{size}").stream()
        assert _drain(stream) == _bytes(size)
        assert stream.read(10) == b""
        assert stream.size() == size
        stream.close()


def test_a_processed_stream_only_goes_forward(catalog_of: Any) -> None:
    """The contract has no seek for it: where it is can be asked, and nothing else."""
    with catalog_of() as catalog:
        stream = catalog.open_uri("actor:100").stream()
        assert stream.read(0) == b""
        stream.read(30)
        assert (stream.tell(), stream.size()) == (30, None)
        assert stream.seek(30) == stream.seek(0, 1) == 30
        for offset, whence in ((0, 0), (1, 1), (0, 2)):
            with pytest.raises(PluginFailure) as caught:
                stream.seek(offset, whence)
            assert caught.value.case == "unsupported"
        assert _drain(stream) == _bytes(100)[30:]


def test_several_streams_are_apart(catalog_of: Any) -> None:
    """Each with its own place."""
    with catalog_of() as catalog:
        one, other = (catalog.open_uri(f"actor:{size}").stream() for size in (50, 60))
        assert one.read(10) + other.read(10) + one.read(10) == _bytes(10) + _bytes(10) + _bytes(20)[10:]
        one.close()
        one.close()
        with pytest.raises(PluginFailure, match="closed"):
            one.read(1)
        assert _drain(other) == _bytes(60)[10:]


def test_streams_without_end_are_not_opened(catalog_of: Any) -> None:
    """A caller that forgets to close them is told."""
    with catalog_of() as catalog:
        opened = [catalog.open_uri("actor:5") for _ in range(64)]
        with pytest.raises(ValueInvalid, match="64"):
            catalog.open_uri("actor:5")
        opened[7].stream().close()
        catalog.open_uri("actor:5")


@pytest.mark.parametrize("part", ["next:many", "next:never"])
def test_a_stream_that_lies_breaks_the_cell(catalog_of: Any, part: str) -> None:
    """More than was asked for, or nothing without an end."""
    with catalog_of(part) as catalog:
        stream = catalog.open_uri("actor:5000").stream()
        with pytest.raises(GuestContract):
            _drain(stream)
        with pytest.raises(InstanceDead):
            stream.read(10)
        stream.close()


def test_a_stream_may_fail_in_the_middle(catalog_of: Any) -> None:
    """What came before is good, and the plugin lives."""
    with catalog_of("next:fails") as catalog:
        stream = catalog.open_uri("actor:5000").stream()
        assert stream.read(1000) + stream.read(1000) == _bytes(100)
        with pytest.raises(PluginFailure, match="line is dead"):
            stream.read(1000)
        catalog.list_items_json("{}")


def test_metadata_is_asked_where_it_was_not_given(catalog_of: Any) -> None:
    """A source may say it on opening, or of the stream."""
    with catalog_of() as catalog:
        assert catalog.open_uri("actor:5").metadata().tags.track_number == 7


def test_metadata_may_be_unknown(catalog_of: Any) -> None:
    """A source that has nothing to say of a track is no broken one."""
    with catalog_of("describe:none") as catalog:
        assert catalog.open_uri("actor:5").metadata() is None
        assert catalog.open_uri("actor:p").metadata() is None


def test_a_decoder_reads_what_a_source_hands_through(catalog_of: Any, make_stage: Any, track: MemoryStream) -> None:
    """Two guests, each in its Store, and the host's stream between them."""
    stage = make_stage(streams=Streams(lambda _: track))
    with stage.catalog(plugin="org.example.source") as catalog:
        stream = catalog.open_uri("actor:p").stream()
        with stage.decoder().open(stream, "rawf") as session:
            np.testing.assert_array_equal(session.read_pcm(Frames(5000)).block, MUSIC)
    assert track.closes == 1


def test_a_decoder_reads_a_processed_stream(make_stage: Any) -> None:
    """The decoder's import leads into the other guest, on the same thread, within the same call."""
    stage = make_stage()
    with stage.catalog(plugin="org.example.source") as catalog:
        stream = catalog.open_uri("actor:5000").stream()
        with pytest.raises(PluginFailure, match="no RAWF"):
            stage.decoder().open(stream, None)


# --- life -------------------------------------------------------------------------------------------------------------


def test_streams_end_with_the_catalogue(catalog_of: Any) -> None:
    """Reading one afterwards is an error, not a crash."""
    catalog = catalog_of()
    stream = catalog.open_uri("actor:100").stream()
    catalog.close()
    with pytest.raises(InstanceDead):
        stream.read(10)
    stream.close()


def test_what_was_handed_through_survives_the_plugin(make_stage: Any, track: MemoryStream) -> None:
    """It is the host's; the plugin's services decide when it ends."""
    stage = make_stage(streams=Streams(lambda _: track))
    catalog = stage.catalog()
    stream = catalog.open_uri("actor:p").stream()
    ask(stage.executor, Deactivate(catalog.ability.plugin_id, DisableReason.UNLOAD), Deactivated)
    assert stream.read(4) == b"RAWF"
    stream.close()
    catalog.close()
    assert len(stage.executor.streams) == 0


def test_a_fresh_cell_knows_no_old_streams(catalog_of: Any) -> None:
    """After a recovery they are gone, which is no crash of the fresh one."""
    with catalog_of("list:trap") as catalog:
        stream = catalog.open_uri("actor:100").stream()
        with pytest.raises(GuestTrap):
            catalog.list_items_json("{}")
        assert catalog.recover().replaced
        with pytest.raises(PluginFailure, match="gone"):
            stream.read(10)
        assert _drain(catalog.open_uri("actor:9").stream()) == _bytes(9)


def test_browsing_and_reading_share_a_catalogue(catalog_of: Any) -> None:
    """A listener browses while a track is read: one waits for the other, and nobody is refused."""
    failures: list[StellatuneError] = []
    with catalog_of("next:pieces") as catalog:

        def browse() -> None:
            try:
                for _ in range(200):
                    assert catalog.list_items_json("{}") == "{}"
            except StellatuneError as error:
                failures.append(error)

        thread = threading.Thread(target=browse)
        thread.start()
        assert _drain(catalog.open_uri("actor:1000").stream()) == _bytes(1000)
        thread.join(30)
    assert not failures


@pytest.mark.parametrize("deed", ["stream-close:trap", "stream-drop:trap", "stream-close:loop"])
def test_a_stream_that_does_not_close_stops_nothing(catalog_of: Any, deed: str) -> None:
    """The catalogue breaks, its end does not hang."""
    with catalog_of(deed) as catalog:
        catalog.open_uri("actor:100").stream().close()
        with pytest.raises(InstanceDead):
            catalog.list_items_json("{}")


def test_it_serves_the_interfaces(stage: Any) -> None:
    """Nothing above can tell it from a native one."""
    catalog = stage.catalog()
    source: Source = WasmSource(stage.executor, catalog.ability)
    served: SourceCatalog = source.create()
    stream: SourceStream = served.open_uri("actor:5")
    assert stream.stream().read(5) == _bytes(5)
    served.close()
    catalog.close()
