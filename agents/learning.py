"""The loop that PPO and A2C share: roll out, price, estimate, update, report.

All randomness of iteration i comes from (seed, i), so a run that is resumed from a checkpoint
repeats the run that was not interrupted to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicgym.vector_env import MelodyComposeVectorEnv

from .actor_critic import ActorCritic
from .advantages import ReturnScale, gae
from .checkpoints import under
from .configs import LearningConfig
from .kl_control import adapt, entropy, kl_divergence
from .melody_lstm import MelodyLSTM
from .policy import masked, ringing_column
from .rollout import Rollout, play
from .threads import few_threads

__all__ = ["Batch", "Learner", "Report", "Update"]

Report = Callable[[dict[str, Any]], None]


class Batch(NamedTuple):
    """Whole episodes with what an update needs, on the learner's device.

    Attributes:
        observation: uint8 (B, T, F).
        events: int64 (B, T).
        log_probability: (B, T) of the events when they were played.
        advantage: (B, T), centred and divided by their standard deviation.
        returns: (B, T), standardised by the running scale.
        prior: logits (B, T, A) of the prior, or None.
        kl_weight: beta in the scale of the advantages.
    """

    observation: Tensor
    events: Tensor
    log_probability: Tensor
    advantage: Tensor
    returns: Tensor
    prior: Tensor | None
    kl_weight: float

    def take(self, rows: Tensor) -> Batch:
        """Return the episodes of some rows."""
        return Batch(
            self.observation[rows],
            self.events[rows],
            self.log_probability[rows],
            self.advantage[rows],
            self.returns[rows],
            None if self.prior is None else self.prior[rows],
            self.kl_weight,
        )


class Losses(NamedTuple):
    """The parts of a loss; each is a mean over steps, to be minimised."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl: Tensor


Update = Callable[["Learner", Batch, torch.Generator], dict[str, float]]


@dataclass
class Learner:
    """An actor-critic in training on whole episodes.

    Attributes:
        model: what learns.
        envs: vector environments, taken in turn from iteration to iteration.
        config: of the algorithm.
        update: the algorithm's own part: a batch of episodes to new weights.
        prior: a frozen policy to stay close to, or None.
    """

    model: ActorCritic
    envs: Sequence[MelodyComposeVectorEnv]
    config: LearningConfig
    update: Update
    prior: MelodyLSTM | None = None

    def __post_init__(self) -> None:
        """Make the optimiser."""
        if self.config.kl.beta > 0 and self.prior is None:
            raise ValueError("kl.beta is above 0, but there is no prior to stay close to.")
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=self.config.learning_rate, eps=1e-5
        )
        self.scale = ReturnScale()
        self.beta = self.config.kl.beta
        self.iteration = 0
        self.ringing = ringing_column(self.envs[0].task)
        self.model.train()  # cuDNN's backward asks for it
        for part in self.model.modules():  # dropout belongs to pretraining
            if isinstance(part, nn.Dropout):
                part.p = 0.0
            elif isinstance(part, nn.LSTM):
                part.dropout = 0.0

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration."""
        return self.envs[0].num_envs * self.envs[0].task.steps

    @property
    def iterations(self) -> int:
        """Iterations of the whole run."""
        return math.ceil(self.config.total_steps / self.steps_per_iteration)

    def learn(self, report: Report = lambda _: None) -> None:
        """Train to the end of the run, from wherever it stands."""
        while self.iteration < self.iterations:
            report(self.step())

    @few_threads()
    def step(self) -> dict[str, Any]:
        """Run one iteration and return its figures.

        Interrupted in its middle (Ctrl-C), it leaves everything as it was before.
        """
        tensors, numbers = self.state()
        before = {name: value.clone() for name, value in tensors.items()}
        try:
            return self._iterate()
        except BaseException:
            self.restore(before, numbers)
            raise

    def _iterate(self) -> dict[str, Any]:
        start = time.perf_counter()
        i, envs = self.iteration, self.envs[self.iteration % len(self.envs)]
        seed = (self.config.seed * 1_000_003 + i) * envs.num_envs
        share = i / self.iterations
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * (0.51 + 0.49 * math.cos(math.pi * share))
        device = next(self.model.parameters()).device
        rollout = play(envs, self.model.actor, seed, device=device, judge=True)
        batch, figures = self.price(rollout)
        losses = self.update(self, batch, torch.Generator().manual_seed(seed))
        if not all(map(math.isfinite, losses.values())):
            raise ValueError(
                f"learning: a loss of iteration {i + 1} is not finite ({losses}); lower "
                f"learning_rate or max_grad_norm. What was learned before is kept."
            )
        self.beta = adapt(self.beta, figures["kl"], self.config.kl) if self.prior else 0.0
        self.iteration += 1
        names = envs.reward.names
        returns = rollout.terms.sum(1).mean(0)  # (K,)
        steps = self.steps_per_iteration
        return {
            "steps": self.iteration * steps,
            "return": float(rollout.rewards.sum(1).mean()),
            **{f"term/{name}": float(value) for name, value in zip(names, returns, strict=True)},
            **figures,
            **{f"loss/{name}": value for name, value in losses.items()},
            "beta": self.beta,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "frames_per_second": steps / (time.perf_counter() - start),
        }

    @torch.no_grad()
    def price(self, rollout: Rollout) -> tuple[Batch, dict[str, float]]:
        """Turn a rollout into a batch: the prior's price, values, advantages and returns.

        The gradient of the expected KL has two parts: that of KL_t itself, which the loss takes
        exactly, and that of the KL of the steps after, which the action's reward pays for.
        """
        logits, values = self.model(rollout.observation)
        logits = masked(logits, rollout.observation, self.ringing)
        log_p = logits.log_softmax(-1)  # (B, T, A)
        played = log_p.gather(-1, rollout.events[..., None]).squeeze(-1)
        rewards, prior, kl = rollout.rewards, None, torch.zeros_like(rollout.rewards)
        if self.prior is not None:
            prior = masked(self.prior.whole(rollout.observation), rollout.observation, self.ringing)
            kl = kl_divergence(logits, prior)
            rewards = rewards.clone()
            rewards[:, :-1] -= self.config.gamma * self.beta * kl[:, 1:]
        values = values * self.scale.std + self.scale.centre
        advantage = gae(rewards, values, self.config.gamma, self.config.lam)
        returns = advantage + values
        self.scale.update(returns)
        returns = (returns - self.scale.centre) / self.scale.std
        spread = float(advantage.std()) + 1e-8
        batch = Batch(
            rollout.observation,
            rollout.events,
            played,
            (advantage - advantage.mean()) / spread,
            returns,
            prior,
            self.beta / spread,
        )
        explained = 1 - float(advantage.var() / ((advantage + values).var() + 1e-8))
        return batch, {
            "kl": float(kl.mean()),
            "entropy": float(entropy(logits).mean()),
            "explained_variance": explained,
        }

    def losses(self, batch: Batch, policy_loss: Callable[[Tensor], Tensor]) -> Losses:
        """Return the losses of a batch; `policy_loss` takes log-probabilities (B, T)."""
        logits, values = self.model(batch.observation)
        logits = masked(logits, batch.observation, self.ringing)
        log_p = logits.log_softmax(-1)
        played = log_p.gather(-1, batch.events[..., None]).squeeze(-1)
        kl = logits.new_zeros(())
        if batch.prior is not None:
            kl = kl_divergence(logits, batch.prior).mean()
        return Losses(
            policy=policy_loss(played),
            value=0.5 * (values - batch.returns).square().mean(),
            entropy=entropy(logits).mean(),
            kl=kl,
        )

    def descend(self, losses: Losses, kl_weight: float) -> Tensor:
        """Take one gradient step and return the norm of the gradient before clipping."""
        config = self.config
        total = (
            losses.policy
            + config.value_weight * losses.value
            - config.entropy_weight * losses.entropy
            + kl_weight * losses.kl
        )
        self.optimiser.zero_grad()
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        self.optimiser.step()
        return norm

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that `restore` needs: tensors, and plain numbers."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        saved = self.optimiser.state_dict()["state"]
        for index, entry in saved.items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in entry.items()}
        numbers = {
            "iteration": self.iteration,
            "beta": self.beta,
            "scale": self.scale.state(),
        }
        return tensors, numbers

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Return to where `state` was called."""
        self.model.load_state_dict(under(tensors, "model"))
        saved: dict[int, dict[str, Tensor]] = {}
        for name, value in under(tensors, "optimiser").items():
            index, _, entry = name.partition(".")
            saved.setdefault(int(index), {})[entry] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": saved, "param_groups": groups})
        self.iteration, self.beta = numbers["iteration"], numbers["beta"]
        self.scale.restore(numbers["scale"])
