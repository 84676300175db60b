"""Open a trace: find its files, read them in order, number the keys, keep the result.

::

    trace = open_trace("web.oracleGeneral.zst")
    trace = open_trace(["day1.csv", "day2.csv"], sample=0.01)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from .assemble import assemble
from .batch import Account, Batch
from .columns import StoreError
from .errors import CapabilityError, FormatError, UsageError
from .files import Sources, places
from .normalise import normalise
from .provenance import Provenance
from .readers import FORMATS, READER_VERSION, Reader, open_reader
from .request import RequestTrace
from .selection import Selection
from .store import entry, keep, load
from .weblog.log_format import BUILTIN

__all__ = ["Scan", "open_trace", "says_access_log", "scan"]

EMPTY = "is empty"
"""The problem of a file without content, as `evictlab.traces.readers.base.source.Source` says it."""


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
        return assemble(walk.batches(), walk.provenance())
    path = entry(walk.identity(), walk.label)
    kept = load(path)
    if kept is not None:
        return replace(kept, provenance=replace(kept.provenance, name=walk.name))
    try:
        keep(path, walk.batches(), walk.provenance())
        kept = load(path)
        why = "it was deleted at once"
    except StoreError as error:
        why = str(error)
    if kept is None:
        kept = assemble(walk.batches(), walk.provenance())
        kept.provenance.account.notes.append(f"held in memory, because it cannot be kept on disk: {why}")
    return kept


def scan(source: Sources, name: str = "", selection: Selection | None = None, **reader_options: Any) -> Scan:
    """Walk through a trace without numbering or holding it; parameters as for `open_trace`."""
    return Scan(source, selection or Selection(), name, reader_options)


def says_access_log(reader_options: Mapping[str, Any]) -> bool:
    """Whether options of a reader are such that the files can only be access logs, whatever their contents look like."""
    log_format = str(reader_options.get("format", ""))
    return "conf" in reader_options or "$" in log_format or log_format in (*BUILTIN, "json")


class Scan:
    """The requests of some files, normalised and selected, as batches.

    Attributes
    ----------
    name : str
        What tables and plots call the trace.
    label : str
        The name of the first file.
    readers : list of Reader
        One per file that is not empty.
    account : Account
        Of the walk under way; complete when `batches` is exhausted.
    """

    def __init__(self, source: Sources, selection: Selection, name: str, reader_options: dict[str, Any]) -> None:
        self._places = places(source)
        for place in self._places:
            if place.path.exists() and not place.path.is_file():
                raise UsageError(
                    f"{place.path} is no file: a trace is read more than once, so write it to a file first"
                )
        self._options = reader_options
        self._selection = selection
        self.label = self._places[0].path.name
        more = len(self._places) - 1
        self.name = name or self.label + (f" + {more} more" if more else "")
        self.account = Account()
        self._readers: list[Reader] = []
        self._empty: list[str] = []

    @property
    def readers(self) -> list[Reader]:
        """The readers, opened when first asked for."""
        if not self._readers:
            log = says_access_log(self._options)
            named = [replace(place, format=place.format or "access_log" * log) for place in self._places]
            empty: list[FormatError] = []
            for place in named:
                try:
                    self._readers.append(open_reader(str(place), **self._options))
                except FormatError as error:
                    if error.problem != EMPTY:
                        raise
                    empty.append(error)
            # A log that was rotated just now, or on a day without requests; other traces have no such parts.
            if empty and {reader.name for reader in self._readers} != {"access_log"}:
                self._readers = []
                raise empty[0]
            self._empty = [Path(error.path).name for error in empty]
        return self._readers

    def batches(self) -> Iterator[Batch]:
        """Walk the files from the start; a new `account` begins.

        Yields
        ------
        Batch
            At most about 1 Mi requests, none empty.
        """
        self.account = Account()
        normal = normalise(self._read(), self.account)
        return (batch for batch in self._known_selection().apply(normal, self.account) if len(batch))

    def provenance(self) -> Provenance:
        """Where the walk under way comes from, with its account."""
        return Provenance(
            self.name,
            tuple(str(place.path.absolute()) for place in self._places),
            " + ".join(dict.fromkeys(reader.name for reader in self.readers)),
            {**self._told(), **self._known_selection().to_dict()},
            self.account,
        )

    def identity(self) -> dict[str, Any]:
        """Everything that determines the trace; the files are not opened for it."""
        try:
            stats = [place.path.stat() for place in self._places]
        except OSError:
            self.readers  # noqa: B018  they say what is wrong, and what is meant perhaps
            raise
        files = [
            (str(place.path.absolute()), place.format, facts.st_size, facts.st_mtime_ns)
            for place, facts in zip(self._places, stats, strict=True)
        ]
        selection = self._selection.to_dict()
        facts = {"files": files, "options": self._options, "selection": selection, "readers": READER_VERSION}
        if "conf" in self._options:
            facts["conf"] = _digests(self._options["conf"])
        return facts

    def _told(self) -> dict[str, Any]:
        """What the readers were told, without what must not be passed on."""
        secret = frozenset[str]().union(*(reader.SECRETS for reader in self.readers))
        told = {name: "(given)" if name in secret else value for name, value in self._options.items()}
        if "conf" in self._options:  # rows of a journal are those of the same rules only
            told["conf_digests"] = dict(_digests(self._options["conf"]))
        return told

    def _read(self) -> Iterator[Batch]:
        for _, some in groupby(self.readers, type):
            readers = list(some)
            for reader in readers:
                reader.account = Account()
            try:
                yield from readers[0].walk(readers)
            finally:  # also when the walk ends early
                for reader in readers:
                    _add(self.account, reader.account)
        self.account.notes.extend(f"{name} is empty" for name in self._empty)

    def _known_selection(self) -> Selection:
        """The selection, where what a key counts is known from the format or was said: it is never guessed."""
        if self._selection.split_bytes is None or self._selection.address_bytes is not None:
            return self._selection
        formats = {reader.name: FORMATS[reader.name].address_bytes for reader in self.readers}
        known = set(formats.values())
        if len(known) == 1 and (step := known.pop()) is not None:
            return replace(self._selection, address_bytes=step)
        raise CapabilityError(
            f"splitting into blocks needs to know what the keys of {' and '.join(formats)} count: "
            "address_bytes=1 for byte addresses, 512 for sectors"
        )


def _digests(conf: str) -> list[tuple[str, str]]:
    """Each file of an NGINX configuration, with the digest of its content."""
    from hashlib import sha256

    from .weblog.nginx.parse import conf_files

    return [(str(path.absolute()), sha256(path.read_bytes()).hexdigest()) for path in conf_files(conf)]


def _add(total: Account, part: Account) -> None:
    total.records += part.records
    total.dropped.update(part.dropped)
    total.repaired.update(part.repaired)
    total.notes.extend(note for note in part.notes if note not in total.notes)
