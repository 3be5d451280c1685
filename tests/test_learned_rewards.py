"""The learned reward terms: what they pay, wherever they pay, and what they refuse."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import small
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from playing import random_events, spelt

from musicgym.agents import checkpoints
from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import (
    ActorCriticConfig,
    CVAEGANConfig,
    HierarchicalVAEConfig,
    LSTMVAEConfig,
    MelodyLSTMConfig,
    TransformerVAEConfig,
)
from musicgym.agents.generators.conditions import Scenes
from musicgym.agents.imagination import imagine
from musicgym.agents.lessons import Lessons, lessons, nll
from musicgym.agents.policy import ringing_column
from musicgym.agents.policy_scorer import PolicyScorer
from musicgym.agents.rollout import play
from musicgym.agents.style import StyleFacts, StyleModel
from musicgym.benchmarks.features import FEATURES
from musicgym.benchmarks.listening.reward_model import RewardModel
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.corpus.dataset import windows
from musicgym.emotion import EMOTIONS
from musicgym.env import MelodyComposeEnv
from musicgym.learned import Melodies
from musicgym.replay import begin, episodes_of, pay
from musicgym.reward import load
from musicgym.task import Task

NAMES = ["prior_log_likelihood", "elbo", "critic", "emotion", "style", "preference"]
MODES = ["NextStep", "SameStep", "Disabled"]
SIZE, STEPS = 3, 8
#: The tiny task in the keys that the models have learned.
TASK: dict[str, Any] = {**small.TINY, "key": "natural", "observation": "compact"}
#: A target table worked out below.
PLAIN = {"values": [[0.5, 2.0, 1.0, 3.0, 0.0]] * 5, "deviations": [0.5, 1.0, 2.0, 4.0, 1.0]}
ACTORS: dict[str, Any] = {
    "melody_lstm": MelodyLSTMConfig(hidden=12),
    "lstm_vae": LSTMVAEConfig(latent=4, hidden=12, layers=2),
    "transformer_vae": TransformerVAEConfig(latent=4, width=8, heads=2, layers=1),
    "cvae_gan": CVAEGANConfig(latent=4, hidden=12, encoder=6, critic=4),
    "hierarchical_vae": HierarchicalVAEConfig(latent=4, hidden=12),
}


def agent(actor: str, seed: int = 3) -> ACMG:
    """Return an agent that has learned nothing, with weights that are not small."""
    config = ACMGConfig(
        steps_per_beat=1, bars=2, model=ActorCriticConfig(ACTORS[actor]), pretraining=None,
        progressions=("random",),
    )  # fmt: skip
    made = ACMG(config)
    torch.manual_seed(seed)
    for weight in made.model.actor.parameters():
        weight.data.add_(0.2 * torch.randn_like(weight))
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of checkpoints: every kind of actor, a style model and a reward model."""
    folder = tmp_path_factory.mktemp("learned")
    for name in ACTORS:
        made = agent(name)
        actor: Any = made.model.actor
        if name == "cvae_gan":
            actor.scale.copy_(torch.tensor([0.7, 0.05]))
        if name == "hierarchical_vae":
            actor.table.copy_(torch.arange(25.0).view(5, 5) / 10)
            actor.deviations.copy_(torch.tensor([0.2, 1.0, 1.0, 4.0, 0.3]))
        made.save(folder / f"{name}.safetensors")
    torch.manual_seed(1)
    StyleModel(StyleFacts.of(small.task(), ("chorale", "folk", "noise"))).save(folder / "style")
    reward_model().save(folder / "preference")
    return folder


def reward_model() -> RewardModel:
    """Return a reward model that no listener was asked for."""
    rng, size = np.random.default_rng(5), len(FEATURES)
    mean, weights = rng.uniform(0, 1, size), rng.normal(size=size)
    spread = np.where(np.arange(size) == 7, 0.0, 0.5)  # all are alike in one feature
    return RewardModel(mean, spread, mean - 1.5, mean + 1.5, weights, (("4/4", 1),))


def specs(files: Path) -> dict[str, Any]:
    """Return the six terms, each with its checkpoint."""
    return {
        "prior_log_likelihood": {"scorer": str(files / "melody_lstm.safetensors")},
        "elbo": {"scorer": str(files / "lstm_vae.safetensors"), "spread": "bar"},
        "critic": {"scorer": str(files / "cvae_gan.safetensors")},
        "emotion": {"scorer": str(files / "hierarchical_vae.safetensors"), "target": "sad"},
        "style": {"scorer": str(files / "style"), "style": "folk"},
        "preference": {"scorer": str(files / "preference"), "spread": "bar"},
    }


def vectors(backend: str, rewards: Any, size: int = SIZE, **changes: Any) -> Any:
    return gym.make_vec(
        "MelodyCompose-v0", num_envs=size, backend=backend, rewards=rewards, **{**TASK, **changes}
    )


def actions(steps: int, size: int = SIZE, seed: int = 0) -> Any:
    """Return events (T, B) of which some are no events, or holds of nothing."""
    return random_events(38, steps, seed, size)


def close(ours: Any, theirs: Any, path: str = "") -> None:
    """Assert that two outputs are the same, floats to the rounding of float32 products."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), path
        for name in theirs:
            close(ours[name], theirs[name], f"{path}/{name}")
    elif np.asarray(theirs).dtype.kind == "f":
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=2e-4, atol=2e-4, err_msg=path)
    else:
        np.testing.assert_array_equal(np.asarray(ours), theirs, path)


# --- What a whole melody is paid ---------------------------------------------------------------

LINE = "C4 . E4 G4 | - . C5 B4"  # the hold after the rest is one of nothing


def paid(term: str, settings: Any, text: str = LINE, **changes: Any) -> list[float]:
    """Return the raw values of a term over a melody."""
    env = MelodyComposeEnv(rewards={term: settings}, **{**TASK, "key": "C major", **changes})
    env.reset(seed=0)
    return [env.step(event)[4]["reward_terms"][term] for event in spelt(text)]


def heard(text: str = LINE) -> Lessons:
    """Return what a policy sees of a melody in the tiny task, from the environment itself."""
    env = MelodyComposeEnv(**{**TASK, "key": "C major"})
    seen, played = [env.reset(seed=0)[0]], []
    for event in spelt(text):
        now, _, _, _, info = env.step(event)
        seen.append(now)
        played.append(int(now[0]))
    observation = torch.from_numpy(np.stack(seen[:-1]).astype(np.uint8))[None]
    return Lessons(observation, torch.tensor(played)[None])


def test_the_critic_pays_its_standardised_score_at_the_last_step(files: Path) -> None:
    path = files / "cvae_gan.safetensors"
    model: Any = ACMG.load(path).model.actor
    with torch.no_grad():
        scenes = Scenes(*heard(), model.usual[None])
        raw = float(model.critic(model.hear(scenes), scenes))
    values = paid("critic", {"scorer": str(path)})
    assert values[:-1] == [0.0] * 7
    assert values[-1] == pytest.approx((raw - 0.7) / 0.05, rel=1e-4)


def test_the_style_pays_the_log_odds_at_the_last_step(files: Path) -> None:
    model = StyleModel.load(files / "style")
    probability = float(model(heard().events, torch.tensor([0])).exp()[0, 1])
    values = paid("style", {"scorer": str(files / "style"), "style": "folk"})
    assert values[:-1] == [0.0] * 7
    assert values[-1] == pytest.approx(math.log(probability / (1 - probability)), rel=1e-4)


def test_the_emotion_takes_for_the_distance_in_deviations_at_the_last_step() -> None:
    # 5 notes in 8 steps; intervals 4 3 5 1; pitches 60 64 67 72 71 above C3 + 12
    pitches = np.array([60, 64, 67, 72, 71])
    own = [5 / 8, 13 / 4, pitches.std(), pitches.mean() - 48]
    # sounding: C4 twice, E4, G4, C5, B4: the major 3rd and 7th sound 2 of 6 steps
    own.append(2 / 6)
    off = (np.array(own) - PLAIN["values"][0]) / PLAIN["deviations"]
    values = paid("emotion", {"scorer": PLAIN, "target": "calm"})
    assert values[:-1] == [0.0] * 7
    assert values[-1] == pytest.approx(-math.sqrt((off**2).mean()), abs=1e-9)


def test_each_emotion_has_its_own_target(files: Path) -> None:
    spec = {"scorer": str(files / "hierarchical_vae.safetensors")}
    values = [paid("emotion", {**spec, "target": name})[-1] for name in EMOTIONS]
    assert len(set(values)) == 5


@pytest.mark.parametrize("actor", [name for name in ACTORS if name != "melody_lstm"])
def test_the_elbo_is_the_likelihood_at_the_posteriors_mean_less_the_kl(
    files: Path, actor: str
) -> None:
    path = files / f"{actor}.safetensors"
    model: Any = ACMG.load(path).model.actor
    data = heard()
    with torch.no_grad():
        mean, log_variance = model.encode(data)
        log_p = 0.0
        state = model.begin(torch.cat([mean, model.condition(data)], -1))
        for t in range(STEPS):
            logits, state = model.step(data.observation[:, t], state)
            if not data.observation[0, t, ringing_column(small.task())]:
                logits[:, 0] = -torch.inf
            log_p += float(logits.log_softmax(-1)[0, data.events[0, t]])
        kl = float(0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum())
    values = paid("elbo", {"scorer": str(path)})
    assert values[:-1] == [0.0] * 7
    assert values[-1] == pytest.approx(log_p - kl, rel=1e-4)


def test_the_elbo_by_bars_pays_gains_that_sum_to_the_whole(files: Path) -> None:
    spec = {"scorer": str(files / "lstm_vae.safetensors")}
    at_once = paid("elbo", spec)
    by_bar = paid("elbo", {**spec, "spread": "bar"})
    assert [step for step, value in enumerate(by_bar) if value] == [3, 7]
    assert sum(by_bar) == pytest.approx(at_once[-1], rel=1e-6)
    model: Any = ACMG.load(files / "lstm_vae.safetensors").model.actor
    first = Lessons(*(part[:, :4] for part in heard()))
    with torch.no_grad():
        posterior = model.encode(first)
        logits = model.whole(first.observation, latent=posterior.mean)
        bound = -nll(logits, first, model.ringing).sum() - posterior.kl().sum()
    assert by_bar[3] == pytest.approx(float(bound), rel=1e-4)


# --- The log-likelihood of a prior -------------------------------------------------------------

READINGS: list[dict[str, Any]] = [
    {},
    {"chords_per_bar": 4, "progression": "I V vi IV ii V I I"},
    {"chords_per_bar": 2, "progression": "I V", "scoring": "literal"},
    {"rewards": {"median_line": {"median": "random"}}, "progression": "random"},
    {"rewards": {"median_line": {"median": "nearest"}}, "bars": 4, "progression": "random"},
]


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("backend", ["arrays", "tensor"])
def test_the_prior_pays_what_it_would_have_said_in_the_rollout(
    files: Path, actor: str, backend: str
) -> None:
    terms = {"prior_log_likelihood": {"scorer": str(files / f"{actor}.safetensors")}}
    policy: Any = ACMG.load(files / f"{actor}.safetensors").model.actor
    for changes in READINGS:
        given = {**changes, "rewards": {**terms, **changes.get("rewards", {})}}
        envs = vectors(backend, autoreset_mode="Disabled", **given)
        latent = None
        if actor != "melody_lstm":
            zeros = torch.zeros(SIZE, 4)
            latent = torch.cat([zeros, policy.asked(SIZE)], -1)
        rollout = play(envs, policy, seed=1, keep=True, latent=latent)
        assert rollout.logits is not None
        said = rollout.logits.log_softmax(-1).gather(-1, rollout.events[..., None])[..., 0]
        place = envs.reward.names.index("prior_log_likelihood")
        terms_paid = rollout.terms[..., place].float()
        torch.testing.assert_close(terms_paid, said, rtol=1e-4, atol=1e-4)
        assert (said < -0.01).all()


def test_a_hold_of_nothing_is_paid_as_the_rest_that_it_counts_as(files: Path) -> None:
    spec = {"scorer": str(files / "melody_lstm.safetensors")}
    assert paid("prior_log_likelihood", spec, ". C4 - .") == paid(
        "prior_log_likelihood", spec, "- C4 - -"
    )


def test_a_prior_is_what_the_agent_learned_from_its_corpus(files: Path, tmp_path: Path) -> None:
    made, other = agent("melody_lstm"), agent("melody_lstm", seed=8)
    made.prior = other.model.actor
    made.save(tmp_path / "both")
    other.save(tmp_path / "other")
    values = [
        paid("prior_log_likelihood", {"scorer": str(tmp_path / n)}) for n in ("both", "other")
    ]
    assert values[0] == values[1]
    assert values[0] != paid(
        "prior_log_likelihood", {"scorer": str(files / "melody_lstm.safetensors")}
    )


def test_a_prior_can_be_asked_for_an_attribute(files: Path) -> None:
    spec: dict[str, Any] = {"scorer": str(files / "hierarchical_vae.safetensors")}
    sad, calm, usual = (
        paid("prior_log_likelihood", {**spec, **asked})
        for asked in ({"attributes": {"emotion": "sad"}}, {"attributes": {"emotion": "calm"}}, {})
    )
    assert sad != calm and sad != usual


def test_what_a_corpus_is_paid_is_its_likelihood_in_pretraining(files: Path) -> None:
    corpus, task = small.corpus(), Task(key="natural", progression="random", bars=2,
                                        steps_per_beat=1)  # fmt: skip
    data = lessons(corpus, "test", task)
    cut = windows(corpus, "test", bars=2, meter="4/4", low=task.low, high=task.high)
    model: Any = ACMG.load(files / "melody_lstm.safetensors").model.actor
    with torch.no_grad():
        expected = -nll(model.whole(data.observation), data, ringing_column(task)).numpy()
    reward = load({k: v for k, v in specs(files).items() if "prior" in k}, task.steps)
    episodes = episodes_of(cut, task)
    c, state = begin(episodes, task, reward.readings, steps_per_chord=task.steps_per_beat)
    raw = pay(c, state, cut.events, reward, episodes, task)
    np.testing.assert_allclose(raw[..., 0], expected, rtol=1e-4, atol=1e-5)


# --- What a melody looks like ------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["arrays", "tensor"])
@pytest.mark.parametrize(
    "task",
    [
        {"key": "random", "progression": "random", "bars": 4},
        {"meter": "6/8", "steps_per_beat": 2, "chords_per_bar": 2, "progression": "I IV V I"},
        {"meter": "3/4", "scoring": "literal", "rewards": "acmg_literal", "progression": "random"},
        {"key": "F# minor", "chords_per_bar": 4, "rewards": {"median_line": {"median": "nearest"}},
         "progression": "i iv V i"},
    ],
    ids=str,
)  # fmt: skip
def test_melodies_are_observed_as_the_environment_shows_them(
    task: dict[str, Any], backend: str
) -> None:
    envs = vectors(backend, **{"rewards": "acmg", "autoreset_mode": "Disabled", **task})
    now, _ = envs.reset(seed=4)
    seen, played = [], []
    for column in actions(envs.task.steps):
        seen.append(np.asarray(now).copy())
        now = envs.step(torch.from_numpy(column) if backend == "tensor" else column)[0]
        played.append(np.asarray(envs.played))
    told = Melodies(np.stack(played, 1), envs.episodes(), envs.constants)
    np.testing.assert_array_equal(told.observations(), np.stack(seen, 1))


# --- Wherever it pays --------------------------------------------------------------------------


def with_cache(files: Path) -> dict[str, Any]:
    """Return the terms with a prior whose state has no row for each melody."""
    path = str(files / "transformer_vae.safetensors")
    return {**specs(files), "prior_log_likelihood": {"scorer": path}}


@pytest.mark.parametrize(
    ("mode", "spec"), [*((mode, specs) for mode in MODES), ("Disabled", with_cache)]
)
def test_a_batch_pays_what_its_single_environments_pay_whenever_they_end(
    files: Path, mode: str, spec: Any
) -> None:
    rewards = spec(files)
    single = [lambda: gym.make("MelodyCompose-v0", rewards=rewards, **TASK)] * SIZE
    sync = SyncVectorEnv(single, autoreset_mode=AutoresetMode(mode))
    batches = {b: vectors(b, rewards, autoreset_mode=mode) for b in ("arrays", "tensor")}
    opening = {"events": [26, 0, 28]}
    mask = np.array([True, False, False])
    sync.reset(seed=3, options=dict(opening))
    for envs in batches.values():
        envs.reset(seed=3, options=dict(opening))
    ended = set()
    for step, column in enumerate(actions(20)):
        theirs = sync.step(column)
        ended |= {(i, step) for i in np.flatnonzero(theirs[2])}
        for name, envs in batches.items():
            ours = envs.step(torch.from_numpy(column) if name == "tensor" else column)
            close(ours[1], theirs[1], f"{name} {step}")
            if "reward_terms" in theirs[4]:
                close(ours[4]["reward_terms"], theirs[4]["reward_terms"], f"{name} {step}")
        if (mode == "Disabled" and theirs[2].any()) or step == 2:
            which = mask if step == 2 else theirs[2].copy()
            for envs in (sync, *batches.values()):  # an opening: the others must not hear it
                envs.reset(options={"reset_mask": which.copy(), **opening})
    assert len({step for _, step in ended}) > 2, "they all ended together"


def test_the_compiled_backend_pays_the_same(files: Path) -> None:
    rewards = {**specs(files), "chord_tone": 1.0}
    one, other = (vectors(backend, rewards) for backend in ("arrays", "compiled"))
    one.reset(seed=0), other.reset(seed=0)
    for column in actions(10):
        close(other.step(column)[1], one.step(column)[1])


@pytest.mark.parametrize("spec", [specs, with_cache])
@pytest.mark.parametrize("backend", ["arrays", "tensor"])
def test_the_state_of_a_batch_can_be_taken_and_put_back(
    files: Path, backend: str, spec: Any
) -> None:
    envs = vectors(backend, spec(files))
    envs.reset(seed=0)
    columns = actions(14)
    columns = torch.from_numpy(columns) if backend == "tensor" else columns
    for column in columns[:3]:
        envs.step(column)
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    for column in columns[3:6]:
        envs.step(column)
    state = envs.get_state()
    rest = [np.asarray(envs.step(column)[1]) for column in columns[6:]]
    for _ in range(2):
        envs.set_state(state)
        again = [np.asarray(envs.step(column)[1]) for column in columns[6:]]
        np.testing.assert_allclose(again, rest, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("backend", ["arrays", "tensor"])
def test_copies_pickles_and_replays_do_not_disturb_an_environment(
    files: Path, backend: str
) -> None:
    envs, same = (vectors(backend, specs(files)) for _ in range(2))
    envs.reset(seed=0), same.reset(seed=0)
    columns = actions(STEPS)
    for column in columns[:3]:
        envs.step(column), same.step(column)
    data = pickle.dumps(envs)
    for copied in (copy.deepcopy(envs), pickle.loads(data)):
        told = [np.asarray(copied.step(column)[1]) for column in columns[3:]]
    episodes = type(envs.episodes())(*(np.asarray(part) for part in envs.episodes()))
    c, state = begin(episodes, envs.task, envs.reward.readings)
    raw = pay(c, state, columns.T, envs.reward, episodes, envs.task)
    expected = [np.asarray(same.step(column)[1]) for column in columns[3:]]
    np.testing.assert_allclose(told, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(raw.sum(2).T[3:], expected, rtol=2e-4, atol=2e-4)
    ours = [np.asarray(envs.step(column)[1]) for column in columns[3:]]
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


def test_a_pickled_environment_keeps_the_path_and_not_the_weights(files: Path) -> None:
    env = MelodyComposeEnv(rewards=specs(files), **TASK)
    assert len(pickle.dumps(env)) < 60_000
    model: Any = ACMG.load(files / "melody_lstm.safetensors").model.actor
    scorer = PolicyScorer(model, small.task(key="natural"))
    held = MelodyComposeEnv(rewards={"prior_log_likelihood": {"scorer": scorer}}, **TASK)
    first, second = (pickle.loads(pickle.dumps(e)) for e in (env, held))
    for one in (first, second):
        one.reset(seed=0)
    name = "prior_log_likelihood"
    for event in spelt(LINE):
        told = [one.step(event)[4]["reward_terms"][name] for one in (first, second)]
        assert told[0] == told[1]


def test_an_environment_is_made_anew_from_its_specification(files: Path) -> None:
    env = gym.make("MelodyCompose-v0", rewards=specs(files), **TASK)
    assert env.spec is not None
    twin = gym.make(EnvSpec.from_json(env.spec.to_json()))
    env.reset(seed=5), twin.reset(seed=5)
    for event in spelt(LINE):
        one, other = env.step(event), twin.step(event)
        assert one[1] == other[1] and one[4]["reward_terms"] == other[4]["reward_terms"]


def test_rewards_are_paid_when_the_timing_says_and_at_their_weights(files: Path) -> None:
    weighed = {name: {**spec, "weight": 0.5} for name, spec in specs(files).items()}
    dense, late = (vectors("arrays", weighed, reward_timing=timing) for timing in ("dense", "end"))
    dense.reset(seed=0), late.reset(seed=0)
    total: Any = 0.0
    for column in actions(STEPS):
        _, reward, _, _, infos = dense.step(column)
        told = sum(0.5 * infos["reward_terms"][name] for name in NAMES)
        np.testing.assert_allclose(reward, told, rtol=1e-9)
        total = total + reward
        last = late.step(column)[1]
    np.testing.assert_allclose(last, total, rtol=1e-6)


def test_a_term_of_weight_zero_is_still_reported(files: Path) -> None:
    zero = {name: {**spec, "weight": 0.0} for name, spec in specs(files).items()}
    env = MelodyComposeEnv(rewards=zero, **TASK)
    env.reset(seed=0)
    for event in spelt(LINE):
        _, reward, _, _, info = env.step(event)
    assert reward == 0.0 and all(info["reward_terms"][name] for name in NAMES)


def test_inference_mode_may_be_entered_and_left_between_steps(files: Path) -> None:
    plain, mixed = (vectors("tensor", with_cache(files)) for _ in range(2))
    plain.reset(seed=0)
    with torch.inference_mode():
        mixed.reset(seed=0)
    for step, column in enumerate(torch.from_numpy(actions(20))):
        with torch.inference_mode(step % 2 == 0):
            got = mixed.step(column)[1]
        torch.testing.assert_close(got.clone(), plain.step(column)[1], rtol=1e-4, atol=1e-4)


def test_a_search_and_a_longer_melody_are_paid_too(files: Path) -> None:
    envs = small.vector_env(3, rewards=specs(files), key="natural", bars=4, progression="random")
    envs.reset(seed=0)
    policy: Any = ACMG.load(files / "melody_lstm.safetensors").model.actor
    made = imagine(policy, envs.episodes(), envs.task, envs.reward, seed=2)
    for column in made.events.T:
        envs.step(column)
    assert np.isfinite(made.paid).all() and (made.paid[:, 0] < 0).all()
    whole = slice(2, 5)  # the others are paid by steps or bars
    np.testing.assert_allclose(envs.raw[:, whole], made.paid[:, whole], rtol=2e-4)


def test_an_agent_composes_in_another_key_under_its_own_learned_reward(files: Path) -> None:
    config = replace(agent("melody_lstm").config, rewards=specs(files))
    one, other = (ACMG(config).compose(key, "I V", bars=2, seed=1)[0] for key in ("C", "Eb"))
    for name, value in one.paid.items():
        assert other.paid[name] == pytest.approx(value, rel=1e-4), name


def step_by_step(ours: Any, theirs: Any) -> None:
    """Assert that tensors of any device are paid as arrays, whenever their melodies end."""
    ours.reset(seed=0), theirs.reset(seed=0)
    for step, column in enumerate(actions(20)):
        a, b = ours.step(torch.from_numpy(column).to(ours.device)), theirs.step(column)
        assert a[1].device.type == ours.device
        np.testing.assert_allclose(a[1].cpu(), b[1], rtol=2e-3, atol=2e-3)
        if (ours.metadata["autoreset_mode"].value == "Disabled" and b[2].any()) or step == 2:
            which = b[2].copy() if step != 2 else np.arange(SIZE) == 0
            for envs in (ours, theirs):
                envs.reset(options={"reset_mask": which.copy(), "events": [26, 0]})


@pytest.mark.parametrize("actor", ["melody_lstm", "transformer_vae"])
@pytest.mark.parametrize("mode", MODES)
def test_melodies_move_by_tensors_as_by_numpy(files: Path, mode: str, actor: str) -> None:
    prior = {"prior_log_likelihood": {"scorer": str(files / f"{actor}.safetensors")}}
    task = {"autoreset_mode": mode, "progression": "random"}
    rewards = {**prior, "median_line": {"median": "random"}}
    ours, theirs = (vectors(backend, rewards, **task) for backend in ("tensor", "arrays"))
    ours.reward.terms[-1].pays.judge.by_numpy = lambda device: False  # as on a GPU
    step_by_step(ours, theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("spec", [specs, with_cache])
@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_pays_what_numpy_pays(files: Path, mode: str, spec: Any) -> None:
    rewards = spec(files)
    ours = vectors("tensor", rewards, device="cuda", autoreset_mode=mode)
    step_by_step(ours, vectors("arrays", rewards, autoreset_mode=mode))


# --- What is refused ---------------------------------------------------------------------------


def refused(rewards: Any, words: str, **changes: Any) -> None:
    with pytest.raises(ValueError, match=words):
        MelodyComposeEnv(rewards=rewards, **{**TASK, **changes})


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_corrupt_or_of_another_kind_is_named(
    files: Path, tmp_path: Path, name: str
) -> None:
    corrupt, other = tmp_path / "corrupt.safetensors", tmp_path / "other.safetensors"
    corrupt.write_bytes(b"no checkpoint")
    checkpoints.save(other, "markov", {}, {})
    kind = name if name in ("style", "preference") else "acmg"
    wrong = files / ("melody_lstm.safetensors" if name == "style" else "style")
    held = "acmg" if name == "style" else "style"
    spec = specs(files)[name]
    for path, words in (
        (tmp_path / "none", f"{name}: .*there is no file .*none"),
        (corrupt, f"{name}: .*corrupt.safetensors is corrupt"),
        (other, f"{name}: .*other.safetensors holds 'markov', not '{kind}'"),
        (wrong, f"{name}: .*holds '{held}', not '{kind}'"),
    ):
        refused({name: {**spec, "scorer": str(path)}}, words)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps_per_beat": 2}, "4/4, 1 steps a beat.*the task has 4/4, 2 steps a beat"),
        ({"meter": "3/4"}, "4/4, 1 steps.*the task has 3/4, 1 steps"),
    ],
)
def test_another_grid_or_meter_is_refused(
    files: Path, name: str, changes: dict[str, Any], words: str
) -> None:
    refused({name: specs(files)[name]}, f"{name}: .*{words}", **changes)


@pytest.mark.parametrize("name", ["prior_log_likelihood", "elbo", "critic", "style"])
def test_another_range_is_refused(files: Path, name: str) -> None:
    words = "pitches 48 to 83.*the task has .*pitches 50 to 85"
    refused({name: specs(files)[name]}, words, pitch_range=("D3", "C#6"))
    refused({name: specs(files)[name]}, "48 to 83.* 48 to 84", pitch_range=("C3", "C6"))


@pytest.mark.parametrize("name", ["prior_log_likelihood", "elbo", "critic"])
def test_a_key_that_was_not_learned_is_refused_unless_the_range_moves_with_it(
    files: Path, name: str
) -> None:
    spec = {name: specs(files)[name]}
    refused(spec, "in C major and A minor; the task has .* in any key", key="random")
    refused(spec, "in D major .pitches 46 to 81 when moved there", key="D major")
    MelodyComposeEnv(rewards=spec, **{**TASK, "key": "D major", "pitch_range": ("D3", "C#6")})
    MelodyComposeEnv(rewards=spec, **{**TASK, "key": "A minor", "progression": "i V"})


def test_a_style_is_judged_in_any_key_with_the_range_moved_or_not(files: Path) -> None:
    spec = {"scorer": str(files / "style"), "style": "folk"}
    in_c = paid("style", spec, "C4 D4 E4 . | G4 - C5 B4")
    moved = {"key": "D major", "pitch_range": ("D3", "C#6")}
    env = MelodyComposeEnv(rewards={"style": spec}, **{**TASK, **moved})
    env.reset(seed=0)
    for event in spelt("D4 E4 F#4 . | A4 - D5 C#5", low=50):
        value = env.step(event)[1]
    assert value == in_c[-1]
    in_d = paid("style", spec, "D4 E4 F#4 . | A4 - D5 C#5", key="D major")
    assert in_d[-1] == pytest.approx(in_c[-1])
    refused({"style": spec}, "48 to 83.* 50 to 85", key="C major", pitch_range=("D3", "C#6"))


@pytest.mark.parametrize("name", ["elbo", "critic", "emotion"])
def test_a_model_that_cannot_judge_is_refused(files: Path, name: str) -> None:
    path = str(files / "melody_lstm.safetensors")
    wanted = {"elbo": "latent vector: one of lstm_vae", "critic": "critic of a cvae_gan",
              "emotion": "targets of a hierarchical_vae"}[name]  # fmt: skip
    words = f"melody_lstm.safetensors holds a melody_lstm, and this term needs .*{wanted}"
    refused({name: {**specs(files)[name], "scorer": path}}, words)


def test_targets_of_a_model_that_has_met_no_corpus_are_refused(tmp_path: Path) -> None:
    agent("hierarchical_vae").save(tmp_path / "new")
    spec = {"emotion": {"scorer": str(tmp_path / "new"), "target": "sad"}}
    refused(spec, "new has learned from no corpus yet")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("emotion", {"target": "said"}, "'said' is not one of cheerful.*did you mean 'sad'"),
        ("emotion", {"scorer": {"values": [[0]]}}, "deviations"),
        ("emotion", {"scorer": {**PLAIN, "deviations": [1, 1, 1, 1, 0]}}, "above 0"),
        ("emotion", {"scorer": 3}, "a int has no targets: give a path, plain numbers"),
        ("style", {"style": "folks"}, "'folks' is not one of chorale, folk, noise; did you mean"),
        ("style", {"style": None}, "say which, of chorale, folk, noise"),
        ("elbo", {"spread": "step"}, "spread='step' is not one of end, bar"),
        ("preference", {"spread": "step"}, "spread='step' is not one of end, bar"),
        ("critic", {"loader": "nothing.here:load"}, "'nothing.here:load' cannot be loaded"),
        ("critic", {"loader": "musicgym.agents.checkpoints"}, "cannot be loaded"),
        ("critic", {"loder": "x"}, "no parameter 'loder'; did you mean 'loader'"),
        ("prior_log_likelihood", {"attributes": {"emotion": "sad"}}, "MelodyLSTM, which has none"),
        ("style", {"scorer": object()}, "style goes with the path of a file; .* a object"),
    ],
)
def test_a_wrong_parameter_is_named(
    files: Path, name: str, changes: dict[str, Any], words: str
) -> None:
    refused({name: {**specs(files)[name], **changes}}, words)


def test_a_prior_is_not_asked_for_what_it_has_not_learned(files: Path) -> None:
    spec = {"scorer": str(files / "hierarchical_vae.safetensors")}
    refused(
        {"prior_log_likelihood": {**spec, "attributes": {"emotion": "angry"}}},
        "'angry' is nothing that HierarchicalVAE has learned",
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_learned_term_needs_a_scorer(name: str) -> None:
    refused({name: 1.0}, f"'{name}' needs a value for .*scorer")


def test_melodies_without_an_environment_need_the_task(files: Path) -> None:
    envs = small.vector_env(2, rewards=specs(files), key="natural")
    envs.reset(seed=0)
    reward, events = load(specs(files), STEPS), np.ones((2, STEPS), np.int64)
    c, state = begin(envs.episodes(), envs.task, reward.readings)
    with pytest.raises(ValueError, match="PriorLogLikelihood needs the task"):
        pay(c, state, events, reward, envs.episodes())
    other = small.task(key="natural", meter="3/4")
    with pytest.raises(ValueError, match="the task has 3/4"):
        pay(c, state, events, reward, envs.episodes(), other)
    for term in reward.terms:
        with pytest.raises(ValueError, match="has not met a task"):
            load(specs(files), STEPS).terms[0].pays.begin(envs.episodes(), np.ones(2, np.bool_))
        assert not term.pays.exact_optimum


def test_a_task_of_the_benchmark_meets_its_reward(files: Path) -> None:
    assert BenchmarkTask(specs(files), bars=2, steps_per_beat=1).reward.names == tuple(NAMES)
    with pytest.raises(ValueError, match="the task has 4/4, 2 steps"):
        BenchmarkTask(specs(files), bars=2)


@pytest.mark.parametrize("name", NAMES)
def test_every_learned_term_has_a_source_a_range_and_a_worked_example(
    files: Path, name: str
) -> None:
    text = inspect.getdoc(type(load({name: specs(files)[name]}, 8).terms[0].pays)) or ""
    assert re.search(r"Reference: ", text) and re.search(r"Range: ", text) and ">>>" in text
