"""``evictlab attention ...``: recorded attention against KV policies, and what evicting costs in answers."""

from __future__ import annotations

from collections.abc import Callable

from .accuracy import accuracy
from .info import info
from .policies import policies
from .replay import replay
from .study import study

__all__ = ["DEFAULT", "commands"]

DEFAULT = "replay"
"""The command that is meant where none is named."""

commands: dict[str, Callable[..., None]] = {
    "replay": replay,
    "accuracy": accuracy,
    "study": study,
    "policies": policies,
    "info": info,
}
"""The commands by name, in the order of the help."""
