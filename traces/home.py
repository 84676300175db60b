"""Where evictlab keeps what it can make again: compiled kernels and numbered traces.

The folder is ``$EVICTLAB_CACHE_DIR``, or else the user's cache folder, or else,
when neither can be written, a private folder in the temporary directory.
Deleting it costs time and nothing else.
"""

from __future__ import annotations

import functools
import getpass
import os
import stat
import tempfile
from pathlib import Path

__all__ = ["cache_home", "is_writable"]


def cache_home() -> Path:
    """Folder for everything that can be computed again; it exists and is writable.

    Returns
    -------
    Path
        ``$EVICTLAB_CACHE_DIR``, the user's cache folder, or a private temporary folder.
    """
    return _home(os.environ.get("EVICTLAB_CACHE_DIR", ""))


@functools.cache
def _home(asked: str) -> Path:
    if asked:
        wanted = Path(asked).expanduser().absolute()
    else:
        import platformdirs

        wanted = Path(platformdirs.user_cache_dir("evictlab", appauthor=False))
    return wanted if is_writable(wanted) else _private_temporary_folder()


def is_writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is created if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private_temporary_folder() -> Path:
    """A folder that keeps its name between runs, so that kernels stay compiled.

    Compiled kernels are unpickled, so a folder that somebody else could have
    filled must not be used: only one that is ours and closed to others is.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"evictlab-{getpass.getuser()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        ours = not hasattr(os, "getuid") or facts.st_uid == os.getuid()
        closed = os.name == "nt" or not facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        if stat.S_ISDIR(facts.st_mode) and ours and closed and is_writable(folder):
            return folder
    except (OSError, KeyError):
        pass
    return Path(tempfile.mkdtemp(prefix="evictlab-"))
