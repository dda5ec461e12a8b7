"""The packages that come with the program: folders below ``bundled/``, one a plugin."""

from __future__ import annotations

import difflib
from pathlib import Path

import stellatune_plugins
from stellatune_plugins.errors import SourceUnreadable

FOLDER = Path(stellatune_plugins.__file__).parent / "bundled"


def bundled_packages() -> dict[str, Path]:
    """Every bundled package's folder by its plugin id, sorted."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/plugin.json"))}


def find_package(text: str) -> Path:
    """A path to a package, or the name of a bundled one: its id, or the id's last part.

    Raises:
        SourceUnreadable: it is neither.
    """
    path = Path(text).expanduser()
    if path.exists():
        return path
    packages = bundled_packages()
    matching = [folder for plugin, folder in packages.items() if text in {plugin, plugin.rpartition(".")[2]}]
    if len(matching) == 1:
        return matching[0]
    near = difflib.get_close_matches(text, packages, n=1)
    hint = f"did you mean the bundled {near[0]}?" if near else "bundled ones: " + ", ".join(packages)
    raise SourceUnreadable(f"{text} is neither a folder, a file nor a bundled package", operation="install", hint=hint)
