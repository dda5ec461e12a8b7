"""What a plugin may do: asked and granted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.errors import StoreFailed
from stellatune_plugins.model import PluginId
from stellatune_plugins.package import (
    Authority,
    DeadlineTier,
    Denial,
    FileAccess,
    FilePermission,
    SidecarGrant,
    parse_grant,
    parse_manifest,
)

Make = Callable[..., dict[str, Any]]
Authorise = Callable[..., Authority]


@pytest.fixture
def authority(make_manifest: Make, tmp_path: Path) -> Authorise:
    """Make authorities: ``authority(["host:..."], hosts=[...])``; ``stated=False`` for a manifest that says nothing."""

    def make(
        granted: Iterable[str] = (),
        *,
        stated: bool = True,
        declared: object = None,
        heard: list[Denial] | None = None,
        **permissions: Any,
    ) -> Authority:
        data = make_manifest(permissions=permissions if stated else None, sidecars=declared)
        return Authority.of(
            parse_manifest(json.dumps(data).encode()),
            tmp_path / "package",
            tmp_path / "data" / "org.example.gain",
            map(parse_grant, granted),
            on_denied=heard.append if heard is not None else None,
        )

    return make


ASKED: dict[str, Any] = {"hosts": ["api.example.org"], "sidecars": [{"id": "player", "network": True, "audio": True}]}
GRANTED = ["host:https://api.example.org", "sidecar:player", "sidecar-audio:player"]


@pytest.mark.parametrize(("asks", "grants"), [(False, False), (True, False), (False, True), (True, True)])
def test_it_takes_both_to_allow(authority: Authorise, *, asks: bool, grants: bool) -> None:
    """Asked alone and granted alone are denied."""
    made = authority(GRANTED if grants else (), **(ASKED if asks else {}))
    allowed = asks and grants
    assert made.may_connect("https", "api.example.org", 443) is allowed
    assert made.sidecar("player") == (SidecarGrant(id="player", audio=True) if allowed else None)
    assert (made.granted != frozenset()) is allowed


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("api.example.org", True),
        ("API.Example.ORG", True),
        ("api.example.org.", True),
        ("api.example.org..", False),
        ("evilapi.example.org", False),
        ("api.example.org:443", False),
        ("user@api.example.org", False),
        ("api.example.org/", False),
        ("api\u3002example.org", False),
        ("\uff41pi.example.org", False),
        ("api.example.org\0", False),
        ("", False),
        ("*", False),
        ("*.example.org", False),
    ],
)
def test_other_spellings_reach_the_same_host_or_none(authority: Authorise, host: str, *, allowed: bool) -> None:
    """Case and one trailing dot are the same name; what only looks like it is not."""
    assert authority(GRANTED, **ASKED).may_connect("https", host, 443) is allowed


def test_a_local_grant_is_one_host_and_one_port(authority: Authorise) -> None:
    """The neighbour's port, the other scheme, the name instead of the address: all denied."""
    made = authority(["local:http://127.0.0.1:4533", "local:http://[::1]:80"], local_network=True)
    for scheme, host, port, allowed in [
        ("http", "127.0.0.1", 4533, True),
        ("http", "[::1]", 80, True),
        ("http", "::1", 80, True),
        ("http", "0:0:0:0:0:0:0:1", 80, True),
        ("http", "127.0.0.1", 80, False),
        ("https", "127.0.0.1", 4533, False),
        ("tcp", "127.0.0.1", 4533, False),
        ("http", "localhost", 4533, False),
        ("http", "127.1", 4533, False),
        ("http", "[::ffff:127.0.0.1]", 4533, False),
    ]:
        assert made.may_reach_local(scheme, host, port) is allowed, host
        assert made.may_connect(scheme, host, port) is allowed, host
    public = authority(["host:https://*"], hosts=["*"], local_network=True)
    assert public.may_connect("https", "nas.example", 443)
    assert not public.may_reach_local("https", "nas.example", 443)


def test_its_own_folders_are_there_without_a_grant(authority: Authorise, tmp_path: Path) -> None:
    """The package to read, the data folder to write; the latter is made on demand, for this user alone."""
    made = authority()
    assert not (tmp_path / "data").exists()
    assert made.file_roots() == (
        FilePermission(str(tmp_path / "package"), FileAccess.READ),
        FilePermission(str(tmp_path / "data/org.example.gain"), FileAccess.READ_WRITE),
    )
    assert made.data.stat().st_mode & 0o777 == 0o700


def test_a_data_folder_that_is_no_folder_is_refused(authority: Authorise, tmp_path: Path) -> None:
    """A link in its place leads nowhere; neither does a file."""
    (tmp_path / "data").mkdir()
    place = tmp_path / "data/org.example.gain"
    place.symlink_to("/")
    with pytest.raises(StoreFailed, match="is a link"):
        _ = authority().data
    place.unlink()
    place.write_text("")
    with pytest.raises(StoreFailed, match="cannot be made"):
        authority().file_roots()


def test_granted_folders_are_roots(authority: Authorise, tmp_path: Path) -> None:
    """Each with its access, except for one that a root as permissive holds.

    A root that may be written to could otherwise have the inner one replaced by a link.
    """
    music = tmp_path.resolve() / "music"
    (music / "jazz").mkdir(parents=True)
    (music / "pop").mkdir()
    made = authority(
        [f"files:{music}", f"files:{music}/jazz:rw", f"files:{music}/pop"],
        files=[{"path": str(music), "access": "read-write"}],
    )
    assert made.file_roots()[2:] == (
        FilePermission(str(music), FileAccess.READ),
        FilePermission(str(music / "jazz"), FileAccess.READ_WRITE),
    )
    both = authority([f"files:{music}:rw", f"files:{music}/jazz"], files=[{"path": "/", "access": "read-write"}])
    assert both.file_roots()[2:] == (FilePermission(str(music), FileAccess.READ_WRITE),)


def test_a_folder_that_became_a_link_is_no_root_any_more(authority: Authorise, tmp_path: Path) -> None:
    """Neither when it was made before this authority nor after; no manifest makes a difference."""
    inner = tmp_path.resolve() / "music/inner"
    inner.mkdir(parents=True)
    grants = [f"files:{inner}"]
    silent, asked = authority(grants, stated=False), authority(grants, files=[{"path": str(inner)}])
    assert len(silent.file_roots()) == len(asked.file_roots()) == 3
    inner.rmdir()
    inner.symlink_to("/etc")
    assert len(silent.file_roots()) == len(asked.file_roots()) == 2


@pytest.mark.parametrize(
    ("asked", "granted", "effective"),
    [
        (None, [], None),
        (64, [], 64),
        (256, [], 256),
        (512, [], None),
        (512, ["memory:512"], 512),
        (512, ["memory:300"], 300),
        (512, ["memory:4096"], None),
        (None, ["memory:512"], None),
        (64, ["memory:32"], 32),
    ],
)
def test_memory_above_the_default_takes_a_grant(
    authority: Authorise, asked: int | None, granted: list[str], effective: int | None
) -> None:
    """Below it a plugin may bind itself; a grant wider than the request is none."""
    assert authority(granted, memory_mib=asked).memory_mib == effective


def test_longer_deadlines_take_a_grant(authority: Authorise) -> None:
    """Shorter ones do not."""
    assert authority().deadline_tier is DeadlineTier.STANDARD
    assert authority(deadline="interactive").deadline_tier is DeadlineTier.INTERACTIVE
    assert authority(deadline="patient").deadline_tier is DeadlineTier.STANDARD
    assert authority(["deadline:patient"], deadline="patient").deadline_tier is DeadlineTier.PATIENT
    assert authority(["deadline:patient"], deadline="interactive").deadline_tier is DeadlineTier.INTERACTIVE
    assert authority(["deadline:patient"], stated=False).deadline_tier is DeadlineTier.PATIENT


def test_unsandboxed_alone_runs_nothing(authority: Authorise) -> None:
    """It lifts the sandbox off a sidecar that may be run, no more."""
    asked: dict[str, Any] = {"sidecars": [{"id": "player"}]}
    assert authority(["unsandboxed:player"], **asked).sidecar("player") is None
    both = authority(["unsandboxed:player", "sidecar:player"], **asked).sidecar("player")
    assert both == SidecarGrant(id="player", unsandboxed=True)


def test_a_denial_is_told_and_says_what_would_allow_it(authority: Authorise) -> None:
    """The failure carries the case for the guest and the command for the user, safe for a shell and a terminal."""
    heard: list[Denial] = []
    made = authority(heard=heard)
    error = made.denied("connect to", "https://x.org/\x1b[2J", "host:https://x.org")
    assert error.case == "denied"
    assert error.hint == "`stellatune plugin permissions org.example.gain --grant host:https://x.org` allows it"
    assert error.message.isprintable()
    assert heard == [
        Denial(
            plugin=PluginId("org.example.gain"),
            version="1.0.0",
            what="connect to",
            wanted="https://x.org/\x1b[2J",
            grant="host:https://x.org",
        )
    ]
    hint = made.denied("open the file", "/a b/c'd", "files:/a b/c'd").hint
    assert shlex.split(hint.split("`")[1])[-1] == "files:/a b/c'd"
    assert "no grant allows this" in made.denied("open the file", "x", None).hint


@pytest.mark.parametrize("plugin", ["", "..", "../x", "a/b", "A", "a\0b", "x" * 129, ".hidden", "a..b"])
def test_a_hostile_id_has_no_authority(plugin: str, tmp_path: Path) -> None:
    """It would become the name of a data folder."""
    with pytest.raises(ValueError, match="is no plugin id"):
        Authority(PluginId(plugin), "1", tmp_path, tmp_path / "data")
