"""The key of a request: the template of ``proxy_cache_key``, filled in from what the log holds.

What a log lacks is replaced by what says the same, or nearly: `$uri$is_args$args` and
`$uri$args` by `$request_uri`, `$proxy_host` by its value in nginx.conf or by the host that was asked for.
The rest is left out, which does no harm where it is constant, and is said in a note.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from .log_format import split_template

if TYPE_CHECKING:
    from .fields import Fields
    from .rules import CacheRules

__all__ = ["KeyTemplate", "key_template", "salt_of"]

_WITH_QUERY = re.compile(r"\$\{?(?:uri|document_uri)\}?(?:\?|\$\{?is_args\}?)?\$\{?(?:args|query_string)\}?")
_STAND_INS = {
    "proxy_host": ("host", "http_host", "server_name"),
    "host": ("http_host", "server_name", "proxy_host"),
    "http_host": ("host", "server_name"),
    "server_name": ("host", "http_host"),
    "uri": ("request_uri",),
    "document_uri": ("uri", "request_uri"),
    "request_uri": ("uri", "document_uri"),
}
_PATHS = ("request_uri", "uri", "document_uri")


@dataclass(frozen=True)
class KeyTemplate:
    """A template of which the log has all variables.

    Attributes
    ----------
    text : str
    path_only : bool
        The query does not belong to the key although the log's target has it.
    notes : tuple of str
        What it differs in from the one that was asked for.
    """

    text: str
    path_only: bool
    notes: tuple[str, ...]

    def unnamed(self, fields: Fields) -> npt.NDArray[np.bool_]:
        """Return in which lines all that tells one object from another is missing: the path, or else every variable."""
        variables = [text for text, is_variable in split_template(self.text) if is_variable]
        paths = [name for name in variables if name in _PATHS]
        return np.asarray(np.logical_and.reduce([fields.blank(name) for name in paths or variables]))

    def keys(self, fields: Fields, salt: int | None = None) -> Any:
        """Return the key of each line: a pyarrow string array, or, if salted, its SipHash-2-4 as uint64[n].

        A target that holds blanks ends at the first one: so Apache cuts it, and NGINX refuses it.
        """
        import pyarrow.compute as pc

        texts = fields.texts(self.text)
        if self.path_only or pc.any(pc.match_substring(texts, " ")).as_py():
            texts = self._cut(fields)
        return texts if salt is None else _hashed(texts, salt)

    def _cut(self, fields: Fields) -> Any:
        """The keys with the path cut where it ends, at a blank or before the query."""
        import pyarrow as pa
        import pyarrow.compute as pc

        end = r"[ ?].*$" if self.path_only else r" .*$"
        pieces = []
        for text, is_variable in split_template(self.text):
            piece = fields.texts(f"${text}" if is_variable else text)
            if is_variable and text in _PATHS:
                piece = pc.replace_substring_regex(piece, end, "")
            pieces.append(piece)
        return pc.binary_join_element_wise(*pieces, pa.scalar("", pa.large_string()))


def key_template(rules: CacheRules, has: Callable[[str], bool]) -> KeyTemplate:
    """Fit the template of the rules to what a log holds.

    Parameters
    ----------
    rules : CacheRules
    has : callable
        Whether the log has a variable.

    Raises
    ------
    UsageError
        It has none of the template's, nor what could stand for one.
    """
    wanted = rules.key
    if not (has("uri") or has("document_uri")) or not (has("args") or has("query_string")):
        wanted = _WITH_QUERY.sub("$request_uri", wanted)
    text, lacking, notes, path_only = "", [], [], False
    for part, is_variable in split_template(wanted):
        if not is_variable or has(part):
            text += f"${{{part}}}" if is_variable else part
            continue
        if part == "proxy_host" and rules.proxy_host:
            text += rules.proxy_host
            continue
        stand_in = next((name for name in _STAND_INS.get(part, ()) if has(name)), None)
        if stand_in is None:
            lacking.append(part)
            continue
        text += f"${{{stand_in}}}"
        path_only |= part in ("uri", "document_uri") and stand_in == "request_uri"
        if part != "uri":
            notes.append(f"${stand_in} stands for ${part} in the key")
    if not any(is_variable for _, is_variable in split_template(text)):
        raise UsageError(
            f"key={rules.key}: the log has no {_listed(lacking)}, so that all requests would be for one object; log it, or "
            "name what is logged, as in key=$request_uri"
        )
    if lacking:
        notes.insert(0, f"the log lacks {_listed(lacking)}: keys are {text.replace('{', '').replace('}', '')}")
    return KeyTemplate(text, path_only, tuple(notes))


def salt_of(word: str) -> int:
    """128 bits that follow from a word, and from which it does not."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=16, person=b"evictlab key").digest(), "little")


def _hashed(texts: Any, salt: int) -> npt.NDArray[np.uint64]:
    """As `Fields.hashes` would hash them, had nothing to be cut."""
    from .siphash import fill_siphashes

    _, offsets, data = texts.buffers()
    hashes = np.empty(len(texts), np.uint64)
    key = np.array([salt & (1 << 64) - 1, salt >> 64], np.uint64)
    fill_siphashes(np.frombuffer(offsets, np.int64), np.frombuffer(data or b"", np.uint8), key, hashes)
    return hashes


def _listed(variables: Iterable[str]) -> str:
    return ", ".join(f"${name}" for name in variables)
