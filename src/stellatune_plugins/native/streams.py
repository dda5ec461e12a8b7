"""Byte streams: a file as one, and any of them dressed as a Python file for libraries that read files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from io import BytesIO, RawIOBase
from pathlib import Path

from stellatune_plugins.contract.capabilities import ByteStream
from stellatune_plugins.errors import InputUnreadable, StellatuneError


class OpenedByteStream:
    """A file that is open already, as a stream; it is closed with the stream."""

    def __init__(self, file: RawIOBase) -> None:
        self._file = file

    def read(self, max_bytes: int) -> bytes:
        return self._file.read(max(0, max_bytes)) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int | None:
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()


class FileByteStream(OpenedByteStream):
    """A regular file as a stream.

    Raises:
        InputUnreadable: it is missing, may not be read, or is no regular file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputUnreadable(f"{self.path} cannot be read: {reason}", operation="input.open") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise InputUnreadable(f"{self.path} cannot be read: it is no regular file", operation="input.open")
        super().__init__(os.fdopen(fd, "rb", buffering=0))


class BytesByteStream:
    """Bytes in memory as a stream."""

    def __init__(self, data: bytes) -> None:
        self._file = BytesIO(data)
        self._size = len(data)

    def read(self, max_bytes: int) -> bytes:
        return self._file.read(max(0, max_bytes))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int | None:
        return self._size

    def close(self) -> None:
        self._file.close()


class StreamFile:
    """A byte stream with the methods of a Python file, for PyAV.

    What the stream raises is kept in ``failure`` and then seen by the library as the end of the data: an exception
    must not cross C code. It never gives more than was asked for, since PyAV copies the answer unchecked.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.failure: Exception | None = None
        self._seekable = self._probe()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def read(self, size: int = -1) -> bytes:
        if self.failure is not None or size <= 0:
            return b""
        try:
            return bytes(self._stream.read(size)[:size])
        except Exception as error:  # noqa: BLE001 - a stream may be a plugin's
            self.failure = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        if self.failure is None:
            try:
                if whence == os.SEEK_END and (size := self._stream.size()) is not None:
                    return self._stream.seek(max(0, size + offset))
                return self._stream.seek(offset, whence)
            except Exception as error:  # noqa: BLE001 - a stream may be a plugin's
                self.failure = error
        # As libavformat has errors: PyAV prints what is raised here, since it has nobody to hand it to.
        return -errno.EIO

    def tell(self) -> int:
        return self._stream.tell()

    def check(self) -> None:
        """Raise what the stream raised before, as an input error."""
        failure, self.failure = self.failure, None
        if failure is None:
            return
        if isinstance(failure, StellatuneError):
            raise failure
        raise InputUnreadable(f"reading the input failed: {failure}", operation="input.read") from failure

    def _probe(self) -> bool:
        with contextlib.suppress(Exception):
            self._stream.seek(self._stream.tell())
            return self._stream.size() is not None
        return False
