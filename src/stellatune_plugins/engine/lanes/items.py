"""What a component is made of: the index spaces, and where an item of one comes from."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

CORE: Final = 0x100


class Sort(enum.IntEnum):
    """The index spaces, by the bytes that name them; core ones have a byte before theirs."""

    FUNC = 0x01
    VALUE = 0x02
    TYPE = 0x03
    COMPONENT = 0x04
    INSTANCE = 0x05
    CORE_FUNC = CORE | 0x00
    CORE_TABLE = CORE | 0x01
    CORE_MEMORY = CORE | 0x02
    CORE_GLOBAL = CORE | 0x03
    CORE_TAG = CORE | 0x04
    CORE_TYPE = CORE | 0x10
    CORE_MODULE = CORE | 0x11
    CORE_INSTANCE = CORE | 0x12

    @property
    def code(self) -> bytes:
        """As the binary form writes it where any sort may stand."""
        return bytes([0, self & 0xFF]) if self & CORE else bytes([self])


class Options(NamedTuple):
    """What a lift or a lower was given."""

    memory: int | None = None
    realloc: int | None = None
    post_return: int | None = None
    utf8: bool = True
    """How texts are written, those of errors among them."""


class Imported(NamedTuple):
    """Comes from outside."""

    name: str


class Aliased(NamedTuple):
    """An export of an instance; of a core instance where the item is a core one."""

    instance: int
    name: str


class Exported(NamedTuple):
    """The name that an export gives to an item of before."""

    of: int


class Lifted(NamedTuple):
    """A core function as the component's."""

    core: int
    options: Options


class Lowered(NamedTuple):
    """A function of the component for core code."""

    func: int
    options: Options


class Instantiated(NamedTuple):
    """An instance of a component or a core module, and what it was given by name."""

    what: int
    given: Mapping[str, tuple[Sort, int]]


class Bundled(NamedTuple):
    """An instance that is nothing but a bundle of items."""

    items: Mapping[str, tuple[Sort, int]]


class Embedded(NamedTuple):
    """A core module or component whose bytes stand here."""

    start: int
    end: int


class Other(NamedTuple):
    """Anything whose origin does not matter."""


Item = Imported | Aliased | Exported | Lifted | Lowered | Instantiated | Bundled | Embedded | Other
