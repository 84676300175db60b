"""The process that answers NGINX, seen from the one that started it: given models that were checked, and stopped in the end.

There are two such programs, in C and in Python, that take the same words: ``load FOLDER`` and ``refused``, answered by
``loaded`` and ``failed WHY``, on a socket which also tells either side that the other is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...traces.errors import EvictlabError, UsageError
from .listener import listening
from .model import Model, load_model
from .native import compiled, onnxruntime_library

__all__ = ["Server", "running_server"]

LOAD_S, STOP_S = 60.0, 10.0
"""How long a server may take to load a model, and to stop."""


class Server:
    """A server process, serving the model as soon as this is made.

    Parameters
    ----------
    listener : socket
        What it answers on.
    model : Model
        What it begins with.
    python : bool
        The one in Python rather than that in C.
    shadow : bool
        It replies that nothing is to be evicted, and counts what it would have done.
    priority : int, optional
        Its nice value, -20 (first) to 19.
    stdout : int, optional
        Descriptor for its counters; else ours.

    Attributes
    ----------
    pid : int
    control : socket
        Can be read when the process is gone; see `hung_up`.

    Raises
    ------
    EvictlabError
        It does not start, or does not take the model.
    UsageError
        The priority is not ours to give.
    """

    def __init__(
        self,
        listener: socket.socket,
        model: Model,
        *,
        python: bool = False,
        shadow: bool = False,
        priority: int | None = None,
        stdout: int | None = None,
    ) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [str(listener.fileno()), str(theirs.fileno()), str(os.getpid()), str(int(shadow))]
        if python:
            command = [sys.executable, "-m", f"{__package__}.python_server", *words]
        else:
            command = [str(compiled()), str(onnxruntime_library()), *words]
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=(listener.fileno(), theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                start_new_session=True,  # Ctrl-C is for us, who stop it in good order
            )
        self.pid = self._process.pid
        try:
            if priority is not None:
                _prioritise(self.pid, priority)
            self.load(model)
        except BaseException:
            self.stop()
            raise

    def load(self, model: Model) -> None:
        """Let it serve another model; it goes on with the old one until then, or if that fails.

        Raises
        ------
        EvictlabError
            It does not take the model, or is gone.
        """
        with tempfile.TemporaryDirectory(prefix="evictlab-sidecar-") as folder:
            for name, content in {**model.files, "parity.bin": model.parity_bytes()}.items():
                (Path(folder) / name).write_bytes(content)
            answer = self._ask(f"load {folder}")
        if answer != "loaded":
            why = answer.removeprefix("failed ") or f"it ended with exit code {self.stop()}"
            raise EvictlabError(f"the server does not take the model of {model.folder}: {why}")

    def refused(self) -> None:
        """Let it count a model that was found not to be sound."""
        with suppress(OSError):
            self.control.send(b"refused")

    def _ask(self, words: str) -> str:
        self.control.settimeout(LOAD_S)
        try:
            self.control.send(words.encode())
            return self.control.recv(4096).decode(errors="replace")
        except TimeoutError:
            return f"failed no answer within {LOAD_S:.0f} s"
        except OSError:  # it is gone
            return ""

    def hung_up(self) -> bool:
        """Whether the process is gone, now that `control` can be read; a late word of one that is not is dropped."""
        try:
            return not self.control.recv(4096)
        except OSError:
            return True

    def print_counters(self) -> None:
        """Let it print its counters on its standard output, a line of JSON."""
        self._process.send_signal(signal.SIGUSR1)

    def ended(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Let it answer what is pending, and wait until it is gone; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self.control.close()


def _prioritise(pid: int, priority: int) -> None:
    if not -20 <= priority <= 19:
        raise UsageError(f"priority {priority} is no nice value: -20 (before all others) to 19")
    try:
        os.setpriority(os.PRIO_PROCESS, pid, priority)
    except PermissionError:
        raise UsageError(
            f"priority {priority} needs root, or CAP_SYS_NICE; under systemd, leave it out and say Nice={priority}"
        ) from None


@contextmanager
def running_server(
    folder: str | Path, path: str | Path, *, python: bool = False, shadow: bool = False, stdout: int | None = None
) -> Iterator[Server]:
    """Serve a model on a socket, without watching for new ones; used to measure and to test.

    Raises
    ------
    EvictlabError
        The model is not sound, the socket is taken, or the server does not start.
    """
    model = load_model(folder)
    with listening(path) as listener:
        server = Server(listener, model, python=python, shadow=shadow, stdout=stdout)
        try:
            yield server
        finally:
            server.stop()
