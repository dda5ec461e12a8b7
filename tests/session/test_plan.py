"""From inputs to jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import InputUnreadable, UsageError
from stellatune_plugins.session import RenderOptions, plan_batch, plan_playing

EXTENSIONS = {"flac", "mp3"}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small music folder with things that are no music."""
    root = tmp_path / "library"
    for name in ("a.flac", "B.MP3", "cd1/x.flac", "cd2/x.flac", "cover.jpg", ".hidden.flac", ".trash/y.flac"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def places(plan: Any, out: Path) -> dict[str, str]:
    """Input's name below its folder to output's below ``out``."""
    return {Path(job.input).name: str(Path(job.output).relative_to(out)) for job in plan.jobs}


def test_one_file_goes_where_it_is_told(library: Path, tmp_path: Path) -> None:
    """To the name itself, or into a folder under its own name."""
    source = library / "a.flac"
    assert plan_batch([source], tmp_path / "o.wav", extensions=EXTENSIONS).jobs[0].output == str(tmp_path / "o.wav")
    for folder in (str(tmp_path) + os.sep, tmp_path):
        assert plan_batch([source], folder, extensions=EXTENSIONS).jobs[0].output == str(tmp_path / "a.flac")


def test_a_folder_keeps_its_structure(library: Path, tmp_path: Path) -> None:
    """Audio files alone, hidden ones left out, the format's ending on each."""
    out = tmp_path / "out"
    plan = plan_batch([library], out, extensions=EXTENSIONS, options=RenderOptions(format="opus"))
    assert [str(Path(job.output).relative_to(out)) for job in plan.jobs] == [
        "B.opus", "a.opus", "cd1/x.opus", "cd2/x.opus",
    ]  # fmt: skip


def test_several_inputs_keep_their_folders_names(library: Path, tmp_path: Path) -> None:
    """So that equal names in two folders do not meet."""
    out = tmp_path / "out"
    plan = plan_batch([library / "cd1", library / "cd2", library / "a.flac"], out, extensions=EXTENSIONS)
    assert [str(Path(job.output).relative_to(out)) for job in plan.jobs] == ["cd1/x.flac", "cd2/x.flac", "a.flac"]


def test_an_output_folder_inside_the_input_is_left_out(library: Path) -> None:
    """A second run does not render the first one's results."""
    (library / "out").mkdir()
    (library / "out" / "a.flac").write_text("")
    plan = plan_batch([library / "cd1", library], library / "out", extensions=EXTENSIONS)
    assert not [job for job in plan.jobs if "/out/" in job.input]


@pytest.mark.parametrize("names", [("a.flac", "a.mp3"), ("A.flac", "a.mp3"), ("\u00e9.flac", "e\u0301.mp3")])
def test_two_inputs_for_one_output_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """Also where only some file systems take the names for one; both inputs are named."""
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match="would both go to") as caught:
        plan_batch([tmp_path / name for name in names], tmp_path / "out", extensions=EXTENSIONS)
    assert all(name in caught.value.message for name in names)


def test_an_output_that_is_an_input_is_refused(library: Path) -> None:
    """Rendering a folder onto itself would eat it."""
    with pytest.raises(UsageError, match="is an input itself"):
        plan_batch([library / "a.flac", library / "B.MP3"], library, extensions=EXTENSIONS)


def test_what_is_not_there_or_has_no_audio_is_unreadable(library: Path, tmp_path: Path) -> None:
    """Before any process is started."""
    (tmp_path / "empty").mkdir()
    for path in (library / "missing.flac", tmp_path / "empty"):
        with pytest.raises(InputUnreadable):
            plan_batch([path], tmp_path / "out", extensions=EXTENSIONS)


def test_nonsense_is_refused(library: Path, tmp_path: Path) -> None:
    """No inputs at all; several inputs into one file."""
    (tmp_path / "file").write_text("")
    for inputs in ([], [library / "a.flac", library / "cd1" / "x.flac"]):
        with pytest.raises(UsageError):
            plan_batch(inputs, tmp_path / "file", extensions=EXTENSIONS)


def test_the_same_input_twice_is_one_output_twice(library: Path, tmp_path: Path) -> None:
    """Naming a file twice is no collision of two inputs, and makes one job."""
    plan = plan_batch([library / "a.flac", library / "a.flac"], tmp_path / "out", extensions=EXTENSIONS)
    assert len(plan.jobs) == 1


def test_what_is_played_comes_in_order(library: Path) -> None:
    """Files as they were named, a folder's by name; every job knows the target, and none is a file's."""
    plan = plan_playing(
        [str(library / "B.MP3"), str(library)], sink="sink", target_json='{"a": 1}', extensions=EXTENSIONS
    )
    names = [str(Path(job.input).relative_to(library)) for job in plan.jobs]
    assert names == ["B.MP3", "B.MP3", "a.flac", "cd1/x.flac", "cd2/x.flac"]
    assert {(job.output, job.target, job.item) for job in plan.jobs} == {("sink", '{"a": 1}', None)}


def test_a_sources_tracks_are_played_as_they_are_named() -> None:
    """Not as paths."""
    plan = plan_playing(["x:track/2", '{"id": 1, "title": "One"}'], sink="sink", items=True)
    assert [(job.input, job.item) for job in plan.jobs] == [
        ("x:track/2", "x:track/2"),
        ("One", '{"id": 1, "title": "One"}'),
    ]
    assert {(job.output, job.target) for job in plan.jobs} == {("sink", "{}")}


def test_nothing_to_play_is_an_error(library: Path, tmp_path: Path) -> None:
    """No input, one that is not there, a folder without music."""
    with pytest.raises(UsageError):
        plan_playing([], sink="sink")
    for missing in (tmp_path / "none", library / ".trash"):
        with pytest.raises(InputUnreadable):
            plan_playing([str(missing)], sink="sink")
