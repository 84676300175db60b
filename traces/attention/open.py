"""Open an attention trace: the one that comes along, a folder, or a single file."""

from __future__ import annotations

from pathlib import Path

from ..errors import TraceError, UsageError
from .single_file import read_single_file
from .store import read_folder
from .trace import AttentionTrace

__all__ = ["DEMO", "open_attention"]

DEMO = Path(__file__).parent / "demo"
"""The recording that is part of evictlab."""


def open_attention(path: str | Path) -> AttentionTrace:
    """Open a recorded attention trace. Tensors are mapped into memory, not read.

    Parameters
    ----------
    path : str or Path
        ``"demo"`` for the recording that is part of evictlab; a folder with a manifest.json;
        or a single ``.safetensors`` file of the format kv-attention-trace/0.

    Raises
    ------
    UsageError
        There is no such file or folder.
    TraceError
        It cannot be used; as `FormatError` with the file, the value and what to do.
    MissingExtraError
        The package safetensors is not installed.
    """
    if str(path) == "demo":
        if not (DEMO / "manifest.json").is_file():
            raise TraceError(
                "the demo attention trace is not part of this installation; name a folder with a manifest.json, "
                "or make a synthetic trace with random_attention()"
            )
        return read_folder(DEMO)
    place = Path(path)
    if place.name == "manifest.json":
        place = place.parent
    if place.is_dir():
        return read_folder(place)
    if not place.exists():
        raise UsageError(f"there is no {place}; name a folder with a manifest.json, a .safetensors file, or 'demo'")
    if place.suffix != ".safetensors":
        raise UsageError(
            f"{place} is no attention trace: expected a folder with a manifest.json, or a .safetensors file"
        )
    return read_single_file(place)
