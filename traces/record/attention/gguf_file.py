"""A GGUF file as it lies on the disk: its metadata by key, its tensors by name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch

from ...errors import FormatError

__all__ = ["GGUFFile", "file_sha256"]


class GGUFFile:
    """A GGUF file: its metadata by key and its tensors by name, read when asked for.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FormatError
        The file cannot be read as GGUF, or lacks a key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except FileNotFoundError:
            raise FormatError(path, "there is no such file", hint="Name a .gguf file.") from None
        except (ValueError, IndexError, KeyError, OSError) as error:
            hint = "Name a whole .gguf file, or a Hugging Face folder."
            raise FormatError(path, f"this cannot be read as GGUF ({error})", hint=hint) from None
        self.tensors: dict[str, Any] = {tensor.name: tensor for tensor in self._reader.tensors}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value of the metadata, or `default`."""
        field = self._reader.fields.get(key)
        return default if field is None else field.contents()

    def need(self, key: str) -> Any:
        """Return a value of the metadata that must be there."""
        value = self.get(key)
        if value is None:
            raise FormatError(self.path, f"its metadata lack {key!r}", hint="Is it a language model?")
        return value

    def packed(self, name: str) -> tuple[str, npt.NDArray[np.uint8]]:
        """Return the type and the stored bytes of a tensor, row by row, for example ``("Q4_1", uint8 [out, bytes])``."""
        tensor = self.tensors[name]
        return tensor.tensor_type.name, np.array(tensor.data)

    def tensor(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Unpack a tensor to float32.

        Raises
        ------
        FormatError
            It has another shape, or a type that cannot be unpacked.
        """
        stored = self.tensors[name]
        try:
            values = gguf.dequantize(stored.data, stored.tensor_type).astype(np.float32)  # a copy: the file is mapped
        except NotImplementedError:
            raise FormatError(
                self.path, f"{name} is packed as {stored.tensor_type.name}, which gguf cannot unpack"
            ) from None
        if values.shape != shape:
            raise FormatError(self.path, f"{name} has shape {values.shape}, but the metadata say {shape}")
        return torch.from_numpy(values)


def file_sha256(path: Path) -> str:
    """Digest of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
