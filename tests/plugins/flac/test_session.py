"""What a session says and how it behaves: description, tags, pictures, a stream with whims, its end."""

from __future__ import annotations

import struct
from pathlib import Path

import flac_sounds
import flac_streams
import numpy as np
import pytest
from flac_encoders import by_flac
from flac_player import MemoryStream, Player, drain

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import AudioTags, ConfigUpdateMode, Frames

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc0000000030001a5f645400000000049454e44ae426082"
)
FRAME = flac_streams.Frame(channels=(flac_streams.Subframe(),))


def comments(*fields: str | bytes, vendor: bytes = b"a vendor") -> bytes:
    """The content of a Vorbis comment block."""
    raw = [field.encode() if isinstance(field, str) else field for field in fields]
    out = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(raw))
    return out + b"".join(struct.pack("<I", len(field)) + field for field in raw)


def picture(kind: int, data: bytes, mime: bytes = b"image/png", text: bytes = b"") -> bytes:
    """The content of a picture block."""
    head = struct.pack(">II", kind, len(mime)) + mime + struct.pack(">I", len(text)) + text
    return head + bytes(16) + struct.pack(">I", len(data)) + data


def build(*blocks: tuple[int, bytes], frames: int = 3_000, rate: int = 44_100) -> bytes:
    """A stereo file with these blocks."""
    samples = flac_sounds.piece(16, 2, frames)
    info = flac_streams.stream_info(samples, 16, blocks=(1_000, 1_000), rate=rate)
    sound = [
        flac_streams.frame(samples[at : at + 1_000], 16, index, FRAME)
        for index, at in enumerate(range(0, frames, 1_000))
    ]
    return flac_streams.metadata([(0, info), *blocks]) + b"".join(sound)


def test_info_says_what_the_description_says(flac: Player) -> None:
    """Rate, channels, duration; nothing to trim."""
    session = flac.open(build(frames=3_000, rate=48_000))
    info = session.info()
    session.close()
    assert (info.spec.sample_rate, info.spec.channels) == (48_000, 2)
    assert info.duration_ms == 62
    assert info.seekable
    assert (info.encoder_delay, info.encoder_padding) == (0, 0)


def test_comments_become_tags_and_extras(flac: Player) -> None:
    """Fields with a place of their own go there, whatever their case; the rest are extras, repeats kept."""
    data = build(
        (4, comments(
            "TITLE=Ein schöner Tag", "album=Zwei", "Artist=A", "ARTIST=B", "ALBUMARTIST=C", "album artist=D",
            "GENRE=Jazz", "TRACKNUMBER=03/12", "DISCNUMBER=1", "DISCTOTAL=2", "DATE=on 1999-05-04",
            "COMMENT=x=y", "MOOD=calm", "mood=late", "EMPTY=", "no equals sign", "=no name",
            b"BAD=\xff\xfe ok \xc3",
        )),
    )  # fmt: skip
    session = flac.open(data)
    metadata = session.metadata()
    session.close()
    assert metadata.tags == AudioTags(
        title="Ein schöner Tag", album="Zwei", artists=("A", "B"), album_artists=("C", "D"), genres=("Jazz",),
        track_number=3, track_total=12, disc_number=1, disc_total=2, year=1999, comment="x=y",
    )  # fmt: skip
    assert metadata.extras == (("mood", "calm"), ("mood", "late"), ("bad", "?? ok ?"))
    assert metadata.format.codec == "flac"
    assert metadata.format.sample_rate == 44_100
    assert metadata.format.bitrate_kbps is not None


def test_pictures_are_found_and_the_sound_goes_on(flac: Player) -> None:
    """Asked for in the middle of a track: the pictures, with their kinds, and the next samples are the next."""
    large = PNG + bytes(300_000)
    data = build((6, picture(3, PNG, text=b"Vorne")), (6, picture(4, large)), (6, picture(99, PNG)), (1, bytes(99)))
    whole = flac.decode(data).samples
    session = flac.open(data)
    first = session.read_pcm(Frames(700)).block
    pictures = session.metadata().pictures
    rest = drain(session)
    session.close()
    assert [(p.mime, p.description) for p in pictures] == [
        ("image/png", "front cover"), ("image/png", "back cover"), ("image/png", "other"),
    ]  # fmt: skip
    assert [len(p.data) for p in pictures] == [len(PNG), len(large), len(PNG)]
    assert np.array_equal(np.concatenate([first, rest.samples]), whole)
    assert not rest.failures


@pytest.mark.parametrize("more", [0, 1, 2])
def test_large_pictures_are_the_same_as_small_ones(flac: Player, more: int) -> None:
    """What no list of bytes can carry crosses as text, to the byte, whatever its length leaves over a third."""
    noise = PNG + np.random.default_rng(7).bytes((3_500 << 10) + more)
    session = flac.open(build((6, picture(3, PNG)), (6, picture(3, noise)), (6, picture(4, b"no png" + noise))))
    metadata = session.metadata()
    track = drain(session)
    remarks = session.remarks()
    session.close()
    assert [(p.mime, p.description) for p in metadata.pictures] == [("image/png", "front cover")] * 2
    assert [p.data for p in metadata.pictures] == [PNG, noise]
    assert metadata.extras == (("picture.back cover", b"no png" + noise),)
    assert remarks == ()
    assert len(track.samples) == 3_000
    assert not track.failures


def test_more_pictures_than_the_host_keeps_are_left_out_aloud(flac: Player) -> None:
    """The instance lives on, with the pictures that have room."""
    large = PNG + bytes(12 << 20)
    session = flac.open(build((6, picture(3, large)), (6, picture(4, PNG + bytes(5 << 20))), (6, picture(5, PNG))))
    pictures = session.metadata().pictures
    track = drain(session)
    remarks = session.remarks()
    session.close()
    assert [len(p.data) for p in pictures] == [len(large), len(PNG)]
    assert remarks == ("left out: picture 2 of 5121 KiB: no more than 16 MiB in all",)
    assert len(track.samples) == 3_000
    assert not track.failures


@pytest.mark.parametrize(
    "block",
    [
        b"", b"\x01", b"\xff\xff\xff\xff", struct.pack("<II", 0, 2**32 - 1), comments("a=b")[:-1],
        struct.pack("<I", 2**31) + b"abcd", comments(*["X=" + "y" * 300] * 900),
    ],
)  # fmt: skip
def test_malformed_comments_are_no_reason_for_silence(flac: Player, block: bytes) -> None:
    """What can be read is; the sound comes."""
    data = build((4, block))
    session = flac.open(data)
    extras = session.metadata().extras
    track = drain(session)
    session.close()
    assert len(extras) <= 256
    assert len(track.samples) == 3_000
    assert not track.failures


@pytest.mark.parametrize("cut", [0, 3, 8, 20, 31, 35])
def test_malformed_pictures_are_left_out(flac: Player, cut: int) -> None:
    """And those that claim more than there is are cut."""
    session = flac.open(build((6, picture(3, PNG)[:cut]), (6, picture(3, PNG))))
    assert len(session.metadata().pictures) == 1
    session.close()


@pytest.mark.parametrize("most", [1, 7, 100])
def test_streams_may_give_little_at_a_time(flac: Player, most: int) -> None:
    """A network gives what it has."""
    data = build(frames=1_500)
    track = flac.decode(MemoryStream(data, most=most))
    assert np.array_equal(track.samples, flac.decode(data).samples)
    assert not track.failures


class Failing(MemoryStream):
    """Fails once, at the read that a test names."""

    def __init__(self, data: bytes, fails_at: int) -> None:
        super().__init__(data, most=2_000)
        self._fails_at = fails_at

    def read(self, max_bytes: int) -> bytes:
        if self.reads == self._fails_at:
            self.reads += 1
            raise PluginFailure("timeout", "the server was slow")
        return super().read(max_bytes)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failing_stream_is_reported_as_it_was_and_can_be_read_on(flac: Player, fails_at: int) -> None:
    """The host's failure comes through with its kind; the next read takes up where it was."""
    data = build(frames=3_000)
    session = flac.open(Failing(data, fails_at))
    track = drain(session)
    session.close()
    assert [message for _, message in track.failures] == ["timeout: the server was slow"]
    assert np.array_equal(track.samples, flac.decode(data).samples)


def test_a_stream_that_fails_at_once_is_not_opened(flac: Player) -> None:
    """Its failure is the session's."""
    with pytest.raises(PluginFailure, match="timeout: the server was slow"):
        flac.open(Failing(build(), 0))


def test_reads_of_any_size_give_the_same(flac: Player) -> None:
    """From one frame at a time to more than there is."""
    data = build(frames=2_500)
    whole = flac.decode(data).samples
    assert len(whole) == 2_500
    for chunk in (1, 333, 1_000, 2_500, 10_000_000):
        assert np.array_equal(flac.decode(data, chunk).samples, whole)


def test_configuration_is_an_empty_object(flac: Player) -> None:
    """There is nothing to set, and no state to keep."""
    session = flac.open(build())
    try:
        assert session.plan_config("{}").mode is ConfigUpdateMode.HOT_APPLY
        assert session.plan_config("[").mode is ConfigUpdateMode.REJECT
        session.apply_config("{}")
        assert session.export_state() is None
    finally:
        session.close()


@pytest.mark.needs("flac")
def test_the_stream_is_closed_with_the_session(flac: Player, tmp_path: Path) -> None:
    """And where opening fails."""
    stream = MemoryStream(by_flac(tmp_path, flac_sounds.piece(16, 2, 9_000), 16, "-5"))
    session = flac.open(stream)
    session.close()
    assert stream.closed
    refused = MemoryStream(b"RIFF" + bytes(99))
    with pytest.raises(PluginFailure):
        flac.open(refused)
    assert refused.closed
