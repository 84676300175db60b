"""``evictlab trace ...``: look into traces, convert, sample, generate and record them."""

from __future__ import annotations

from collections.abc import Callable

from .convert import convert
from .formats import formats
from .generate import generate
from .head import head
from .info import info
from .record import record
from .record_attention import fetch, record_attention
from .sample import sample

__all__ = ["commands", "record_commands"]

commands: dict[str, Callable[..., None]] = {
    "info": info,
    "head": head,
    "convert": convert,
    "sample": sample,
    "generate": generate,
    "fetch": fetch,
    "formats": formats,
}
"""The commands by name, in the order of the help."""

record_commands: dict[str, Callable[..., None]] = {"nginx": record, "attention": record_attention}
"""What can be recorded, by name: the commands of ``evictlab trace record``."""
