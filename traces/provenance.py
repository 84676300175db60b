"""Where a trace came from and what happened to its records on the way."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .batch import Account
from .home import cache_home

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
        """Digest of the source file, read when first asked for and then remembered.

        Of several files: digest of their digests in hexadecimal, joined by line ends.
        Empty when there is no source file, or when it is gone.
        """
        try:
            digests = [_sha256_of(Path(path)) for path in self.sources]
        except OSError:
            return ""
        if len(digests) <= 1:
            return "".join(digests)
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

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
        account = Account(facts["records"], Counter(facts["dropped"]), Counter(facts["repaired"]), list(facts["notes"]))
        return cls(facts["name"], tuple(facts["sources"]), facts["reader"], facts["options"], account)


def _sha256_of(path: Path) -> str:
    """Digest of a file, remembered in the cache folder as long as its size and time of change stay."""
    facts = path.stat()
    known_as = hashlib.sha256(f"{path}|{facts.st_size}|{facts.st_mtime_ns}".encode()).hexdigest()[:32]
    memory = cache_home() / "sha256" / known_as
    with suppress(OSError):
        return memory.read_text(encoding="ascii")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):
        memory.parent.mkdir(exist_ok=True)
        fresh = memory.with_name(f"{known_as}.{os.getpid()}")
        fresh.write_text(digest, encoding="ascii")
        fresh.replace(memory)
    return digest
