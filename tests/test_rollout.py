"""Whole-episode rollouts: what fixes a melody, and that every way of playing plays the same."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small import actor_critic, vector_env
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from musicgym.agents.heuristics import HeldTonic, NearestChordTone, UniformRandom
from musicgym.agents.melody_lstm import Player
from musicgym.agents.policy import masked, ringing_column
from musicgym.agents.rollout import Captured, Rollout, play

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


# On tensors


def both(**changes: Any) -> tuple[Rollout, Rollout]:
    """Return a rollout of the arrays and the same on tensors."""
    given = {"size": SIZE, "progression": "random", **changes}
    size, options = given.pop("size"), given.pop("options", None)
    one, two = vector_env(size, **given), vector_env(size, backend="tensor", **given)
    model = actor_critic(one.task)
    return tuple(  # type: ignore[return-value]
        play(envs, model.prepared(), 3, options=options, judge=True) for envs in (one, two)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rewards": "balanced", "key": "random"},
        {"reward_timing": "bar"},
        {"reward_timing": "end"},
        {"options": {"events": np.array([26, 0, 30])}},
        {"options": {"weights": {"chord_tone": 3.0}}},
    ],
    ids=["acmg", "balanced", "bar", "end", "opening", "weights"],
)
def test_a_rollout_on_tensors_is_that_of_the_arrays_event_for_event(
    changes: dict[str, Any],
) -> None:
    arrays, tensors = both(**changes)
    assert torch.equal(arrays.observation, tensors.observation)
    assert torch.equal(arrays.events, tensors.events)
    for name in ("rewards", "terms", "logits", "values"):
        one, two = getattr(arrays, name).float(), getattr(tensors, name).float()
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-6)
    assert (arrays.rewards != 0).any()


@pytest.mark.parametrize("make", [UniformRandom, HeldTonic, NearestChordTone])
def test_a_policy_without_learning_plays_the_same_on_tensors(make: Any) -> None:
    one, two = (vector_env(SIZE, progression="random", backend=b) for b in ("arrays", "tensor"))
    arrays, tensors = (play(envs, make(envs.task), seed=3) for envs in (one, two))
    assert torch.equal(arrays.events, tensors.events)


def test_the_environments_on_tensors_hold_the_melodies_that_were_played() -> None:
    envs = vector_env(SIZE, backend="tensor")
    rollout = play(envs, actor_critic(envs.task).actor, seed=3)
    assert [list(m.events) for m in envs.melodies] == rollout.events.tolist()


def test_the_logits_and_values_that_are_kept_are_those_of_the_whole_pass() -> None:
    envs = vector_env(SIZE)
    model = actor_critic(envs.task)
    rollout = play(envs, model.prepared(), seed=1, judge=True)
    timed = rollout.observation.transpose(0, 1).contiguous()
    with torch.no_grad():
        logits, values = model(timed)
    ruled = masked(logits.transpose(0, 1), rollout.observation, ringing_column(envs.task))
    assert rollout.logits is not None and rollout.values is not None
    torch.testing.assert_close(rollout.logits, ruled, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rollout.values, values.T, atol=1e-5, rtol=1e-5)
    bare = play(envs, model.prepared(), seed=1)
    assert bare.logits is None and torch.equal(bare.events, rollout.events)


def test_a_rollout_that_cannot_be_captured_is_played_and_says_so_once() -> None:
    envs = vector_env(SIZE, backend="tensor")
    model, captured = actor_critic(envs.task), Captured()
    plain = play(envs, model.prepared(), seed=3, judge=True)
    with pytest.warns(UserWarning, match="step by step, not captured: cpu has no CUDA graphs"):
        first = play(envs, model.prepared(), seed=3, judge=True, captured=captured)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = play(envs, model.prepared(), seed=3, judge=True, captured=captured)
    assert torch.equal(plain.events, first.events) and torch.equal(plain.events, again.events)


class Tape(TorchDispatchMode):
    """Stands for a CUDA graph: what it records it does again, from and to the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        for func, args, kwargs, out in self.calls:
            for to, value in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(to, Tensor) and to.data_ptr() != value.data_ptr():
                    to.copy_(value)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_graph_reads_nothing_that_is_gone_after_its_capture(
    layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, stands in {
        "CUDAGraph": Tape, "graph": lambda tape: tape, "Stream": lambda: stream,
        "current_stream": lambda: stream, "stream": nullcontext, "device": nullcontext,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stands)
    monkeypatch.setattr("musicgym.agents.rollout.CAPTURES", ("cpu",))
    envs = vector_env(SIZE, backend="tensor", progression="random")
    model, captured = actor_critic(envs.task, layers=layers), Captured()
    begin, given = Player.initial_state, []

    def noted(player: Player, episodes: Any) -> Any:
        given.append(begin(player, episodes))
        return given[-1]

    monkeypatch.setattr(Player, "initial_state", noted)
    for seed in (1, 2, 3):
        one = play(envs, model.prepared(), seed, judge=True)
        two = play(envs, model.prepared(), seed, judge=True, captured=captured)
        assert torch.equal(one.events, two.events) and torch.equal(one.logits, two.logits)
        with torch.no_grad():
            for tensor in [
                *model.parameters(),
                *(x for state in given for hc in state for x in hc),
            ]:
                tensor.add_(0.1 * torch.randn_like(tensor))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_rollout_plays_as_the_steps_one_by_one_and_follows_new_weights() -> None:
    envs = vector_env(SIZE, backend="tensor", device="cuda")
    model, captured = actor_critic(envs.task).to("cuda"), Captured()
    for seed in (1, 2, 3):
        fixed = {"device": "cuda", "judge": True}
        one = play(envs, model.prepared(), seed, **fixed)
        two = play(envs, model.prepared(), seed, **fixed, captured=captured)
        assert torch.equal(one.events, two.events)
        torch.testing.assert_close(one.values, two.values, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))


def test_what_a_player_made_of_other_weights_can_be_copied_into_it() -> None:
    envs = vector_env(SIZE)
    one, two = (actor_critic(envs.task, seed, layers=2).actor for seed in (1, 2))
    two.head = one.head
    held = one.prepared().copied()
    for to, value in zip(held.tensors, two.prepared().tensors, strict=True):
        to.copy_(value.detach())
    assert torch.equal(play(envs, held, seed=1).events, play(envs, two, seed=1).events)
