"""Processes of ours that work beside this one and end with it."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import IO

from .errors import NginxError

__all__ = ["Helper"]


class Helper:
    """A module of this package, run as a process that ends when its standard input does.

    Parameters
    ----------
    module : str
        Name in this package.
    *words : str
        Its arguments.
    stderr : binary file, optional
        Where its standard error goes; else nowhere.

    Attributes
    ----------
    first_line : str
        What it said when it was ready.

    Raises
    ------
    NginxError
        It ended before it was ready.
    """

    def __init__(self, module: str, *words: str, stderr: IO[bytes] | None = None) -> None:
        package = __name__.rpartition(".")[0]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{package}.{module}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if stderr is None else stderr,
            start_new_session=True,  # Ctrl-C is for us; helpers end when we are done with them
        )
        assert self._process.stdout is not None
        self.first_line = self._process.stdout.readline().decode().strip()
        if not self.first_line:
            self.close()
            raise NginxError(f"the helper process {module!r} ended at once (exit code {self._process.returncode})")

    def ended(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> bool:
        """Whether it ends by itself within the time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> str:
        """Let it end, and return what it said last."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if self._process.stdout.closed:
            return ""
        with self._process.stdout:
            last = self._process.stdout.read().decode().strip()
        if not self.wait(10):
            self._process.kill()
            self._process.wait()
        return last

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
