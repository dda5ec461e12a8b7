"""The embedding guide's code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Block after block, in a folder with a song in it."""
    monkeypatch.chdir(tmp_path)
    samples = np.random.default_rng(5).uniform(-0.3, 0.3, (48000, 2)).astype(np.float32)
    soundfile.write("song.flac", samples, 48000, subtype="PCM_16")
    text = (ROOT / "docs" / "guide" / "embedding.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    names = {"bundled": ROOT / "src" / "stellatune_plugins" / "bundled"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"embedding.md, block {number}", "exec"), names)  # noqa: S102 - it is our own page
    printed = capsys.readouterr().out
    assert "times real time" in printed
    assert "dev.stellatune.limiter hot" in printed
    assert soundfile.info("out.flac").frames >= 48000
