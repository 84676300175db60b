"""The server in Python: what serve.c does, more slowly, without a compiler, and easier to change.

Started as ``python -m evictlab.rl.sidecar.python_server LISTENER CONTROL PARENT SHADOW``; see server.py.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress

import numpy as np

from ...traces.errors import EvictlabError
from .counters import Counters
from .model import Model, load_model
from .protocol import (
    CONTEXT,
    FAILED,
    FEATURES,
    MALFORMED,
    MISMATCH,
    OK,
    PacketError,
    Reply,
    is_wake,
    pack_reply,
    unpack_request,
)
from .signals import signals_as_bytes
from .victims import choose_victims

__all__ = ["PythonServer"]

LARGEST = 4096
"""Bytes to receive at most; longer than any request, so that one that is too long is seen to be."""

MAX_CLIENTS, MAX_PENDING = 256, 64

PR_SET_PDEATHSIG = 1


class PythonServer:
    """Answers requests on a socket.

    Parameters
    ----------
    listener : socket
        What NGINX connects to; not blocking.
    control : socket
        From the process that checks the models.
    shadow : bool
        Reply that nothing is to be evicted.
    """

    def __init__(self, listener: socket.socket, control: socket.socket, *, shadow: bool = False) -> None:
        self._listener, self._control, self._shadow = listener, control, shadow
        self._model: Model | None = None
        self._selector = selectors.DefaultSelector()
        self._clients: set[socket.socket] = set()
        self.counters = Counters()

    def run(self, signals: socket.socket) -> None:
        """Answer until told to stop, by a signal or by the other process's end; then what is pending."""
        for each in (signals, self._control):
            self._selector.register(each, selectors.EVENT_READ)
        running = True
        while running:
            for key, _ in self._selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is signals:
                    running &= self._heed(signals.recv(4096))
                elif ready is self._control:
                    running &= self._obey()
                elif ready is self._listener:
                    self._accept()
                else:
                    self._serve(ready)
        for client in list(self._clients):
            for _ in range(MAX_PENDING):
                if not self._serve(client):
                    break
        self._print()

    def reply(self, packet: bytes) -> Reply:
        """Answer a packet, and count it."""
        count = self.counters
        count.requests += 1
        assert self._model is not None
        try:
            request = unpack_request(packet)
            if len(request.candidates) > self._model.most:
                raise PacketError("more candidates than the model takes", MISMATCH, request.id)
        except PacketError as error:
            count.mismatched += error.status == MISMATCH
            count.malformed += error.status == MALFORMED
            return Reply(error.status, error.id, 0)
        try:
            q = self._model.values(request.candidates, request.context)
            decision = choose_victims(q, request.candidates, float(request.context[-1]))
        except Exception:  # of onnxruntime, or a value that is no number: NGINX evicts by itself
            count.model_errors += 1
            return Reply(FAILED, request.id, 0)
        count.ok += 1
        count.shadow += self._shadow or request.shadow
        count.victims += decision.victims
        count.not_lru += decision.not_lru
        return Reply(OK, request.id, 0 if self._shadow else decision.mask)

    def _serve(self, client: socket.socket) -> bool:
        """Answer one packet of a client; False when there was none. A client that is gone, or does not read, is dropped."""
        try:
            packet = client.recv(LARGEST)
        except BlockingIOError:
            return False
        except OSError:
            packet = b""
        if is_wake(packet):
            self._wake()
            return True
        start = time.perf_counter()
        try:
            if not packet:
                raise ConnectionResetError
            client.send(pack_reply(self.reply(packet)))
        except OSError:
            self._drop(client)
            return False
        self.counters.note_latency(1e6 * (time.perf_counter() - start))
        return True

    def _wake(self) -> None:
        """Run the model, for the next request comes after a pause in which the processor's caches have forgotten it."""
        self.counters.wakes += 1
        if self._model is not None:
            rows = np.zeros((self._model.most, len(FEATURES)), np.float32)
            with suppress(Exception):  # of onnxruntime: the request that follows is told
                self._model.values(rows, np.zeros(len(CONTEXT), np.float32))

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        self._clients.discard(client)
        self.counters.clients -= 1
        client.close()

    def _accept(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            if len(self._clients) == MAX_CLIENTS:
                client.close()
                return
            client.setblocking(False)
            self._clients.add(client)
            self.counters.clients += 1
            self.counters.connections += 1
            self._selector.register(client, selectors.EVENT_READ)

    def _heed(self, numbers: bytes) -> bool:
        if signal.SIGUSR1 in numbers:
            self._print()
        return not {signal.SIGTERM, signal.SIGINT} & set(numbers)

    def _obey(self) -> bool:
        with suppress(ConnectionError):
            words = self._control.recv(LARGEST).decode()
            if words == "refused":
                self.counters.reload_refusals += 1
            elif words.startswith("load "):
                self._control.send(self._load(words.removeprefix("load ")).encode()[:LARGEST])
            return bool(words)
        return False

    def _load(self, folder: str) -> str:
        try:
            model = load_model(folder)
        except EvictlabError as error:
            self.counters.reload_refusals += self._model is not None
            return f"failed {error}"
        if self._model is None:
            self._selector.register(self._listener, selectors.EVENT_READ)
        else:
            self.counters.reloads += 1
        self._model = model
        return "loaded"

    def _print(self) -> None:
        sys.stdout.write(self.counters.line() + "\n")
        sys.stdout.flush()


def _main(listener: int, control: int, parent: int, shadow: bool) -> None:
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # before and after: the other process's end is enough to end this one
        signal.signal(number, signal.SIG_IGN)
    with signals_as_bytes(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:
            with socket.socket(fileno=listener) as ours, socket.socket(fileno=control) as theirs:
                PythonServer(ours, theirs, shadow=shadow).run(signals)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1")
