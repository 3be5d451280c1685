"""KL control: how strongly a policy is held to its frozen prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["KLConfig", "adapt", "kl_divergence"]


@dataclass(frozen=True)
class KLConfig:
    """The price of leaving the prior.

    Attributes:
        beta: reward taken for each nat of KL a step; 0 leaves the prior out.
        target: nats a step that beta is adapted to; None keeps beta fixed.
    """

    beta: float = 0.0
    target: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.beta >= 0:
            raise ValueError(f"kl.beta: {self.beta!r} is not 0 or more.")
        if self.target is not None and not (self.target > 0 and self.beta > 0):
            raise ValueError("kl.target: it must be above 0, with a kl.beta above 0 to start from.")


def kl_divergence(logits: Tensor, prior: Tensor) -> Tensor:
    r"""Return :math:`\sum_a \pi(a) (\log \pi(a) - \log p_0(a))` (...) of logits (..., A)."""
    log_p, log_q = logits.log_softmax(-1), prior.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def adapt(beta: float, kl: float, config: KLConfig) -> float:
    r"""Return the next beta.

    .. math:: \beta \leftarrow \beta \exp(\mathrm{clip}(0.3 (KL / target - 1), -0.2, 0.2))
    """
    if config.target is None:
        return beta
    return beta * math.exp(min(max(0.3 * (kl / config.target - 1), -0.2), 0.2))
