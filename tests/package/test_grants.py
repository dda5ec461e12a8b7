"""Grants as texts, what of them a manifest asks for, and hosts by pattern."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.errors import UsageError
from stellatune_plugins.package import (
    Manifest,
    asked_grants,
    canonical_host,
    host_text,
    is_asked,
    parse_grant,
    parse_host,
    parse_manifest,
)
from stellatune_plugins.package.grants import stored_grant
from stellatune_plugins.package.hosts import covers, matches

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def asking(make_manifest: Make) -> Callable[..., Manifest]:
    """Make manifests that ask for something."""

    def make(declared: object = None, **permissions: Any) -> Manifest:
        return parse_manifest(json.dumps(make_manifest(permissions=permissions, sidecars=declared)).encode())

    return make


# --- texts ----------------------------------------------------------------------------------------------------------

CANONICAL = {
    "host:api.example.org": "host:https://api.example.org",
    "host:https://API.Example.org.:443": "host:https://api.example.org",
    "host:http://*.example.org:80": "host:http://*.example.org",
    "host:https://*": "host:https://*",
    "host:https://*:*": "host:https://*:*",
    "host:tcp://192.0.2.1:6600": "host:tcp://192.0.2.1:6600",
    "local:http://[0:0::1]:4533": "local:http://[::1]:4533",
    "local:http://127.0.0.1": "local:http://127.0.0.1",
    "files:/srv/../srv/music/": "files:/srv/music",
    "files:/srv/music:rw": "files:/srv/music:rw",
    "sidecar:helper": "sidecar:helper",
    "sidecar-network:bin/helper": "sidecar-network:bin/helper",
    "sidecar-audio:helper": "sidecar-audio:helper",
    "unsandboxed:helper": "unsandboxed:helper",
    "memory:512": "memory:512",
    "deadline:patient": "deadline:patient",
}


@pytest.mark.parametrize(("text", "canonical"), CANONICAL.items())
def test_a_grant_has_one_spelling(text: str, canonical: str) -> None:
    """However it is written, it is kept in one form, which reads back as itself."""
    grant = parse_grant(text)
    assert str(grant) == canonical
    assert parse_grant(canonical) == grant


NO_GRANTS = [
    "", "all", "host", "host:", "hosts:x.org", "host:ftp://x.org", "host:https://user@x.org", "host:https://x.org/path",
    "host:https://x.org?", "host:https://x.org#", "host:https://x.org:0", "host:https://x.org:00", "host:x.org:65536",
    "host:tcp://x.org", "host:https://*.org", "host:https://*x.org", "host:https://x.*.org", "host:https://**",
    "host:https://*.192.0.2.1", "host:https://127.1", "host:https://0x7f000001", "host:https://x.0x7f",
    "host:https://0177.0.0.1.", "host:https://1.2.3.4.", "host:https://münchen.example", "host:https://x..org",
    "host:https://-x.org", "host:https://x_y.org", "host:https://[fe80::1%eth0]", "host:https://[::1", "host:https://::1",
    "host: https://x.org", "host:https://x.org ", "host:https://x\n.org", "host:https://x.org\\@y.org",
    "host:https://\uff45xample.org", "host:https://x\u3002org", "local:http://*", "local:http://*.lan.example",
    "local:http://nas:*", "local:127.0.0.1/8", "files:music", "files:./music", "files:~other/music", "files:/a\0b",
    "files:/a\nb", "files:/a:rw:rw", "sidecar:", "sidecar:a\u202eb", "memory:0", "memory:-1", "memory:1e3",
    "memory:9999", "memory:\u0663", "deadline:eternal", "deadline:", "x" * 5000, "files:/" + "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", NO_GRANTS)
def test_what_is_no_grant_is_refused(text: str) -> None:
    """With a word on how to write it, and never taken for something else."""
    with pytest.raises(UsageError) as caught:
        parse_grant(text)
    assert caught.value.hint


def test_a_home_is_expanded_and_links_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~/`` is this user's home, by its real name where the home itself is a link; so no link hides in a grant."""
    (tmp_path / "real/Music").mkdir(parents=True)
    (tmp_path / "home").symlink_to("real")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    real = tmp_path.resolve() / "real"
    assert str(parse_grant("files:~/Music:rw")) == f"files:{real}/Music:rw"
    assert str(parse_grant("files:~")) == f"files:{real}"
    assert str(parse_grant(f"files:{tmp_path}/home/later")) == f"files:{real}/later"


def test_a_folder_named_like_an_access_grants_no_access(tmp_path: Path) -> None:
    """A folder whose real name ends in ``:rw`` cannot turn a read grant into one for writing its neighbour."""
    (tmp_path / "music:rw").mkdir()
    (tmp_path / "link").symlink_to("music:rw")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError):
        parse_grant(f"files:{tmp_path}/link")
    assert parse_grant(f"files:{tmp_path}/loop").files.path.endswith("/loop")  # a loop is a name like any other


# --- hosts ----------------------------------------------------------------------------------------------------------

REACHED = [
    ("https://api.example.org", "https", "api.example.org", 443, True),
    ("https://api.example.org", "https", "api.example.org", 8443, False),
    ("https://api.example.org", "http", "api.example.org", 443, False),
    ("https://api.example.org", "https", "xapi.example.org", 443, False),
    ("https://api.example.org", "https", "api.example.org.evil.example", 443, False),
    ("https://api.example.org:8443", "https", "api.example.org", 443, False),
    ("https://api.example.org:*", "https", "api.example.org", 9, True),
    ("https://*.example.org", "https", "a.example.org", 443, True),
    ("https://*.example.org", "https", "a.b.example.org", 443, True),
    ("https://*.example.org", "https", "example.org", 443, False),
    ("https://*.example.org", "https", "evilexample.org", 443, False),
    ("https://*.example.org", "https", "example.org.evil.example", 443, False),
    ("https://*", "https", "example.org", 443, True),
    ("https://*", "https", "192.0.2.1", 443, False),
    ("https://*", "https", "[2001:db8::1]", 443, False),
    ("https://*", "tcp", "example.org", 443, False),
    ("https://192.0.2.1", "https", "192.0.2.1", 443, True),
    ("https://[2001:db8::1]", "https", "[2001:db8::1]", 443, True),
    ("tcp://mpd.example.org:6600", "tcp", "mpd.example.org", 6600, True),
    ("tcp://mpd.example.org:6600", "udp", "mpd.example.org", 6600, False),
]


@pytest.mark.parametrize(("pattern", "scheme", "host", "port", "reached"), REACHED)
def test_a_pattern_holds_what_it_says(pattern: str, scheme: str, host: str, port: int, *, reached: bool) -> None:
    """Whole labels, one scheme, one port; wildcards never hold addresses."""
    parsed = parse_host(pattern)
    assert parsed is not None
    assert matches(parsed, scheme, host, port) is reached


COVERED = [
    ("https://*", "https://music.example.org", True),
    ("https://*", "https://*.example.org", True),
    ("https://*", "https://192.0.2.1", True),
    ("https://*", "https://music.example.org:8443", False),
    ("https://*:*", "https://music.example.org:8443", True),
    ("https://*:*", "http://music.example.org:8443", False),
    ("https://*.example.org", "https://a.example.org", True),
    ("https://*.example.org", "https://*.example.org", True),
    ("https://*.example.org", "https://*.a.example.org", True),
    ("https://*.example.org", "https://example.org", False),
    ("https://*.example.org", "https://*.evilexample.org", False),
    ("https://*.example.org", "https://*", False),
    ("https://*.a.example.org", "https://*.example.org", False),
    ("https://a.example.org", "https://a.example.org:*", False),
    ("https://a.example.org", "https://*", False),
    ("https://192.0.2.1", "https://192.0.2.2", False),
]


@pytest.mark.parametrize(("asked", "granted", "covered"), COVERED)
def test_a_grant_is_never_wider_than_what_is_asked(asked: str, granted: str, *, covered: bool) -> None:
    """Narrower it may be: one server where any was asked for."""
    wide, narrow = parse_host(asked), parse_host(granted)
    assert wide is not None
    assert narrow is not None
    assert covers(wide, narrow) is covered


_LABEL = st.sampled_from(["a", "b", "example", "org", "xn--mnchen-3ya"])
_NAME = st.lists(_LABEL, min_size=1, max_size=4).map(".".join)
_PATTERN = st.builds(
    lambda scheme, star, name, port: f"{scheme}://{'*' if star == '*' else star + name}{port}",
    st.sampled_from(["https", "http"]),
    st.sampled_from(["", "*.", "*"]),
    _NAME,
    st.sampled_from(["", ":*", ":8443"]),
)


@given(_PATTERN, _PATTERN, st.sampled_from(["https", "http"]), _NAME, st.sampled_from([80, 443, 8443]))
def test_covering_means_holding_less(asked: str, granted: str, scheme: str, host: str, port: int) -> None:
    """Whatever a covered pattern holds, the covering one holds too: names, of all schemes and ports."""
    wide, narrow = parse_host(asked), parse_host(granted)
    if wide is not None and narrow is not None and covers(wide, narrow) and matches(narrow, scheme, host, port):
        assert matches(wide, scheme, host, port)


@given(st.text(max_size=40) | _PATTERN)
def test_a_host_reads_back(text: str) -> None:
    """Any text is no host, or has a canonical form that means the same."""
    host = parse_host(text)
    if host is not None:
        assert parse_host(host_text(host)) == host


@given(st.text(max_size=40))
def test_canonical_is_canonical(text: str) -> None:
    """Doing it twice changes nothing."""
    host = canonical_host(text)
    assert host is None or canonical_host(host) == host


# --- asking ---------------------------------------------------------------------------------------------------------


def test_all_is_what_is_asked_and_nothing_unsandboxed(asking: Callable[..., Manifest], tmp_path: Path) -> None:
    """Every request becomes its grant; local ones only where they are addresses."""
    manifest = asking(
        files=[{"path": str(tmp_path), "access": "read-write"}, {"path": "/srv/music"}],
        hosts=["api.example.org", "http://192.168.1.2:4533", "https://*"],
        local_network=True,
        sidecar=True,
        sidecars=[{"id": "bin/other", "network": True}, {"id": "player", "network": True}],
        memory_mib=512,
        deadline="patient",
    )
    assert [str(grant) for grant in asked_grants(manifest)] == [
        "host:https://api.example.org",
        "host:http://192.168.1.2:4533",
        "host:https://*",
        "local:http://192.168.1.2:4533",
        f"files:{tmp_path.resolve()}:rw",
        "files:/srv/music",
        "sidecar:bin/other",
        "sidecar-network:bin/other",
        "sidecar:player",
        "sidecar-network:player",
        "memory:512",
        "deadline:patient",
    ]
    assert all(is_asked(manifest, grant) for grant in asked_grants(manifest))


def test_a_sidecar_s_needs_are_asked_for_with_it(asking: Callable[..., Manifest]) -> None:
    """What the declared sidecar needs belongs to the request, and to no other sidecar."""
    declared = [{"id": "player", "executable": "bin/p", "needs": ["audio"]}, {"id": "other", "executable": "bin/o"}]
    every, one, none = asking(declared, sidecar=True), asking(declared, sidecars=[{"id": "player"}]), asking(declared)
    assert [str(g) for g in asked_grants(every)] == ["sidecar:other", "sidecar:player", "sidecar-audio:player"]
    assert [str(g) for g in asked_grants(one)] == ["sidecar:player", "sidecar-audio:player"]
    assert asked_grants(none) == ()


ASKS = {
    "hosts": ["*.example.org"],
    "files": [{"path": "/srv/music"}],
    "sidecars": [{"id": "player", "audio": True}],
    "memory_mib": 512,
    "deadline": "standard",
}

WIDER = [
    "host:https://*", "host:http://a.example.org", "host:https://a.example.org:*", "host:https://evilexample.org",
    "local:https://a.example.org", "files:/srv/music:rw", "files:/srv", "files:/", "files:/srv/music2",
    "files:/srv/music/../other", "sidecar:other", "sidecar-network:player", "sidecar-audio:other", "unsandboxed:other",
    "memory:513", "deadline:patient",
]  # fmt: skip

WITHIN = [
    "host:https://a.example.org", "host:https://*.b.example.org", "files:/srv/music", "files:/srv/music/jazz",
    "sidecar:player", "sidecar-audio:player", "unsandboxed:player", "memory:512", "memory:1", "deadline:interactive",
]  # fmt: skip


@pytest.mark.parametrize(("text", "asked"), [*((t, False) for t in WIDER), *((t, True) for t in WITHIN)])
def test_asked_is_what_lies_within_a_request(asking: Callable[..., Manifest], text: str, *, asked: bool) -> None:
    """No grant reaches past a request in any direction."""
    assert is_asked(asking(**ASKS), parse_grant(text)) is asked


def test_whoever_states_nothing_leaves_it_to_the_user(make_manifest: Make, asking: Callable[..., Manifest]) -> None:
    """One from before permissions may be given anything by name; one that states that it needs nothing may not."""
    silent = parse_manifest(json.dumps(make_manifest()).encode())
    assert asked_grants(silent) == ()
    for text in (*WIDER, *WITHIN):
        assert is_asked(silent, parse_grant(text))
        assert not is_asked(asking(), parse_grant(text)) or text == "deadline:interactive"  # less than by default


def test_a_link_in_place_of_an_asked_folder_grants_nothing(asking: Callable[..., Manifest], tmp_path: Path) -> None:
    """A grant for a folder counts for that folder, not for what a link makes of its name later."""
    music = tmp_path / "music"
    music.mkdir()
    manifest, grant = asking(files=[{"path": str(music)}]), parse_grant(f"files:{music}")
    assert is_asked(manifest, grant)
    music.rmdir()
    music.symlink_to("/etc")
    assert not is_asked(manifest, grant)


# --- what is kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", CANONICAL)
def test_what_is_kept_reads_back(text: str) -> None:
    """To the letter, and nothing but what was written so."""
    grant = parse_grant(text)
    assert stored_grant(str(grant)) == grant
    if text != str(grant):
        assert stored_grant(text) is None


@pytest.mark.parametrize(
    "text", [*(t for t in NO_GRANTS if len(t) < 1000), "files:relative", "files:/a/../b", "files:/a/"]
)
def test_what_was_never_written_is_not_read(text: str) -> None:
    """A row that somebody put there by hand, or a bit that fell over."""
    assert stored_grant(text) is None


def test_a_kept_folder_is_not_resolved_again(tmp_path: Path) -> None:
    """A link that came after the grant does not move the grant to where it leads."""
    folder = tmp_path.resolve() / "music"
    folder.mkdir()
    kept = str(parse_grant(f"files:{folder}"))
    folder.rmdir()
    folder.symlink_to("/etc")
    grant = stored_grant(kept)
    assert grant is not None
    assert grant.files.path == str(folder)
    assert parse_grant(kept).files.path == "/etc"


@given(st.text(max_size=60))
def test_no_text_is_kept_in_two_ways(text: str) -> None:
    """Reading back is strict for any text at all."""
    grant = stored_grant(text)
    assert grant is None or str(grant) == text
