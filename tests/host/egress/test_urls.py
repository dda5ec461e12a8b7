"""One reader, one spelling: what was read once is read the same by everybody else."""

from __future__ import annotations

import ast
import urllib.parse
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
import urllib3
from loopback import Listener, Web, response
from net_bench import Bench, case_of

import stellatune_plugins.host as host_folder
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.egress import WebUrl, parse_endpoint, parse_url
from stellatune_plugins.host.egress.hosts import bare, canonical
from stellatune_plugins.host.egress.urls import MAX_URL, join

PIECES = st.sampled_from(
    ["http://", "https://", "HTTP://", "//", "/", "\\", "@", ":", "?", "#", "%", "%2f", "%00", "..", ".", "[", "]",
     "::1", "127.0.0.1", "0x7f", "1", "080", "65535", "a.example", "münchen", "。", "%31", "&", "=", ";", " ", "\t",
     "\r\n", "\0", "ⓐ", "\u00ad", "\u200d", "xn--", "-", "_", "é", "+", "~", "|", "{", '"', "<", "'", "^", "`"]
)  # fmt: skip
URLISH = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40).map(lambda text: f"http://{text}")


def check_refusal(failure: PluginFailure) -> None:
    """It is the guest's fault."""
    assert failure.case == "invalid-arg"


def parsed(text: str) -> WebUrl | None:
    """The URL, or that it is none: any other outcome is a fault."""
    try:
        return parse_url(text)
    except PluginFailure as failure:
        check_refusal(failure)
        return None


@hypothesis.settings(max_examples=400)
@hypothesis.given(URLISH)
def test_what_is_read_once_is_read_the_same_again(text: str) -> None:
    """By us, and by two other readers: same scheme, host and port, and nothing of the path is a host."""
    url = parsed(text)
    if url is None:
        return
    again = str(url)
    assert parse_url(again) == url
    assert again.isascii()
    assert again.isprintable()
    assert " " not in again
    split = urllib.parse.urlsplit(again)
    other = urllib3.util.parse_url(again)
    assert split.username is None
    assert other.auth is None
    assert (split.scheme, split.hostname) == (url.scheme, bare(url.host))
    assert (split.port or {"http": 80, "https": 443}[url.scheme]) == url.port
    assert (other.scheme, other.host) == (url.scheme, url.host)
    assert canonical(url.host) == url.host


@hypothesis.settings(max_examples=400)
@hypothesis.given(URLISH)
def test_a_redirect_leads_to_what_it_says_or_nowhere(location: str) -> None:
    """Joined to where it came from, it is read as strictly, and ends at the same host where it names none."""
    base = WebUrl("http", "base.example", 80, "/a/b?c")
    try:
        url = join(base, location)
    except PluginFailure as failure:
        check_refusal(failure)
        return
    assert parse_url(str(url)) == url
    if "//" not in location:
        assert url.origin == base.origin


@hypothesis.given(st.text(max_size=60))
def test_a_host_is_one_or_none(text: str) -> None:
    """Its canonical spelling is its own, and ASCII."""
    try:
        host = canonical(text)
    except PluginFailure as failure:
        check_refusal(failure)
        return
    assert canonical(host) == host
    assert host.isascii()
    assert host == host.lower()
    assert not set(host) & set("/\\@?#% \t\r\n")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://a.example", WebUrl("http", "a.example", 80, "/")),
        ("http://a.example?b", WebUrl("http", "a.example", 80, "/?b")),
        ("http://a.example?", WebUrl("http", "a.example", 80, "/?")),
        ("HTTPS://A.Example.:8443/B?c=D#e", WebUrl("https", "a.example", 8443, "/B?c=D")),
        ("http://a.example/ä b%20%zz", WebUrl("http", "a.example", 80, "/%C3%A4%20b%20%25zz")),
        ("http://[2606:4700:0:0::1111]:81/", WebUrl("http", "[2606:4700::1111]", 81, "/")),
        ("http://a.example/#?@b", WebUrl("http", "a.example", 80, "/")),
        ("http://a.example/http://127.0.0.1/@x:y", WebUrl("http", "a.example", 80, "/http://127.0.0.1/@x:y")),
    ],
)
def test_spellings(text: str, url: WebUrl) -> None:
    """Each as its one form."""
    assert parse_url(text) == url


def test_messages_keep_secrets() -> None:
    """What a guest put into user information or a query is in no message."""
    for text in ("http://user:hunter2@a.example/", "http://a.example:x/?p=hunter2", "ftp://a/?t=hunter2&u=1"):
        with pytest.raises(PluginFailure) as refused:
            parse_url(text)
        assert "hunter2" not in str(refused.value)


def test_lengths_are_bounded() -> None:
    """Before and after escaping."""
    assert parse_url("http://a.example/" + "x" * (MAX_URL - 17)).target.startswith("/x")
    for text in ("http://a.example/" + "x" * MAX_URL, "http://a.example/" + "ä" * (MAX_URL // 2)):
        with pytest.raises(PluginFailure, match="longer"):
            parse_url(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("a.example:6600", ("a.example", 6600)),
        ("tcp://A.example:6600", ("a.example", 6600)),
        ("TCP://[::1]:1", ("[::1]", 1)),
        ("127.1:65535", ("127.0.0.1", 65535)),
    ],
)
def test_endpoints(text: str, endpoint: tuple[str, int]) -> None:
    """With and without the scheme."""
    assert parse_endpoint(text, "tcp") == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "a.example", "a.example:", ":1", "a:0", "a:65536", "udp://a:1", "tcp:a:1", "a:1/", "a:1?x", "a:1#x", "u@a:1",
     "a b:1", "a:1 ", "::1:1", "[::1]", "[::1]1", "a:1:2", "a\n:1", "a\\b:1", "tcp://tcp://a:1", "x" * 300 + ":1"],
)  # fmt: skip
def test_what_is_no_endpoint(text: str) -> None:
    """``invalid-arg``."""
    assert case_of(lambda: parse_endpoint(text, "tcp")) == "invalid-arg"


def test_the_systems_resolver_is_asked(bench: Bench) -> None:
    """The real one: ``localhost`` is in every hosts file, and local."""
    with Listener(Web(lambda request: response(200, b"[]"))) as listener:
        url = f"http://localhost:{listener.port}"
        assert bench.network(f"local:{url}").http.fetch_json(url) == "[]"
        assert case_of(lambda: bench.network(f"host:{url}").http.fetch_json(url)) == "denied"


def test_there_is_no_other_way_out() -> None:
    """Streams and fetches make no sockets and no HTTP of their own: neither module is so much as imported there."""
    root = Path(next(iter(host_folder.__path__)))
    files = [*root.glob("stream/*.py"), *root.glob("http/*.py"), root / "network.py"]
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in {"socket", "urllib3", "http", "requests", "asyncio", "subprocess"}, (
                    file
                )
                assert name != "urllib.request", file
