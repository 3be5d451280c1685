"""CVAE-GAN: its frame, conditions and critic, the roll-out with gradients, its training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor

from musicgym.agents.configs import CVAEGANConfig, CVAEGANTraining
from musicgym.agents.generators.conditions import (
    Frame,
    Scenes,
    excerpt,
    heard_again,
    keys_of,
    stage,
    transposed,
)
from musicgym.agents.generators.critic import gradient_penalty
from musicgym.agents.generators.cvae_gan import CVAEGAN
from musicgym.agents.generators.training import train
from musicgym.agents.lessons import nll
from musicgym.agents.pretraining import pretrain
from musicgym.agents.recurrence import plain_bag
from musicgym.events import HOLD, REST
from musicgym.observation import layout
from musicgym.task import Task

TASK = Task("natural", "random", bars=4, steps_per_beat=1)
SIZES = layout(TASK)
SMALL: dict[str, Any] = {
    "latent": 4, "hidden": 16, "encoder": 8, "critic": 8, "styles": ("walks",),
    "metres": ("4/4", "3/4"),
}  # fmt: skip


def model(seed: int = 0, **size: Any) -> CVAEGAN:
    """Return a small untrained model in evaluation mode."""
    torch.manual_seed(seed)
    made = CVAEGAN(SIZES, TASK.n_events, CVAEGANConfig(**{**SMALL, **size})).eval()
    torch.nn.init.normal_(made.decoder.turns.weight, std=0.3)  # they start at 0
    torch.nn.init.normal_(made.decoder.turns.bias, std=0.3)
    return made


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    """Return the training windows of the small corpus."""
    return model().lessons(small.corpus(), "train", TASK)[0]


def some(scenes: Scenes, count: int) -> Scenes:
    """Return the first scenes."""
    return Scenes(*(part[:count] for part in scenes))


def frame(home: int = 0) -> Frame:
    """Return the frame of the small task."""
    made = Frame(SIZES, TASK.n_events)
    made.home.fill_(home)
    return made


def row(**parts: int) -> Tensor:
    """Return one observation with these parts."""
    return torch.tensor([parts.get(name, 0) for name in SIZES], dtype=torch.uint8)


@pytest.mark.parametrize(
    ("tonic", "mode", "shift"),
    [(0, 0, 5), (7, 0, 10), (5, 0, 0), (6, 0, 11), (9, 1, 5), (4, 1, 10), (2, 1, 0)],
)
def test_the_frame_counts_from_the_corpus_s_key(tonic: int, mode: int, shift: int) -> None:
    """G is 5 below C, so an event in G moves up by 5 + 5; F is 5 above: it moves by 5 - 5."""
    entered = frame().enter(row(tonic=tonic, mode=mode, event=20, pitch=19))
    assert dict(zip(SIZES, entered.tolist(), strict=True)) == {
        **dict.fromkeys(SIZES, 0), "tonic": tonic, "mode": mode,
        "event": 20 + shift, "pitch": 19 + shift,
    }  # fmt: skip


def test_holds_and_rests_stay_in_the_frame() -> None:
    """Nor does the pitch move before the first note."""
    for event in (HOLD, REST):
        entered = frame().enter(row(tonic=7, event=event, pitch=0))
        assert entered.tolist() == row(tonic=7, event=event).tolist()


def test_the_frame_s_logits_come_back_to_their_events() -> None:
    """In G an event from 2 on stands 10 places higher; a hold and a rest stand still."""
    inside = torch.arange(frame().alphabet, dtype=torch.float32).expand(1, 1, -1)
    out = frame().leave(inside, row(tonic=7)[None, None])
    assert out[0, 0].tolist() == [0, 1, *range(12, 10 + TASK.n_events)]


def test_a_moved_melody_is_the_same_in_the_frame_but_for_its_tonic(scenes: Scenes) -> None:
    """Every part that the text computes anew agrees, so the move is one of the environment's."""
    torch.manual_seed(1)
    made, task = frame(), stage("4/4", 4, 1, TASK.n_events)
    moved, tonic = transposed(scenes, made)
    assert (moved.events - scenes.events).unique().tolist() == list(range(-6, 6))
    assert moved.events.max() < TASK.n_events
    heard = heard_again(moved, task, tonic)
    before, after = made.enter(scenes.observation), made.enter(heard.observation)
    column = list(SIZES).index("tonic")
    before[..., column] = after[..., column] = 0
    assert torch.equal(before, after)


def test_keys_are_those_that_the_range_allows() -> None:
    """A melody from the lowest note of the range to the highest can stay where it is only."""
    events = torch.tensor([[2, TASK.n_events - 1]])
    wide = Scenes(row(tonic=3, mode=1).expand(1, 2, -1), events, torch.ones(1, 3))
    assert keys_of(wide, frame()).nonzero().tolist() == [[1, 3]]
    narrow = wide._replace(events=torch.tensor([[14, HOLD]]))
    assert keys_of(narrow, frame()).sum(1).tolist() == [0, 12]


def test_without_its_chords_a_melody_is_heard_as_over_none(scenes: Scenes) -> None:
    """No part speaks of chords; all others are those of before."""
    bare = torch.ones(len(scenes.events), dtype=torch.bool)
    made = frame()
    task, tonic = stage("4/4", 4, 1, TASK.n_events), made.part(scenes.observation[:, 0], "tonic")
    heard = heard_again(scenes, task, tonic, bare)
    about = ("root", "quality", "next_root", "next_quality", "extra", "weak_extra")
    for name in SIZES:
        now = made.part(heard.observation, name)
        if name in about:
            assert not now.any()
        else:
            assert torch.equal(now, made.part(scenes.observation, name))
    again = heard_again(scenes, task, tonic, ~bare)
    assert torch.equal(again.observation, scenes.observation)


def test_an_excerpt_starts_on_a_bar_with_what_sounds_and_is_the_simpler_of_two() -> None:
    """The held C of the bar before is struck; of many draws the bar with fewer notes wins most."""
    events = torch.tensor([[20, 21, 22, 23, HOLD, HOLD, 24, HOLD]]).repeat(400, 1)
    seen = torch.stack([row(position=t % 4, pitch=22, ringing=1, event=23) for t in range(8)])
    whole = Scenes(seen.expand(400, -1, -1), events, torch.ones(400, 3))
    torch.manual_seed(0)
    cut = excerpt(whole, frame(), 1, 2)
    kinds = {tuple(line) for line in cut.events.tolist()}
    assert kinds == {(20, 21, 22, 23), (23, HOLD, 24, HOLD)}
    assert 0.68 < float((cut.events[:, 0] == 23).float().mean()) < 0.82  # 3 in 4
    assert excerpt(whole, frame(), 2, 2) is whole


def test_step_by_step_is_the_whole(scenes: Scenes) -> None:
    """A play gives the logits of the fused pass."""
    made, few = model(), some(scenes, 6)
    latent = torch.cat([torch.randn(6, 4), few.labels], -1)
    with torch.no_grad():
        whole, state = made.whole(few.observation, latent=latent), made.begin(latent)
        for t in range(few.events.shape[1]):
            logits, state = made.step(few.observation[:, t], state)
            torch.testing.assert_close(logits, whole[:, t], atol=2e-5, rtol=1e-4)
        other = made.whole(few.observation, latent=latent + 1)
    assert not torch.allclose(whole, other, atol=1e-3)


def test_the_decoder_of_one_key_is_the_step(scenes: Scenes) -> None:
    """What the compiled sampler reads gives the logits of `step`, style and metre included."""
    made, few = model(), some(scenes, 1)
    with torch.no_grad():
        state = made.begin(torch.cat([torch.randn(1, 4), few.labels], -1))
        for t in range(3):
            seen = few.observation[:, t]
            one = made.as_decoder(seen, state)
            logits, state = made.step(seen, state)
            assert state.h is not None
            gates = one.layers[0]
            straight = plain_bag(seen, gates.starts, gates.most, one.skip)
            found = state.h @ one.head.t() + one.bias + straight
            torch.testing.assert_close(found, logits, atol=1e-5, rtol=1e-5)


def test_the_layer_is_one_on_every_device(scenes: Scenes) -> None:
    """The compiled loop of a CPU gives what torch's own layer gives elsewhere."""
    made, few = model(), some(scenes, 5)
    layer, seen = made.decoder.layer, few.observation.transpose(0, 1).contiguous()
    given = torch.randn(5, 4 + few.labels.shape[1])
    with torch.no_grad():
        one = layer(seen, given, 0.0, torch.float32)
        other = layer.plain(seen, given, 0.0, torch.float32)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_logits_do_not_see_what_comes(scenes: Scenes) -> None:
    """Another observation at step 9 leaves the logits before it."""
    made, few = model(), some(scenes, 2)
    changed = few.observation.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 2
    with torch.no_grad():
        one, other = made.whole(few.observation), made.whole(changed)
    assert torch.equal(one[:, :9], other[:, :9])
    assert not torch.equal(one[:, 9:], other[:, 9:])


def test_the_encoder_hears_events_and_conditions(scenes: Scenes) -> None:
    """Another last event, and another metre, is another posterior."""
    made, few = model(), some(scenes, 2)
    events = few.events.clone()
    events[:, -1] = 30
    labels = few.labels.flip(1)
    with torch.no_grad():
        means = [
            made.encode(x).mean
            for x in (few, few._replace(events=events), few._replace(labels=labels))
        ]
        usual = made.encode(few.lessons).mean
    assert not torch.allclose(means[0], means[1])
    assert not torch.allclose(means[0], means[2])
    assert torch.equal(means[0], usual)  # a melody without labels has the usual ones


def test_the_critic_hears_what_sounds_and_its_place_above_the_chord() -> None:
    """E over C sounds as long as it is held, 4 above the root, and not in the rest."""
    made = model()
    inside = torch.tensor([[40, HOLD, REST, HOLD]])  # in the frame, G4: 7 above C in any key
    events = torch.nn.functional.one_hot(inside, made.frame.alphabet).float()
    # Place 2 + 5 + 12 k is the corpus's C; 40 - 2 - 5 is 33, 9 semitones above it: an A.
    seen = torch.stack([row(tonic=0, root=5)] * 4)[None]
    heard = made.critic.read(events, seen)[0]
    notes = made.frame.alphabet - 2
    roll, above = heard[:, -12 - notes : -12], heard[:, -12:]
    assert roll.nonzero().tolist() == [[0, 38], [1, 38]]
    assert above.nonzero().tolist() == [[0, 4], [1, 4]]  # A is a major third above F
    minor = torch.stack([row(tonic=9, mode=1, root=0)] * 4)[None]
    above = made.critic.read(events, minor)[0][:, -12:]
    assert above.nonzero().tolist() == [[0, 0], [1, 0]]  # and the root of the tonic in A minor


def test_the_gradient_penalty_is_that_of_the_paper() -> None:
    """The gradient of a linear critic is its weights: (|w| - 1)^2 wherever it is taken."""
    weights = torch.full((2, 3), 2.0)

    def linear(heard: Tensor, _: Any) -> Tensor:
        return (heard * weights).sum((1, 2))

    real, fake = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    found = gradient_penalty(linear, real, fake, None, torch.rand(5))  # type: ignore[arg-type]
    assert float(found) == pytest.approx((24**0.5 - 1) ** 2, rel=1e-5)

    def square(heard: Tensor, _: Any) -> Tensor:
        return heard.square().sum((1, 2)) / 2

    at = gradient_penalty(square, real, fake, None, torch.zeros(5))  # type: ignore[arg-type]
    lengths = fake.square().sum((1, 2)).sqrt()
    assert at.item() == pytest.approx(float((lengths - 1).square().mean()), rel=1e-5)


def test_what_is_unrolled_is_what_the_environment_would_show(scenes: Scenes) -> None:
    """Its events are valid, its observations those of the text, its logits those of `whole`."""
    made, few = model(), some(scenes, 8)
    task = stage("4/4", 4, 1, TASK.n_events)
    latent = torch.cat([torch.randn(8, 4), few.labels], -1)
    torch.manual_seed(3)
    hard = made.decoder.unroll(few, latent, task)
    torch.manual_seed(3)
    with torch.no_grad():
        plain = made.decoder.unroll(few, latent, task)
    assert torch.equal(hard.scenes.events, plain.scenes.events)  # the gradient changes no value
    played = hard.scenes
    tonic = made.frame.part(few.observation[:, 0], "tonic")
    assert torch.equal(heard_again(played, task, tonic).observation, played.observation)
    inside = made.frame.events(played.events, made.frame.shift(played.observation[:, 0]))
    assert torch.equal(hard.events.argmax(-1), inside)
    with torch.no_grad():
        losses = nll(made.whole(played.observation, latent=latent), played.lessons, made.ringing)
    assert losses.max() < 20  # nothing ruled out was drawn


def test_the_critic_s_gradient_reaches_the_generator_through_earlier_events(
    scenes: Scenes,
) -> None:
    """With nothing that the LSTM remembers, step 1 hears of step 0 by its event alone."""
    made, few = model(), some(scenes, 8)
    hidden = made.size.hidden
    with torch.no_grad():
        made.decoder.layer.lstm.weight_hh_l0.zero_()
        made.decoder.layer.lstm.bias_ih_l0[hidden : 2 * hidden] = -1e4  # forget
    latent = torch.cat([torch.randn(8, 4), few.labels], -1)
    played = made.decoder.unroll(few, latent, stage("4/4", 4, 1, TASK.n_events))
    weights = torch.randn(made.frame.alphabet)
    (played.events[:, 1] @ weights).sum().backward()
    gradient = made.decoder.layer.embedding.table.weight.grad
    assert gradient is not None
    place = dict(zip(SIZES, made.decoder.layer.embedding.starts.tolist(), strict=True))["position"]
    norms = gradient[place : place + 4].abs().amax(1)  # only step 0 is at position 0
    assert norms[0] > 1e-6
    assert norms[1] > 1e-6
    assert norms[2:].max() == 0  # no later step


def test_a_style_or_metre_or_key_that_was_not_learned_is_refused(scenes: Scenes) -> None:
    """Each message names what was asked for and what there is."""
    made = model()
    with pytest.raises(ValueError, match=r"'jazz' is nothing that CVAEGAN has learned.*walks"):
        made.draw(torch.zeros(1, dtype=torch.int64), style="jazz")
    with pytest.raises(ValueError, match=r"'5/4' is nothing.*metre: 4/4, 3/4"):
        made.prepared(metre="5/4")
    made.lessons(small.corpus(), "train", TASK)  # which is in 4/4 alone
    made.prepared(metre="4/4")
    with pytest.raises(ValueError, match=r"'3/4' was in none of .* they have 4/4"):
        made.prepared(metre="3/4")
    made.known[0, 1] = False
    state = made.begin(torch.zeros(1, 7))
    with pytest.raises(ValueError, match=r"major with the tonic 1 semitones .* has learned major"):
        made.step(row(tonic=1)[None], state)
    made.step(row(tonic=1, mode=1)[None], state)
    with pytest.raises(ValueError, match=r"corpus is 'walks', .* made for folk"):
        model(styles=("folk",)).lessons(small.corpus(), "train", TASK)
    with pytest.raises(ValueError, match=r"task is in 4/4, .* made for 3/4"):
        model(metres=("3/4",)).lessons(small.corpus(), "train", TASK)
    with pytest.raises(ValueError, match=r"'5/4' is not one of"):
        model(metres=("5/4",))
    with pytest.raises(ValueError, match="has event, ringing, and conditions need also pitch"):
        CVAEGAN({"event": 38, "ringing": 2}, 38, CVAEGANConfig())


def test_what_is_asked_for_stands_after_z() -> None:
    """The style's one-hot, then the metre's; the usual ones where nothing is asked for."""
    made, chance = model(styles=("walks", "runs")), torch.arange(3)
    assert made.draw(chance)[:, 4:].tolist() == [[1, 0, 1, 0]] * 3
    asked = made.draw(chance, style="runs", metre="3/4")
    assert asked[:, 4:].tolist() == [[0, 1, 0, 1]] * 3
    assert torch.equal(asked[:, :4], made.draw(chance)[:, :4])


@pytest.mark.parametrize("parts", ["both", "cvae", "gan"])
def test_it_learns_what_it_is_told_to(parts: str, scenes: Scenes) -> None:
    """A part that is off keeps its weights; the critic's scores are standardised at the end."""
    made, few = model(), some(scenes, 32)
    before = {name: value.clone() for name, value in made.named_parameters()}
    training = CVAEGANTraining(
        epochs=2, batch=16, parts=parts, every=1, critic_steps=2, rows=8, curriculum=parts == "both"
    )
    rows: list[dict[str, Any]] = []
    torch.manual_seed(0)
    train(made, [few], [few], training, rows.append)
    made.finish([few])
    moved = {
        name.partition(".")[0]
        for name, value in made.named_parameters()
        if not torch.equal(value, before[name])
    }
    whole = {"reader", "posterior", "decoder", "critic"}
    assert moved == {
        "both": whole, "cvae": whole - {"critic"}, "gan": {"decoder", "critic"},
    }[parts]  # fmt: skip
    assert np.isfinite([list(row.values()) for row in rows]).all()
    assert ("train_wasserstein" in rows[0]) == (parts != "cvae")
    assert ("validation_strangeness" in rows[0]) == (parts == "gan")
    with torch.no_grad():
        scores = made.score(few)
    assert float(scores.mean()) == pytest.approx(0, abs=1e-4)
    assert float(scores.std()) == pytest.approx(1, abs=1e-4)


def test_z_of_a_style_is_measured_from_its_own_mean(scenes: Scenes) -> None:
    """Afterwards it has mean 0 and deviation 1 over the corpus, and the decoder plays as before."""
    made = model(styles=("walks", "runs"))
    labels = torch.tensor([[0.0, 1, 1, 0]])
    runs = Scenes(*(part[::2] for part in scenes[:2]), labels.expand(len(scenes.events[::2]), -1))
    walks = scenes._replace(labels=torch.tensor([[1.0, 0, 1, 0]]).expand(len(scenes.events), -1))
    with torch.no_grad():
        made.posterior.bias[:4] = torch.tensor([1.0, -2.0, 0.5, 0.0])
        before = made.whole(walks.observation, latent=made.embed(walks))
        asked = made.whole(walks.observation, latent=made.draw(torch.arange(len(walks.events))))
        made.finish([walks, runs])
        for group in (walks, runs):
            mean, log_variance = made.encode(group)
            torch.testing.assert_close(mean.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
            whole = mean.var(0) + log_variance.exp().mean(0)
            torch.testing.assert_close(whole, torch.ones(4), atol=1e-4, rtol=0)
        after = made.whole(walks.observation, latent=made.embed(walks))
        torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
        again = made.whole(walks.observation, latent=made.draw(torch.arange(len(walks.events))))
    assert not torch.allclose(again, asked, atol=1e-2)
    # No corpus has 3/4: there the z of a style is taken to lie as in 4/4.
    assert torch.equal(made.centre[0, 1], made.centre[0, 0])
    assert not torch.allclose(made.centre[0, 0], torch.zeros(4), atol=0.1)


def test_the_loss_falls_and_the_critic_tells_walks_from_noise(scenes: Scenes) -> None:
    """A few epochs teach both parts something."""
    made, few = model(hidden=32, dropout=0.0), some(scenes, 96)
    training = CVAEGANTraining(
        batch=32, learning_rate=1e-2, every=1, rows=16, curriculum=False, withheld=0.0
    )
    torch.manual_seed(0)
    descents = made.descents(training, 18)
    descents[2].optimiser.param_groups[0]["lr"] = 4e-3  # the usual one takes thousands of steps
    before = made.figures(few)["loss"]
    made.train()
    for step in range(18):
        batch = Scenes(*(part[step % 3 :: 3] for part in few))
        made.learn(batch, step / 18, training, descents)
    made.eval().finish([few])
    assert made.figures(few)["loss"] < 0.85 * before
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(2, TASK.n_events, few.events.shape, generator=generator)
    with torch.no_grad():
        assert float(made.score(few._replace(events=noise)).mean()) < -0.5


def test_begun_from_another_corpus_it_knows_its_own() -> None:
    """Style, keys, the critic's scale and the place of z are of the new corpus, not the old."""
    training = CVAEGANTraining(epochs=1, batch=64, every=2, critic_steps=1, rows=8)
    size = CVAEGANConfig(**{**SMALL, "styles": ("walks",)})
    old, new = small.corpus(6, bars=6), small.corpus(9, bars=6)
    first = pretrain(old, TASK, size, training).model
    assert isinstance(first, CVAEGAN)
    strange = dict(first.state_dict())
    for name in ("known", "taught", "usual", "scale", "centre", "spread"):
        strange[name] = torch.zeros_like(strange[name]) + (name == "spread")  # of no corpus at all
    second = pretrain(new, TASK, size, training, start=strange).model
    assert isinstance(second, CVAEGAN)
    assert second.known.any() and second.usual.tolist() == [1, 1, 0]
    assert second.taught.tolist() == [True, True, False]
    [own] = second.lessons(new, "train", TASK)
    with torch.no_grad():
        scores, posterior = second.score(own), second.encode(own)
    assert float(scores.mean()) == pytest.approx(0, abs=1e-4)
    assert float(scores.std()) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(posterior.mean.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
