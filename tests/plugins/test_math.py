"""The plugins' own elementary functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

MakeTwin = Callable[..., Any]


CASES: list[tuple[int, Callable[[float], float], float, float]] = [
    (0, math.exp, -600.0, 600.0),
    (1, math.log, 1e-9, 1e9),
    (2, math.sin, -100.0, 100.0),
    (3, math.cos, -100.0, 100.0),
    (4, math.tan, -1.5, 1.5),
    (5, math.log10, 1e-9, 1e9),
    (6, lambda db: math.exp(db * math.log(10) / 20), -200.0, 60.0),
    (7, math.sqrt, 0.0, 1e6),
]


@pytest.mark.parametrize(("function", "reference", "low", "high"), CASES)
def test_accuracy(twin: MakeTwin, function: int, reference: Callable[[float], float], low: float, high: float) -> None:
    """Each function agrees with the C library's to 12 digits and more."""
    one = twin("gain")
    for x in np.linspace(low, high, 4001):
        expected = reference(float(x))
        assert one.math(function, float(x)) == pytest.approx(expected, rel=2e-13, abs=2e-13)
