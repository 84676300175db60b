r"""NGINX's ``log_format``: literals and variables in order, or the keys of a flat JSON object.

    >>> parse_log_format('$remote_addr [$time_local] "$request" $status').variables
    ('remote_addr', 'time_local', 'request', 'status')

A template such as ``{"time":"$msec","url":"$scheme://$host$request_uri"}`` makes a JSON format:
lines are read as JSON, in any order of keys. With ``escape=none`` it stays text, because
quotes inside values would then end them.

Source: NGINX documentation, ngx_http_log_module; Apache's Common Log Format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ..errors import UnknownNameError, UsageError
from .variables import ALIASES, HOSTS, PATHS, WIDTHS

__all__ = ["BUILTIN", "LogFormat", "Part", "json_log_format", "parse_log_format", "split_template"]

_COMMON = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'

BUILTIN = {"combined": f'{_COMMON} "$http_referer" "$http_user_agent"', "common": _COMMON}
"""Formats that need no definition; ``common`` is Apache's Common Log Format."""

ESCAPES = ("default", "json", "none")

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+)|)")
_PAIR = re.compile(r'\s*"([^"\\]+)"\s*:\s*(?:"([^"\\]*)"|([^\s"{}\[\],]*))\s*([,}])')


class Part(NamedTuple):
    """A piece of a template: a literal, or a variable named without its ``$``."""

    text: str
    is_variable: bool


@dataclass(frozen=True)
class LogFormat:
    """What stands where in a line of an access log.

    Attributes
    ----------
    name : str
    parts : tuple of Part
        Literals and variables in order; of the whole template also where it is a JSON object, and
        empty where only keys are known.
    escape : {"default", "json", "none"}
        How NGINX wrote bytes that would break the format.
    keys : tuple of (str, tuple of Part)
        JSON key to the parts of its value; empty for text.
    """

    name: str
    parts: tuple[Part, ...]
    escape: str = "default"
    keys: tuple[tuple[str, tuple[Part, ...]], ...] = ()

    @property
    def is_json(self) -> bool:
        """Whether lines are JSON objects."""
        return bool(self.keys)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, each once, in order."""
        parts = [part for _, value in self.keys for part in value] if self.keys else self.parts
        return tuple(dict.fromkeys(part.text for part in parts if part.is_variable))


def parse_log_format(text: str, *, name: str = "", escape: str = "default") -> LogFormat:
    r"""Parse the string of a ``log_format``.

    Parameters
    ----------
    text : str
        ``$name``, ``${name}`` and literals; ``\t`` stands for a tab. A name of `BUILTIN` stands for its format.
    name : str
        For messages.
    escape : {"default", "json", "none"}

    Raises
    ------
    UsageError
        It has no variable, a ``$`` without a name, two variables that nothing separates, or a blank after a
        ``$request`` without quotes.
    UnknownNameError
        There is no such way to escape.
    """
    if escape not in ESCAPES:
        raise UnknownNameError("escape", escape, ESCAPES)
    if text in BUILTIN:
        text, name = BUILTIN[text], name or text
    text = text.replace("\\t", "\t")
    where = f"log_format {name}".rstrip()
    parts = split_template(text, where)
    if not any(part.is_variable for part in parts):
        raise UsageError(f"{where}: {text!r} holds no $variable; an example: {BUILTIN['common']}")
    pairs = _json_pairs(text) if escape != "none" else None
    if pairs is None:
        _check_separated(parts, where)
        return LogFormat(name, parts, escape)
    keys = []
    for key, value in pairs:
        inner = split_template(value, where)
        if any(part.is_variable for part in inner):
            _check_separated(inner, f"{where}, key {key!r}")
            keys.append((key, inner))
    return LogFormat(name, parts, "json", tuple(keys))


def json_log_format(keys: Iterable[str], *, name: str = "json") -> LogFormat:
    """Return the format of a JSON log whose template is not known, by the names of its keys.

    A key named as a variable is that variable; of the others, usual names are understood
    (`ALIASES`), and the rest keep their own.

    Parameters
    ----------
    keys : iterable of str
        As they occur in the log.

    Raises
    ------
    UsageError
        There is none.
    """
    present = list(dict.fromkeys(keys))
    if not present:
        raise UsageError(f"log_format {name}: no JSON key was given, so there is nothing to read")
    variable_of = {key: key.lower() for key in present}
    taken = set(variable_of.values())
    by_name = {key.lower(): key for key in present}
    for variable, usual in ALIASES.items():
        if variable not in taken:
            found = next((by_name[alias] for alias in usual.split() if alias in by_name), None)
            if found is not None:
                variable_of[found] = variable
    return LogFormat(name, (), "json", tuple((key, (Part(variable_of[key], True),)) for key in present))


def split_template(text: str, where: str = "template") -> tuple[Part, ...]:
    """Split text with ``$name`` and ``${name}`` into its parts; `where` is for messages."""
    parts, at = [], 0
    for match in _VARIABLE.finditer(text):
        name = match[1] or match[2]
        if not name:
            raise UsageError(f"{where}: a $ without a name at character {match.start() + 1} of {text!r}")
        if match.start() > at:
            parts.append(Part(text[at : match.start()], False))
        parts.append(Part(name.lower(), True))
        at = match.end()
    if at < len(text):
        parts.append(Part(text[at:], False))
    return tuple(parts)


def _check_separated(parts: tuple[Part, ...], where: str) -> None:
    for before, part, after in zip((Part("", False), *parts), parts, parts[1:], strict=False):
        if part == Part("request", True) and after.text.startswith(" ") and not before.text.endswith('"'):
            raise UsageError(
                f"{where}: $request holds blanks, and a blank follows it, so a line cannot be cut there. "
                'Log it in quotes, "$request", or in parts: $request_method $request_uri'
            )
    for one, two in pairwise(parts):
        if one.is_variable and two.is_variable:
            path_begins = one.text in HOSTS and two.text in PATHS
            if one.text not in WIDTHS and not path_begins:
                raise UsageError(
                    f"{where}: nothing separates ${one.text} from ${two.text}, so a line cannot be cut there. "
                    "Put a character between them that neither holds."
                )


def _json_pairs(text: str) -> list[tuple[str, str]] | None:
    """Return the keys and value templates of a flat JSON object, or None if the text is not one."""
    text = text.strip()
    if not text.startswith("{") or not text.endswith("}"):
        return None
    pairs, at = [], 1
    while match := _PAIR.match(text, at):
        pairs.append((match[1], match[2] if match[2] is not None else match[3]))
        at = match.end()
        if match[4] == "}":
            return pairs if at == len(text) else None
    return None
