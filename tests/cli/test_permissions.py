"""Permissions on the command line: asked for, granted, refused, carried over."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stellatune_plugins.cli.app import run as run_here
from stellatune_plugins.cli.bundled import bundled_packages

GAIN = "dev.stellatune.gain"
A, B = "host:https://a.example.org", "host:http://b.example.org:8080"
ASKS = {"hosts": ["a.example.org", "http://b.example.org:8080"]}

Run = Callable[..., "Done"]
Start = Callable[..., "subprocess.Popen[bytes]"]
Asking = Callable[..., Path]


class Done:
    """What one command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it should be."""
        return json.loads(self.out)


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this home and in this process: starting the program takes longer than most commands."""
    monkeypatch.setenv("STELLATUNE_HOME", str(home))

    def run(*arguments: str | Path) -> Done:
        capfd.readouterr()
        code = run_here([str(argument) for argument in arguments])
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    """Make zips of the gain plugin that ask for something: ``asking("1.0.0", hosts=[...])``."""

    def make(version: str, **permissions: Any) -> Path:
        path = tmp_path / f"asking-{version}.zip"
        folder = bundled_packages()[GAIN]
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    data = file.read_bytes()
                    if file.name == "plugin.json":
                        changes = {"version": version, "permissions": permissions}
                        data = json.dumps(json.loads(data) | changes).encode()
                    archive.writestr(file.relative_to(folder).as_posix(), data)
        return path

    return make


def test_without_a_terminal_nothing_is_granted(run: Run, asking: Asking) -> None:
    """The plugin is installed, the line says what it lacks and how to grant it, and so does the doctor."""
    done = run("plugin", "install", asking("1.0.0", **ASKS))
    assert (done.code, done.err) == (0, "")
    assert "asks to, and may not: connect to a.example.org by https; connect to b.example.org on port 8080" in done.out
    assert f"`stellatune plugin permissions {GAIN} --grant all` grants it" in done.out
    shown = run("plugin", "permissions", GAIN, "--json").json
    assert [(item["grant"], item["granted"]) for item in shown["asked"]] == [(A, "no"), (B, "no")]
    assert (shown["granted"], shown["stated"], shown["version"]) == ([], True, "1.0.0")
    assert "asks for what it was not granted" in run("doctor").out


def test_flags_grant_at_installation(run: Run, asking: Asking) -> None:
    """By name, and kept: a later command sees it."""
    done = run("plugin", "install", asking("1.0.0", **ASKS), "--grant", "host:a.example.org.", "--json")
    assert (done.code, done.err) == (0, "")
    (installed,) = done.json["installed"]
    assert (installed["granted"], installed["not_granted"]) == ([A], [B])
    info = run("plugin", "info", GAIN, "--json").json
    assert info["granted"] == [A]
    assert info["asks_for"] == ["connect to a.example.org by https", "connect to b.example.org on port 8080 by http"]
    text = run("plugin", "info", GAIN).out
    assert f"granted:         {A}" in text


@pytest.mark.parametrize(
    ("flag", "code", "error"), [("host:c.example.org", 1, "grant-refused"), ("nonsense", 2, "usage")]
)
def test_a_flag_of_no_use_installs_nothing(run: Run, asking: Asking, flag: str, code: int, error: str) -> None:
    """What is not asked for, or is no grant, is found before anything changes."""
    done = run("plugin", "install", asking("1.0.0", **ASKS), "--grant", flag, "--json")
    assert (done.code, done.json["error"]["code"]) == (code, error)
    assert run("plugin", "list", "--json").json["installed"] == []


def test_a_grant_by_name_is_for_one_package(run: Run, asking: Asking) -> None:
    """With several packages, nobody knows whose it is."""
    done = run("plugin", "install", asking("1.0.0", **ASKS), "limiter", "--grant", A, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "usage")


def test_granting_and_revoking(run: Run, asking: Asking, home: Path) -> None:
    """All that is asked for, then one of it back; the record has every step, and none of it is granted elsewhere."""
    run("plugin", "install", asking("1.0.0", **ASKS))
    granted = run("plugin", "permissions", GAIN, "--grant", "all", "--json")
    assert granted.json["newly_granted"] == [B, A]
    wider = run("plugin", "permissions", GAIN, "--revoke", A, "--grant", "host:https://*", "--json")
    assert (wider.code, wider.json["error"]["code"]) == (1, "grant-refused")
    assert run("plugin", "permissions", GAIN, "--json").json["asked"][0]["granted"] == "yes"  # not revoked either
    text = run("plugin", "permissions", GAIN, "--revoke", A, "--audit")
    assert text.out.splitlines()[0] == f"revoked {A}"
    lines = text.out.splitlines()
    assert any(line.split()[:2] == [A, "no"] for line in lines)
    assert any(line.split()[:2] == [B, "yes"] for line in lines)
    audit = run("plugin", "permissions", GAIN, "--audit", "--json").json["audit"]
    assert [(line["action"], line["item"]) for line in audit] == [("revoked", A), ("granted", A), ("granted", B)]
    assert run("plugin", "permissions", GAIN, "--revoke", "all", "--json").json["revoked"] == [B]
    log = (home / "logs" / f"{GAIN}.jsonl").read_text()
    assert [json.loads(line)["event"] for line in log.splitlines() if "permission." in line] == [
        "permission.granted",
        "permission.granted",
        "permission.revoked",
        "permission.revoked",
    ]


def test_an_upgrade_that_asks_for_more_is_held_until_accepted(run: Run, asking: Asking) -> None:
    """Refused with the flags that would let it in; with them, grants come along; a rollback finds its own again."""
    run("plugin", "install", asking("1.0.0", hosts=["a.example.org"]), "--grant", "all")
    new = asking("2.0.0", hosts=["a.example.org", "http://b.example.org:8080"], local_network=True)
    held = run("plugin", "upgrade", new, "--json")
    error = held.json["error"]
    assert (held.code, error["code"]) == (1, "permissions-held")
    assert error["details"]["new"] == [B, "local:*"]
    assert "--accept" in error["hint"]
    assert f"--grant {B}" in error["hint"]
    assert run("plugin", "info", GAIN, "--json").json["version"] == "1.0.0"
    accepted = run("plugin", "upgrade", new, "--accept")
    assert accepted.code == 0
    assert "asks to, and may not: connect to b.example.org" in accepted.out
    assert run("plugin", "info", GAIN, "--json").json["granted"] == [A]
    run("plugin", "permissions", GAIN, "--grant", B)
    assert run("plugin", "rollback", GAIN).code == 0
    assert run("plugin", "info", GAIN, "--json").json["granted"] == [A]
    granting = run("plugin", "upgrade", new, "--grant", B, "--json").json["upgraded"][0]
    assert granting["granted"] == [B]
    assert run("plugin", "info", GAIN, "--json").json["granted"] == [B, A]


def test_a_local_server_is_granted_by_name(run: Run, asking: Asking) -> None:
    """``all`` has nothing to grant; the error says how it is written."""
    run("plugin", "install", asking("1.0.0", local_network=True))
    nothing = run("plugin", "permissions", GAIN, "--grant", "all", "--json")
    assert (nothing.code, nothing.json["error"]["code"]) == (1, "grant-refused")
    assert "local:http://127.0.0.1:4533" in nothing.json["error"]["hint"]
    text = run("plugin", "permissions", GAIN, "--grant", "local:http://127.0.0.1:4533").out
    assert "granted local:http://127.0.0.1:4533" in text


def test_uninstalling_ends_grants_and_removes_data(run: Run, asking: Asking, home: Path, tmp_path: Path) -> None:
    """Links in the data folder are not followed; ``--keep-data`` leaves it."""
    package = asking("1.0.0", **ASKS)
    run("plugin", "install", package, "--grant", "all")
    data = home / "data" / GAIN
    data.mkdir(parents=True)
    (data / "kept").write_text("x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("x")
    (data / "link").symlink_to(tmp_path / "outside")
    assert run("plugin", "uninstall", GAIN, "--keep-data").code == 0
    assert (data / "kept").exists()
    assert run("plugin", "install", package, "--json").json["installed"][0]["not_granted"] == [A, B]
    assert "and its data" in run("plugin", "uninstall", GAIN).out
    assert list((home / "data").iterdir()) == []
    assert (tmp_path / "outside/file").exists()


def test_a_ruined_database_is_an_error_and_no_grant(run: Run, asking: Asking, home: Path) -> None:
    """With its name in it; plugins that ask for nothing go on working."""
    run("plugin", "install", asking("1.0.0", **ASKS), "--grant", "all")
    (home / "grants.sqlite3").write_bytes(b"\xff" * 10000)
    for command in (["permissions", GAIN], ["info", GAIN], ["permissions", GAIN, "--grant", "all"]):
        done = run("plugin", *command, "--json")
        assert (done.code, done.json["error"]["code"]) == (1, "state-damaged")
        assert "grants.sqlite3" in done.json["error"]["message"]
    assert run("plugin", "install", "limiter").code == 0
    assert "state-damaged" in run("doctor").out


# --- on a terminal --------------------------------------------------------------------------------------------------


def _talk(start: Start, answers: bytes, *arguments: str | Path) -> tuple[int, str, str]:
    """Run with a terminal that types; gives the exit code, standard output, and what the terminal showed."""
    mine, theirs = pty.openpty()
    try:
        process = start(*arguments, stdin=theirs, stderr=theirs)
        os.write(mine, answers)
        out, _ = process.communicate(timeout=60)
        os.close(theirs)
        theirs = -1
        shown = b""
        try:
            while chunk := os.read(mine, 65536):
                shown += chunk
        except OSError:  # Linux says EIO where the other end was closed
            pass
        return process.returncode, out.decode(), shown.decode()
    finally:
        os.close(mine)
        if theirs >= 0:
            os.close(theirs)


@pytest.mark.parametrize(
    ("answers", "granted"),
    [(b"all\n", [B, A]), (b"\n", []), (b"s\ny\nn\n", [A]), (b"what?\nnone\n", []), (b"\x04", [])],
)
def test_a_person_is_asked(start: Start, run: Run, asking: Asking, answers: bytes, granted: list[str]) -> None:
    """All, some or none of it; Enter and the end of the input mean none; what is no answer is asked again."""
    code, out, shown = _talk(start, answers, "plugin", "install", asking("1.0.0", **ASKS))
    assert code == 0
    assert "installed" in out
    assert f"connect to a.example.org by https  ({A})" in shown
    assert "Grant it? [all/some/none] (none)" in shown
    assert run("plugin", "info", GAIN, "--json").json["granted"] == granted


def test_json_never_asks(start: Start, asking: Asking) -> None:
    """A program that reads JSON has nobody at the keyboard, whatever the streams are."""
    code, out, shown = _talk(start, b"all\n", "plugin", "install", asking("1.0.0", **ASKS), "--json")
    assert code == 0
    assert json.loads(out)["installed"][0]["granted"] == []
    assert "Grant it?" not in shown


def test_a_person_decides_on_an_upgrade(start: Start, run: Run, asking: Asking) -> None:
    """No leaves everything as it is; yes lets it in, and only what is new is asked about."""
    run("plugin", "install", asking("1.0.0", hosts=["a.example.org"]))
    new = asking("2.0.0", **ASKS)
    code, _, shown = _talk(start, b"no\n", "plugin", "upgrade", new)
    assert code == 1
    assert f"{GAIN} 2.0.0 asks for more than 1.0.0" in shown
    assert "permissions-held" in shown
    assert run("plugin", "info", GAIN, "--json").json["version"] == "1.0.0"
    code, _, _ = _talk(start, b"yes\nall\n", "plugin", "upgrade", new)
    assert code == 0
    info = run("plugin", "info", GAIN, "--json").json
    assert (info["version"], info["granted"]) == ("2.0.0", [B])


@pytest.mark.parametrize(("answer", "granted"), [(b"yes\n", ["host:https://lrclib.net"]), (b"\n", [])])
def test_a_person_is_asked_at_first_use(start: Start, run: Run, home: Path, answer: bytes, granted: list[str]) -> None:
    """A command that fails for want of a grant asks for it, where the manifest does; nothing was sent anywhere."""
    run("plugin", "install", "lrclib")
    command = ("lyrics", "--provider", "dev.stellatune.lrclib", "--search", "somebody something", "--home", home)
    code, _, shown = _talk(start, answer, *command)
    assert code == 1
    assert "may not connect to 'https://lrclib.net'" in shown
    assert "May dev.stellatune.lrclib connect to lrclib.net by https? [yes/no] (no)" in shown
    assert ("granted; run the command again" in shown) is bool(granted)
    assert run("plugin", "info", "dev.stellatune.lrclib", "--json").json["granted"] == granted


def test_a_render_asks_at_first_use_too(start: Start, run: Run, home: Path, tmp_path: Path) -> None:
    """What failed one of several inputs is asked for once, after the report."""
    run("plugin", "install", "device")
    music = tmp_path / "music.wav"
    soundfile.write(music, np.zeros((100, 2)), 44_100)
    command = ("render", music, music, "--sink", "dev.stellatune.device", "--runtime", "wasm", "--home", home)
    code, _, shown = _talk(start, b"yes\n", *command)
    assert code == 1
    assert shown.count("May dev.stellatune.device run the program device, in a sandbox? [yes/no] (no)") == 1
    assert "granted; run the command again" in shown
    assert run("plugin", "info", "dev.stellatune.device", "--json").json["granted"] == ["sidecar:device"]


def test_a_program_is_not_asked_at_first_use(run: Run) -> None:
    """It reads the grant from the error."""
    run("plugin", "install", "lrclib")
    failed = run("lyrics", "--provider", "dev.stellatune.lrclib", "--search", "somebody something", "--json")
    error = failed.json["error"]
    assert (failed.code, error["code"], error["details"]["case"]) == (1, "plugin-error", "denied")
    assert error["details"]["grant"] == "host:https://lrclib.net"
    assert "--grant host:https://lrclib.net" in error["hint"]
