"""The package's public names."""

from __future__ import annotations

from stellatune_plugins import executor


def test_every_public_name_is_there() -> None:
    """What ``__all__`` promises can be imported, sorted as ruff sorts."""
    assert all(hasattr(executor, name) for name in executor.__all__)
    assert len(set(executor.__all__)) == len(executor.__all__)
