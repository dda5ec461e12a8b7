"""The package's public names."""

from __future__ import annotations

from stellatune_plugins import registry


def test_every_public_name_is_there() -> None:
    """What ``__all__`` promises can be imported, sorted as ruff sorts."""
    assert all(hasattr(registry, name) for name in registry.__all__)
    assert len(set(registry.__all__)) == len(registry.__all__)
