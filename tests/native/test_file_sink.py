"""The bundled file sink: what it writes, and what it leaves when it cannot."""

from __future__ import annotations

import json
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.contract.capabilities import AcceptsMetadata, CountsClipping
from stellatune_plugins.errors import OutputExists, OutputFailed, UsageError
from stellatune_plugins.model import AudioSpec, Block, MediaMetadata, SampleRate
from stellatune_plugins.native.av_decoder import AvDecoder
from stellatune_plugins.native.file_sink import FileSink, FileSinkSession
from stellatune_plugins.native.publish import PartFile, remove_stale_part
from stellatune_plugins.native.streams import FileByteStream
from stellatune_plugins.native.wav import WavWriter

FORMATS = [("wav", "16"), ("wav", "24"), ("wav", "32f"), ("flac", "16"), ("flac", "24"), ("ogg", None), ("opus", None)]


def spec_of(signal: Block, rate: int = 48000) -> AudioSpec:
    """The spec of a block."""
    return AudioSpec(SampleRate(rate), signal.shape[1])


def write(path: Path, signal: Block, rate: int = 48000, metadata: MediaMetadata | None = None, **target: Any) -> None:
    """Write a whole file."""
    session = FileSink().create()
    session.open(json.dumps({"path": str(path), **target}), spec_of(signal, rate))
    if metadata is not None:
        session.set_metadata(metadata)
    for at in range(0, len(signal), 7000):
        session.write(signal[at : at + 7000])
    session.flush()
    session.close()


def target(kind: str, bits: str | None) -> dict[str, Any]:
    """The part of a target that names format and width."""
    return {"format": kind} | ({"bits": bits} if bits else {})


@pytest.mark.parametrize(("kind", "bits"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_format_has_every_frame(tmp_path: Path, audio: Any, kind: str, bits: str | None, channels: int) -> None:
    """Length, place and shape survive, in all formats and layouts."""
    signal = audio.music(50_021, channels)
    path = tmp_path / f"x.{kind}"
    write(path, signal, **target(kind, bits))
    decoded, _ = audio.decode(path)
    assert decoded.shape == signal.shape
    assert audio.shift_of(decoded, signal) == 0
    step = {"16": 2 / 32768, "24": 2 / (1 << 23), "32f": 1e-12}.get(bits or "")
    if step:
        assert np.abs(decoded - signal).max() <= step
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_surround_channels_keep_their_places(tmp_path: Path, audio: Any, kind: str) -> None:
    """Vorbis and Opus have an order of their own: each channel's tone comes back where it was."""
    tones = [200, 300, 400, 60, 600, 700]  # the fourth is the low-frequency channel
    times = np.arange(48000) / 48000
    signal = np.stack([0.3 * np.sin(2 * np.pi * tone * times) for tone in tones], axis=1).astype(np.float32)
    path = tmp_path / f"x.{kind}"
    write(path, signal)
    decoded, _ = audio.decode(path)
    found = [int(np.argmax(np.abs(np.fft.rfft(decoded[:48000, channel])))) for channel in range(6)]
    assert found == tones


@pytest.mark.parametrize(("kind", "bits"), FORMATS)
def test_tags_and_cover_round_trip(
    tmp_path: Path, audio: Any, metadata: MediaMetadata, kind: str, bits: str | None
) -> None:
    """Every tag, lists of artists, further fields and the picture come back from each format."""
    path = tmp_path / f"x.{kind}"
    write(path, audio.music(20_000), metadata=metadata, **target(kind, bits))
    session = _open(path)
    found = session.metadata()
    session.close()
    assert found.tags == metadata.tags
    assert set(metadata.extras) <= set(found.extras)
    assert found.pictures == metadata.pictures


def _open(path: Path) -> Any:
    return AvDecoder().open(FileByteStream(path), path.suffix[1:])


def test_what_is_on_the_grid_stays_bit_for_bit(tmp_path: Path, audio: Any) -> None:
    """An unprocessed 16-bit track is not dithered again, and digital silence stays silent."""
    integers = np.random.default_rng(5).integers(-32768, 32768, (30_000, 2), dtype=np.int16)
    write(tmp_path / "x.flac", (integers / 32768).astype(np.float32), bits="16")
    back, _ = soundfile.read(tmp_path / "x.flac", dtype="int16")
    assert np.array_equal(back, integers)


def test_dither_is_deterministic_and_seeded(tmp_path: Path, audio: Any) -> None:
    """The same seed gives the same bytes, another seed other ones."""
    signal = audio.music(10_000)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(tmp_path / f"{name}.wav", signal, bits="16", seed=seed)
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_dither_makes_the_error_noise(tmp_path: Path) -> None:
    """A tone of a third of a step survives dithered rounding, and vanishes without dither."""
    times = np.arange(96000) / 48000
    signal = (0.33 / 32768 * np.sin(2 * np.pi * 1000 * times))[:, None].astype(np.float32)
    levels = {}
    for dither in (True, False):
        write(tmp_path / f"{dither}.wav", signal, bits="16", dither=dither)
        back, _ = soundfile.read(tmp_path / f"{dither}.wav")
        levels[dither] = np.abs(np.fft.rfft(back * 32768))[2000] / 48000
    assert levels[True] == pytest.approx(0.33, abs=0.03)
    assert levels[False] == 0


def test_dither_has_the_variance_of_tpdf(tmp_path: Path) -> None:
    """Rounding and triangular dither together have a quarter of a step's square, whatever the signal."""
    signal = np.full((200_000, 1), 0.3 / 32768, np.float32)
    write(tmp_path / "x.wav", signal, bits="16")
    back, _ = soundfile.read(tmp_path / "x.wav")
    error = back * 32768 - 0.3
    assert error.mean() == pytest.approx(0, abs=0.01)
    assert error.var() == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(("kind", "bits"), [("wav", "16"), ("flac", "24"), ("ogg", None)])
def test_clipping_is_cut_and_counted(tmp_path: Path, audio: Any, kind: str, bits: str | None) -> None:
    """Samples beyond full scale are cut, not wrapped, and their number is known."""
    signal = np.zeros((1000, 2), np.float32)
    signal[100:110] = 1.5
    signal[200:205, 0] = -2.0
    session = FileSink().create()
    assert isinstance(session, CountsClipping)
    assert isinstance(session, AcceptsMetadata)
    session.open(json.dumps({"path": str(tmp_path / f"x.{kind}"), **target(kind, bits)}), spec_of(signal))
    session.write(signal)
    session.flush()
    assert session.clipped() == 25
    decoded, _ = audio.decode(tmp_path / f"x.{kind}")
    if bits:
        assert decoded[105].min() > 0.99
        assert decoded[202, 0] < -0.99


@pytest.mark.parametrize(("kind", "bits"), FORMATS)
def test_what_is_not_a_number_becomes_silence(tmp_path: Path, audio: Any, kind: str, bits: str | None) -> None:
    """NaN and infinities do not reach an encoder."""
    signal = audio.music(5000)
    signal[10, 0], signal[11, 1], signal[12, 0] = np.nan, np.inf, -np.inf
    write(tmp_path / f"x.{kind}", signal, **target(kind, bits))
    decoded, _ = audio.decode(tmp_path / f"x.{kind}")
    assert np.isfinite(decoded).all()
    assert len(decoded) == 5000


def test_float_wav_keeps_what_is_beyond_full_scale(tmp_path: Path) -> None:
    """Floats need no cutting: nothing is clipped, nothing counted."""
    signal = np.full((100, 2), 3.5, np.float32)
    write(tmp_path / "x.wav", signal, bits="32f")
    back, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")
    assert np.array_equal(back, signal)


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("channels", [1, 3])
def test_wav_headers_are_read_by_others(tmp_path: Path, audio: Any, bits: int, channels: int) -> None:
    """Libsndfile agrees about format, length and samples; odd data is padded."""
    signal = audio.music(1001, channels)
    write(tmp_path / "x.wav", signal, 44100, bits=str(bits))
    info = soundfile.info(tmp_path / "x.wav")
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (1001, 44100, channels, f"PCM_{bits}")
    assert (tmp_path / "x.wav").stat().st_size % 2 == 0


def test_a_file_that_outgrows_riff_becomes_rf64(tmp_path: Path, audio: Any) -> None:
    """Beyond the limit the reserved chunk carries 64-bit sizes, and readers find every frame."""
    signal = audio.music(5000)
    path = tmp_path / "x.wav"
    with path.open("w+b") as file:
        writer = WavWriter(file, spec_of(signal), 32, is_float=True, limit=10_000)
        writer.write(signal)
        assert writer.finish() is True
    data = path.read_bytes()
    assert data[:4] == b"RF64"
    assert data[12:16] == b"ds64"
    riff, size, frames = struct.unpack("<QQQ", data[20:44])
    assert (riff, size, frames) == (len(data) - 8, signal.nbytes, 5000)
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], signal)
    assert np.array_equal(audio.decode(path)[0], signal)


# --- whole or not at all --------------------------------------------------------------------------------------------


def test_nothing_has_the_name_before_flush(tmp_path: Path, audio: Any) -> None:
    """Until the end the file lies beside its target."""
    path = tmp_path / "x.wav"
    session = FileSink().create()
    session.open(json.dumps({"path": str(path)}), AudioSpec(SampleRate(48000), 2))
    session.write(audio.music(1000))
    assert [p.name for p in tmp_path.iterdir()] == [".x.wav.part"]
    session.flush()
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]
    session.close()


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("kind", ["wav", "flac", "opus"])
def test_reset_and_close_leave_nothing(tmp_path: Path, audio: Any, end: str, kind: str) -> None:
    """An unfinished file is dropped, and both may be called again."""
    session = FileSink().create()
    session.open(json.dumps({"path": str(tmp_path / f"x.{kind}")}), AudioSpec(SampleRate(48000), 2))
    session.write(audio.music(1000))
    getattr(session, end)()
    getattr(session, end)()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputFailed):
        session.write(audio.music(10))


def test_an_existing_target_is_refused_early(tmp_path: Path, audio: Any) -> None:
    """Without ``overwrite`` nothing is even begun, and what is there stays."""
    path = tmp_path / "x.wav"
    path.write_text("precious")
    with pytest.raises(OutputExists):
        write(path, audio.music(100))
    assert path.read_text() == "precious"
    write(path, audio.music(100), overwrite=True)
    assert path.read_bytes()[:4] == b"RIFF"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_target_that_appears_meanwhile_is_not_replaced(tmp_path: Path, audio: Any) -> None:
    """The last step itself refuses a taken name: no window for a race."""
    path = tmp_path / "x.wav"
    session = FileSink().create()
    session.open(json.dumps({"path": str(path)}), AudioSpec(SampleRate(48000), 2))
    session.write(audio.music(1000))
    path.write_text("precious")
    with pytest.raises(OutputExists):
        session.flush()
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]


def test_two_writers_of_one_target_do_not_mix(tmp_path: Path) -> None:
    """The second is refused while the first writes; a part left by a dead process is taken over."""
    first = PartFile(tmp_path / "x.wav", overwrite=False)
    with pytest.raises(OutputFailed, match="another process"):
        PartFile(tmp_path / "x.wav", overwrite=False)
    remove_stale_part(tmp_path / "x.wav")
    assert first.path.exists()
    first.discard()
    first.path.write_text("left over")
    with_leftover = PartFile(tmp_path / "x.wav", overwrite=False)
    assert with_leftover.path.stat().st_size == 0
    with_leftover.discard()
    first.path.write_text("left over")
    remove_stale_part(tmp_path / "x.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_never_followed_through_a_link(tmp_path: Path, audio: Any) -> None:
    """A link that somebody laid under the part's name does not make us write elsewhere."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".x.wav.part").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputFailed):
        write(tmp_path / "x.wav", audio.music(100))
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Limits the size of files that this process may write, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("kind", "bits"), FORMATS)
@pytest.mark.parametrize("room", [100, 150_000])
def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, audio: Any, small_files: Callable[[int], None], kind: str, bits: str | None, room: int
) -> None:
    """Whether the room ends at once, in the middle or in the encoder's last words: OutputFailed, and no file."""
    signal = audio.music(400_000)
    session = FileSink().create()
    small_files(room if kind not in {"ogg", "opus"} else min(room, 20_000))
    with pytest.raises(OutputFailed, match="File too large"):
        _write_all(session, tmp_path / f"x.{kind}", signal, target(kind, bits))
    assert list(tmp_path.iterdir()) == []


def _write_all(session: FileSinkSession, path: Path, signal: Block, how: dict[str, Any]) -> None:
    session.open(json.dumps({"path": str(path), **how}), spec_of(signal))
    for at in range(0, len(signal), 16384):
        session.write(signal[at : at + 16384])
    session.flush()


@pytest.mark.parametrize("kind", ["wav", "flac", "opus"])
def test_no_room_for_tags_leaves_no_half_file(
    tmp_path: Path, audio: Any, metadata: MediaMetadata, small_files: Callable[[int], None], kind: str
) -> None:
    """The samples fitted, the tags do not: still no file."""
    signal = audio.music(20_000)
    write(tmp_path / f"probe.{kind}", signal)
    size = (tmp_path / f"probe.{kind}").stat().st_size
    (tmp_path / f"probe.{kind}").unlink()
    small_files(size + 10)
    big = MediaMetadata(extras=(("lyrics", "la " * 100_000),))
    with pytest.raises(OutputFailed):
        write(tmp_path / f"x.{kind}", signal, metadata=big)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_fails_plainly(tmp_path: Path, audio: Any) -> None:
    """The system's own words, and the path."""
    with pytest.raises(OutputFailed, match="No such file"):
        write(tmp_path / "missing" / "x.wav", audio.music(10))


@pytest.mark.parametrize(
    "bad",
    [
        {"path": ""},
        {"path": "x.xyz"},
        {"path": "x.wav", "bits": "8"},
        {"path": "x.flac", "bits": "32f"},
        {"path": "x.opus", "bits": "16"},
        {"path": "x.wav", "quality": 0.5},
        {"path": "x.ogg", "quality": 1.5},
        {"path": "x.wav", "compression": 0.5},
        {"path": "x.wav", "surprise": 1},
        {"path": "a\0b.wav"},
        [],
    ],
)
def test_targets_are_checked(bad: Any) -> None:
    """What no format can hold, and what is not understood, is refused before a file is made."""
    with pytest.raises(UsageError):
        FileSink().create().negotiate_spec(json.dumps(bad), AudioSpec(SampleRate(48000), 2))


def test_specs_are_negotiated() -> None:
    """Opus has five rates; other formats take the track's."""
    sink = FileSink().create()
    cd = AudioSpec(SampleRate(44100), 2)
    assert sink.negotiate_spec('{"path": "x.opus"}', cd).spec == AudioSpec(SampleRate(48000), 2)
    assert sink.negotiate_spec('{"path": "x.flac"}', cd).spec == cd
    assert {entry["format"] for entry in json.loads(sink.list_targets_json())} == {"wav", "flac", "ogg", "opus"}
    with pytest.raises(UsageError):
        sink.negotiate_spec('{"path": "x.flac"}', AudioSpec(SampleRate(44100), 9))


def test_blocks_of_another_shape_are_refused(tmp_path: Path, audio: Any) -> None:
    """A block with the wrong number of channels is no sound of this file."""
    session = FileSink().create()
    session.open(json.dumps({"path": str(tmp_path / "x.wav")}), AudioSpec(SampleRate(48000), 2))
    with pytest.raises(OutputFailed):
        session.write(audio.music(10, 1))
    session.close()
    assert list(tmp_path.iterdir()) == []
