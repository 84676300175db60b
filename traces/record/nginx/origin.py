"""The origin behind NGINX: a real HTTP/1.1 server that answers with as many bytes as it is asked for.

Run as ``python -m evictlab.traces.record.nginx.origin SOCKET``. A request may say ``X-Size`` (bytes of the body) and
``X-Delay-Ms`` (before the first byte): so an object's size can differ from fetch to fetch while its key stays. Bodies
are zeros, all from one buffer. At the end it prints how many requests for objects, and bytes of them, it answered.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress

__all__ = ["BODY"]

BODY = memoryview(bytes(1 << 20))
"""What all bodies are made of."""

END = b"\r\n\r\n"

OBJECT = b"GET /o/"
"""What asks for an object; others only keep NGINX's manager awake."""


class _Origin:
    """Answers every connection in a thread of its own."""

    def __init__(self) -> None:
        self.requests = 0
        self.body_bytes = 0
        self._counting = threading.Lock()

    def listen(self, path: str) -> None:
        """Accept connections from now on."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        os.chmod(path, 0o666)  # noqa: PTH101  # the workers of NGINX are other users
        listening.listen(256)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        received = b""
        with connection, suppress(ConnectionError):
            while True:
                while END not in received:
                    more = connection.recv(65536)
                    if not more:
                        return
                    received += more
                head, _, received = received.partition(END)
                self._answer(connection, head)

    def _answer(self, connection: socket.socket, head: bytes) -> None:
        lowered = head.lower()
        size = _number(lowered, b"\r\nx-size:")
        if delay_ms := _number(lowered, b"\r\nx-delay-ms:"):
            time.sleep(delay_ms / 1000)
        if head.startswith(OBJECT):
            with self._counting:
                self.requests += 1
                self.body_bytes += size
        first = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size
        if size <= 32768:
            connection.sendall(first + BODY[:size])
            return
        connection.sendall(first)
        for start in range(0, size, len(BODY)):
            connection.sendall(BODY[: size - start])


def _number(head: bytes, name: bytes) -> int:
    """The value of a header, 0 where there is none."""
    start = head.find(name)
    return int(head[start + len(name) :].split(b"\r\n", 1)[0]) if start >= 0 else 0


def _main(path: str) -> None:
    origin = _Origin()
    origin.listen(path)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()  # ends with the process that started us
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps({"requests": origin.requests, "body_bytes": origin.body_bytes}) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1])
