"""``stellatune plugin ...`` as real processes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stellatune_plugins.cli.bundled import bundled_packages

GAIN = "dev.stellatune.gain"

Run = Callable[..., Any]  # the conftest's Result


def test_the_bundled_packages_install_and_list(run: Run) -> None:
    """``install --bundled`` puts all of them in, a second time changes nothing, and ``list`` shows them."""
    first = run("plugin", "install", "--bundled", "--json")
    assert (first.code, first.err) == (0, "")
    installed = {p["id"]: p for p in first.json["installed"]}
    assert list(installed) == list(bundled_packages())
    assert {p["action"] for p in installed.values()} == {"installed"}
    second = run("plugin", "install", "--bundled")
    assert second.code == 0
    assert second.out.count("is installed already") == len(installed)
    listed = run("plugin", "list", "--json").json
    assert {p["id"]: p["digest"] for p in listed["installed"]} == {i: p["digest"] for i, p in installed.items()}
    assert "dev.stellatune.native.file-sink" in {p["id"] for p in listed["native"]}
    text = run("plugin", "list").out
    assert all(name in text for name in installed)


def test_upgrade_and_rollback(run: Run, gain_package: Callable[[str], Path]) -> None:
    """An upgrade keeps the old version, a rollback brings it back, and going down wants to be asked for."""
    old, new = gain_package("1.0.0"), gain_package("2.0.0")
    assert run("plugin", "install", old).code == 0
    again = run("plugin", "install", new, "--json")
    assert (again.code, again.json["error"]["code"]) == (1, "plugin-already-installed")
    upgraded = run("plugin", "upgrade", new, "--json")
    assert upgraded.code == 0
    assert (upgraded.json["upgraded"][0]["from_version"], upgraded.json["upgraded"][0]["version"]) == ("1.0.0", "2.0.0")
    assert run("plugin", "info", GAIN, "--json").json["previous_version"] == "1.0.0"
    assert run("plugin", "rollback", GAIN, "--json").json["version"] == "1.0.0"
    assert run("plugin", "rollback", GAIN, "--json").json["version"] == "2.0.0"
    down = run("plugin", "upgrade", old, "--json")
    assert (down.code, down.json["error"]["code"]) == (1, "plugin-already-installed")
    assert run("plugin", "upgrade", old, "--allow-downgrade", "--json").json["upgraded"][0]["version"] == "1.0.0"


def test_info_shows_what_a_plugin_takes_and_asks_for(run: Run) -> None:
    """Schema, defaults, versions, permissions and digest, for a person and for a program."""
    run("plugin", "install", "gain")
    data = run("plugin", "info", GAIN, "--json").json
    ability = data["components"][0]["abilities"][0]
    assert (ability["kind"], ability["type_id"]) == ("dsp", "gain")
    assert ability["config_schema"]["properties"]["gain_db"]["minimum"] == -96
    assert ability["default_config"]["gain_db"] == 0
    assert (data["version"], data["previous_version"], data["asks_for"]) == ("1.0.0", None, [])
    text = run("plugin", "info", GAIN).out
    assert "gain_db: number, -96 to 24 dB, default 0" in text
    assert f"sha256:{data['digest']}" in text


def test_uninstall_does_what_it_can(run: Run) -> None:
    """Of two ids, the one that is there goes, the other one is reported, and the exit code says that one failed."""
    run("plugin", "install", "gain")
    result = run("plugin", "uninstall", GAIN, "dev.example.nothing", "--json")
    assert result.code == 1
    assert result.json["uninstalled"] == [{"id": GAIN, "state": "removed", "data_removed": False}]
    assert result.json["failed"][0]["item"] == "dev.example.nothing"
    assert result.json["error"]["code"] == "plugin-not-installed"
    assert run("plugin", "list", "--json").json["installed"] == []


def test_verify_finds_a_changed_file(run: Run, home: Path) -> None:
    """A plugin whose code was touched after its installation is named, and the exit code is 1."""
    run("plugin", "install", "gain")
    assert run("plugin", "verify").code == 0
    wasm = home / "plugins" / GAIN / "wasm" / "gain.wasm"
    wasm.chmod(0o644)
    wasm.write_bytes(wasm.read_bytes()[:-1] + b"\xff")
    result = run("plugin", "verify", "--json")
    assert result.code == 1
    assert result.json["verified"][0]["problems"] == [{"path": "wasm/gain.wasm", "problem": "changed"}]


def test_a_hostile_package_is_refused_in_two_lines(run: Run, tmp_path: Path, home: Path) -> None:
    """A zip whose entry climbs out: ``error[CODE]`` and a hint on standard error, exit code 1, nothing written."""
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("plugin.json", "{}")
        archive.writestr("../../escaped", "x")
    result = run("plugin", "install", path)
    assert (result.code, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[0].startswith("error[archive-refused]: ")
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2
    assert not list(tmp_path.rglob("escaped"))
    assert not [p for p in (home / "plugins").glob("*") if not p.name.startswith(".")]


def test_every_problem_of_a_manifest_is_said_at_once(run: Run, tmp_path: Path) -> None:
    """A manifest with several breaches gives all of them, each with its path, as text and as JSON."""
    package = tmp_path / "bad"
    package.mkdir()
    (package / "plugin.json").write_text(
        json.dumps({"schema_version": 1, "id": "Bad Id", "name": "", "api_version": 9})
    )
    text = run("plugin", "install", package)
    problems = run("plugin", "install", package, "--json").json["error"]["details"]["problems"]
    assert text.code == 1
    assert len(problems) >= 4
    assert {"id", "name", "version", "api_version"} <= {p["path"] for p in problems}
    assert all(f"  {p['path']}: " in text.err for p in problems)


def test_an_unknown_name_suggests_a_bundled_package(run: Run) -> None:
    """A typo in a bundled package's name is met with the right one."""
    result = run("plugin", "install", "dev.stellatune.gian")
    assert result.code == 1
    assert "did you mean the bundled dev.stellatune.gain?" in result.err


def test_what_happened_is_in_the_logs(run: Run, home: Path) -> None:
    """Installing leaves a line in the plugin's log and in the program's."""
    run("plugin", "install", "gain")
    for name in (GAIN, "stellatune"):
        lines = (home / "logs" / f"{name}.jsonl").read_text().splitlines()
        assert "package.installed" in {json.loads(line)["event"] for line in lines}


def test_a_native_plugin_is_shown(run: Run) -> None:
    """What it is and where it comes from, and that no sandbox keeps it in."""
    shown = run("plugin", "info", "dev.stellatune.native.folder-source")
    assert (shown.code, "source/folder" in shown.out, "without a sandbox" in shown.out) == (0, True, True)
    data = run("plugin", "info", "dev.stellatune.native.folder-source", "--json").json
    assert (data["runtime"], data["abilities"][0]["kind"], data["abilities"][0]["type_id"]) == (
        "native",
        "source",
        "folder",
    )
    missing = run("plugin", "info", "dev.stellatune.native.nothing", "--json")
    assert (missing.code, missing.json["error"]["code"]) == (1, "plugin-not-installed")
