"""Whole-episode rollouts: what fixes a melody, and that every way of playing plays the same."""

from __future__ import annotations

import pytest
import torch
from small import actor_critic, vector_env

from musicgym.agents.rollout import Rollout, play

SIZE = 6


def played(size: int = SIZE, seed: int = 1, first: int = 0) -> Rollout:
    envs = vector_env(size, progression="random")
    return play(envs, actor_critic(envs.task).actor, seed, first=first)


def test_a_melody_does_not_depend_on_how_many_are_played_beside_it() -> None:
    whole = played()
    assert len(set(map(tuple, whole.events.tolist()))) == SIZE
    for size in (1, 3):
        fewer = played(size)
        assert torch.equal(fewer.events, whole.events[:size])
        torch.testing.assert_close(fewer.rewards, whole.rewards[:size])


def test_parts_of_a_batch_play_its_rows() -> None:
    whole = played()
    parts = [played(SIZE // 2, first=first) for first in (0, SIZE // 2)]
    for name in ("observation", "events", "rewards", "terms"):
        together = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(together, getattr(whole, name)), name


def test_two_seeds_share_no_melody() -> None:
    one, two = played(seed=1), played(seed=2)
    # Episode 1 of the first is episode 0 of the second; its events are drawn anew.
    assert (one.episodes.key[1:] == two.episodes.key[:-1]).all()
    melodies = [tuple(row) for part in (one, two) for row in part.events.tolist()]
    assert len(set(melodies)) == 2 * SIZE


@pytest.mark.parametrize(("seed", "first"), [(-1, 0), (2**63, 0), (2**63 - 1, 1), (1, -1)])
def test_a_seed_out_of_range_is_refused(seed: int, first: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        played(seed=seed, first=first)
