"""Rigs: a real child process behind each transport."""

from __future__ import annotations

import functools

import pytest
from sidecar_rigs import make_rig

from stellatune_plugins.package.manifest import TransportKind
from stellatune_plugins.testing.channels import MakeRig


@pytest.fixture(params=list(TransportKind), ids=str)
def kind(request: pytest.FixtureRequest) -> TransportKind:
    """Each transport in turn."""
    return TransportKind(request.param)


@pytest.fixture
def make(kind: TransportKind) -> MakeRig:
    """A maker of rigs over it."""
    return functools.partial(make_rig, kind)
