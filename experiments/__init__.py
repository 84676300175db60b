"""What people run and read: command line, sweeps, reports, benchmarks, notebooks."""

from .. import traces as _traces  # noqa: F401 - a bare `import experiments` from the repository root fails here, loudly

__all__: list[str] = []
