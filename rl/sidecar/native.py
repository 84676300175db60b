"""The programs in C: compiled when first needed, kept in the cache folder under a digest of what they are made from."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ...traces.errors import EvictlabError, MissingExtraError, UsageError
from ...traces.home import cache_home

__all__ = ["SERVER", "compiled", "onnxruntime_library"]

SERVER, CLIENT = ("serve.c", "model.c", "decide.c"), ("bench.c",)
"""Sources of the server and of the client that measures it."""

HEADERS = ("wire.h", "model.h", "decide.h")
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
LIBRARIES = ("-pthread", "-ldl", "-lm")


def compiled(sources: tuple[str, ...] = SERVER) -> Path:
    """The program made from the sources of this package; it is compiled if it has not been before.

    Raises
    ------
    UsageError
        There is no C compiler.
    EvictlabError
        The compiler refuses.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(" ".join((*FLAGS, *LIBRARIES, os.uname().machine)).encode())
    for name in (*sources, *HEADERS):
        digest.update((here / name).read_bytes())
    folder = cache_home() / "sidecar" / digest.hexdigest()[:20]
    program = folder / Path(sources[0]).stem
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _compile([str(here / name) for name in sources], program)
    return program


def _compile(sources: list[str], program: Path) -> None:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise UsageError(
            "the sidecar is a program in C, and there is no C compiler (Debian: apt install gcc libc6-dev); "
            "--python does without, more slowly"
        )
    handle, part = tempfile.mkstemp(prefix=".new-", dir=program.parent)
    os.close(handle)
    try:
        done = subprocess.run(
            [*compiler.split(), *FLAGS, *sources, "-o", part, *LIBRARIES], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise EvictlabError(
                f"{compiler} cannot compile the sidecar; --python does without. It says:\n{done.stderr}"
            )
        Path(part).chmod(0o755)
        Path(part).replace(program)  # at once: two that compile at the same time do not meet
    finally:
        Path(part).unlink(missing_ok=True)


def onnxruntime_library() -> Path:
    """The shared library within the Python package onnxruntime.

    Raises
    ------
    MissingExtraError
        It is not installed.
    EvictlabError
        It is, without the library.
    """
    import importlib.util

    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the sidecar", "sidecar")
    folder = Path(spec.origin).parent / "capi"
    found = sorted(folder.glob("libonnxruntime.so.*")) or sorted(folder.glob("libonnxruntime.so"))
    if not found:
        raise EvictlabError(f"{folder} holds no libonnxruntime.so; install onnxruntime from its wheel, or use --python")
    return found[-1]
