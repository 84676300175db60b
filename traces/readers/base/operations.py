"""What traces call their operations, as the four kinds that a cache tells apart, and what a cache answered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...batch import DELETE, GET, LOGGED, OTHER, SET
from .fields import Words

__all__ = ["LIBCACHESIM_OPS", "answers", "operations", "truths"]

_WORDS = {
    GET: "get gets get_lease getchunkdata head read r rs load l nop 08 28 88 a8",
    SET: "set set_lease putchunk put post write w ws store s add replace cas append prepend incr decr update "
    "0a 2a 8a aa",
    DELETE: "delete del remove invalidate purge",
}
_BY_WORD = {"": GET, **{word: code for code, words in _WORDS.items() for word in words.split()}}

LIBCACHESIM_OPS = np.full(256, OTHER, dtype=np.uint8)
"""Code by libCacheSim's ``req_op_e``: nop get gets set add cas replace append prepend delete incr decr
read write update."""
LIBCACHESIM_OPS[:15] = [GET, GET, GET, *[SET] * 6, DELETE, SET, SET, GET, SET, SET]


def operations(words: Words) -> npt.NDArray[np.uint8]:
    """Return the operation of each request, `OTHER` for words that are not known.

    SCSI opcodes in hexadecimal are known too. Upper case, and what follows a dot
    (``getChunkData.Permanent``), do not matter. An empty field is a `GET`.
    """
    codes = [_BY_WORD.get(text.strip().lower().split(".")[0], OTHER) for text in words.texts]
    return np.array(codes, dtype=np.uint8)[words.codes]


def answers(words: Words) -> npt.NDArray[np.uint8]:
    """Return what the cache answered to each request, an index into `LOGGED`; 0 for words that are not known."""
    codes = [LOGGED.index(word) if (word := text.strip().upper()) in LOGGED else 0 for text in words.texts]
    return np.array(codes, dtype=np.uint8)[words.codes]


def truths(words: Words) -> npt.NDArray[np.bool_]:
    """Return which fields say yes; an empty one does not."""
    known = [text.strip().lower() in ("true", "t", "yes", "1") for text in words.texts]
    return np.array(known, dtype=np.bool_)[words.codes]
