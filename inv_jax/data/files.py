"""Files that appear whole or not at all, and rows of numbers that any JSON reader takes."""

import contextlib
import math
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

JsonRow = dict[str, Any]  # float, int, bool, str or None by name


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary file or folder beside `path`, which takes its name when the block ends well.

    Args:
      path: The file to write or replace, or a folder that is not there or empty; the folder that it
        is in must exist.

    Yields:
      Where to write. If the block raises, that file is removed and `path` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed writer left of a folder
    try:
        yield temporary
        if not temporary.is_dir():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # A name must not reach the disk before its content does.
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # It may never have been, or be a file.
        with contextlib.suppress(OSError):  # The block's error counts.
            temporary.unlink()


def json_row(row: Mapping[str, Any]) -> JsonRow:
    """The row with plain Python scalars; NaN and infinity, which JSON lacks, become None.

    Args:
      row: Scalars by name: of Python, numpy or jax (also arrays that hold one number).

    Raises:
      TypeError: If a value is no scalar.
    """
    return {name: _json_scalar(name, value) for name, value in row.items()}


def _json_scalar(name: str, value: Any) -> float | int | bool | str | None:
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"{name} is {value!r}; a row holds numbers, strings, booleans or None")
