"""What the folder of a cache weighs, over time: a process that looks again and again.

Run as ``python -m evictlab.traces.record.nginx.disk FOLDER FILE SECONDS``. Each look is a record of `SAMPLE` in FILE.
"""

from __future__ import annotations

import os
import selectors
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FILE_HEADER_BYTES", "SAMPLE", "block_bytes", "file_bytes", "weigh"]

SAMPLE = struct.Struct("<dqqq")
"""Monotonic time in seconds, bytes that the file system gave, bytes in whole blocks, files."""


FILE_HEADER_BYTES = 343
"""Of a cached file on a 64-bit machine: a structure of 336 bytes (version 5), ``\\nKEY: ``, and a line end after the key."""

ANSWER_HEADER_BYTES = 77
"""Of the origin's answer, without the digits of its length."""


def block_bytes(folder: str | Path) -> int:
    """Bytes in which NGINX counts the files of `folder`: the file system's block, 512 where that is odd or above a page."""
    size = os.statvfs(folder).f_bsize
    return 512 if size % 512 or size > os.sysconf("SC_PAGE_SIZE") else size


def file_bytes(uri_bytes: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return what files weigh in the cache, not rounded to blocks.

    Parameters
    ----------
    uri_bytes : int64[n]
        Length of the path, which is the key of the cache.
    sizes : int64[n]
        Bytes of the body, at least 1.
    """
    import numpy as np

    digits = 1 + np.searchsorted(10 ** np.arange(1, 19), sizes, side="right")
    return FILE_HEADER_BYTES + uri_bytes + ANSWER_HEADER_BYTES + digits + sizes


def weigh(folder: str | Path, block: int) -> tuple[int, int, int]:
    """Add up the cached files of a folder without subfolders; those that are still being written are left out.

    Parameters
    ----------
    folder : str or Path
    block : int
        Bytes; sizes are rounded up to it.

    Returns
    -------
    (allocated_bytes, block_bytes, files)
        ``st_blocks * 512``, and sizes rounded up to blocks.
    """
    allocated = rounded = files = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if "." in entry.name:  # NGINX writes to KEY.NUMBER and then renames
                continue
            with suppress(FileNotFoundError):  # removed while we look
                facts = entry.stat(follow_symlinks=False)
                allocated += facts.st_blocks * 512
                rounded += -(-facts.st_size // block) * block
                files += 1
    return allocated, rounded, files


def _main(folder: str, path: str, interval_s: float) -> None:
    block = block_bytes(folder)
    ends = selectors.DefaultSelector()
    ends.register(sys.stdin, selectors.EVENT_READ)
    with Path(path).open("wb") as out:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        running = True
        while running:
            now = time.monotonic()
            out.write(SAMPLE.pack(now, *weigh(folder, block)))
            # Standard input ends with the process that started us. A long look is followed by as long a pause.
            took_s = time.monotonic() - now
            running = not ends.select(max(interval_s - took_s, took_s))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
