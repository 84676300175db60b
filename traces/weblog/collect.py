"""From the fields of a block of lines to records: what each variable says about a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..batch import LOGGED
from .headers import HEADERS, response_headers

if TYPE_CHECKING:
    from .fields import Fields
    from .keys import KeyTemplate
    from .records import Records
    from .rules import CacheRules

__all__ = ["Collected", "collect"]


class Collected(NamedTuple):
    """What is known of a block.

    Attributes
    ----------
    latest_s : float
        Unix time of its latest line, NaN if none is known.
    varies : int
        Responses with a ``Vary``.
    strange : int
        Responses with a cache status that is none of `LOGGED`.
    """

    latest_s: float
    varies: int
    strange: int


def collect(
    fields: Fields, rules: CacheRules, template: KeyTemplate, records: Records, salt: int | None = None
) -> Collected:
    """Append the lines of a block to the records.

    Parameters
    ----------
    fields : Fields
    rules : CacheRules
        Which headers count.
    template : KeyTemplate
    records : Records
    salt : int, optional
        Of hashed keys.

    Returns
    -------
    Collected
    """
    n = len(fields)
    end_s, coarse = fields.stamps()
    body = next((name for name in ("body_bytes_sent", "bytes_sent") if fields.has(name)), "")
    logged, strange = _logged(fields)
    columns: dict[str, npt.NDArray[Any] | None] = {
        "end_s": end_s,
        "coarse": np.full(n, coarse),
        "duration_s": fields.seconds("request_time") if fields.has("request_time") else None,
        "status": np.clip(fields.integers("status", 0), 0, 999) if fields.has("status") else None,
        "unnamed": template.unnamed(fields),
        "method": records.methods.codes(fields.words("request_method")) if fields.has("request_method") else None,
        "body": fields.integers(body) if body else None,
        "length": _content_length(fields),
        "total": _range_total(fields),
        "gzip_ratio": fields.reals("gzip_ratio") if fields.has("gzip_ratio") else None,
        "upstream_s": fields.seconds("upstream_response_time") if fields.has("upstream_response_time") else None,
        "logged": logged,
    }
    varies = 0
    headers = {}
    for name in HEADERS:
        if name not in rules.ignored:
            variable = f"http_{name.replace('-', '_')}"
            found = next((v for v in (f"upstream_{variable}", f"sent_{variable}") if fields.has(v)), None)
            if found:
                headers[name] = fields.words(found)
    if headers:
        said = response_headers(headers, end_s)
        codes = np.array([records.reasons.code(reason) for reason in said.reasons], np.uint8)
        columns.update(barred=codes[said.barred], ttl_s=said.ttl_s, dated=said.dated)
        varies = said.varies
    records.append(template.keys(fields, salt), **columns)
    return Collected(float(np.fmax.reduce(end_s, initial=np.nan)), varies, strange)


def _content_length(fields: Fields) -> npt.NDArray[np.int64] | None:
    """Bytes of the whole object: what the origin said, or else what the client was told."""
    length = None
    for name in ("sent_http_content_length", "upstream_http_content_length"):
        if fields.has(name):
            said = fields.integers(name)
            length = said if length is None else np.where(said >= 0, said, length)
    return length


def _range_total(fields: Fields) -> npt.NDArray[np.int64] | None:
    """The 1234 of ``bytes 0-99/1234``."""
    name = next((name for name in ("sent_http_content_range", "upstream_http_content_range") if fields.has(name)), None)
    if name is None:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.extract_regex(fields.texts(f"${name}"), r"/(?P<total>[0-9]{1,15})\s*$")
    total = pc.struct_field(found, "total")  # null where there is none, which the bare child array is not
    return np.asarray(pc.cast(total, pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False))


def _logged(fields: Fields) -> tuple[npt.NDArray[np.uint8] | None, int]:
    """What the cache answered, as an index into `LOGGED`, and how many answers are none of it."""
    if not fields.has("upstream_cache_status"):
        return None, 0
    words = fields.words("upstream_cache_status")
    known = {word: code for code, word in enumerate(LOGGED)}
    # After an internal redirect there are several, as in "MISS : HIT": the last one answered.
    last = [text.replace(":", ",").split(",")[-1].strip().upper() for text in words.texts]
    strange = np.array([word not in known and word != "-" for word in last])
    codes = np.array([known.get(word, 0) for word in last], np.uint8)
    return codes[words.codes], int(strange[words.codes].sum())
