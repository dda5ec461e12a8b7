"""Requests and redirects: who gets which credentials, what is followed, what is sent."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Self

import pytest
from loopback import Authority, Listener, Request, Web, response
from net_bench import Bench, Detour, Names, case_of

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Cancel, Deadline
from stellatune_plugins.host.egress import Wire
from stellatune_plugins.host.stream import HttpMethod, OpenRequest, StreamKind

NAMES = {"one.example": ["1.1.1.1"], "two.example": ["1.1.1.2"], "three.example": ["1.1.1.3"]}
SECRETS = (
    ("Authorization", "Basic c2VjcmV0"),
    ("Cookie", "session=secret"),
    ("X-Api-Key", "secret"),
    ("X-Emby-Token", "secret"),
    ("Private-Token", "secret"),
)
HARMLESS = (("Accept-Language", "de"), ("User-Agent", "player/1"), ("Icy-MetaData", "1"))


class Sites:
    """Web sites by name behind one port, reached by way of public addresses."""

    def __init__(self, bench: Bench, *grants: str, **sites: Callable[[Request], bytes]) -> None:
        self._sites = sites
        self.web = Web(self._answer)
        self.listener = Listener(self.web)
        self.names = Names({name: list(found) for name, found in NAMES.items()})
        self.detour = Detour(self.listener.port)
        wide = grants or ("host:http://*", "host:http://*:8080")
        self.network = bench.network(*wide, resolver=self.names, connector=self.detour)

    def _answer(self, request: Request) -> bytes:
        name = request.headers["host"].partition(".")[0]
        return self._sites[name](request)

    def get(self, url: str, **fields: object) -> bytes:
        stream = self.network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=url, **fields))  # type: ignore[arg-type]
        try:
            return stream.read(10_000)
        finally:
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.network.close()
        self.listener.stop()


def to(location: str, status: int = 302) -> Callable[[Request], bytes]:
    """A site that only sends on."""
    return lambda request: response(status, Location=location)


def ok(request: Request) -> bytes:
    """A site that is content."""
    return response(200, request.method.encode())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay_at_home(status: int, bench: Bench) -> None:
    """Another origin sees none, whatever their header is called; harmless headers go along."""
    with Sites(bench, one=to("http://two.example/x", status), two=ok) as sites:
        assert sites.get("http://one.example/", headers=(*SECRETS, *HARMLESS)) == b"GET"
        first, second = sites.web.requests
        for name, value in SECRETS:
            assert first.headers[name.lower()] == value
            assert name.lower() not in second.headers
        for name, value in HARMLESS:
            assert second.headers[name.lower()] == value
        assert second.headers["host"] == "two.example"


def test_credentials_do_not_come_back(bench: Bench) -> None:
    """Once dropped they stay dropped: the second site could have named any page of the first."""
    pages = {"/": to("http://two.example/"), "/back": ok}
    with Sites(bench, one=lambda r: pages[r.target](r), two=to("http://one.example/back")) as sites:
        assert sites.get("http://one.example/", headers=SECRETS) == b"GET"
        assert "authorization" not in sites.web.requests[-1].headers


def test_another_port_is_another_origin(bench: Bench) -> None:
    """Of the same name, too."""
    pages = {"/": to("http://one.example:8080/next"), "/next": ok}
    with Sites(bench, one=lambda r: pages[r.target](r)) as sites:
        assert sites.get("http://one.example/", headers=SECRETS) == b"GET"
        assert "x-api-key" not in sites.web.requests[-1].headers
        assert sites.web.requests[-1].headers["host"] == "one.example:8080"


def test_credentials_go_along_within_an_origin(bench: Bench) -> None:
    """A relative redirect keeps them."""
    pages = {"/a/b": to("../c?d=1"), "/c?d=1": ok}
    with Sites(bench, one=lambda r: pages[r.target](r)) as sites:
        assert sites.get("http://one.example/a/b", headers=SECRETS) == b"GET"
        assert sites.web.requests[-1].headers["authorization"] == "Basic c2VjcmV0"


def test_five_redirects_are_followed_and_six_are_not(bench: Bench) -> None:
    """Counted, not timed."""

    def countdown(request: Request) -> bytes:
        left = int(request.target[1:])
        return to(f"/{left - 1}")(request) if left else ok(request)

    with Sites(bench, one=countdown) as sites:
        assert sites.get("http://one.example/5") == b"GET"
        with pytest.raises(PluginFailure, match="more than 5 redirects"):
            sites.get("http://one.example/6")
        assert len(sites.web.requests) == 6 + 6


def test_every_hop_needs_its_grant(bench: Bench) -> None:
    """What the first host may send on to is no more than what the guest may ask for."""
    with Sites(bench, "host:http://one.example", one=to("http://two.example/"), two=ok) as sites:
        assert case_of(lambda: sites.get("http://one.example/")) == "denied"
        assert [r.headers["host"] for r in sites.web.requests] == ["one.example"]
        assert sites.names.asked == ["one.example"]
        assert bench.denials[0].grant == "host:http://two.example"


@pytest.mark.needs("openssl")
def test_no_downgrade(bench: Bench, certificates: Authority) -> None:
    """From https to http goes nobody, granted or not."""
    web = Web(lambda request: response(302, Location="http://one.example/"))
    plain = Web(ok)
    tls = certificates.server("DNS:one.example")
    with Listener(web, tls=tls) as secure, Listener(plain) as listener:
        network = bench.network(
            "host:https://one.example",
            "host:http://one.example",
            resolver=Names({"one.example": ["1.1.1.1"]}),
            connector=Detour({443: secure.port, 80: listener.port}),
            tls=certificates.client(),
        )
        with pytest.raises(PluginFailure, match="https") as refused:
            network.http.fetch_json("https://one.example/")
        assert refused.value.case == "denied"
        assert listener.connections == 0
        assert bench.denials[0].grant is None


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, HttpMethod.POST, "GET"),
        (302, HttpMethod.POST, "GET"),
        (303, HttpMethod.POST, "GET"),
        (303, HttpMethod.PUT, "GET"),
        (307, HttpMethod.POST, "POST"),
        (308, HttpMethod.PUT, "PUT"),
        (301, HttpMethod.DELETE, "DELETE"),
    ],
)
def test_methods_across_redirects(status: int, method: HttpMethod, becomes: str, bench: Bench) -> None:
    """As RFC 9110 has it; a GET that was something else has no body and does not describe one."""
    pages = {"/": to("/next", status), "/next": ok}
    with Sites(bench, one=lambda r: pages[r.target](r)) as sites:
        headers = (("Content-Type", "text/x"),)
        body = sites.get("http://one.example/", method=method, body=b"hello", headers=headers)
        assert body == becomes.encode()
        last = sites.web.requests[-1]
        assert last.body == (b"" if becomes == "GET" else b"hello")
        assert ("content-type" in last.headers) is (becomes != "GET")


def test_a_body_is_not_sent_on_to_another_origin(bench: Bench) -> None:
    """It may be a password as well as anything."""
    with Sites(bench, one=to("http://two.example/", 307), two=ok) as sites:
        request = {"method": HttpMethod.POST, "body": b"password=1"}
        assert case_of(lambda: sites.get("http://one.example/", **request)) == "denied"
        assert len(sites.web.requests) == 1


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_other_statuses_of_that_hundred_lead_nowhere(status: int, bench: Bench) -> None:
    """``305 Use Proxy`` least of all."""
    with Sites(bench, one=to("http://two.example/", status), two=ok) as sites:
        assert case_of(lambda: sites.get("http://one.example/")) == "io"
        assert len(sites.web.requests) == 1


@pytest.mark.parametrize(
    ("status", "case"),
    [(400, "io"), (401, "denied"), (403, "denied"), (404, "not-found"), (410, "not-found"), (408, "timeout"),
     (418, "io"), (500, "io"), (503, "io"), (599, "io"), (302, "io")],
)  # fmt: skip
def test_statuses_as_cases(status: int, case: str, bench: Bench) -> None:
    """What a guest can do something about has a case of its own."""
    with Sites(bench, one=lambda request: response(status, b"{}")) as sites:
        assert case_of(lambda: sites.get("http://one.example/")) == case
        assert case_of(lambda: sites.network.http.fetch_json("http://one.example/")) == case


# --- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade",
     "Expect", "Via", "Proxy-Authorization", "Proxy-Connection", "proxy-anything", "Sec-Fetch-Site", "HTTP2-Settings",
     "", " X", "X ", "X:", "X Y", "X\r\nY", "X\0", "Ünicode", "X" * 200, "(x)"],
)  # fmt: skip
def test_header_names_that_are_refused(name: str, bench: Bench) -> None:
    """Framing, the connection, proxies, and whatever is no name; before anything is sent."""
    with Sites(bench, one=ok) as sites:
        assert case_of(lambda: sites.get("http://one.example/", headers=((name, "x"),))) == "invalid-arg"
        assert sites.listener.connections == 0


@pytest.mark.parametrize(
    "value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "a\x0bb", "a\x7fb", "é", "\u2028", "x" * 20_000]
)
def test_header_values_that_are_refused(value: str, bench: Bench) -> None:
    """Nothing that could end a header early, and nothing but ASCII."""
    with Sites(bench, one=ok) as sites:
        assert case_of(lambda: sites.get("http://one.example/", headers=(("X-A", value),))) == "invalid-arg"
        assert sites.listener.connections == 0


def test_too_many_headers_are_refused(bench: Bench) -> None:
    """65 of them."""
    with Sites(bench, one=ok) as sites:
        headers = tuple((f"X-{n}", "x") for n in range(65))
        assert case_of(lambda: sites.get("http://one.example/", headers=headers)) == "invalid-arg"


def test_what_is_sent(bench: Bench) -> None:
    """One Host, one User-Agent, no coding of the body; nothing else that the guest did not ask for."""
    with Sites(bench, one=ok) as sites:
        sites.get("http://one.example/x?y#z", headers=(("Accept-Encoding", "gzip"), ("X-A", "1"), ("x-a", "2")))
        (request,) = sites.web.requests
        assert request.target == "/x?y"
        assert set(request.headers) == {"host", "user-agent", "accept", "accept-encoding", "x-a"}
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["x-a"] == "1, 2"
        assert request.headers["user-agent"].startswith("stellatune-plugins/")
        assert "org.example.net" in request.headers["user-agent"]


def test_proxy_variables_are_ignored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would make the connection that the guard is there to judge."""
    with Listener(lambda connection: None) as proxy, Sites(bench, one=ok) as sites:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert sites.get("http://one.example/") == b"GET"
        assert proxy.connections == 0
        assert "http_proxy" in os.environ


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("names", ["DNS:two.example", "DNS:*.one.example", "IP:1.1.1.1", "DNS:example"])
def test_a_certificate_of_another_name_is_refused(names: str, bench: Bench, certificates: Authority) -> None:
    """Nothing of the request is sent."""
    web = Web(ok)
    with Listener(web, tls=certificates.server(names)) as listener:
        network = bench.network(
            "host:https://one.example",
            resolver=Names({"one.example": ["1.1.1.1"]}),
            connector=Detour(listener.port),
            tls=certificates.client(),
        )
        with pytest.raises(PluginFailure, match="certificate") as refused:
            network.http.fetch_json("https://one.example/")
        assert refused.value.case == "io"
    assert web.requests == []


@pytest.mark.needs("openssl")
def test_a_cancel_between_two_sockets_ends_the_handshake() -> None:
    """While TLS takes a socket over, a cancel finds nothing to shut: it is asked for once TLS has it."""
    cancel = Cancel()

    class Slow(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
            try:
                return super().wrap_socket(*args, **options)
            finally:
                cancel.set()

    ours, theirs = socket.socketpair()
    deadline = Deadline(5.0, "shaking hands", cancel)
    wire = Wire(ours, "one.example", deadline, lambda: None)
    began = time.monotonic()
    with theirs, pytest.raises(PluginFailure, match="closed"):
        wire.start_tls(Slow(ssl.PROTOCOL_TLS_CLIENT), "one.example")
    wire.close()
    assert time.monotonic() - began < 2.0


def test_an_authority_that_nobody_trusts_is_refused(bench: Bench, certificates: Authority) -> None:
    """By the system's trust store, which is what counts without another one."""
    web = Web(ok)
    with Listener(web, tls=certificates.server("DNS:one.example")) as listener:
        network = bench.network(
            "host:https://one.example",
            resolver=Names({"one.example": ["1.1.1.1"]}),
            connector=Detour(listener.port),
        )
        with pytest.raises(PluginFailure, match="certificate"):
            network.http.fetch_json("https://one.example/")
    assert web.requests == []


@pytest.mark.needs("openssl")
def test_the_name_is_asked_for_whatever_the_address(bench: Bench, certificates: Authority) -> None:
    """In TLS (SNI) and in ``Host``."""
    asked: list[str | None] = []
    tls = certificates.server("DNS:one.example")
    tls.sni_callback = lambda sock, name, context: asked.append(name)
    web = Web(lambda request: response(200, b"[]"))
    with Listener(web, tls=tls) as listener:
        network = bench.network(
            "host:https://one.example",
            resolver=Names({"one.example": ["1.1.1.1"]}),
            connector=Detour(listener.port),
            tls=certificates.client(),
        )
        assert network.http.fetch_json("https://one.example/") == "[]"
    assert asked == ["one.example"]
    assert web.requests[0].headers["host"] == "one.example"


# --- addresses ------------------------------------------------------------------------------------------------------


def test_the_next_address_is_tried_where_one_refuses(bench: Bench) -> None:
    """In the resolver's order."""
    with Listener(Web(lambda request: response(200, b"[]"))) as listener:
        detour = Detour(listener.port)
        went: list[str] = []

        def picky(address: str, *rest: object) -> object:
            went.append(address)
            if address != "1.1.1.3":
                raise ConnectionRefusedError(111, "Connection refused")
            return detour(address, *rest)  # type: ignore[arg-type]

        names = Names({"one.example": ["1.1.1.1", "1.1.1.2", "1.1.1.2", "1.1.1.3"]})
        network = bench.network("host:http://one.example", resolver=names, connector=picky)
        assert network.http.fetch_json("http://one.example/") == "[]"
        assert went == ["1.1.1.1", "1.1.1.2", "1.1.1.3"]


def test_local_names_need_their_own_grant(bench: Bench) -> None:
    """A host grant is for public addresses; a local one is for that host and port, and implies the other."""
    names = Names({"nas.example": ["127.0.0.1"]})
    with Listener(Web(lambda request: response(200, b"[]"))) as listener:
        site = f"http://nas.example:{listener.port}"
        assert case_of(lambda: bench.network(f"host:{site}", resolver=names).http.fetch_json(site)) == "denied"
        assert listener.connections == 0
        local = bench.network(f"local:{site}", resolver=names)
        assert local.http.fetch_json(site) == "[]"
        assert case_of(lambda: local.http.fetch_json(f"http://nas.example:{listener.port + 1}")) == "denied"
        assert case_of(lambda: local.http.fetch_json(f"http://127.0.0.1:{listener.port}")) == "denied"
        assert case_of(lambda: local.http.fetch_json(f"https://nas.example:{listener.port}")) == "denied"
        assert bench.denials[0].grant == f"local:{site}"


def test_a_public_address_of_this_machine_is_a_local_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that keeps the world from it does not stand between the machine and itself."""
    monkeypatch.setattr("stellatune_plugins.host.egress.guard.is_this_machine", "1.1.1.2".__eq__)
    names = Names({"one.example": ["1.1.1.1"], "two.example": ["1.1.1.2"], "six.example": ["::ffff:1.1.1.2"]})
    with Listener(Web(lambda request: response(200, b"[]"))) as listener:
        detour = Detour(listener.port)
        network = bench.network("host:http://*", "local:http://six.example", resolver=names, connector=detour)
        assert network.http.fetch_json("http://one.example/") == "[]"
        assert network.http.fetch_json("http://six.example/") == "[]"
        assert case_of(lambda: network.http.fetch_json("http://two.example/")) == "denied"
        assert [address for address, _ in detour.went] == ["1.1.1.1", "1.1.1.2"]
        assert bench.denials[0].grant == "local:http://two.example"


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::"])  # noqa: S104
def test_no_grant_opens_what_is_nowhere(address: str, bench: Bench) -> None:
    """Cloud metadata, the unspecified address and the rest: not even under a local grant's name."""
    detour = Detour()
    network = bench.network("local:http://nas.example:80", resolver=Names({"nas.example": [address]}), connector=detour)
    assert case_of(lambda: network.http.fetch_json("http://nas.example/")) == "denied"
    assert detour.went == []
    assert bench.denials[0].grant is None
