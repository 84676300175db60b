"""Sweeps: traces x policies x sizes x seeds from a TOML file, here or on Ray, resumable.

Example of a file::

    traces = ["web/*.zst", "zipf:requests=1e6,objects=1e5"]
    policies = ["lru", "sieve", "s3fifo:small=0.2", "adaptsize+lru"]
    sizes = ["0.1%", "1%", "10%"]
    seeds = "0:5"              # or a list; deterministic policies run once
    predict = ["noisy:p=0.1"]  # optional: for policies that read predictions
    warmup = "20%"             # optional, as are ttl, window, ignore_sizes
    reader = {conf = "nginx.conf", max_bad = "5%"}  # optional: options of the files' format
    output = "sweep.parquet"
"""

from __future__ import annotations

import glob
import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..sim.runs import Run, plan_runs, run_all
from ..traces.errors import UsageError
from .journal import Journal, run_key
from .predictions import read_predictors
from .sources import open_sources

if TYPE_CHECKING:
    from ..sim.result import Result
    from ..traces.request import RequestTrace

__all__ = ["Grid", "parse_seeds", "plan_sweep", "run_sweep"]

Progress = Callable[[int], None]


class Grid(BaseModel):
    """What a sweep file may hold."""

    model_config = ConfigDict(extra="forbid")

    traces: list[str]
    policies: list[str]
    sizes: list[str]
    seeds: list[int] = [0]
    predict: list[str] = []
    ttl: str | None = None
    warmup: str = "0%"
    window: str | None = None
    ignore_sizes: bool = False
    reader: dict[str, str] = {}
    output: Path = Path("sweep.parquet")

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> Any:
        return parse_seeds(value) if isinstance(value, str) else value

    @classmethod
    def read(cls, path: Path) -> Grid:
        """Read a sweep file.

        Raises
        ------
        UsageError
            Unreadable, no TOML, or fields that do not fit: with the name of each.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise UsageError(f"cannot read the sweep file {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is no TOML file: {error}") from error
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UsageError(f"{path}: {faults}. Known fields: {', '.join(cls.model_fields)}") from error


def parse_seeds(text: str) -> list[int]:
    """Read ``"0:10"`` (0 .. 9) or ``"0,3,7"``.

    Raises
    ------
    UsageError
    """
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            seeds = list(range(first, last))
        else:
            seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0:
        raise UsageError(
            f"seeds {text!r}: expected FIRST:LAST (0:10 is ten seeds) or a list such as 0,3,7, none below 0"
        )
    return seeds


def plan_sweep(grid: Grid, base: Path) -> tuple[list[RequestTrace], list[Run]]:
    """Open the traces and list the replays; paths are relative to `base`."""
    sources = itertools.chain.from_iterable(_expanded(source, base) for source in grid.traces)
    traces = open_sources(list(sources), **_reader_options(grid, base))
    runs = plan_runs(
        traces,
        grid.policies,
        grid.sizes,
        seeds=grid.seeds,
        ignore_sizes=grid.ignore_sizes,
        ttl=grid.ttl,
        warmup=grid.warmup,
        window=grid.window,
        predict=read_predictors(grid.predict, base),
    )
    return traces, runs


def run_sweep(
    path: Path,
    *,
    on: str = "local",
    resume: bool = False,
    output: Path | None = None,
    progress: Progress | None = None,
    planned: Callable[[list[Run]], None] | None = None,
    threads: int | None = None,
) -> Result:
    """Do all replays of a sweep file, write the results, and return them.

    Parameters
    ----------
    path : Path
        The TOML file.
    on : {"local", "ray"}
        Threads of this process, or the Ray cluster at the usual address (``RAY_ADDRESS``), else a local one.
    resume : bool
        Skip what an interrupted attempt has finished.
    output : Path, optional
        Instead of the file's.
    progress : callable, optional
        Told the number of requests replayed since its last call.
    planned : callable, optional
        Told all replays of the sweep, before any begins.
    threads : int, optional
        For ``local``.

    Raises
    ------
    EvictlabError
        What was finished before an error stays in the journal; `resume` goes on from there.
    """
    from ..sim.result import Result

    if on not in ("local", "ray"):
        raise UsageError(f"a sweep runs on 'local' or 'ray', not on {on!r}")
    grid = Grid.read(path)
    output = output or path.parent / grid.output
    traces, runs = plan_sweep(grid, path.parent)
    if planned is not None:
        planned(runs)
    with Journal(output, resume=resume) as journal:
        missing = [run for run in runs if run_key(run) not in journal.finished]
        if progress is not None:
            progress(sum(len(run.trace) for run in runs) - sum(len(run.trace) for run in missing))
        if on == "local":
            done = run_all(missing, threads=threads, progress=progress)
        else:
            from .on_ray import run_on_ray

            done = run_on_ray(missing, grid.policies, progress)
        for run, rows in done:
            journal.add(run_key(run), rows)
        result = Result.from_rows(itertools.chain.from_iterable(journal.finished[run_key(run)] for run in runs), traces)
        result.to_parquet(output)
        journal.remove()
    return result


def _reader_options(grid: Grid, base: Path) -> dict[str, Any]:
    """As the file says them, with the path of nginx.conf relative to the sweep file, as all of its paths are."""
    options: dict[str, Any] = dict(grid.reader)
    if "conf" in options:
        options["conf"] = str(base / options["conf"])
    return options


def _expanded(source: str, base: Path) -> list[str]:
    """Paths of a glob, relative to the sweep file; anything else (a generator, ``format:path``) as it is."""
    if any(c in source for c in "*?["):
        found = sorted(glob.glob(source, root_dir=base))  # noqa: PTH207 - the pattern may be absolute
        if not found:
            raise UsageError(f"no trace matches {source!r} in {base.resolve()}")
        return [str(base / name) for name in found]
    return [str(base / source)] if (base / source).exists() else [source]
