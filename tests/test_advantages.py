"""Advantages and the scale of returns, by hand and against a slow reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from musicgym.agents.advantages import ReturnScale, gae


def slow(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """Sum the definition term by term."""
    steps, size = rewards.shape
    out = torch.zeros_like(rewards)
    for b in range(size):
        for t in range(steps):
            for k in range(steps - t):
                after = values[t + k + 1, b] if t + k + 1 < steps else 0.0
                delta = rewards[t + k, b] + gamma * after - values[t + k, b]
                out[t, b] += (gamma * lam) ** k * delta
    return out


def test_a_worked_example() -> None:
    # delta = (1 + 0.9 * 2 - 1, 0 + 0.9 * 3 - 2, 2 - 3) = (1.8, 0.7, -1), gamma lambda = 0.45
    advantages = gae(torch.tensor([[1.0, 0.0, 2.0]]).T, torch.tensor([[1.0, 2.0, 3.0]]).T, 0.9, 0.5)
    torch.testing.assert_close(advantages, torch.tensor([[1.8 + 0.45 * 0.25, 0.25, -1.0]]).T)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 1.0), (0.97, 0.5), (1.0, 0.0)])
def test_it_equals_the_slow_sum(gamma: float, lam: float) -> None:
    generator = torch.Generator().manual_seed(1)
    rewards, values = torch.randn((2, 12, 5), generator=generator, dtype=torch.float64)
    torch.testing.assert_close(gae(rewards, values, gamma, lam), slow(rewards, values, gamma, lam))


def test_lambda_1_gives_the_return_minus_the_value() -> None:
    rewards, values = torch.randn((2, 6, 3), generator=torch.Generator().manual_seed(2))
    to_come = rewards.flip(0).cumsum(0).flip(0)
    torch.testing.assert_close(gae(rewards, values, 1.0, 1.0), to_come - values)


def test_the_scale_starts_as_nothing_done_and_reaches_the_mean_and_the_deviation() -> None:
    scale = ReturnScale()
    assert (float(scale.centre), float(scale.std)) == (0.0, 1.0)
    generator = torch.Generator().manual_seed(1)
    scale.update(torch.tensor(3.0), torch.tensor(9.0))
    assert float(scale.centre) == pytest.approx(3.0)  # no bias towards the start
    for _ in range(300):
        returns = 7 + 2 * torch.randn(500, generator=generator)
        scale.update(returns.mean(), returns.square().mean())
    assert float(scale.centre) == pytest.approx(7, abs=0.1)
    assert float(scale.std) == pytest.approx(2, abs=0.1)
