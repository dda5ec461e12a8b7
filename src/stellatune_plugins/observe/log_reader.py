"""Reading a log that others append to, and set aside when it has grown."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

LOOK_EVERY = 0.2


class LogReader:
    """The lines of one log: those that are there, then those that come. A context that closes the file.

    Args:
        path: the present file; the one before it is ``NAME.1``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tail(self, count: int) -> list[bytes]:
        """The last lines, without their ends, of the file set aside too; :meth:`follow` goes on from here."""
        last: collections.deque[bytes] = collections.deque(maxlen=count)
        aside = self.path.with_name(self.path.name + ".1")
        if count and aside.exists():
            with aside.open("rb") as file:
                last.extend(line.rstrip(b"\n") for line in file)
        last.extend(self._read())
        return list(last)

    def follow(self, look_every: float = LOOK_EVERY) -> Iterator[bytes]:
        """Lines as they come. Never ends by itself."""
        while True:
            yield from self._read()
            if self._was_set_aside():
                yield from self._read()  # what came between the two looks
                self.close()
                continue
            time.sleep(look_every)

    def _read(self) -> list[bytes]:
        """Whole lines that are there and were not read yet."""
        if self._file is None:
            try:
                self._file = self.path.open("rb")
            except FileNotFoundError:
                return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [line for line in lines if line]

    def _was_set_aside(self) -> bool:
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Let go of the file. May be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._rest = b""
