"""The tokenizer inside a GGUF file, made once and kept as ``tokenizer.json`` in the cache folder.

Byte-level BPE is built from the metadata as llama.cpp does it, digit by digit where the model was trained so (``smollm``).
transformers' own conversion goes wrong there: it loses the tokens of two spaces and adds a token at the beginning that
the file does not ask for. Other kinds are left to that conversion.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from ...errors import FormatError
from ...home import cache_home

if TYPE_CHECKING:
    from .gguf_file import GGUFFile

__all__ = ["encode", "load_tokenizer"]

CONTROL, USER_DEFINED = 3, 4
"""Types of token that a text cannot be merged into."""

DIGITS = {"smollm": True, "gpt-2": False}
"""Byte-level splitting by its name in the file -> whether each digit stands for itself."""


def encode(file: GGUFFile, sha256: str, text: str) -> list[int]:
    """Token ids of a text, with the token that the file wants at the beginning, if any."""
    ids: list[int] = load_tokenizer(file, sha256).encode(text, add_special_tokens=False).ids
    # llama.cpp: sentence-piece vocabularies begin with a token unless the file says otherwise, byte-level ones do not.
    wanted = file.get("tokenizer.ggml.add_bos_token", file.get("tokenizer.ggml.model") == "llama")
    return [int(file.need("tokenizer.ggml.bos_token_id")), *ids] if wanted else ids


def load_tokenizer(file: GGUFFile, sha256: str) -> Tokenizer:
    """Return the tokenizer of a GGUF file, from the cache folder if it has been made before.

    Parameters
    ----------
    file : GGUFFile
    sha256 : str
        Of that file: the key under which the tokenizer is kept.

    Raises
    ------
    FormatError
        The file holds none, or one that cannot be made.
    """
    kept = cache_home() / "tokenizers" / f"{sha256}.json"
    if kept.is_file():
        try:
            return Tokenizer.from_file(str(kept))
        except Exception:  # tokenizers raises bare exceptions; a damaged copy is made again
            kept.unlink()
    tokenizer = _made(file)
    kept.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=kept.parent, suffix=".part", delete=False, encoding="utf-8") as part:
        part.write(tokenizer.to_str())
    Path(part.name).replace(kept)  # whole or not at all, whoever else is making it
    return tokenizer


def _made(file: GGUFFile) -> Tokenizer:
    splitting = file.get("tokenizer.ggml.pre")
    if file.need("tokenizer.ggml.model") == "gpt2" and splitting in DIGITS:
        return _byte_level(file, DIGITS[splitting])
    from transformers import AutoTokenizer

    from .quiet import no_bars

    try:
        with no_bars():
            converted = AutoTokenizer.from_pretrained(str(file.path.parent), gguf_file=file.path.name)
    except Exception as error:  # whatever the conversion stumbles over
        hint = "Give the model as a Hugging Face folder instead."
        raise FormatError(file.path, f"transformers cannot make its tokenizer ({error})", hint=hint) from error
    tokenizer: Tokenizer = converted.backend_tokenizer
    return tokenizer


def _byte_level(file: GGUFFile, digits: bool) -> Tokenizer:
    tokens = file.need("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in file.need("tokenizer.ggml.merges")]
    try:
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    except Exception as error:  # tokenizers raises bare exceptions
        raise FormatError(file.path, f"its tokens and merges contradict each other ({error})") from error
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    split = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, bytes_of])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = file.get("tokenizer.ggml.token_type", [])
    for kind, add in ((CONTROL, tokenizer.add_special_tokens), (USER_DEFINED, tokenizer.add_tokens)):
        add([AddedToken(token, normalized=False) for token, its in zip(tokens, kinds, strict=False) if its == kind])
    return tokenizer
