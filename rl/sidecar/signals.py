"""Signals as bytes on a socket, to be waited for beside other sockets."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["signals_as_bytes"]


@contextmanager
def signals_as_bytes(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """Yield a socket on which each signal that comes is a byte of its number; only in the main thread.

    Blocking the signals would not do: libraries start threads in which they are not blocked.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    reader.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
