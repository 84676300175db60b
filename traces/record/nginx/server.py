"""Start NGINX in a temporary folder of its own, and leave nothing behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .binary import find_nginx
from .conf import Places, nginx_conf, worker_account
from .config import RealConfig
from .errors import NginxError
from .helper import Helper

__all__ = ["Nginx", "running_nginx"]

START_S, STOP_S = 10.0, 20.0
"""How long NGINX may take to start, and to finish what it does."""

LONGEST_SOCKET = 100
"""Bytes of a Unix socket's name that every kernel takes."""


class Nginx:
    """An NGINX that runs; made by `running_nginx`.

    Attributes
    ----------
    places : Places
    master : int
        Number of its first process.
    conf : str
        Its configuration.
    """

    def __init__(self, places: Places, conf: str, guard: Helper) -> None:
        self.places, self.conf = places, conf
        self.master = int(guard.first_line)
        self._guard = guard

    def check(self) -> None:
        """Raise the error if NGINX is gone.

        Raises
        ------
        NginxError
            With its last words.
        """
        if (code := self._guard.ended()) is not None:
            died = f"by signal {code - 128}" if code > 128 else f"with exit code {code}"
            raise NginxError(f"NGINX ended {died}", self.last_words())

    def last_words(self, lines: int = 12) -> str:
        """The end of the error log."""
        with suppress(OSError):
            return "\n".join(self.places.error_log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def manager_started(self) -> tuple[int, float]:
        """Find the cache manager.

        Returns
        -------
        (pid, started_s)
            Of the newest one; when it started, in monotonic time, to 1/100 s.

        Raises
        ------
        NginxError
            None shows up.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if found := _managers(self.master):
                return max(found, key=lambda each: each[1])
            self.check()
            time.sleep(0.005)
        raise NginxError("NGINX runs without a cache manager", self.last_words())

    def reload(self) -> None:
        """Start new workers and a new cache manager on the same cache, and wait until the old ones are gone.

        Raises
        ------
        NginxError
            That does not happen.
        """
        old = {pid for pid, _ in _managers(self.master)}
        os.kill(self.master, signal.SIGHUP)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self.check()
            now = {pid for pid, _ in _managers(self.master)}
            if now and not now & old:
                return
            time.sleep(0.01)
        raise NginxError("NGINX does not start a new cache manager", self.last_words())

    def finish(self) -> None:
        """Let NGINX end what it does, write its logs and stop.

        Raises
        ------
        NginxError
            It had died before, or does not stop.
        """
        self.check()
        with suppress(ProcessLookupError):
            os.kill(self.master, signal.SIGQUIT)
        if not self._guard.wait(STOP_S):
            raise NginxError(f"NGINX did not stop within {STOP_S:.0f} s", self.last_words())
        if self._guard.ended() != 0:
            self.check()


@contextmanager
def running_nginx(config: RealConfig) -> Iterator[Nginx]:
    """Run NGINX with the configuration; its folder is gone afterwards.

    Parameters
    ----------
    config : RealConfig

    Yields
    ------
    Nginx
        Ready for requests, its cache empty.

    Raises
    ------
    MissingNginxError
        None is installed.
    NginxError
        It does not start.
    """
    binary = find_nginx()
    folder = Path(tempfile.mkdtemp(prefix="evictlab-nginx-", dir=config.folder))
    try:
        places = Places(folder)
        if len(os.fsencode(places.client)) > LONGEST_SOCKET:
            raise NginxError(f"{places.client} is too long a name for a socket; choose a folder nearer to the root")
        if account := worker_account(folder):
            os.chown(folder, pwd.getpwnam(account[0]).pw_uid, -1)
        conf = nginx_conf(config, places)
        places.conf.write_text(conf)
        # NGINX writes to the error log that was built in, standard error, until it has read where ours is.
        command = (str(binary), "-p", str(folder), "-c", str(places.conf))
        with places.error_log.open("ab") as log, Helper("guard", str(folder), *command, stderr=log) as guard:
            nginx = Nginx(places, conf, guard)
            _wait_until_ready(nginx)
            yield nginx
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(nginx: Nginx) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        nginx.check()
        with socket.socket(socket.AF_UNIX) as attempt, suppress(OSError):
            attempt.connect(nginx.places.client)
            return
        time.sleep(0.005)
    raise NginxError(f"NGINX does not listen after {START_S:.0f} s", nginx.last_words())


def _managers(master: int) -> list[tuple[int, float]]:
    """Cache managers among the children of a process, with the monotonic time when each started."""
    found = []
    since_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    now_s = time.monotonic()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # ended meanwhile
            facts = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(facts[1]) == master and b"cache manager" in (entry / "cmdline").read_bytes():
                started_s = int(facts[19]) / os.sysconf("SC_CLK_TCK")
                found.append((int(entry.name), now_s - (since_boot_s - started_s)))
    return found
