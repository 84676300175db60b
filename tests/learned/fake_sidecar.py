"""A sidecar of a few lines, for tests of the NGINX module: it answers well or badly, as it is told."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

MAGIC = 0x314C5645
HEAD = struct.Struct("<IHHQHHHH")
REPLY = struct.Struct("<IHHQQ")
WAKE = 2
"""Flag of a packet without candidates that gets no answer."""

SIZE, HITS, IDLE, REQUESTS = 1, 2, 6, 7

Choice = Callable[[np.ndarray, np.ndarray], int]


def by_value(q: np.ndarray, context: np.ndarray, candidates: np.ndarray) -> int:
    """The mask: the highest values first, until there is room, at most one in eight."""
    mask, room = 0, 0.0
    for index in np.argsort(-q, kind="stable")[: max(1, len(q) // 8)].tolist():
        mask |= 1 << index
        room += float(candidates[index, SIZE])
        if room >= context[3]:
            break
    return mask


def largest(context: np.ndarray, candidates: np.ndarray) -> int:
    """Evict the largest ones."""
    return by_value(candidates[:, SIZE], context, candidates)


def most_requested(context: np.ndarray, candidates: np.ndarray) -> int:
    """Evict what is asked for most often: the worst that can be done."""
    return by_value(candidates[:, REQUESTS], context, candidates)


def nothing(context: np.ndarray, candidates: np.ndarray) -> int:
    """Evict none."""
    return 0


def well(connection: socket.socket, number: int, mask: int) -> None:
    connection.send(REPLY.pack(MAGIC, 1, 0, number, mask))


def late(connection: socket.socket, number: int, mask: int) -> None:
    time.sleep(0.03)
    well(connection, number, mask)


def silent(connection: socket.socket, number: int, mask: int) -> None:
    pass


def garbage(connection: socket.socket, number: int, mask: int) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n" * 5)


def wrong_number(connection: socket.socket, number: int, mask: int) -> None:
    well(connection, number ^ 1 << 40, mask)


def refusing(connection: socket.socket, number: int, mask: int) -> None:
    connection.send(REPLY.pack(MAGIC, 1, 3, number, 0))


def naming_nobody(connection: socket.socket, number: int, mask: int) -> None:
    well(connection, number, 1 << 63)


def dying(connection: socket.socket, number: int, mask: int) -> None:
    raise ConnectionAbortedError


class FakeSidecar:
    """Listens while in its ``with`` block.

    `asked` has, of every question, the head, the context and the candidates; `woken` counts the packets that announce
    questions. `choose` and `answer` may be changed.
    """

    def __init__(self, path: str, choose: Choice = largest, answer=well) -> None:
        self.path, self.choose, self.answer = path, choose, answer
        self.asked: list[tuple[tuple[int, ...], np.ndarray, np.ndarray]] = []
        self.woken = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> FakeSidecar:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(self.path)
        os.chmod(self.path, 0o666)  # noqa: PTH101  # NGINX's manager is another user
        self._listening.listen(8)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listening.accept()[0]
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while packet := connection.recv(1 << 16):
                head = HEAD.unpack_from(packet)
                if head[2] == WAKE:
                    assert (len(packet), *head[3:]) == (HEAD.size + 16, 0, 0, 11, 4, 0)
                    self.woken += 1
                    continue
                numbers = np.frombuffer(packet, "<f4", offset=HEAD.size)
                context, candidates = numbers[:4], numbers[4:].reshape(head[4], 11)
                self.asked.append((head, context, candidates))
                self.answer(connection, head[3], self.choose(context, candidates))

    def __exit__(self, *error: object) -> None:
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
        os.unlink(self.path)  # noqa: PTH108
