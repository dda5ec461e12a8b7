"""What a measurement says, as plain data: it is saved as JSON and printed from there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]
"""One number a round."""


class Spread(msgspec.Struct, frozen=True):
    """A quantity over many repetitions."""

    median: float
    p99: float
    least: float
    count: int

    @classmethod
    def of(cls, values: Seconds | Sequence[float], singles: Seconds | Sequence[float] | None = None) -> Spread:
        """From each round's mean; the 99th percentile from single calls, where those were timed one by one."""
        rounds = np.asarray(values, float)
        every = rounds if singles is None or not len(singles) else np.asarray(singles, float)
        return cls(float(np.median(rounds)), float(np.quantile(every, 0.99)), float(rounds.min()), len(every))


class Target(msgspec.Struct, frozen=True):
    """What the issue asks for."""

    text: str
    limit: float
    reached: float

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.reached <= self.limit


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One case of a subject: ours against one baseline. Quantities are seconds unless ``unit`` says otherwise."""

    subject: str
    case: str
    ours: str
    baseline: str
    measured: Spread
    compared: Spread
    ratio: Spread
    """Ours over the baseline, round by round."""
    unit: str = "s"
    target: Target | None = None
    note: str = ""


class Skipped(msgspec.Struct, frozen=True):
    """A subject that could not run here, and why."""

    subject: str
    reason: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one invocation found."""

    schema: int = 1
    quick: bool
    seconds: float
    environment: dict[str, str]
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...] = ()


def load(path: str) -> Run:
    """A run from its file."""
    with open(path, "rb") as file:  # noqa: PTH123 - a name from the command line
        return msgspec.json.decode(file.read(), type=Run)
