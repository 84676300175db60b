"""Learning: environments, training, export. Empty so far; imports nothing that is not needed."""

from .. import traces as _traces  # noqa: F401 - a bare `import rl` from the repository root fails here, loudly

__all__: list[str] = []
