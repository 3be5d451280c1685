"""Sampling from logits, and the mask of events that are not allowed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import vector_env
from torch import Tensor

from musicgym.agents.configs import Sampling
from musicgym.agents.policy import chances, masked, ringing_column, sample
from musicgym.agents.rollout import play
from musicgym.events import HOLD, REST
from musicgym.randomness import draw, episode_key

DRAWS = 20_000


def chance(size: int, seed: int = 1) -> Tensor:
    """Return the draws (B,) of the first step of B episodes."""
    return chances(torch.arange(size) * 7919, seed, 1)[0]


def draws(logits: list[float], how: Sampling = Sampling(), seed: int = 1) -> Tensor:  # noqa: B008
    """Return how often each event is drawn."""
    rows = torch.tensor(logits).expand(DRAWS, -1)
    events = sample(rows, how, chance(DRAWS, seed))
    return torch.bincount(events, minlength=len(logits)).double()


def chi_square(counts: Tensor, probabilities: Tensor) -> float:
    expected = probabilities.double() * DRAWS
    return float(((counts - expected).square() / expected).sum())


def test_draws_are_distributed_as_the_softmax() -> None:
    logits = [0.0, 1.0, -1.0, 2.0, 0.5, -0.5]
    counts = draws(logits)
    p = torch.tensor(logits).softmax(-1)
    assert chi_square(counts, p) < 20.5  # 5 degrees of freedom: p > 0.001
    assert chi_square(counts, p.flip(0)) > 1000  # the test sees another distribution


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_divides_the_logits(temperature: float) -> None:
    logits = [0.0, 1.0, -1.0, 2.0]
    counts = draws(logits, Sampling(temperature=temperature))
    assert chi_square(counts, (torch.tensor(logits) / temperature).softmax(-1)) < 16.3
    assert chi_square(counts, torch.tensor(logits).softmax(-1)) > 100


def test_temperature_0_takes_the_most_likely_event() -> None:
    logits = torch.randn((50, 9), generator=torch.Generator().manual_seed(1))
    events = sample(logits, Sampling(temperature=0), chance(50))
    assert torch.equal(events, logits.argmax(-1))


def test_top_k_keeps_the_k_most_likely_events_in_their_proportions() -> None:
    counts = draws([0.0, 3.0, 1.0, 2.0, -1.0], Sampling(top_k=2))
    assert counts[[0, 2, 4]].sum() == 0
    p = torch.tensor([3.0, 2.0]).softmax(-1)
    assert chi_square(counts[[1, 3]], p) < 10.8


def test_a_top_k_beyond_the_alphabet_keeps_all() -> None:
    logits = [0.0, 3.0, 1.0]
    assert torch.equal(draws(logits, Sampling(top_k=99)), draws(logits))


def test_top_p_keeps_the_fewest_events_that_reach_the_share() -> None:
    logits = [math.log(p) for p in (0.1, 0.5, 0.3, 0.1)]
    kept = {
        share: (draws(logits, Sampling(top_p=share)) > 0).nonzero().flatten().tolist()
        for share in (0.01, 0.49, 0.51, 0.79, 0.81)
    }
    assert kept[0.01] == kept[0.49] == [1]
    assert kept[0.51] == kept[0.79] == [1, 2]
    assert len(kept[0.81]) == 3
    both = draws(logits, Sampling(top_p=0.6))[[1, 2]]
    assert chi_square(both, torch.tensor([0.625, 0.375])) < 10.8


def test_one_seed_draws_the_same_events_and_another_draws_others() -> None:
    logits = torch.zeros((64, 38))
    first, again, other = (sample(logits, Sampling(), chance(64, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_event_is_the_first_whose_cumulative_probability_passes_the_chance() -> None:
    logits = torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0]).log().expand(6, -1)
    u = [0, 0.25 - 2**-32, 0.25, 0.75 - 2**-32, 0.75, 1 - 2**-32]
    drawn = sample(logits, Sampling(), (torch.tensor(u, dtype=torch.float64) * 2**32).long())
    assert drawn.tolist() == [0, 0, 2, 2, 3, 3]  # events of probability 0 never


def test_the_draws_of_steps_episodes_and_seeds_are_independent_and_uniform() -> None:
    keys = torch.tensor([episode_key(i) for i in range(500)])
    one, two = (chances(keys, seed, 40).double() / 2**32 for seed in (1, 2))  # (T, B)
    counts = torch.histc(one.flatten(), 20, 0, 1)
    assert float((counts - 1000).square().sum() / 1000) < 43.8  # 19 degrees: p > 0.001
    for a, b in ((one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one, two)):
        assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.025


def test_a_play_draws_nothing_that_its_environment_draws() -> None:
    keys = torch.tensor([episode_key(i) for i in range(200)])
    ours = set(chances(keys, 1, 64).flatten().tolist())
    theirs = {draw(int(key), step) for key in keys for step in range(80)}
    assert len(ours & theirs) < 3  # of 12,800 and 16,000 among 2**32: .05 by chance


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": math.nan},
    ],
)
def test_a_sampling_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


@pytest.mark.parametrize(
    "how",
    [Sampling(), Sampling(temperature=0), Sampling(temperature=50), Sampling(top_k=3),
     Sampling(top_p=0.9)],
)  # fmt: skip
def test_a_masked_hold_is_never_drawn_and_an_allowed_one_is_untouched(how: Sampling) -> None:
    logits = torch.zeros((500, 5))
    logits[:, HOLD] = 5.0
    observation = torch.zeros((500, 3), dtype=torch.uint8)
    observation[::2, 1] = 1
    ruled = masked(logits, observation, ringing=1)
    assert torch.equal(ruled[::2], logits[::2])
    assert torch.equal(ruled[:, 1:], logits[:, 1:])
    events = sample(ruled, how, chance(500))
    assert (events[1::2] != HOLD).all()
    assert (events[::2] == HOLD).any()


class AlmostAlwaysHolds:
    """Wants to hold, then to rest, whatever sounds."""

    def initial_state(self, episodes: Any) -> None:
        return None

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits = torch.zeros(len(observation), 38)
        logits[:, HOLD], logits[:, REST] = 4.0, 2.0
        return logits, state


def test_the_rollout_never_lets_an_invalid_hold_through() -> None:
    envs = vector_env(200)
    rollout = play(envs, AlmostAlwaysHolds(), seed=1)
    silent = rollout.observation[..., ringing_column(envs.task)] == 0
    held = rollout.events == HOLD
    assert not (silent & held).any()
    assert held.any() and silent[:, 1:].any()
