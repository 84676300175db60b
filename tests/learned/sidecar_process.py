"""A sidecar as a user starts it, and a client that asks as NGINX does, for tests."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evictlab.rl.sidecar import Reply, unpack_reply

PATIENCE_S = 10

BOTH = pytest.mark.parametrize("python", [False, True], ids=["c", "python"])
"""The servers in C and in Python."""


class Client:
    """Asks as NGINX does."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))

    def send(self, packet: bytes) -> Reply:
        self.socket.send(packet)
        return self.receive()

    def receive(self) -> Reply:
        return unpack_reply(self.socket.recv(4096))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()


SCRIPT = """
import sys, json
from evictlab.rl.sidecar import run_sidecar
folder, path, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
run_sidecar(folder, path, say=lambda text: print(text, file=sys.stderr, flush=True), **options)
"""


class Sidecar:
    """A whole sidecar: the process that a user starts, and the server below it."""

    def __init__(self, model: Path, folder: Path, env: dict[str, str] | None = None, **options) -> None:
        self.path, self.out, self.err = folder / "s", folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            words = [sys.executable, "-c", SCRIPT, str(model), str(self.path), json.dumps(options)]
            self.process = subprocess.Popen(words, stdout=out, stderr=err, env=env)
        self.wait_for("serving")

    def wait_for(self, words: str, times: int = 1) -> None:
        self.wait(lambda: self.err.read_text().count(words) >= times, words)

    def wait(self, happened, what="") -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < deadline, f"{what} did not happen: {self.err.read_text()}"
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def server(self) -> int:
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def counters(self) -> dict:
        """Those of the last line."""
        return json.loads(self.out.read_text().splitlines()[-1])


@contextmanager
def sidecar(model: Path, folder: Path, env: dict[str, str] | None = None, **options) -> Iterator[Sidecar]:
    made = Sidecar(model, folder, env, **options)
    try:
        yield made
    finally:
        made.process.terminate()
        try:
            made.process.wait(2 * PATIENCE_S)
        finally:
            made.process.kill()
