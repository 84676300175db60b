"""Access logs read with `re`, `json` and `datetime`: a line at a time, nothing clever."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

NUMBERS = ["status", "body_bytes_sent", "bytes_sent", "request_length", "msec", "request_time", "connection", "pid"]
FIXED = {"time_local": b".{26}", "time_iso8601": b".{25}", "status": b".{3}", "pipe": b".", "msec": rb"\d*\..{3}"}
FIXED["request_time"] = FIXED["msec"]
SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Twin:
    """Cuts lines by a template of literals and ``$name``."""

    def __init__(self, template: str, escape: str = "default") -> None:
        pieces = re.split(r"\$(?:\{(\w+)\}|(\w+))", template)
        self.literals = [piece.encode() for piece in pieces[::3]]
        self.names = [one or two for one, two in zip(pieces[1::3], pieces[2::3], strict=True)]
        around = zip(self.literals, self.literals[1:], strict=False)
        self.quoted = [before.endswith(b'"') and after.startswith(b'"') for before, after in around]
        self.escape = escape
        self.left = self._pattern(len(self.names) - 1, rb"(.*)" + re.escape(self.literals[-1]) + rb"\Z")

    def _pattern(self, upto: int, rest: bytes) -> re.Pattern[bytes]:
        """The first variables each as short as possible, for good (atomic groups), then `rest`."""
        pattern = re.escape(self.literals[0])
        for name, after, quoted in zip(self.names[:upto], self.literals[1:], self.quoted, strict=False):
            anything = rb"(?:\\.|[^\\])*?" if quoted and self.escape != "none" else b".*?"
            if not after:
                pattern += b"(?>(" + FIXED.get(name, b'[^/ "]*') + b"))"
            else:
                pattern += b"(?>(" + anything + b")" + re.escape(after) + b")"
        return re.compile(pattern + rest, re.DOTALL)

    def line(self, line: bytes) -> dict[str, bytes] | None:
        """Variable to raw value, or None for a line that does not fit."""
        found = self.left.match(line)
        values = list(found.groups()) if found else None
        if values is None or not self._numbers(values):
            values = self._from_right(line)
        if values is None or not self._numbers(values):
            return None
        return dict(reversed(list(zip(self.names, values, strict=True))))

    def _from_right(self, line: bytes) -> list[bytes] | None:
        if True not in self.quoted or not line.endswith(self.literals[-1]):
            return None
        first = self.quoted.index(True)
        found = self._pattern(first, b"(.*)").match(line[: len(line) - len(self.literals[-1])])
        if found is None:
            return None
        *values, rest = found.groups()
        right: list[bytes] = []
        for literal in reversed(self.literals[first + 1 : -1]):
            if not literal or literal not in rest:
                return None
            rest, _, value = rest.rpartition(literal)
            right.insert(0, value)
        return [*values, rest, *right]

    def _numbers(self, values: list[bytes]) -> bool:
        pairs = zip(self.names, values, strict=True)
        return all(re.fullmatch(rb"[0-9.-]*", value) for name, value in pairs if name in NUMBERS)


def json_line(line: bytes) -> dict[str, str] | None:
    """Key to value as text, "" for null and nested values; None for what is no JSON object."""
    keep: Any = {"parse_int": str, "parse_float": str}
    try:
        found = json.loads(line.decode("utf-8", "backslashreplace"), **keep)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    words = {True: "true", False: "false"}
    return {
        key: value if isinstance(value, str) else words[value] if isinstance(value, bool) else ""
        for key, value in found.items()
    }


def undo(value: bytes, escape: str) -> str:
    r"""Text of a value without its escapes; bytes that are not UTF-8 as ``\xHH``."""

    def one(match: re.Match[bytes]) -> bytes:
        text = match[0].decode()
        if text[1] == "x":
            return bytes([int(text[2:], 16)])
        if text[1] == "u":
            return json.loads(f'"{text}"').encode("utf-8", "surrogatepass")
        return SIMPLE.get(text[1], text[1]).encode()

    pair = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
    known = {"default": rb'\\x[0-9a-fA-F]{2}|\\[\\"]', "json": pair + rb'|\\x[0-9a-fA-F]{2}|\\[\\"/bfnrt]'}
    if escape != "none":
        value = re.sub(known[escape], one, value)
    return value.decode("utf-8", "backslashreplace")


def request(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and protocol of a request line."""
    found = re.fullmatch(rb"([A-Z]+) ([^ ].*?)(?: (HTTP/[^ ]*))?", line, re.DOTALL)
    return (found[1], found[2], found[3] or b"") if found else (b"", b"", b"")


def local_time(text: str) -> float:
    """Unix seconds of NGINX's ``$time_local``."""
    return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp()


def seconds(text: str) -> float | None:
    """Sum of a list of seconds, None if it holds no number."""
    numbers = [float(part) for part in re.split(r"[,:\s]+", text) if part not in ("", "-")]
    return sum(numbers) if numbers else None
