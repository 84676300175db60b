"""What the attention engine refuses."""

from __future__ import annotations

from ...traces.errors import EvictlabError

__all__ = ["ActionError"]


class ActionError(EvictlabError):
    """A policy did what cannot be done: evicted a slot that is not there, or held more than its budget."""
