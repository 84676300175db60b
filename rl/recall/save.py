"""The trained recall model as files: float16 weights, and a description that says what it is and how well it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from ...sim.attention.recall.model import ABOUT, WEIGHTS, Config, RecallModel, accuracy
from ...sim.attention.recall.task import RecallTask

__all__ = ["save_recall"]


def save_recall(
    folder: Path,
    config: Config,
    weights: Mapping[str, torch.Tensor],
    kinds: Sequence[Sequence[int]],
    sequences: int,
    seed: Sequence[int],
    trained: Mapping[str, Any],
) -> dict[str, Any]:
    """Write ``model.safetensors`` and ``model.json``.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; a model in it is replaced.
    config : Config
    weights : mapping of str to Tensor
    kinds : sequence of (int, int)
        Tokens and pairs of the sequences whose accuracy is written. It is that of the file: rounding to float16 included.
    sequences : int
        How many of each kind.
    seed : sequence of int
        Of these sequences.
    trained : mapping
        What else the description is to say.

    Returns
    -------
    dict
        The description.
    """
    rounded = {name: weight.detach().numpy().astype(np.float16) for name, weight in weights.items()}
    model = RecallModel(config, rounded)
    held_out = []
    for tokens, pairs in kinds:
        task = RecallTask.of_length(tokens, pairs)
        right = accuracy(model, task.episodes(sequences, seed))
        held_out.append(asdict(task) | {"tokens": tokens, "sequences": sequences, "accuracy": round(right, 5)})
    about = {
        "what": "recall model of evictlab: multi-query associative recall, two layers, smeared keys",
        "licence": "Apache-2.0",
        "commit": None,  # known to whoever commits the file
        "parameters": sum(weight.size for weight in rounded.values()),
        "config": asdict(config),
        "held_out_seed": list(seed),
        "held_out": held_out,
        "versions": {"numpy": np.__version__, "torch": str(torch.__version__)},
        **trained,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)  # comes last: a folder that has it is whole
    (folder / WEIGHTS).write_bytes(save(rounded))
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    return about
