"""A decoder reads a real file over HTTP as it does from a disk, breaks and seeks included."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loopback import Files, Listener
from net_bench import Bench

from stellatune_plugins.contract.capabilities import ByteStream
from stellatune_plugins.host.stream import OpenRequest, StreamKind
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import Block, Frames
from stellatune_plugins.native.av_decoder import AvDecoder
from stellatune_plugins.native.streams import FileByteStream

SECONDS = 20


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Bench]:
    """See the class."""
    made = Bench(tmp_path)
    yield made
    made.close()


def decoded(stream: ByteStream, seeks: tuple[int, ...] = ()) -> list[Block]:
    """Ten thousand frames from each of these places, then everything from the start."""
    session = AvDecoder().open(stream, "flac")
    try:
        found = []
        for place in seeks:
            session.seek_ms(place)
            found.append(session.read_pcm(Frames(10_000)).block)
        session.seek_ms(0)
        blocks = []
        while True:
            chunk = session.read_pcm(Frames(20_000))
            blocks.append(chunk.block)
            if chunk.eof:
                return [*found, np.concatenate(blocks)]
    finally:
        session.close()


@pytest.mark.parametrize(("ranges", "breaks"), [(True, None), (True, 200_000), (False, None)])
def test_bit_for_bit(ranges: bool, breaks: int | None, bench: Bench, tmp_path: Path) -> None:
    """By ranges, by ranges on a connection that is cut every 200,000 bytes, and from the start each time."""
    rng = np.random.default_rng(4)
    signal = (rng.standard_normal((SECONDS * 44_100, 2)) * 3000).astype(np.int16)
    path = tmp_path / "music.flac"
    soundfile.write(path, signal, 44_100, subtype="PCM_16")
    places = (3000, 15_000, 500, 19_000, 9000)
    files = Files(path.read_bytes(), ranges=ranges)
    files.break_after = breaks
    with Listener(files) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}", timeouts=HostTimeouts())
        stream = network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=f"{url}/music.flac"))
        remote = decoded(stream, places)
        stream.close()
        assert len(files.requests) > 1
    local = decoded(FileByteStream(path), places)
    assert len(remote) == len(local)
    for theirs, ours in zip(remote, local, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    np.testing.assert_array_equal((remote[-1] * 32768).astype(np.int16), signal)
