"""Open a trace: find its files, read them in order, number the keys, keep the result.

>>> trace = open_trace("web.oracleGeneral.zst")                    # doctest: +SKIP
>>> trace = open_trace(["day1.csv", "day2.csv"], sample=0.01)      # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .assemble import assemble
from .batch import Account, Batch
from .columns import SpillError
from .errors import CapabilityError
from .files import Sources, expand
from .normalise import normalise
from .provenance import Provenance
from .readers import FORMATS, READER_VERSION, open_reader
from .request import RequestTrace
from .selection import Selection
from .store import entry, growing_folder, load, save

__all__ = ["Scan", "open_trace", "scan"]


def open_trace(
    source: Sources,
    *,
    cache: bool = True,
    limit: int | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
    split_bytes: int | None = None,
    address_bytes: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    name: str = "",
    **reader_options: Any,
) -> RequestTrace:
    """Read a trace from one file, or from several as one stream.

    Parameters
    ----------
    source : str or Path, or a sequence of them
        Files, in order; as str also ``format:path`` where the format is not to be
        recognised, and patterns such as ``"logs/*.csv"``.
    cache : bool
        Keep the numbered trace in the user's cache folder and find it there again.
        Without it everything is held in memory.
    limit, start_s, stop_s, split_bytes, address_bytes, sample, seed
        Which part of it; see `evictlab.traces.selection.Selection`.
    name : str
        What tables and plots call the trace; the file's name if empty.
    **reader_options
        Options of the format.

    Raises
    ------
    UsageError
        No file matches, or an option makes no sense.
    TraceError
        A file cannot be read, or no request is left.
    """
    selection = Selection(limit, start_s, stop_s, split_bytes, address_bytes, sample, seed)
    walk = Scan(source, selection, name, reader_options)
    if not cache:
        return walk.assemble()
    path = entry(walk.identity(), walk.readers[0].path.name)
    if (kept := load(path)) is not None:
        return replace(kept, provenance=replace(kept.provenance, name=walk.name))
    try:
        with growing_folder() as folder:
            save(walk.assemble(folder), path)
        kept = load(path)
        if kept is not None:
            return kept
        why = "it was deleted meanwhile"
    except SpillError as error:
        why = str(error)
    trace = walk.assemble()
    trace.provenance.account.notes.append(f"held in memory, because the numbered trace could not be kept: {why}")
    return trace


def scan(source: Sources, name: str = "", selection: Selection | None = None, **reader_options: Any) -> Scan:
    """Read a trace piece by piece without numbering it or holding it; parameters as for `open_trace`."""
    return Scan(source, selection or Selection(), name, reader_options)


class Scan:
    """The requests of some files, normalised and selected, as batches.

    Attributes
    ----------
    name : str
        What tables and plots call the trace.
    account : Account
        Of the walk under way; complete when `batches` is exhausted.
    """

    def __init__(self, source: Sources, selection: Selection, name: str, reader_options: dict[str, Any]) -> None:
        self.readers = [open_reader(place, **reader_options) for place in expand(source)]
        first = self.readers[0]
        self.selection = self._with_address_bytes(selection)
        more = f" + {len(self.readers) - 1} more" if len(self.readers) > 1 else ""
        self.name = name or f"{first.path.name}{more}"
        self.account = Account()

    def _with_address_bytes(self, selection: Selection) -> Selection:
        """What a key counts is known from the format, or must be said: it is never guessed."""
        if selection.split_bytes is None or selection.address_bytes is not None:
            return selection
        formats = {reader.name: FORMATS[reader.name].address_bytes for reader in self.readers}
        known = set(formats.values())
        if len(known) == 1 and (step := known.pop()) is not None:
            return replace(selection, address_bytes=step)
        raise CapabilityError(
            f"splitting into blocks needs to know what the keys of {' and '.join(formats)} count: "
            "address_bytes=1 for byte addresses, 512 for sectors"
        )

    def batches(self) -> Iterator[Batch]:
        """Walk the files from the start.

        Yields
        ------
        Batch
            At most about 1 Mi requests, none empty.
        """
        self.account = Account()
        normal = normalise(self._read(), self.account)
        return (batch for batch in self.selection.apply(normal, self.account) if len(batch))

    def _read(self) -> Iterator[Batch]:
        for reader in self.readers:
            try:
                yield from reader.batches()
            finally:  # also when the walk ends early
                _add(self.account, reader.account)

    def assemble(self, folder: Path | None = None) -> RequestTrace:
        """Number the keys and join the batches; `folder` as in `evictlab.traces.assemble`."""
        batches = self.batches()
        provenance = Provenance(
            self.name,
            tuple(str(reader.path.absolute()) for reader in self.readers),
            " + ".join(dict.fromkeys(reader.name for reader in self.readers)),
            {**self.readers[0].options, **self.selection.to_dict()},
            self.account,
        )
        return assemble(batches, provenance, folder)

    def identity(self) -> dict[str, Any]:
        """Everything that determines the trace."""
        files = []
        for reader in self.readers:
            facts = reader.path.stat()
            files.append([str(reader.path.absolute()), facts.st_size, facts.st_mtime_ns, reader.name, reader.options])
        return {"files": files, "readers": READER_VERSION, "selection": self.selection.to_dict()}


def _add(total: Account, part: Account) -> None:
    total.records += part.records
    total.dropped.update(part.dropped)
    total.repaired.update(part.repaired)
    total.notes.extend(note for note in part.notes if note not in total.notes)
