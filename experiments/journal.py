"""A journal of finished replays: rows reach the disk as they finish, so that an interruption loses nothing.

One JSON line per finished run, in a hidden file beside the results. When all runs are done, the results file is written
whole and the journal removed. Resuming reads the journal (a torn last line is what an interruption leaves; it is ignored)
and the results that are there, and skips what they hold.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from ..traces.errors import ResultError, UsageError

if TYPE_CHECKING:
    from ..sim.runs import Run

__all__ = ["Journal", "run_key"]


def run_key(run: Run) -> str:
    """What a row depends on, as text: two runs with equal keys give equal rows."""
    about = run.trace.provenance
    return json.dumps(
        [
            run.trace.name,
            [[source, *_state(source)] for source in about.sources],
            about.options,
            len(run.trace),
            run.policy.label,
            run.policy.parameters(),
            *filter(None, (part.depends_on for part in run.policy.parts())),
            run.capacity.label,
            run.capacity.amount,
            run.capacity.byte_sizes,
            run.seed,
            run.ttl,
            run.warmup,
            run.window,
        ],
        default=str,
    )


def _state(source: str) -> tuple[int, int]:
    """Size and time of change of a source file: rows of an older version are not those of the present one."""
    try:
        facts = Path(source).stat()
    except OSError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


class Journal:
    """The journal of one results file.

    Parameters
    ----------
    output : Path
        The results file to come.
    resume : bool
        Go on where an earlier attempt stopped; otherwise an existing journal is an error.

    Attributes
    ----------
    finished : dict of str to list of rows
        What is already known, by `run_key`.

    Raises
    ------
    UsageError
        An unfinished attempt is there and `resume` is False.
    ResultError
        The journal cannot be written.
    """

    def __init__(self, output: Path, *, resume: bool) -> None:
        self.path = output.with_name(f".{output.name}.journal")
        self.finished: dict[str, list[dict[str, Any]]] = {}
        if self.path.exists():
            if not resume:
                raise UsageError(
                    f"an unfinished attempt to write {output} is there. Go on with it (--resume), or remove {self.path}"
                )
            self._read()
        try:
            self._file: IO[str] = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise ResultError(f"cannot write results to {output}: {error.strerror}") from error

    def _read(self) -> None:
        good = 0
        with self.path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    self.finished[entry["key"]] = entry["rows"]
                except (ValueError, KeyError, TypeError):
                    break
                good += len(line)
        os.truncate(self.path, good)

    def add(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Note a finished run; it is on disk when this returns.

        Raises
        ------
        ResultError
            When the disk is full; what was noted before stays readable.
        """
        self.finished[key] = rows
        try:
            self._file.write(json.dumps({"key": key, "rows": rows}) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ResultError(
                f"cannot write {self.path}: {error.strerror}. "
                "Finished rows before this one are kept; make room and use --resume."
            ) from error

    def remove(self) -> None:
        """Delete the journal: the results are written whole."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()
        if not self.finished:  # nothing to go on from
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        # A full disk was reported by `add`; closing flushes again and would hide that message behind its own.
        with contextlib.suppress(OSError):
            self._file.close()
