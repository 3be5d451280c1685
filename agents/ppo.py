"""PPO on whole episodes.

Reference: Schulman et al. 2017 (arXiv 1707.06347). Episodes have a fixed length, so a minibatch is
whole melodies and one fused LSTM call replays each from its start: no hidden states are kept.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .configs import PPOConfig
from .learning import Batch, Learner

__all__ = ["clipped_surrogate", "update"]


def clipped_surrogate(log_p: Tensor, before: Tensor, advantage: Tensor, clip: float) -> Tensor:
    r"""Return PPO's policy loss.

    .. math:: -\mathrm{mean} \min(\rho A, \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A),
        \quad \rho = \pi(a) / \pi_{old}(a)

    Reference: Schulman et al. 2017, Eq. 7. A good value of `clip` is 0.1 to 0.3.
    """
    ratio = (log_p - before).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def update(learner: Learner, batch: Batch, generator: torch.Generator) -> dict[str, float]:
    """Run PPO's epochs over the episodes of one iteration; return mean losses."""
    config = learner.config
    assert isinstance(config, PPOConfig)
    size = len(batch.events)
    sums: dict[str, float] = {}
    for _ in range(config.epochs):
        for rows in torch.randperm(size, generator=generator).chunk(config.minibatches):
            part = batch.take(rows)
            surrogate = partial(
                clipped_surrogate,
                before=part.log_probability,
                advantage=part.advantage,
                clip=config.clip,
            )
            losses = learner.losses(part, surrogate)
            norm = learner.descend(losses, batch.kl_weight)
            figures = {**losses._asdict(), "gradient_norm": norm}
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + float(torch.as_tensor(value).detach())
    steps = config.epochs * min(config.minibatches, size)
    return {name: value / steps for name, value in sums.items()}
