"""Compiled functions whose machine code is kept on disk in a folder of our choice.

numba caches next to the source or in a folder that is set for the whole
process. Here each function names its folder, numba's settings stay as the user
has them, and a change in any of the sources that a kernel is made of gives a
new folder. Importing this module imports numba.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
from numba.core import config

from .home import cache_home, is_writable

__all__ = ["compiled", "kernel", "source_digest"]

OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "no_cfunc_wrapper": True}
"""What `kernel` asks of numba unless told otherwise; nobody calls the functions from C, and each wrapper is compiled, too."""

_deciding_where = threading.Lock()


def compiled(folder: Path, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: ``numba.njit(**options)`` with the machine code kept under `folder`.

    Parameters
    ----------
    folder : Path
        Created when needed. Without write access, or for a function that was typed
        at a prompt, the function is compiled anew in each process.
    **options
        Passed to `numba.njit`.

    Returns
    -------
    callable
        Takes a function, returns numba's dispatcher.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        keep = Path(inspect.getfile(function)).is_file() and is_writable(folder)
        if not keep:
            return numba.njit(**options)(function)
        # numba looks at its setting once, when the decorator runs; so ours need not last longer.
        ours = {"CACHE_DIR": str(folder), "CACHE_LOCATOR_CLASSES": ""}
        with _deciding_where:
            theirs = {name: getattr(config, name, "") for name in ours}
            try:
                vars(config).update(ours)
                dispatcher = numba.njit(cache=True, **options)(function)
            finally:
                vars(config).update(theirs)
        _forgive(dispatcher._cache)
        return dispatcher

    return decorate


def _forgive(cache: Any) -> None:
    """Let a full disk or a torn file cost time only: numba would raise from the middle of a call."""
    load, save = cache.load_overload, cache.save_overload

    def load_if_sound(signature: Any, context: Any) -> Any:
        try:
            return load(signature, context)
        except Exception:  # whatever unpickling damaged bytes may raise
            with suppress(OSError):
                cache.flush()
            return None

    def save_if_possible(signature: Any, compiled_code: Any) -> None:
        with suppress(OSError):
            save(signature, compiled_code)

    cache.load_overload, cache.save_overload = load_if_sound, save_if_possible


def kernel(*, made_of: Iterable[ModuleType] = (), **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: a compiled function kept in `cache_home`, by default with `OPTIONS`.

    Parameters
    ----------
    made_of : iterable of module
        Other modules whose functions are compiled into this one: numba itself
        would not notice that they changed.
    **options
        Added to `OPTIONS` and passed to `numba.njit`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        sources = [Path(inspect.getfile(function)), *(Path(str(module.__file__)) for module in made_of)]
        folder = cache_home() / "kernels" / source_digest(sources)
        return compiled(folder, **{**OPTIONS, **options})(function)

    return decorate


def source_digest(sources: Iterable[Path]) -> str:
    """Sixteen hexadecimal digits that change when one of the files does.

    Parameters
    ----------
    sources : iterable of Path
        Files; one that does not exist counts by its name alone.
    """
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()[:16]
