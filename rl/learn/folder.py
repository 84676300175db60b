"""The folder of a training: what it has come to, so that an interruption loses no more than the stage under way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ...policies.learned.model import METADATA, MODEL, PARITY
from ...traces.errors import UsageError

__all__ = ["HISTORY", "LEARNER", "Folder"]

HISTORY, NETWORK, LEARNER = "training.json", "network.pt", "learner.zip"


class Folder:
    """Where a training keeps its state.

    Parameters
    ----------
    path : Path
    identity : dict
        What the training is: logs and parameters. Another one is not taken up.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self._identity = path, identity

    def clear(self) -> None:
        """Make the folder, or empty that of an earlier training.

        Raises
        ------
        UsageError
            It holds something else.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())) and not self._history.is_file():
            raise UsageError(f"{self.path} holds something else; give another folder with --out")
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (METADATA, MODEL, PARITY, LEARNER, NETWORK):  # also the model: it is that of other parameters
            (self.path / name).unlink(missing_ok=True)

    def take_up(self) -> dict[str, Any] | None:
        """Return what `keep` has kept last; None where there is nothing that could be gone on with.

        Raises
        ------
        UsageError
            The folder holds another training.
        """
        if not self._history.is_file():
            return None
        try:
            found = json.loads(self._history.read_text())
            same = {name: found.get(name) for name in self._identity} == self._identity
        except (ValueError, AttributeError):
            same = False
        if not same:
            raise UsageError(
                f"{self.path} holds a training with other parameters or logs; give another folder with --out, "
                "or begin anew in this one with --anew"
            )
        state = self.path / NETWORK
        if not state.is_file():
            return None
        kept: dict[str, Any] = torch.load(state, weights_only=True)
        # Where nothing was learnt so far, a training begins with its first network, not with another one.
        return kept if kept["history"]["rounds"] or kept["history"]["decisions"] else None

    def keep(self, history: dict[str, Any], net: dict[str, Any], seen: dict[str, Any] | None) -> None:
        """Keep a state, and its history also for people to read.

        Both are in one file: an interruption between two files would leave them a stage apart.
        """
        state = {"history": history, "net": net, "seen": seen}
        for name, write in (
            (NETWORK, lambda path: torch.save(state, path)),
            (HISTORY, lambda path: path.write_text(json.dumps(history, indent=1) + "\n")),
        ):
            temporary = self.path / (name + ".new")
            write(temporary)
            temporary.replace(self.path / name)

    @property
    def _history(self) -> Path:
        return self.path / HISTORY
