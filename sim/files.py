"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..traces.errors import ResultError

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Write a file under a temporary name beside it and rename it.

    Parameters
    ----------
    path : path
        Replaced when it exists.
    write : callable
        Gets the temporary path.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ResultError
        When it cannot be written (disk full, no permission, no such folder): the temporary file is removed and an older
        `path` is untouched.
    """
    path = Path(path)
    part = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        part = Path(name)
        os.close(handle)
        write(part)
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}. Nothing was left behind.") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return path
