"""Nearly four hundred files decode to the very samples that were encoded, as libsndfile gives them."""

from __future__ import annotations

from pathlib import Path

import flac_corpus
import flac_sounds
import numpy as np
import pytest
from flac_oracle import heard
from flac_player import Player

FILES = {
    "levels": 32, "widths": 51, "blocks": 28, "layouts": 30, "rates": 20, "lax": 37, "metadata": 25, "sndfile": 27,
    "ffmpeg": 63, "rare": 79,
}  # fmt: skip
READ_BY_SNDFILE = {8, 16, 24}
REFUSED_BY_SNDFILE = {"ID3 twice"}
SNDFILE_MINDS_THE_END = {"ID3v1 behind", "noise behind"}


def test_corpus_is_as_large_as_it_is_said_to_be() -> None:
    """At least three hundred files, in all groups that there are."""
    assert sum(FILES.values()) >= 300
    assert FILES.keys() == flac_corpus.GROUPS.keys()


@pytest.mark.needs("flac")
@pytest.mark.parametrize("group", FILES)
def test_files_decode_to_what_was_encoded(flac: Player, tmp_path: Path, group: str) -> None:
    """Bit for bit the encoded samples, and what libsndfile reads, without a word of damage."""
    names = set()
    for made in flac_corpus.GROUPS[group](tmp_path):
        names.add(made.name)
        track = flac.decode(made.data)
        assert track.failures == [], made.name
        assert np.array_equal(track.samples, flac_sounds.floats(made.samples, made.bits)), made.name
        if made.bits in READ_BY_SNDFILE and made.name not in REFUSED_BY_SNDFILE:
            theirs = heard(made.data)
            assert theirs.samples is not None, made.name
            assert theirs.refused == (made.name in SNDFILE_MINDS_THE_END), made.name
            known = len(theirs.samples) if theirs.refused else None
            assert np.array_equal(track.samples[:known], theirs.samples), made.name
    assert len(names) == FILES[group]
