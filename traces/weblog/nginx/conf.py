"""What nginx.conf says about logs and the proxy cache, with NGINX's own inheritance.

A directive that stands in a block replaces, for that block and those inside it, all
of the same name from outside: they are never merged. crossplane reads the file and
what it includes.

Source: nginx.org, modules ngx_http_log_module and ngx_http_proxy_module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import FormatError, MissingExtraError, UsageError
from .cache import CachePath, ProxyCache, cache_path, proxy_cache
from .directives import Directive, Inherited

__all__ = ["AccessLog", "LogFormatText", "NginxConf", "conf_files", "read_nginx_conf"]


class LogFormatText(NamedTuple):
    """A ``log_format`` as it stands in the file: its text, and how values are escaped."""

    text: str
    escape: str


class AccessLog(NamedTuple):
    """An ``access_log``: file, name of its format, and the condition of ``if=`` or ``""``."""

    path: str
    format: str
    condition: str


@dataclass(frozen=True)
class NginxConf:
    """Logs and cache of one configuration.

    Attributes
    ----------
    path : Path
    files : tuple of Path
        The file and all that it includes.
    log_formats : mapping of str to LogFormatText
        By name; NGINX's own ``combined`` is not among them.
    access_logs : tuple of AccessLog
        All that are written anywhere, each once.
    caches : tuple of ProxyCache
        All distinct ones.
    cache : ProxyCache or None
        The one that was asked for, or the only one.
    notes : tuple of str
        What a user should know, such as that the log is sampled.
    """

    path: Path
    files: tuple[Path, ...]
    log_formats: Mapping[str, LogFormatText]
    access_logs: tuple[AccessLog, ...]
    caches: tuple[ProxyCache, ...]
    cache: ProxyCache | None
    notes: tuple[str, ...]


def read_nginx_conf(path: str | Path, *, log_name: str = "", zone: str = "") -> NginxConf:
    """Read nginx.conf and the files that it includes.

    Parameters
    ----------
    path : str or Path
        A whole configuration, or a part of one such as a file of ``conf.d``.
    log_name : str
        Only locations that write this ``access_log``: its path, its file name or its format.
    zone : str
        Only the cache of this ``keys_zone``.

    Raises
    ------
    FormatError
        A file is missing, or cannot be read as configuration.
    UsageError
        Several caches are left, or none of that name.
    MissingExtraError
        crossplane is not installed.
    """
    path = Path(path)
    files, blocks = _parsed(path)
    formats: dict[str, LogFormatText] = {}
    paths: dict[str, CachePath] = {}
    logs: dict[AccessLog, None] = {}
    caches: dict[ProxyCache, list[str]] = {}
    for block in blocks:
        for found in block.own("log_format"):
            name, format_ = _log_format(found)
            formats[name] = format_
        for found in block.own("proxy_cache_path"):
            made = cache_path(found)
            paths[made.zone] = made
        logs.update(dict.fromkeys(_access_logs(block.own("access_log"))))
    for block in _cached(blocks):
        written = _access_logs(block.all("access_log"))
        if log_name and not any(_is_called(log, log_name) for log in written):
            continue
        caches.setdefault(proxy_cache(block, paths), []).append(block.place)
    if log_name and not any(_is_called(log, log_name) for log in logs):
        known = ", ".join(dict.fromkeys(log.path for log in logs)) or "none"
        raise UsageError(f"{path} has no access_log {log_name!r}; it has: {known}")
    chosen = [cache for cache in caches if not zone or cache.zone == zone]
    if zone and not chosen:
        known = ", ".join(dict.fromkeys(cache.zone for cache in caches)) or "none"
        raise UsageError(f"{path} has no proxy_cache {zone!r}; it has: {known}")
    if len(chosen) > 1:
        listed = "; ".join(f"zone {cache.zone} in {caches[cache][0]}" for cache in chosen)
        raise UsageError(
            f"{path} has several caches: {listed}. Name one: zone=NAME, or the log that it writes: log=NAME"
        )
    shown = [log for log in logs if not log_name or _is_called(log, log_name)]
    notes = [f"the log is sampled: if={log.condition}" for log in shown if log.condition]
    if chosen:
        notes += chosen[0].notes
    return NginxConf(
        path, files, formats, tuple(shown), tuple(caches), chosen[0] if chosen else None, tuple(dict.fromkeys(notes))
    )


def conf_files(path: str | Path) -> tuple[Path, ...]:
    """The file and all that it includes: whatever depends on `path` depends on them.

    Raises
    ------
    FormatError
        A file is missing, or cannot be read as configuration.
    MissingExtraError
        crossplane is not installed.
    """
    return _parsed(Path(path))[0]


def _parsed(path: Path) -> tuple[tuple[Path, ...], list[Inherited]]:
    try:
        import crossplane
    except ImportError:
        raise MissingExtraError("reading nginx.conf", "nginx") from None
    # Parts of a configuration are welcome, so that nothing is said about what stands where.
    try:
        found = crossplane.parse(str(path), check_ctx=False)
    except UnicodeDecodeError as error:
        raise FormatError(path, f"is no configuration of NGINX: {error}") from None
    for fault in found["errors"]:
        where = f"line {fault['line']}" if fault["line"] else ""
        problem = str(fault["error"]).removesuffix(f" in {fault['file']}:{fault['line']}").strip()
        hint = "Includes are sought from the folder of the file that is named." if "No such file" in problem else ""
        raise FormatError(fault["file"], problem, where, hint)
    config = found["config"]
    blocks = [Inherited(None, str(path), "main")]
    _fill(config, 0, config[0]["parsed"], blocks[0], blocks)
    return tuple(Path(each["file"]) for each in config), blocks


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


def _log_format(found: Directive) -> tuple[str, LogFormatText]:
    name, *parts = found.args
    escape = "default"
    if parts and parts[0].startswith("escape="):
        escape = parts.pop(0).removeprefix("escape=")
    return name, LogFormatText("".join(parts), escape)


def _access_logs(found: tuple[Directive, ...]) -> list[AccessLog]:
    logs = []
    for directive in found:
        path, *rest = directive.args
        if path == "off":
            continue
        named = [word for word in rest if "=" not in word and word != "gzip"]
        condition = next((word.removeprefix("if=") for word in rest if word.startswith("if=")), "")
        logs.append(AccessLog(path, named[0] if named else "combined", condition))
    return logs


def _is_called(log: AccessLog, name: str) -> bool:
    return name in (log.path, Path(log.path).name, log.format)


def _cached(blocks: list[Inherited]) -> list[Inherited]:
    """The blocks whose answers are cached: those that pass requests on, or else those that name a cache."""
    caching = [block for block in blocks if block.first("proxy_cache", "off") != "off"]
    passing = [block for block in caching if block.own("proxy_pass")]
    return passing or [block for block in caching if block.own("proxy_cache")]
