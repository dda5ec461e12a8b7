"""Path rules and twins as properties."""

from __future__ import annotations

import posixpath
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.package.paths import Twins, path_fault

PARTS = st.text(alphabet="aA.\\/: \0é\u0301nulNUL", max_size=12)


@given(path=PARTS | st.text(max_size=20))
def test_a_path_that_passes_stays_below_its_root(path: str) -> None:
    """Joining and normalising a path that passes changes nothing but to put it below the root."""
    if path_fault(path) is None:
        assert posixpath.normpath(posixpath.join("/package", path)) == f"/package/{path}"
        assert path.isprintable()
        assert "\\" not in path
        assert ":" not in path


@given(paths=st.lists(st.text(alphabet="aAbé\u00c9e\u0301/", min_size=1, max_size=5), max_size=6))
def test_no_two_paths_that_pass_are_one_file_anywhere(paths: list[str]) -> None:
    """What passes together stays apart where case and composition do not count."""
    twins = Twins()
    passed = [p for p in paths if path_fault(p) is None and twins.add(p, is_folder=False) is None]

    for form in ("NFC", "NFD"):
        for fold in (str.lower, str.upper, str.casefold):
            seen = {unicodedata.normalize(form, fold(unicodedata.normalize(form, path))) for path in passed}
            assert len(seen) == len(passed)
            folders = {posixpath.dirname(path) for path in seen} - {""}
            assert not folders & seen
