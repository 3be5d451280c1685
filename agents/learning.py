"""The loop that PPO and A2C share: roll out, price, estimate, update, report.

All randomness of iteration i comes from (seed, i), so a run that is resumed from a checkpoint
repeats the run that was not interrupted to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.backends import cudnn

from musicgym.vector_env import MelodyComposeVectorEnv

from .actor_critic import Actor, ActorCritic
from .advantages import ReturnScale, gae
from .checkpoints import under
from .configs import LearningConfig
from .kl_control import adapt, entropy, kl_divergence
from .parallel import ALONE, Team
from .policy import masked, ringing_column
from .rollout import Captured, Rollout, play
from .threads import few_threads

__all__ = ["Batch", "Learner", "Report", "Update"]

Report = Callable[[dict[str, Any]], None]


class Batch(NamedTuple):
    """Whole episodes with what an update needs, time first, on the learner's device.

    Attributes:
        observation: uint8 (T, B, F).
        events: int64 (T, B).
        log_probability: (T, B) of the events when they were played.
        advantage: (T, B), centred and divided by their standard deviation.
        returns: (T, B), standardised by the running scale.
        prior: logits (T, B, A) of the prior, or None.
        kl_weight: () beta in the scale of the advantages.
        latent: (B, L) what the actor played under, or None.
    """

    observation: Tensor
    events: Tensor
    log_probability: Tensor
    advantage: Tensor
    returns: Tensor
    prior: Tensor | None
    kl_weight: Tensor
    latent: Tensor | None = None

    def take(self, rows: Tensor) -> Batch:
        """Return the episodes of some rows."""
        return Batch(
            self.observation[:, rows],
            self.events[:, rows],
            self.log_probability[:, rows],
            self.advantage[:, rows],
            self.returns[:, rows],
            None if self.prior is None else self.prior[:, rows],
            self.kl_weight,
            None if self.latent is None else self.latent[rows],
        )


class Losses(NamedTuple):
    """The parts of a loss, to be minimised; each is a mean over steps, times a weight."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl: Tensor


#: Takes the learner, its batch, and a seed for the order of the episodes; returns what to add, over
#: the processes, to the mean losses ().
Update = Callable[["Learner", Batch, int], dict[str, Tensor]]


@contextmanager
def _rounding(to_tf32: bool) -> Iterator[None]:
    """Let a GPU round the inputs of float32 products to TF32, or nowhere."""
    products = torch.get_float32_matmul_precision()
    recurrent = cudnn.is_available() and cudnn.allow_tf32
    if to_tf32:
        torch.set_float32_matmul_precision("high")
    if cudnn.is_available():  # its LSTM would round unasked, the rollout's products would not
        cudnn.allow_tf32 = to_tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        if cudnn.is_available():
            cudnn.allow_tf32 = recurrent


@dataclass
class Learner:
    """An actor-critic in training on whole episodes.

    Attributes:
        model: what learns.
        envs: vector environments, taken in turn from iteration to iteration; those of this process,
            ``team.rows(whole)`` of the whole batch.
        config: of the algorithm.
        update: the algorithm's own part: a batch of episodes to new weights.
        prior: a frozen actor to stay close to, or None; it hears the latents of the episodes.
        team: the processes that train this agent together.
    """

    model: ActorCritic
    envs: Sequence[MelodyComposeVectorEnv]
    config: LearningConfig
    update: Update
    prior: Actor | None = None
    team: Team = ALONE

    def __post_init__(self) -> None:
        """Make the optimiser."""
        own = self.envs[0].num_envs
        #: Melodies of an iteration, over all processes.
        self.whole = int(self.team.sum(torch.tensor(own)))
        #: Which of them this process plays.
        self.rows = self.team.rows(self.whole)
        if len(self.rows) != own:
            raise ValueError(
                f"envs: {own} given, but process {self.team.rank} of {self.team.size} plays "
                f"{len(self.rows)} of {self.whole} melodies (Team.rows)."
            )
        self.share = own / self.whole
        if self.config.kl.beta > 0 and self.prior is None:
            raise ValueError(
                "kl.beta is above 0, but there is no prior to stay close to; give a prior, or a "
                "kl.beta of 0 and a kl.target of None."
            )
        if self._seed(self.iterations) >= 2**63:
            raise ValueError(
                f"seed: {self.config.seed!r} is too large for {self.whole} melodies an iteration; "
                f"give one below {2**62 // (1_000_003 * self.whole)}."
            )
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=self.config.learning_rate, eps=1e-5, fused=True
        )
        self.device = next(self.model.parameters()).device
        half = self.config.precision == "bfloat16"
        self.kind = torch.bfloat16 if half else torch.float32
        #: The graphs of rollouts, one for each of the environments that has a GPU.
        self.captured = [
            Captured() if torch.device(envs.device).type == "cuda" else None for envs in self.envs
        ]
        self.scale = ReturnScale(self.device)
        beta = self.config.kl.beta
        self.beta = torch.tensor(beta, dtype=torch.float64, device=self.device)
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
        return self.whole * self.envs[0].task.steps

    @property
    def iterations(self) -> int:
        """Iterations of the whole run."""
        return math.ceil(self.config.total_steps / self.steps_per_iteration)

    def _seed(self, iteration: int) -> int:
        """Return the seed of an iteration's first melody; the others follow it."""
        return (self.config.seed * 1_000_003 + iteration) * self.whole

    def learn(self, report: Report = lambda _: None) -> None:
        """Train to the end of the run, from wherever it stands."""
        self.team.check_equal("the agent", self._content)
        while self.iteration < self.iterations:
            report(self.step())

    def _content(self) -> Iterator[bytes]:
        """Yield all that must be the same in each process."""
        tensors, numbers = self.state()
        if self.prior is not None:
            tensors |= {f"prior.{name}": value for name, value in self.prior.state_dict().items()}
        yield f"{self.config} {numbers} {list(tensors)}".encode()
        for value in tensors.values():
            yield value.detach().cpu().numpy().tobytes()

    @few_threads()
    def step(self) -> dict[str, Any]:
        """Run one iteration and return its figures.

        Interrupted in its middle (Ctrl-C), it leaves everything as it was before.
        """
        tensors, numbers = self.state()
        before = {name: value.clone() for name, value in tensors.items()}
        try:
            with _rounding(self.config.precision == "tf32"):
                return self._iterate()
        except BaseException:
            self.restore(before, numbers)
            raise

    def _iterate(self) -> dict[str, Any]:
        start = time.perf_counter()
        i, place = self.iteration, self.iteration % len(self.envs)
        envs = self.envs[place]
        seed = self._seed(i)
        share = i / self.iterations
        rate = self.config.learning_rate * (0.51 + 0.49 * math.cos(math.pi * share))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        player = self.model.prepared(self.kind)
        rollout = play(
            envs, player, seed, device=self.device, judge=True, first=self.rows.start,
            captured=self.captured[place],
        )  # fmt: skip
        batch, priced = self.price(rollout)
        losses = self.update(self, batch, seed)
        if self.prior:
            self.beta = adapt(self.beta, priced["kl"], self.config.kl)
        terms = zip(envs.reward.names, rollout.terms.sum(1).mean(0), strict=True)
        own = {
            "return": self.share * rollout.rewards.sum(1).mean(),
            **{f"term/{name}": self.share * value for name, value in terms},
            **{f"loss/{name}": value for name, value in losses.items()},
        }
        whole = self.team.sum(torch.stack([value.double() for value in own.values()]))
        figures = {**dict(zip(own, whole, strict=True)), **priced, "beta": self.beta}
        # The one look at the device: whatever came before it was only asked for.
        values = torch.stack([value.double() for value in figures.values()]).tolist()
        seen = dict(zip(figures, values, strict=True))
        bad = {name: seen[f"loss/{name}"] for name in losses if not isfinite(seen[f"loss/{name}"])}
        if bad:
            raise ValueError(
                f"learning: a loss of iteration {i + 1} is not finite ({bad}); lower "
                f"learning_rate or max_grad_norm. What was learned before is kept."
            )
        self.iteration += 1
        steps = self.steps_per_iteration
        seconds = time.perf_counter() - start
        return {
            "steps": self.iteration * steps,
            **seen,
            "learning_rate": rate,
            "seconds": seconds,
            "frames_per_second": steps / seconds,
        }

    @torch.no_grad()
    def price(self, rollout: Rollout) -> tuple[Batch, dict[str, Tensor]]:
        """Turn a rollout into a batch: the prior's price, values, advantages and returns.

        The gradient of the expected KL has two parts: that of KL_t itself, which the loss takes
        exactly, and that of the KL of the steps after, which the action's reward pays for.
        """
        observation = rollout.observation.transpose(0, 1).contiguous()  # (T, B, F)
        events, rewards = rollout.events.T.contiguous(), rollout.rewards.T  # (T, B)
        if rollout.logits is None or rollout.values is None:
            logits, values = self.model(observation, self.kind, rollout.latent)
            logits = masked(logits, observation, self.ringing)
        else:
            logits, values = rollout.logits.transpose(0, 1), rollout.values.T
        log_p = logits.log_softmax(-1)  # (T, B, A)
        played = log_p.gather(-1, events[..., None]).squeeze(-1)
        prior, kl = None, torch.zeros_like(values)
        if self.prior is not None:
            prior = self.prior.whole(rollout.observation, self.kind, rollout.latent)
            prior = prior.transpose(0, 1)
            prior = masked(prior, observation, self.ringing)
            kl = kl_divergence(logits, prior)
            rewards = rewards.clone()
            rewards[:-1] -= self.config.gamma * self.beta.float() * kl[1:]
        values = values * self.scale.std + self.scale.centre
        advantage = gae(rewards, values, self.config.gamma, self.config.lam)
        returns = advantage + values
        means = self._means(
            advantage, advantage.double().square(), returns, returns.double().square(), kl,
            entropy(logits),
        )  # fmt: skip
        self.scale.update(means[2], means[3])
        count = self.whole * len(rewards)
        variance, variance_of_returns = (
            (means[1:4:2] - means[0:3:2].square()).clamp(min=0) * count / max(count - 1, 1)
        )
        spread = variance.sqrt().float() + 1e-8
        batch = Batch(
            observation,
            events,
            played,
            (advantage - means[0].float()) / spread,
            (returns - self.scale.centre) / self.scale.std,
            prior,
            self.beta.float() / spread,
            rollout.latent,
        )
        return batch, {
            "kl": means[4],
            "entropy": means[5],
            "explained_variance": 1 - variance / (variance_of_returns + 1e-8),
        }

    def _means(self, *figures: Tensor) -> Tensor:
        """Return the means, float64 (N,), of N figures (T, B) over all processes' melodies."""
        own = torch.stack([figure.double().mean() for figure in figures])
        return self.team.sum(self.share * own)

    def losses(
        self, batch: Batch, policy_loss: Callable[[Tensor], Tensor], weight: float = 1.0
    ) -> Losses:
        """Return the losses of a batch.

        Args:
            batch: whole episodes.
            policy_loss: takes log-probabilities (T, B).
            weight: of these episodes among those of the gradient step, over all processes.
        """
        logits, values = self.model(batch.observation, self.kind, batch.latent)
        logits = masked(logits, batch.observation, self.ringing)
        log_p = logits.log_softmax(-1)
        played = log_p.gather(-1, batch.events[..., None]).squeeze(-1)
        kl = logits.new_zeros(())
        if batch.prior is not None:
            kl = kl_divergence(logits, batch.prior).mean()
        return Losses(
            policy=weight * policy_loss(played),
            value=weight * 0.5 * (values - batch.returns).square().mean(),
            entropy=weight * entropy(logits).mean(),
            kl=weight * kl,
        )

    def descend(self, losses: Losses, kl_weight: Tensor) -> Tensor:
        """Take one gradient step, on the sum of the processes' losses.

        Returns the norm of the gradient before clipping.
        """
        config = self.config
        total = (
            losses.policy
            + config.value_weight * losses.value
            - config.entropy_weight * losses.entropy
            + kl_weight * losses.kl
        )
        self.optimiser.zero_grad()
        total.backward()
        self.team.sum_gradients(self.model.parameters())
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        self.optimiser.step()
        return norm

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that `restore` needs: tensors, and plain numbers."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        saved = self.optimiser.state_dict()["state"]
        for index, entry in saved.items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in entry.items()}
        tensors |= {"beta": self.beta, "scale": self.scale.moments}
        return tensors, {"iteration": self.iteration}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Return to where `state` was called."""
        self.model.load_state_dict(under(tensors, "model"))
        saved: dict[int, dict[str, Tensor]] = {}
        for name, value in under(tensors, "optimiser").items():
            index, _, entry = name.partition(".")
            saved.setdefault(int(index), {})[entry] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": saved, "param_groups": groups})
        self.beta = tensors["beta"].to(self.device)
        self.scale.moments = tensors["scale"].to(self.device)
        self.iteration = numbers["iteration"]
