"""What every reader is: a file that can be walked as batches, with an account of what was lost."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...batch import Account, Batch
from ...errors import FormatError, UnknownNameError, UsageError
from .source import OVERRIDE, Source

if TYPE_CHECKING:
    from .sniff import Head

__all__ = ["BATCH_RECORDS", "COMMON_OPTIONS", "Reader"]

BATCH_RECORDS = 1 << 20
"""The most requests in a batch."""

TOLERATED = 0.01
"""Share of unreadable records above which a file is refused ..."""

FORGIVEN = 10
"""... provided that more than this many are unreadable, or that the user has set the share."""

SHOWN_REASONS = 8
"""Why records were lost, in the message of a file without a request."""

COMMON_OPTIONS = {"max_bad": "share of unreadable records above which the file is refused, such as 5% (default: 1%)"}
"""Options of every format, beside its own."""

TORN = "torn last record"


class Reader(ABC):
    """A trace file in one format. Subclasses say how its records become columns.

    Parameters
    ----------
    source : Source
    **options
        See ``OPTIONS`` of the class: name to what it means.

    Attributes
    ----------
    name : str
        The format.
    path : Path
    options : dict
        As given; together with the file they determine the trace.
    account : Account
        Of the walk under way; complete when `batches` is exhausted.

    Raises
    ------
    UnknownNameError
        The format has no such option.
    """

    name: ClassVar[str] = ""
    OPTIONS: ClassVar[Mapping[str, str]] = {}
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Options whose values stay out of the provenance."""

    def __init__(self, source: Source, **options: Any) -> None:
        for option in options:
            if option not in self.OPTIONS and option not in COMMON_OPTIONS:
                takes = f"See: evictlab trace formats {self.name}"
                if not self.OPTIONS:
                    takes = f"Format {self.name} takes no options of its own."
                raise UnknownNameError("option", option, [*self.OPTIONS, *COMMON_OPTIONS], takes)
        self.source = source
        self.options = options
        self.account = Account()
        self._unreadable = 0
        self._tolerated = _share(options["max_bad"]) if "max_bad" in options else TOLERATED

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @classmethod
    def sniff(cls, head: Head) -> float:
        """How much the start of a file looks like this format: 0 not, 1 may be, 2 likely, 3 sure."""
        return 0.0

    def batches(self) -> Iterator[Batch]:
        """Walk the file from its start, at most `BATCH_RECORDS` requests at a time.

        Raises
        ------
        FormatError
            Too much of the file is unreadable, or it holds no request at all.
        """
        self.account, self._unreadable = Account(), 0
        requests = 0
        for batch in self._read():
            if len(batch):
                requests += len(batch)
                yield batch
        self._judge(self._tolerated)
        if requests == 0:
            reasons = self.account.dropped.most_common()
            lost = ", ".join(f"{n} {why}" for why, n in reasons[:SHOWN_REASONS])
            if len(reasons) > SHOWN_REASONS:
                lost += f", and {len(reasons) - SHOWN_REASONS} more reasons"
            raise FormatError(self.path, f"holds no request{f' ({lost})' if lost else ''}", hint=self._none_advice())

    @classmethod
    def walk(cls, readers: Sequence[Reader]) -> Iterator[Batch]:
        """Walk consecutive files of one trace that are in this format: one after another.

        Parameters
        ----------
        readers : sequence of Reader
            All of this class. Their accounts are complete when this is exhausted.
        """
        for reader in readers:
            yield from reader.batches()

    @abstractmethod
    def _read(self) -> Iterator[Batch]:
        """Yield the requests, counting in `account` every record seen and why it was lost."""

    def drop(self, why: str, count: int, examples: Iterable[str] = ()) -> None:
        """Count records that give no request although they are well formed."""
        if count:
            self.account.dropped[why] += count
            self._note(why, examples)

    def repair(self, why: str, count: int) -> None:
        """Count requests with a value that was mended."""
        if count:
            self.account.repaired[why] += count

    def refuse(self, why: str, count: int, examples: Iterable[str] = ()) -> None:
        """Count unreadable records; `examples` say where: ``line 7: 'abc'``."""
        self._unreadable += count
        self.drop(why, count, examples)
        # Binary junk is refused at once, not after gigabytes of it.
        self._judge(max(0.5, self._tolerated))

    def note(self, text: str) -> None:
        """Add a fact about the file as a whole, once."""
        if text not in self.account.notes:
            self.account.notes.append(text)

    def _note(self, why: str, examples: Iterable[str]) -> None:
        shown = sum(f" ({why})" in note for note in self.account.notes)
        self.account.notes.extend(f"{example} ({why})" for example in list(examples)[: 3 - shown])

    def _judge(self, tolerated: float) -> None:
        forgiven = 0 if "max_bad" in self.options else FORGIVEN
        if self._unreadable <= forgiven or self._unreadable <= self.account.records * tolerated:
            return
        first, *more = [note for note in self.account.notes if note.startswith(("line", "byte"))] or [""]
        where, _, what = first.partition(": ")
        also = f"Also {'; '.join(more)}. " if more else ""
        share = math.ceil(1000 * self._unreadable / self.account.records) / 10
        raise FormatError(
            self.path,
            f"{self._unreadable:,} of {self.account.records:,} records are no {self.name} records, such as {what}",
            where,
            f"{also}{self._advice()}{OVERRIDE} To leave such records out: max_bad={share:g}% (now "
            f"{100 * self._tolerated:g}%).",
        )

    def _none_advice(self) -> str:
        """What to try where no record is a request."""
        return OVERRIDE

    def _advice(self) -> str:
        """What to try before another format, ending in a blank; for the message of an unreadable file."""
        return ""


def _share(text: object) -> float:
    """Read ``5%`` as 0.05."""
    number, percent, rest = str(text).strip().partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = -1.0
    if not percent or rest or not 0 <= share <= 1:
        raise UsageError(f"max_bad={str(text)!r} is no percentage from 0% to 100%; write it as 5%")
    return share
