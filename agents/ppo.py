"""PPO on whole episodes.

Reference: Schulman et al. 2017 (arXiv 1707.06347). Episodes have a fixed length, so a minibatch is
whole melodies and one fused LSTM call replays each from its start: no hidden states are kept.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from musicgym.randomness import draw, episode_key

from .configs import PPOConfig
from .learning import Batch, Learner, Losses

__all__ = ["clipped_surrogate", "update"]


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
    size = batch.events.shape[1]
    parts = min(config.minibatches, size)
    episodes = torch.arange(size, device=batch.events.device)
    seen: list[Tensor] = []  # read at the end: a look at a figure would wait for the device
    for epoch in range(config.epochs):
        order = draw(draw(episode_key(seed), epoch), episodes).argsort()
        for rows in order.tensor_split(parts):
            part = batch.take(rows)
            surrogate = partial(
                clipped_surrogate,
                before=part.log_probability,
                advantage=part.advantage,
                clip=config.clip,
            )
            losses = learner.losses(part, surrogate)
            norm = learner.descend(losses, batch.kl_weight)
            seen.append(torch.stack([*losses, norm]).detach())
    means = torch.stack(seen).mean(0)
    return dict(zip((*Losses._fields, "gradient_norm"), means, strict=True))
