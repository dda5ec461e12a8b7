"""One module a subject."""

from __future__ import annotations

from benchmarks.subjects import (
    bulk_bytes,
    calls,
    chain,
    decode,
    equaliser,
    kernels,
    render,
    sidecars,
    startup,
    transports,
)

SUBJECTS = {
    module.NAME: module
    for module in (bulk_bytes, calls, chain, decode, equaliser, kernels, render, sidecars, startup, transports)
}
"""By the name that ``--only`` takes."""

__all__ = ["SUBJECTS"]
