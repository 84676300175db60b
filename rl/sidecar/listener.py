"""The socket that NGINX connects to: made with its permissions, taken over from a server that is dead, removed in the end."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...traces.errors import UsageError

__all__ = ["listening", "parse_mode"]

LONGEST = 100
"""Bytes of a Unix socket's name that every kernel takes."""

BACKLOG = 64


def parse_mode(text: str) -> int:
    """Read permissions as chmod takes them, such as 0660.

    Raises
    ------
    UsageError
        No octal number up to 0777.
    """
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise UsageError(f"permissions {text!r} are no octal number up to 0777; 0660 lets owner and group connect")
    return mode


@contextmanager
def listening(path: str | Path, mode: int = 0o600, group: str | None = None) -> Iterator[socket.socket]:
    """Listen for packets on a Unix socket; it is gone afterwards.

    Parameters
    ----------
    path : path
        A socket that nobody listens on any more is replaced.
    mode : int
        Permissions; who may write to the socket may connect.
    group : str, optional
        Group that the socket is given to.

    Yields
    ------
    socket
        Not blocking.

    Raises
    ------
    UsageError
        Another server listens there, something else is there, the name is too long, no such group exists, or this is not Linux.
    OSError
        It cannot be made there.
    """
    if sys.platform != "linux":
        raise UsageError(f"the sidecar needs Linux, for packets on Unix sockets; this is {sys.platform}")
    path = Path(path).absolute()
    if len(os.fsencode(path)) > LONGEST:
        raise UsageError(
            f"{path} is too long a name for a socket: at most {LONGEST} bytes; choose a folder nearer to the root"
        )
    gid = -1 if group is None else _gid(group)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {str(path.parent)!r}; make it, for example: mkdir {path.parent}")
    _remove_dead(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        made.setblocking(False)
        before = os.umask(0o177)  # nobody else gets in before the permissions are set
        try:
            made.bind(str(path))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            os.umask(before)
        ours = _identity(path)
        try:
            _give(path, mode, gid, group)
            made.listen(BACKLOG)
            yield made
        finally:
            if _identity(path) == ours:  # and not that of a server that has taken over
                with suppress(OSError):
                    path.unlink()


def _gid(group: str) -> int:
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!r} on this machine; NGINX's is often www-data or nginx") from None


def _give(path: Path, mode: int, gid: int, group: str | None) -> None:
    if gid != -1:
        try:
            os.chown(path, -1, gid)
        except PermissionError:
            raise UsageError(
                f"{path} cannot be given to the group {group!r}: run as root, or as a member of that group"
            ) from None
    path.chmod(mode)


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        facts = path.lstat()
        return facts.st_dev, facts.st_ino
    return None


def _remove_dead(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise UsageError(f"{path} is there and is no socket; name another place, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as attempt:
        attempt.setblocking(False)
        try:
            attempt.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError:  # of another kind, or its queue is full: somebody listens
            pass
    raise UsageError(f"another server listens on {path}; stop it, or name another socket")
