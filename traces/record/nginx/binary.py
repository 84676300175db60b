"""Where nginx is installed, and which one it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .errors import MissingNginxError, NginxError

__all__ = ["NGINX", "find_nginx", "nginx_version"]

NGINX = "EVICTLAB_NGINX"
"""Environment variable with the path of the binary, before all other places."""

BESIDE_PATH = ("/usr/sbin", "/usr/local/sbin")
"""Folders that are often missing from an ordinary user's PATH."""


def find_nginx() -> Path:
    """Return the binary: what `NGINX` names, else the first on the PATH, else one of the system folders.

    Raises
    ------
    MissingNginxError
        With the command that installs it.
    """
    named = os.environ.get(NGINX, "")
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise MissingNginxError(f"at {named} ({NGINX}), where no program is")
        return Path(named).absolute()
    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *BESIDE_PATH]
    found = shutil.which("nginx", path=os.pathsep.join(places))
    if found is None:
        raise MissingNginxError(f"on the PATH and in {', '.join(BESIDE_PATH)}")
    return Path(found).absolute()


def nginx_version(binary: Path) -> str:
    """Return what ``nginx -v`` says, as in ``nginx/1.22.1``.

    Raises
    ------
    NginxError
        It is no nginx, or it cannot be run.
    """
    try:
        done = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NginxError(f"{binary} cannot be run ({error})") from None
    words = done.stderr.partition("nginx version:")[2].split()
    if done.returncode or not words:
        raise NginxError(f"{binary} -v does not answer as nginx does", (done.stderr or done.stdout).strip()[:500])
    return words[0]
