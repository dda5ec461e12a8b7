"""The bundled decoder on files that real encoders made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.errors import ConfigRejected, InputDamaged, InputUnreadable
from stellatune_plugins.model import Block, ConfigUpdateMode, Frames
from stellatune_plugins.native.av_decoder import AvDecoder, AvDecoderSession
from stellatune_plugins.native.gapless import Mp4End, SmpbTag, itunes_gapless
from stellatune_plugins.native.streams import FileByteStream

FRAMES = 96777
"""A length that is no multiple of any codec's frame."""

LOSSLESS = [("flac", "flac"), ("wv", "wavpack"), ("m4a", "alac"), ("wav", "pcm_s24le"), ("aiff", "pcm_s16be"),
            ("tta", "tta"), ("caf", "pcm_f32le"), ("mka", "flac")]  # fmt: skip
LOSSY = [("m4a", "aac"), ("opus", "libopus"), ("mka", "libopus"), ("mp4", "libopus")]


@pytest.mark.parametrize(("ending", "codec"), LOSSLESS)
def test_lossless_formats_give_the_samples_back(tmp_path: Path, audio: Any, ending: str, codec: str) -> None:
    """What a lossless codec kept comes back in its place, to the last frame."""
    signal = audio.music(FRAMES)
    decoded, _ = audio.decode(audio.encode(tmp_path / f"x.{ending}", codec, signal))
    assert decoded.shape == signal.shape
    assert np.abs(decoded - signal).max() < 2 / 32768


@pytest.mark.parametrize(("ending", "codec"), LOSSY)
@pytest.mark.parametrize("frames", [FRAMES, 48000, 5001, 1000])
def test_encoder_delay_and_padding_are_gone(tmp_path: Path, audio: Any, ending: str, codec: str, frames: int) -> None:
    """Lossy files that FFmpeg muxed have exactly the original's frames."""
    signal = audio.music(frames)
    decoded, session = audio.decode(audio.encode(tmp_path / f"x.{ending}", codec, signal))
    assert len(decoded) == frames
    assert session.damage() == ()
    if frames > 30000:
        assert audio.shift_of(decoded, signal) == 0


@pytest.mark.parametrize("frames", [FRAMES, 48000, 5001, 1000])
@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mp3", {"format": "MP3"}),
        ("ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_libsndfiles_encodes_are_exact_too(
    tmp_path: Path, audio: Any, ending: str, options: dict[str, str], frames: int, channels: int
) -> None:
    """LAME's own header, Vorbis of one page and of many, and Opus's pre-skip: exact length and place."""
    signal = audio.music(frames, channels)
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, signal, audio.rate, **options)
    decoded, _ = audio.decode(path)
    assert decoded.shape == signal.shape
    if frames > 30000:
        assert audio.shift_of(decoded, signal) == 0


def test_vorbis_of_one_page_keeps_its_last_frames(tmp_path: Path, audio: Any) -> None:
    """In a stream so simple that it fits one page, the first packet is not taken for music."""
    signal = np.ascontiguousarray(0.3 * np.sin(np.arange(48000) * 0.0576)[:, None].repeat(2, 1), np.float32)
    path = tmp_path / "x.ogg"
    soundfile.write(path, signal, audio.rate, format="OGG", subtype="VORBIS")
    decoded, _ = audio.decode(path)
    assert len(decoded) == 48000
    assert np.abs(decoded - signal)[1000:-1000].max() < 0.02


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_rates_and_layouts(tmp_path: Path, audio: Any, rate: int, channels: int) -> None:
    """From 8 kHz mono to 192 kHz 5.1, FLAC comes back with its shape."""
    signal = audio.music(rate // 4 + 1, channels)
    path = tmp_path / "x.flac"
    soundfile.write(path, signal, rate, subtype="PCM_24")
    decoded, session = audio.decode(path)
    assert session._spec.sample_rate == rate
    assert np.abs(decoded - signal).max() < 2 / (1 << 23)


@pytest.mark.parametrize("batch", [1, 7, 1024, 16384, 1 << 20])
def test_block_sizes_change_nothing(tmp_path: Path, audio: Any, batch: int) -> None:
    """Whatever is asked for at once, the same frames come."""
    signal = audio.music(20011)
    path = audio.encode(tmp_path / "x.flac", "flac", signal)
    decoded, _ = audio.decode(path, batch)
    assert np.array_equal(decoded, audio.decode(path)[0])


@pytest.mark.parametrize(
    ("ending", "codec"), [("flac", "flac"), ("m4a", "aac"), ("opus", "libopus"), ("wav", "pcm_s16le"), ("mp3", "mp3")]
)
@pytest.mark.parametrize("position_ms", [0, 10, 777, 1500])
def test_seeking_lands_on_the_frame(tmp_path: Path, audio: Any, ending: str, codec: str, position_ms: int) -> None:
    """After a seek the samples are those of the whole decode at that place."""
    signal = audio.music(FRAMES)
    path = tmp_path / f"x.{ending}"
    if codec == "mp3":
        soundfile.write(path, signal, audio.rate, format="MP3")
    else:
        audio.encode(path, codec, signal)
    whole, _ = audio.decode(path)
    session = AvDecoder().open(FileByteStream(path), ending)
    session.read_pcm(Frames(30000))
    session.seek_ms(position_ms)
    start = position_ms * 48
    blocks = []
    while True:
        chunk = session.read_pcm(Frames(4000))
        blocks.append(chunk.block)
        if chunk.eof:
            break
    session.close()
    after = np.concatenate(blocks)
    assert len(after) == FRAMES - start
    if ending == "m4a":  # AAC's noise substitution is random: only the place can be the same
        assert audio.shift_of(after, whole[start:]) == 0
    else:  # Opus converges over its 80 ms of pre-roll, it does not restart
        assert np.abs(after - whole[start:]).max() < (0.02 if ending == "opus" else 1e-4)


def test_seeking_beyond_the_end_gives_the_end(tmp_path: Path, audio: Any) -> None:
    """A position behind the end is no error: nothing follows."""
    path = audio.encode(tmp_path / "x.flac", "flac", audio.music(48000))
    session = AvDecoder().open(FileByteStream(path), "flac")
    session.seek_ms(60_000)
    chunk = session.read_pcm(Frames(4000))
    assert (len(chunk.block), chunk.eof) == (0, True)
    session.close()


def test_info_says_what_comes(tmp_path: Path, audio: Any) -> None:
    """Spec, duration and that nothing is left to trim."""
    path = audio.encode(tmp_path / "x.m4a", "aac", audio.music(48000))
    session = AvDecoder().open(FileByteStream(path), "m4a")
    info = session.info()
    session.close()
    assert (info.spec.sample_rate, info.spec.channels, info.seekable) == (48000, 2, True)
    assert (info.encoder_delay, info.encoder_padding) == (0, 0)
    assert abs((info.duration_ms or 0) - 1000) <= 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"hello, this is no audio\n" * 100,
        b"RIFF\xff\xff\xff\xffWAVE",
        b"fLaC",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"OggS" * 50,
        np.random.default_rng(9).bytes(20000),
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
def test_what_is_no_audio_is_unreadable(tmp_path: Path, data: bytes) -> None:
    """Garbage, headers without bodies and playlists are refused at open; a playlist opens nothing else."""
    path = tmp_path / "x.mp3"
    path.write_bytes(data)
    with pytest.raises(InputUnreadable):
        AvDecoder().open(FileByteStream(path), "mp3")


def test_missing_files_folders_and_pipes_are_unreadable(tmp_path: Path) -> None:
    """Nothing that is no regular file is waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputUnreadable):
            FileByteStream(path)


def _broken(path: Path, start: float, end: float) -> None:
    data = bytearray(path.read_bytes())
    a, b = int(len(data) * start), int(len(data) * end)
    data[a:b] = np.random.default_rng(3).bytes(b - a)
    path.write_bytes(data)


@pytest.mark.parametrize(("ending", "codec"), [("flac", "flac"), ("opus", "libopus"), ("m4a", "aac")])
def test_damage_in_the_middle_is_passed_and_counted(tmp_path: Path, audio: Any, ending: str, codec: str) -> None:
    """A few broken kilobytes cost their stretch, not the file; what follows stays at its place."""
    signal = audio.music(FRAMES * 3)
    path = audio.encode(tmp_path / f"x.{ending}", codec, signal)
    sound, _ = audio.decode(path)
    _broken(path, 0.45, 0.48)
    decoded, session = audio.decode(path)
    assert session.damage()
    assert len(decoded) == len(sound)
    assert audio.shift_of(decoded[-FRAMES:], sound[-FRAMES:]) == 0
    assert np.isfinite(decoded).all()


def test_a_truncated_file_says_so(tmp_path: Path, audio: Any) -> None:
    """What is there is decoded, what is missing is stated."""
    path = audio.encode(tmp_path / "x.flac", "flac", audio.music(FRAMES))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    decoded, session = audio.decode(path)
    assert FRAMES // 4 < len(decoded) < FRAMES * 3 // 4
    assert any("before the stated end" in what for what in session.damage())


def test_nothing_to_resynchronise_to_is_damaged(tmp_path: Path, audio: Any) -> None:
    """Where hundreds of packets in a row are broken, decoding is given up."""
    path = audio.encode(tmp_path / "x.m4a", "aac", audio.music(48000 * 20, 1))
    data = bytearray(path.read_bytes())
    data[20_000:-20_000] = b"\xff" * (len(data) - 40_000)
    path.write_bytes(data)
    with pytest.raises(InputDamaged):
        audio.decode(path)


class _Failing:
    """A stream whose source goes away."""

    def __init__(self, data: bytes, fail_at: int) -> None:
        self._data, self._fail_at, self._at, self.closed = data, fail_at, 0, 0

    def read(self, max_bytes: int) -> bytes:
        if self._at >= self._fail_at:
            raise ConnectionError("the network is gone")
        piece = self._data[self._at : min(self._at + max_bytes, self._fail_at)]
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int | None:
        return len(self._data)

    def close(self) -> None:
        self.closed += 1


def test_a_failing_stream_is_told_from_a_damaged_file(tmp_path: Path, audio: Any) -> None:
    """What the stream raised comes out as the cause, and the stream is closed once the session is."""
    path = audio.encode(tmp_path / "x.flac", "flac", audio.music(48000 * 20))
    data = path.read_bytes()
    stream = _Failing(data, len(data) // 2)
    session = AvDecoder().open(stream, "flac")
    with pytest.raises(InputUnreadable, match="network is gone") as caught:
        _drain(session)
    assert isinstance(caught.value.__cause__, ConnectionError)
    session.close()
    session.close()
    assert stream.closed >= 1


@pytest.mark.parametrize(
    ("ending", "codec", "fail_at"), [("flac", "flac", 0), ("flac", "flac", 20_000), ("m4a", "aac", 100)]
)
def test_a_failed_stream_goes_nowhere_in_silence(
    tmp_path: Path, audio: Any, capfd: pytest.CaptureFixture[str], ending: str, codec: str, fail_at: int
) -> None:
    """Where the library seeks after a failure, it is told by a number: an exception it would print."""
    data = audio.encode(tmp_path / f"x.{ending}", codec, audio.music(48000 * 5)).read_bytes()
    with pytest.raises(InputUnreadable, match="network is gone"):
        _drain(AvDecoder().open(_Failing(data, fail_at), ending))
    assert capfd.readouterr() == ("", "")


def _drain(session: AvDecoderSession) -> None:
    while not session.read_pcm(Frames(16384)).eof:
        pass


class _Greedy(_Failing):
    def read(self, max_bytes: int) -> bytes:
        piece = self._data[self._at : self._at + max_bytes + 100_000]
        self._at += min(len(piece), max_bytes)
        return piece


def test_a_stream_that_gives_too_much_is_cut(tmp_path: Path, audio: Any) -> None:
    """More bytes than asked for never reach the library, which would copy them over its buffer's end."""
    signal = audio.music(48000)
    path = audio.encode(tmp_path / "x.flac", "flac", signal)
    session = AvDecoder().open(_Greedy(path.read_bytes(), 1 << 40), "flac")
    blocks: list[Block] = []
    while not (chunk := session.read_pcm(Frames(9000))).eof:
        blocks.append(chunk.block)
    session.close()
    assert sum(map(len, [*blocks, chunk.block])) == 48000


def test_a_decoder_has_nothing_to_configure(wav: Callable[..., Path], audio: Any) -> None:
    """An empty configuration is taken, any other refused."""
    session = AvDecoder().open(FileByteStream(wav(audio.music(1000))), "wav")
    session.apply_config("{}")
    assert session.plan_config("{}").mode is ConfigUpdateMode.HOT_APPLY
    assert session.plan_config('{"x": 1}').mode is ConfigUpdateMode.REJECT
    with pytest.raises(ConfigRejected):
        session.apply_config("no json")
    session.close()


def test_apples_tag_is_read() -> None:
    """``iTunSMPB`` has delay, padding and length in hexadecimal."""
    value = " 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000"
    assert itunes_gapless({"iTunSMPB": value}) == SmpbTag(0x840, 0x1CA, 0x3F31F6)
    assert itunes_gapless({"iTunSMPB": "nonsense"}) is None


@pytest.mark.parametrize(
    ("edit_end_s", "tag", "decoded", "last", "duration_s", "expected"),
    [
        (None, SmpbTag(2112, 458, 100_000), 100_458, 1024, None, 100_000),
        (None, SmpbTag(2112, 458, 900_000), 100_458, 1024, None, 100_458),
        (100_000 / 44100, None, 100_352, 1024, 1024 / 44100, 100_000),
        (100_001 / 44100, None, 100_352, 1024, 672 / 44100, 100_000),
        (None, None, 100_352, 1024, None, 100_352),
    ],
)
def test_the_end_of_mp4_music(
    edit_end_s: float | None, tag: SmpbTag | None, decoded: int, last: int, duration_s: float | None, expected: int
) -> None:
    """Apple's tag first, if it fits; then the last packet's own duration; then the edit list."""
    assert Mp4End(44100, edit_end_s, tag).frames(decoded, last, duration_s) == expected
