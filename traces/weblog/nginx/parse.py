"""nginx.conf and what it includes as nested blocks of directives; crossplane reads the files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import FormatError, MissingExtraError
from .directives import Directive, Inherited

__all__ = ["conf_files", "parse_conf"]

_BLOCKS = ("http", "events", "server", "location", "upstream", "map")
_DIRECTIVES = ("log_format", "access_log", "proxy_cache_path", "proxy_cache", "proxy_cache_valid", "proxy_pass")
"""One of these makes a file a configuration of NGINX: crossplane takes anything with a ``;`` for one."""

_MISSING = re.compile(r"No such file or directory: (.+)")
_ERRNO = re.compile(r"^\[Errno \d+\] ")


def conf_files(path: str | Path) -> tuple[Path, ...]:
    """The file and all that it includes: whatever depends on `path` depends on them.

    Raises
    ------
    FormatError
        A file is missing, or cannot be read as configuration.
    MissingExtraError
        crossplane is not installed.
    """
    return parse_conf(Path(path))[0]


def parse_conf(path: Path) -> tuple[tuple[Path, ...], list[Inherited]]:
    """Return all files of a configuration, and all of its blocks, the outermost one first.

    Raises
    ------
    FormatError
        A file is missing, or cannot be read as configuration.
    MissingExtraError
        crossplane is not installed.
    """
    try:
        import crossplane
    except ImportError:
        raise MissingExtraError("reading nginx.conf", "nginx") from None
    if path.is_dir():
        raise FormatError(path, "is a folder", hint=f"Name the file in it, for example '{path / 'nginx.conf'}'")
    if not path.exists():
        raise FormatError(path, "no such file")
    # Parts of a configuration are welcome, so that nothing is said about what stands where.
    try:
        found = crossplane.parse(str(path), check_ctx=False)
        for fault in found["errors"]:
            _refuse(fault)
        config = found["config"]
        blocks = [Inherited(None, str(path), "main")]
        _fill(config, 0, config[0]["parsed"], blocks[0], blocks)
    except UnicodeDecodeError as error:
        raise FormatError(path, f"is no configuration of NGINX: {error}") from None
    except RecursionError:
        raise FormatError(path, "includes itself, directly or through another file") from None
    if not any(block.title.split()[0] in _BLOCKS or any(map(block.own, _DIRECTIVES)) for block in blocks):
        raise FormatError(
            path,
            "is no configuration of NGINX: it has no http, server or location block, no log_format, access_log or "
            "proxy_cache",
            hint="Name nginx.conf itself, or a file that it includes.",
        )
    return tuple(Path(each["file"]) for each in config), blocks


def _refuse(fault: Any) -> None:
    """Say what crossplane has found to be wrong."""
    where = f"line {fault['line']}" if fault["line"] else ""
    problem = str(fault["error"]).removesuffix(f" in {fault['file']}:{fault['line']}").strip()
    missing = _MISSING.search(problem)
    if missing:
        hint = "Includes are sought from the folder of the file that is named."
        raise FormatError(fault["file"], f"it includes {missing[1]}, but there is no such file", where, hint)
    raise FormatError(fault["file"], _ERRNO.sub("", problem), where)


def _fill(config: list[Any], file: int, statements: list[Any], block: Inherited, blocks: list[Inherited]) -> None:
    """Collect the directives of a block, then go into the blocks inside, which inherit all of them."""
    inner = []
    for number, statement in _flattened(config, file, statements):
        directive = Directive(
            config[number]["file"], statement["line"], statement["directive"], tuple(statement["args"])
        )
        if "block" in statement:
            inner.append((number, directive, statement["block"]))
        else:
            block.add(directive)
    for number, directive, body in inner:
        title = " ".join((directive.name, *directive.args))
        nested = Inherited(block, directive.place, title)
        blocks.append(nested)
        _fill(config, number, body, nested, blocks)


def _flattened(config: list[Any], file: int, statements: list[Any]) -> Iterator[tuple[int, Any]]:
    """The statements, with those of included files in the place of ``include``, each with its file's number."""
    for statement in statements:
        if statement["directive"] == "include":
            for number in statement.get("includes", ()):
                yield from _flattened(config, number, config[number]["parsed"])
        else:
            yield file, statement
