"""The request line in its three parts: method, target, protocol.

No request is what does not begin with upper-case letters, a blank and something else: ``-``, nothing at all, the
first bytes of a TLS handshake. The protocol may be absent (HTTP/0.9), and blanks in the target belong to it.

Source: RFC 9112, section 3.
"""

from __future__ import annotations

from typing import Any

from ...jit import kernel

__all__ = ["PARTS", "split_requests"]

PARTS = ("request_method", "request_uri", "server_protocol")
"""Variables that come of ``$request``, in the order of the rows that `split_requests` writes."""


@kernel()
def split_requests(data: Any, begins: Any, ends: Any, part_begins: Any, part_ends: Any) -> None:
    """Cut request lines ``data[begins[i]:ends[i]]``.

    Parameters
    ----------
    data : uint8[...]
    begins, ends : int64[n]
    part_begins, part_ends : int64[3, n], written
        Offsets of method, target and protocol; all empty where there is no request.
    """
    for i in range(len(begins)):
        begin, end = begins[i], ends[i]
        for p in range(3):
            part_begins[p, i], part_ends[p, i] = begin, begin
        at = begin
        while at < end and 65 <= data[at] <= 90:
            at += 1
        if at == begin or at + 1 >= end or data[at] != 32 or data[at + 1] == 32:
            continue
        part_ends[0, i] = at
        part_begins[1, i] = at + 1
        blank = end - 1
        while data[blank] != 32:
            blank -= 1
        protocol = blank > at and end - blank > 5
        if protocol:
            b = blank
            protocol = data[b + 1] == 72 and data[b + 2] == 84 and data[b + 3] == 84 and data[b + 4] == 80
            protocol = protocol and data[b + 5] == 47
        part_ends[1, i] = blank if protocol else end
        part_begins[2, i] = blank + 1 if protocol else end
        part_ends[2, i] = end
