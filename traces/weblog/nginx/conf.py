"""What nginx.conf says about logs and the proxy cache, with NGINX's own inheritance.

A directive that stands in a block replaces, for that block and those inside it, all
of the same name from outside: they are never merged.

Source: nginx.org, modules ngx_http_log_module and ngx_http_proxy_module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ..log_format import BUILTIN
from .cache import CachePath, ProxyCache, cache_path, proxy_cache
from .directives import Directive, Inherited
from .parse import parse_conf

__all__ = ["AccessLog", "LogFormatText", "NginxConf", "read_nginx_conf"]

_ROTATION = re.compile(r"([.-]\d.*|\.(gz|zst|zstd|xz|bz2)|\*)?")
"""What follows a log's name in that of a rotated file, or in a pattern for all of them."""


class LogFormatText(NamedTuple):
    """A ``log_format`` as it stands in the file: its text, and how values are escaped."""

    text: str
    escape: str


class AccessLog(NamedTuple):
    """An ``access_log``: file, name of its format, and the condition of ``if=`` or ``""``."""

    path: str
    format: str
    condition: str

    def is_file(self, file_name: str) -> bool:
        """Whether a file of that name is this log, or what rotation has made of it."""
        name = Path(self.path).name
        return bool(file_name) and file_name.startswith(name) and bool(_ROTATION.fullmatch(file_name[len(name) :]))

    def is_called(self, name: str) -> bool:
        """Whether a user who says so means this log: by its path, its file name or its format."""
        return name in (self.path, Path(self.path).name, self.format)


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


def read_nginx_conf(
    path: str | Path, *, log_name: str = "", zone: str = "", location: str = "", file_name: str = ""
) -> NginxConf:
    """Read nginx.conf and the files that it includes.

    Parameters
    ----------
    path : str or Path
        A whole configuration, or a part of one such as a file of ``conf.d``.
    log_name : str
        Only locations that write this ``access_log``: its path, its file name or its format.
    zone : str
        Only the cache of this ``keys_zone``.
    location : str
        Only the cache in this ``location``: its pattern, or the number of its line.
    file_name : str
        Of the log that is read: of several caches the one of the ``access_log`` with that name is taken.

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
    files, blocks = parse_conf(path)
    formats: dict[str, LogFormatText] = {}
    paths: dict[str, CachePath] = {}
    logs: dict[AccessLog, None] = {}
    for block in blocks:
        for found in block.own("log_format"):
            name, format_ = _log_format(found)
            formats[name] = format_
        for found in block.own("proxy_cache_path"):
            made = cache_path(found)
            paths[made.zone] = made
        logs.update(dict.fromkeys(_access_logs(block.own("access_log"))))
    cached = [
        _Cached(proxy_cache(block, paths), block, _access_logs(block.all("access_log"))) for block in _cached(blocks)
    ]
    _check_named(path, log_name, zone, location, list(logs), cached)
    chosen = [each for each in cached if each.fits(log_name, zone, location)]
    own = [each for each in chosen if any(log.is_file(file_name) for log in each.logs)]
    if len(_distinct(chosen)) > 1 and own:
        chosen = own
    caches = _distinct(chosen)
    if len(caches) > 1:
        listed = "; ".join(
            f"zone {cache.zone} in {places[0].block.title} ({places[0].block.place})"
            for cache, places in caches.items()
        )
        raise UsageError(
            f"{path} has several caches: {listed}. Name one: zone=NAME, location=PATTERN (or its line), or the log "
            "that it writes: log=NAME"
        )
    shown = [log for log in logs if not log_name or log.is_called(log_name)]
    written = dict.fromkeys(log for each in chosen for log in each.logs if log in shown) or shown
    of_file = [log for log in written if log.is_file(file_name)] or written
    notes = [f"the log is sampled: if={log.condition}" for log in of_file if log.condition]
    notes += [
        f"{path.name} does not define log_format {log.format}, in which {log.path} is written"
        for log in of_file
        if log.format not in formats and log.format not in BUILTIN
    ]
    cache = next(iter(caches), None)
    if cache:
        notes += cache.notes
    distinct = tuple(dict.fromkeys(each.cache for each in cached))
    return NginxConf(path, files, formats, tuple(shown), distinct, cache, tuple(dict.fromkeys(notes)))


class _Cached(NamedTuple):
    """A block whose answers are cached, with its cache and the logs that it writes."""

    cache: ProxyCache
    block: Inherited
    logs: list[AccessLog]

    def fits(self, log_name: str, zone: str, location: str) -> bool:
        """Whether it is what the user named; an empty name fits all."""
        return (
            (not log_name or any(log.is_called(log_name) for log in self.logs))
            and (not zone or self.cache.zone == zone)
            and (not location or self.is_at(location))
        )

    def is_at(self, location: str) -> bool:
        """Whether it is the location of that pattern, or in that line."""
        return location in self.block.title.split()[1:] or self.block.place.endswith(f", line {location}")


def _check_named(
    path: Path, log_name: str, zone: str, location: str, logs: list[AccessLog], cached: list[_Cached]
) -> None:
    """Refuse names that the configuration does not have, with those that it has."""
    if log_name and not any(log.is_called(log_name) for log in logs):
        known = ", ".join(dict.fromkeys(log.path for log in logs)) or "none"
        raise UsageError(f"{path} has no access_log {log_name!r}; it has: {known}")
    if zone and not any(each.cache.zone == zone for each in cached):
        known = ", ".join(dict.fromkeys(each.cache.zone for each in cached)) or "none"
        raise UsageError(f"{path} has no proxy_cache {zone!r}; it has: {known}")
    if location and not any(each.is_at(location) for each in cached):
        known = ", ".join(dict.fromkeys(each.block.title for each in cached)) or "none"
        raise UsageError(f"{path} has no location {location!r} with a cache; it has: {known}")
    named = ", ".join(
        f"{what}={name}" for what, name in (("log", log_name), ("zone", zone), ("location", location)) if name
    )
    if (zone or location) and not any(each.fits(log_name, zone, location) for each in cached):
        raise UsageError(f"{path} has no cache with {named} at once; leave one of them out")


def _distinct(chosen: list[_Cached]) -> dict[ProxyCache, list[_Cached]]:
    """The caches with their blocks. Those that differ only in where requests go are one, of which that is not known."""
    found: dict[ProxyCache, list[_Cached]] = {}
    for each in chosen:
        found.setdefault(each.cache, []).append(each)
    if len({replace(cache, proxy_pass="") for cache in found}) < len(found):
        found = {}
        for each in chosen:
            found.setdefault(replace(each.cache, proxy_pass=""), []).append(each)
    return found


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


def _cached(blocks: list[Inherited]) -> list[Inherited]:
    """The blocks whose answers are cached: those that pass requests on, or else those that name a cache."""
    caching = [block for block in blocks if block.first("proxy_cache", "off") != "off"]
    passing = [block for block in caching if block.own("proxy_pass")]
    return passing or [block for block in caching if block.own("proxy_cache")]
