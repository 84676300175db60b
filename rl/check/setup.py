"""How NGINX is set up for the check: with the module in both kinds of runs, so that only the policy differs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...policies.cache.learned.cold_rl import ColdRl
from ...traces.errors import UsageError
from ...traces.home import cache_home
from ...traces.record.nginx.binary import find_nginx, nginx_version
from ...traces.record.nginx.config import RealConfig
from ..build import MODULE, SOURCES, build_module

__all__ = ["LEARNED", "NATIVE", "STATUS", "Setup", "built_module", "model_folder", "setup_of"]

NATIVE, LEARNED = "native", "learned"
"""Who evicts: NGINX's own LRU, or the model."""

STATUS = "/evictlab-status"
"""Where the module answers with its counters."""

NEWEST_SHARE = 8
"""One candidate in so many is from the head of NGINX's queue; in the simulator, the newcomer is a candidate."""


@dataclass(frozen=True)
class Setup:
    """The module's directives.

    Attributes
    ----------
    module : Path
    interval_s : float
        How soon the cache manager looks again, in runs of both kinds; whole milliseconds.
    k, tail, newest : int
        Candidates of a decision, and how many of them come from the tail of the queue and from its head.
    timeout_us : int
        What the manager waits for an answer.
    guard : str
        When LRU takes over because it does better.
    """

    module: Path
    interval_s: float = 0.05
    k: int = 64
    tail: int = 8
    newest: int = 8
    timeout_us: int = 500
    guard: str = "window=2000 margin=0.02"

    def config(self, base: RealConfig, sidecar: str | None) -> RealConfig:
        """Return the configuration of a run; without a socket of a sidecar, of one in which NGINX evicts by itself.

        Raises
        ------
        UsageError
            An interval that NGINX does not take.
        """
        if not 0.001 <= self.interval_s <= 10:
            raise UsageError(f"the cache manager cannot look every {self.interval_s:g} s; from 1ms to 10s")
        lines = [f"evictlab_interval {round(self.interval_s * 1000)}ms;"]
        if sidecar is None:
            lines.append("evictlab_mode off;")
        else:
            lines += [
                f"evictlab_sidecar unix:{sidecar};",
                f"evictlab_candidates {self.k} tail={self.tail} newest={self.newest};",
                f"evictlab_timeout {self.timeout_us}us;",
                f"evictlab_guard {self.guard};",
            ]
        return replace(
            base,
            manager_interval_s=None,  # the module keeps the manager awake
            load_modules=(str(self.module),),
            http_lines=tuple(lines),
            server_lines=(f"location = {STATUS} {{ access_log off; evictlab_status; }}",),
        )


def built_module() -> Path:
    """Return the module for the installed NGINX, compiled if its sources have not been before.

    Raises
    ------
    EvictlabError
        It cannot be built here.
    """
    digest = hashlib.sha256(nginx_version(find_nginx()).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    made = cache_home() / "nginx-module" / digest.hexdigest()[:20] / MODULE
    if not made.is_file():
        build_module(made)
    return made


def model_folder(name: str) -> Path:
    """Return the folder of a model: one that comes with the package, as in ``trap``, or any other."""
    return ColdRl(name).folder


def setup_of(metadata: dict[str, Any], interval_s: float) -> Setup:
    """Return the set-up for a model of this metadata: candidates as it was trained."""
    k, tail = int(metadata["k"]), int(metadata["tail"])
    return Setup(built_module(), interval_s, k, tail, min(k // NEWEST_SHARE, k - tail))
