"""Fixtures for what guests may ask of files and the network."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from loopback import Authority, make_authority
from net_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Bench]:
    """See the class."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for tests of TLS; these need openssl."""
    return make_authority(tmp_path_factory.mktemp("certificates"))
