"""Reading fields of a JSON object: each reader gives the value or notes a problem, so that all are found at once."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterator
from typing import Any, TypeVar

from stellatune_plugins.errors import Problem
from stellatune_plugins.package.paths import path_fault, shown
from stellatune_plugins.package.strict_json import field

MAX_LABEL = 256
"""Characters of a name, an id and the like."""

_E = TypeVar("_E", bound=enum.StrEnum)


class Fields:
    """One object of the document, with its path. A field that is ``null`` counts as absent."""

    def __init__(self, data: dict[str, Any], path: str, problems: list[Problem]) -> None:
        self._data = data
        self._path = path
        self._problems = problems

    def note(self, key: str, message: str) -> None:
        """Note a problem with a field."""
        self._problems.append(Problem(self.path(key), message))

    def note_at(self, path: str, message: str) -> None:
        """Note a problem with an item of a list, under the path that the list's reader gave."""
        self._problems.append(Problem(path, message))

    def path(self, key: str) -> str:
        """The field's path in the document."""
        return field(self._path, key)

    def has(self, key: str) -> bool:
        """Whether the field is given."""
        return self._data.get(key) is not None

    def _get(self, key: str, kind: type, what: str, *, required: bool) -> Any:
        value = self._data.get(key)
        if value is None:
            if required:
                self.note(key, "is missing")
            return None
        if type(value) is not kind and not (kind is dict and isinstance(value, dict)):  # True is no number here
            self.note(key, f"must be {what}")
            return None
        return value

    def text(self, key: str, *, required: bool = False, limit: int = MAX_LABEL, lines: bool = False) -> str | None:
        """Text that is not empty and prints safely: no control characters (``lines`` allows line ends and tabs)."""
        value = self._get(key, str, "a text", required=required)
        if value is None:
            return None
        if not value.strip():
            self.note(key, "is empty")
            return None
        if len(value) > limit:
            self.note(key, f"is longer than {limit} characters")
            return None
        allowed = "\n\r\t" if lines else ""
        if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} and c not in allowed for c in value):
            self.note(key, "has a control character")
            return None
        return str(value)

    def document(self, key: str) -> str | None:
        """A text of any length that the document's own cap allows."""
        value = self._get(key, str, "a text", required=False)
        return None if value is None else str(value)

    def integer(self, key: str, low: int, high: int, *, required: bool = False) -> int | None:
        """A whole number in a range."""
        value = self._get(key, int, "a whole number", required=required)
        if value is None:
            return None
        if not low <= value <= high:
            self.note(key, f"must be from {low} to {high}")
            return None
        return int(value)

    def flag(self, key: str) -> bool:
        """True or false; false where absent."""
        return bool(self._get(key, bool, "true or false", required=False))

    def choice(self, key: str, kind: type[_E], default: _E | None = None) -> _E | None:
        """One of an enum's values; required where there is no default."""
        value = self._get(key, str, "a text", required=default is None)
        if value is None:
            return default
        try:
            return kind(value)
        except ValueError:
            self.note(key, f"is {shown(value)}; must be one of {', '.join(kind)}")
            return default

    def choices(self, key: str, kind: type[_E]) -> tuple[_E, ...]:
        """A list of an enum's values, each once, in the enum's order."""
        found: set[_E] = set()
        for path, text in self.texts(key, 2 * len(kind), longest=MAX_LABEL):
            try:
                found.add(kind(text))
            except ValueError:
                self.note_at(path, f"is {shown(text)}; must be one of {', '.join(kind)}")
        return tuple(value for value in kind if value in found)

    def relative_path(self, key: str) -> str | None:
        """A path below the package's root; a leading ``./`` is dropped."""
        value = self._get(key, str, "a text", required=True)
        if value is None:
            return None
        path = str(value).removeprefix("./")
        fault = path_fault(path)
        if fault:
            self.note(key, fault.message)
            return None
        return path

    def items(self, key: str, limit: int, *, required: bool = False) -> Iterator[tuple[str, Any]]:
        """The items of a list, each with its path."""
        value = self._get(key, list, "a list", required=required)
        if value is None:
            return
        if len(value) > limit:
            self.note(key, f"has more than {limit} items")
            return
        for index, item in enumerate(value):
            yield f"{self.path(key)}[{index}]", item

    def objects(self, key: str, limit: int, *, required: bool = False) -> Iterator[Fields]:
        """The objects of a list."""
        for path, item in self.items(key, limit, required=required):
            if isinstance(item, dict):
                yield Fields(item, path, self._problems)
            else:
                self._problems.append(Problem(path, "must be an object"))

    def texts(self, key: str, limit: int, *, longest: int) -> Iterator[tuple[str, str]]:
        """The texts of a list, each with its path; empty ones are passed on."""
        for path, item in self.items(key, limit):
            if not isinstance(item, str):
                self._problems.append(Problem(path, "must be a text"))
            elif len(item) > longest or "\0" in item:
                self._problems.append(Problem(path, f"is longer than {longest} characters, or has a NUL"))
            else:
                yield path, item

    def child(self, key: str) -> Fields | None:
        """An object in a field."""
        value = self._get(key, dict, "an object", required=False)
        return None if value is None else Fields(value, self.path(key), self._problems)
