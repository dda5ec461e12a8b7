"""Which version of a resource an answer is of: parts of two versions never become one stream."""

from __future__ import annotations

from typing import NamedTuple, Self

from stellatune_plugins.host.egress import Exchange


class Version(NamedTuple):
    """What a server says of it; ``None`` for what it does not say."""

    etag: str | None
    modified: str | None
    size: int | None

    @classmethod
    def of(cls, exchange: Exchange, size: int | None) -> Self:
        """The version of an answer; ``size`` is that of the whole resource."""
        return cls(exchange.header("etag"), exchange.header("last-modified"), size)

    @property
    def says_something(self) -> bool:
        """Whether another version could be told from it."""
        return any(field is not None for field in self)

    @property
    def condition(self) -> str | None:
        """For ``If-Range``, which takes strong tags only."""
        if self.etag is not None:
            return None if self.etag.startswith("W/") else self.etag
        return self.modified

    def fits(self, later: Version) -> bool:
        """Whether a later answer is of the same version: something agrees, and nothing disagrees."""
        pairs = [(mine, its) for mine, its in zip(self, later, strict=True) if mine is not None and its is not None]
        return bool(pairs) and all(mine == its for mine, its in pairs)
