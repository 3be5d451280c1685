"""The hierarchical RNN-VAE: causal attention, levels, emotions, and its losses one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from musicgym.agents.configs import HierarchicalTraining, HierarchicalVAEConfig
from musicgym.agents.generators.attention import BLOCK, AdditiveAttention
from musicgym.agents.generators.hierarchical_vae import PULL, HierarchicalVAE
from musicgym.agents.generators.phrase_critic import PhraseCritic, phrase_features
from musicgym.agents.lessons import Lessons, episodes_in, lessons, nll, perform
from musicgym.agents.melody_lstm import Embedding
from musicgym.agents.policy import masked
from musicgym.agents.pretraining import pretrain
from musicgym.agents.rollout import play
from musicgym.benchmarks.generators.attention import saliency
from musicgym.benchmarks.generators.emotions import bounds, followed
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.emotion import EMOTIONS, EmotionTargets, emotion_of
from musicgym.observation import layout
from tests import small

TASK = small.task()
CORPUS = small.corpus()
LATENT = 4


def model(seed: int = 0, **size: Any) -> HierarchicalVAE:
    """Return a small model that has met the tiny corpus, in evaluation mode."""
    torch.manual_seed(seed)
    config = HierarchicalVAEConfig(**{"hidden": 16, "heads": 2, "latent": LATENT, **size})
    made = HierarchicalVAE(layout(TASK), TASK.n_events, config)
    made.lessons(CORPUS, "train", TASK)
    return made.eval()


def batch(count: int = 6) -> Lessons:
    """Return a few windows of the tiny corpus."""
    heard = lessons(CORPUS, "train", TASK)
    return Lessons(heard.observation[:count], heard.events[:count])


def latents(made: HierarchicalVAE, count: int) -> Tensor:
    """Return latents that differ in z and in their emotion."""
    return made.draw(torch.arange(count))


# Attention


def test_attention_is_the_softmax_of_the_additive_score_worked_out_by_hand() -> None:
    attention = AdditiveAttention(hidden=2, heads=1, width=2)
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(2))
        attention.key.weight.copy_(2 * torch.eye(2))
        attention.key.bias.copy_(torch.tensor([0.5, -0.5]))
        attention.score.copy_(torch.tensor([[1.0, 3.0]]))
    h = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    e = [
        np.tanh(0.0 + 2 * 1 + 0.5) + 3 * np.tanh(1.0 + 0 - 0.5),  # t = 1 to k = 0
        np.tanh(0.0 + 0 + 0.5) + 3 * np.tanh(1.0 + 2 - 0.5),
    ]
    share = np.exp(e) / np.exp(e).sum()
    weights = attention.weights(h)[0, 0].detach().numpy()
    np.testing.assert_allclose(weights, [[1, 0], share], rtol=1e-5)
    contexts = attention(h)[0].detach().numpy()
    np.testing.assert_allclose(contexts, [[1, 0], share], rtol=1e-5)  # the states are unit vectors


def test_each_head_reads_its_own_part_of_the_states() -> None:
    torch.manual_seed(0)
    attention = AdditiveAttention(hidden=4, heads=2, width=6)
    h = torch.randn(1, 5, 4)
    both, contexts = attention.weights(h)[0], attention(h)[0]
    assert not torch.allclose(both[0], both[1])
    for head, part in enumerate((slice(0, 2), slice(2, 4))):
        torch.testing.assert_close(contexts[:, part], both[head] @ h[0, :, part])


def test_attention_step_by_step_is_attention_at_once_beyond_its_first_room() -> None:
    torch.manual_seed(0)
    attention = AdditiveAttention(hidden=4, heads=2, width=4)
    h = torch.randn(3, 70 + BLOCK // 2, 4)  # more than the memory's first room, and half a block
    memory, told = attention.begin(h[:, 0]), []
    with torch.no_grad():
        for state in h.unbind(1):
            context, memory = attention.step(state, memory)
            told.append(context)
        torch.testing.assert_close(torch.stack(told, 1), attention(h), rtol=1e-4, atol=1e-6)


# The model


@pytest.mark.parametrize("changes", [{}, {"heads": 1, "levels": 1}, {"variational": False}])
def test_step_by_step_is_whole(changes: dict[str, Any]) -> None:
    made, heard = model(**changes), batch()
    latent = latents(made, len(heard.events))
    state, told = made.begin(latent), []
    with torch.no_grad():
        for now in heard.observation.unbind(1):
            logits, state = made.step(now, state)
            told.append(logits)
        whole = made.whole(heard.observation, latent=latent)
    torch.testing.assert_close(torch.stack(told, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("t", [0, 3, 6])
def test_an_event_changes_no_logits_up_to_its_own_step(t: int) -> None:
    """The decoder hears the event of step t at t + 1; the encoder's states it never sees."""
    made, heard = model(), batch(4)
    latent = latents(made, 4)
    scene = episodes_in(heard, TASK)
    played = heard.events.numpy().copy()
    played[:, t] = np.where(played[:, t] == 20, 22, 20)
    other = perform(scene, TASK, lambda step, _: played[:, step])
    with torch.no_grad():
        one = made.whole(heard.observation, latent=latent)
        two = made.whole(other.observation, latent=latent)
    assert torch.equal(one[:, : t + 1], two[:, : t + 1])
    assert not torch.equal(one[:, t + 1], two[:, t + 1])


def test_the_encoder_reads_the_last_event_and_the_decoder_the_latent() -> None:
    made, heard = model(), batch(4)
    ended = heard.events.clone()
    ended[:, -1] = torch.where(ended[:, -1] == 20, 22, 20)
    one, two = made.encode(heard).mean, made.encode(Lessons(heard.observation, ended)).mean
    assert (one != two).any(-1).all()
    zeros = torch.zeros(4, LATENT + 5)
    for place in (0, LATENT):  # z, and the emotion after it
        moved = zeros.clone()
        moved[:, place] = 2
        assert not torch.equal(
            made.whole(heard.observation, latent=zeros), made.whole(heard.observation, latent=moved)
        )


def test_without_a_latent_vector_z_says_nothing_and_costs_nothing() -> None:
    made, heard = model(variational=False), batch(4)
    posterior = made.encode(heard)
    assert float(posterior.kl().abs().max()) == 0
    one, two = latents(made, 4), latents(made, 4)
    two[:, :LATENT] += 3
    first, second = (made.whole(heard.observation, latent=latent) for latent in (one, two))
    assert torch.equal(first, second)


def test_one_level_has_no_weights_of_a_second() -> None:
    def count(made: HierarchicalVAE) -> int:
        return sum(p.numel() for p in made.parameters())

    level = 2 * 16 * 16 + 2 * 16  # weights of the input and of the state, two biases
    assert count(model()) - count(model(levels=1)) == 2 * level


def test_512_steps_play() -> None:
    envs = small.vector_env(2, bars=128)
    made = model()
    rollout = play(envs, made, seed=1)
    assert rollout.events.shape == (2, 512)


# Emotions


def test_the_targets_are_those_of_the_corpus_above_its_neutral_emotion() -> None:
    made = model()
    rows = made.targets(torch.arange(5))
    table, deviations = made.emotions.table, np.array(made.emotions.deviations)
    neutral = table[EMOTIONS.index("neutral")]
    np.testing.assert_allclose(rows, (table - neutral) / deviations, rtol=1e-4, atol=1e-5)
    assert float(rows[EMOTIONS.index("neutral")].abs().max()) == 0
    asked = made.draw(torch.arange(3), emotion="sad")
    torch.testing.assert_close(asked[:, LATENT:], rows[[1, 1, 1]])


def test_begun_from_another_corpus_it_means_the_emotions_of_its_own() -> None:
    size = HierarchicalVAEConfig(hidden=16, heads=2, latent=LATENT)
    training, other = HierarchicalTraining(epochs=1, batch=64), small.corpus(20)
    start = model().state_dict()
    begun = pretrain(other, TASK, size, training, start=start).model
    assert isinstance(begun, HierarchicalVAE)
    fresh = HierarchicalVAE(layout(TASK), TASK.n_events, size)
    fresh.lessons(other, "train", TASK)
    assert not torch.equal(fresh.table, start["table"])
    for name in ("table", "deviations", "critic.centre", "critic.scale"):
        assert torch.equal(begun.state_dict()[name], fresh.state_dict()[name]), name


def test_an_emotion_that_nobody_asks_for_is_drawn_evenly() -> None:
    made = model()
    drawn = made.draw(torch.arange(2000))[:, LATENT:]
    rows = made.targets(torch.arange(5))
    counts = (drawn[:, None] == rows).all(-1).sum(0)
    assert int(counts.sum()) == 2000
    assert counts.min() > 320


def test_an_unknown_emotion_is_refused_with_what_is_known() -> None:
    with pytest.raises(ValueError, match="'merry' is nothing that HierarchicalVAE has learned"):
        model().prepared(emotion="merry")


def test_a_melody_played_in_training_is_one_that_the_task_plays() -> None:
    """What is played is 0 and 1, has a gradient, and holds nothing over a silence."""
    made, heard = model(), batch()
    torch.manual_seed(3)
    played, wanted = made.play(heard)
    events = played.argmax(-1)
    assert torch.equal(played.detach().round(decimals=4), made._hard(events))
    assert wanted.shape == (6,)
    silent, step = heard.observation[:, 0, 0] < 0, events[:, 0]
    assert not ((step == 0) | silent).any()  # nothing rings at the start
    played[:, :, 30].sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.decoder.parameters())


def test_the_emotion_loss_is_the_mean_squared_distance_of_what_was_played() -> None:
    made, heard = model(), batch()
    training = HierarchicalTraining(emotion=1.0, adversarial=0.0)
    torch.manual_seed(5)
    told = made.losses(heard, 1.0, training)
    torch.manual_seed(5)  # the same draws: those of the base's losses, then those of the play
    plain = super(HierarchicalVAE, made).losses(heard, 1.0, training)
    half = Lessons(heard.observation[:3], heard.events[:3])
    played, wanted = made.play(half)
    found = emotion_of(played.argmax(-1).numpy(), TASK.low, episodes_in(half, TASK).tonic)
    known = made.emotions
    off = (found - known.table[wanted]) / np.array(known.deviations)
    wanted_loss = (off**2 @ np.array(PULL) / 5).mean()
    assert told["emotion"].item() == pytest.approx(wanted_loss, rel=1e-4)
    assert (told["loss"] - plain["loss"]).item() == pytest.approx(wanted_loss, rel=1e-4)


def test_a_loss_of_weight_0_is_off() -> None:
    made, heard = model(), batch()
    both = {"emotion": 0.0, "adversarial": 0.0}
    assert set(made.losses(heard, 1.0, HierarchicalTraining(**both))) == {
        "loss", "reconstruction", "kl",
    }  # fmt: skip
    assert "critic" not in made.losses(heard, 1.0, HierarchicalTraining(adversarial=0.0))
    assert "emotion" not in made.losses(heard, 1.0, HierarchicalTraining(emotion=0.0))


def test_reading_comes_first_and_the_emotion_counts_in_what_stops_the_training() -> None:
    made, heard = model(), batch()
    training = HierarchicalTraining(reading=0.5, emotion=2.0)
    assert "emotion" not in made.losses(heard, 0.49, training)
    assert "emotion" in made.losses(heard, 0.5, training)
    told = made.figures(heard)
    assert next(iter(told)) == "loss"
    assert told["loss"] == pytest.approx(told["bound"] + 2 * told["emotion"])
    assert told["bound"] == pytest.approx(told["reconstruction"] + told["kl"], rel=1e-5)


def test_windows_shorter_than_a_phrase_are_refused_with_both_lengths() -> None:
    short = small.task(bars=1, progression="random")
    made = HierarchicalVAE(layout(short), short.n_events, HierarchicalVAEConfig(hidden=16))
    with pytest.raises(ValueError, match="bars: 1 was given, .* phrases of 2 bars"):
        made.lessons(CORPUS, "train", short)


def test_without_a_task_no_melody_is_played() -> None:
    made = HierarchicalVAE(layout(TASK), TASK.n_events, HierarchicalVAEConfig(hidden=16))
    with pytest.raises(ValueError, match="no task to play"):
        made.losses(batch(), 1.0, HierarchicalTraining())


def test_melodies_follow_their_emotion_after_a_short_training() -> None:
    """Density is the easiest of the five: many notes for cheerful, few for sad."""
    torch.manual_seed(1)
    made = model(1)
    heard = made.lessons(CORPUS, "train", TASK)[0]
    training = HierarchicalTraining(warmup=0.0, emotion=20.0, adversarial=0.0, learning_rate=1e-2)
    descents = made.descents(training, 60)
    made.train()
    for _ in range(60):
        rows = torch.randint(len(heard.events), (32,))
        made.learn(Lessons(*(part[rows] for part in heard)), 1.0, training, descents)
    made.eval()
    density = {}
    for name in ("cheerful", "sad"):
        events = play(small.vector_env(64), made.prepared(emotion=name), seed=1).events
        density[name] = float((events >= 2).float().mean())
    wanted = made.emotions.vector("cheerful")[0] - made.emotions.vector("sad")[0]
    assert density["cheerful"] - density["sad"] > wanted / 2


# The phrase critic


def test_phrase_features_are_counted_by_hand() -> None:
    events = torch.tensor([[2, 0, 6, 1, 4, 4, 0, 0, 9]])  # two phrases of four steps, one left over
    hard = torch.nn.functional.one_hot(events, 12).float()
    found = phrase_features(hard, torch.tensor([2]), 4)
    assert found.shape == (2, 5 + 12 + 2 + 4)
    degrees = found[:, 5:17]
    assert degrees[0].nonzero().flatten().tolist() == [2, 10]  # C and E in D
    assert degrees[1, 0] == 1  # D alone
    assert found[:, 17:19].tolist() == [[0.25, 0.25], [0.5, 0.0]]
    assert found[:, 19:].tolist() == [[1, 0, 1, 0], [1, 1, 0, 0]]
    np.testing.assert_allclose(
        found[0, :5], emotion_of(events[:, :4].numpy(), 0, np.array([2]))[0], rtol=1e-5
    )


def test_the_critic_learns_to_tell_apart_and_the_model_to_be_taken_for_real() -> None:
    torch.manual_seed(0)
    critic = PhraseCritic(4)
    real, fake = torch.zeros(8, 23), torch.ones(8, 23).requires_grad_()
    critic.loss(real, fake, 0.5).backward()
    towards = -fake.grad[:, None] @ torch.autograd.grad(critic(fake).sum(), fake)[0][..., None]
    assert (towards > 0).all()  # down the model's gradient the critic's score rises
    weight = critic.layers[0].weight
    before = critic.loss(real, fake, 0.5).item()
    with torch.no_grad():
        weight -= 0.1 * weight.grad
    assert critic.loss(real, fake, 0.5).item() < before


# What the pages measure


def test_the_bound_of_a_model_without_latents_is_its_nll() -> None:
    made, heard = model(variational=False), batch()
    with torch.no_grad():
        made.given.weight.zero_()
        told = nll(made.whole(heard.observation), heard, made.ringing).mean()
    found = bounds(made, heard, samples=3)
    assert found["one"] == pytest.approx(float(told), rel=1e-5)
    assert found["weighted"] == pytest.approx(float(told), rel=1e-5)


def test_melodies_are_told_by_their_nearest_target() -> None:
    events = np.array([[26, 0, 0, 0, 0, 0, 0, 0], [26, 28, 26, 28, 26, 28, 26, 28]])
    fixed = {"masks": np.zeros((2, 8), np.int64), "meter": "4/4", "steps_per_beat": 1}
    pieces = Pieces(events, np.full(2, 48), np.zeros(2, np.int64), np.zeros(2, bool), **fixed)
    features = emotion_of(events, 48, pieces.tonic)
    table = np.repeat(features[:1], 5, axis=0)
    table[EMOTIONS.index("tense")] = features[1]
    table[EMOTIONS.index("calm"), 0] += 9
    known = EmotionTargets(tuple(map(tuple, table)), (0.5, 1.0, 1.0, 1.0, 1.0))
    found = followed(pieces, known, "tense")
    assert found["told"] == [1, 0, 0, 1, 0]
    assert found["means"][0] == pytest.approx((1 / 8 + 1) / 2)
    off = (features[0] - features[1]) / np.array([0.5, 1, 1, 1, 1])
    assert found["distance"] == pytest.approx(np.sqrt((off**2).mean()) / 2)


class Summing(torch.nn.Module):
    """Logits that are linear in the sum of the embeddings so far."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding(layout(TASK), 3)
        self.head = torch.nn.Linear(3, TASK.n_events)

    def whole(self, observation: Tensor, latent: Tensor | None = None) -> Tensor:
        """Return logits (B, T, A)."""
        return self.head(self.embedding(observation).cumsum(1))


def test_saliency_is_the_length_of_the_slope_by_each_embedding_so_far() -> None:
    torch.manual_seed(0)
    actor, heard = Summing(), batch(2)
    found = saliency(actor, heard, TASK)
    logits = masked(actor.whole(heard.observation), heard.observation, model().ringing)
    shares, weight = logits.softmax(-1), actor.head.weight
    for t in range(8):
        slope = weight[heard.events[:, t]] - shares[:, t] @ weight
        for k in range(8):
            wanted = slope.norm(dim=-1).detach().numpy() if k <= t else 0
            np.testing.assert_allclose(found[:, t, k], wanted, rtol=1e-4, atol=1e-7)


def test_saliency_of_melody_lstm_and_of_the_hierarchical_model_looks_back_only() -> None:
    heard = batch(2)
    for actor in (model(), small.actor_critic(TASK).actor):
        found = saliency(actor, heard, TASK, latents(model(), 2))
        assert found.shape == (2, 8, 8)
        assert (found[:, np.tri(8, dtype=bool)] > 0).all()
        assert not found[:, ~np.tri(8, dtype=bool)].any()


def test_saliency_of_an_actor_without_an_embedding_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no embedding"):
        saliency(torch.nn.Linear(2, 2), batch(2), TASK)
