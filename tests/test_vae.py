"""The two autoencoders of Pricop & Iftene: recurrent and by attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import corpus, task, vector_env

from musicgym.agents.configs import (
    GENERATORS,
    MODELS,
    GeneratorConfig,
    LSTMVAEConfig,
    TransformerVAEConfig,
)
from musicgym.agents.generators import make_generator
from musicgym.agents.generators.generator import Generator
from musicgym.agents.generators.latent import Posterior, between, importance_weighted
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
    model.fill_gaps([data])
    after = [m.table.weight for m in model.modules() if hasattr(m, "fill_unseen")]
    unseen = sum(layout(TASK)[part] for part in ("event", "pitch", "ringing", "position"))
    unseen += layout(TASK)["bars_left"] + 1  # a root a semitone above the tonic never comes
    assert len(before) == 2
    for one, two in zip(before, after, strict=True):
        assert not torch.equal(one[unseen], two[unseen])


# The latent vector


@pytest.mark.parametrize("kind", GENERATORS)
def test_without_a_latent_every_generator_plays_under_z_of_0_with_nothing_asked_for(
    kind: str, data: Lessons
) -> None:
    """A hierarchical model then means to be neutral, and a CVAE-GAN has its usual labels."""
    size = MODELS[kind][0]()
    torch.manual_seed(0)
    model = make_generator(layout(TASK), TASK.n_events, size).eval()
    latent = model.middle(2)
    assert isinstance(size, GeneratorConfig) and not latent[:, : size.latent].any()
    assert torch.equal(latent[:, size.latent :], model.asked(2))
    seen = data.observation[:2]
    with torch.no_grad():
        torch.testing.assert_close(model.whole(seen), model.whole(seen, latent=latent))
        other = model.whole(seen, latent=latent + 1)
    assert not torch.allclose(other, model.whole(seen))


class Coin(Generator):
    """One event a melody, 3 or 4, whose odds are those of a number of z; q is what is asked for."""

    def __init__(self, q: tuple[float, float], slope: float) -> None:
        super().__init__(layout(TASK), TASK.n_events, GeneratorConfig(latent=1))
        self.q, self.slope = q, slope

    def encode(self, lessons: Lessons) -> Posterior:
        mean, log_variance = (torch.full((len(lessons.events), 1), value) for value in self.q)
        return Posterior(mean, log_variance)

    def whole(
        self, observation: torch.Tensor, kind: Any = None, latent: torch.Tensor | None = None
    ) -> torch.Tensor:
        assert latent is not None
        logits = torch.full((*observation.shape[:2], TASK.n_events), -1e9)
        logits[..., 3], logits[..., 4] = self.slope * latent, 0.0
        return logits


def coins(data: Lessons, times: int = 1) -> Lessons:
    return Lessons(
        data.observation[:2, :1].repeat(times, 1, 1), torch.tensor([[3], [4]]).repeat(times, 1)
    )


def test_the_importance_weighted_bound_is_the_nll_where_the_posterior_is_the_prior(
    data: Lessons,
) -> None:
    for draws in (1, 7):
        found = importance_weighted(Coin((0.0, 0.0), slope=0.0), coins(data), draws)
        torch.testing.assert_close(found, torch.full((2,), math.log(2)))


def test_the_importance_weighted_bound_nears_the_nll_from_above(data: Lessons) -> None:
    # -log of the integral of p(x | z) p(z) over z, on a fine grid, by hand.
    z = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    prior = (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
    exact = [
        -math.log(float((torch.sigmoid(s * 3 * z) * prior).sum() * 18 / 20000)) for s in (1, -1)
    ]
    assert exact[0] == pytest.approx(math.log(2), abs=1e-6)  # by symmetry
    off = Coin((0.8, 0.4), slope=3.0)  # a posterior that is right for neither
    torch.manual_seed(0)
    some, few = (
        importance_weighted(off, coins(data, 2000), k).view(2000, 2).mean(0) for k in (100, 1)
    )
    assert some.tolist() == pytest.approx(exact, abs=0.03)
    assert (few > some + 0.1).all() and (some > torch.tensor(exact)).all()


def test_interpolation_goes_from_end_to_end_on_an_arc() -> None:
    one, other = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 4.0], [2.0, 2.0]])
    torch.testing.assert_close(between(one, other, 0.0), one)
    torch.testing.assert_close(between(one, other, 1.0), other)
    half = between(one, other, 0.5)
    root = math.sqrt(0.5)  # sin 45 / sin 90; the second pair shares its direction: a line
    torch.testing.assert_close(half, torch.tensor([[3 * root, 4 * root], [1.5, 1.5]]))
