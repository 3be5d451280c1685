"""KL control: the divergence, and how its price adapts."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical
from torch.distributions import kl_divergence as reference

from musicgym.agents.configs import KLConfig
from musicgym.agents.kl_control import adapt, kl_divergence


def test_the_divergence_equals_that_of_torch() -> None:
    logits, prior = torch.randn((2, 4, 6, 38), generator=torch.Generator().manual_seed(1))
    expected = reference(Categorical(logits=logits), Categorical(logits=prior))
    torch.testing.assert_close(kl_divergence(logits, prior), expected)


def test_a_policy_is_at_no_distance_from_itself_and_a_shift_of_logits_changes_nothing() -> None:
    logits = torch.randn((5, 38), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(kl_divergence(logits, logits + 3), torch.zeros(5))


def test_an_event_ruled_out_in_both_adds_nothing() -> None:
    logits, prior = torch.randn((2, 5, 38), generator=torch.Generator().manual_seed(3))
    fewer = kl_divergence(logits[:, 1:], prior[:, 1:])
    logits[:, 0] = prior[:, 0] = -1e9
    torch.testing.assert_close(kl_divergence(logits, prior), fewer)


@pytest.mark.parametrize(
    ("kl", "factor"),
    [(0.1, 1.0), (0.11, math.exp(0.03)), (0.09, math.exp(-0.03)), (5.0, math.exp(0.2)),
     (0.0, math.exp(-0.2))],
)  # fmt: skip
def test_beta_follows_the_distance_to_the_target_within_its_clip(kl: float, factor: float) -> None:
    after = adapt(torch.tensor(0.5), torch.tensor(kl), KLConfig(beta=1.0, target=0.1))
    assert float(after) == pytest.approx(0.5 * factor)


def test_without_a_target_beta_stays() -> None:
    beta = torch.tensor(0.5)
    assert torch.equal(adapt(beta, torch.tensor(100.0), KLConfig(beta=0.5)), beta)


@pytest.mark.parametrize("wrong", [(-1.0, None), (math.nan, None), (0.0, 0.1), (1.0, 0.0)])
def test_a_price_out_of_range_is_refused(wrong: tuple[float, float | None]) -> None:
    with pytest.raises(ValueError, match=r"kl\."):
        KLConfig(*wrong)
