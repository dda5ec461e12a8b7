"""The order of versions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.package import compare_versions

# Semantic Versioning 2.0.0, section 11, and around it what plugins in the field may write.
ASCENDING = [
    "nightly-1", "nightly-2", "nightly-10",
    "0.0.1", "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10.0", "2", "10.0", "2024.1.15",
]  # fmt: skip


def test_versions_ascend_as_semver_says() -> None:
    """Every pair of the list is in order."""
    for older, newer in itertools.combinations(ASCENDING, 2):
        assert compare_versions(older, newer) < 0 < compare_versions(newer, older), (older, newer)


@pytest.mark.parametrize(
    ("left", "right"), [("1.0", "1.0.0"), ("v1.2", "1.2"), ("1.0.0+a", "1.0.0+b"), ("01.2", "1.2"), (" 1 ", "1")]
)
def test_some_spellings_are_one_version(left: str, right: str) -> None:
    """Trailing zeros, a leading v and build metadata make no difference."""
    assert compare_versions(left, right) == 0


@given(a=st.text(min_size=1, max_size=20), b=st.text(min_size=1, max_size=20), c=st.text(min_size=1, max_size=20))
def test_any_texts_have_a_total_order(a: str, b: str, c: str) -> None:
    """Comparing is antisymmetric and transitive for whatever authors write."""
    assert compare_versions(a, b) == -compare_versions(b, a)
    if compare_versions(a, b) <= 0 and compare_versions(b, c) <= 0:
        assert compare_versions(a, c) <= 0
