"""Sources, decoders, lyrics and sinks of both runtimes, as a user reaches them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from host_fakes import rawf
from world_packages import world_package

from stellatune_plugins.cli.app import run as run_here
from stellatune_plugins.model import AbilityKind
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import InstallStore

SOURCE, DECODER, SINK = "org.example.source", "org.example.decoder", "org.example.sink"
MUSIC = np.random.default_rng(5).uniform(-0.5, 0.5, (4_000, 2)).astype(np.float32)

Command = Callable[..., Any]


@pytest.fixture
def stellatune(home: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process: its output as text, or as data with ``--json``; ``code`` is what is expected."""

    def run(*arguments: str | Path, code: int = 0) -> Any:
        got = run_here([*map(str, arguments), "--home", str(home)])
        out, err = capfd.readouterr()
        assert got == code, err
        return json.loads(out) if "--json" in arguments else out + err

    return run


@pytest.fixture
def install(home: Path, tmp_path: Path) -> Command:
    """Installs an actor, with nothing granted."""

    def install(kind: AbilityKind, plugin: str, part: str = "", **how: Any) -> None:
        InstallStore(home / "plugins", EventBus()).install(world_package(tmp_path, kind, plugin, part=part, **how))

    return install


def _written(frames: int) -> np.ndarray:
    """What ``source_actor.c`` puts into a stream ``rN``."""
    return (np.arange(2 * frames) % 1000 / 1000).astype(np.float32).reshape(frames, 2)


# --- source -----------------------------------------------------------------------------------------------------------


def test_a_source_is_browsed(install: Command, stellatune: Command) -> None:
    """As data with everything, as a table with what a person needs; nothing of the plugin's steers the terminal."""
    install(AbilityKind.SOURCE, SOURCE)
    page = stellatune("source", "browse", SOURCE, "--json")
    assert page["plugin"] == SOURCE
    assert [item["id"] for item in page["items"]] == ["f", "1", "2"]
    assert page["items"][1]["track"] == "r500"
    assert (page["total"], page["next_offset"], page["left_out"]) == (9, 4, 1)
    text = stellatune("source", "browse", SOURCE)
    assert "A folder" in text
    assert "1:01" in text
    assert "actor:r700" in text
    assert "--offset 4" in text
    assert "\x1b" not in text


def test_a_source_is_searched(install: Command, stellatune: Command) -> None:
    """By text."""
    install(AbilityKind.SOURCE, SOURCE)
    assert len(stellatune("source", "search", SOURCE, "a text", "--limit", "5", "--json")["items"]) == 3


def test_a_source_that_answers_nonsense_is_an_error(install: Command, stellatune: Command) -> None:
    """Said in words."""
    install(AbilityKind.SOURCE, SOURCE, "list:garbage")
    assert stellatune("source", "browse", SOURCE, "--json", code=1)["error"]["code"] == "guest-contract"
    assert (
        stellatune("source", "browse", "org.example.nobody", "--json", code=1)["error"]["code"] == "ability-not-found"
    )
    assert "error[usage]" in stellatune("source", "browse", SOURCE, "--limit", "0", code=2)


def test_tracks_of_a_source_are_rendered(install: Command, stellatune: Command, tmp_path: Path) -> None:
    """A wasm source gives the bytes, a wasm decoder the samples, and the file has every one of them."""
    install(AbilityKind.SOURCE, SOURCE)
    install(AbilityKind.DECODER, DECODER, scores={"rawf": 50})
    out = tmp_path / "out"
    report = stellatune(
        "render", "actor:r9000", '"r500"', "--source", SOURCE, "--runtime", "wasm", "-o", f"{out}/",
        "--format", "wav32f", "--jobs", "1", "--json",
    )  # fmt: skip
    assert [r["input"] for r in report["reports"]] == ["actor:r9000", "r500"]
    for name, frames in (("01 actor_r9000.wav", 9000), ("02 r500.wav", 500)):
        samples, rate = soundfile.read(out / name, dtype="float32")
        assert rate == 48_000
        np.testing.assert_array_equal(samples, _written(frames))


def test_a_stream_that_is_handed_through_is_rendered(install: Command, stellatune: Command, tmp_path: Path) -> None:
    """A file of the package, opened by the host for the source, decoded by another plugin."""
    install(AbilityKind.SOURCE, SOURCE, files={"track.bin": rawf(MUSIC)})
    install(AbilityKind.DECODER, DECODER, scores={"raw": 50})
    out = tmp_path / "out.wav"
    stellatune("render", "actor:p", "--source", SOURCE, "--runtime", "wasm", "-o", out, "--format", "wav32f")
    np.testing.assert_array_equal(soundfile.read(out, dtype="float32")[0], MUSIC)


def test_parallel_renders_open_the_source_each(install: Command, run: Any, tmp_path: Path) -> None:
    """Worker processes make what they need from plain data."""
    install(AbilityKind.SOURCE, SOURCE)
    install(AbilityKind.DECODER, DECODER, scores={"rawf": 50})
    done = run(
        "render", "actor:r100", "actor:r200", "--source", SOURCE, "--decoder", DECODER, "--runtime", "wasm",
        "-o", tmp_path / "out", "--format", "wav32f", "--jobs", "2",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["01 actor_r100.wav", "02 actor_r200.wav"]


def test_a_track_that_cannot_be_opened_fails_alone(install: Command, stellatune: Command, tmp_path: Path) -> None:
    """The source's answer is the render's error; the others go on, and no half file is left."""
    install(AbilityKind.SOURCE, SOURCE)
    install(AbilityKind.DECODER, DECODER, scores={"rawf": 50})
    out = tmp_path / "out"
    report = stellatune(
        "render", "actor:e", "actor:r100", "--source", SOURCE, "--runtime", "wasm", "-o", f"{out}/", "--jobs", "1",
        "--json", code=1,
    )  # fmt: skip
    (failure,) = report["failures"]
    assert failure["input"] == "actor:e"
    assert failure["error"]["plugin"] == SOURCE
    assert [p.name for p in out.iterdir()] == ["02 actor_r100.flac"]


@pytest.mark.parametrize("part", ["next:fails", "next:trap", "next:many"])
def test_a_stream_that_breaks_fails_the_render(
    install: Command, stellatune: Command, tmp_path: Path, part: str
) -> None:
    """Whether it answers, crashes or lies: one error, no file."""
    install(AbilityKind.SOURCE, SOURCE, part)
    install(AbilityKind.DECODER, DECODER, scores={"rawf": 50})
    out = tmp_path / "out.wav"
    stellatune("render", "actor:r9000", "--source", SOURCE, "--runtime", "wasm", "-o", out, code=1)
    assert list(tmp_path.glob("out*")) == []


# --- decoder ----------------------------------------------------------------------------------------------------------


def test_a_wasm_decoder_plays_a_file(install: Command, stellatune: Command, tmp_path: Path) -> None:
    """By extension, and one that fails to open gives way."""
    install(AbilityKind.DECODER, "org.example.broken", "open:trap", scores={"rawf": 90})
    install(AbilityKind.DECODER, DECODER, scores={"rawf": 50})
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.rawf").write_bytes(rawf(MUSIC))
    (tmp_path / "music" / "a.txt").write_text("no music")
    stellatune(
        "render", tmp_path / "music", "--runtime", "wasm", "-o", tmp_path / "out", "--format", "wav32f", "--jobs", "1"
    )
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.wav"]
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out" / "a.wav", dtype="float32")[0], MUSIC)


def test_a_named_decoder_is_taken(install: Command, stellatune: Command, tmp_path: Path) -> None:
    """Whatever the file is called; on a route that reaches it."""
    install(AbilityKind.DECODER, DECODER, scores={})
    track = tmp_path / "a.mp3"
    track.write_bytes(rawf(MUSIC))
    out = tmp_path / "out.wav"
    arguments = ("render", track, "--decoder", f"{DECODER}={{}}", "-o", out, "--format", "wav32f")
    assert "--runtime" in stellatune(*arguments, code=1)
    stellatune(*arguments, "--runtime", "hybrid")
    np.testing.assert_array_equal(soundfile.read(out, dtype="float32")[0], MUSIC)


def test_samples_that_are_no_numbers_are_a_warning(install: Command, stellatune: Command, tmp_path: Path) -> None:
    """They are silence in the file."""
    install(AbilityKind.DECODER, DECODER, "read:nan", scores={"rawf": 50})
    (tmp_path / "a.rawf").write_bytes(rawf(MUSIC))
    report = stellatune("render", tmp_path / "a.rawf", "--runtime", "wasm", "-o", tmp_path / "a.wav", "--json")
    assert any("no numbers" in warning for warning in report["reports"][0]["warnings"])


# --- lyrics -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """A track with lyrics beside it."""
    path = tmp_path / "song.wav"
    soundfile.write(path, MUSIC, 48_000)
    path.with_suffix(".lrc").write_text("[00:01.50]la \x1b[31mla\n[00:00.50]first\n")
    return path


def test_lyrics_beside_a_track_are_printed(stellatune: Command, track: Path) -> None:
    """As they are for a person, as times and lines for a program."""
    text = stellatune("lyrics", track)
    assert "[00:00.50]first" in text
    assert "\x1b" not in text
    data = stellatune("lyrics", track, "--json")
    assert data["synchronised"] is True
    assert [line["at_ms"] for line in data["lines"]] == [500, 1500]
    assert data["chosen"] == data["candidates"][0]


def test_a_track_without_lyrics_says_who_to_ask(stellatune: Command, track: Path) -> None:
    """One error with a hint."""
    track.with_suffix(".lrc").unlink()
    text = stellatune("lyrics", track, code=1)
    assert "not-found" in text
    assert "--provider" in text


def test_a_providers_refusal_is_shown(install: Command, stellatune: Command, track: Path) -> None:
    """This one was granted nothing, so it cannot search; what would allow it is said."""
    install(AbilityKind.LYRICS, "org.example.lyrics")
    error = stellatune("lyrics", track, "--provider", "org.example.lyrics", "--json", code=1)["error"]
    assert (error["plugin"], error["details"]["case"]) == ("org.example.lyrics", "denied")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--search", "x"], ["FILE", "--pick", "0"], ["FILE", "--pick", "9"], ["--provider", "x=["]],
    ids=lambda a: " ".join(a) or "nothing",
)
def test_wrong_usage_of_lyrics(stellatune: Command, track: Path, arguments: list[str]) -> None:
    """Is told as such."""
    assert "error[usage]" in stellatune("lyrics", *[str(track) if a == "FILE" else a for a in arguments], code=2)


# --- devices ----------------------------------------------------------------------------------------------------------


def test_targets_of_every_sink_are_listed(install: Command, stellatune: Command) -> None:
    """Of both runtimes; one that fails is shown as such and stops nothing."""
    install(AbilityKind.OUTPUT_SINK, SINK)
    install(AbilityKind.OUTPUT_SINK, "org.example.broken", "targets:trap")
    sinks = {entry["plugin"]: entry for entry in stellatune("devices", "--json")["sinks"]}
    assert sinks[SINK]["targets"] == [{"id": "memory", "name": "Memory"}]
    assert sinks["org.example.broken"]["error"]["code"] == "guest-trap"
    assert sinks["dev.stellatune.native.file-sink"]["targets"]
    text = stellatune("devices")
    assert "Memory" in text
    assert "org.example.broken" in text


def test_one_sinks_targets_are_listed(install: Command, stellatune: Command) -> None:
    """Then its failure is the command's."""
    install(AbilityKind.OUTPUT_SINK, SINK)
    install(AbilityKind.OUTPUT_SINK, "org.example.broken", "targets:garbage")
    assert [entry["plugin"] for entry in stellatune("devices", "--sink", SINK, "--json")["sinks"]] == [SINK]
    assert stellatune("devices", "--sink", "org.example.broken", "--json", code=1)["error"]["code"] == "guest-contract"


# --- playing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """As many frames as ``sink_actor.c`` holds, at a rate that it does not take."""
    path = tmp_path / "short.wav"
    soundfile.write(path, MUSIC[:100], 96_000, subtype="FLOAT")
    return path


def test_files_are_played_to_a_sink(install: Command, stellatune: Command, short: Path, tmp_path: Path) -> None:
    """One after the other, at the rate that the sink agreed to; no file is made."""
    install(AbilityKind.OUTPUT_SINK, SINK)
    before = sorted(tmp_path.iterdir())
    command = ("render", short, short, "--sink", SINK, "--runtime", "wasm", "--target", '{"id": "memory"}')
    reports = stellatune(*command, "--json")["reports"]
    assert [(r["output"], r["frames_in"], r["output_spec"]["sample_rate"]) for r in reports] == [
        (SINK, 100, 48_000)
    ] * 2
    assert [warning.split(":")[0] for r in reports for warning in r["warnings"]] == ["resampled to 48000 Hz"] * 2
    assert "2 of 2 files" in stellatune(*command)
    assert sorted(tmp_path.iterdir()) == sorted({*before, tmp_path / "home"})


def test_a_rate_that_the_sink_does_not_take_is_an_error(install: Command, stellatune: Command, short: Path) -> None:
    """Where it was asked for; the one that it takes is said."""
    install(AbilityKind.OUTPUT_SINK, SINK)
    text = stellatune("render", short, "--sink", SINK, "--runtime", "wasm", "--rate", "96000", code=2)
    assert "the target does not play 96000 Hz" in text
    assert "48000 Hz is the nearest" in text


def test_a_sink_that_refuses_is_an_error(install: Command, stellatune: Command, short: Path) -> None:
    """Its own words are shown, with its name."""
    install(AbilityKind.OUTPUT_SINK, SINK, "open:refuse")
    failed = stellatune("render", short, "--sink", SINK, "--runtime", "wasm", "--json", code=1)
    assert (failed["error"]["plugin"], failed["error"]["code"]) == (SINK, "plugin-error")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-o", "x.wav", "--sink", SINK],
        ["-o", "x.wav", "--target", "{}"],
        ["--sink", SINK, "--target", "{"],
        ["--sink", SINK, "--target", "[]"],
        ["--sink", SINK, "--format", "wav"],
        ["--sink", SINK, "--jobs", "2"],
        ["--sink", SINK, "--plot", "x.png"],
        ["--sink", SINK, "--force"],
    ],
    ids=lambda options: " ".join(options) or "neither",
)
def test_wrong_usage_of_playing(stellatune: Command, short: Path, options: list[str]) -> None:
    """Is told as such, before anything is loaded."""
    assert "error[usage]" in stellatune("render", short, *options, code=2)
