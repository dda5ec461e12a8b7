"""Ways that have led past guards like ours: none leads to an address that a guest may not reach, and good URLs work."""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from loopback import Authority, Listener, Request, Web, response
from net_bench import Bench, Detour, Generous, Names, case_of

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress import Reach, connect_socket, judge
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.stream import OpenRequest, StreamKind
from stellatune_plugins.host.timeouts import HostTimeouts

# A name for each address that some resolver may give; `good.example` is a public one.
NAMES: dict[str, Sequence[str]] = {
    "good.example": ["93.184.216.34"],
    "localhost": ["127.0.0.1"],
    "www.localhost": ["::1"],
    "loop.example": ["127.0.0.1"],
    "loop6.example": ["::1"],
    "both.example": ["93.184.216.34", "127.0.0.1"],
    "both6.example": ["2606:4700::1111", "::1"],
    "last.example": [*(f"93.184.216.{n}" for n in range(30)), "10.0.0.1"],
    "private.example": ["10.1.2.3"],
    "home.example": ["192.168.1.1"],
    "office.example": ["172.16.5.4"],
    "metadata.google.internal": ["169.254.169.254"],
    "link.example": ["169.254.1.1"],
    "scoped.example": ["fe80::1%lo"],
    "unique.example": ["fd00::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "localnat64.example": ["64:ff9b:1::7f00:1"],
    "sixtofour.example": ["2002:7f00:1::"],
    "teredo.example": ["2001:0:808:808:0:0:80ff:fffe"],
    "compat.example": ["::127.0.0.1"],
    "isatap.example": ["2600::5efe:7f00:1"],
    "zero.example": ["0.0.0.0"],  # noqa: S104
    "zero6.example": ["::"],
    "cgnat.example": ["100.64.1.1"],
    "multi.example": ["239.255.255.250"],
    "all.example": ["255.255.255.255"],
    "future.example": ["240.0.0.1"],
    "odd.example": ["127.1"],
    "garbage.example": ["not an address"],
    "empty.example": [],
    "many.example": [f"93.184.{a}.{b}" for a in range(2) for b in range(100)],
    "xn--lcalhost-n3a.example": ["127.0.0.1"],
    "fass.example": ["127.0.0.1"],
}

HOSTS = """
127.0.0.1 127.1 127.0.1 127.000.000.001 0177.0.0.1 0177.0000.0.01 0x7f.0.0.1 0x7f.1 0X7F.0.0.1
0x7f.0x0.0x0.0x1 0x7f000001 0x7F000001 0x007f000001 2130706433 017700000001 00000000017700000001 127.0.0.1.
127.1. 2130706433. 127.65535 127.0x1 0177.1 127.255.255.254 127.16777215 0x7f.16777215 0 0.0 0.0.0.0 0x0 00 0.
0x 0.0.0.1 000.000.000.000 10.0.0.1 10.1 012.0.0.1 0xa.0.0.1 167772161 0x0a000001 10.255.255.255 172.16.0.1
172.31.255.254 0xac100001 2886729729 192.168.0.1 192.168.1 0300.0250.0.1 0xc0a80001 3232235521 169.254.169.254
0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.43518 169.254.169.254. 0xa9.0xfe.0xa9.0xfe 169.16689662
100.100.100.200 192.0.0.192 168.63.129.16 169.254.170.2 169.254.1.1 100.64.0.1 100.127.255.254 192.0.0.1
192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1 239.255.255.250 0xe0000001 240.0.0.1
255.255.255.255 4294967295 0xffffffff 037777777777 [::1] [0:0:0:0:0:0:0:1]
[0000:0000:0000:0000:0000:0000:0000:0001] [::0001] [::] [0::0] [::ffff:127.0.0.1] [::ffff:7f00:1]
[0:0:0:0:0:ffff:127.0.0.1] [::FFFF:7F00:0001] [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::ffff:10.0.0.1]
[::ffff:0:127.0.0.1] [::127.0.0.1] [::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe]
[64:ff9b::10.0.0.1] [64:ff9b:1::127.0.0.1] [64:ff9b:1::8.8.8.8] [2002:7f00:1::] [2002:7f00:0001::1]
[2002:a9fe:a9fe::] [2002:c0a8:1::1] [2001:0:7f00:1::] [2001:0:808:808::80ff:fffe] [2001::f5ff:fffe]
[2600::5efe:7f00:1] [fe80::5efe:127.0.0.1] [fe80::1] [febf::1] [fec0::1] [fc00::1] [fd00::1] [fd00:ec2::254]
[ff02::1] [ff0e::1] [2001:db8::1] [3fff::1] [100::1] [5f00::1] [4000::1] [e000::1]
""".split()  # noqa: SIM905 - easier to read

DISGUISED_HOSTS = [
    "１２７.0.0.1",  # noqa: RUF001 - full-width digits
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",  # noqa: RUF001 - full-width dots
    "127｡0｡0｡1",
    "０x7f000001",  # noqa: RUF001
    "２１３０７０６４３３",  # noqa: RUF001
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "ʟocalhost",
    "localhoſt",  # noqa: RUF001
    "LOCALHOST",
    "localhost.",
    "loop.example.",
    "LOOP.Example",
    "faß.example",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.good.example",
    "127.0.0.1%2egood.example",
    "%6cocalhost",
    "[::1%25lo]",
    "[::1%lo]",
    "[fe80::1%25eth0]",
    "[v1.fe80::a]",
    "[127.0.0.1]",
    "[::1",
    "::1",
    "[::1]]",
    "[[::1]]",
    "[::1].good.example",
    "[::1]good.example",
    "127.0.0.1..",
    ".127.0.0.1",
    "127..0.1",
    "1.2.3.4.5",
    "256.0.0.1",
    "0x100000000",
    "4294967296",
    "08.0.0.1",
    "0x7g.0.0.1",
    "good.example.127",
    "-good.example",
    "good-.example",
    "good..example",
    "",
    ".",
]

WHOLE_URLS = [
    # User information
    "http://good.example@127.0.0.1:{port}/",
    "http://good.example:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@good.example/",
    "http://user:password@good.example/",
    "http://@good.example/",
    "http://:@127.0.0.1:{port}/",
    "http://a@b@127.0.0.1:{port}/",
    "http://good.example%40127.0.0.1:{port}/",
    # Where the host ends
    "http://127.0.0.1:{port}\\@good.example/",
    "http://good.example\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http://127.0.0.1:{port}#@good.example/",
    "http://127.0.0.1:{port}?@good.example/",
    "http://127.0.0.1:{port};good.example/",
    "http://good.example\t@127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1 :{port}/",
    "http:// 127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/ ",
    "http://127.0.0.1:{port}/\r\nHost: good.example",
    "http://good.example/\r\nX: y",
    "http://good.example/\n",
    "http://good.example/a\x00b",
    "http://good.\u2028example/",
    "http://good\ud800.example/",
    # Slashes
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "/etc/passwd",
    "",
    "http://",
    "http:",
    # Ports
    "http://good.example:0/",
    "http://good.example:65536/",
    "http://good.example:-1/",
    "http://good.example:+80/",
    "http://good.example:80a/",
    "http://good.example: 80/",
    "http://good.example:8０/",  # noqa: RUF001
    "http://good.example:80:{port}/",
    "http://good.example:/",
    "http://127.0.0.1:{port}:80/",
    # Schemes
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "dict://127.0.0.1:{port}/d",
    "ldap://127.0.0.1:{port}/",
    "tftp://127.0.0.1:{port}/x",
    "ws://127.0.0.1:{port}/",
    "data:application/json,[]",
    "javascript:1",
    "jar:http://127.0.0.1:{port}/a!/b",
    "unix:///run/x.sock",
    "http+unix://%2Frun%2Fx.sock/",
    "view-source:http://127.0.0.1:{port}/",
    "url:http://127.0.0.1:{port}/",
    "h\tttp://127.0.0.1:{port}/",
    "http\u017f://127.0.0.1:{port}/",
]

VECTORS = [
    *(f"http://{host}:{{port}}/" for host in HOSTS),
    *(f"http://{host}:{{port}}/" for host in DISGUISED_HOSTS),
    *(f"http://{name}:{{port}}/" for name in NAMES if name != "good.example"),
    *WHOLE_URLS,
]


class Counting:
    """The usual connector, which writes down where it was sent, and leaves this machine for nobody."""

    def __init__(self) -> None:
        self.went: list[str] = []

    def __call__(self, address: str, port: int, kind: socket.SocketKind, deadline: Deadline) -> socket.socket:
        self.went.append(address)
        if not ipaddress.ip_address(address).is_loopback:
            raise ConnectionRefusedError("not from a test")
        return connect_socket(address, port, kind, deadline)


class Front:
    """A generous authority's network, and a listener that nobody may reach."""

    def __init__(self, folder: Path, listener: Listener) -> None:
        self.authority = Generous(folder)
        self.connector = Counting()
        self.listener = listener
        self.network = PluginNetwork(
            self.authority,
            HostTimeouts(connect=2, read=2, fetch=2),
            resolver=Names(NAMES),
            connector=self.connector,
        )


@pytest.fixture(scope="module")
def forbidden() -> Generator[Listener]:
    """Listens for the whole module, and counts."""
    with Listener(lambda connection: connection.sendall(response(200, b"[]"))) as listener:
        yield listener
        assert listener.connections == 0


@pytest.fixture
def front(tmp_path: Path, forbidden: Listener) -> Generator[Front]:
    """See the class; a new one each time, with its full allowance of connections."""
    made = Front(tmp_path, forbidden)
    yield made
    made.network.close()


def test_there_are_enough_vectors() -> None:
    """150 at least, all different."""
    assert len(set(VECTORS)) >= 150
    assert len(set(VECTORS)) == len(VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=[ascii(vector) for vector in VECTORS])
def test_no_vector_connects(vector: str, front: Front) -> None:
    """Refused before any socket is made, by the stream and by the fetch alike."""
    url = vector.replace("{port}", str(front.listener.port))
    fetched = case_of(lambda: front.network.http.fetch_json(url))
    opened = case_of(lambda: front.network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=url)))
    assert fetched == opened
    assert fetched in {"denied", "invalid-arg", "io"}
    assert front.connector.went == []
    assert front.listener.connections == 0


@pytest.mark.parametrize("kind", [StreamKind.TCP, StreamKind.UDP])
@pytest.mark.parametrize("host", [*HOSTS, *DISGUISED_HOSTS, *(n for n in NAMES if n != "good.example")], ids=ascii)
def test_no_socket_connects(host: str, kind: StreamKind, front: Front) -> None:
    """The same for TCP and UDP, with and without the scheme before it."""
    for prefix in ("", f"{kind}://"):
        request = OpenRequest(kind=kind, target=f"{prefix}{host}:{front.listener.port}", body=b"x")
        case = case_of(functools.partial(front.network.streams.open, request))
        assert case in {"denied", "invalid-arg", "io"}
    assert front.connector.went == []
    assert front.listener.connections == 0


def test_the_listener_would_notice() -> None:
    """The counter counts: a connection past the guard is seen, on a listener of its own."""
    with Listener(lambda connection: None) as listener:
        deadline = Deadline(2, "connecting")
        connect_socket("127.0.0.1", listener.port, socket.SOCK_STREAM, deadline).close()
        for _ in range(200):
            if listener.connections:
                break
            deadline.sleep(0.005)
        assert listener.connections == 1


REDIRECTS = [
    *(f"http://{host}:{{port}}/" for host in HOSTS[::4]),
    *(f"http://{host}:{{port}}/" for host in DISGUISED_HOSTS[:24]),
    *(f"http://{name}:{{port}}/" for name in NAMES if name != "good.example"),
    *(url for url in WHOLE_URLS if url.isprintable() and url.startswith("http:") and "127" in url),
    "//127.0.0.1:{port}/",
    "///127.0.0.1:{port}/",
    "\\\\127.0.0.1:{port}/",
    "/\\127.0.0.1:{port}/",
    "file:///etc/passwd",
    "ftp://good.example/",
]


@pytest.mark.parametrize("vector", REDIRECTS, ids=ascii)
def test_no_redirect_leads_there(vector: str, tmp_path: Path) -> None:
    """A good server that sends the guest on gets one connection, and nobody else any."""
    with Listener(lambda connection: None) as inner:
        location = vector.replace("{port}", str(inner.port))
        web = Web(lambda request: response(302, Location=location.encode().decode("latin-1")))
        with Listener(web) as outer:
            detour = Detour({80: outer.port})
            network = PluginNetwork(
                Generous(tmp_path),
                HostTimeouts(connect=2, read=2, fetch=2),
                resolver=Names(NAMES),
                connector=detour,
            )
            case = case_of(lambda: network.http.fetch_json("http://good.example/start"))
            network.close()
            assert case in {"denied", "invalid-arg", "io"}
            assert all(judge(address).reach is Reach.PUBLIC for address, _ in detour.went)
            followed = [request.target for request in web.requests]
            assert followed[0] == "/start"
        assert inner.connections == 0


def test_a_name_that_turns_to_loopback_is_refused(bench: Bench) -> None:
    """DNS rebinding: judged at each connection, and what was judged is what is connected to."""
    names = Names({"turns.example": []})
    names.table["turns.example"] = [["93.184.216.34"], ["127.0.0.1"], ["93.184.216.34"]]
    with Listener(Web(lambda request: response(200, b"[1]"))) as listener:
        detour = Detour(listener.port)
        network = bench.network("host:http://turns.example", resolver=names, connector=detour)
        assert network.http.fetch_json("http://turns.example/") == "[1]"
        assert names.asked == ["turns.example"], "asked once a connection"
        with pytest.raises(PluginFailure, match="loopback") as refused:
            network.http.fetch_json("http://turns.example/")
        assert refused.value.case == "denied"
        assert network.http.fetch_json("http://turns.example/") == "[1]"
        assert detour.went == [("93.184.216.34", 80)] * 2
    assert [(denial.what, denial.grant) for denial in bench.denials] == [("connect to", "local:http://turns.example")]


# --- good ones ------------------------------------------------------------------------------------------------------

GOOD_NAMES: dict[str, Sequence[str]] = {
    "example.org": ["93.184.216.34"],
    "www.example.org": ["93.184.216.34", "2606:4700::1111"],
    "api.example.org": ["2606:4700::1111"],
    "a-b.c-d.example.org": ["1.1.1.1"],
    "under_score.example.org": ["1.1.1.1"],
    "0x.example.org": ["8.8.8.8"],
    "127.0.0.1.example.org": ["8.8.4.4"],
    "1.example.org": ["8.8.4.4"],
    "xn--mnchen-3ya.example.org": ["9.9.9.9"],
    "xn--fiqs8s.example.org": ["9.9.9.9"],
    "nat64.example.org": ["64:ff9b::808:808"],
    "mapped.example.org": ["::ffff:8.8.8.8"],
    "sixtofour.example.org": ["2002:808:808::1"],
    "localhost.example.org": ["100.63.1.1"],
    "edge.example.org": ["172.32.0.1", "192.169.0.1", "100.128.0.1", "11.0.0.1", "126.0.0.1", "128.0.0.1"],
}
ADDRESSES = ["8.8.8.8", "134744072", "0x08080808", "010.8.8.8", "8.8.2056", "[2606:4700::1111]", "[64:ff9b::8.8.8.8]"]
PATHS = [
    "/rest/ping.view?u=me&t=26719a1196d2a940705a59634eb18eab&s=c19b2d&v=1.16.1&c=x&f=json",
    "/search?q=Bj%C3%B6rk+J%C3%B3ga",
    "/search?q=Björk Jóga",
    "/a/../b//c/./d",
    "/%",
    "/100%/x",
    "?q=1",
    "/?next=http://127.0.0.1/",
    "/@user/~home/;p=1/!$&'()*+,=:",
    "/a#fragment@127.0.0.1",
    '/q?json={"a":[1,2]}|x',
]
GOOD = [
    *(f"http://{name}/" for name in GOOD_NAMES),
    *(f"http://{address}/" for address in ADDRESSES),
    *(f"http://example.org{path}" for path in PATHS),
    "HTTP://EXAMPLE.ORG/",
    "http://example.org",
    "http://example.org./",
    "http://example.org:80/",
    "http://example.org:8080/",
    "http://münchen.example.org/",
    "http://中国.example.org/",
    "http://www。example。org/",
]
GOOD_TLS = [
    *(f"https://{name}/" for name in GOOD_NAMES if name.count(".") == 2 and "_" not in name),
    "https://example.org/",
    "https://example.org:443/x",
    "https://example.org:8443/",
    "https://MÜNCHEN.example.org/",
]


def test_there_are_enough_good_urls() -> None:
    """50 at least."""
    assert len({*GOOD, *GOOD_TLS}) >= 50


def answer_with_request(request: Request) -> bytes:
    """JSON of what was asked."""
    return response(200, f'["{request.target}", "{request.headers["host"]}"]'.encode(), Content_Type="application/json")


@pytest.mark.parametrize("url", GOOD, ids=ascii)
def test_good_urls_work(url: str, tmp_path: Path) -> None:
    """They arrive, at one of the addresses that their name has, with that name in ``Host``."""
    with Listener(Web(answer_with_request)) as listener:
        detour = Detour(listener.port)
        network = PluginNetwork(Generous(tmp_path), resolver=Names(GOOD_NAMES), connector=detour)
        target, host = network.http.fetch_json(url)[2:-2].replace('\\"', "").split('", "')
        network.close()
    assert target.isascii()
    assert target.startswith("/")
    assert host.isascii()
    assert len(detour.went) == 1
    assert judge(detour.went[0][0]).reach is Reach.PUBLIC


@pytest.mark.needs("openssl")
def test_good_urls_work_with_tls(certificates: Authority, tmp_path: Path) -> None:
    """The certificate is checked against the URL's name, whatever address is connected to."""
    tls = certificates.server("DNS:example.org", "DNS:*.example.org")
    with Listener(Web(answer_with_request), tls=tls) as listener:
        for url in GOOD_TLS:
            detour = Detour(listener.port)
            names = Names(GOOD_NAMES)
            network = PluginNetwork(Generous(tmp_path), resolver=names, connector=detour, tls=certificates.client())
            assert network.http.fetch_json(url).startswith('["/'), url
            network.close()
