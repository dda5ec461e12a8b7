"""A conformance suite for host streams: whoever makes a new kind of stream runs it over theirs.

    @pytest.mark.parametrize("check", stream_checks(MAKER), ids=str)
    def test_conformance(check: StreamCheck) -> None:
        check.run(MAKER)

A check fails by ``AssertionError``, with what it saw.
"""

from __future__ import annotations

import io
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.stream import HostStream

MAX_POSITION: Final = 2**63 - 1


class StreamTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of stream can do."""

    seeks: bool
    sized: bool
    ends: bool = True
    """False for one whose peer cannot say that it is done, such as UDP."""
    read_timeout: float | None = None
    """Seconds after which a read of a silent stream gives up; ``None`` where no stream of the kind is ever silent."""


class StreamMaker(Protocol):
    """Makes streams of one kind for the checks."""

    @property
    def traits(self) -> StreamTraits: ...

    def serving(self, content: bytes) -> AbstractContextManager[HostStream]:
        """A stream of this content. What serves it ends with the context; the check closes the stream or not."""
        ...

    def silent(self) -> AbstractContextManager[HostStream]:
        """A stream that is open and gives nothing; asked for where the traits have a ``read_timeout``."""
        ...


class StreamCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One claim about streams."""

    name: str
    description: str
    run: Callable[[StreamMaker], None]
    applies: Callable[[StreamTraits], bool]

    def __str__(self) -> str:
        return self.name


_CHECKS: list[StreamCheck] = []


def stream_checks(maker: StreamMaker | None = None) -> tuple[StreamCheck, ...]:
    """The checks that apply to what a maker makes, or all."""
    return tuple(check for check in _CHECKS if maker is None or check.applies(maker.traits))


Check = Callable[[StreamMaker], None]


def _check(applies: Callable[[StreamTraits], bool] = lambda _: True) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        name = function.__name__.removeprefix("_").replace("_", "-")
        description = (function.__doc__ or "").strip()
        _CHECKS.append(StreamCheck(name=name, description=description, run=function, applies=applies))
        return function

    return register


def _seeks(traits: StreamTraits) -> bool:
    return traits.seeks


def _only_forward(traits: StreamTraits) -> bool:
    return not traits.seeks


def _waits(traits: StreamTraits) -> bool:
    return traits.read_timeout is not None


# --- reading --------------------------------------------------------------------------------------------------------


@_check()
def _reads_everything(maker: StreamMaker) -> None:
    """Every byte comes once, in order; then a stream that ends gives nothing, again and again."""
    content = _content(300_000)
    with maker.serving(content) as stream:
        got = b"".join(_pieces(stream, len(content), 5000))
        assert got == content, _difference(got, content)
        if maker.traits.ends:
            assert stream.read(1) == b""
            assert stream.read(5000) == b""
        stream.close()


@_check(lambda traits: traits.ends)
def _an_empty_stream_ends_at_once(maker: StreamMaker) -> None:
    """Nothing at all is served: the first read gives nothing, at position 0."""
    with maker.serving(b"") as stream:
        assert stream.read(100) == b""
        assert stream.tell() == 0
        stream.close()


@_check()
def _never_gives_more_than_asked(maker: StreamMaker) -> None:
    """Whatever is asked for, from one byte on, no read gives more, and none gives nothing before the end."""
    content = _content(5000)
    with maker.serving(content) as stream:
        got = b""
        for wanted in (1, 2, 7, 64, 1, 1000, 3):
            data = stream.read(wanted)
            assert 1 <= len(data) <= wanted, f"asked for {wanted}, got {len(data)}"
            got += data
        assert got == content[: len(got)]
        stream.close()


@_check()
def _asking_for_nothing_moves_nothing(maker: StreamMaker) -> None:
    """A read of 0 bytes gives none and loses none."""
    with maker.serving(b"abcdef") as stream:
        assert stream.read(0) == b""
        assert _exactly(stream, 3) == b"abc"
        assert stream.read(0) == b""
        assert stream.tell() == 3
        assert _exactly(stream, 3) == b"def"
        stream.close()


@_check()
def _an_immense_wish_is_no_danger(maker: StreamMaker) -> None:
    """A read of 4 GiB gives something, and takes no such memory to do it."""
    content = _content(100_000)
    with maker.serving(content) as stream:
        data = stream.read(2**32 - 1)
        assert 1 <= len(data) <= len(content)
        assert data == content[: len(data)]
        stream.close()


@_check()
def _tell_counts_what_was_read(maker: StreamMaker) -> None:
    """The position is the number of bytes given so far."""
    content = _content(20_000)
    with maker.serving(content) as stream:
        total = 0
        assert stream.tell() == 0
        for piece in _pieces(stream, len(content), 777):
            total += len(piece)
            assert stream.tell() == total
        stream.close()


@_check()
def _size_is_the_truth_or_unknown(maker: StreamMaker) -> None:
    """A size that is given is that of the content, from the first moment to the end."""
    content = _content(12_345)
    with maker.serving(content) as stream:
        first = stream.size()
        assert first == (len(content) if maker.traits.sized else None)
        for _ in _pieces(stream, len(content), 4096):
            assert stream.size() in {first, len(content)}
        stream.close()


# --- closing --------------------------------------------------------------------------------------------------------


@_check()
def _closing_twice_is_no_error(maker: StreamMaker) -> None:
    """The second close does nothing."""
    with maker.serving(b"abc") as stream:
        stream.close()
        stream.close()


@_check()
def _a_closed_stream_says_so(maker: StreamMaker) -> None:
    """Every method but close answers ``io``."""
    with maker.serving(b"abc") as stream:
        stream.close()
        calls: dict[str, Callable[[], object]] = {
            "read": lambda: stream.read(1),
            "seek": lambda: stream.seek(0),
            "tell": stream.tell,
            "size": stream.size,
        }
        for name, call in calls.items():
            assert _case(call) == "io", f"{name} of a closed stream"


@_check(_waits)
def _close_ends_a_waiting_read(maker: StreamMaker) -> None:
    """Closed from another thread, a read that waits is over at once, with ``io``."""
    with maker.silent() as stream:
        outcome: list[str] = []
        reader = threading.Thread(target=lambda: outcome.append(_case(lambda: stream.read(10))))
        reader.start()
        time.sleep(0.1)
        assert reader.is_alive(), f"the read did not wait: {outcome}"
        start = time.monotonic()
        stream.close()
        reader.join(5.0)
        took = time.monotonic() - start
        assert not reader.is_alive(), "the read is still waiting"
        assert outcome == ["io"], outcome
        assert took < 1.0, f"it took {took:.3f} s"


@_check(_waits)
def _a_silent_stream_times_out(maker: StreamMaker) -> None:
    """A read that gets nothing answers ``timeout`` when its time is over, neither sooner nor much later."""
    timeout = maker.traits.read_timeout
    assert timeout is not None
    with maker.silent() as stream:
        start = time.monotonic()
        assert _case(lambda: stream.read(10)) == "timeout"
        took = time.monotonic() - start
        assert timeout * 0.9 <= took < timeout + 0.5, f"{took:.3f} s instead of {timeout}"
        stream.close()


# --- seeking --------------------------------------------------------------------------------------------------------


@_check(_seeks)
def _seeks_from_start_current_and_end(maker: StreamMaker) -> None:
    """Each gives the new position, and reading goes on there."""
    content = _content(50_000)
    with maker.serving(content) as stream:
        assert stream.seek(1234) == 1234
        assert _exactly(stream, 10) == content[1234:1244]
        assert stream.seek(-44, os.SEEK_CUR) == 1200
        assert _exactly(stream, 10) == content[1200:1210]
        assert stream.seek(-7, os.SEEK_END) == len(content) - 7
        assert stream.tell() == len(content) - 7
        assert _exactly(stream, 7) == content[-7:]
        assert stream.read(1) == b""
        assert stream.seek(0) == 0
        assert _exactly(stream, 100) == content[:100]
        stream.close()


@_check(_seeks)
def _hops_about_like_a_file_in_memory(maker: StreamMaker) -> None:
    """Random seeks and reads give what the same calls on an ``io.BytesIO`` give."""
    content = _content(400_000)
    dice = random.Random(7)
    model = io.BytesIO(content)
    with maker.serving(content) as stream:
        for _ in range(60):
            if dice.random() < 0.6:
                whence = dice.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
                base = {os.SEEK_SET: 0, os.SEEK_CUR: model.tell(), os.SEEK_END: len(content)}[whence]
                goal = dice.randrange(len(content) + 100)
                assert stream.seek(goal - base, whence) == model.seek(goal - base, whence)
            wanted = dice.choice([1, 10, 4096, 70_000])
            assert _exactly(stream, wanted) == model.read(wanted)
            assert stream.tell() == model.tell()
        stream.close()


@_check(_seeks)
def _beyond_the_end_is_nothing(maker: StreamMaker) -> None:
    """A seek past the end is allowed, as in files; reads there give nothing, and the way back is open."""
    with maker.serving(b"abcdef") as stream:
        assert stream.seek(1000) == 1000
        assert stream.read(10) == b""
        assert stream.tell() == 1000
        assert stream.seek(4) == 4
        assert _exactly(stream, 10) == b"ef"
        stream.close()


@_check(_seeks)
def _before_the_start_is_refused(maker: StreamMaker) -> None:
    """``invalid-arg``, and the stream stays where it was; likewise beyond what any file can have, and odd origins."""
    with maker.serving(b"abcdef") as stream:
        assert _exactly(stream, 2) == b"ab"
        for offset, whence in ((-1, 0), (-3, 1), (-7, 2), (MAX_POSITION, 1), (MAX_POSITION + 1, 0), (0, 3), (0, -1)):
            refused = _case(lambda offset=offset, whence=whence: stream.seek(offset, whence))  # type: ignore[misc]
            assert refused == "invalid-arg", f"seek({offset}, {whence}): {refused}"
            assert stream.tell() == 2
        assert _exactly(stream, 2) == b"cd"
        stream.close()


@_check(_only_forward)
def _refuses_to_seek_and_goes_on(maker: StreamMaker) -> None:
    """``unsupported``, wherever to; nothing is lost by asking."""
    with maker.serving(b"abcdef") as stream:
        assert _exactly(stream, 2) == b"ab"
        for offset, whence in ((0, 0), (2, 0), (0, 1), (1, 1), (0, 2)):
            refused = _case(lambda offset=offset, whence=whence: stream.seek(offset, whence))  # type: ignore[misc]
            assert refused == "unsupported", f"seek({offset}, {whence}): {refused}"
        assert _exactly(stream, 4) == b"cdef"
        stream.close()


# --- tools ----------------------------------------------------------------------------------------------------------


def _content(size: int) -> bytes:
    """Bytes that repeat nowhere near, so that a wrong offset shows."""
    return random.Random(size).randbytes(size)


def _pieces(stream: HostStream, total: int, each: int) -> Iterator[bytes]:
    """All bytes, without asking for the end."""
    got = 0
    while got < total:
        piece = stream.read(min(each, total - got))
        assert piece, f"it ended after {got} of {total} bytes"
        got += len(piece)
        yield piece


def _exactly(stream: HostStream, count: int) -> bytes:
    """As many bytes, or what is there before the end."""
    data = b""
    while len(data) < count:
        piece = stream.read(count - len(data))
        if not piece:
            break
        data += piece
    return data


def _case(call: Callable[[], object]) -> str:
    """The case that a call answers with; ``ok`` where it works."""
    try:
        call()
    except PluginFailure as failure:
        return failure.case
    return "ok"


def _difference(got: bytes, wanted: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), min(len(got), len(wanted)))
    return f"{len(got)} bytes instead of {len(wanted)}, different from byte {at} on"
