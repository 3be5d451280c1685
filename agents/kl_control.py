"""KL control: how strongly a policy is held to its frozen prior."""

from __future__ import annotations

from torch import Tensor

from .configs import KLConfig

__all__ = ["adapt", "entropy", "kl_divergence"]


def kl_divergence(logits: Tensor, prior: Tensor) -> Tensor:
    r"""Return :math:`\sum_a \pi(a) (\log \pi(a) - \log p_0(a))` (...) of logits (..., A)."""
    log_p, log_q = logits.log_softmax(-1), prior.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def entropy(logits: Tensor) -> Tensor:
    r"""Return :math:`-\sum_a \pi(a) \log \pi(a)` (...) in nats of logits (..., A)."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def adapt(beta: Tensor, kl: Tensor, config: KLConfig) -> Tensor:
    r"""Return the next beta ().

    .. math:: \beta \leftarrow \beta \exp(\mathrm{clip}(0.3 (KL / target - 1), -0.2, 0.2))
    """
    if config.target is None:
        return beta
    return beta * (0.3 * (kl.double() / config.target - 1)).clamp(-0.2, 0.2).exp()
