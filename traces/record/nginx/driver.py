"""Send the requests of a trace over HTTP, each at its time, and note when each was sent and answered."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

__all__ = ["FAILURES", "LEAD_S", "Drive", "Plan", "connect", "drive", "fetch", "uri_of"]

SCRATCH_BYTES = 1 << 18
"""Bodies are read in pieces of this size and forgotten."""

LEAD_S = 0.05
"""From the call of `drive` to the first request: until then all threads wait."""

ANSWER_S = 60
"""An answer that takes longer is a failure."""

FAILURES = 100
"""A run with more failed requests than this is given up."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Plan:
    """What is to be sent.

    Attributes
    ----------
    uris : sequence of str
        Of each object.
    ids : int32[n_requests]
        The object of each request.
    sizes : int64[n_requests]
        Bytes that the origin is to answer with.
    due_s : float64[n_requests] or None
        When each is to be sent, seconds from the start; None: as soon as a connection is free.
    delay_ms : int64[n_requests] or None
        How long the origin is to wait.
    """

    uris: Sequence[str]
    ids: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int64]
    due_s: npt.NDArray[np.float64] | None = None
    delay_ms: npt.NDArray[np.int64] | None = None

    def request(self, number: int) -> bytes:
        """The request as it is sent."""
        delay = "" if self.delay_ms is None else f"X-Delay-Ms: {self.delay_ms[number]}\r\n"
        head = f"GET {self.uris[self.ids[number]]} HTTP/1.1\r\nHost: origin\r\nX-Request: {number}\r\n"
        return f"{head}X-Size: {self.sizes[number]}\r\n{delay}\r\n".encode()


@dataclass(frozen=True)
class Drive:
    """When things happened, in seconds of monotonic time, NaN for what did not.

    Attributes
    ----------
    start_s : float
    sent_s, ended_s : float64[n_requests]
        When the request was handed to the kernel, and when the last byte of its answer was there.
    failed : list of (int, str)
        Requests without a whole answer, and why.
    """

    start_s: float
    sent_s: npt.NDArray[np.float64]
    ended_s: npt.NDArray[np.float64]
    failed: list[tuple[int, str]]


def uri_of(key: object) -> str:
    """Return the path that names an object; different keys have different ones.

    ``/o/`` and the key, what is not for a URL percent-encoded. Two dots in a row become ``~2E~2E`` and a tilde ``~7E``,
    because NGINX would follow ``/../`` to the folder above before it looks for the location.
    """
    return "/o/" + quote(str(key), safe="").replace("~", "~7E").replace("..", "~2E~2E")


def drive(
    path: str,
    plan: Plan,
    connections: int,
    progress: Callable[[int], None] | None = None,
    check: Callable[[], None] = lambda: None,
) -> Drive:
    """Send all requests over some connections that are kept alive; whichever is free takes the next one.

    Parameters
    ----------
    path : str
        Unix socket of the server.
    plan : Plan
    connections : int
        With all of them busy, a request that is due is sent late.
    progress : callable (int), optional
        Told how many more are done, a few times a second.
    check : callable, optional
        Called a few times a second; what it raises ends the run.
    """
    run = _Run(path, plan)
    threads = [threading.Thread(target=run.work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    told = 0
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
                check()
                if progress is not None:
                    done = run.done
                    progress(done - told)
                    told = done
    finally:
        run.give_up = True  # should this thread be interrupted, the others end after what they are at
    return Drive(run.start_s, run.sent_s, run.ended_s, sorted(run.failed))


class _Run:
    def __init__(self, path: str, plan: Plan) -> None:
        n = len(plan.ids)
        self._path, self._plan = path, plan
        self._next = itertools.count()
        self.sent_s, self.ended_s = np.full(n, np.nan), np.full(n, np.nan)
        self.failed: list[tuple[int, str]] = []
        self.done = 0
        self.give_up = False
        self.start_s = time.monotonic() + LEAD_S

    def work(self) -> None:
        """Take requests until there are none."""
        plan, n = self._plan, len(self._plan.ids)
        scratch = memoryview(bytearray(SCRATCH_BYTES))
        connection: socket.socket | None = None
        try:
            while (number := next(self._next)) < n and not self.give_up:
                request = plan.request(number)
                due_s = self.start_s + (0.0 if plan.due_s is None else float(plan.due_s[number]))
                while (wait_s := due_s - time.monotonic()) > 0 and not self.give_up:
                    time.sleep(min(wait_s, 0.5))
                try:
                    if connection is None:
                        connection = connect(self._path)
                    self.sent_s[number] = time.monotonic()
                    kept = _exchange(connection, request, scratch)
                    self.ended_s[number] = time.monotonic()
                    if not kept:
                        connection.close()
                        connection = None
                except (OSError, ValueError) as error:
                    self.failed.append((number, str(error) or type(error).__name__))
                    if connection is not None:
                        connection.close()
                    connection = None
                    self.give_up = self.give_up or len(self.failed) > FAILURES
                self.done += 1
        finally:
            if connection is not None:
                connection.close()


def fetch(path: str, uri: str, size: int, connection: socket.socket | None = None) -> None:
    """Ask for one object of some bytes, and read it.

    Raises
    ------
    OSError, ValueError
        No whole answer.
    """
    request = f"GET {uri} HTTP/1.1\r\nHost: origin\r\nX-Size: {size}\r\n\r\n".encode()
    if connection is not None:
        _exchange(connection, request, memoryview(bytearray(65536)))
        return
    with connect(path) as own:
        fetch(path, uri, size, own)


def connect(path: str) -> socket.socket:
    """Open a connection to a Unix socket, on which no answer may take longer than `ANSWER_S`."""
    connection = socket.socket(socket.AF_UNIX)
    # The kernel keeps the time; a timeout of Python's would cost another call for each of ours.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", ANSWER_S, 0))
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _exchange(connection: socket.socket, request: bytes, scratch: memoryview) -> bool:
    """Send a request and read the whole answer into `scratch`, over and over; whether another request may follow."""
    connection.sendall(request)
    got = 0
    while (end := bytes(scratch[:got]).find(_END)) < 0:
        received = connection.recv_into(scratch[got:])
        if not received:
            raise ConnectionResetError("closed before it was answered")
        got += received
    head = bytes(scratch[:end])
    length = _LENGTH.search(head)
    if length is None:
        raise ValueError(f"answer without a length: {head[:200]!r}")
    left = int(length[1]) - (got - end - len(_END))
    while left > 0:
        received = connection.recv_into(scratch, min(left, len(scratch)))
        if not received:
            raise ConnectionResetError("closed in the middle of a body")
        left -= received
    return b"\r\nconnection: close" not in head.lower()
