"""The documents and the demo: what a stranger meets first."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").glob("*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a document is there."""
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_locks_name_no_place() -> None:
    """The locks pin by hash and name no index, no URL and no path."""
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text("utf-8")
        assert "://" not in text
        assert "--index" not in text
        pins = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
        assert len(pins) == len(set(pins)) > 20
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins)


def test_smaller_locks_are_parts_of_the_larger() -> None:
    """An environment grows from one lock to the next without a version changing."""
    base, test, bench = (
        set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text("utf-8"), re.MULTILINE))
        for name in ("base", "test", "bench")
    )
    assert base < test < bench


def test_the_demo_takes_a_file(tmp_path: Path) -> None:
    """``make demo FILE=...`` sends it through three sandboxed plugins, leaves file and picture, decodes it again."""
    song = tmp_path / "a song.wav"
    t = np.arange(44_100) / 44_100
    sf.write(song, np.sin(2 * np.pi * 330 * t).astype(np.float32)[:, None].repeat(2, axis=1) * 0.9, 44_100)
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--file", str(song), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" wasm ") >= 3
    assert "bypassed" not in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a song.decoded-in-the-sandbox.wav",
        "a song.flac",
        "a song.png",
    ]
    assert re.search(r"sample by sample: all [0-9,]+ are the same", done.stdout)
    assert np.abs(sf.read(tmp_path / "out" / "a song.flac")[0]).max() <= 10 ** (-1 / 20) + 1e-6


def test_the_piece_of_our_own_can_be_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any network there is music: its first bars are stereo, neither silent nor clipped, always as long."""
    spec = importlib.util.spec_from_file_location("compose_demo_music", ROOT / "tools" / "compose_demo_music.py")
    assert spec is not None
    assert spec.loader is not None
    music = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(music)
    assert len(music.BARS) == len(music.MELODY)
    monkeypatch.setattr(music, "BARS", music.BARS[:3])
    piece = music.compose()
    assert piece.shape == (585_369, 2)
    assert np.abs(piece).max() == pytest.approx(10 ** (-1.5 / 20))
    loudness = 20 * np.log10(np.sqrt(np.mean(np.square(piece), axis=0)))
    assert np.all((loudness > -22) & (loudness < -15))
    assert not np.array_equal(piece[:, 0], piece[:, 1])
