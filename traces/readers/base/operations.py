"""What traces call their operations, as the four kinds that a cache tells apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...batch import DELETE, GET, OTHER, SET
from .text import Words

__all__ = ["LIBCACHESIM_OPS", "operations"]

_WORDS = {
    GET: "get gets get_lease getchunkdata read r rs l load head nop",
    SET: "set set_lease putchunk write w ws s store put post add replace cas append prepend incr decr update",
    DELETE: "delete del remove invalidate purge",
}
_BY_WORD = {word: code for code, words in _WORDS.items() for word in words.split()}

LIBCACHESIM_OPS = np.array([GET, GET, GET, *[SET] * 6, DELETE, SET, SET, GET, SET, SET], dtype=np.uint8)
"""Code by libCacheSim's ``req_op_e``: nop get gets set add cas replace append prepend delete incr decr
read write update."""


def operations(words: Words) -> npt.NDArray[np.uint8]:
    """Return the operation of each request, `OTHER` for words that are not known.

    Upper case, and what follows a dot (``getChunkData.Permanent``), do not matter.
    An empty field is a `GET`.
    """
    codes = [_BY_WORD.get(text.strip().lower().split(".")[0], OTHER) for text in words.texts[:-1]]
    return np.array([*codes, GET], dtype=np.uint8)[words.codes]
