"""A stream that only goes forward, read as if it did not."""

from __future__ import annotations

import io

import pytest
from host_fakes import MemoryStream
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.session import spool
from stellatune_plugins.session.spool import SpooledStream, rewindable, seekable

DATA = bytes(n % 251 for n in range(300))


def _forward(data: bytes = DATA) -> MemoryStream:
    return MemoryStream(data, size_known=False, seekable=False)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 120)),
        st.tuples(st.just("set"), st.integers(0, 350)),
        st.tuples(st.just("cur"), st.integers(-100, 100)),
    ),
    max_size=30,
)


@given(STEPS, st.integers(1, 400))
def test_it_reads_as_a_file_would(steps: list[tuple[str, int]], memory: int) -> None:
    """Whatever is read and sought in whatever order, in memory or in the file behind it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "MEMORY_BYTES", memory)
        stream, file = SpooledStream(_forward()), io.BytesIO(DATA)
        for step, value in steps:
            if step == "read":
                assert stream.read(value) == _as_given(file, value, stream)
            else:
                target = value if step == "set" else file.tell() + value
                if target < 0:
                    with pytest.raises(PluginFailure):
                        stream.seek(value, 0 if step == "set" else 1)
                    continue
                assert stream.seek(value, 0 if step == "set" else 1) == file.seek(target)
            assert stream.tell() == file.tell()
        stream.close()


def _as_given(file: io.BytesIO, value: int, stream: SpooledStream) -> bytes:
    """What a file gives, cut where the spool's read stopped: a stream may give less than it was asked for."""
    before = stream.tell()
    data = file.read(value)
    # The spool has moved already: what it gave is the difference, and never nothing before the end.
    start = file.tell() - len(data)
    given_bytes = before - start
    assert given_bytes > 0 or not data
    file.seek(start + given_bytes)
    return data[:given_bytes]


def test_a_stream_that_seeks_is_left_alone() -> None:
    """And stands where it stood."""
    stream = MemoryStream(DATA)
    stream.seek(10)
    assert seekable(stream)
    assert rewindable(stream) is stream
    assert stream.tell() == 10


def test_one_that_does_not_is_kept() -> None:
    """What was read once is not read again."""
    below = _forward()
    stream = rewindable(below)
    assert isinstance(stream, SpooledStream)
    assert stream.read(100) == DATA[:100]
    reads = len([line for line in below.log if line.startswith("read")])
    assert stream.seek(0) == 0
    assert stream.read(100) == DATA[:100]
    assert len([line for line in below.log if line.startswith("read")]) == reads
    stream.close()
    assert below.closes == 1


def test_the_end_is_not_looked_for() -> None:
    """A decoder that looks for a tag at the end must not download the track; once it is known, it may."""
    stream = SpooledStream(_forward())
    with pytest.raises(PluginFailure) as caught:
        stream.seek(-10, 2)
    assert caught.value.case == "unsupported"
    assert stream.size() is None
    while stream.read(64):
        pass
    assert stream.size() == 300
    assert stream.seek(-10, 2) == 290
    assert stream.read(64) == DATA[-10:]
    stream.close()


def test_where_it_begins_is_where_the_stream_stood() -> None:
    """What a source had read before is not part of the track."""
    below = _forward()
    below.read(50)
    below.size_known = True
    stream = SpooledStream(below)
    assert (stream.tell(), stream.size()) == (0, 250)
    assert stream.read(10) == DATA[50:60]
    assert stream.seek(0) == 0
    assert stream.read(10) == DATA[50:60]
    with pytest.raises(PluginFailure):
        stream.seek(-1)
    assert stream.seek(-10, 2) == 240
    assert stream.read(20) == DATA[-10:]
    stream.close()


def test_an_endless_stream_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a point on it only goes forward."""
    monkeypatch.setattr(spool, "MAX_BYTES", 128)
    stream = SpooledStream(_forward())
    stream.read(100)
    stream.seek(0)
    got = b""
    while data := stream.read(64):
        got += data
    assert got == DATA
    with pytest.raises(PluginFailure) as caught:
        stream.seek(0)
    assert caught.value.case == "unsupported"
    stream.close()
