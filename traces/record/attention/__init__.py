"""Attention of a real model, recorded: one forward pass over a text, and the queries, keys and values that it used.

Names are imported when first used. The weights are never part of this package: they are named by their path, or
fetched (`fetch_smollm2`).
"""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtraError
from ...lazy import lazy_names

_HOME = {
    "Model": "forward",
    "ModelConfig": "config",
    "fetch_smollm2": "fetch",
    "find_smollm2": "fetch",
    "load_hugging_face": "hugging_face",
    "load_model": "forward",
    "load_tokenizer": "tokenizer",
    "record_attention": "session",
}

__all__ = sorted(_HOME)
_get, __dir__ = lazy_names(__name__, _HOME)


def __getattr__(name: str) -> Any:
    try:
        return _get(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("torch", "gguf", "transformers", "tokenizers"):
            raise
        raise MissingExtraError("recording the attention of a model", "record") from error
