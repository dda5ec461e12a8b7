"""Names of interfaces and worlds: ``stellatune:plugin/dsp@0.1.0``."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_NAME: Final = re.compile(
    r"(?P<package>[a-z0-9-]+:[a-z0-9-]+)/(?P<item>[a-z0-9-]+)"
    r"(?:@(?P<major>0|[1-9][0-9]{0,8})\.(?P<minor>0|[1-9][0-9]{0,8})\.(?P<patch>0|[1-9][0-9]{0,8})(?P<rest>[-+][0-9A-Za-z.+-]+)?)?"
)


class QualifiedName(msgspec.Struct, frozen=True):
    """A package, an item of it, and a version where one is given; ``rest`` is a pre-release or build tag."""

    package: str
    item: str
    version: tuple[int, int, int] | None = None
    rest: str = ""

    @classmethod
    def parse(cls, text: str) -> QualifiedName | None:
        """The parts of a name, or ``None`` where it is not one."""
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        version = None
        if found["major"] is not None:
            version = (int(found["major"]), int(found["minor"]), int(found["patch"]))
        return cls(found["package"], found["item"], version, found["rest"] or "")

    @property
    def unversioned(self) -> str:
        """Package and item alone."""
        return f"{self.package}/{self.item}"

    def compatible(self, other: QualifiedName) -> bool:
        """Whether both are the same item of versions that serve each other.

        Below 1.0 the minor number is the one that breaks; from 1.0 on, the major. A pre-release serves only itself.
        """
        if (self.package, self.item) != (other.package, other.item):
            return False
        if self.version is None or other.version is None or "-" in (self.rest[:1], other.rest[:1]):
            return (self.version, self.rest) == (other.version, other.rest)
        same = 2 if self.version[0] == 0 else 1
        return self.version[:same] == other.version[:same]


def find_compatible(wanted: str, names: list[str]) -> str | None:
    """The name that serves ``wanted``: itself, else the newest of its compatible versions."""
    if wanted in names:
        return wanted
    name = QualifiedName.parse(wanted)
    if name is None:
        return None
    fits = [
        (other.version or (), text) for text in names if (other := QualifiedName.parse(text)) and name.compatible(other)
    ]
    return max(fits)[1] if fits else None
