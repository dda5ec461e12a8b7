"""The committed packages are what their sources say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "src" / "stellatune_plugins" / "bundled"
NAMES = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/*.c"))
"""Whatever is written in C is shipped."""


@pytest.mark.parametrize("name", NAMES)
def test_committed_packages_are_reproduced(name: str) -> None:
    """A rebuild from the sources gives the committed bytes."""
    command = [sys.executable, "tools/build_plugins.py", "--check", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_builder_s_machine_is_inside(name: str) -> None:
    """A committed module holds no path of the machine that built it."""
    folder = BUNDLED / f"dev.stellatune.{name}" / "wasm"
    for module in folder.glob("*.wasm"):
        data = module.read_bytes()
        assert str(ROOT).encode() not in data
        assert b".zig" not in data
        assert b"/tmp/" not in data


def test_nothing_else_is_shipped() -> None:
    """Each committed package has its source."""
    assert sorted(path.name for path in BUNDLED.iterdir()) == [f"dev.stellatune.{name}" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_manifest_names_files_that_exist(name: str) -> None:
    """The manifest's component and its two JSON strings are usable."""
    package = BUNDLED / f"dev.stellatune.{name}"
    manifest = json.loads((package / "plugin.json").read_text("utf-8"))
    (component,) = manifest["components"]
    (ability,) = component["abilities"]
    assert (package / component["path"]).is_file()
    assert ability["type_id"] == name
    schema = json.loads(ability["config_schema_json"])
    defaults = json.loads(ability["default_config_json"])
    assert defaults.keys() == schema["properties"].keys()
