"""What the NGINX module and the sidecar say to each other: one request and one reply, each a single packet.

The socket keeps packets whole (``SOCK_SEQPACKET``); numbers are little-endian and packed::

    request   u32 magic "EVL1" | u16 version | u16 flags | u64 id | u16 k | u16 features | u16 context | u16 reserved
              | f32 context[4] | f32 candidates[k][11]
    reply     u32 magic | u16 version | u16 status | u64 id | u64 mask       (bit i: evict candidate i)

A packet with the flag `WAKE`, without candidates, gets no reply: it says that a request is about to come, so that the server
may run its model once, for a model that has not been run for some time is slow the first time.

A reply carries the id of its request, so that one that comes too late is not taken for the answer to the next.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...traces.errors import EvictlabError

__all__ = [
    "CONTEXT",
    "FAILED",
    "FEATURES",
    "MAGIC",
    "MALFORMED",
    "MAX_K",
    "MISMATCH",
    "MISSING",
    "OK",
    "VERSION",
    "WAKE",
    "PacketError",
    "Reply",
    "Request",
    "is_wake",
    "pack_reply",
    "pack_request",
    "pack_wake",
    "unpack_reply",
    "unpack_request",
]

FEATURES = (
    "age_s",
    "size_bytes",
    "hits",
    "gap_s",
    "ttl_left_s",
    "origin_s",
    "idle_s",
    "requests",
    "known_s",
    "recent",
    "steady",
)
"""What a candidate is described by, in the order of the packet."""

CONTEXT = ("pace_s", "capacity_bytes", "residents", "need_bytes")
"""What is known about the cache as a whole, in the order of the packet."""

MISSING = -1.0
"""A value that is not known; as a size it marks a row without a candidate."""

MAGIC, VERSION, SHADOW, WAKE = 0x314C5645, 1, 1, 2
MAX_K = 64
"""Candidates at a time: the mask has a bit for each."""

OK, MALFORMED, MISMATCH, FAILED = 0, 1, 2, 3
"""Status of a reply: decided; no sound request; other features or context; the model failed."""

_REQUEST, _REPLY = struct.Struct("<IHHQHHHH"), struct.Struct("<IHHQQ")

Floats = npt.NDArray[np.float32]


class PacketError(EvictlabError):
    """A packet that cannot be understood.

    Attributes
    ----------
    status : int
        What a server replies.
    id : int
        Of the request, 0 where it cannot be told.
    """

    def __init__(self, text: str, status: int = MALFORMED, id: int = 0) -> None:
        super().__init__(text)
        self.status, self.id = status, id


@dataclass(frozen=True, eq=False)
class Request:
    """Candidates to choose victims from.

    Attributes
    ----------
    id : int
    candidates : float32[k, 11]
        See `FEATURES`; first the end of NGINX's queue, the longest unused first.
    context : float32[4]
        See `CONTEXT`.
    shadow : bool
        Nothing will be evicted, whatever the reply.
    """

    id: int
    candidates: Floats
    context: Floats
    shadow: bool = False


@dataclass(frozen=True)
class Reply:
    """What is to be evicted.

    Attributes
    ----------
    status : int
        `OK`, `MALFORMED`, `MISMATCH` or `FAILED`.
    id : int
        Of the request.
    mask : int
        Bit i is set to evict candidate i.
    """

    status: int
    id: int
    mask: int


def pack_request(id: int, candidates: npt.ArrayLike, context: npt.ArrayLike, *, shadow: bool = False) -> bytes:
    """Return the packet of a request.

    Parameters
    ----------
    id : int
        0 to 2**64 - 1.
    candidates : (k, 11) array_like
        1 to 64 rows of `FEATURES`.
    context : (4,) array_like
        `CONTEXT`.
    shadow : bool
        Nothing will be evicted.

    Raises
    ------
    PacketError
        Other shapes.
    """
    rows, whole = np.asarray(candidates, dtype="<f4"), np.asarray(context, dtype="<f4")
    if rows.ndim != 2 or not 1 <= len(rows) <= MAX_K or rows.shape[1] != len(FEATURES):
        raise PacketError(
            f"candidates have the shape {rows.shape}; expected 1 to {MAX_K} rows of {len(FEATURES)} features"
        )
    if whole.shape != (len(CONTEXT),):
        raise PacketError(f"the context has the shape {whole.shape}; expected ({len(CONTEXT)},)")
    head = _REQUEST.pack(MAGIC, VERSION, SHADOW * shadow, id, len(rows), len(FEATURES), len(CONTEXT), 0)
    return head + whole.tobytes() + rows.tobytes()


def pack_wake() -> bytes:
    """Return the packet that announces requests."""
    return _REQUEST.pack(MAGIC, VERSION, WAKE, 0, 0, len(FEATURES), len(CONTEXT), 0) + bytes(4 * len(CONTEXT))


def is_wake(packet: bytes) -> bool:
    """Whether a packet announces requests, and gets no reply."""
    if len(packet) != _REQUEST.size + 4 * len(CONTEXT):
        return False
    magic, version, flags, _, k, *_ = _REQUEST.unpack_from(packet)
    return bool((magic, version, flags, k) == (MAGIC, VERSION, WAKE, 0))


def unpack_request(packet: bytes) -> Request:
    """Read a request.

    Raises
    ------
    PacketError
        With the status to be replied: `MALFORMED` or `MISMATCH`.
    """
    if len(packet) < _REQUEST.size:
        raise PacketError(f"a request of {len(packet)} bytes; its head alone has {_REQUEST.size}")
    magic, version, flags, id, k, features, context, reserved = _REQUEST.unpack_from(packet)
    if magic != MAGIC:
        raise PacketError(f"it starts with {magic:#010x}, a request with {MAGIC:#010x}")
    if version != VERSION:
        raise PacketError(f"version {version} of the protocol; this is version {VERSION}", id=id)
    if flags & ~SHADOW or reserved:
        raise PacketError(f"flags {flags:#x}, reserved {reserved:#x}: bits that version {VERSION} does not have", id=id)
    if not 1 <= k <= MAX_K:
        raise PacketError(f"{k} candidates; expected 1 to {MAX_K}", id=id)
    if (features, context) != (len(FEATURES), len(CONTEXT)):
        raise PacketError(
            f"{features} features and {context} of context; this model knows {len(FEATURES)} and {len(CONTEXT)}",
            MISMATCH,
            id,
        )
    expected = _REQUEST.size + 4 * (context + k * features)
    if len(packet) != expected:
        raise PacketError(f"{len(packet)} bytes; a request of {k} candidates has {expected}", id=id)
    numbers: npt.NDArray[Any] = np.frombuffer(packet, dtype="<f4", offset=_REQUEST.size)
    if not np.isfinite(numbers).all():
        raise PacketError(
            f"a value that is no finite number; what is not known is written as {MISSING:g}", MALFORMED, id
        )
    return Request(id, numbers[context:].reshape(k, features), numbers[:context], bool(flags & SHADOW))


def pack_reply(reply: Reply) -> bytes:
    """Return the packet of a reply."""
    return _REPLY.pack(MAGIC, VERSION, reply.status, reply.id, reply.mask)


def unpack_reply(packet: bytes) -> Reply:
    """Read a reply.

    Raises
    ------
    PacketError
        It is none.
    """
    if len(packet) != _REPLY.size:
        raise PacketError(f"a reply of {len(packet)} bytes; expected {_REPLY.size}")
    magic, version, status, id, mask = _REPLY.unpack(packet)
    if magic != MAGIC or version != VERSION:
        raise PacketError(
            f"a reply that starts with {magic:#010x}, version {version}; expected {MAGIC:#010x}, {VERSION}"
        )
    return Reply(status, id, mask)
