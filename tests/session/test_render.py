"""Offline rendering, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import mutagen.flac
import numpy as np
import pytest
import soundfile

from stellatune_plugins import session
from stellatune_plugins.errors import (
    InputUnreadable,
    Interrupted,
    OutputExists,
    OutputFailed,
    StageFailed,
    UsageError,
)
from stellatune_plugins.model import AudioSpec, Block, DecoderInfo, Frames, MediaMetadata, PcmChunk, SampleRate
from stellatune_plugins.native.file_sink import FileSink, FileSinkSession
from stellatune_plugins.session.report import RenderReport
from stellatune_plugins.session.resample import Resampler, resampled_frames

Wav = Callable[..., Path]
flac: Any = mutagen.flac


def test_the_front_door() -> None:
    """Every public name is there."""
    assert all(hasattr(session, name) for name in session.__all__)


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("threaded", [True, False])
def test_without_stages_nothing_changes(studio: Any, wav: Wav, rate: int, channels: int, threaded: bool) -> None:
    """Float in, float out: the same samples, at any rate and layout, with and without threads."""
    signal = studio.music(rate // 3 + 7, channels)
    report = studio.render(wav(signal, rate), threaded=threaded)
    assert np.array_equal(studio.read(), signal)
    assert (report.frames_in, report.frames_out, report.tail) == (len(signal), len(signal), 0)
    assert report.input_spec == report.output_spec == AudioSpec(SampleRate(rate), channels)


@pytest.mark.parametrize("latency", [1, 100, 16384, 40000])
@pytest.mark.parametrize("frames", [1, 20_001])
def test_latency_is_compensated(studio: Any, wav: Wav, latency: int, frames: int) -> None:
    """What the chain delays is put back in its place, even where the input is shorter than the delay."""
    signal = studio.music(frames)
    report = studio.render(wav(signal), chain=lambda spec: studio.Delay(spec, latency, tail=latency))
    assert np.array_equal(studio.read(), signal)
    assert (report.latency, report.tail, report.frames_out) == (latency, 0, frames)


@pytest.mark.parametrize("batch", [1, 64, 1000, 16384])
def test_the_batch_changes_nothing(studio: Any, wav: Wav, batch: int) -> None:
    """The chain gets at most a batch at once, and the file is the same."""
    chains = []

    def factory(spec: AudioSpec) -> Any:
        chains.append(studio.Delay(spec, 77, gain=0.5, tail=77))
        return chains[-1]

    signal = studio.music(3001)
    studio.render(wav(signal), chain=factory, batch=batch)
    assert np.array_equal(studio.read(), signal * np.float32(0.5))
    assert max(chains[0].blocks) <= max(batch, 77)
    assert chains[0].closed >= 1


@pytest.mark.parametrize(("tail", "expected"), [(0, 0), (500, 400), (20_100, 20_000)])
def test_a_finite_tail_is_exact(studio: Any, wav: Wav, tail: int, expected: int) -> None:
    """As many frames follow as the chain says, its latency of 100 not counted twice."""
    report = studio.render(wav(studio.music(5000)), chain=lambda spec: studio.Delay(spec, 100, tail=tail))
    assert (report.tail, report.frames_out) == (expected, 5000 + expected)
    assert len(studio.read()) == 5000 + expected


def test_the_tail_can_be_left_out(studio: Any, wav: Wav) -> None:
    """Then the output has the input's length, latency still compensated."""
    signal = studio.music(5000)
    report = studio.render(wav(signal), chain=lambda spec: studio.Delay(spec, 100, tail=9000), tail=False)
    assert np.array_equal(studio.read(), signal)
    assert report.tail == 0


def test_an_endless_tail_is_followed_until_it_is_silent(studio: Any, wav: Wav) -> None:
    """It ends with the last frame above -90 dBFS, though a second of silence was listened to."""
    impulse = np.zeros((1000, 1), np.float32)
    impulse[999] = 0.5
    report = studio.render(wav(impulse, 8000), chain=lambda spec: studio.Decay(spec, 0.999))
    expected = int(np.ceil(np.log(10 ** (-90 / 20) / 0.5) / np.log(0.999)))
    assert abs(report.tail - expected) <= 2
    assert np.abs(studio.read()[-1]).max() >= 10 ** (-90.1 / 20)


def test_an_endless_tail_that_stays_loud_is_cut(studio: Any, wav: Wav) -> None:
    """At the limit, and not a frame later."""
    report = studio.render(
        wav(studio.music(1000, 1) + 0.1, 8000), chain=lambda spec: studio.Decay(spec, 1.0), tail_limit_s=1.5
    )
    assert report.tail == 12_000


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44100, 48000), (48000, 44100), (8000, 192000), (96000, 22050)])
@pytest.mark.parametrize("quality", ["HQ", "VHQ"])
def test_resampling_is_exact_in_length_and_place(
    studio: Any, wav: Wav, rate_in: int, rate_out: int, quality: str
) -> None:
    """The resampled count to the frame, and a tone stays where and what it was."""
    frames = rate_in + 123
    tone = 0.5 * np.sin(2 * np.pi * 997 * np.arange(frames) / rate_in)
    report = studio.render(wav(tone[:, None].astype(np.float32), rate_in), rate=rate_out, resample_quality=quality)
    out = studio.read()[:, 0]
    assert len(out) == report.frames_out == resampled_frames(frames, rate_in, rate_out)
    expected = 0.5 * np.sin(2 * np.pi * 997 * np.arange(len(out)) / rate_out)
    edge = rate_out // 20
    assert np.abs(out - expected)[edge:-edge].max() < 1e-4


@pytest.mark.parametrize("frames", [0, 1, 2, 100])
def test_very_short_streams_resample_exactly(frames: int) -> None:
    """Even a frame or none."""
    resampler = Resampler(AudioSpec(SampleRate(44100), 2), 48000, "VHQ")
    block = np.ones((frames, 2), np.float32)
    given = len(resampler.process(block)) + len(resampler.finish())
    assert given == resampled_frames(frames, 44100, 48000)


@pytest.mark.parametrize("ending", ["mp3", "ogg", "opus", "flac"])
def test_lossy_inputs_come_out_exactly_as_long(studio: Any, tmp_path: Path, ending: str) -> None:
    """Encoder delay and padding are gone in the rendered file."""
    signal = studio.music(100_001)
    form = {"mp3": {"format": "MP3"}, "ogg": {"format": "OGG", "subtype": "VORBIS"},
            "opus": {"format": "OGG", "subtype": "OPUS"}, "flac": {"format": "FLAC"}}[ending]  # fmt: skip
    source = tmp_path / f"in.{ending}"
    soundfile.write(source, signal, 48000, **form)
    report = studio.render(source)
    out = studio.read()
    assert (len(out), report.frames_in) == (100_001, 100_001)
    assert np.corrcoef(out[20000:80000, 0], signal[20000:80000, 0])[0, 1] > 0.9


class _Primed:
    """A decoder that leaves the trimming to the host, as a wasm one may."""

    def __init__(self, signal: Block, delay: int, padding: int, chunk: int) -> None:
        noise = np.ones((1, signal.shape[1]), np.float32)
        self._data = np.concatenate([noise.repeat(delay, 0), signal, noise.repeat(padding, 0)])
        self._delay, self._padding, self._chunk, self._at = delay, padding, chunk, 0

    def ext_scores(self) -> dict[str, int]:
        return {}

    def wildcard_score(self) -> int | None:
        return 1

    def open(self, stream: Any, ext_hint: str | None) -> Any:
        stream.close()
        return self

    def info(self) -> Any:
        spec = AudioSpec(SampleRate(48000), self._data.shape[1])
        return DecoderInfo(spec, None, False, Frames(self._delay), Frames(self._padding))

    def metadata(self) -> Any:
        return MediaMetadata()

    def read_pcm(self, max_frames: Frames) -> Any:
        size = min(max_frames, self._chunk)
        block = self._data[self._at : self._at + size]
        self._at += len(block)
        return PcmChunk(block, self._at >= len(self._data))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("chunk", [1, 100, 1152, 100_000])
@pytest.mark.parametrize(("delay", "padding"), [(0, 0), (1105, 700), (3000, 0), (0, 5000)])
def test_delay_and_padding_of_other_decoders_are_trimmed(
    studio: Any, wav: Wav, chunk: int, delay: int, padding: int
) -> None:
    """Whatever the chunks, exactly the music between them is left."""
    signal = studio.music(2500)
    studio.render(wav(signal), decoder=_Primed(signal, delay, padding, chunk))
    assert np.array_equal(studio.read(), signal)


# --- the report -----------------------------------------------------------------------------------------------------


def test_loudness_is_that_of_the_standard(studio: Any, wav: Wav) -> None:
    """A 997 Hz sine at -20 dBFS in both channels has -20 LUFS less the filter's 0.0; 6 dB more reads 6 LU more."""
    tone = (0.1 * np.sin(2 * np.pi * 997 * np.arange(48000 * 6) / 48000))[:, None].repeat(2, 1).astype(np.float32)
    report = studio.render(wav(tone), chain=lambda spec: studio.Delay(spec, gain=2.0))
    assert report.before.loudness_lufs == pytest.approx(-20.0, abs=0.1)
    assert report.after.loudness_lufs == pytest.approx(-13.98, abs=0.1)
    assert report.before.peak_dbfs == pytest.approx(-20.0, abs=0.01)
    assert report.after.range_lu == pytest.approx(0.0, abs=0.1)


def test_true_peak_is_between_the_samples(studio: Any, wav: Wav) -> None:
    """A quarter-rate sine sampled at 45 degrees peaks 3 dB above its samples."""
    tone = (0.5 * np.sin(np.pi / 2 * np.arange(48000) + np.pi / 4))[:, None].astype(np.float32)
    report = studio.render(wav(tone))
    assert report.after.peak_dbfs == pytest.approx(-9.03, abs=0.01)
    assert report.after.true_peak_dbtp == pytest.approx(-6.02, abs=0.2)


def test_silence_and_the_shortest_inputs_have_no_loudness(studio: Any, wav: Wav) -> None:
    """``None``, not minus infinity; nothing breaks."""
    for frames in (1, 100, 48000):
        report = studio.render(wav(np.zeros((frames, 2), np.float32), name=f"{frames}.wav"), f"{frames}o.wav")
        assert (report.after.loudness_lufs, report.after.peak_dbfs) == (None, None)
        assert report.frames_out == frames


def test_the_report_is_plain_data(studio: Any, wav: Wav) -> None:
    """It survives JSON, stages and warnings included."""
    report = studio.render(
        wav(studio.music(9000) * 8), "out.flac", chain=lambda spec: studio.Delay(spec, 10, tail=10), bits="16"
    )
    assert msgspec.json.decode(msgspec.json.encode(report), type=RenderReport) == report
    assert report.stages[0].type_id == "delay"
    assert report.clipped_samples > 0
    assert "limiter" in report.warnings[0]
    assert report.times_real_time > 1


def test_measuring_can_be_left_out(studio: Any, wav: Wav) -> None:
    """Then only the sample peak is there."""
    report = studio.render(wav(studio.music(48000)), loudness=False, true_peak=False)
    assert (report.after.loudness_lufs, report.after.true_peak_dbtp) == (None, None)
    assert report.after.peak_dbfs == pytest.approx(-12.04, abs=0.01)


def test_progress_grows_to_the_end(studio: Any, wav: Wav) -> None:
    """In the caller's thread, ending with done equal to the total."""
    seen: list[tuple[int, int | None]] = []
    studio.render(wav(studio.music(100_000)), on_progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (100_000, 100_000)
    assert len(seen) > 4


def test_damage_is_a_warning(studio: Any, wav: Wav) -> None:
    """The file is made, and the report says what was wrong."""
    source = wav(studio.music(200_000), name="in.flac", subtype="PCM_16", format="FLAC")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    report = studio.render(source)
    assert 0 < report.frames_in < 200_000
    assert any("damaged" in warning for warning in report.warnings)


def test_tags_and_cover_are_carried_over(studio: Any, wav: Wav) -> None:
    """Unless the user does not want them; what described the old samples' level is left behind."""
    source = wav(studio.music(5000), name="in.flac", subtype="PCM_16", format="FLAC")
    tagged = flac.FLAC(source)
    tagged["TITLE"], tagged["ARTIST"], tagged["REPLAYGAIN_TRACK_GAIN"] = "Song", ["A", "B"], "-7 dB"
    picture = flac.Picture()
    picture.mime, picture.type, picture.data = "image/jpeg", 3, b"\xff\xd8\xff" + bytes(40)
    tagged.add_picture(picture)
    tagged.save()
    studio.render(source, "with.flac")
    studio.render(source, "without.flac", keep_tags=False)
    kept, bare = flac.FLAC(studio.folder / "with.flac"), flac.FLAC(studio.folder / "without.flac")
    assert (kept["TITLE"], kept["ARTIST"], kept.pictures[0].data) == (["Song"], ["A", "B"], picture.data)
    assert "REPLAYGAIN_TRACK_GAIN" not in kept
    assert "TITLE" not in (bare.tags or {})


# --- formats and refusals -------------------------------------------------------------------------------------------


def test_opus_gets_a_rate_that_it_has(studio: Any, wav: Wav) -> None:
    """44.1 kHz becomes 48 by itself, with a warning; asked for outright, it is refused."""
    source = wav(studio.music(44100), 44100)
    report = studio.render(source, "out.opus")
    assert report.output_spec.sample_rate == 48000
    assert "48000" in report.warnings[0]
    with pytest.raises(UsageError, match="44100"):
        studio.render(source, "other.opus", rate=44100)


@pytest.mark.parametrize("how", [{"rate": 5}, {"format": "flac", "bits": "32f"}, {"quality": 0.5}])
def test_options_that_do_not_fit_are_refused(studio: Any, wav: Wav, how: dict[str, Any]) -> None:
    """Before anything is written."""
    source = wav(studio.music(100))
    with pytest.raises(UsageError):
        studio.render(source, **how)
    assert [p.name for p in studio.folder.iterdir()] == ["in.wav"]


def test_the_input_is_never_the_output(studio: Any, wav: Wav) -> None:
    """Not even with ``overwrite``, nor through another name of it."""
    source = wav(studio.music(100))
    (studio.folder / "link.wav").symlink_to(source)
    for name in ("in.wav", "link.wav"):
        with pytest.raises(UsageError, match="input itself"):
            studio.render(source, name, overwrite=True)
    assert len(soundfile.read(source)[0]) == 100


def test_existing_outputs_stay_unless_told(studio: Any, wav: Wav) -> None:
    """Refused before a frame is decoded."""
    source = wav(studio.music(100))
    (studio.folder / "out.wav").write_text("precious")
    with pytest.raises(OutputExists):
        studio.render(source)
    assert (studio.folder / "out.wav").read_text() == "precious"
    studio.render(source, overwrite=True)
    assert len(studio.read()) == 100


def test_what_is_no_audio_names_the_file(studio: Any, tmp_path: Path) -> None:
    """The path is in the message, and nothing was begun."""
    (tmp_path / "x.mp3").write_text("hello")
    with pytest.raises(InputUnreadable, match=r"x\.mp3"):
        studio.render(tmp_path / "x.mp3")
    with pytest.raises(InputUnreadable, match=r"missing\.mp3"):
        studio.render(tmp_path / "missing.mp3")
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp3"]


# --- nothing half-written -------------------------------------------------------------------------------------------


class _Exploding:
    """A chain that raises after some frames."""

    def __init__(self, make: Any, error: BaseException) -> None:
        self._make, self._error = make, error

    def __call__(self, spec: AudioSpec) -> Any:
        chain = self._make(spec)
        calls = iter(range(1000))
        inner = chain.process

        def process(block: Block) -> Block:
            if next(calls) == 3:
                raise self._error
            result: Block = inner(block)
            return result

        chain.process = process
        return chain


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StageFailed("broken"), MemoryError()])
def test_whatever_is_raised_no_half_file_is_left(studio: Any, wav: Wav, threaded: bool, error: BaseException) -> None:
    """Ctrl-C, a failing stage, a full memory: the error comes through and the folder is clean."""
    source = wav(studio.music(200_000))
    with pytest.raises(type(error)):
        studio.render(source, "out.flac", chain=_Exploding(studio.Delay, error), threaded=threaded)
    assert [p.name for p in studio.folder.iterdir()] == ["in.wav"]


def test_a_render_can_be_stopped(studio: Any, wav: Wav) -> None:
    """``cancelled`` is asked once a batch."""
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Interrupted):
        studio.render(wav(studio.music(200_000)), cancelled=cancelled)
    assert [p.name for p in studio.folder.iterdir()] == ["in.wav"]


class _BadSession(FileSinkSession):
    accepts: int | None = None

    def write(self, block: Block) -> Frames:
        if self.accepts is None:
            raise OutputFailed("no space left")
        return Frames(self.accepts)


class _BadSink(FileSink):
    def __init__(self, accepts: int | None) -> None:
        self._accepts = accepts

    def create(self) -> FileSinkSession:
        made = _BadSession()
        made.accepts = self._accepts
        return made


@pytest.mark.parametrize("accepts", [None, 0, -1, 1 << 30])
@pytest.mark.parametrize("threaded", [True, False])
def test_a_failing_or_lying_sink_ends_the_render(studio: Any, wav: Wav, accepts: int | None, threaded: bool) -> None:
    """An error in the writing thread comes out in the caller's; a sink that accepts nothing does not hang it."""
    source = wav(studio.music(500_000))
    with pytest.raises(OutputFailed):
        studio.render(source, sink=_BadSink(accepts), threaded=threaded)
    assert [p.name for p in studio.folder.iterdir()] == ["in.wav"]
