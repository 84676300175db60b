"""Where a trace came from and what happened to its records on the way."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .batch import Account

__all__ = ["Provenance"]


@dataclass(frozen=True)
class Provenance:
    """Origin of a trace; a number without it is not a result.

    Attributes
    ----------
    name : str
        What tables and plots call the trace.
    sources : tuple of str
        Absolute paths of the files, in order; empty for a generated trace.
    reader : str
        Name of the format, or of the generator.
    options : dict
        What the reader and the selection were told.
    account : Account
        Records seen, dropped and repaired, by reason, and notes.
    """

    name: str = ""
    sources: tuple[str, ...] = ()
    reader: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    account: Account = field(default_factory=Account)

    @property
    def source(self) -> str:
        """The files as one text."""
        return " + ".join(self.sources)

    @functools.cached_property
    def sha256(self) -> str:
        """Digest of the source files' bytes, one after the other; read when first asked for.

        Empty when there is no source file, or when it is gone.
        """
        digest = hashlib.sha256()
        try:
            for path in self.sources:
                with Path(path).open("rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
        except OSError:
            return ""
        return digest.hexdigest() if self.sources else ""

    def noted(self, note: str) -> Provenance:
        """The same provenance with one more note in a copy of its account."""
        account = self.account
        return replace(
            self,
            account=Account(
                account.records, Counter(account.dropped), Counter(account.repaired), [*account.notes, note]
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the digest, in types that JSON knows."""
        account = self.account
        return {
            "name": self.name,
            "sources": list(self.sources),
            "reader": self.reader,
            "options": self.options,
            "records": account.records,
            "dropped": dict(account.dropped),
            "repaired": dict(account.repaired),
            "notes": list(account.notes),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Provenance:
        """The inverse of `to_dict`."""
        account = Account(
            facts["records"], Counter(facts["dropped"]), Counter(facts["repaired"]), list(facts["notes"])
        )
        return cls(facts["name"], tuple(facts["sources"]), facts["reader"], facts["options"], account)
