"""The decoder world, on a component that decodes, and on the same one when it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from host_fakes import MemoryStream, rawf

from stellatune_plugins.contract import Decoder, DecoderSession
from stellatune_plugins.contract.capabilities import CountsDamage
from stellatune_plugins.errors import (
    CallDeadline,
    ConfigRejected,
    GuestContract,
    GuestTrap,
    InstanceDead,
    PluginFailure,
    ValueInvalid,
)
from stellatune_plugins.executor import Deadlines
from stellatune_plugins.model import AudioSpec, Frames, SampleRate

MUSIC = np.random.default_rng(7).uniform(-1, 1, (5_000, 2)).astype(np.float32)


def _track() -> MemoryStream:
    return MemoryStream(rawf(MUSIC))


def _all_of(session: DecoderSession, frames: int) -> np.ndarray:
    blocks, eof = [], False
    while not eof:
        chunk = session.read_pcm(Frames(frames))
        blocks.append(chunk.block)
        eof = chunk.eof
    return np.concatenate(blocks)


@pytest.mark.parametrize("frames", [1000, 4096, 5000, 5001, 1_000_000])
def test_a_track_is_decoded_exactly(stage: Any, frames: int) -> None:
    """Whatever is asked for at once, every frame arrives once and in order."""
    with stage.decoder().open(_track(), "rawf") as session:
        np.testing.assert_array_equal(_all_of(session, frames), MUSIC)


def test_info_says_what_comes(stage: Any) -> None:
    """Rate, channels and length, as the guest has them from the stream."""
    with stage.decoder().open(_track(), "rawf") as session:
        info = session.info()
        assert info.spec == AudioSpec(SampleRate(48_000), 2)
        assert (info.duration_ms, info.seekable) == (104, True)
        assert (info.encoder_delay, info.encoder_padding) == (0, 0)


def test_metadata_arrives_clean(stage: Any) -> None:
    """Every kind of extra with its type, control characters gone, lines kept in the comment."""
    with stage.decoder().open(_track(), "rawf") as session:
        metadata = session.metadata()
    assert metadata.tags.title == "A  [31msong"
    assert metadata.tags.artists == ("One", "Other")
    assert metadata.tags.comment == "two\nlines"
    assert (metadata.tags.track_number, metadata.tags.year, metadata.duration_ms) == (7, None, 1500)
    assert (metadata.format.codec, metadata.format.sample_rate, metadata.format.bitrate_kbps) == ("rawf", 48_000, None)
    assert metadata.extras == (
        ("text", "words"),
        ("truth", True),
        ("small", 2**32 - 1),
        ("large", 2**64 - 1),
        ("whole", -5),
        ("real", 0.5),
        ("raw", b"\x00\xff"),
    )


def test_pictures_are_told_from_other_bytes(stage: Any) -> None:
    """An extra called ``picture`` that begins like one; what does not stays an extra."""
    with stage.decoder("metadata:picture").open(_track(), "rawf") as session:
        metadata = session.metadata()
    assert [(p.mime, p.description) for p in metadata.pictures] == [("image/png", ""), ("image/jpeg", "back")]
    assert ("picture", b"no picture") in metadata.extras


@pytest.mark.parametrize("part", ["metadata:many", "metadata:rude"])
def test_excessive_metadata_is_cut(make_stage: Any, part: str) -> None:
    """Files in the field have odd tags: that is no reason to lose the decoder."""
    stage = make_stage(deadlines=Deadlines.uniform(5))
    with stage.decoder(part).open(_track(), "rawf") as session:
        metadata = session.metadata()
        assert len(metadata.tags.artists) <= 64
        assert len(metadata.extras) <= 512
        assert len(metadata.tags.title or "") <= 4_097
        if part == "metadata:rude":
            assert metadata.duration_ms is None
            assert metadata.format.codec == "unknown"
            assert metadata.format.sample_rate is metadata.format.channels is metadata.format.bitrate_kbps is None
        np.testing.assert_array_equal(_all_of(session, 4096), MUSIC)


def test_seeking_is_exact(stage: Any) -> None:
    """Forward and back."""
    with stage.decoder().open(_track(), "rawf") as session:
        for ms in (100, 0, 50, 3):
            session.seek_ms(ms)
            np.testing.assert_array_equal(session.read_pcm(Frames(64)).block, MUSIC[ms * 48 :][:64])


def test_samples_are_the_callers_own(stage: Any) -> None:
    """A block can be written to, and a later one does not change it."""
    with stage.decoder().open(_track(), "rawf") as session:
        first = session.read_pcm(Frames(100)).block
        assert first.flags.writeable
        session.read_pcm(Frames(100))
        np.testing.assert_array_equal(first, MUSIC[:100])


def test_what_is_no_number_becomes_silence(stage: Any) -> None:
    """And is counted."""
    with stage.decoder("read:nan").open(_track(), "rawf") as session:
        block = session.read_pcm(Frames(100)).block
        assert block[0, 0] == 0.0
        np.testing.assert_array_equal(block[1:], MUSIC[1:100])
        assert isinstance(session, CountsDamage)
        assert session.damage() == ("1 samples were no numbers",)


@pytest.mark.parametrize("part", ["read:many", "read:short", "read:odd", "read:never", "info:rate", "info:channels"])
def test_a_lie_breaks_the_cell(stage: Any, part: str) -> None:
    """More frames than asked for, other bytes than frames, no end, shapes that do not exist: no sample is believed."""
    with stage.decoder(part).open(_track(), "rawf") as session:
        with pytest.raises(GuestContract) as caught:
            _all_of(session, 100)
        assert caught.value.plugin == "org.example.actor"
        with pytest.raises(InstanceDead):
            session.read_pcm(Frames(100))


def test_padding_without_end_is_a_lie(stage: Any) -> None:
    """The host would hold so many frames back."""
    with stage.decoder("info:padding").open(_track(), "rawf") as session, pytest.raises(GuestContract):
        session.info()


def test_a_duration_without_end_is_unknown(stage: Any) -> None:
    """Files claim all sorts of things."""
    with stage.decoder("info:long").open(_track(), "rawf") as session:
        assert session.info().duration_ms is None


def test_samples_outside_the_guests_memory_break_the_cell(stage: Any) -> None:
    """The engine sees to it."""
    with stage.decoder("read:wild").open(_track(), "rawf") as session, pytest.raises((GuestTrap, GuestContract)):
        session.read_pcm(Frames(100))


def test_no_frames_cannot_be_read(stage: Any) -> None:
    """The caller's mistake; the session goes on."""
    with stage.decoder().open(_track(), "rawf") as session:
        with pytest.raises(ValueInvalid):
            session.read_pcm(Frames(0))
        assert len(session.read_pcm(Frames(10)).block) == 10


# --- the stream -------------------------------------------------------------------------------------------------------


def test_the_session_owns_its_stream(stage: Any) -> None:
    """It is closed once, with the session, and the table is empty."""
    stream = _track()
    session = stage.decoder().open(stream, "rawf")
    session.read_pcm(Frames(10))
    assert stream.closes == 0
    session.close()
    session.close()
    assert stream.closes == 1
    assert len(stage.executor.streams) == 0


@pytest.mark.parametrize("part", ["", "open:hold", "open:error", "open:trap", "open:loop"])
def test_a_stream_that_is_not_opened_is_closed(stage: Any, part: str) -> None:
    """Whether the guest gave it back, kept it, or died with it."""
    stream = MemoryStream(b"something else") if not part else _track()
    with pytest.raises((PluginFailure, GuestTrap, CallDeadline)):
        stage.decoder(part).open(stream, "rawf")
    assert stream.closes == 1
    assert len(stage.executor.streams) == 0


def test_a_stream_of_unknown_length_is_decoded(stage: Any) -> None:
    """The guest is told ``unsupported``, and lives with it."""
    with stage.decoder().open(MemoryStream(rawf(MUSIC), size_known=False, seekable=False), None) as session:
        assert session.info().duration_ms is None
        np.testing.assert_array_equal(_all_of(session, 999), MUSIC)
        with pytest.raises(PluginFailure) as caught:
            session.seek_ms(0)
        assert caught.value.case == "unsupported"


class Broken(MemoryStream):
    """Fails after the head, in a way of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(rawf(MUSIC))
        self.error = error

    def read(self, max_bytes: int) -> bytes:
        if self.position >= 12:
            raise self.error
        return super().read(max_bytes)


@pytest.mark.parametrize(
    ("error", "case"),
    [
        (PluginFailure("timeout", "too slow"), "timeout"),
        (InstanceDead("the source crashed"), "io"),
        (OSError(5, "Input/output error"), "io"),
        (ValueError("I/O operation on closed file"), "io"),
    ],
)
def test_a_failing_stream_is_an_answer_to_the_guest(stage: Any, error: Exception, case: str) -> None:
    """The decoder is not to blame: it lives, says what it was told, and the cause is the stream's own error."""
    stream = Broken(error)
    with stage.decoder().open(stream, "rawf") as session:
        with pytest.raises(PluginFailure) as caught:
            session.read_pcm(Frames(100))
        assert caught.value.case == case
        assert caught.value.__cause__ is not None
        assert str(error) in str(caught.value.__cause__)
        stream.error = PluginFailure("io", "again")
        with pytest.raises(PluginFailure, match="again"):
            session.read_pcm(Frames(100))


# --- life -------------------------------------------------------------------------------------------------------------


def test_a_dead_session_recovers_at_the_start(stage: Any) -> None:
    """A fresh cell over the same stream, with the configuration that was taken."""
    with stage.decoder("info:channels").open(_track(), "rawf") as session:
        session.apply_config("{}")
        with pytest.raises(GuestContract):
            session.info()
        recovered = session.recover()
        assert recovered.replaced
        assert recovered.config_restored
    with stage.decoder(plugin="org.example.other").open(_track(), "rawf") as session:
        session.read_pcm(Frames(1000))
        assert not session.recover().replaced
        np.testing.assert_array_equal(session.read_pcm(Frames(100)).block, MUSIC[1000:1100])


def test_a_recovered_session_reads_from_the_start(stage: Any) -> None:
    """The stream is wound back before the fresh guest gets it."""
    stream = _track()
    with stage.decoder("seek:trap").open(stream, "rawf") as session:
        session.read_pcm(Frames(1000))
        with pytest.raises(GuestTrap):
            session.seek_ms(5)
        session.recover()
        np.testing.assert_array_equal(_all_of(session, 4096), MUSIC)
    assert stream.closes == 1


def test_configuration_is_as_in_every_world(stage: Any) -> None:
    """Plan, apply, refuse, export, import."""
    with stage.decoder("apply:refuse").open(_track(), "rawf") as session:
        assert session.plan_config("{}").mode == "hot-apply"
        with pytest.raises(ConfigRejected, match="not this one"):
            session.apply_config("{}")
        assert session.export_state() == "[]"
        session.import_state("{}")


def test_it_serves_the_interfaces(stage: Any) -> None:
    """Nothing above can tell it from a native one."""
    decoder: Decoder = stage.decoder()
    session: DecoderSession = decoder.open(_track(), None)
    session.close()
