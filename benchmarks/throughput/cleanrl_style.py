"""A recurrent PPO in the manner of CleanRL's ``ppo_atari_lstm``, as the peer of our trainer.

One shared LSTM reads the flat observation; a Python loop over time inside its forward resets the
state where an episode ended, in the rollout (one step) and in the update (all of them) alike; the
minibatches are whole environments. It is written for the comparison and follows the published
style, not the fastest one. Its environment is our own, so that only the training loop differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

__all__ = ["Agent", "Settings", "Trainer"]


@dataclass(frozen=True)
class Settings:
    """The hyperparameters, with CleanRL's defaults where they have no bearing on speed.

    Attributes:
        hidden: width of the LSTM.
        steps: steps of a rollout.
        epochs: passes over a rollout.
        minibatches: gradient steps a pass.
        learning_rate: of Adam.
        gamma: discount.
        lam: lambda of the generalised advantage.
        clip: of the probability ratio and of the value.
        entropy_weight: weight of the entropy bonus.
        value_weight: weight of the value loss.
        max_grad_norm: gradients are clipped to this norm.
        seed: fixes weights, actions and minibatches.
    """

    hidden: int = 256
    steps: int = 64
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 2.5e-4
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2
    entropy_weight: float = 0.01
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    seed: int = 1


def orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    """Return the layer with orthogonal weights and no bias to begin with."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """One LSTM with a linear actor and a linear critic on top."""

    def __init__(self, features: int, n_events: int, hidden: int) -> None:
        """Make the layers."""
        super().__init__()
        self.lstm = nn.LSTM(features, hidden)
        for name, parameter in self.lstm.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.orthogonal_(parameter)
        self.actor = orthogonal(nn.Linear(hidden, n_events), 0.01)
        self.critic = orthogonal(nn.Linear(hidden, 1), 1.0)

    def states(
        self, seen: Tensor, state: tuple[Tensor, Tensor], begun: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the LSTM step by step, from zeros where an episode has just begun.

        Args:
            seen: (T * B, F), time first.
            state: (1, B, H) each.
            begun: (T * B,), 1 where the observation is the first of an episode.
        """
        size = state[0].shape[1]
        outputs = []
        for x, fresh in zip(seen.view(-1, size, seen.shape[-1]), begun.view(-1, size), strict=True):
            keep = (1.0 - fresh).view(1, -1, 1)
            y, state = self.lstm(x.unsqueeze(0), (keep * state[0], keep * state[1]))
            outputs.append(y)
        return torch.cat(outputs).flatten(0, 1), state  # (T * B, H)

    def act(
        self,
        seen: Tensor,
        state: tuple[Tensor, Tensor],
        begun: Tensor,
        events: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Return events (drawn if none are given), log-probabilities, entropies, values, state."""
        hidden, state = self.states(seen, state, begun)
        policy = Categorical(logits=self.actor(hidden))
        events = policy.sample() if events is None else events
        value = self.critic(hidden).squeeze(-1)
        return events, policy.log_prob(events), policy.entropy(), value, state


class Trainer:
    """Trains an agent; the environments give ``"flat"`` observations and reset by themselves."""

    def __init__(self, envs: Any, settings: Settings) -> None:
        """Begin the episodes; they end with the rollouts if both are as long."""
        torch.manual_seed(settings.seed)
        self.envs, self.settings, self.size = envs, settings, int(envs.num_envs)
        features = envs.single_observation_space.shape[0]
        self.agent = Agent(features, int(envs.single_action_space.n), settings.hidden)
        self.optimiser = torch.optim.Adam(
            self.agent.parameters(), lr=settings.learning_rate, eps=1e-5
        )
        self.order = np.random.default_rng(settings.seed)
        seen, _ = envs.reset(seed=settings.seed)
        self.seen, self.begun = torch.as_tensor(seen), torch.ones(self.size)
        zeros = torch.zeros(1, self.size, settings.hidden)
        self.state = (zeros, zeros)

    @property
    def frames(self) -> int:
        """Environment steps of one iteration."""
        return self.settings.steps * self.size

    def iterate(self) -> dict[str, float]:
        """Run one iteration: a rollout, its advantages, the update; return mean figures."""
        s, (t, b) = self.settings, (self.settings.steps, self.size)
        seen = torch.zeros(t, b, self.seen.shape[-1])
        events = torch.zeros(t, b, dtype=torch.int64)
        begun, log_p, rewards, values = (torch.zeros(t, b) for _ in range(4))
        first = tuple(part.clone() for part in self.state)
        for step in range(t):
            seen[step], begun[step] = self.seen, self.begun
            with torch.no_grad():
                event, chance, _, value, self.state = self.agent.act(
                    self.seen, self.state, self.begun
                )
            events[step], log_p[step], values[step] = event, chance, value
            after, reward, terminated, truncated, _ = self.envs.step(event.numpy())
            rewards[step] = torch.as_tensor(reward)
            self.seen = torch.as_tensor(after)
            self.begun = torch.as_tensor(np.logical_or(terminated, truncated)).float()
        advantage = self.advantages(rewards, values, begun)
        returns = advantage + values
        losses = []
        for _ in range(s.epochs):
            for part in np.array_split(self.order.permutation(b), min(s.minibatches, b)):
                rows = torch.as_tensor(part)
                _, new_log_p, entropy, new_value, _ = self.agent.act(
                    seen[:, rows].flatten(0, 1),
                    (first[0][:, rows], first[1][:, rows]),
                    begun[:, rows].flatten(),
                    events[:, rows].flatten(),
                )
                old = (x[:, rows].flatten() for x in (log_p, values, returns, advantage))
                losses.append(self.descend(new_log_p, entropy, new_value, *old))
        return {
            "reward": float(rewards.sum() / b),
            "loss/policy": float(np.mean([loss[0] for loss in losses])),
            "loss/value": float(np.mean([loss[1] for loss in losses])),
        }

    def advantages(self, rewards: Tensor, values: Tensor, begun: Tensor) -> Tensor:
        """Return generalised advantages (T, B); `begun` says where an episode starts."""
        s = self.settings
        with torch.no_grad():
            after = self.agent.act(self.seen, self.state, self.begun)[3]
        advantage, last, goes_on = torch.zeros_like(rewards), torch.zeros_like(after), self.begun
        for step in reversed(range(len(rewards))):
            on = 1.0 - goes_on
            delta = rewards[step] + s.gamma * after * on - values[step]
            last = delta + s.gamma * s.lam * on * last
            advantage[step], after, goes_on = last, values[step], begun[step]
        return advantage

    def descend(
        self,
        new_log_p: Tensor,
        entropy: Tensor,
        new_value: Tensor,
        log_p: Tensor,
        value: Tensor,
        returns: Tensor,
        advantage: Tensor,
    ) -> tuple[float, float]:
        """Take one gradient step on frames (N,); return the losses of policy and value."""
        s = self.settings
        ratio = (new_log_p - log_p).exp()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        bounded = ratio.clamp(1 - s.clip, 1 + s.clip)
        policy_loss = torch.max(-advantage * ratio, -advantage * bounded).mean()
        near = value + (new_value - value).clamp(-s.clip, s.clip)
        errors = torch.max((new_value - returns) ** 2, (near - returns) ** 2)
        value_loss = 0.5 * errors.mean()
        loss = policy_loss + s.value_weight * value_loss - s.entropy_weight * entropy.mean()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.agent.parameters(), s.max_grad_norm)
        self.optimiser.step()
        return policy_loss.item(), value_loss.item()
