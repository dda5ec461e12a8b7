"""The options that every command takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

EVERYWHERE = Group("Options of every command", sort_key=100)


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Where the data lies, and how to answer."""

    home: Annotated[Path | None, Parameter(group=EVERYWHERE)] = None
    """Folder with plugins, cache and logs. Default: $STELLATUNE_HOME, else the platform's data folder."""
    json: Annotated[bool, Parameter(group=EVERYWHERE)] = False
    """Answer with JSON on standard output, errors too."""
    debug: Annotated[bool, Parameter(group=EVERYWHERE)] = False
    """Print the Python traceback of a failure."""
