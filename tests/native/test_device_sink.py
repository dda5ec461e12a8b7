"""The native device sink on a real sound server: what it is given is what is heard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from pulse_server import SINK, PulseServer, in_one_of, noise, pulse_server

from stellatune_plugins.contract import OutputSinkSession
from stellatune_plugins.errors import OutputFailed, UsageError
from stellatune_plugins.model import AudioSpec, Block, SampleRate
from stellatune_plugins.native import NativeRuntime
from stellatune_plugins.native.device_sink import DeviceSinkSession

pytestmark = [pytest.mark.needs("pulseaudio", "parec"), pytest.mark.realtime]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PulseServer]:
    """At 44.1 kHz, unless the test says otherwise."""
    with pulse_server(getattr(request, "param", 44100)) as running:
        yield running


@pytest.fixture
def sink() -> Iterator[DeviceSinkSession]:
    """A session, closed in the end."""
    session = DeviceSinkSession()
    yield session
    session.close()


def target(**fields: object) -> str:
    """The null sink."""
    return json.dumps({"backend": "pulseaudio", "device": SINK, **fields})


def spec(rate: int, channels: int = 2) -> AudioSpec:
    """Short for one."""
    return AudioSpec(SampleRate(rate), channels)


def write_all(session: OutputSinkSession, block: Block) -> None:
    """In pieces as they are accepted."""
    while len(block):
        block = block[session.write(block) :]


@pytest.mark.parametrize("server", [44100, 48000, 96000], indirect=True)
def test_bit_for_bit(server: PulseServer, sink: DeviceSinkSession) -> None:
    """At each rate: a second and a half of noise in odd blocks comes out as the same floats, and nothing else."""
    music = noise(server.rate * 3 // 2 + 17, 2)

    def attempt() -> None:
        with server.recording() as recording:
            sink.open(target(), spec(server.rate))
            for at in range(0, len(music), 777):
                write_all(sink, music[at : at + 777])
            sink.flush()
            recording.wait_for_silence(server.rate // 20)
        assert np.array_equal(recording.sound(), music)
        statistics = sink.statistics()
        assert statistics is not None
        assert (statistics.underruns, statistics.played, statistics.queued) == (0, len(music), 0)

    in_one_of(4, attempt)


def test_the_list_says_what_there_is(server: PulseServer, sink: DeviceSinkSession) -> None:
    """Every entry is a target, the backend's default first."""
    entries = json.loads(sink.list_targets_json())
    ours = [entry for entry in entries if entry["backend"] == "pulseaudio"]
    assert [entry["device"] for entry in ours] == [None, SINK]
    assert ours[1]["rates"] == [44100]
    for entry in ours:
        sink.open(json.dumps(entry), spec(44100))
        assert sink.status().running
    assert not DeviceSinkSession().status().running


def test_the_devices_own_rate_is_negotiated(server: PulseServer, sink: DeviceSinkSession) -> None:
    """Whoever resamples here does it better than a sound server does."""
    agreed = sink.negotiate_spec(target(), spec(48000))
    assert agreed.spec == spec(44100)
    assert agreed.preferred_chunk == 2205
    assert not agreed.prefer_track_rate
    assert sink.negotiate_spec('{"backend": "pulseaudio"}', spec(96000, 1)).spec == spec(44100, 1)
    with pytest.raises(UsageError):
        sink.negotiate_spec(target(), spec(48000, 9))


def test_the_queue_has_a_limit(server: PulseServer, sink: DeviceSinkSession) -> None:
    """Writing runs ahead of the music by as much as was asked for, and is counted in samples."""
    sink.open(target(queue_ms=200), spec(44100))
    began = time.monotonic()
    write_all(sink, noise(44100, 2))
    assert time.monotonic() - began > 0.5
    assert sink.status().queued_samples <= 2 * 8820
    sink.reset()
    assert sink.status().queued_samples == 0


def test_a_reset_drops_what_was_queued(server: PulseServer, sink: DeviceSinkSession) -> None:
    """What the device had already is heard, the rest is not; what comes next is."""
    old, new = noise(44100, 2, 1), noise(22050, 2, 2)

    def attempt() -> None:
        with server.recording() as recording:
            sink.open(target(queue_ms=2000), spec(44100))
            write_all(sink, old)
            time.sleep(0.3)
            sink.reset()
            write_all(sink, new)
            sink.flush()
            recording.wait_for_silence(44100 // 20)
        sound = recording.sound()
        assert np.array_equal(sound[-len(new) :], new)
        assert len(sound) < len(old) + len(new) - 10000

    in_one_of(4, attempt)


def test_a_queue_that_runs_dry_is_counted(server: PulseServer, sink: DeviceSinkSession) -> None:
    """One underrun, filled with silence, after which the music goes on where it was."""
    music = noise(30000, 2)

    def attempt() -> None:
        with server.recording() as recording:
            sink.open(target(), spec(44100))
            write_all(sink, music[:15000])
            time.sleep(1.0)
            write_all(sink, music[15000:])
            sink.flush()
            recording.wait_for_silence(44100 // 20)
        sound = recording.sound()
        assert np.array_equal(sound[sound.any(axis=1)], music)
        statistics = sink.statistics()
        assert statistics is not None
        assert statistics.underruns == 1

    in_one_of(4, attempt)


def test_several_pieces_are_flushed_one_after_the_other(server: PulseServer, sink: DeviceSinkSession) -> None:
    """However short: flushing releases what is less than the device begins with."""
    pieces = [noise(frames, 2, frames) for frames in (1, 100, 5000)]

    def attempt() -> None:
        with server.recording() as recording:
            sink.open(target(), spec(44100))
            for piece in pieces:
                write_all(sink, piece)
                sink.flush()
            recording.wait_for_silence(44100 // 20)
        sound = recording.sound()
        assert np.array_equal(sound[sound.any(axis=1)], np.concatenate(pieces))
        statistics = sink.statistics()
        assert statistics is not None
        assert statistics.underruns == 0

    in_one_of(4, attempt)


def test_a_server_that_dies_ends_the_sink(server: PulseServer, sink: DeviceSinkSession) -> None:
    """A write and a flush fail instead of waiting for ever; closing works."""
    sink.open(target(), spec(44100))
    write_all(sink, noise(4410, 2))
    server.process.kill()
    server.process.wait()
    began = time.monotonic()
    with pytest.raises(OutputFailed):
        write_all(sink, noise(44100 * 60, 2))
    with pytest.raises(OutputFailed):
        sink.flush()
    assert not sink.status().running
    sink.close()
    sink.close()
    assert time.monotonic() - began < 15


def test_what_is_not_there_is_said_so(server: PulseServer, sink: DeviceSinkSession) -> None:
    """Devices, backends, targets, and writing to nothing."""
    with pytest.raises(OutputFailed, match="no playback device 'other'"):
        sink.open(target(device="other"), spec(44100))
    with pytest.raises(UsageError, match="backend"):
        sink.open('{"backend": "gramophone"}', spec(44100))
    for wrong in ("[]", "{", '{"queue_ms": 0}', '{"device": 7}'):
        with pytest.raises(UsageError):
            sink.open(wrong, spec(44100))
    with pytest.raises(OutputFailed, match="no device is open"):
        sink.write(noise(10, 2))
    sink.flush()
    sink.reset()
    sink.open(target(), spec(44100))
    with pytest.raises(OutputFailed, match="shape"):
        sink.write(noise(10, 3))
    assert sink.write(noise(0, 2)) == 0


def test_the_runtime_finds_it() -> None:
    """By its entry point."""
    assert NativeRuntime().output_sink("dev.stellatune.native.device-sink", "device").create().status().running is False
