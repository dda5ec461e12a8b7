"""The device plugin whole: component, sandboxed sidecar, shared-memory ring and a real sound server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pulse_server import SINK, PulseServer, in_one_of, noise, pulse_server

from stellatune_plugins.cli.app import run
from stellatune_plugins.contract import OutputSinkSession
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import AudioSpec, Block, Home, RuntimeRoute, SampleRate
from stellatune_plugins.observe import Event, EventBus
from stellatune_plugins.observe.events import GuestOutput, SidecarExited, SidecarStarted
from stellatune_plugins.package import InstallStore, parse_grant
from stellatune_plugins.package.granting import Grants
from stellatune_plugins.registry.runtime import PluginRuntime

pytestmark = [pytest.mark.needs("pulseaudio", "parec", "bwrap"), pytest.mark.realtime]

PLUGIN = "dev.stellatune.device"
PACKAGE = Path(__file__).parents[2] / "src" / "stellatune_plugins" / "bundled" / PLUGIN
GRANTS = ("sidecar:device", "sidecar-audio:device")


class Stage:
    """A home with the plugin in it, and what happened."""

    def __init__(self, folder: Path) -> None:
        self.bus = EventBus()
        self.home = Home(folder)
        grants = Grants(self.home, self.bus)
        self.installed = InstallStore(self.home.plugins, self.bus, grants=grants).install(PACKAGE)
        self.events: list[Event] = []

    def grant(self, *grants: str) -> None:
        """Allow something, for runtimes to come."""
        Grants(self.home, self.bus).grant(self.installed.manifest, map(parse_grant, grants))

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def sidecar(self) -> int:
        """The process id of the sidecar that was started last."""
        pid: int = self.of(SidecarStarted)[-1].pid
        return pid


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Without grants."""
    return Stage(tmp_path / "home")


@pytest.fixture
def open_sink(stage: Stage) -> Iterator[Callable[[], OutputSinkSession]]:
    """Sessions of the plugin as it is granted now; all of it ends with the test."""
    with stage.bus.recording() as events, PluginRuntime(stage.home, RuntimeRoute.WASM, stage.bus) as runtime:
        stage.events = events
        sessions: list[OutputSinkSession] = []

        def open_one() -> OutputSinkSession:
            sessions.append(runtime.open_sink(PLUGIN).instance)
            return sessions[-1]

        yield open_one
        for session in sessions:
            session.close()
    end = time.monotonic() + 5
    while len(stage.of(SidecarExited)) < len(stage.of(SidecarStarted)) and time.monotonic() < end:
        time.sleep(0.01)
    assert len(stage.of(SidecarExited)) == len(stage.of(SidecarStarted)), "a sidecar is left"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PulseServer]:
    """At 44.1 kHz, unless the test says otherwise."""
    with pulse_server(getattr(request, "param", 44100)) as running:
        yield running


@pytest.fixture
def sink(stage: Stage, server: PulseServer, open_sink: Callable[[], OutputSinkSession]) -> OutputSinkSession:
    """A session with everything granted."""
    stage.grant(*GRANTS)
    return open_sink()


def target(**fields: object) -> str:
    """The null sink, on several lines."""
    return json.dumps({"backend": "pulseaudio", "device": SINK, **fields}, indent=2)


def spec(rate: int, channels: int = 2) -> AudioSpec:
    """Short for one."""
    return AudioSpec(SampleRate(rate), channels)


def write_all(session: OutputSinkSession, block: Block, at_once: int = 4096) -> None:
    """In pieces as they are accepted."""
    while len(block):
        accepted = session.write(block[:at_once])
        assert accepted > 0
        block = block[accepted:]


@pytest.mark.parametrize("server", [44100, 48000, 96000], indirect=True)
def test_bit_for_bit(sink: OutputSinkSession, server: PulseServer) -> None:
    """A second and a half of noise in odd blocks comes out as the same floats, and nothing else."""
    music = noise(server.rate * 3 // 2 + 17, 2)

    def attempt() -> None:
        with server.recording() as recording:
            sink.open(target(), spec(server.rate))
            write_all(sink, music, 1777)
            sink.flush()
            assert sink.status().queued_samples == 0
            recording.wait_for_silence(server.rate // 20)
        assert np.array_equal(recording.sound(), music)

    in_one_of(4, attempt)


def test_a_file_is_played_bit_for_bit(
    stage: Stage, server: PulseServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As a user does it: the sandboxed decoder, the command line, the sandboxed sink."""
    stage.grant(*GRANTS)
    decoder = PACKAGE.with_name("dev.stellatune.flac")
    InstallStore(stage.home.plugins, stage.bus, grants=Grants(stage.home, stage.bus)).install(decoder)
    music = np.round(noise(44100, 2) * np.float32(32767)) / np.float32(32768)
    path = tmp_path / "music.flac"
    soundfile.write(path, music, 44100, subtype="PCM_16")
    command = ["render", str(path), "--runtime", "wasm", "--sink", PLUGIN, "--target", target(), "--json"]

    def attempt() -> None:
        with server.recording() as recording:
            assert run([*command, "--home", str(stage.home.root)]) == 0
            recording.wait_for_silence(44100 // 20)
        report = json.loads(capfd.readouterr().out)["reports"][0]
        assert (report["output"], report["frames_out"]) == (PLUGIN, 44100)
        assert np.array_equal(recording.sound(), music)

    in_one_of(4, attempt)


def test_ctrl_c_stops_the_music(
    stage: Stage, server: PulseServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the middle of a minute of it: the program says so and ends, and so does the sidecar."""
    stage.grant(*GRANTS)
    path = tmp_path / "music.wav"
    soundfile.write(path, noise(60 * 44100, 2), 44100, subtype="FLOAT")
    command = ["render", path, "--runtime", "wasm", "--sink", PLUGIN, "--target", target(), "--home", stage.home.root]
    with server.recording() as recording:
        process = subprocess.Popen(
            [sys.executable, "-m", "stellatune_plugins", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not len(recording.sound()) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert len(recording.sound())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, b""), err
    assert b"error[interrupted]" in err
    assert run(["sidecar", "list", "--json", "--home", str(stage.home.root)]) == 0
    assert json.loads(capfd.readouterr().out)["running"] == []


def test_it_says_what_there_is(sink: OutputSinkSession, stage: Stage, server: PulseServer) -> None:
    """Targets and specs as the native sink gives them, from inside a sandbox."""
    entries = [entry for entry in json.loads(sink.list_targets_json()) if entry["backend"] == "pulseaudio"]
    assert [entry["device"] for entry in entries] == [None, SINK]
    agreed = sink.negotiate_spec(target(period_ms=20), spec(48000, 1))
    assert (agreed.spec, agreed.preferred_chunk, agreed.prefer_track_rate) == (spec(44100, 1), 882, False)
    assert not sink.status().running
    assert stage.of(SidecarStarted)[0].tier == "bubblewrap"
    assert sink.describe_hot_path(spec(44100)) is None


def test_the_queue_has_a_limit_and_can_be_dropped(sink: OutputSinkSession, server: PulseServer) -> None:
    """A writer is slowed down to the music, and a reset leaves nothing of what was queued."""
    music = noise(44100, 2)
    sink.open(target(queue_ms=200), spec(44100))
    began = time.monotonic()
    write_all(sink, music)
    assert time.monotonic() - began > 0.5
    status = sink.status()
    assert status.running
    assert status.queued_samples <= 2 * 8820
    sink.reset()
    assert sink.status().queued_samples == 0
    with server.recording() as recording:
        write_all(sink, music[:10000])
        sink.flush()
        recording.wait_for_silence(44100 // 20)
    assert len(recording.sound())


def test_underruns_are_written_down(sink: OutputSinkSession, stage: Stage, server: PulseServer) -> None:
    """In the plugin's log: nothing else of the interface has a place for them."""
    sink.open(target(), spec(44100))
    write_all(sink, noise(15000, 2))
    end = time.monotonic() + 20
    while time.monotonic() < end and not any("underruns so far" in event.text for event in stage.of(GuestOutput)):
        sink.status()
        time.sleep(0.05)
    assert any("underruns so far" in event.text for event in stage.of(GuestOutput))


def test_without_its_grant_nothing_is_started(stage: Stage, open_sink: Callable[[], OutputSinkSession]) -> None:
    """Every call that would need the sidecar is denied; the session itself is fine."""
    session = open_sink()
    for call in (session.list_targets_json, lambda: session.open("{}", spec(44100))):
        with pytest.raises(PluginFailure) as caught:
            call()
        assert caught.value.case == "denied"
    assert not session.status().running
    session.flush()
    session.reset()
    assert not stage.of(SidecarStarted)


def test_without_sound_it_hears_nothing_of_the_server(
    stage: Stage, server: PulseServer, open_sink: Callable[[], OutputSinkSession]
) -> None:
    """A sidecar that may run but not play does not see the server's socket."""
    stage.grant("sidecar:device")
    session = open_sink()
    assert json.loads(session.list_targets_json()) == []
    with pytest.raises(PluginFailure, match="there is no playback device") as caught:
        session.open(target(), spec(44100))
    assert caught.value.case == "io"


def test_a_sidecar_that_is_killed_is_started_again(sink: OutputSinkSession, stage: Stage, server: PulseServer) -> None:
    """The call that meets it fails at once; the next open plays."""
    sink.open(target(), spec(44100))
    write_all(sink, noise(4410, 2))
    os.kill(stage.sidecar(), signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(PluginFailure) as caught:
        write_all(sink, noise(441000, 2))
    assert caught.value.case == "io"
    assert time.monotonic() - began < 4.0
    with pytest.raises(PluginFailure, match="no device is open"):
        sink.write(noise(10, 2))
    music = noise(20000, 2)
    with server.recording() as recording:
        sink.open(target(), spec(44100))
        write_all(sink, music)
        sink.flush()
        recording.wait_for_silence(44100 // 20)
    assert len(recording.sound())
    assert len(stage.of(SidecarStarted)) == 2


def test_a_server_that_dies_ends_the_sink(sink: OutputSinkSession, server: PulseServer) -> None:
    """Writing fails instead of waiting for ever, and says why."""
    sink.open(target(), spec(44100))
    write_all(sink, noise(4410, 2))
    server.process.kill()
    server.process.wait()
    began = time.monotonic()
    with pytest.raises(PluginFailure) as caught:
        write_all(sink, noise(44100 * 60, 2))
    assert caught.value.case in {"io", "timeout"}
    assert time.monotonic() - began < 14
    assert not sink.status().running


def test_wrong_targets_are_refused(sink: OutputSinkSession, server: PulseServer) -> None:
    """As the guest's, with the case that fits; the session stays usable."""
    for wrong, case in (
        ("[]", "invalid-arg"),
        ("{", "invalid-arg"),
        ('{"queue_ms": 0}', "invalid-arg"),
        ('{"backend": "gramophone"}', "invalid-arg"),
        (target(device='"\\ \u00e9'), "io"),
    ):
        with pytest.raises(PluginFailure) as caught:
            sink.open(wrong, spec(44100))
        assert caught.value.case == case, wrong
    sink.open(target(), spec(44100))
    with pytest.raises(PluginFailure) as caught:
        sink.write(noise(10, 3))
    assert caught.value.case == "invalid-arg"
    assert sink.write(noise(0, 2)) == 0
    assert sink.write(noise(10, 2)) == 10
