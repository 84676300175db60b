"""``evictlab trace ...``: look into traces, convert, sample, generate and record them."""

from __future__ import annotations

from collections.abc import Callable

from .convert import convert
from .formats import formats
from .generate import generate
from .head import head
from .info import info
from .record import record
from .sample import sample

__all__ = ["commands"]

commands: dict[str, Callable[..., None]] = {
    "info": info,
    "head": head,
    "convert": convert,
    "sample": sample,
    "generate": generate,
    "record": record,
    "formats": formats,
}
"""The commands by name, in the order of the help."""
