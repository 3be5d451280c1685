"""Melody_LSTM and the actor-critic: the fused pass equals the policy's steps."""

from __future__ import annotations

import pytest
import torch
from small import actor_critic, task, vector_env

from musicgym.agents.melody_lstm import Embedding
from musicgym.agents.rollout import play
from musicgym.observation import layout
from musicgym.task import Task


@pytest.mark.parametrize("layers", [1, 2])
def test_the_fused_pass_over_whole_episodes_equals_the_steps_one_by_one(layers: int) -> None:
    envs = vector_env(8, bars=4, steps_per_beat=2)
    actor = actor_critic(envs.task, hidden=32, layers=layers).actor
    with torch.no_grad():
        rollout = play(envs, actor, seed=1)
        whole = actor.whole(rollout.observation)  # (B, T, A)
        state, steps = actor.initial_state(rollout.episodes), []
        for t in range(envs.task.steps):
            logits, state = actor(rollout.observation[:, t], state)
            steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), whole, atol=1e-5, rtol=1e-5)
    assert whole.std(1).mean() > 0.01  # it does not say the same at each step


def test_the_logits_of_a_step_depend_on_no_later_observation() -> None:
    actor = actor_critic(task()).actor
    seen = torch.randint(0, 2, (4, 8, len(layout(task()))), dtype=torch.uint8)
    changed = seen.clone()
    changed[:, 5] = 1 - changed[:, 5]
    with torch.no_grad():
        before, after = actor.whole(seen), actor.whole(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_the_embedding_is_the_one_hot_times_its_matrix() -> None:
    sizes = {"a": 3, "b": 5, "c": 2}
    embedding = Embedding(sizes, 7)
    seen = torch.tensor([[2, 4, 1], [0, 3, 0]], dtype=torch.uint8)
    one_hot = torch.zeros(2, 10)
    one_hot[0, [2, 3 + 4, 8 + 1]] = 1
    one_hot[1, [0, 3 + 3, 8 + 0]] = 1
    torch.testing.assert_close(embedding(seen), one_hot @ embedding.table.weight)


def test_a_value_beyond_the_trained_size_counts_as_the_largest() -> None:
    embedding = Embedding({"a": 3, "bars_left": 9}, 4)
    far, most = (torch.tensor([[1, n]], dtype=torch.uint8) for n in (30, 8))
    assert torch.equal(embedding(far), embedding(most))


def test_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    actor = actor_critic(task(), dropout=0.5).actor
    seen = torch.zeros((2, 8, len(layout(task()))), dtype=torch.uint8)
    assert torch.equal(actor.whole(seen), actor.whole(seen))
    actor.train()
    assert not torch.equal(actor.whole(seen), actor.whole(seen))


@pytest.mark.parametrize("shared", [False, True])
def test_the_actor_critic_gives_the_actors_logits_and_one_value_a_step(shared: bool) -> None:
    model = actor_critic(task(), shared=shared)
    seen = torch.randint(0, 2, (3, 8, len(layout(task()))), dtype=torch.uint8)
    logits, values = model(seen)
    torch.testing.assert_close(logits, model.actor.whole(seen))
    assert values.shape == (3, 8)
    values.sum().backward()
    reached = model.actor.lstm.weight_ih_l0.grad is not None
    assert reached == shared  # a separate critic leaves the actor alone


def test_the_sizes_follow_the_task() -> None:
    wide = Task(pitch_range=("C2", "C6"))
    model = actor_critic(wide)
    assert model.actor.head.out_features == wide.n_events == 2 + 49


def test_values_that_training_never_showed_get_the_mean_vector_of_their_part() -> None:
    embedding = Embedding({"a": 3, "b": 2}, width=4)
    before = embedding.table.weight.detach().clone()
    embedding.fill_unseen(torch.tensor([[0, 0], [1, 1], [1, 1]], dtype=torch.uint8))
    after = embedding.table.weight
    assert torch.equal(after[[0, 1, 3, 4]], before[[0, 1, 3, 4]])
    torch.testing.assert_close(after[2], (before[0] + 2 * before[1]) / 3)
