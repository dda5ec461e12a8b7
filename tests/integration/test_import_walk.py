"""Every function that a guest may import, against every state of grants, and against peers that never answer.

The functions are read from the contract: one that is added and stands in neither table fails this file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest
from import_walk import (
    TRANSPORTS,
    Caller,
    Lab,
    Peers,
    Walking,
    cases_of,
    direct,
    imported_functions,
    timed,
)

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor import Deadlines
from stellatune_plugins.executor.imports.host import WORLD_IMPORTS
from stellatune_plugins.host.budget import limited
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import AbilityKind, RuntimeRoute
from stellatune_plugins.package import AuditAction, InstalledPlugin, parse_grant
from stellatune_plugins.registry import PluginRuntime, RuntimeSettings

pytestmark = pytest.mark.needs("bwrap")

FUNCTIONS = imported_functions()


# --- the tables -----------------------------------------------------------------------------------------------------


class Guard(NamedTuple):
    """What a function is guarded by, and how to find out: ``{...}`` stands for the lab's places and ports."""

    step: str
    asks: dict[str, Any]
    grant: str


def _hosts(*hosts: str) -> dict[str, Any]:
    return {"hosts": list(hosts), "local_network": True}


_MUTE: Final = {"sidecars": [{"id": "mute.py", "network": True}]}

GUARDS: Final[dict[str, list[Guard]]] = {
    "host-stream.open": [
        Guard("o0{music}/a.bin", {"files": [{"path": "{music}"}]}, "files:{music}"),
        Guard("o1http://127.0.0.1:{web}/", _hosts(), "local:http://127.0.0.1:{web}"),
        Guard("o2127.0.0.1:{silent}", _hosts(), "local:tcp://127.0.0.1:{silent}"),
        Guard("o3127.0.0.1:{udp}", _hosts(), "local:udp://127.0.0.1:{udp}"),
    ],
    "http-client.fetch-json": [Guard("fhttp://127.0.0.1:{web}/", _hosts(), "local:http://127.0.0.1:{web}")],
    "sidecar.launch": [Guard("l0mute.py", _MUTE, "sidecar:mute.py")],
}
"""Functions that take a grant."""

PUBLIC_GUARDS: Final = [
    Guard("o1http://m.example:{web}/", _hosts("http://m.example:{web}"), "host:http://m.example:{web}"),
    Guard("o2m.example:{silent}", _hosts("tcp://m.example:{silent}"), "host:tcp://m.example:{silent}"),
    Guard("o3m.example:{udp}", _hosts("udp://m.example:{udp}"), "host:udp://m.example:{udp}"),
    Guard("fhttp://m.example:{web}/", _hosts("http://m.example:{web}"), "host:http://m.example:{web}"),
]
"""The same by name, at a public address: only on the services themselves, for the guest has the system's resolver."""

OWN: Final = {"sidecar.lock"}
"""Functions that reach nothing but the plugin's own; see :func:`test_locks_are_a_plugin_s_own`."""


class Stuck(NamedTuple):
    """A peer that never answers: steps that lead to it, and the step that waits, for so long at most."""

    before: tuple[str, ...]
    step: str
    waits: bool = True
    """Whether it is stuck indeed; others must come back at once all the same."""
    extra: float = 0.0
    """Seconds that it may take on top of its deadline."""


_SILENT_STREAM: Final = ("o1http://127.0.0.1:{stall}/", "r")
_LAUNCHED: Final = ("l0mute.py",)
_TALKING: Final = (*_LAUNCHED, "p")
_CONNECTED: Final = {"unix-socket", "loopback-tcp"}
"""Transports that exist once the sidecar has connected, which this one never does."""

STUCK: Final[dict[str, list[Stuck]]] = {
    "host-stream.open": [
        Stuck((), "o0{music}/pipe", waits=False),
        Stuck((), "o1http://127.0.0.1:{silent}/", extra=0.4),  # to connect and to hear the answer's head, each
        Stuck((), "o1http://127.0.0.1:{full}/"),
        Stuck((), "o2127.0.0.1:{full}"),
        Stuck((), "o3127.0.0.1:{udp}", waits=False),
    ],
    "host-stream.host-stream-handle.read": [
        Stuck(_SILENT_STREAM, "r"),
        Stuck(("o2127.0.0.1:{silent}",), "r"),
        Stuck(("o3127.0.0.1:{udp}",), "r"),
    ],
    "host-stream.host-stream-handle.seek": [Stuck(_SILENT_STREAM, "s", waits=False)],
    "host-stream.host-stream-handle.tell": [Stuck(_SILENT_STREAM, "t", waits=False)],
    "host-stream.host-stream-handle.size": [Stuck(_SILENT_STREAM, "z", waits=False)],
    "host-stream.host-stream-handle.close": [Stuck(_SILENT_STREAM, "c", waits=False)],
    "http-client.fetch-json": [Stuck((), "fhttp://127.0.0.1:{silent}/"), Stuck((), "fhttp://127.0.0.1:{stall}/")],
    "sidecar.lock": [Stuck(("kname",), "kname")],
    "sidecar.lock-guard.unlock": [Stuck(("kname",), "u", waits=False)],
    "sidecar.launch": [Stuck((), f"l{kind}mute.py", waits=False, extra=5) for kind in range(len(TRANSPORTS))],
    "sidecar.process.open-control": [
        Stuck((f"l{number}mute.py",), "p", waits=kind in _CONNECTED) for number, kind in enumerate(TRANSPORTS)
    ],
    "sidecar.process.open-data": [
        Stuck((f"l{number}mute.py",), f"d{number}", waits=kind in _CONNECTED) for number, kind in enumerate(TRANSPORTS)
    ],
    "sidecar.process.wait-exit": [Stuck(_LAUNCHED, "w")],
    "sidecar.process.terminate": [Stuck(("l0deaf.py",), "x", extra=1.5)],
    "sidecar.channel.transport": [Stuck(_TALKING, "i", waits=False)],
    "sidecar.channel.write": [Stuck(_TALKING, "W")],
    "sidecar.channel.read": [Stuck(_TALKING, "R")],
    "sidecar.channel.close": [Stuck(_TALKING, "C", waits=False)],
}


def test_no_function_is_without_guard_and_deadline() -> None:
    """Each has its place in the tables, by what it takes or by what it belongs to; so has each kind of each of them."""
    assert len(FUNCTIONS) == 18
    assert set(STUCK) == set(FUNCTIONS)
    given = {function.gives: name for name, function in FUNCTIONS.items() if function.gives and not function.resource}
    for name, function in FUNCTIONS.items():
        if function.resource is None:
            assert (name in GUARDS) != (name in OWN), name
            continue
        makers = {n for n, f in FUNCTIONS.items() if f.gives == function.resource}
        assert makers, f"nothing gives a {function.resource}"
        for maker in makers:  # a method has the guard of whatever gives its object, at the end of the chain
            resource = FUNCTIONS[maker].resource
            guarded_by = maker if resource is None else given[resource]
            assert guarded_by in GUARDS or guarded_by in OWN, name
    kinds = cases_of("host-stream", "stream-open-kind")
    for table in (GUARDS["host-stream.open"], STUCK["host-stream.open"]):
        assert {kinds[int(entry.step[1])] for entry in table} == set(kinds)
    interfaces = {name.partition(".")[0] for name in FUNCTIONS}
    assert interfaces == {"host-stream", "http-client", "sidecar"}
    assert set(WORLD_IMPORTS) == set(AbilityKind)


# --- the places -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    """Servers, for all tests of this file."""
    with contextlib.ExitStack() as ends:
        yield Peers(ends)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A home, for all tests of this file: each installs plugins of its own, and their code is compiled once."""
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def fill(lab: Lab, peers: Peers) -> Callable[[Any], Any]:
    """Put the lab's places and ports into a text, or into the texts of plain data."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            for name, place in {**vars(peers), "music": lab.music}.items():
                value = value.replace(f"{{{name}}}", str(place))
            return value
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return [fill(item) for item in value] if isinstance(value, list) else value

    return fill


@contextlib.contextmanager
def walking(
    lab: Lab, package: InstalledPlugin, *, timeouts: HostTimeouts | None = None, deadlines: Deadlines | None = None
) -> Iterator[Walking]:
    """The plugin itself, enabled now."""
    settings = RuntimeSettings(host_timeouts=timeouts or HostTimeouts(), deadlines=deadlines or Deadlines())
    with (
        PluginRuntime(lab.home, RuntimeRoute.WASM, lab.bus, settings=settings) as runtime,
        contextlib.ExitStack() as ends,
    ):
        yield Walking(runtime, package.id, ends)


def _by_name(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(entry, id=f"{name}-{entry.step}") for name, entries in table.items() for entry in entries]


Enter = Callable[..., contextlib.AbstractContextManager[Caller]]


# --- guards ---------------------------------------------------------------------------------------------------------

STATES: Final = ["none", "asked", "granted", "other plugin", "other version", "both", "unstated"]
ALLOWED: Final = {"both", "unstated"}


def _prepare(lab: Lab, state: str, guard: Guard) -> InstalledPlugin:
    asks: dict[str, Any] | None = guard.asks if state not in {"none", "granted"} else {}
    package = lab.install(None if state == "unstated" else asks)
    grant = [parse_grant(guard.grant)]
    if state in {"granted", "both", "unstated"}:
        lab.put(package, grant)
    elif state == "other version":
        lab.put(package, grant, version="1.0.1")
    elif state == "other plugin":
        lab.grants.grant(lab.install(guard.asks).manifest, grant)
    return package


def _guards(lab: Lab, state: str, guard: Guard, enter: Enter) -> None:
    """The claim: it takes both, and what a denial says it takes is what it takes."""
    package = _prepare(lab, state, guard)
    with enter(lab, package) as caller:
        if state in ALLOWED:
            caller.step(guard.step)
            assert all(entry.action is not AuditAction.DENIED for entry in lab.grants.audit(package.id))
            return
        with pytest.raises(PluginFailure) as caught:
            caller.step(guard.step)
    assert caught.value.case == "denied"
    assert f"--grant {guard.grant}" in caught.value.hint.replace("'", "")
    assert [e.item for e in lab.grants.audit(package.id) if e.action is AuditAction.DENIED] == [guard.grant]
    if state == "asked":
        lab.grants.grant(package.manifest, [parse_grant(guard.grant)])
        with enter(lab, package) as caller:
            caller.step(guard.step)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("guard", _by_name(GUARDS))
def test_services_take_both_to_allow(lab: Lab, fill: Callable[[Any], Any], guard: Guard, state: str) -> None:
    """Asked for alone, granted alone, granted to another plugin or version: denied, recorded, and hinted at."""
    _guards(lab, state, Guard(*map(fill, guard)), direct)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("guard", [pytest.param(guard, id=guard.step) for guard in PUBLIC_GUARDS])
def test_public_hosts_take_both_to_allow(lab: Lab, fill: Callable[[Any], Any], guard: Guard, state: str) -> None:
    """The same for a name with a public address."""

    def enter(lab: Lab, package: InstalledPlugin) -> contextlib.AbstractContextManager[Caller]:
        return direct(lab, package, public=True)

    _guards(lab, state, Guard(*map(fill, guard)), enter)


@pytest.mark.parametrize("state", ["none", "asked", "granted", "both"])
@pytest.mark.parametrize("guard", _by_name(GUARDS))
def test_guests_take_both_to_be_allowed(lab: Lab, fill: Callable[[Any], Any], guard: Guard, state: str) -> None:
    """The same seen from inside the sandbox; the hint is there although only the guest's words come out of it."""
    _guards(lab, state, Guard(*map(fill, guard)), walking)


def test_locks_are_a_plugin_s_own(lab: Lab) -> None:
    """No grant is needed, and no plugin can keep another one's lock."""
    one, other = lab.install({}), lab.install({})
    quick = HostTimeouts(lock=0.2)
    with direct(lab, one, timeouts=quick) as first, direct(lab, other, timeouts=quick) as second:
        first.step("kname")
        second.step("kname")
        assert timed(first, "kname")[1] == "timeout"
        first.step("u")
        first.step("kname")


# --- deadlines ------------------------------------------------------------------------------------------------------

SECONDS: Final = 0.4
SLACK: Final = 0.6
"""A machine that is busy with other tests; the issue is whether there is an end."""
QUICK: Final = HostTimeouts(**dict.fromkeys(HostTimeouts.__struct_fields__, SECONDS) | {"launch": 10.0})

_SIDECAR: Final = ["sidecar:mute.py", "sidecar-network:mute.py", "sidecar:deaf.py"]
ASKS_ALL: Final = {"files": [{"path": "{music}"}], **_hosts(), "sidecars": [*_MUTE["sidecars"], {"id": "deaf.py"}]}


def _grant_all(lab: Lab, peers: Peers, fill: Callable[[Any], Any]) -> InstalledPlugin:
    package = lab.install(fill(ASKS_ALL))
    ports = [peers.web, peers.silent, peers.stall, peers.full, peers.udp]
    texts = [f"local:{scheme}://127.0.0.1:{port}" for scheme in ("http", "tcp", "udp") for port in ports]
    lab.grants.grant(package.manifest, map(parse_grant, [*texts, f"files:{lab.music}", *_SIDECAR]))
    return package


def _ends(caller: Caller, stuck: Stuck, seconds: float, *, inside: Callable[[], Any] = contextlib.nullcontext) -> None:
    for step in stuck.before:
        outcomes = [timed(caller, step)[1]]
        while outcomes[-1] == "timeout" and len(outcomes) < 10:  # a sidecar's start, on a machine that is busy
            outcomes.append(timed(caller, step)[1])
        assert outcomes[-1] == "ok", f"{step}: {outcomes}"
    with inside():
        took, outcome = timed(caller, stuck.step)
    assert took < seconds + SLACK + stuck.extra, f"{stuck.step} took {took:.2f} s"
    if stuck.waits:
        assert took > seconds / 4, f"{stuck.step} was not stuck: {outcome} after {took:.3f} s"
    assert outcome in {"ok", "timeout", "unsupported", "io"}


@pytest.mark.parametrize("stuck", _by_name(STUCK))
def test_each_wait_has_its_own_end(lab: Lab, peers: Peers, fill: Callable[[Any], Any], stuck: Stuck) -> None:
    """By the host's table of timeouts, however long the guest would wait."""
    stuck = Stuck(tuple(map(fill, stuck.before)), fill(stuck.step), stuck.waits, stuck.extra)
    with direct(lab, _grant_all(lab, peers, fill), timeouts=QUICK) as caller:
        _ends(caller, stuck, SECONDS)


@pytest.mark.parametrize("stuck", [e for e in _by_name(STUCK) if e.values[0].waits])
def test_each_wait_ends_before_the_guest_s_call(
    lab: Lab, peers: Peers, fill: Callable[[Any], Any], stuck: Stuck
) -> None:
    """By what is left of the call that it is part of, however patient the table is."""
    stuck = Stuck(tuple(map(fill, stuck.before)), fill(stuck.step), stuck.waits, stuck.extra)

    with direct(lab, _grant_all(lab, peers, fill)) as caller:
        _ends(caller, stuck, SECONDS, inside=lambda: limited(SECONDS))


@pytest.mark.parametrize("stuck", [e for e in _by_name(STUCK) if e.values[0].waits])
def test_guests_outlive_their_waits(lab: Lab, peers: Peers, fill: Callable[[Any], Any], stuck: Stuck) -> None:
    """The guest is told ``timeout`` while it still has time to answer, and goes on afterwards."""
    stuck = Stuck(tuple(map(fill, stuck.before)), fill(stuck.step), stuck.waits, stuck.extra)
    with walking(lab, _grant_all(lab, peers, fill), deadlines=Deadlines.uniform(1.0)) as caller:
        _ends(caller, stuck, 1.0)
        caller.step("kanother")
