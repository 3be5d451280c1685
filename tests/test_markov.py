"""The Markov table: probabilities from counts, with backing off."""

from __future__ import annotations

import pytest
import torch
from small import corpus, task, vector_env

from musicgym.agents.lessons import Lessons, lessons
from musicgym.agents.markov import MarkovTable
from musicgym.agents.rollout import play
from musicgym.observation import layout

TASK = task(key="natural", progression="random")


@pytest.fixture(scope="module")
def data() -> Lessons:
    return lessons(corpus(), "train", TASK)


def test_every_row_of_the_table_sums_to_1(data: Lessons) -> None:
    rows = MarkovTable(TASK).fit(data).logits.exp()
    torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:-1]))
    assert (rows > 0).all()


def test_it_is_better_than_the_shares_of_the_events_and_worse_without_context(
    data: Lessons,
) -> None:
    shares = torch.bincount(data.events.flatten(), minlength=TASK.n_events).float() + 1
    unigram = -(shares / shares.sum()).log()[data.events].mean()
    assert MarkovTable(TASK).fit(data).nll(data) < 0.8 * float(unigram)
    loose, tight = (MarkovTable(TASK, strength=k).fit(data).nll(data) for k in (1e6, 0.1))
    assert tight < loose


def test_a_worked_example_of_backing_off() -> None:
    sizes = layout(TASK)
    observation = torch.zeros((1, 3, len(sizes)), dtype=torch.uint8)
    observation[0, 1:, list(sizes).index("pitch")] = 5
    observation[0, 1:, list(sizes).index("ringing")] = 1
    observation[0, 2, list(sizes).index("position")] = 1
    table = MarkovTable(TASK, strength=2.0).fit(Lessons(observation, torch.tensor([[10, 0, 12]])))
    p = (1 + 1) / (3 + 38)  # each event once, and one more
    p_sounding = (1 + 2 * p) / (2 + 2)  # events 0 and 12 follow the ringing pitch
    expected = (1 + 2 * p_sounding) / (1 + 2)
    assert float(table.logits[11, 0, 0].exp()) == pytest.approx(expected, rel=1e-5)
    assert float(table.logits[11, 1, 0].exp()) == pytest.approx(2 * p_sounding / 3, rel=1e-5)


def test_it_plays_what_it_has_counted(data: Lessons) -> None:
    table = MarkovTable(TASK, strength=0.01).fit(data)
    envs = vector_env(100, key="natural", progression="random")
    played = play(envs, table, seed=1).events
    counted = set(data.events.flatten().tolist())
    assert (torch.isin(played, torch.tensor(sorted(counted))).float().mean()) > 0.98
