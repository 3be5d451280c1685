"""Melody_LSTM and the actor-critic: the fused pass equals the policy's steps."""

from __future__ import annotations

import pytest
import torch
from small import actor_critic, task, vector_env
from torch import Tensor
from torch.nn.functional import one_hot

from musicgym.agents.melody_lstm import Embedding, MelodyLSTM
from musicgym.agents.recurrence import cell, plain_cell
from musicgym.agents.rollout import play
from musicgym.observation import layout
from musicgym.task import Task


def plain(actor: MelodyLSTM, seen: Tensor) -> Tensor:
    """Return the logits (B, T, A) of torch's own layers, the embedding as a one-hot product."""
    sizes = (actor.embedding.most + 1).tolist()
    parts = [one_hot(part.long(), n) for part, n in zip(seen.unbind(-1), sizes, strict=True)]
    x = torch.cat(parts, -1).float() @ actor.embedding.table.weight  # (B, T, H)
    h = actor.lstm(x.transpose(0, 1))[0].transpose(0, 1)
    return actor.head(h) + actor.skip(x)


def seen_of(of: Task, size: int = 5, seed: int = 1) -> Tensor:
    """Return random observations (B, T, F)."""
    sizes = torch.tensor(list(layout(of).values()))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand((size, of.steps, len(sizes)), generator=generator)
    return (drawn * sizes).to(torch.uint8)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_fused_pass_and_its_gradients_are_those_of_torchs_layers(layers: int) -> None:
    actor = actor_critic(task(), hidden=24, layers=layers).actor
    seen = seen_of(task())
    weights = dict(actor.named_parameters())
    target = torch.randn(actor.whole(seen).shape, generator=torch.Generator().manual_seed(2))
    ours, theirs = actor.whole(seen), plain(actor, seen)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)
    gradients = [
        torch.autograd.grad((logits * target).sum(), list(weights.values()))
        for logits in (ours, theirs)
    ]
    for name, one, other in zip(weights, *gradients, strict=True):
        assert other.abs().max() > 0, name
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4, msg=name)


def test_products_in_bfloat16_stay_near_and_their_gradients_point_the_same_way() -> None:
    actor = actor_critic(task(), hidden=64).actor
    seen = seen_of(task(), size=16)
    weights = list(actor.parameters())
    target = torch.randn(actor.whole(seen).shape, generator=torch.Generator().manual_seed(2))
    full, half = (actor.whole(seen, kind) for kind in (torch.float32, torch.bfloat16))
    difference = (full - half).detach()
    assert 0 < float(difference.abs().max()) < 0.02
    one, other = (
        torch.cat([g.flatten() for g in torch.autograd.grad((x * target).sum(), weights)])
        for x in (full, half)
    )
    assert float((one - other).norm() / one.norm()) < 0.01


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-3)])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_fused_pass_over_whole_episodes_equals_the_steps_one_by_one(
    layers: int, kind: torch.dtype, tolerance: float, compiled: bool
) -> None:
    envs = vector_env(8, bars=4, steps_per_beat=2)
    actor = actor_critic(envs.task, hidden=32, layers=layers).actor
    with torch.no_grad():
        rollout = play(envs, actor, seed=1)
        whole = actor.whole(rollout.observation, kind)  # (B, T, A)
        player = actor.prepared(kind)
        player.compiled = compiled
        state, steps = player.initial_state(rollout.episodes), []
        for t in range(envs.task.steps):
            logits, state = player(rollout.observation[:, t], state)
            steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), whole, atol=tolerance, rtol=tolerance)
    assert whole.std(1).mean() > 0.01  # it does not say the same at each step


def test_the_gradient_of_a_pass_is_taken_once() -> None:
    logits = actor_critic(task()).actor.whole(seen_of(task())).sum()
    logits.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        logits.backward()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_path_of_other_devices_gives_the_same_features(kind: torch.dtype) -> None:
    actor = actor_critic(task(), layers=2).actor
    seen = seen_of(task()).transpose(0, 1).contiguous()
    tolerance = 2e-6 if kind == torch.float32 else 0.02
    for one, other in zip(
        actor.features(seen, kind), actor.plain_features(seen, kind), strict=True
    ):
        assert one.dtype == other.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def test_a_step_of_other_devices_is_that_of_the_compiled_loop() -> None:
    actor = actor_critic(task(), hidden=24, layers=2).actor
    seen = seen_of(task())[:, 0]
    h, c, below = torch.randn((3, len(seen), 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for gates, under in zip(actor.gates(), (None, below), strict=True):
            product = h @ gates.hidden.t()
            if under is not None and gates.input is not None:
                product += under @ gates.input.t()
            part = seen if under is None else seen[:, :0]
            for one, other in zip(
                cell(gates, seen, under, h, c), plain_cell(gates, part, product, c), strict=True
            ):
                torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_prepared_policy_plays_as_the_policy_itself() -> None:
    actor = actor_critic(task(), layers=2).actor
    seen = seen_of(task())[:, 0]
    state = actor.initial_state(play(vector_env(5), actor, seed=1).episodes)
    torch.testing.assert_close(actor(seen, state)[0], actor.prepared()(seen, state)[0])


def test_a_weight_that_is_not_finite_is_seen_in_what_comes_out() -> None:
    actor = actor_critic(task()).actor
    with torch.no_grad():
        actor.lstm.weight_ih_l0[0, 0] = torch.nan
    assert actor.whole(seen_of(task())).isnan().any()


def test_the_logits_of_a_step_depend_on_no_later_observation() -> None:
    actor = actor_critic(task()).actor
    seen = torch.randint(0, 2, (4, 8, len(layout(task()))), dtype=torch.uint8)
    changed = seen.clone()
    changed[:, 5] = 1 - changed[:, 5]
    with torch.no_grad():
        before, after = actor.whole(seen), actor.whole(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("training", [False, True])
def test_the_embedding_is_the_one_hot_times_its_matrix(training: bool) -> None:
    sizes = {"a": 3, "b": 5, "c": 2}
    embedding = Embedding(sizes, 7).train(training)
    seen = torch.tensor([[2, 4, 1], [0, 3, 0]], dtype=torch.uint8)
    one_hot = torch.zeros(2, 10)
    one_hot[0, [2, 3 + 4, 8 + 1]] = 1
    one_hot[1, [0, 3 + 3, 8 + 0]] = 1
    out = embedding(seen)
    torch.testing.assert_close(out, one_hot @ embedding.table.weight)
    weigh = torch.arange(14.0).view(2, 7)
    (gradient,) = torch.autograd.grad((out * weigh).sum(), [embedding.table.weight])
    torch.testing.assert_close(gradient, one_hot.T @ weigh)


@pytest.mark.parametrize("training", [False, True])
def test_a_value_beyond_the_trained_size_counts_as_the_largest(training: bool) -> None:
    embedding = Embedding({"a": 3, "bars_left": 9}, 4).train(training)
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
    seen = torch.randint(0, 2, (8, 3, len(layout(task()))), dtype=torch.uint8)  # (T, B, F)
    logits, values = model(seen)
    torch.testing.assert_close(logits.transpose(0, 1), model.actor.whole(seen.transpose(0, 1)))
    assert values.shape == (8, 3)
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
