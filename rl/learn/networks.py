"""The networks as torch modules, to be trained; `evictlab.policies.learned.network` describes and runs them.

Source of the flat network's sizes and of its dropout: the Cold-RL authors' public defaults.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import nn

from ...policies.learned.facts import FEATURES, N_FEATURES
from ...policies.learned.network import (
    DENSITY_MOST,
    EPSILON,
    G_LEAST,
    G_MOST,
    LOG_MOST,
    SECONDS,
    SET_CONTEXT,
    SET_INPUTS,
    UNIT_BYTES,
)

__all__ = ["PAPER_FEATURES", "FlatNet", "Net", "SetNet", "make_net"]

PAPER_FEATURES = tuple(FEATURES)[:6]


class Net(nn.Module, ABC):
    """What both networks share: raw features in, q out; the normalisation is part of the module.

    Parameters
    ----------
    k : int
    features : sequence of str
        Those that it may read; the others are hidden by a scale of 0.
    """

    kind: str
    n_inputs: int
    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, k: int, features: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.k = k
        self.features = tuple(FEATURES) if features is None else features
        self.register_buffer("centre", torch.zeros(self.n_inputs))
        self.register_buffer("scale", torch.ones(self.n_inputs))

    def _logarithmic(self, candidates: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        pace = context[:, 0].clamp_min(1e-9)[:, None]
        units = [
            pace if j in SECONDS else torch.full_like(pace, UNIT_BYTES if j == 1 else 1) for j in range(N_FEATURES)
        ]
        known = torch.log1p(candidates.clamp_min(0) / torch.stack(units, dim=2)).clamp_max(LOG_MOST)
        return torch.where(candidates < 0, torch.full_like(known, -1), known)

    @staticmethod
    def present(candidates: torch.Tensor) -> torch.Tensor:
        """1 for a row that is somebody; float32[b, k]."""
        return (candidates[:, :, 1] >= 0).to(candidates.dtype)

    @staticmethod
    def dueling(state: torch.Tensor, gains: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """State value and advantages together: v + a - mean(a), over those present."""
        mean = (gains * present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp_min(1)
        return state + gains - mean

    @abstractmethod
    def inputs(self, candidates: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Per candidate and of the cache, not yet standardised."""

    @torch.no_grad()
    def standardise(self, candidates: torch.Tensor, context: torch.Tensor) -> None:
        """Set centre and scale from a sample of decisions, and hide the features that are not to be read."""
        rows, cache = self.inputs(candidates, context)
        flat = rows[self.present(candidates) > 0]
        shown = torch.ones(rows.shape[2])
        for j, name in enumerate(FEATURES):
            shown[j] = float(name in self.features)
        centre, scale = [flat.mean(0)], [shown / flat.std(0).clamp_min(0.1)]
        if cache is not None:
            # One capacity and one workload say nothing about others: no finer than e-fold differences.
            centre.append(cache.mean(0))
            scale.append(1 / cache.std(0).clamp_min(1.0))
        self.centre.copy_(torch.cat(centre))
        self.scale.copy_(torch.cat(scale))

    def weights(self) -> dict[str, Any]:
        """Weights by the names of `evictlab.policies.learned.network`."""
        named: dict[str, Any] = {"centre": self.centre.numpy(), "scale": self.scale.numpy()}
        for name, module in self.named_children():
            if isinstance(module, nn.Linear):
                named[f"{name}_w"] = module.weight.detach().numpy().T
                if module.bias is not None:
                    named[f"{name}_b"] = module.bias.detach().numpy()
            elif isinstance(module, nn.LayerNorm):
                named[name] = np.stack([module.weight.detach().numpy(), module.bias.detach().numpy()])
        return {name: np.array(weight, np.float32) for name, weight in named.items()}


class SetNet(Net):
    """The set network.

    Parameters
    ----------
    k : int
    features : sequence of str, optional
    hidden : int
    """

    kind = "set"
    n_inputs = SET_INPUTS + SET_CONTEXT

    def __init__(self, k: int, features: tuple[str, ...] | None = None, hidden: int = 32) -> None:
        super().__init__(k, features)
        self.each = nn.Linear(SET_INPUTS, hidden)
        self.pool = nn.Linear(hidden + SET_CONTEXT, hidden)
        self.again = nn.Linear(hidden, hidden)
        self.shared = nn.Linear(hidden, hidden, bias=False)
        self.rate = nn.Linear(hidden, 1)
        self.state = nn.Linear(hidden, 1)

    @staticmethod
    def density(candidates: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Mean size of a resident over that of the candidate; [b, k]."""
        mean = context[:, 1:2] / context[:, 2:3].clamp_min(1)
        return (mean / candidates[:, :, 1].clamp_min(1)).clamp(1 / DENSITY_MOST, DENSITY_MOST)

    def inputs(self, candidates: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Net.inputs`."""
        density = torch.log(self.density(candidates, context))[:, :, None]
        cache = torch.log1p(torch.stack([context[:, 1] / UNIT_BYTES, context[:, 2]], 1))
        return torch.cat([self._logarithmic(candidates, context), density], 2), cache

    def rates(self, candidates: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithm of each candidate's rate of hits, [b, k], and the value of the state, [b, 1]."""
        rows, cache = self.inputs(candidates, context)
        assert cache is not None
        rows = (rows - self.centre[:SET_INPUTS]) * self.scale[:SET_INPUTS]
        cache = (cache - self.centre[SET_INPUTS:]) * self.scale[SET_INPUTS:]
        present = self.present(candidates)[:, :, None]
        each = torch.relu(self.each(rows))
        pooled = (each * present).sum(1) / present.sum(1).clamp_min(1)
        shared = torch.relu(self.pool(torch.cat([pooled, cache], 1)))
        again = torch.relu(self.again(each) + self.shared(shared)[:, None])
        return self.rate(again)[:, :, 0].clamp(G_LEAST, G_MOST), self.state(shared)

    def forward(self, candidates: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Q of evicting each candidate, float32[b, k]."""
        g, state = self.rates(candidates, context)
        gains = -torch.exp(g) * self.density(candidates, context)
        return self.dueling(state, gains, self.present(candidates))


class FlatNet(Net):
    """Cold-RL's network.

    Parameters
    ----------
    k : int
    features : sequence of str, optional
    hidden : int
    """

    kind = "flat"
    n_inputs = N_FEATURES

    def __init__(self, k: int, features: tuple[str, ...] | None = None, hidden: int = 256) -> None:
        super().__init__(k, features)
        half = hidden // 2
        self.first, self.first_norm = nn.Linear(k * N_FEATURES, hidden), nn.LayerNorm(hidden, EPSILON)
        self.second, self.second_norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, EPSILON)
        self.state_hidden, self.state_norm = nn.Linear(hidden, half), nn.LayerNorm(half, EPSILON)
        self.state = nn.Linear(half, 1)
        self.gain_hidden, self.gain_norm = nn.Linear(hidden, half), nn.LayerNorm(half, EPSILON)
        self.gain = nn.Linear(half, k)
        self.drop, self.half_drop = nn.Dropout(0.1), nn.Dropout(0.05)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def inputs(self, candidates: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Net.inputs`."""
        return self._logarithmic(candidates, context), None

    def forward(self, candidates: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Q of evicting each candidate, float32[b, k]."""
        present = self.present(candidates)
        rows, _ = self.inputs(candidates, context)
        x = ((rows - self.centre) * self.scale * present[:, :, None]).flatten(1)
        x = self.drop(torch.relu(self.first_norm(self.first(x))))
        x = self.drop(torch.relu(self.second_norm(self.second(x))))
        state = self.state(self.half_drop(torch.relu(self.state_norm(self.state_hidden(x)))))
        gains = self.gain(self.half_drop(torch.relu(self.gain_norm(self.gain_hidden(x)))))
        return self.dueling(state, gains, present)


def make_net(kind: str, k: int, features: tuple[str, ...] | None = None, hidden: int | None = None) -> Net:
    """Return a fresh network, ``set`` or ``flat``; `hidden` of None is the default of its kind."""
    made = {"set": SetNet, "flat": FlatNet}[kind]
    return made(k, features) if hidden is None else made(k, features, hidden)
