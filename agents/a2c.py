"""A2C on whole episodes: one gradient step a batch of fresh melodies.

Reference: Mnih et al. 2016 (arXiv 1602.01783), synchronous, with generalised advantages and Adam.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from .learning import Batch, Learner, Losses

__all__ = ["policy_gradient", "update"]


def policy_gradient(log_p: Tensor, advantage: Tensor) -> Tensor:
    r"""Return the policy loss :math:`-\mathrm{mean}(\log \pi(a) A)`."""
    return -(log_p * advantage).mean()


def update(learner: Learner, batch: Batch, seed: int) -> dict[str, Tensor]:
    """Take A2C's gradient step on the episodes of one iteration; return the losses."""
    loss = partial(policy_gradient, advantage=batch.advantage)
    losses = learner.losses(batch, loss, learner.share)
    norm = learner.descend(losses, batch.kl_weight)
    figures = [*(loss.detach() for loss in losses), learner.share * norm]
    return dict(zip((*Losses._fields, "gradient_norm"), figures, strict=True))
