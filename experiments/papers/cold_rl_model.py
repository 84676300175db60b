"""Which trained model stands for Cold-RL: the one that comes with the package, another, or one trained anew like it.

A model is judged on traces that it was not trained on. What it was trained on stands in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...policies.learned.model import METADATA, read_metadata
from ...traces.errors import UsageError

if TYPE_CHECKING:
    from ...policies.registry import Policy
    from ...rl.learn.plan import Training

__all__ = [
    "Model",
    "check_unseen",
    "choose_model",
    "need_training_tools",
    "recipe",
    "seeds_seen",
    "spans",
    "train_anew",
]

SHIPPED = "trap"


@dataclass(frozen=True)
class Model:
    """A trained model to be judged.

    Attributes
    ----------
    policy : Policy
        `cold_rl` with this model.
    digest : str
        SHA-256 of the network: what results depend on.
    trained : dict
        What its metadata say of its training.
    """

    policy: Policy
    digest: str
    trained: dict[str, Any]

    @property
    def told(self) -> str:
        """Who it is, in a few words for a remark."""
        name = self.policy.label
        how = self.trained.get("training") or {}
        seen = seeds_seen(self.trained)
        words = f"trap seeds {spans(seen)}" if seen else "its metadata do not say which traces"
        made = f", {how['warm_start']:,} decisions in hindsight and {how['decisions']:,} of the DQN" if how else ""
        return f"{name} (network {self.digest[:12]}), trained on {words}{made}"


def choose_model(folder: str | Path | None = None) -> Model:
    """Take the model that comes with the package, or the one in a folder.

    Raises
    ------
    UsageError
        There is none, or it is damaged.
    """
    from ...policies.cache.learned.cold_rl import ColdRl

    policy = ColdRl(SHIPPED if folder is None else str(folder))
    known = read_metadata(policy.folder)
    digest = json.loads((policy.folder / METADATA).read_text())["model_sha256"]
    return Model(policy, digest, known.trained)


def seeds_seen(trained: dict[str, Any]) -> list[int]:
    """Return the seeds of the traces of `trap` that a model was trained on; with any clock, their objects are the same."""
    found = []
    for name in trained.get("traces") or []:
        generator, _, words = str(name).partition(":")
        if generator == "trap":
            given = dict(word.split("=", 1) for word in words.split(",") if "=" in word)
            found.append(int(given.get("seed", 0)))
    return sorted(set(found))


def check_unseen(model: Model, seeds: Sequence[int]) -> None:
    """Refuse to judge a model on what it was trained on.

    Raises
    ------
    UsageError
    """
    if both := sorted(set(seeds) & set(seeds_seen(model.trained))):
        raise UsageError(
            f"{model.policy.label} was trained on trap with the seeds {spans(both)}: what it does there says nothing about "
            f"others. Judge it on seeds that it has not seen: --seeds {max(seeds_seen(model.trained)) + 1}:"
            f"{max(seeds_seen(model.trained)) + 1 + len(seeds)}"
        )


def need_training_tools() -> None:
    """Say what is missing before anything begins.

    Raises
    ------
    UsageError
    """
    from importlib.util import find_spec

    for name, package in (
        ("torch", "torch"),
        ("stable_baselines3", "stable-baselines3"),
        ("onnxruntime", "onnxruntime"),
    ):
        if find_spec(name) is None:
            raise UsageError(f"training needs {package}: pip install 'evictlab[rl]'")


def recipe() -> tuple[list[str], Training]:
    """Return on which traces, and how, the model that comes with the package was trained.

    Raises
    ------
    UsageError
        Its metadata do not say it.
    """
    from ...rl.learn.plan import Training

    trained = choose_model().trained
    traces, how = trained.get("traces"), trained.get("training")
    if not traces or not how:
        raise UsageError("the metadata of the model that comes with the package do not say how it was trained")
    return [str(name) for name in traces], Training(**{**how, "sizes": tuple(how["sizes"])})


def train_anew(
    folder: Path,
    *,
    provenance: dict[str, Any] | None = None,
    report: Callable[[str, int, int], None] | None = None,
    resume: bool = False,
) -> Model:
    """Train a model as the one that comes with the package was trained.

    Raises
    ------
    UsageError
        The folder holds something else.
    """
    from ...rl.learn.train import train
    from ...traces.generate import generate

    names, training = recipe()
    train([generate(name) for name in names], folder, training, provenance=provenance, report=report, resume=resume)
    return choose_model(folder)


def spans(seeds: Sequence[int]) -> str:
    """Write ``0-3, 7``."""
    found: list[list[int]] = []
    for seed in sorted(seeds):
        if found and found[-1][1] == seed - 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in found)
