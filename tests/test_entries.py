"""The workshop makes every entry from its plain data, and trains within its budget."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import corpus

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import ActorCriticConfig, MelodyLSTMConfig, PretrainConfig
from musicgym.agents.rollout import play
from musicgym.benchmarks import entries
from musicgym.benchmarks.entries import Workshop, curve
from musicgym.benchmarks.entry_files import BUILT_IN, EntrySpec, read_entries, read_file, spec_of
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.corpus import dataset

pytest.importorskip("stable_baselines3")
TASK = BenchmarkTask("balanced", corpus="walks", steps_per_beat=1, bars=2)
EXAMPLE = Path(__file__).parents[1] / "examples" / "leaderboard_entry.toml"
SMALL: dict[str, Any] = {
    "num_envs": 8, "pretraining": PretrainConfig(epochs=1),
    "model": ActorCriticConfig(MelodyLSTMConfig(8), 8),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workshop on a corpus of walks, with small agents."""
    patch, usual = pytest.MonkeyPatch(), ACMGConfig
    patch.setenv("MUSICGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
    dataset.save(corpus(), 1)

    def small(**given: Any) -> ACMGConfig:
        return usual(**{**given, **({k: v for k, v in SMALL.items() if k in given})})

    patch.setattr(entries, "ACMGConfig", small)
    envs = usual.envs
    patch.setattr(usual, "envs", lambda *a, **k: envs(*a, **{**k, "backend": "arrays"}))
    folder = tmp_path_factory.mktemp("agents")
    yield Workshop(TASK, corpus(), lambda name, total: lambda figures: None, agents=folder)
    patch.undo()


@pytest.fixture(scope="module")
def episodes(shop: Workshop) -> Any:
    envs = TASK.envs(4)
    envs.reset(seed=1)
    return envs.episodes()


def test_an_agent_learns_for_its_budget_and_is_kept_where_the_workshop_says(
    shop: Workshop, episodes: Any
) -> None:
    spec = EntrySpec("short", "acmg_ppo", 150, {"learning.kl.target": 0.05})
    made = shop.make(spec, episodes, 3)
    facts = made.facts
    assert made.name == "short" and facts["policy"] == "acmg_ppo"
    assert facts["settings"] == {"learning.kl.target": 0.05} and facts["kl_target"] == 0.05
    assert (facts["budget"], facts["training_steps"]) == (150, 192)  # three whole iterations
    assert [row[0] for row in facts["curve"]] == [64, 128, 192]
    assert all(kl is not None and kl >= 0 for _, _, kl in facts["curve"])
    assert shop.agents and (shop.agents / facts["checkpoint"]).is_file()
    assert shop.content(spec, 3) == Path(facts["checkpoint"]).stem


def test_budget_seed_settings_and_temperature_are_in_what_fixes_an_entry(shop: Workshop) -> None:
    for policy in ("acmg_ppo", "sb3_ppo", "lstm_vae_ppo"):
        base = EntrySpec("a", policy, 64)
        others = [
            (base, 1), (base, 2), (replace(base, steps=65), 1), (replace(base, temperature=0.5), 1),
            (replace(base, settings={"gamma" if "sb3" in policy else "learning.gamma": 0.9}), 1),
        ]  # fmt: skip
        contents = [shop.content(spec, seed) for spec, seed in others]
        assert len({*contents}) == len(contents), policy
        assert shop.content(replace(base, name="b", about="other"), 1) == contents[0]
    assert shop.content(EntrySpec("a", "markov"), 1) != shop.content(
        EntrySpec("a", "held_tonic"), 1
    )
    assert shop.content("markov", 1) == shop.corpus.fingerprint


REFUSED: dict[str, tuple[EntrySpec, str]] = {
    "a field": (
        EntrySpec("x", "acmg_ppo", settings={"learning.epoch": 3}),
        r"entry x: settings: there is no 'learning.epoch'; did you mean 'learning.epochs'\?",
    ),
    "another policy's": (EntrySpec("x", "acmg_a2c", settings={"learning.clip": 0.1}), "no 'learn"),
    "a term": (
        EntrySpec("x", "acmg_ppo", settings={"rewards.final_tonics": 3}),
        "did you mean 'final_tonic'",
    ),
    "of SB3": (EntrySpec("x", "sb3_ppo", settings={"n_env": 3}), "did you mean 'n_envs'"),
    "steps": (EntrySpec("x", "acmg_ppo", settings={"learning.total_steps": 3}), "say steps"),
    "seed": (EntrySpec("x", "sb3_ppo", settings={"seed": 3}), "given by the run; leave it out"),
    "of none": (EntrySpec("x", "held_tonic", settings={"a": 1}), "held_tonic has none, but a is"),
    "a keyword": (
        EntrySpec("x", f"{__name__}:Greedy", settings={"patienc": 1}),
        "takes no 'patienc'; did you mean 'patience'",
    ),
    "told": (EntrySpec("x", f"{__name__}:Greedy", settings={"folder": 1}), "takes no 'folder'"),
    "a module": (EntrySpec("x", "no_such_module:make"), "cannot be loaded.*PYTHONPATH"),
}


class Greedy:
    """A policy whose maker is asked for more than the task."""

    def __init__(self, task: Any, patience: int = 1, *, seed: int, folder: Path) -> None:
        self.n_events, self.facts = task.n_events, {"patience": patience, "seed": seed}
        (folder / "kept").write_text(str(patience))

    def initial_state(self, episodes: Any) -> None:
        return None

    def __call__(self, observation: Any, state: Any) -> Any:
        return torch.zeros(len(observation), self.n_events), state


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_do_not_exist_are_refused_before_anything_is_trained(
    shop: Workshop, what: str
) -> None:
    spec, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        shop.check(spec)


def test_every_built_in_entry_has_a_configuration_on_any_task(shop: Workshop) -> None:
    for spec in BUILT_IN.values():
        shop.check(spec.within(64))
    config = shop.config(BUILT_IN["acmg_no_theory"], 1)
    assert config.rewards == "acmg_no_theory" and config.learning.kl.beta == 0
    assert shop.config(BUILT_IN["acmg_no_chords"], 1).rewards == "acmg_no_chords"
    late = replace(shop, task=BenchmarkTask("balanced", corpus="walks", reward_timing="end"))
    assert late.config(BUILT_IN["acmg_ppo"], 1).reward_timing == "end"
    assert late.outside(BUILT_IN["sb3_ppo"], 1)[1].reward_timing == "end"


def test_a_small_budget_is_spent_in_many_iterations(shop: Workshop) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "ACMGConfig", ACMGConfig)
        plain = replace(shop, task=BenchmarkTask())
        jazz = replace(shop, task=BenchmarkTask(steps_per_beat=4))

        def melodies(shop: Workshop, policy: str, steps: int) -> int:
            return shop.config(EntrySpec("x", policy, steps), 1).num_envs

        sizes = [melodies(plain, "acmg_ppo", n) for n in (3_000_000, 131_072, 40_000, 64)]
        assert sizes == [128, 32, 9, 8]
        assert melodies(jazz, "acmg_ppo", 3_000_000) == 64  # 128 steps a melody
        assert [melodies(plain, "acmg_a2c", n) for n in (3_000_000, 131_072, 64)] == [16, 16, 8]


def test_a_factory_is_told_what_it_asks_for(shop: Workshop, episodes: Any) -> None:
    spec = EntrySpec("own", f"{__name__}:Greedy", settings={"patience": 7})
    made = shop.make(spec, episodes, 5)
    assert (made.facts["patience"], made.facts["seed"]) == (7, 5)
    assert "training_steps" not in made.facts  # it asked for no steps
    assert shop.agents
    kept = [path.read_text() for path in (shop.agents / "own").glob("own-5-*/kept")]
    assert kept == ["7"]
    shop.make(spec, episodes, 6)
    assert len([*(shop.agents / "own").iterdir()]) == 2  # a folder a seed


def test_the_example_trains_within_its_budget_and_tells_its_curve(
    shop: Workshop, episodes: Any
) -> None:
    (spec,) = read_entries([str(EXAMPLE)])
    assert spec.steps == 200_000
    made = shop.make(replace(spec, steps=4_000), episodes, 1)
    assert made.facts["budget"] == 4_000 and made.facts["training_steps"] == 4_000
    assert made.facts["curve"][-1][0] == 4_096 and made.facts["curve"][-1][2] is None
    returns = [paid for _, paid, _ in made.facts["curve"]]
    assert np.mean(returns[-3:]) > np.mean(returns[:3]) + 0.5
    assert str(EXAMPLE.parent) not in sys.path


def test_modules_of_one_name_in_two_folders_are_two(
    shop: Workshop, episodes: Any, tmp_path: Path
) -> None:
    text = "from musicgym.agents.heuristics import {0}\ndef make(task):\n    return {0}(task)\n"
    made = []
    for name in ("HeldTonic", "UniformRandom"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same_name.py").write_text(text.format(name))
        (tmp_path / name / "it.toml").write_text(f'name = "{name}"\npolicy = "same_name:make"')
        (spec,) = read_file(tmp_path / name / "it.toml")
        made.append(type(shop.make(spec, episodes).policy.policy).__name__)  # type: ignore[attr-defined]
    assert made == ["HeldTonic", "UniformRandom"]


@pytest.mark.parametrize("name", ["sb3_ppo", "sb3_a2c", "sb3_recurrent_ppo"])
def test_stable_baselines_is_an_entry_like_any_other(
    shop: Workshop, episodes: Any, name: str
) -> None:
    settings = {"n_envs": 8, "hidden": 8} | ({} if name == "sb3_a2c" else {"batch_size": 32})
    spec = replace(BUILT_IN[name], steps=100, settings=settings)
    made = shop.make(spec, episodes, 2)
    assert made.facts["budget"] == 100 and made.facts["training_steps"] == 128
    assert [row[2] for row in made.facts["curve"]] == [None] * len(made.facts["curve"])
    rollout = play(TASK.envs(4), made.policy, 1, keep=True)
    assert rollout.logits is not None and rollout.logits.shape == (4, 8, TASK.task.n_events)
    again = play(TASK.envs(4), shop.make(spec, episodes, 2).policy, 1)
    assert torch.equal(rollout.events, again.events)


def test_a_zip_of_stable_baselines_is_an_entry(
    shop: Workshop, episodes: Any, tmp_path: Path
) -> None:
    import gymnasium as gym
    from stable_baselines3 import PPO

    env = gym.make("MelodyCompose-v0", steps_per_beat=1, bars=2, progression="I V")
    PPO("MlpPolicy", env, n_steps=8, batch_size=8, seed=1).save(tmp_path / "m.zip")
    (tmp_path / "it.toml").write_text('name = "m"\npolicy = "m.zip"\nsettings.algorithm = "ppo"')
    (spec,) = read_file(tmp_path / "it.toml")
    made = shop.make(spec, episodes)
    assert made.facts["checkpoint"] == "m.zip" and made.facts["budget"] == 0
    play(TASK.envs(4), made.policy, 1)
    with pytest.raises(ValueError, match="needs its algorithm"):
        shop.check(replace(spec, settings={}))
    with pytest.raises(ValueError, match="'pro' is not one of"):
        shop.check(replace(spec, settings={"algorithm": "pro"}))


def test_the_soft_optimum_is_taken_at_the_kl_that_is_asked_for(
    shop: Workshop, episodes: Any
) -> None:
    spec = EntrySpec("soft", "soft_optimum", settings={"kl": 0.5})
    made = shop.make(spec, episodes)
    assert made.facts["kl_to_markov"] == 0.5
    assert made.facts["beta"] < shop.make("soft_optimum", episodes).facts["beta"]


def test_a_curve_is_told_in_sixty_rows_of_means() -> None:
    rows = [[64 * i, float(i), 0.1 * i] for i in range(1, 1001)]
    told = curve(rows)
    assert len(told) == 60 and told[-1][0] == 64_000
    assert told[0] == [64 * 17, 9.0, pytest.approx(0.9)]  # the first 17 of 1,000
    assert curve([]) == []


def test_a_spec_keeps_its_temperature(shop: Workshop, episodes: Any) -> None:
    assert shop.make(spec_of("markov@0.5"), episodes).sampling.temperature == 0.5
