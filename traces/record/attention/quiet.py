"""transformers without its progress bars: they go to stderr whatever was asked for, ``--quiet`` included.

Warnings stay: that a weight is missing from a file and was drawn at random must be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging

__all__ = ["no_bars"]


@contextmanager
def no_bars() -> Iterator[None]:
    """Show no progress bar of transformers meanwhile, and leave its setting as it was."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
