"""``fetch-json``: what is JSON, how much of it, and what a bomb does (nothing)."""

from __future__ import annotations

import json
import time
import tracemalloc
import zlib
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from loopback import Listener, Web, gzipped, response
from net_bench import Bench, case_of

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.http.body import MAX_BYTES
from stellatune_plugins.host.http.json_text import MAX_NESTING, json_text, nesting
from stellatune_plugins.host.timeouts import HostTimeouts


def fetched(bench: Bench, body: bytes, **headers: str) -> str:
    """What the guest gets of an answer."""
    with Listener(Web(lambda request: response(200, body, **headers))) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}", timeouts=HostTimeouts())
        try:
            return network.http.fetch_json(url)
        finally:
            network.close()


GOOD = [
    "[]",
    "{}",
    "null",
    "true",
    '"x"',
    "0",
    "-1.5e-10",
    " [1,\t2,\r\n3] ",
    '{"a": 1, "a": 2}',
    '{"": [{}]}',
    '"\\ud834\\udd1e \\u0000 \\" \\\\ \\/"',
    '["Björk", "音楽", "🎵"]',
    "[1e400, 123456789012345678901234567890]",
    "[" * MAX_NESTING + "]" * MAX_NESTING,
    '["[[[[[[", "]]]", "\\"[[["]',
]
BAD = [
    b"",
    b"  ",
    b"<html></html>",
    b"[1,]",
    b"{'a': 1}",
    b"[NaN]",
    b"[Infinity]",
    b"[-Infinity]",
    b"nul",
    b"[1] [2]",
    b"[1]x",
    b"[01]",
    b"[.5]",
    b"[5.]",
    b"[+1]",
    b"[1e]",
    b"[0x1]",
    b'["\x01"]',
    b'["\\x"]',
    b'["\\ud800"]',
    b'["\xff"]',
    b'["\xed\xa0\x80"]',
    b'["\xc0\xaf"]',
    b'{"a"}',
    b'{"a":}',
    b"{a: 1}",
    b"[1",
    b'"x',
    b"// x\n[]",
    b"\x00",
    b"[]\x00",
    "[]".encode("utf-16"),
    "[]".encode("utf-16-le"),
    b"\xef\xbb\xbf\xef\xbb\xbf[]",
    b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1),
    b"[" * 2_000_000,
    b'{"a":' * 500_000 + b"1" + b"}" * 500_000,
]


@pytest.mark.parametrize("text", GOOD, ids=lambda text: ascii(text)[:30])
def test_json_is_passed_on_as_it_is(text: str, bench: Bench) -> None:
    """Byte for byte: numbers that no float holds, the order and repetition of keys, odd escapes."""
    assert fetched(bench, text.encode()) == text


@pytest.mark.parametrize("body", BAD, ids=lambda body: ascii(body)[:30])
def test_what_is_no_json_is_refused(body: bytes, bench: Bench) -> None:
    """With ``io``, quickly."""
    start = time.monotonic()
    assert case_of(lambda: fetched(bench, body)) == "io"
    assert time.monotonic() - start < 5.0


def test_a_byte_order_mark_is_dropped(bench: Bench) -> None:
    """One."""
    assert fetched(bench, b"\xef\xbb\xbf[1]") == "[1]"


@pytest.mark.parametrize("kind", ["application/json; charset=iso-8859-1", "text/html", "application/json", ""])
def test_the_content_type_decides_nothing(kind: str, bench: Bench) -> None:
    """Servers name anything; JSON is UTF-8."""
    assert fetched(bench, '["ä"]'.encode(), Content_Type=kind) == '["ä"]'


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@hypothesis.settings(max_examples=50)
@hypothesis.given(_json, st.booleans())
def test_all_json_is_json(value: Any, plain: bool) -> None:
    """Whatever the standard library writes is taken; a text without lone surrogates at least."""
    text = json.dumps(value, ensure_ascii=plain)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    if "\\ud" in text and plain:
        return  # a lone surrogate's escape, perhaps
    assert json_text(body) == text
    assert nesting(body) == _depth(value)


@hypothesis.given(
    st.binary(max_size=60) | st.text(alphabet='[]{}:,"\\ 10eE.-+truefalsn\n', max_size=30).map(str.encode)
)
def test_the_standard_library_agrees(body: bytes) -> None:
    """What we take, Python reads, and the other way round, constants that are no JSON aside."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    try:
        ours = json_text(body)
    except PluginFailure:
        with pytest.raises(ValueError):  # noqa: PT011 - of three kinds, the last for lone surrogates
            json.dumps(json.loads(body.decode("utf-8"), parse_constant=refuse), ensure_ascii=False).encode()
    else:
        json.loads(ours, parse_constant=refuse)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


# --- compression ----------------------------------------------------------------------------------------------------

TEXT = json.dumps([{"title": f"Track {n}"} for n in range(5000)])


def raw_deflate(data: bytes) -> bytes:
    """As some servers send it under the name of deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzipped(TEXT.encode())), ("x-gzip", gzipped(TEXT.encode())), ("GZIP", gzipped(TEXT.encode())),
     ("deflate", zlib.compress(TEXT.encode())), ("deflate", raw_deflate(TEXT.encode())),
     ("identity", TEXT.encode()), ("", TEXT.encode())],
)  # fmt: skip
def test_codings(coding: str, packed: bytes, bench: Bench) -> None:
    """Those that were asked for: gzip, and both kinds of deflate."""
    assert fetched(bench, packed, Content_Encoding=coding) == TEXT


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "exi", "*"])
def test_other_codings_are_refused(coding: str, bench: Bench) -> None:
    """None of them was asked for."""
    assert case_of(lambda: fetched(bench, gzipped(b"[]"), Content_Encoding=coding)) == "unsupported"


@pytest.mark.parametrize(
    "packed",
    [b"no gzip", gzipped(b"[]")[:-1], gzipped(b"[]")[:12], gzipped(b"[]") + b"x", gzipped(b"[]") * 2,
     gzipped(b"[]")[:-8] + b"\0" * 8],
    ids=["garbage", "cut", "cut early", "goes on", "twice", "wrong checksum"],
)  # fmt: skip
def test_broken_compression_is_refused(packed: bytes, bench: Bench) -> None:
    """With ``io``."""
    assert case_of(lambda: fetched(bench, packed, Content_Encoding="gzip")) == "io"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(coding: str, bench: Bench) -> None:
    """128 MiB of spaces in 128 KiB: refused once it is too long, in little memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, (16 if coding == "gzip" else 0) + zlib.MAX_WBITS)
    blank = b" " * 2**20
    bomb = b"".join(packer.compress(blank) for _ in range(128)) + packer.flush()
    tracemalloc.start()
    try:
        assert case_of(lambda: fetched(bench, bomb, Content_Encoding=coding)) == "io"
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_the_cap_is_exact(extra: int, coding: str, bench: Bench) -> None:
    """8 MiB are taken, one byte more is not."""
    body = b'"' + b"x" * (MAX_BYTES - 2 + extra) + b'"'
    sent = gzipped(body, 1) if coding else body
    case = case_of(lambda: fetched(bench, sent, Content_Encoding=coding))
    assert case == ("io" if extra else "ok")


def test_a_length_that_is_too_large_is_refused_at_once(bench: Bench) -> None:
    """Without reading any of it."""
    assert case_of(lambda: fetched(bench, b"[]", Content_Length=str(2**40))) == "io"


def test_an_answer_that_is_cut_off_is_refused(bench: Bench) -> None:
    """Though what came may be JSON."""
    assert case_of(lambda: fetched(bench, b"[]", Content_Length="3")) == "io"


def test_after_close_nothing_is_fetched(bench: Bench) -> None:
    """``io``."""
    network = bench.network("local:http://127.0.0.1:9")
    network.close()
    assert case_of(lambda: network.http.fetch_json("http://127.0.0.1:9/")) == "io"
