"""``stellatune render`` as real processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from stellatune_plugins.cli.app import run as run_here

Run = Callable[..., Any]  # the conftest's Result
Start = Callable[..., "subprocess.Popen[bytes]"]

GAIN = "dev.stellatune.gain"
RATE = 44_100


def write_tone(path: Path, seconds: float = 0.5, channels: int = 2) -> Path:
    """A tone at -6 dBFS."""
    t = np.arange(round(seconds * RATE)) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.repeat(tone[:, None], channels, axis=1), RATE, subtype="PCM_24")
    return path


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Half a second of music."""
    return write_tone(tmp_path / "tone.flac")


@pytest.fixture(scope="module")
def long_silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes that take seconds to render."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    with sf.SoundFile(path, "w", samplerate=RATE, channels=2, subtype="PCM_16") as file:
        block = np.zeros((60 * RATE, 2), np.int16)
        for _ in range(20):
            file.write(block)
    return path


def files(folder: Path) -> list[str]:
    """Everything below a folder, hidden files included."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_one_file(run: Run, tone: Path, tmp_path: Path) -> None:
    """A file becomes a file, the report is on standard output, and standard error is silent."""
    out = tmp_path / "out.wav"
    result = run("render", tone, "-o", out, "--format", "wav24")
    assert (result.code, result.err) == (0, "")
    assert "times real time" in result.out
    before, after = sf.read(tone, dtype="int32")[0], sf.read(out, dtype="int32")[0]
    assert np.array_equal(before, after)


def test_json_has_the_whole_report(run: Run, tone: Path, tmp_path: Path) -> None:
    """The report as data: lengths, levels, speed."""
    result = run("render", tone, "-o", tmp_path / "out.flac", "--json")
    assert result.code == 0
    (report,) = result.json["reports"]
    assert report["frames_in"] == report["frames_out"] == RATE // 2
    assert report["before"]["peak_dbfs"] == pytest.approx(-6.02, abs=0.01)
    assert report["times_real_time"] > 0
    assert result.json["failures"] == []


def test_a_plugin_does_its_work(run: Run, tone: Path, tmp_path: Path) -> None:
    """A WebAssembly gain of -6 dB halves the samples, on the hot path; its configuration may come from a file."""
    assert run("plugin", "install", "gain").code == 0
    config = tmp_path / "gain.json"
    config.write_text(json.dumps({"gain_db": -6.0206, "ramp_ms": 1}))
    out = tmp_path / "out.wav"
    result = run(
        "render", tone, "-o", out, "--format", "wav32f", "--dsp", f"{GAIN}=@{config}", "--runtime", "wasm", "--json"
    )
    assert (result.code, result.err) == (0, "")
    (stage,) = result.json["reports"][0]["stages"]
    assert (stage["plugin"], stage["runtime"], stage["path"], stage["bypasses"]) == (GAIN, "wasm", "hot", [])
    before, after = sf.read(tone)[0], sf.read(out)[0]
    assert np.allclose(after[RATE // 10 :], before[RATE // 10 :] / 2, atol=1e-5)


def test_an_unknown_plugin_fails_before_any_file_is_touched(run: Run, tone: Path, tmp_path: Path) -> None:
    """A mistyped id is one error that names the right one, and there is no output."""
    run("plugin", "install", "gain")
    out = tmp_path / "out"
    result = run("render", tone, "-o", out / "x.flac", "--dsp", "dev.stellatune.gian", "--runtime", "wasm")
    assert result.code == 1
    assert result.err.startswith("error[ability-not-found]: ")
    assert "hint: did you mean dev.stellatune.gain?" in result.err
    assert not out.exists()


def test_a_native_twin_that_is_not_built_is_no_silent_bypass(run: Run, tone: Path, tmp_path: Path) -> None:
    """On the native route a plugin that only WebAssembly has here is an error that names the way, not a no-op."""
    out = tmp_path / "out.flac"
    missing = run("render", tone, "-o", out, "--dsp", GAIN)
    assert (missing.code, missing.err.split(":")[0]) == (1, "error[native-plugin-failed]")
    assert f"`stellatune plugin install {GAIN}`, then pass --runtime wasm" in missing.err
    run("plugin", "install", "gain")
    elsewhere = run("render", tone, "-o", out, "--dsp", GAIN)
    assert elsewhere.code == 1
    assert "pass --runtime hybrid or wasm" in elsewhere.err
    assert not out.exists()
    assert run("render", tone, "-o", out, "--dsp", GAIN, "--runtime", "hybrid").code == 0


def test_a_refused_configuration_names_the_field(run: Run, tone: Path, tmp_path: Path) -> None:
    """A value beyond the schema's range is refused with its name, and there is no output."""
    run("plugin", "install", "gain")
    out = tmp_path / "x.flac"
    result = run("render", tone, "-o", out, "--dsp", f'{GAIN}={{"gain_db": 1000}}', "--runtime", "wasm")
    assert result.code == 1
    assert result.err.startswith("error[config-rejected]: ")
    assert "gain_db" in result.err
    assert not out.exists()


def test_nothing_is_overwritten_without_force(run: Run, tone: Path, tmp_path: Path) -> None:
    """What is there stays, until --force is given."""
    out = tmp_path / "out.flac"
    out.write_text("precious")
    refused = run("render", tone, "-o", out)
    assert (refused.code, refused.err.split(":")[0]) == (1, "error[output-exists]")
    assert out.read_text() == "precious"
    assert run("render", tone, "-o", out, "--force").code == 0
    assert sf.info(out).frames == RATE // 2


def test_a_folder_keeps_its_shape(run: Run, tmp_path: Path) -> None:
    """Folders are rendered in parallel into the same tree; what is no audio is left out."""
    music = tmp_path / "music"
    for name in ("one.wav", "disc 1/two.flac", "disc 1/three.wav"):
        write_tone(music / name, 0.1)
    (music / "cover.txt").write_text("no music")
    result = run("render", music, "-o", tmp_path / "out", "--jobs", "2")
    assert (result.code, result.err) == (0, "")
    assert files(tmp_path / "out") == ["disc 1/three.flac", "disc 1/two.flac", "one.flac"]
    assert "3 of 3 files" in result.out


def test_one_bad_file_does_not_stop_the_others(run: Run, tone: Path, tmp_path: Path) -> None:
    """The good ones are done, the bad one is named, and the exit code is 1."""
    bad = tmp_path / "bad.flac"
    bad.write_bytes(b"this is no music")
    result = run("render", bad, tone, "-o", tmp_path / "out", "--jobs", "2", "--json")
    assert result.code == 1
    assert [r["input"] for r in result.json["reports"]] == [str(tone)]
    assert [f["input"] for f in result.json["failures"]] == [str(bad)]
    assert result.json["error"]["code"] == "input-unreadable"
    assert files(tmp_path / "out") == ["tone.flac"]


def test_a_picture(run: Run, tone: Path, tmp_path: Path) -> None:
    """--plot leaves a PNG beside the result."""
    picture = tmp_path / "picture.png"
    assert run("render", tone, "-o", tmp_path / "out.flac", "--plot", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


def test_another_rate(run: Run, tone: Path, tmp_path: Path) -> None:
    """--rate resamples; the length in seconds stays."""
    out = tmp_path / "out.wav"
    assert run("render", tone, "-o", out, "--rate", "48000").code == 0
    info = sf.info(out)
    assert (info.samplerate, info.frames) == (48_000, 24_000)


@pytest.mark.parametrize(
    "arguments",
    [
        ["IN"],
        ["-o", "OUT"],
        ["IN", "-o", "OUT", "--format", "mp3"],
        ["IN", "-o", "OUT", "--rate", "fast"],
        ["IN", "-o", "OUT", "--jobs", "0"],
        ["IN", "-o", "OUT", "--dsp", "dev.stellatune.gain={broken"],
        ["IN", "-o", "OUT", "--plot", "picture.jpg"],
        ["IN", "-o", "OUT", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(
    tone: Path, tmp_path: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """What can never work is told apart from what failed."""
    places = {"IN": str(tone), "OUT": str(tmp_path / "out.flac")}
    assert run_here(["render", *[places.get(a, a) for a in arguments], "--home", str(tmp_path / "home")]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error[usage]: ")
    assert "hint: " in err
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_stopping_leaves_nothing(
    start: Start, long_silence: Path, tmp_path: Path, sign: signal.Signals, jobs: int
) -> None:
    """Ctrl-C and SIGTERM in the middle: error[interrupted], exit code 1, no file and no half file, no process."""
    out = tmp_path / "out"
    second = tmp_path / "second.flac"
    shutil.copyfile(long_silence, second)
    process = start("render", long_silence, second, "-o", out, "--rate", "192000", "--jobs", str(jobs))
    deadline = time.monotonic() + 30
    while not (out.exists() and files(out)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(sign)
    _, err = process.communicate(timeout=20)
    # CPython ends by the signal itself, after everything else, where the interrupt once passed through its own
    # evaluation of a string (1 of 60 here): nothing of Python can take that note back.
    assert process.returncode in {1, -signal.SIGINT}
    assert err.decode().startswith("error[interrupted]: ")
    assert "Traceback" not in err.decode()
    assert files(out) == []


def test_a_terminal_sees_colours(start: Start, tmp_path: Path) -> None:
    """On a terminal the error is red."""
    ours, theirs = pty.openpty()
    process = start("render", tmp_path / "nothing", "-o", tmp_path / "out", stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    assert process.wait(30) == 1
    assert b"\x1b[1;31merror[input-unreadable]\x1b[0m: " in read_all(ours)


def test_a_terminal_sees_bars(start: Start, tmp_path: Path) -> None:
    """Progress is drawn on standard error where that is a terminal, and standard output stays a pipe's."""
    ours, theirs = pty.openpty()
    inputs = [write_tone(tmp_path / f"{name}.wav", 0.2) for name in ("one", "two")]
    process = start("render", *inputs, "-o", tmp_path / "out", "--jobs", "1", stderr=theirs)
    os.close(theirs)
    seen = read_all(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"2 files" in seen
    assert b"\x1b" not in out


def test_a_pipe_sees_neither(run: Run, tone: Path, tmp_path: Path) -> None:
    """No escape sequence goes into a pipe, whatever TERM says."""
    result = run("render", tone, tmp_path / "bad.flac", "-o", tmp_path / "out")
    assert result.code == 1
    assert "\x1b" not in result.out + result.err


def read_all(terminal: int) -> bytes:
    """Everything that a process writes to a terminal until it has gone."""
    seen = b""
    with contextlib.suppress(OSError):  # what Linux says at the end of a terminal
        while data := os.read(terminal, 65536):
            seen += data
    os.close(terminal)
    return seen
