"""Dueling double DQN on Stable-Baselines3, which can also learn from the victims that it did not choose.

A decision teaches the value of its victim. But a replay knows what every other candidate would have been worth, and the state
of a cache after one eviction hardly depends on which of 64 objects it was: so with `hindsight` the target of each candidate is
its own reward plus the discounted value of the state that really followed.

Sources: van Hasselt, Guez, Silver, "Deep reinforcement learning with double Q-learning", AAAI 2016; Wang et al., "Dueling
network architectures for deep reinforcement learning", ICML 2016. Learning from all candidates is ours.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn
from torch.nn import functional

from .buffer import HindsightBuffer
from .hindsight import hide_some
from .networks import Net, SetNet, make_net

__all__ = ["EvictionDQN", "EvictionPolicy", "EvictionQ"]


class EvictionQ(BasePolicy):
    """One of our networks where Stable-Baselines3 expects a Q-network; rows that are nobody's are never chosen."""

    def __init__(self, observation_space: Any, action_space: Any, net: Net) -> None:
        super().__init__(observation_space, action_space, normalize_images=False)
        self.net = net

    def forward(self, obs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Q of each candidate, float32[b, k]."""
        q: torch.Tensor = self.net(obs["candidates"], obs["context"])
        return q

    def masked(self, obs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Q of each candidate; minus infinity where nobody is."""
        q: torch.Tensor = self(obs).masked_fill(obs["candidates"][:, :, 1] < 0, -torch.inf)
        return q

    def _predict(self, observation: Any, deterministic: bool = True) -> torch.Tensor:
        return self.masked(observation).argmax(1)


class EvictionPolicy(DQNPolicy):
    """The policy of `EvictionDQN`.

    Parameters
    ----------
    network : str
        ``set`` or ``flat``.
    features : tuple of str, optional
    hidden : int, optional
    """

    def __init__(
        self,
        *args: Any,
        network: str = "set",
        features: tuple[str, ...] | None = None,
        hidden: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._network, self._features, self._hidden = network, features, hidden
        super().__init__(*args, **kwargs)

    def make_q_net(self) -> Any:
        """Return a fresh network."""
        net = make_net(self._network, int(self.action_space.n), self._features, self._hidden)  # type: ignore[attr-defined]
        return EvictionQ(self.observation_space, self.action_space, net).to(self.device)


class EvictionDQN(DQN):
    """Dueling double DQN for eviction.

    Parameters
    ----------
    policy, env, **kwargs
        Of `stable_baselines3.DQN`.
    hindsight : bool
        Learn from every candidate of a decision, not only from its victim. Needs `HindsightBuffer` and environments that
        look back (``hindsight=True``).
    most : float
        A reward is never below minus this, as in the environments.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"EvictionPolicy": EvictionPolicy}

    def __init__(
        self, policy: Any, env: Any, *, hindsight: bool = True, most: float = 20.0, whole: int = 0, **kwargs: Any
    ) -> None:
        self.hindsight, self.most, self.whole = hindsight, most, whole
        if hindsight:
            kwargs.setdefault("replay_buffer_class", HindsightBuffer)
        super().__init__(policy, env, **kwargs)

    @property
    def net(self) -> Net:
        """The network that is being trained."""
        net: Net = self.q_net.net  # type: ignore[assignment]
        return net

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """Explore less and less, and learn ever slower, over the whole training, not over each call of `learn`."""
        super()._update_current_progress_remaining(num_timesteps, self.whole or total_timesteps)

    def start_from(self, net: Net) -> None:
        """Take over the weights of a network, also as the target."""
        for q in (self.q_net, self.q_net_target):
            q.net.load_state_dict(net.state_dict())  # type: ignore[union-attr]

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Do gradient steps on what the replay buffer holds."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        for _ in range(gradient_steps):
            data: Any = self.replay_buffer.sample(batch_size)  # type: ignore[union-attr]
            with torch.no_grad():
                best = self.q_net.masked(data.next_observations).argmax(1, keepdim=True)  # type: ignore[operator]
                following = self.q_net_target(data.next_observations).gather(1, best)
                following = self.gamma * (1 - data.dones) * following
            loss = self._loss_of_all(data, following) if self.hindsight else self._loss_of_victims(data, following)
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))

    def _loss_of_victims(self, data: Any, following: torch.Tensor) -> torch.Tensor:
        # A random action may name nobody; then the environment has evicted the first candidate.
        actions = data.actions.long()
        nobody = data.observations["candidates"][:, :, 1].gather(1, actions) < 0
        q = self.q_net(data.observations).gather(1, actions.masked_fill(nobody, 0))
        loss: torch.Tensor = functional.smooth_l1_loss(q, data.rewards + following)
        return loss

    def _loss_of_all(self, data: Any, following: torch.Tensor) -> torch.Tensor:
        """The temporal-difference errors of all candidates.

        The same state follows whoever leaves, so the errors fall apart: that of the state's value, whose target is the mean
        reward plus what follows, and those of the advantages, whose targets are the rewards. A set network's advantages
        are rates of hits, and hits are counts: their likelihood weighs a rare hit in a tiny object as it should, where a
        squared error would look at nothing else.
        """
        candidates, context = hide_some(data.observations["candidates"]), data.observations["context"]
        net, present = self.net, Net.present(candidates)
        n = present.sum(1, keepdim=True).clamp_min(1)
        density = SetNet.density(candidates, context)
        rewards = (-data.hits / data.exposure.clamp_min(1e-6) * density).clamp_min(-self.most)
        target = (rewards * present).sum(1, keepdim=True) / n + following
        if isinstance(net, SetNet):
            g, state = net.rates(candidates, context)
            likelihood = torch.exp(g) * data.exposure - data.hits * g
            advantages = (likelihood * present).sum() / present.sum()
            both: torch.Tensor = advantages + functional.smooth_l1_loss(state, target)
            return both
        q: torch.Tensor = net(candidates, context)
        error = functional.smooth_l1_loss(q, rewards + following, reduction="none")
        mean: torch.Tensor = (error * present).sum() / present.sum()
        return mean
