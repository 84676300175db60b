"""The process between us and NGINX: when we end, however that happens, it ends NGINX and clears its folder.

Run as ``python -m evictlab.traces.record.nginx.guard FOLDER COMMAND ...``. It says the number of the process that it
starts, waits for it, and ends as soon as its standard input does: a pipe, of which the other end dies with us. Should
the guard itself be killed, the kernel (on Linux) asks NGINX to stop.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

__all__: list[str] = []

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that this process gets when its parent dies."""

PATIENCE_S = 2.0
"""How long NGINX may take to stop before it is killed."""


def _die_with_parent() -> None:
    """Runs in the child before it becomes NGINX; its master passes the end on to the workers."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(pid: int) -> None:
    """Stop the process, then whatever is left of its group."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while _group_lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _main(folder: str, command: list[str]) -> int:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # the group to be killed in the end, and no Ctrl-C from a terminal
        preexec_fn=_die_with_parent,  # this process has one thread yet
    )
    sys.stdout.write(f"{process.pid}\n")
    sys.stdout.flush()
    orphaned = threading.Event()

    def wait_for_the_end() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock would be in the way at our end
            pass
        orphaned.set()
        _end(process.pid)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    code = process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a master that was killed leaves its workers
    if orphaned.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
