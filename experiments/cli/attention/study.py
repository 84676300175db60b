"""``evictlab attention study``: which metric of a trace tells how many answers survive."""

from __future__ import annotations

__all__ = ["study"]


def study() -> None:
    """Rank correlation of each trace metric with accuracy."""
    raise NotImplementedError
