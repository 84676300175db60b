"""A file as a stream of bytes, whatever it is compressed with.

The compression is told by the first bytes, not by the name: gzip, Zstandard and
bzip2 go through Arrow, xz through the standard library.
"""

from __future__ import annotations

import difflib
import lzma
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import FormatError

__all__ = ["BLOCK_BYTES", "HEAD_BYTES", "OVERRIDE", "Source", "text_lines"]

HEAD_BYTES = 1 << 18
"""How much of a file is looked at to recognise its format."""

SAMPLE_BYTES = 1 << 15
"""How much is looked at, in several places, to tell whether keys are numbers."""

BLOCK_BYTES = 1 << 23
"""How much text is parsed at a time."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
_COMPRESSED = (".gz", ".zst", ".zstd", ".xz", ".bz2")


class Source:
    """One file to read.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FormatError
        There is no such file, it may not be read, or it is empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                start = file.read(6)
        except FileNotFoundError:
            raise FormatError(path, "no such file", hint=_nearest(self.path)) from None
        except OSError as error:
            raise FormatError(path, f"cannot be read: {error.strerror or error}") from None
        self.compression = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)
        if not self.head:
            raise FormatError(path, "is empty")

    @cached_property
    def head(self) -> bytes:
        """The first `HEAD_BYTES` of content, or all of it if it is shorter."""
        with self.open() as stream:
            return read_exactly(stream, HEAD_BYTES, self.path)

    @property
    def complete(self) -> bool:
        """Whether `head` is all there is."""
        return len(self.head) < HEAD_BYTES

    @property
    def suffix(self) -> str:
        """Lower-case file suffix without that of the compression, for example ``".csv"``."""
        suffixes = [s.lower() for s in self.path.suffixes]
        while suffixes and suffixes[-1] in _COMPRESSED:
            suffixes.pop()
        return suffixes[-1] if suffixes else ""

    def open(self) -> IO[bytes] | Any:
        """Return a binary stream of the content, positioned at its start."""
        if self.compression is None:
            return self.path.open("rb")
        if self.compression == "xz":
            return lzma.open(self.path, "rb")
        import pyarrow as pa

        return pa.input_stream(str(self.path), compression=self.compression)

    def sampled_lines(self) -> list[str]:
        """Return whole lines of text from the start and, of a long uncompressed file, from four later places."""
        start = text_lines(self.head[:SAMPLE_BYTES].decode("utf-8-sig", "replace"))
        if len(self.head) <= SAMPLE_BYTES:
            return start
        lines = start[:-1]
        if self.compression is None and not self.complete:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                for quarter in (1, 2, 3, 4):
                    file.seek(size * quarter // 4 - SAMPLE_BYTES)
                    lines += text_lines(file.read(SAMPLE_BYTES).decode("utf-8", "replace"))[1:-1]
        return lines

    def chunks(self, n_bytes: int, skip: int = 0) -> Iterator[bytes]:
        """Yield the content in pieces of `n_bytes`; only the last is shorter."""
        with self.open() as stream:
            if skip:
                read_exactly(stream, skip, self.path)
            while chunk := read_exactly(stream, n_bytes, self.path):
                yield chunk

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number of the first line, whole lines), about `BLOCK_BYTES` at a time.

        Line ends are single newlines afterwards; a byte-order mark is gone.
        """
        line, rest = 1, b""
        for number, chunk in enumerate(self.chunks(BLOCK_BYTES)):
            if number == 0:
                chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            cut = chunk.rfind(b"\n") + 1
            if cut == 0:
                rest += chunk
                if len(rest) > 2 * BLOCK_BYTES:
                    raise FormatError(self.path, "is no text: no line end in 16 MiB", f"line {line}", OVERRIDE)
                continue
            block, rest = rest + chunk[:cut], chunk[cut:]
            yield line, block.replace(b"\r\n", b"\n") if b"\r" in block else block
            line += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
        if rest:
            yield line, rest


OVERRIDE = "If it is another kind of trace, name its format: format:path (see: evictlab trace formats)."
"""The hint of every error that may come from a wrong guess of the format."""


def text_lines(text: str) -> list[str]:
    """Split at line ends of any system, but not at what else Unicode calls a line end."""
    lines = re.split(r"\r\n|\n|\r", text)
    return lines if lines[-1] else lines[:-1]


def read_exactly(stream: Any, n_bytes: int, path: Path) -> bytes:
    """Read `n_bytes`, or less at the end of the stream only."""
    parts, missing = [], n_bytes
    try:
        while missing and (part := stream.read(missing)):
            parts.append(part)
            missing -= len(part)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise FormatError(path, f"damaged or cut off inside its compression ({error})") from None
    return b"".join(parts)


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"There is no folder {str(path.parent)!r} either."
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    return "Did you mean " + " or ".join(repr(name) for name in near) + "?" if near else ""
