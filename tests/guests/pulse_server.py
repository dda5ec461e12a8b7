"""A PulseAudio server of the test's own, with a null sink whose monitor says what was played."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

SINK = "test"


class PulseServer:
    """A running server.

    Args:
        folder: its runtime folder; a short path.
        rate: of the null sink.
        channels: likewise.
    """

    def __init__(self, folder: Path, rate: int, channels: int) -> None:
        self.rate = rate
        self.channels = channels
        self.environment = {
            "PULSE_SERVER": f"unix:{folder}/native",
            "PULSE_RUNTIME_PATH": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
        }
        modules = [
            f"module-null-sink sink_name={SINK} rate={rate} format=float32le channels={channels}",
            f"module-native-protocol-unix socket={folder}/native auth-anonymous=1",
        ]
        command = ["pulseaudio", "--system=false", "--daemonize=no", "-n", "--exit-idle-time=-1", "--disable-shm=yes"]
        command += [part for module in modules for part in ("-L", module)]
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stderr=self._log,
            stdout=self._log,
        )
        end = time.monotonic() + 20
        while not (folder / "native").exists():
            assert self.process.poll() is None, (folder / "log").read_text("utf-8", "replace")
            assert time.monotonic() < end, "the sound server does not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """May be called again."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    @contextlib.contextmanager
    def recording(self) -> Iterator[Recording]:
        """Write down what the sink plays, from before the body until the end of it."""
        spec = [
            f"--rate={self.rate}",
            f"--channels={self.channels}",
            "--format=float32le",
            "--raw",
            "--latency-msec=20",
        ]
        command = ["parec", f"--device={SINK}.monitor", *spec]
        process = subprocess.Popen(command, env={**os.environ, **self.environment}, stdout=subprocess.PIPE)
        recording = Recording(process, self.channels)
        try:
            recording.wait_for(1)
            yield recording
        finally:
            process.terminate()
            process.wait()
            recording.thread.join()


class Recording:
    """What was heard so far."""

    def __init__(self, process: subprocess.Popen[bytes], channels: int) -> None:
        self._process = process
        self._channels = channels
        self._parts: list[bytes] = []
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def samples(self) -> npt.NDArray[np.float32]:
        """All of it, frames by channels."""
        flat = np.frombuffer(b"".join(self._parts), np.float32)
        whole = len(flat) // self._channels * self._channels
        return flat[:whole].reshape(-1, self._channels)

    def sound(self) -> npt.NDArray[np.float32]:
        """From the first sample that is not silence to the last one."""
        samples = self.samples()
        loud = np.flatnonzero(samples.any(axis=1))
        return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]

    def wait_for(self, frames: int, seconds: float = 20.0) -> None:
        """Until at least so many frames were recorded."""
        end = time.monotonic() + seconds
        while len(self.samples()) < frames:
            assert time.monotonic() < end, "nothing is recorded"
            time.sleep(0.01)

    def wait_for_silence(self, frames: int, seconds: float = 20.0) -> None:
        """Until sound was heard, and then none for so many frames."""
        end = time.monotonic() + seconds
        while True:
            samples = self.samples()
            loud = np.flatnonzero(samples.any(axis=1))
            if len(loud) and len(samples) - loud[-1] > frames:
                return
            assert time.monotonic() < end, "it is never silent"
            time.sleep(0.02)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            while data := os.read(stdout.fileno(), 65536):
                self._parts.append(data)


@contextlib.contextmanager
def pulse_server(rate: int = 44100, channels: int = 2) -> Iterator[PulseServer]:
    """A server that this process and its children use as their own."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder, pytest.MonkeyPatch.context() as patch:
        server = PulseServer(Path(folder), rate, channels)
        try:
            for name, value in server.environment.items():
                if name != "HOME":
                    patch.setenv(name, value)
            yield server
        finally:
            server.stop()


def noise(frames: int, channels: int, seed: int = 1) -> npt.NDArray[np.float32]:
    """White noise below full scale without a silent frame."""
    rng = np.random.default_rng(seed)
    signs = rng.choice(np.array([-1, 1], np.float32), (frames, channels))
    samples: npt.NDArray[np.float32] = rng.uniform(0.001, 0.999, (frames, channels)).astype(np.float32) * signs
    return samples


def in_one_of(tries: int, attempt: Callable[[], None]) -> None:
    """The attempt succeeds at least once: a sound server without a processor loses samples, code does not."""
    for left in reversed(range(tries)):
        try:
            attempt()
        except AssertionError:
            if not left:
                raise
        else:
            return
