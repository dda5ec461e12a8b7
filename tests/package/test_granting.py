"""The user's side of permissions, on the real database: what is granted stays so, and nothing else ever is."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import (
    GrantRefused,
    PermissionsHeld,
    StateBusy,
    StateDamaged,
    StateFailed,
)
from stellatune_plugins.model import Home, PluginId
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import (
    AuditAction,
    DenialLog,
    Grants,
    InstallStore,
    Manifest,
    Widening,
    parse_grant,
    parse_manifest,
)
from stellatune_plugins.package.authority import Denial
from stellatune_plugins.package.ledger import KEPT_DECISIONS, KEPT_DENIALS, Ledger

GAIN = PluginId("org.example.gain")
Make = Callable[..., dict[str, Any]]
Asking = Callable[..., Manifest]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that does not exist yet."""
    return Home(tmp_path / "home")


@pytest.fixture
def grants(home: Home, bus: EventBus) -> Grants:
    """The grants of that home."""
    return Grants(home, bus)


@pytest.fixture
def asking(make_manifest: Make) -> Asking:
    """Make manifests: ``asking("1.0.0", hosts=[...])``; ``stated=False`` for one without permissions."""

    def make(version: str = "1.0.0", *, stated: bool = True, plugin: str = GAIN, **permissions: Any) -> Manifest:
        data = make_manifest(id=plugin, version=version, permissions=permissions if stated else None)
        return parse_manifest(json.dumps(data).encode())

    return make


def texts(grants: Any) -> list[str]:
    """Grants as sorted texts."""
    return sorted(map(str, grants))


A, B = "host:https://a.example.org", "host:https://b.example.org"


# --- granting and revoking ------------------------------------------------------------------------------------------


def test_a_grant_is_kept_for_one_plugin_and_one_version(grants: Grants, asking: Asking, home: Home) -> None:
    """Another version and another plugin that ask for the same have nothing of it; the file is this user's alone."""
    asked = asking(hosts=["*.example.org"])
    assert texts(grants.grant(asked, [parse_grant(A)])) == [A]
    assert grants.grant(asked, [parse_grant(A)]) == ()
    assert texts(grants.granted(asked)) == [A]
    assert not grants.granted(asking("1.0.1", hosts=["*.example.org"]))
    assert not grants.granted(asking(plugin="org.example.gain2", hosts=["*.example.org"]))
    assert home.grants.stat().st_mode & 0o777 == 0o600
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert texts(grants.revoke(asked, [parse_grant(A), parse_grant(B)])) == [A]
    assert not grants.granted(asked)


def test_what_is_granted_and_revoked_is_told_and_recorded(grants: Grants, asking: Asking, bus: EventBus) -> None:
    """Each once, as an event and as a line of the record."""
    asked = asking(hosts=["*.example.org"])
    with bus.recording() as events:
        grants.grant(asked, [parse_grant(A), parse_grant(B)])
        grants.grant(asked, [parse_grant(A)])
        grants.revoke(asked)
        grants.revoke(asked)
    told = [(e.name, e.grant) for e in events]  # type: ignore[attr-defined]
    granted, revoked = "permission.granted", "permission.revoked"
    assert told == [(granted, A), (granted, B), (revoked, A), (revoked, B)]
    assert [(str(e.action), e.item) for e in reversed(grants.audit(GAIN))] == [
        ("granted", A),
        ("granted", B),
        ("revoked", A),
        ("revoked", B),
    ]


def test_a_wider_grant_than_asked_is_refused_whole(grants: Grants, asking: Asking) -> None:
    """Not even the part that is asked for is granted along with it."""
    asked = asking(hosts=["*.example.org"])
    with pytest.raises(GrantRefused, match="does not ask"):
        grants.grant(asked, [parse_grant(A), parse_grant("host:https://*")])
    assert not grants.granted(asked)


def test_a_grant_that_is_asked_for_no_longer_counts_no_longer(grants: Grants, asking: Asking) -> None:
    """The same version built anew with fewer wishes: asked and granted are both needed, every time."""
    grants.grant(asking(hosts=["*.example.org"]), [parse_grant(A)])
    assert not grants.granted(asking(hosts=["b.example.org"]))
    assert texts(grants.granted(asking(hosts=["a.example.org"]))) == [A]


def test_of_memory_and_deadlines_there_is_one(grants: Grants, asking: Asking) -> None:
    """A new one takes the old one's place."""
    asked = asking(memory_mib=1024, deadline="patient")
    grants.grant(asked, map(parse_grant, ["memory:1024", "deadline:patient"]))
    grants.grant(asked, map(parse_grant, ["memory:512", "deadline:standard"]))
    assert texts(grants.granted(asked)) == ["deadline:standard", "memory:512"]
    assert grants.missing(asked) == ()


def test_the_home_itself_is_not_for_plugins(grants: Grants, asking: Asking, home: Home) -> None:
    """Who may write there may grant; who may write above may replace it. Reading above is the user's choice."""
    asked = asking(files=[{"path": "/", "access": "read-write"}])
    home.root.mkdir()
    (home.root.parent / "beside").symlink_to("home")
    real = home.root.resolve()
    for folder in [real, real / "data", real.parent / "beside"]:
        for access in ["", ":rw"]:
            with pytest.raises(GrantRefused, match="this program's own"):
                grants.grant(asked, [parse_grant(f"files:{folder}{access}")])
    with pytest.raises(GrantRefused, match="holds this program's own data"):
        grants.grant(asked, [parse_grant(f"files:{real.parent}:rw")])
    assert grants.grant(asked, [parse_grant(f"files:{real.parent}")])
    assert grants.grant(asked, [parse_grant(f"files:{real.parent}/music:rw")])


@pytest.mark.parametrize("folder", ["/", "/proc", "/proc/self", "/dev", "/dev/shm", "/sys/kernel", "/home/../proc"])  # noqa: S108 - not used
def test_the_kernel_s_folders_are_not_for_plugins(grants: Grants, asking: Asking, folder: str) -> None:
    """There are the host's memory and environment, and devices."""
    asked = asking(files=[{"path": "/", "access": "read-write"}])
    with pytest.raises(GrantRefused, match="system"):
        grants.grant(asked, [parse_grant(f"files:{folder}")])


def test_a_home_moved_into_a_granted_folder_takes_the_grant_s_force(asking: Asking, tmp_path: Path) -> None:
    """The rule holds when grants are used, not only when they are made."""
    asked, bus = asking(files=[{"path": str(tmp_path), "access": "read-write"}]), EventBus()
    grants = Grants(Home(tmp_path / "home"), bus)
    granted = parse_grant(f"files:{tmp_path}/music:rw")
    grants.grant(asked, [granted])
    assert grants.granted(asked)
    (tmp_path / "music").mkdir()
    (tmp_path / "home").rename(tmp_path / "music/home")
    assert not Grants(Home(tmp_path / "music/home"), bus).granted(asked)


def test_a_plugin_that_asks_for_nothing_costs_no_look(grants: Grants, asking: Asking, home: Home) -> None:
    """Its music plays even where the database is in ruins."""
    home.root.mkdir()
    home.grants.write_bytes(b"ruins" * 1000)
    assert grants.granted(asking()) == frozenset()
    assert not grants.authority(asking(), Path("/")).granted


# --- a database that cannot be trusted ------------------------------------------------------------------------------


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xff" * 8192)


def _torn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE grants (plugin, version, item, at_ms)")
        other.execute("INSERT INTO grants VALUES (?, '1.0.0', ?, 0)", (GAIN, A))
        other.commit()
    path.chmod(0o600)


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")


def _no_grant(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE grants SET item = 'host:https://*evil'")
        other.commit()


def _not_canonical(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE grants SET item = 'files:/srv/music/../..'")
        other.commit()


def _for_others(path: Path) -> None:
    path.chmod(0o622)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "ruin", [_garbage, _torn, _cut, _foreign, _newer, _no_grant, _not_canonical, _for_others, _link, _folder]
)
def test_a_ruined_database_grants_nothing(
    grants: Grants, asking: Asking, home: Home, ruin: Callable[[Path], None]
) -> None:
    """It is an error with the file's name in it, for reading and for writing, and never an empty or a full answer."""
    asked = asking(hosts=["*.example.org"])
    grants.grant(asked, [parse_grant(A)])
    with contextlib.closing(sqlite3.connect(home.grants)) as last:
        last.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ruin(home.grants)
    uses: list[Callable[[], object]] = [
        lambda: grants.granted(asked),
        lambda: grants.authority(asked, Path("/")),
        lambda: grants.upgraded(asked, asking("2.0.0", hosts=["a.example.org"])),
        lambda: grants.installed(asked),
    ]
    if ruin in {_no_grant, _not_canonical}:
        uses.pop()  # ends grants without reading them
    for use in uses:
        with pytest.raises(StateFailed) as caught:
            use()
        assert str(home.grants) in caught.value.message
    assert caught.value.hint
    DenialLog(grants.ledger, EventBus())(_denial())  # takes it all the same


def test_an_empty_file_is_a_beginning(grants: Grants, asking: Asking, home: Home) -> None:
    """What a process that was killed in the act of making it leaves behind."""
    home.root.mkdir(mode=0o700)
    home.grants.touch(mode=0o600)
    asked = asking(hosts=["*.example.org"])
    assert not grants.granted(asked)
    grants.grant(asked, [parse_grant(A)])
    assert texts(grants.granted(asked)) == [A]


def test_a_locked_database_is_busy(asking: Asking, home: Home, grants: Grants) -> None:
    """A writer that hangs holds up other writers for a while, and no reader at all."""
    asked = asking(hosts=["*.example.org"])
    grants.grant(asked, [parse_grant(A)])
    impatient = Ledger(home.grants, busy_seconds=0.1)
    with contextlib.closing(sqlite3.connect(home.grants, isolation_level=None)) as hanging:
        hanging.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateBusy):
            impatient.put(GAIN, "1.0.0", [parse_grant(B)])
        with pytest.raises(StateBusy):
            impatient.take(GAIN, "1.0.0", [parse_grant(A)])
        assert texts(grants.granted(asked)) == [A]
        DenialLog(impatient, EventBus())(_denial())
    assert texts(grants.granted(asked)) == [A]


READ_ONLY = """
import os, sys, pathlib
from stellatune_plugins.errors import StateFailed
from stellatune_plugins.package.grants import parse_grant
from stellatune_plugins.package.ledger import Ledger
if os.geteuid() == 0:  # root may write anywhere, so it has to be somebody else
    os.chown(sys.argv[1], 65534, 65534)
    os.setresuid(65534, 65534, 65534)
ledger = Ledger(pathlib.Path(sys.argv[1]) / "grants.sqlite3", busy_seconds=0.2)
grant = parse_grant("host:https://a.example.org")
ledger.put("org.example.gain", "1", [grant])
ledger.path.chmod(0o400)
ledger.path.parent.chmod(0o500)
try:
    assert ledger.granted("org.example.gain", "1") == {grant}
    try:
        ledger.take("org.example.gain", "1", [grant])
    except StateFailed as error:
        print(error.code)
finally:
    ledger.path.parent.chmod(0o700)
"""


def test_a_read_only_database_still_says_what_is_granted() -> None:
    """Revoking there fails, and says so."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders let nobody else through
        command = [sys.executable, "-c", READ_ONLY, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert (done.stdout, done.stderr) == ("state-failed\n", "")


# --- several at once ------------------------------------------------------------------------------------------------


GRANTER = """
import pathlib, sys
from stellatune_plugins.package.grants import parse_grant
from stellatune_plugins.package.ledger import Ledger
ledger, mine = Ledger(pathlib.Path(sys.argv[1]), busy_seconds=30), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    grant = parse_grant(f"host:https://h{number}.p{mine}.example")
    ledger.put("org.example.gain", "1.0.0", [grant])
    if number % 2:
        ledger.take("org.example.gain", "1.0.0", [grant])
"""


def test_processes_that_grant_at_once_lose_nothing(home: Home) -> None:
    """The database does not exist yet: they also race for making it."""
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as ends:
        running = [
            ends.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", GRANTER, str(home.grants), str(mine)], stdin=pipe, stdout=pipe, stderr=pipe
                )
            )
            for mine in range(3)
        ]
        for process in running:
            ends.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in running:
            assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)
    expected = sorted(f"host:https://h{number}.p{mine}.example" for mine in range(3) for number in range(0, 20, 2))
    assert texts(Ledger(home.grants).granted(GAIN, "1.0.0")) == expected
    assert len(Ledger(home.grants).audit(GAIN, limit=1000)) == 3 * 30


# --- upgrades -------------------------------------------------------------------------------------------------------

HOSTS: dict[str, Any] = {"permissions": {"hosts": ["*.example.org"]}}
MORE: dict[str, Any] = {"permissions": {"hosts": ["*.example.org", "http://other.example"], "memory_mib": 512}}
LESS: dict[str, Any] = {"permissions": {"hosts": ["a.example.org"]}}
LOCAL: dict[str, Any] = {"permissions": {"hosts": ["*.example.org"], "local_network": True}}


@pytest.fixture
def store(tmp_path: Path, bus: EventBus, home: Home, grants: Grants) -> InstallStore:
    """A store whose packages' grants follow them."""
    return InstallStore(home.plugins, bus, lock_seconds=5, grants=grants)


def test_an_upgrade_that_asks_for_more_is_held(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path]
) -> None:
    """It names what is new and changes nothing; accepted, it goes in, with the old grants and none of the new."""
    old = store.install(make_folder("old", version="1.0.0", **HOSTS))
    grants.grant(old.manifest, [parse_grant(A)])
    new = make_folder("new", version="2.0.0", **MORE)
    with pytest.raises(PermissionsHeld) as caught:
        store.upgrade(new)
    assert caught.value.details["new"] == ["host:http://other.example", "memory:512"]
    assert "--grant host:http://other.example --grant memory:512" in caught.value.hint
    assert store.get(GAIN).version == "1.0.0"
    assert texts(grants.granted(old.manifest)) == [A]

    asked: list[Widening] = []
    upgraded = store.upgrade(new, accept=lambda wider: asked.append(wider) or True)  # type: ignore[func-returns-value]
    assert [wider.items() for wider in asked] == [("host:http://other.example", "memory:512")]
    assert texts(grants.granted(upgraded.manifest)) == [A]
    assert texts(grants.missing(upgraded.manifest)) == ["host:http://other.example", "memory:512"]
    actions = [(e.action, e.item) for e in grants.audit(GAIN) if e.version == "2.0.0"]
    assert (AuditAction.ACCEPTED, "memory:512") in actions
    assert (AuditAction.CARRIED_OVER, A) in actions


@pytest.mark.parametrize("after", [HOSTS, LESS, {"permissions": {}}, {}])
def test_an_upgrade_that_asks_for_no_more_is_not_held(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path], after: dict[str, Any]
) -> None:
    """Grants come along as far as both versions ask for them."""
    old = store.install(make_folder("old", version="1.0.0", **HOSTS))
    grants.grant(old.manifest, [parse_grant(A), parse_grant(B)])
    new = store.upgrade(make_folder("new", version="2.0.0", **after))
    kept = [A] if after is LESS else [] if after == {"permissions": {}} else [A, B]
    assert texts(grants.granted(new.manifest)) == kept


def test_the_local_network_is_new_even_where_no_host_is(store: InstallStore, make_folder: Callable[..., Path]) -> None:
    """It has no grant of its own until a host is named, and is held all the same."""
    store.install(make_folder("old", version="1.0.0", **HOSTS))
    with pytest.raises(PermissionsHeld) as caught:
        store.upgrade(make_folder("new", version="2.0.0", **LOCAL))
    assert caught.value.details["new"] == ["local:*"]


def test_a_version_that_begins_to_state_its_wishes_is_held_for_those_not_granted(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path]
) -> None:
    """Before, what it may ask for was not known; what the user granted by name was."""
    old = store.install(make_folder("old", version="1.0.0"))
    grants.grant(old.manifest, [parse_grant(A)])
    asks = {"permissions": {"hosts": ["a.example.org", "b.example.org"]}}
    with pytest.raises(PermissionsHeld) as caught:
        store.upgrade(make_folder("new", version="2.0.0", **asks))
    assert caught.value.details["new"] == [B]


def test_a_store_without_grants_holds_too(tmp_path: Path, bus: EventBus, make_folder: Callable[..., Path]) -> None:
    """The rule is the store's, whoever embeds it."""
    store = InstallStore(tmp_path / "plugins", bus)
    store.install(make_folder("old", version="1.0.0", **HOSTS))
    with pytest.raises(PermissionsHeld):
        store.upgrade(make_folder("new", version="2.0.0", **MORE))


def test_a_rollback_has_its_own_version_s_grants(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path]
) -> None:
    """Those of the newer one stay with it; an upgrade anew starts from what the older one has then."""
    old = store.install(make_folder("old", version="1.0.0", **HOSTS))
    grants.grant(old.manifest, [parse_grant(A)])
    new = make_folder("new", version="2.0.0", **MORE)
    upgraded = store.upgrade(new, accept=bool)
    grants.grant(upgraded.manifest, [parse_grant("memory:512")])
    grants.revoke(upgraded.manifest, [parse_grant(A)])
    back = store.rollback(GAIN)
    assert texts(grants.granted(back.manifest)) == [A]
    assert texts(grants.granted(store.rollback(GAIN).manifest)) == ["memory:512"]
    store.rollback(GAIN)
    assert texts(grants.granted(store.upgrade(new, accept=bool).manifest)) == [A]


def test_versions_that_are_gone_leave_no_grants(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path]
) -> None:
    """Two upgrades on, a way down to the first version starts without what it once had."""
    first = store.install(make_folder("one", version="1.0.0", **HOSTS))
    grants.grant(first.manifest, [parse_grant(A)])
    second = store.upgrade(make_folder("two", version="2.0.0", **HOSTS))
    grants.revoke(second.manifest)
    store.upgrade(make_folder("three", version="3.0.0", **HOSTS))
    down = store.upgrade(make_folder("again", version="1.0.0", **HOSTS, files={"x": b""}), allow_downgrade=True)
    assert not grants.granted(down.manifest)


def test_running_unsandboxed_is_granted_anew(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path]
) -> None:
    """Another version's program is another program."""
    asks = {"permissions": {"sidecars": [{"id": "helper"}]}}
    old = store.install(make_folder("old", version="1.0.0", **asks))
    grants.grant(old.manifest, map(parse_grant, ["sidecar:helper", "unsandboxed:helper"]))
    new = store.upgrade(make_folder("new", version="2.0.0", **asks))
    assert texts(grants.granted(new.manifest)) == ["sidecar:helper"]


def test_other_files_of_the_same_version_are_another_version(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path]
) -> None:
    """Its program is another one, and what was not asked for in between is granted anew, too."""
    asks = {"permissions": {"sidecars": [{"id": "helper"}], **HOSTS["permissions"]}}
    less = {"permissions": {"sidecars": [{"id": "helper"}]}}
    old = store.install(make_folder("old", version="1.0.0", **asks))
    wanted = ["sidecar:helper", "unsandboxed:helper", "host:*.example.org"]
    assert len(grants.grant(old.manifest, map(parse_grant, wanted))) == 3
    store.upgrade(make_folder("less", version="1.0.0", **less))
    again = store.upgrade(make_folder("again", version="1.0.0", **asks, files={"x": b""}), accept=lambda _: True)
    assert texts(grants.granted(again.manifest)) == ["sidecar:helper"]


@pytest.mark.parametrize("defer", [False, True])
def test_a_plugin_of_the_same_name_inherits_nothing(
    store: InstallStore, grants: Grants, make_folder: Callable[..., Path], *, defer: bool
) -> None:
    """An uninstall ends the grants, and so does an install after one that could not."""
    folder = make_folder("old", version="1.0.0", **HOSTS)
    old = store.install(folder)
    grants.grant(old.manifest, [parse_grant(A)])
    store.uninstall(GAIN, defer=defer)
    assert not grants.granted(old.manifest)
    grants.grant(old.manifest, [parse_grant(A)])  # as if the uninstall could not
    assert not grants.granted(store.install(folder).manifest)


def test_an_upgrade_whose_grants_cannot_be_carried_changes_nothing(
    store: InstallStore, grants: Grants, home: Home, make_folder: Callable[..., Path]
) -> None:
    """Better the old version with its grants than the new one without."""
    old = store.install(make_folder("old", version="1.0.0", **HOSTS))
    grants.grant(old.manifest, [parse_grant(A)])
    _garbage(home.grants)
    with pytest.raises(StateDamaged):
        store.upgrade(make_folder("new", version="2.0.0", **HOSTS))
    assert store.get(GAIN).version == "1.0.0"
    assert store.uninstall(GAIN) is None  # this goes, and does not come back while nobody knows its grants
    with pytest.raises(StateDamaged):
        store.install(make_folder("old", version="1.0.0", **HOSTS))


# --- denials --------------------------------------------------------------------------------------------------------


def _denial(wanted: str = "https://x.org", plugin: str = GAIN, grant: str | None = "host:https://x.org") -> Denial:
    return Denial(plugin=PluginId(plugin), version="1.0.0", what="connect to", wanted=wanted, grant=grant)


def test_the_same_denial_is_one_line(grants: Grants, bus: EventBus) -> None:
    """Counted, with its first and its last moment."""
    now = [0.0]
    log = DenialLog(grants.ledger, bus, clock=lambda: now[0])
    with bus.recording() as events:
        for _ in range(10):
            log(_denial())
    assert len(events) == 10
    (line,) = grants.audit(GAIN)
    assert (line.action, line.item, line.times) == (AuditAction.DENIED, "host:https://x.org", 10)
    assert line.detail == "'connect to https://x.org'"


def test_a_flood_of_denials_is_counted_and_not_written(grants: Grants, bus: EventBus, home: Home) -> None:
    """A guest that wants a million things makes a few dozen lines and events, and not a file that grows."""
    now = [0.0]
    log = DenialLog(grants.ledger, bus, clock=lambda: now[0])
    with bus.recording() as events:
        for number in range(5000):
            now[0] += 0.001
            log(_denial(f"https://{number}.x.org/" + "y" * 10000))
        now[0] += 60
        log(_denial("https://last.x.org"))
        log.close()
        log.close()
    lines = grants.audit(GAIN, limit=10000)
    assert sum(line.times for line in lines) == 5001
    assert len(events) == len([line for line in lines if line.times == 1]) < 40
    assert sum(e.unsaid for e in events) > 4900  # type: ignore[attr-defined]
    assert max(len(e.wanted) for e in events) <= 1024  # type: ignore[attr-defined]
    assert home.grants.stat().st_size < 200_000


def test_denials_push_out_denials_and_never_decisions(grants: Grants, asking: Asking) -> None:
    """However long a guest goes on, what the user decided stays in the record; nor do decisions pile up for ever."""
    asked = asking(hosts=["*.example.org"])
    grants.grant(asked, [parse_grant(A)])
    for number in range(KEPT_DENIALS + 10):
        grants.ledger.record_denial(_denial(f"https://{number}.x.org"))
    lines = grants.audit(GAIN, limit=10000)
    assert len(lines) == KEPT_DENIALS + 1
    assert any(line.item == A for line in lines)
    assert any("209.x.org" in line.detail for line in lines)
    assert not any("/0.x.org" in line.detail or "//9.x.org" in line.detail for line in lines)
    with contextlib.closing(sqlite3.connect(grants.ledger.path)) as other:
        other.executemany(
            "INSERT INTO audit (plugin, version, action, item, detail, first_ms, last_ms, times)"
            " VALUES (?, '1', 'granted', ?, '', 0, 0, 1)",
            [(GAIN, str(number)) for number in range(KEPT_DECISIONS + 100)],
        )
        other.commit()
    grants.revoke(asked)
    assert len(grants.audit(GAIN, limit=10000)) == KEPT_DENIALS + KEPT_DECISIONS


def test_plugins_do_not_use_up_each_other_s_share(grants: Grants, bus: EventBus) -> None:
    """One that floods does not keep another's denial from being told."""
    log = DenialLog(grants.ledger, bus, clock=lambda: 0.0)
    for number in range(1000):
        log(_denial(f"https://{number}.x.org"))
    with bus.recording() as events:
        log(_denial(plugin="org.example.other"))
    assert len(events) == 1
    newest = log.newest(GAIN, since=0.0)
    assert newest is not None
    assert newest.wanted == "https://999.x.org"
    assert log.newest(GAIN, since=1.0) is None


def test_text_of_a_guest_is_harmless_in_the_record(grants: Grants) -> None:
    """SQL, terminal escapes, lone surrogates: quoted and cut."""
    for wanted in ["'); DROP TABLE grants; --", "\x1b]0;x\x07", "\ud800", "x" * 10**6, "\0"]:
        grants.ledger.record_denial(_denial(wanted, grant=None))
    lines = grants.audit(GAIN)
    assert len(lines) == 5
    assert all(line.detail.isascii() and line.detail.isprintable() and len(line.detail) <= 256 for line in lines)
