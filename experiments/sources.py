"""What a user may name as a trace: a file, ``format:path``, a pattern, a generator (``zipf:requests=1e6``), ``demo``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..traces.errors import UsageError

if TYPE_CHECKING:
    from ..traces.request import RequestTrace
    from ..traces.selection import Selection

__all__ = ["open_one", "open_source", "open_sources"]


def open_sources(
    sources: Sequence[str],
    selection: Selection | None = None,
    *,
    concat: bool = False,
    cache: bool = True,
    **reader_options: Any,
) -> list[RequestTrace]:
    """Open every trace that `sources` name; a file that is named twice is opened once.

    Parameters
    ----------
    sources : sequence of str
    selection : Selection, optional
        Which part of each trace, or of the one stream with `concat`.
    concat : bool
        Take all files as one stream, in order.
    cache : bool
        See `evictlab.traces.open_trace`.
    **reader_options
        Options of the files' format.

    Returns
    -------
    list of RequestTrace
        With different names: where two files have the same name, they are called by their paths. The files of a rotated
        access log (``access.log``, ``access.log.1``, ``access.log.2.gz``) are one trace.

    Raises
    ------
    UsageError
        Nothing matches, or generated traces are to be concatenated.
    TraceError
        A file cannot be read.
    """
    from ..traces.files import expand
    from ..traces.open import says_access_log
    from .rotated import join_rotated

    if concat:
        if generated := [source for source in sources if _is_generated(source)]:
            raise UsageError(f"only files can be joined into one stream (--concat), not {generated[0]!r}")
        return [_open_files(list(sources), selection, cache=cache, **reader_options)]
    places = [place for source in sources for place in ([source] if _is_generated(source) else expand(source))]
    logs = join_rotated(list(dict.fromkeys(places)), logs_only=says_access_log(reader_options))
    files = [Path(name).name for name in logs]
    return [
        _open_files(parts, selection, cache=cache, name=name if files.count(file) > 1 else file, **reader_options)
        if len(parts) > 1
        else open_source(name, selection, cache=cache, name=name if files.count(file) > 1 else "", **reader_options)
        for (name, parts), file in zip(logs.items(), files, strict=True)
    ]


def open_one(
    sources: Sequence[str], selection: Selection | None = None, *, cache: bool = True, **reader_options: Any
) -> RequestTrace:
    """Open what is to be one trace: as `open_source`, or the files of a rotated access log.

    Raises
    ------
    UsageError
        Several traces are named.
    """
    if len(sources) == 1:
        return open_source(sources[0], selection, cache=cache, **reader_options)
    opened = open_sources(sources, selection, cache=cache, **reader_options)
    if len(opened) > 1:
        raise UsageError(
            f"{len(opened)} traces are named; name one. A pattern in quotes, as in 'logs/*.csv', is one stream of its files"
        )
    return opened[0]


def open_source(
    source: str, selection: Selection | None = None, *, cache: bool = True, name: str = "", **reader_options: Any
) -> RequestTrace:
    """Open one trace: a file (or several by a pattern, as one stream), or a generated one.

    Parameters
    ----------
    source : str
    selection : Selection, optional
    cache : bool
        See `evictlab.traces.open_trace`.
    name : str
        Instead of the file's name.
    **reader_options
        Options of the file's format.

    Raises
    ------
    UsageError
        Nothing matches, or an option makes no sense.
    TraceError
        A file cannot be read.
    """
    if not _is_generated(source):
        return _open_files(source, selection, cache=cache, name=name, **reader_options)
    if reader_options:
        raise UsageError(f"{source!r} is generated, not read: it takes no --reader, --nginx-conf or --max-bad")
    from ..traces.generate import generate

    trace = generate(source)
    return trace if selection is None or not selection.to_dict() else _select(trace, selection)


def _is_generated(source: str) -> bool:
    """Whether `source` names a generator, rightly spelt or not, and not a file; a folder `demo` hides no generator."""
    if Path(source).is_file():
        return False
    from ..traces.generate import GENERATORS
    from ..traces.readers import FORMATS

    name, _, parameters = source.partition(":")
    name = name.replace("-", "_")
    return name in GENERATORS or ("=" in parameters and name not in FORMATS)


def _open_files(
    source: str | list[str], selection: Selection | None, *, cache: bool, name: str = "", **reader_options: Any
) -> RequestTrace:
    from ..traces.open import open_trace

    chosen = {} if selection is None else selection.to_dict()
    return open_trace(source, cache=cache, name=name, **chosen, **reader_options)


def _select(trace: RequestTrace, selection: Selection) -> RequestTrace:
    """Select from a trace as `open_trace` does from a file."""
    from ..traces.assemble import assemble

    provenance = replace(trace.provenance, options={**trace.provenance.options, **selection.to_dict()})
    return assemble(selection.apply(trace.batches(), provenance.account), provenance)
