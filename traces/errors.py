"""The errors a user can meet, as one tree.

::

    EvictlabError                 anything evictlab itself raises       exit code
    ├── UsageError                the request makes no sense            2
    │   ├── UnknownNameError      no policy, format ... of that name    2
    │   ├── UnitError             a size or duration without its unit   2
    │   └── CapabilityError       the policy lacks what the trace needs 2
    ├── TraceError                the trace cannot be used              1
    │   └── FormatError           a file, a line, a value: unreadable   1
    ├── PredictionError           predictions do not fit the trace      1
    ├── ResultError               results cannot be read or written     1
    ├── MissingExtraError         a part that is not installed          1
    ├── MissingNginxError         no NGINX to record (record.nginx)     1
    └── NginxError                it does not start, or dies            1

Each message is a small lesson: what, where, the value, the nearest valid one,
what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "CapabilityError",
    "EvictlabError",
    "FormatError",
    "MissingExtraError",
    "PredictionError",
    "ResultError",
    "TraceError",
    "UnitError",
    "UnknownNameError",
    "UsageError",
]


class EvictlabError(Exception):
    """Root of all errors that evictlab raises on purpose."""

    exit_code = 1


class UsageError(EvictlabError):
    """What was asked for makes no sense; nothing was read or written."""

    exit_code = 2


class UnknownNameError(UsageError):
    """No policy, format, parameter ... has that name; the nearest ones are named.

    Parameters
    ----------
    kind : str
        What was looked up, for example ``"policy"``.
    name : str
        The name that is not known.
    known : iterable of str
        All valid names.
    hint : str, optional
        The next command, for example ``"See: evictlab policies"``.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        text = f"unknown {kind} {name!r}."
        if near:
            text += " Did you mean " + " or ".join(repr(n) for n in near) + "?"
        elif len(known) <= 12:
            text += " Known: " + ", ".join(known) + "."
        super().__init__(f"{text} {hint}".strip())
        self.kind, self.name, self.near = kind, name, near


class UnitError(UsageError):
    """A size or a duration without a unit, or with one that does not exist."""


class CapabilityError(UsageError):
    """The policy lacks what the trace or the options need; the reason is said."""


class TraceError(EvictlabError):
    """The trace cannot be used as asked."""


class FormatError(TraceError):
    """A trace file cannot be read.

    Parameters
    ----------
    path : str or Path
        The file.
    problem : str
        What is wrong, with the offending value.
    where : str, optional
        Line or byte offset, for example ``"line 12"`` or ``"byte 240"``.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, path: str | Path, problem: str, where: str = "", hint: str = "") -> None:
        place = f"{path}, {where}" if where else f"{path}"
        super().__init__(f"{place}: {problem}." + (f" {hint}" if hint else ""))
        self.path, self.problem, self.where, self.hint = str(path), problem, where, hint


class PredictionError(EvictlabError):
    """Predictions of the wrong length or kind, not a number, or made with knowledge of what they predict."""


class ResultError(EvictlabError):
    """Results cannot be read, written or combined."""


class MissingExtraError(EvictlabError):
    """A part of evictlab needs packages that are not installed.

    Parameters
    ----------
    what : str
        What was asked for.
    extra : str
        The extra that brings it, for example ``"ray"``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}: pip install 'evictlab[{extra}]'")
