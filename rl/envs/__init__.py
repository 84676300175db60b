"""Gymnasium environments of a cache: whom to evict, and whom to admit.

Importing this package registers them::

    import gymnasium
    import evictlab.rl.envs

    env = gymnasium.make("evictlab/Evict-v0", trace="trap:seed=1", capacity="25MB", ttl="trace")
    envs = gymnasium.make_vec("evictlab/Evict-v0", num_envs=64, trace="trap:seed=1", capacity="25MB")
    env = gymnasium.make("evictlab/Admit-v0", trace="trap:seed=1", capacity="25MB", policy="lru")

Without the import, the id names the package: ``gymnasium.make("evictlab.rl.envs:evictlab/Evict-v0", ...)``.
Names are imported when first used: registering loads neither numba nor torch.
"""

from __future__ import annotations

from ...traces.errors import MissingExtraError
from ...traces.lazy import lazy_names

__all__ = ["AdmitEnv", "EvictEnv", "EvictVectorEnv", "StableEvictEnv", "mean_stay", "register_envs"]

_HOME = {
    "AdmitEnv": "admit",
    "EvictEnv": "evict",
    "EvictVectorEnv": "vector",
    "StableEvictEnv": "stable",
    "mean_stay": "horizon",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)


def register_envs() -> None:
    """Tell Gymnasium of the environments; a second call changes nothing.

    Raises
    ------
    MissingExtraError
        Gymnasium is not installed.
    """
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise MissingExtraError("an environment", "rl") from error
    known = {
        "evictlab/Evict-v0": {"entry_point": "evict:EvictEnv", "vector_entry_point": "vector:EvictVectorEnv"},
        "evictlab/Admit-v0": {"entry_point": "admit:AdmitEnv"},
    }
    for name, places in known.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, **{what: f"{__name__}.{place}" for what, place in places.items()})  # type: ignore[arg-type]


register_envs()
