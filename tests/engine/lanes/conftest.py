"""Guests with lanes and without."""

from __future__ import annotations

import pytest
from bulk_guests import BulkGuests

from stellatune_plugins.engine import WasmEngine


@pytest.fixture(scope="session")
def bulk(guest_engine: WasmEngine) -> BulkGuests:
    """One maker for the session."""
    return BulkGuests(guest_engine)
