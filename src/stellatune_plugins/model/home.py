"""Where one user's data lies."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import platformdirs

from stellatune_plugins.model.ids import PluginId

HOME_VARIABLE = "STELLATUNE_HOME"


class Home(msgspec.Struct, frozen=True):
    """The folders below one root. Nothing is created before it is needed."""

    root: Path

    @classmethod
    def resolve(cls, chosen: str | Path | None = None) -> Home:
        """The home that was asked for, else ``$STELLATUNE_HOME``, else the platform's data folder."""
        root = chosen or os.environ.get(HOME_VARIABLE) or platformdirs.user_data_dir("stellatune", appauthor=False)
        return cls(Path(root).expanduser().absolute())

    @property
    def plugins(self) -> Path:
        """Installed packages."""
        return self.root / "plugins"

    @property
    def code_cache(self) -> Path:
        """Compiled code: private to the user, authenticated."""
        return self.root / "cache" / "code"

    @property
    def logs(self) -> Path:
        """One log a plugin."""
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """One data folder a plugin."""
        return self.root / "data"

    @property
    def grants(self) -> Path:
        """What the user has granted to plugins, and the record of grants and denials: an SQLite file."""
        return self.root / "grants.sqlite3"

    @property
    def sidecars(self) -> Path:
        """What is remembered of sidecars that failed: an SQLite file."""
        return self.root / "sidecars.sqlite3"

    @property
    def run(self) -> Path:
        """What runs now: one file a host process."""
        return self.root / "run"

    def data_of(self, plugin: PluginId) -> Path:
        """One plugin's own folder."""
        return self.data / plugin
