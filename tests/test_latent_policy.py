"""A policy with a latent vector: in a rollout, as a prior, fine-tuned by PPO, searched, graded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small import corpus, vector_env
from small import task as tiny

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.actor_critic import ActorCritic
from musicgym.agents.best_of_n import draws
from musicgym.agents.configs import (
    MODELS,
    ActorCriticConfig,
    KLConfig,
    LSTMVAEConfig,
    PPOConfig,
    PretrainConfig,
    VAETraining,
)
from musicgym.agents.library import prior_path, with_prior
from musicgym.agents.policy import begin_play, masked, normals, ringing_column
from musicgym.agents.rollout import play
from musicgym.benchmarks import entries
from musicgym.benchmarks.entries import Workshop
from musicgym.benchmarks.evaluate import Evaluation
from musicgym.benchmarks.generators import finetuning, run
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.corpus import dataset
from musicgym.observation import layout
from musicgym.reward import load

SMALL = LSTMVAEConfig(latent=3, hidden=8, layers=1)


@pytest.fixture
def model() -> ActorCritic:
    """An untrained actor-critic whose actor is a small VAE that heeds its latent vector."""
    torch.manual_seed(0)
    made = ActorCritic(layout(tiny()), tiny().n_events, ActorCriticConfig(SMALL, 8)).eval()
    with torch.no_grad():
        for parameter in made.actor.parameters():
            parameter *= 3
    return made


def silent(name: str, total: int) -> Any:
    return lambda figures: None


def test_normals_are_standard_and_depend_on_their_bits_only() -> None:
    bits = torch.arange(20_000)
    z = normals(bits, 4)
    assert z.mean(0).abs().max() < 0.03 and (z.std(0) - 1).abs().max() < 0.03
    assert np.abs(np.corrcoef(z.T.numpy()) - np.eye(4)).max() < 0.03
    assert torch.equal(normals(bits[7:9], 4), z[7:9])


def test_a_rollout_keeps_the_latents_that_explain_its_logits(model: ActorCritic) -> None:
    envs = vector_env(16)
    rollout = play(envs, model.actor, seed=3, keep=True)
    assert rollout.latent is not None and rollout.latent.shape == (16, 3)
    assert rollout.logits is not None
    again = model.actor.whole(rollout.observation, latent=rollout.latent)
    ringing = ringing_column(envs.task)
    assert torch.allclose(masked(again, rollout.observation, ringing), rollout.logits, atol=1e-5)
    other = model.actor.whole(rollout.observation, latent=rollout.latent.flip(0))
    assert not torch.allclose(other, again, atol=1e-2)


def test_a_melody_and_its_latent_depend_on_seed_and_place_only(model: ActorCritic) -> None:
    whole = play(vector_env(12), model.actor, seed=3)
    part = play(vector_env(5), model.actor, seed=3, first=4)
    assert torch.equal(part.latent, whole.latent[4:9])
    assert torch.equal(part.events, whole.events[4:9])
    assert not torch.equal(play(vector_env(12), model.actor, seed=4).latent, whole.latent)


def test_a_given_latent_is_played_under_in_every_episode(model: ActorCritic) -> None:
    given = torch.tensor([[5.0, -5.0, 5.0]])
    rollout = play(vector_env(6), model.actor.prepared(latent=given), seed=3)
    assert torch.equal(rollout.latent, given.expand(6, 3))
    same = play(vector_env(6), model.actor, seed=3, latent=given.expand(6, 3))
    assert torch.equal(same.events, rollout.events)


def test_latents_that_do_not_fit_are_refused_with_both_sizes(model: ActorCritic) -> None:
    with pytest.raises(ValueError, match=r"latent: 2 numbers.*under 3"):
        play(vector_env(6), model.actor, seed=3, latent=torch.zeros(6, 2))
    with pytest.raises(ValueError, match="has no latent vector"):
        begin_play(object(), None, torch.zeros(1), torch.zeros(1, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="emotion: 'sad' is nothing that LSTMVAE has learned"):
        model.actor.prepared(emotion="sad")


def test_each_draw_of_a_search_has_a_latent_of_its_own(model: ActorCritic) -> None:
    envs, seen = vector_env(4), []
    envs.reset(seed=1)
    player = model.actor.prepared()
    drawn = player.draw

    def note(chance: torch.Tensor) -> torch.Tensor:
        seen.append(drawn(chance))
        return seen[-1]

    player.draw = note  # type: ignore[method-assign]
    reward = load("balanced", envs.task.steps)
    list(draws(player, envs.task, reward, envs.episodes(), 8, seed=1))
    latents = torch.cat(seen)
    assert len(torch.unique(latents, dim=0)) == 32
    play(envs, player, seed=1)
    assert torch.equal(seen[-1], latents[:4])  # the first draw is what a play would be


def config(**changes: Any) -> ACMGConfig:
    """Return a small generator's agent."""
    return ACMGConfig(
        **{
            "corpus": "walks", "bars": 2, "steps_per_beat": 1, "num_envs": 8,
            "progressions": ("I V",), "model": ActorCriticConfig(SMALL, 8),
            "pretraining": VAETraining(epochs=1),
            "learning": PPOConfig(total_steps=192, learning_rate=1e-2, kl=KLConfig(0.5)),
            **changes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache with the corpus of walks."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MUSICGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
    dataset.save(corpus(), 1)
    envs = ACMGConfig.envs
    patch.setattr(ACMGConfig, "envs", lambda *a, **k: envs(*a, **{**k, "backend": "arrays"}))
    yield
    patch.undo()


def test_fine_tuning_starts_at_no_kl_from_the_generator_and_moves(cache: Any, tmp_path) -> None:
    agent = with_prior(config(), corpus(), silent)
    curve: list[dict[str, float]] = []
    agent.learn(curve.append, checkpoint=tmp_path / "agent.safetensors")
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert curve[-1]["kl"] > 1e-4
    told = ACMG.load(tmp_path / "agent.safetensors")
    assert told.config == agent.config and type(told.prior) is type(agent.prior)
    made = [a.compose("D minor", "i V", bars=2, count=3, seed=2) for a in (agent, told)]
    assert [c.melody.events for c in made[0]] == [c.melody.events for c in made[1]]


def test_a_run_that_was_stopped_goes_on_to_the_bit(cache: Any, tmp_path) -> None:
    whole = with_prior(config(), corpus(), silent)
    whole.learn()
    stopped = with_prior(config(), corpus(), silent)
    with pytest.raises(KeyboardInterrupt):
        stopped.learn(_interrupt_at(2), checkpoint=tmp_path / "stopped.safetensors", every=1)
    again = ACMG.load(tmp_path / "stopped.safetensors")
    again.learn()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def _interrupt_at(iteration: int) -> Any:
    seen = []

    def report(figures: dict[str, Any]) -> None:
        seen.append(figures)
        if len(seen) == iteration:
            raise KeyboardInterrupt

    return report


def test_every_model_has_its_own_place_in_the_library_and_reads_back(cache: Any) -> None:
    dataset.save(replace(corpus(4), name="folk"), 2)  # the second style of a CVAE-GAN
    places = set()
    for size, training in MODELS.values():
        made = ACMGConfig(model=ActorCriticConfig(size()), pretraining=training())
        assert ACMGConfig.from_json(made.to_json()) == made
        places.add(prior_path(made, "fingerprint"))
    assert len(places) == len(MODELS)


def test_pretraining_of_another_model_is_refused_with_both_names() -> None:
    with pytest.raises(ValueError, match="lstm_vae is pretrained by VAETraining, not by Pre"):
        ACMGConfig(model=ActorCriticConfig(SMALL), pretraining=PretrainConfig())


@pytest.fixture
def graded(cache: Any, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """Evaluation with small generators."""
    task = BenchmarkTask("balanced", corpus="walks", steps_per_beat=1, bars=2)
    usual = ACMGConfig

    def small(**given: Any) -> ACMGConfig:
        if not given or given["model"].actor == MODELS["melody_lstm"][0]():
            return replace(usual(**given), num_envs=8, pretraining=PretrainConfig(epochs=1))
        return config(learning=PPOConfig(total_steps=64, kl=KLConfig(0.5)))

    monkeypatch.setattr(entries, "ACMGConfig", small)
    return Evaluation(Workshop(task, corpus(), silent), 12, splits=3)


def test_a_generator_and_its_fine_tuned_self_are_entries(graded: Evaluation) -> None:
    before, after = (graded.grade(name) for name in ("lstm_vae", "lstm_vae_ppo"))
    assert before.value("kl") > 0.01
    assert "kl_to_base" not in before.figures
    assert 0 < after.value("kl_to_base") < before.value("kl")
    search = graded.grade("best_of_16_lstm_vae")
    assert search.value("return") > before.value("return") and search.facts["samples"] == 16
    for name in ("best_of_16_lstm", "lstm_vae_pp"):
        with pytest.raises(ValueError, match="is none"):
            graded.workshop.check(name)


def test_the_page_has_the_parts_that_are_measured_and_keeps_them(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Part:
        runs = 0

        def measure(self) -> dict[str, int]:
            Part.runs += 1
            return {"runs": Part.runs}

        def section(self, found: dict[str, int], folder: Any) -> list[str]:
            return [f"measured {found['runs']} times"]

    monkeypatch.setattr(run, "_module", lambda part: Part())
    run.write(tmp_path, ["latent"], "musicgym generators latent")
    text = (tmp_path / "generators.md").read_text()
    assert "measured 1 times" in text and "Speed" not in text
    assert text.count("`musicgym generators latent`") == 1
    run.write(tmp_path, [], "musicgym generators")
    assert Part.runs == len(run.PARTS)  # what is there is not measured again
    run.write(tmp_path, ["latent"], "musicgym generators latent")
    assert "measured 9 times" in (tmp_path / "generators.md").read_text()
    with pytest.raises(ValueError, match="'lattent' is not one of latent"):
        run.write(tmp_path, ["lattent"], "")


def test_a_fine_tuned_row_says_how_much_of_the_gap_it_closes(tmp_path) -> None:
    figures = {
        "return": 10.0, "mmd2": 0.1, "kl_to_base": 0.12, "distinct_melodies": 1.0,
    }  # fmt: skip
    rows = {"before": figures, "after": {**figures, "return": 13.5}, "search": figures}
    found = {
        "count": 12, "optimum": 20.0, "steps": 64, "kl_target": 0.14, "human": figures,
        "systems": {"lstm_vae": rows}, "weights": {"critic": 5.0},
        "learned": {"human": figures, "rules alone": figures},
    }  # fmt: skip
    text = "\n".join(finetuning.section(found, tmp_path))
    assert "| lstm_vae | 10.00 | 13.50 | 35% | 0.120 | 10.00 | 0% |" in text
