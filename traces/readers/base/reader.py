"""What every reader is: a file that can be walked as batches, with an account of what was lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...batch import Account, Batch
from ...errors import FormatError, UnknownNameError
from .source import OVERRIDE, Source

if TYPE_CHECKING:
    from .sniff import Head

__all__ = ["BATCH_RECORDS", "Reader"]

BATCH_RECORDS = 1 << 20
"""The most requests in a batch."""

TOLERATED = 0.01
"""Share of unreadable records above which a file is refused ..."""

FORGIVEN = 10
"""... provided that more than this many are unreadable."""

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

    def __init__(self, source: Source, **options: Any) -> None:
        for option in options:
            if option not in self.OPTIONS:
                takes = "" if self.OPTIONS else f"Format {self.name} takes no options."
                raise UnknownNameError("option", option, self.OPTIONS, takes)
        self.source = source
        self.options = options
        self.account = Account()
        self._unreadable = 0

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
        self._judge(self.account.records * TOLERATED)
        if requests == 0:
            lost = ", ".join(f"{n} {why}" for why, n in self.account.dropped.items())
            raise FormatError(self.path, f"holds no request{f' ({lost})' if lost else ''}", hint=OVERRIDE)

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
        self._judge(self.account.records * 0.5)

    def note(self, text: str) -> None:
        """Add a fact about the file as a whole, once."""
        if text not in self.account.notes:
            self.account.notes.append(text)

    def _note(self, why: str, examples: Iterable[str]) -> None:
        shown = sum(f" ({why})" in note for note in self.account.notes)
        self.account.notes.extend(f"{example} ({why})" for example in list(examples)[: 3 - shown])

    def _judge(self, tolerated: float) -> None:
        if self._unreadable <= FORGIVEN or self._unreadable <= tolerated:
            return
        first = next((note for note in self.account.notes if note.startswith(("line", "byte"))), "")
        where, _, what = first.partition(": ")
        raise FormatError(
            self.path,
            f"{self._unreadable:,} of {self.account.records:,} records are no {self.name} records, such as {what}",
            where,
            f"{self._advice()}{OVERRIDE}",
        )

    def _advice(self) -> str:
        """What to try before another format, ending in a blank; for the message of an unreadable file."""
        return ""
