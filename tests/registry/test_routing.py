"""The table of routes."""

from __future__ import annotations

import pytest

from stellatune_plugins.model import AbilityKind, RuntimeKind, RuntimeRoute
from stellatune_plugins.registry.routing import RoutePolicy

NATIVE, WASM = RuntimeKind.NATIVE, RuntimeKind.WASM


@pytest.mark.parametrize(
    ("route", "served", "other"),
    [
        (RuntimeRoute.NATIVE, (NATIVE,), (NATIVE,)),
        (RuntimeRoute.WASM, (WASM,), (NATIVE,)),
        (RuntimeRoute.HYBRID, (NATIVE, WASM), (NATIVE,)),
    ],
)
def test_the_table_holds(route: RuntimeRoute, served: tuple[RuntimeKind, ...], other: tuple[RuntimeKind, ...]) -> None:
    """For kinds that wasm packages serve, and for those that only native plugins do."""
    policy = RoutePolicy.over(route, [AbilityKind.DSP])
    assert policy.order(AbilityKind.DSP) == served
    for kind in AbilityKind:
        if kind is not AbilityKind.DSP:
            assert policy.order(kind) == other
