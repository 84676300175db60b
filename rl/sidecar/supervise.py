"""Serve a model until told to stop: a server answers, and this process beside it checks every new model before that gets it.

SIGHUP, or a new metadata.json, makes it look for a new model: one that is not sound is refused, aloud, and the old one stays.
SIGUSR1 prints the counters. SIGTERM and SIGINT end it in good order.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ...traces.errors import EvictlabError
from .listener import listening
from .model import METADATA, MODEL, PARITY, load_model
from .server import Server
from .signals import signals_as_bytes

__all__ = ["run_sidecar"]

LOOK_S = 1.0
"""How often metadata.json is looked at."""


class _Watch:
    """Whether a model's files have changed: metadata.json, which is written last; after a refusal, any of the three."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.refused = False
        self.look()

    def look(self) -> None:
        """Take the files as they are now for seen; to be called before they are read."""
        self._seen = self._now()

    def changed(self) -> bool:
        now = self._now()
        names = now if self.refused else (METADATA,)
        return all(now.values()) and any(now[name] != self._seen[name] for name in names)

    def _now(self) -> dict[str, tuple[int, int, int] | None]:
        return {name: _fingerprint(self._folder / name) for name in (METADATA, MODEL, PARITY)}


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    with suppress(OSError):
        facts = path.stat()
        return facts.st_mtime_ns, facts.st_size, facts.st_ino
    return None


def run_sidecar(
    folder: str | Path,
    path: str | Path,
    *,
    python: bool = False,
    shadow: bool = False,
    mode: int = 0o600,
    group: str | None = None,
    priority: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Serve the model of a folder on a Unix socket until SIGTERM or SIGINT; counters go to standard output.

    Parameters
    ----------
    folder : path
        Of a model or a bundle.
    path : path
        Socket.
    python, shadow, priority
        See `Server`.
    mode, group
        See `listening`.
    say : callable
        Told about reloads and refusals.

    Raises
    ------
    EvictlabError
        The model is not sound, the socket is taken, or the server does not start or dies.
    """
    folder = Path(folder)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    with signals_as_bytes(*numbers) as signals:
        watch = _Watch(folder)
        model = load_model(folder)
        with listening(path, mode, group) as listener:
            server = Server(listener, model, python=python, shadow=shadow, priority=priority)
            try:
                say(f"serving {folder} on {path}" + (", in shadow: nothing will be evicted" if shadow else ""))
                _look_after(server, folder, watch, signals.fileno(), say)
            finally:
                code = server.stop()
    if code:
        raise EvictlabError(f"the server ended {f'by signal {-code}' if code < 0 else f'with exit code {code}'}")


def _look_after(server: Server, folder: Path, watch: _Watch, signals: int, say: Callable[[str], None]) -> None:
    """Until a signal to stop, or the server's end."""
    control = server.control.fileno()
    while True:
        ready = select.select([signals, control], [], [], LOOK_S)[0]
        came = set(os.read(signals, 4096)) if signals in ready else set()
        if came & {signal.SIGTERM, signal.SIGINT} or (control in ready and server.hung_up()):
            return
        if signal.SIGUSR1 in came:
            server.print_counters()
        if signal.SIGHUP in came or watch.changed():
            _reload(server, folder, watch, say)
            if server.ended() is not None:
                return


def _reload(server: Server, folder: Path, watch: _Watch, say: Callable[[str], None]) -> None:
    watch.look()
    watch.refused = True
    try:
        model = load_model(folder)
    except EvictlabError as error:
        server.refused()
        say(f"the new model is refused, the old one goes on. {error}")
        return
    try:
        server.load(model)
    except EvictlabError as error:
        say(f"the new model is refused, the old one goes on. {error}")
        return
    watch.refused = False
    say(f"serving the new model of {folder}, sha256 {model.metadata['model_sha256'][:12]}")
