"""Where the bytes of a neural video come from."""

import os
from typing import Protocol


class Source(Protocol):
    """Bytes that can be read anywhere: a file, a URL, a test's bytes."""

    def size(self) -> int:
        """How many there are now; it may grow."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer where they end."""
        ...

    def close(self) -> None:
        """Lets go of what they are read from; nothing is read afterwards."""
        ...


class FileSource:
    """A file on disk, that may be growing."""

    def __init__(self, path: str | os.PathLike):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115, closed by `close`

    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        self._file.close()


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes):
        self._data = memoryview(data)

    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._data[offset : offset + size])

    def close(self) -> None:
        pass
