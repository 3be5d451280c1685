"""PPO on whole episodes.

Reference: Schulman et al. 2017 (arXiv 1707.06347). Episodes have a fixed length, so a minibatch is
whole melodies and one fused LSTM call replays each from its start: no hidden states are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from musicgym.randomness import draw, episode_key

from .configs import PPOConfig
from .learning import Batch, Learner, Losses

__all__ = ["clipped_surrogate", "minibatches", "update"]


def clipped_surrogate(log_p: Tensor, before: Tensor, advantage: Tensor, clip: float) -> Tensor:
    r"""Return PPO's policy loss.

    .. math:: -\mathrm{mean} \min(\rho A, \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A),
        \quad \rho = \pi(a) / \pi_{old}(a)

    Reference: Schulman et al. 2017, Eq. 7. A good value of `clip` is 0.1 to 0.3.
    """
    ratio = (log_p - before).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def update(learner: Learner, batch: Batch, seed: int) -> dict[str, Tensor]:
    """Run PPO's epochs over the episodes of one iteration; return mean losses."""
    config = learner.config
    assert isinstance(config, PPOConfig)
    seen: list[Tensor] = []  # read at the end: a look at a figure would wait for the device
    for rows, weight in minibatches(config, seed, learner.whole, learner.rows, learner.device):
        part = batch.take(rows)
        surrogate = partial(
            clipped_surrogate,
            before=part.log_probability,
            advantage=part.advantage,
            clip=config.clip,
        )
        losses = learner.losses(part, surrogate, weight)
        norm = learner.descend(losses, batch.kl_weight)
        seen.append(torch.stack([*losses, learner.share * norm]).detach())
    means = torch.stack(seen).mean(0)
    return dict(zip((*Losses._fields, "gradient_norm"), means, strict=True))


def minibatches(
    config: PPOConfig, seed: int, whole: int, own: range, device: str | torch.device = "cpu"
) -> Iterator[tuple[Tensor, float]]:
    """Yield the episodes of each gradient step that a process holds, and their share of the step.

    Where it holds none, one episode stands there with a share of 0: its process joins the sums.

    Args:
        config: the epochs and minibatches.
        seed: fixes the order of the episodes.
        whole: how many episodes there are, over all processes.
        own: which of them this process holds; they are yielded as 0 to ``len(own) - 1``.
        device: where the episodes are.
    """
    episodes = torch.arange(whole)
    steps: list[Tensor] = []
    shares: list[float] = []
    for epoch in range(config.epochs):
        order = draw(draw(episode_key(seed), epoch), episodes).argsort()
        for rows in order.tensor_split(min(config.minibatches, whole)):
            held = rows[(rows >= own.start) & (rows < own.stop)] - own.start
            shares.append(len(held) / len(rows))
            steps.append(held if len(held) else torch.zeros(1, dtype=torch.int64))
    places = torch.cat(steps)  # in one copy, which a GPU need not be waited for
    if torch.device(device).type == "cuda":
        places = places.pin_memory().to(device, non_blocking=True)
    yield from zip(places.split([len(step) for step in steps]), shares, strict=True)
