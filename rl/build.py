"""Build the NGINX module: against the headers of the installed NGINX, with the options that it was built with."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..traces.errors import EvictlabError, ResultError, UsageError
from ..traces.record.nginx.binary import find_nginx, nginx_version

__all__ = ["HEADERS", "MODULE", "SOURCES", "BuildError", "build_module"]

MODULE = "ngx_http_evictlab_module.so"
"""The file that NGINX's ``load_module`` takes."""

SOURCES = Path(__file__).parent / "nginx"
"""The module in C, and the file `config` by which NGINX's configure builds it."""

HEADERS = Path("/usr/share/nginx/src")
"""Where Debian's and Ubuntu's package nginx-dev puts NGINX's headers, its configure, and the options of the binary."""

WARNINGS = "-O2 -g -fPIC -Wall -Wextra -Werror"

LONGEST_S = 300.0


class BuildError(EvictlabError):
    """The module cannot be built here; what is missing is said, or what the compiler said is shown."""


def build_module(output: str | Path, sources: str | Path = SOURCES, headers: str | Path = HEADERS) -> str:
    """Compile the module for the NGINX that is installed.

    Parameters
    ----------
    output : path
        The file to write, replaced at once when all is done: a running NGINX keeps the old one.
    sources : path
        Folder with the module in C.
    headers : path
        What nginx-dev installs.

    Returns
    -------
    str
        The NGINX that it fits, as in ``nginx/1.22.1``.

    Raises
    ------
    UsageError
        `sources` is no module, or `output` a folder.
    MissingNginxError
        There is no NGINX.
    BuildError
        The compiler, make or the headers are missing, the headers are of another version, or it does not compile.
    ResultError
        `output` cannot be written.
    """
    output, sources, headers = Path(output), Path(sources), Path(headers)
    if not (sources / "config").is_file():
        raise UsageError(f"{sources} holds no sources of the module: there is no file named config")
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name the file to write, as in {output / MODULE}")
    version = nginx_version(find_nginx())
    _check_tools(headers, version)
    with tempfile.TemporaryDirectory(prefix="evictlab-build-") as room:
        tree = Path(room) / "nginx"
        module = Path(room) / "evictlab"
        shutil.copytree(headers, tree)
        shutil.copytree(sources, module)
        configure = f'. ./conf_flags && ./configure "${{NGX_CONF_FLAGS[@]}}" --with-cc-opt="{WARNINGS}"'
        _run(["bash", "-c", f"{configure} --add-dynamic-module={module}"], tree, "configure")
        _run(["make", "-f", "objs/Makefile", "modules"], tree, "make")
        _place(tree / "objs" / MODULE, output)
    return version


def _check_tools(headers: Path, version: str) -> None:
    install = "apt-get install --no-install-recommends nginx-dev gcc make"
    for tool in ("bash", "make", "gcc"):
        if shutil.which(tool) is None:
            raise BuildError(f"{tool} was not found, and building the module needs it (Debian, Ubuntu: {install})")
    if not (headers / "conf_flags").is_file():
        raise BuildError(
            f"NGINX's headers were not found: {headers}/conf_flags is not there (Debian, Ubuntu: {install}). "
            "For an NGINX of another origin, see README.md of a bundle: its module is built with the sources of that version"
        )
    found = re.search(r'#define NGINX_VERSION\s+"([^"]+)"', (headers / "src" / "core" / "nginx.h").read_text())
    theirs = f"nginx/{found[1]}" if found else "unknown"
    if theirs != version:
        raise BuildError(
            f"the headers in {headers} are of {theirs}, but the installed NGINX is {version}, which would refuse the "
            "module; bring both to the same version (Debian, Ubuntu: apt-get install nginx nginx-dev)"
        )


def _run(command: list[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{what} of the NGINX module took longer than {LONGEST_S:.0f} s") from None
    if done.returncode:
        lines = done.stdout.splitlines()
        said = [line for line in lines if "error" in line.lower()] or lines
        shown = "\n".join(said[:12])
        raise BuildError(f"{what} of the NGINX module failed (exit code {done.returncode}):\n{shown}")


def _place(made: Path, output: Path) -> None:
    """Copy beside, then rename: NGINX never sees half a module, nor changes to the one that it runs."""
    beside = output.with_name(f".{output.name}.new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, beside)
        beside.chmod(0o644)
        beside.replace(output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ResultError(f"cannot write {output}: {error.strerror or error}") from error
