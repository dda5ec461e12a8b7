"""The bundled decoder: every common format, by FFmpeg's libraries through PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

import av
import msgspec
import numpy as np
from av.codec.context import Flags2

from stellatune_plugins.contract.capabilities import ByteStream
from stellatune_plugins.errors import InputDamaged, InputUnreadable
from stellatune_plugins.model import (
    AudioSpec,
    DecoderInfo,
    DurationMs,
    EncodedFormat,
    Frames,
    MediaMetadata,
    PcmChunk,
    SampleRate,
)
from stellatune_plugins.native.av_blocks import BlockQueue, Converter
from stellatune_plugins.native.av_container import EXT_SCORES, open_audio, reason_of
from stellatune_plugins.native.av_metadata import pictures_of, tags_of
from stellatune_plugins.native.flac_frames import block_frames, frame_start
from stellatune_plugins.native.gapless import Mp4End, itunes_gapless
from stellatune_plugins.native.id3_lists import id3_lists
from stellatune_plugins.native.streams import StreamFile
from stellatune_plugins.native.unconfigured import Unconfigured

BATCH: Final = Frames(16384)
"""Frames a converted block: large enough that Python's share of the decoding time is a few percent."""
_PREROLL_S: Final = 0.5
"""Decoded and thrown away before a seek's target: MP3's bit reservoir and Opus's 80 ms need it."""
_GIVE_UP_AFTER: Final = 256
"""Damaged packets in a row after which there is nothing left to resynchronise to: about five seconds."""
_MAX_GAP_S: Final = 30
_MAX_CHANNELS: Final = 64

_SURE_OF_TOTAL: Final = {"flac", "wav", "w64", "aiff", "wv", "tta", "caf", "ape"}
"""Demuxers whose stated duration is exact, so that less than that is a truncated file."""


class AvDecoder:
    """Opens tracks with FFmpeg's demuxers and decoders."""

    def ext_scores(self) -> Mapping[str, int]:
        return EXT_SCORES

    def wildcard_score(self) -> int | None:
        return 10

    def open(self, stream: ByteStream, ext_hint: str | None) -> AvDecoderSession:
        """Open a track; the data decides what it is, ``ext_hint`` only names it in messages.

        Raises:
            InputUnreadable: it is no audio that FFmpeg reads.
        """
        return AvDecoderSession(stream, ext_hint)


class AvDecoderSession(Unconfigured):
    """One opened track. Delay and padding are trimmed here, so that ``info`` reports none: see ``gapless``."""

    def __init__(self, stream: ByteStream, ext_hint: str | None) -> None:
        self._stream = stream
        self._name = f"the {ext_hint} input" if ext_hint else "the input"
        self._container: Any = None
        self._file = StreamFile(stream)
        self._bad_packets = 0
        self._gap_frames = 0
        self._truncated = 0
        try:
            self._open((ext_hint or "").lower())
        except BaseException:
            self.close()
            raise

    def info(self) -> DecoderInfo:
        seconds = self._duration_s()
        return DecoderInfo(
            spec=self._spec,
            duration_ms=None if seconds is None else DurationMs(round(seconds * 1000)),
            seekable=self._file.seekable(),
        )

    def metadata(self) -> MediaMetadata:
        raw = {**self._container.metadata, **self._audio.metadata}
        tags, extras = tags_of(raw)
        lists = self._lists
        tags = msgspec.structs.replace(
            tags,
            artists=lists.get("artist", tags.artists),
            album_artists=lists.get("album_artist", tags.album_artists),
            genres=lists.get("genre", tags.genres),
        )
        codec = self._audio.codec_context
        bit_rate = codec.bit_rate or self._container.bit_rate
        return MediaMetadata(
            tags=tags,
            duration_ms=self.info().duration_ms,
            format=EncodedFormat(
                codec=codec.name,
                sample_rate=self._spec.sample_rate,
                channels=self._spec.channels,
                bitrate_kbps=round(bit_rate / 1000) if bit_rate else None,
                container=self._container.format.name,
            ),
            extras=extras,
            pictures=pictures_of(self._pictures.values()),
        )

    def read_pcm(self, max_frames: Frames) -> PcmChunk:
        """The next frames, at most ``max_frames``.

        Raises:
            InputDamaged: there is nothing left to resynchronise to.
        """
        self._fill_queue()
        if not self._queue:
            return PcmChunk(np.zeros((0, self._spec.channels), np.float32), eof=True)
        block = self._queue.get(max(1, max_frames))
        self._fill_queue()
        return PcmChunk(block, eof=not self._queue)

    def seek_ms(self, position_ms: int) -> None:
        """Go to a position, exact to the frame where the container has exact time stamps.

        Raises:
            InputUnreadable: the stream does not seek.
        """
        if not self._file.seekable():
            raise InputUnreadable("the input does not seek", operation="decoder.seek")
        target = max(0, position_ms) * self._spec.sample_rate // 1000
        start_s = max(0.0, target / self._spec.sample_rate - _PREROLL_S)
        base = self._audio.time_base
        offset = round(Fraction(start_s) / base) + (self._origin if start_s else min(0, self._origin))
        try:
            self._container.seek(offset, stream=self._audio, backward=True)
        except (av.FFmpegError, OSError) as error:
            self._file.check()
            raise InputUnreadable(
                f"seeking in {self._name} failed: {reason_of(error)}", operation="decoder.seek"
            ) from error
        self._converter.flush()
        self._restart(target)

    def damage(self) -> tuple[str, ...]:
        """What was wrong with the data so far, each in a few words."""
        found = []
        if self._bad_packets:
            lost = f", {self._gap_frames} frames replaced by silence" if self._gap_frames else ""
            found.append(f"{self._bad_packets} damaged packets{lost}")
        if self._truncated:
            found.append(f"the data ends {self._truncated} frames before the stated end")
        return tuple(found)

    def close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()
        with contextlib.suppress(Exception):
            self._stream.close()

    # --- opening ----------------------------------------------------------------------------------------------------

    def _open(self, ext_hint: str) -> None:
        self._lists = id3_lists(self._stream) if self._file.seekable() else {}
        self._container, self._audio = open_audio(self._file, ext_hint, self._name)
        self._covers = [s for s in self._container.streams.video if s.disposition & type(s.disposition).attached_pic]
        self._pictures: dict[int, tuple[bytes, str]] = {}
        self._seen_packet = False
        self._exact_end: int | None = None
        self._flac_place: int | None = None
        self._is_flac = self._audio.codec_context.name == "flac"
        self._lead = 0
        self._restart()
        self._probe()

    def _restart(self, seek_to: int | None = None) -> None:
        """Forget what is between the demuxer and the reader; the next frame tells where a seek has led."""
        self._packets = self._demux()
        self._queue = BlockQueue()
        self._last: tuple[int, float | None] = (0, None)
        self._ended = False
        self._bad_in_a_row = 0
        self._after_damage = False
        self._seek_to = seek_to
        self._decoded = 0

    def _demux(self) -> Iterator[Any]:
        return iter(self._container.demux(self._audio, *self._covers))

    def _probe(self) -> None:
        """Decode the first frame: it alone knows the real rate and channels (HE-AAC doubles the stated rate)."""
        frame = None
        for _ in range(_GIVE_UP_AFTER):
            frame = next(iter(frames := list(self._decode_next())), None)
            if frame is not None or self._ended:
                break
        if frame is None:
            self._file.check()
            raise InputUnreadable(f"nothing in {self._name} could be decoded", operation="decoder.open")
        channels = frame.layout.nb_channels
        if not 1 <= channels <= _MAX_CHANNELS or not 1 <= frame.sample_rate <= 1_536_000:
            raise InputUnreadable(f"{self._name} has an impossible shape", operation="decoder.open")
        self._spec = AudioSpec(SampleRate(frame.sample_rate), channels)
        self._converter = Converter(self._spec, frame.layout, BATCH)
        # Times of Ogg Vorbis packets swing by a quarter of the difference of its two block sizes, at most 2032 frames.
        self._swings = self._audio.codec_context.name == "vorbis"
        self._jitter = max(self._spec.sample_rate // 100, 2048)
        self._origin: int = (frame.pts or 0) + self._lead
        self._decoded = -self._lead
        self._queue.drop(self._lead)
        is_mp4 = "mp4" in self._container.format.name
        tag = itunes_gapless({**self._container.metadata, **self._audio.metadata}) if is_mp4 else None
        self._mp4_end = Mp4End(self._spec.sample_rate, self._edit_end_s(), tag) if is_mp4 else None
        for each in frames:
            self._take(each)

    def _edit_end_s(self) -> float | None:
        stream = self._audio
        return None if stream.duration is None else float(stream.duration * stream.time_base)

    def _duration_s(self) -> float | None:
        if self._audio.duration is not None:
            seconds = float(self._audio.duration * self._audio.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / 1_000_000
        else:
            return None
        return seconds if 0 < seconds < 1e9 else None

    # --- decoding ---------------------------------------------------------------------------------------------------

    def _fill_queue(self) -> None:
        while not self._queue and not self._ended:
            self._advance()

    def _advance(self) -> None:
        for frame in self._decode_next():
            self._take(frame)
        if self._ended:
            self._finish()

    def _decode_next(self) -> list[Any]:
        """The frames of the next packet; sets ``_ended`` behind the last one."""
        packet = self._next_packet()
        if packet is None:
            return []
        if not self._seen_packet:
            self._seen_packet = True
            self._mind_short_vorbis(packet)
        frames: list[Any] = []
        try:
            frames = packet.decode()
        except EOFError:
            return []
        except (av.FFmpegError, ValueError) as error:
            self._file.check()
            self._count_damage(error)
            return []
        if packet.is_corrupt:
            self._count_damage(None)
        elif frames:
            self._bad_in_a_row = 0
        self._flac_place = None
        if frames and self._after_damage and self._is_flac:
            block = block_frames(self._audio.codec_context.extradata)
            self._flac_place = frame_start(bytes(packet)[:16], block)
        return frames

    def _next_packet(self) -> Any | None:
        """The next packet of the audio track; ``None`` where there is no such now, or ever (``_ended``)."""
        try:
            packet = next(self._packets)
        except StopIteration:
            self._file.check()
            self._ended = True
            return None
        except (av.FFmpegError, OSError) as error:
            self._file.check()
            self._count_damage(error)
            self._packets = self._demux()
            return None
        if packet.stream.index == self._audio.index:
            return packet
        if packet.size:
            info = packet.stream.metadata
            picture = (bytes(packet), info.get("title") or info.get("comment") or "")
            self._pictures.setdefault(packet.stream.index, picture)
        return None

    def _mind_short_vorbis(self, first: Any) -> None:
        """Take over the trimming where libavformat cannot: an Ogg Vorbis stream of one page.

        There the first packet, which only primes the decoder, is taken for music, and as much is missing at the end.
        In longer streams its time is negative. The last granule position, exact, is the stream's duration.
        """
        audio = self._audio
        codec = audio.codec_context
        if codec.name != "vorbis" or "ogg" not in self._container.format.name or first.pts != 0:
            return
        if audio.duration and audio.time_base == Fraction(1, codec.sample_rate or 1):
            self._exact_end, self._lead = audio.duration, first.duration
            codec.flags2 |= Flags2.skip_manual

    def _count_damage(self, error: Exception | None) -> None:
        self._bad_packets += 1
        self._bad_in_a_row += 1
        self._after_damage = True
        if self._bad_in_a_row >= _GIVE_UP_AFTER:
            raise InputDamaged(
                f"{self._name} is damaged, and nothing behind the damage can be decoded",
                operation="decoder.read",
                packets=self._bad_packets,
            ) from error

    def _take(self, frame: Any) -> None:
        """Bring a decoded frame to its place in time and convert it."""
        if not frame.samples:
            return
        at = self._place_of(frame)
        if self._seek_to is not None:
            self._decoded = self._seek_to if at is None else at
            self._queue.drop(self._seek_to - self._decoded)
            self._seek_to = None
        elif at is not None and at - self._decoded > (self._jitter if not self._after_damage or self._swings else 0):
            self._fill_gap(at - self._decoded)
        self._after_damage = False
        if self._mp4_end is not None:
            duration = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else None
            self._last = (frame.samples, duration)
        self._decoded += frame.samples
        for block in self._converter.convert(frame):
            self._queue.put(block)

    def _fill_gap(self, gap: int) -> None:
        """Put silence where data is lost, so that what follows stays at its place in time."""
        if not self._after_damage:  # no packet was broken: the demuxer passed over what was
            self._bad_packets += 1
        if gap <= _MAX_GAP_S * self._spec.sample_rate:
            self._gap_frames += gap
            for block in (*self._converter.flush(), np.zeros((gap, self._spec.channels), np.float32)):
                self._queue.put(block)
            self._decoded += gap

    def _place_of(self, frame: Any) -> int | None:
        """The frame's number of its first sample; ``None`` where the container's clock is coarser than that."""
        if self._flac_place is not None:
            return self._flac_place
        base = frame.time_base
        if frame.pts is None or base is None or (base.denominator < self._spec.sample_rate and self._seek_to is None):
            return None
        ticks: int = (frame.pts - self._origin) * base.numerator * self._spec.sample_rate
        place: int = (2 * ticks + base.denominator) // (2 * base.denominator)
        return place

    def _finish(self) -> None:
        """Cut what the container says is padding, and note what is missing."""
        for block in self._converter.flush():
            self._queue.put(block)
        self._queue.release()
        if self._mp4_end is not None:
            self._queue.cut(self._decoded - self._mp4_end.frames(self._decoded, *self._last))
        if self._exact_end is not None:
            self._queue.cut(self._decoded - self._exact_end)
        stated = self._duration_s()
        names = self._container.format.name.split(",")
        if stated is not None and not _SURE_OF_TOTAL.isdisjoint(names):
            missing = round(stated * self._spec.sample_rate) - self._decoded
            self._truncated = max(0, missing)


def make() -> AvDecoder:
    """The entry point's factory."""
    return AvDecoder()


__all__ = ["BATCH", "AvDecoder", "AvDecoderSession", "make"]
