"""The two autoencoders of Pricop & Iftene: recurrent and by attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import corpus, task, vector_env

from musicgym.agents.configs import GeneratorConfig, LSTMVAEConfig, TransformerVAEConfig
from musicgym.agents.generators import make_generator
from musicgym.agents.generators.generator import Generator
from musicgym.agents.lessons import Lessons, lessons
from musicgym.agents.rollout import play
from musicgym.observation import layout

TASK = task(key="natural", progression="random")
SMALL: dict[str, Any] = {"latent": 4, "layers": 2, "dropout": 0.2}
SIZES: tuple[GeneratorConfig, ...] = (
    LSTMVAEConfig(hidden=16, **SMALL),
    TransformerVAEConfig(width=16, heads=2, **SMALL),
)


def name(config: object) -> str:
    return type(config).__name__.removesuffix("Config")


@pytest.fixture(params=SIZES, ids=name)
def model(request: pytest.FixtureRequest) -> Generator:
    torch.manual_seed(0)
    return make_generator(layout(TASK), TASK.n_events, request.param).eval()


@pytest.fixture(scope="module")
def data() -> Lessons:
    return Lessons(*(part[:6] for part in lessons(corpus(12), "train", TASK)))


def latents(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_played_step_by_step_it_says_what_it_says_of_the_whole(
    model: Generator, data: Lessons
) -> None:
    whole, state = model.whole(data.observation, latent=latents()), model.begin(latents())
    for t in range(data.events.shape[1]):
        logits, state = model.step(data.observation[:, t], state)
        torch.testing.assert_close(logits, whole[:, t], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_training_path_without_dropout_says_the_same(model: Generator, data: Lessons) -> None:
    calm = model.whole(data.observation, latent=latents())
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 1e-12  # its path, and nothing dropped
        if isinstance(module, torch.nn.LSTM):
            module.dropout = 0.0
    busy = model.train().whole(data.observation, latent=latents())
    torch.testing.assert_close(busy, calm, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_it_hears_nothing_of_what_comes_later(model: Generator, data: Lessons) -> None:
    changed = data.observation.clone()
    changed[:, 4:, 0] = (changed[:, 4:, 0] + 5) % TASK.n_events
    before, after = (model.whole(seen, latent=latents()) for seen in (data.observation, changed))
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax() > 1e-3


@torch.no_grad()
def test_the_latent_reaches_every_step_and_moves_only_its_own_row(
    model: Generator, data: Lessons
) -> None:
    z = latents()
    moved = z.clone()
    moved[2] += 1
    before, after = (model.whole(data.observation, latent=x) for x in (z, moved))
    difference = (before - after).abs().amax(-1)  # (B, T)
    assert (difference[2] > 1e-3).all()
    rest = [0, 1, 3, 4, 5]
    torch.testing.assert_close(before[rest], after[rest])
    none, zero = (model.whole(data.observation, latent=x) for x in (None, torch.zeros(6, 4)))
    torch.testing.assert_close(none, zero)


@torch.no_grad()
def test_the_posterior_knows_the_first_and_the_last_event(model: Generator, data: Lessons) -> None:
    mean = model.encode(data).mean
    assert mean.shape == (6, 4) and mean.dtype == torch.float32
    for t in (0, -1):
        events = data.events.clone()
        events[:, t] = (events[:, t] + 3) % TASK.n_events
        assert (model.encode(data._replace(events=events)).mean - mean).abs().amax() > 1e-6


def test_the_gradient_of_the_fused_path_is_that_of_the_plain_one() -> None:
    torch.manual_seed(0)
    model: Any = make_generator(layout(TASK), TASK.n_events, SIZES[0]).eval()
    seen = lessons(corpus(12), "train", TASK).observation[:6].transpose(0, 1).contiguous()
    given = torch.randn(6, 16)
    found = []
    for features in (model.decoder.features, model.decoder.plain_features):
        leaf = given.clone().requires_grad_()
        model.zero_grad()
        skip, h = features(seen, torch.float32, leaf)
        (skip.square().sum() + (h * torch.arange(16)).sum()).backward()
        assert leaf.grad is not None
        found.append([leaf.grad, *(p.grad.clone() for p in model.decoder.lstm.parameters())])
    for fused, plain in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)


def test_forms_longer_than_those_of_training_are_played(model: Generator) -> None:
    envs = vector_env(2, bars=40, progression="I V")
    made = play(envs, model, seed=1, keep=True)
    assert made.events.shape == (2, 160) and made.latent is not None
    assert made.logits is not None and made.logits.isfinite().all()
    whole = model.whole(made.observation, latent=made.latent)
    kept = made.logits > -1e8  # all that the mask left
    torch.testing.assert_close(made.logits[kept], whole[kept], rtol=1e-3, atol=1e-4)


def test_values_that_training_never_showed_count_as_a_typical_one(
    model: Generator, data: Lessons
) -> None:
    before = [m.table.weight.clone() for m in model.modules() if hasattr(m, "fill_unseen")]
    model.finish([data])
    after = [m.table.weight for m in model.modules() if hasattr(m, "fill_unseen")]
    unseen = sum(layout(TASK)[part] for part in ("event", "pitch", "ringing", "position"))
    unseen += layout(TASK)["bars_left"] + 1  # a root a semitone above the tonic never comes
    assert len(before) == 2
    for one, two in zip(before, after, strict=True):
        assert not torch.equal(one[unseen], two[unseen])
