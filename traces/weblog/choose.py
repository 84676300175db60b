"""Which `log_format` a log is in: named, given as text, from nginx.conf, or told by its first lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import FormatError, UnknownNameError, UsageError
from ..readers.base.source import OVERRIDE, Source, text_lines
from .log_format import BUILTIN, LogFormat, json_log_format, parse_log_format

if TYPE_CHECKING:
    from .nginx.conf import NginxConf

__all__ = ["choose_format", "first_lines", "json_keys", "looks_like"]

_HEAD_BYTES, _HEAD_LINES = 1 << 16, 200

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_COMMON = rf"^\S+ \S+ .*?\[\d\d/\w{{3}}/\d{{4}}:\d\d:\d\d:\d\d [-+]\d{{4}}\] {_QUOTED} \d{{3}} (?:\d+|-)"
_SHAPES = {"combined": re.compile(rf"{_COMMON} {_QUOTED} {_QUOTED}"), "common": re.compile(rf"{_COMMON}\s*$")}
_TARGETS = frozenset(["request", "request_uri", "uri", "url", "path"])
_OTHERS = frozenset(
    ["status", "request_method", "method", "request_time", "body_bytes_sent", "msec", "time_local", "time_iso8601"]
)
"""Keys of a JSON log: one of the first and one of the second tell that it is one."""


def first_lines(source: Source) -> list[str]:
    """The first lines that are not blank, even between binary data, whole ones if there are any."""
    head = source.head[:_HEAD_BYTES]
    lines = text_lines(head.decode("utf-8-sig", "replace"))
    if len(lines) > 1 and not head.endswith((b"\n", b"\r")):
        lines = lines[:-1]
    return [line for line in lines if line.strip("\0 \t")][:_HEAD_LINES]


def looks_like(lines: list[str]) -> str:
    """Return ``combined``, ``common`` or ``json`` if at least nine of ten lines are of that kind, or ``""``."""
    if not lines:
        return ""
    for name, shape in _SHAPES.items():
        if sum(shape.match(line) is not None for line in lines) >= 0.9 * len(lines):
            return name
    objects = [keys for line in lines if (keys := _keys_of(line))]
    telling = [keys for keys in objects if _is_request(keys)]
    return "json" if len(telling) >= 0.9 * len(lines) else ""


def json_keys(lines: Iterable[str]) -> list[str]:
    """The keys of all lines that are JSON objects, each once, in order of appearance."""
    return list(dict.fromkeys(key for line in lines for key in _keys_of(line)))


def choose_format(options: Mapping[str, Any], conf: NginxConf | None, source: Source) -> LogFormat:
    """Return the format of a log.

    Parameters
    ----------
    options : mapping
        ``format`` (a name, or text with ``$``) and ``escape``.
    conf : NginxConf or None
        Its formats are known by name. Without a name, the one that its logs use, or of
        several the one that most lines fit, rather that of the ``access_log`` with the file's name.
    source : Source

    Raises
    ------
    UnknownNameError
        There is no format of that name.
    FormatError
        Nothing says which format it is.
    """
    lines = first_lines(source)
    wanted = str(options.get("format", ""))
    escape = str(options.get("escape", "default"))
    written = {name: (each.text, each.escape) for name, each in conf.log_formats.items()} if conf else {}
    if "$" in wanted:
        return parse_log_format(wanted, escape=escape)
    if wanted == "json":
        if not (keys := json_keys(lines)):
            raise FormatError(
                source.path,
                f"has no JSON object in its first lines; it starts with {_start(lines)}",
                hint="Leave format=json out, or name another format.",
            )
        return json_log_format(keys)
    if wanted in written or wanted in BUILTIN:
        return _named(wanted, written)
    if wanted:
        raise UnknownNameError(
            "log format", wanted, [*BUILTIN, "json", *written], "Or give the text of a log_format, with its $variables."
        )
    used = dict.fromkeys(log.format for log in conf.access_logs) if conf else {}
    candidates, faults = [], []
    for name in used or written:
        if name in written or name in BUILTIN:
            try:
                candidates.append(_named(name, written))
            except UsageError as fault:  # of a format that other logs are in, perhaps
                faults.append(fault)
    if faults and not candidates:
        raise faults[0]
    if candidates:
        own = {log.format for log in conf.access_logs if log.is_file(source.path.name)} if conf else set()
        return max(candidates, key=lambda each: (_fitting(each, source), each.name in own, len(each.variables)))
    kind = looks_like(lines)
    if not kind:
        raise FormatError(
            source.path,
            f"is neither a combined, a common nor a JSON log; it starts with {_start(lines)}",
            hint="Give its format: format='...$request...' as in nginx.conf, or conf=nginx.conf. " + OVERRIDE,
        )
    return json_log_format(json_keys(lines)) if kind == "json" else parse_log_format(BUILTIN[kind], name=kind)


def _start(lines: list[str]) -> str:
    return repr(lines[0][:60]) if lines else "no text"


def _named(name: str, written: Mapping[str, tuple[str, str]]) -> LogFormat:
    text, escape = written.get(name, (BUILTIN.get(name, ""), "default"))
    return parse_log_format(text, name=name, escape=escape)


def _fitting(log_format: LogFormat, source: Source) -> int:
    """How many of the first lines fit."""
    from .fields import scan

    return len(scan(log_format, source.head[: source.head.rfind(b"\n") + 1] or source.head))


def _keys_of(line: str) -> tuple[str, ...]:
    if not line.lstrip().startswith("{"):
        return ()
    try:
        found = json.loads(line)
    except ValueError:
        # NGINX writes what JSON has no number for: the keys are still there.
        return tuple(re.findall(r'[{,]\s*"([^"\\]+)"\s*:', line))
    return tuple(found) if isinstance(found, dict) else ()


def _is_request(keys: tuple[str, ...]) -> bool:
    known = {key.lower() for key in keys}
    return bool(known & _TARGETS) and bool(known & _OTHERS)
