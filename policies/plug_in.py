"""Policies in files of a user's own, named by their path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from ..traces.errors import UsageError

__all__ = ["import_file"]


def import_file(path: str | Path, prefix: str) -> str:
    """Import a Python file once, and return the name of its module: `prefix` and the file's name.

    Raises
    ------
    UsageError
        There is no such file, it is no Python, or it fails.
    """
    path = Path(path).resolve()
    module_name = prefix + path.stem
    if not path.is_file():
        raise UsageError(f"no policy file {path}")
    known = getattr(sys.modules.get(module_name), "__file__", None)
    if known == str(path):
        return module_name
    found = importlib.util.spec_from_file_location(module_name, path)
    if found is None or found.loader is None:
        raise UsageError(f"{path} is no Python file (its name should end in .py)")
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise UsageError(f"{path} could not be imported: {type(error).__name__}: {error}") from error
    return module_name
