"""The exact planner is exact: brute force, replay in the environment, and enumeration agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from small import vector_env

from musicgym.agents import planning_tables
from musicgym.agents.dependence import fields_read
from musicgym.agents.exact_planner import (
    ExactPlanner,
    NotFiniteMemory,
    clairvoyant,
    conflicts,
    highest,
    plan,
    single_rule_maxima,
)
from musicgym.agents.heuristics import HeldTonic, NearestChordTone, UniformRandom
from musicgym.agents.planning_tables import Model
from musicgym.agents.policy import masked
from musicgym.agents.rollout import play
from musicgym.dynamics import RUN_CAP, Constants, Moment, State, advance, moment
from musicgym.replay import begin, pay
from musicgym.reward import Reward, Rule, SequenceTerm, Term, load
from musicgym.rewards.presets import PRESETS
from musicgym.select import where
from musicgym.task import Task

#: One octave, so that all melodies of a few steps can be tried.
NARROW: dict[str, Any] = {"pitch_range": ("C4", "C5"), "tessitura": ("D4", "A4")}


@dataclass(frozen=True)
class Ramp(Rule):
    """A user's rule: pays more from step to step, for short runs of new notes."""

    def __call__(self, m: Moment) -> Any:
        return where(m.struck & (m.run_length < 3), 0.1 * m.step, 0.05 * m.bar)


@dataclass(frozen=True)
class Clipped(Rule):
    """A user's rule whose text cannot be inlined."""

    def __call__(self, m: Moment) -> Any:
        return np.minimum(m.run_length, 3) * where(m.extra_before, -0.2, 0.1) + 0.01 * m.beat


@dataclass(frozen=True)
class Branching(Rule):
    """A user's rule that goes another way at the last step, and runs on a batch all the same."""

    def __call__(self, m: Moment) -> Any:
        if np.all(m.last_step):
            return where(m.interval == 7, 1.0, 0.0)
        return 0.1 * m.struck


@dataclass(frozen=True)
class HandedOn(Branching):
    """A user's rule that leaves its moment to another text."""

    def __call__(self, m: Moment) -> Any:
        return np.minimum(super().__call__(m), 0.5)


SPECS: list[Any] = [
    *PRESETS,
    {"preset": "acmg", "non_chord_tone": {"reading": "formula"}},
    {"preset": "acmg", "non_chord_tone": {"reading": "lenient", "scope": "previous_weak"}},
    {"preset": "acmg", "median_line": {"median": "random"}},
    {"preset": "acmg", "median_line": {"median": "nearest"}, "scoring": "onset"},
    {"preset": "acmg_literal", "non_chord_tone": {"scope": "previous_weak", "weight": -0.7}},
    {"preset": "acmg_literal", "median_line": {"median": "nearest"}},
    {"repetition": {"max_run": 4, "weight": 2.5}, "chord_tone": {"rest": -0.3}},
    {f"{__name__}:Ramp": 1.0, "octave_leap": 0.5},
    {f"{__name__}:Clipped": 1.0, "pitch_range": {}},
    {f"{__name__}:Branching": 1.0},
]


def random_states(task: Task, reward: Reward, steps: int, size: int) -> tuple[Constants, State]:
    """Return states that need not be reachable, some steps before the end."""
    rng = np.random.default_rng(steps)
    envs = vector_env(size, **{f: getattr(task, f) for f in task.__dataclass_fields__})
    envs.reset(seed=3)
    c, state = begin(envs.episodes(), task, reward.readings)
    pitch = np.where(rng.random(size) < 0.1, 0, rng.integers(task.low, task.high + 1, size))
    return c, state._replace(
        step=np.full(size, task.steps - steps),
        event=rng.integers(0, task.n_events, size),
        pitch=pitch,
        ringing=(pitch > 0) & (rng.random(size) < 0.7),
        run=rng.integers(0, RUN_CAP + 1, size),
        extra=rng.random(size) < 0.5,
        weak_extra=rng.random(size) < 0.5,
        median=rng.choice([0, *range(c.window, c.window + 12)], size),
    )


def brute(c: Constants, state: State, reward: Reward, chances: Sequence[int], sign: int) -> Any:
    """Return the best of the signed returns (N,) over all event sequences, and over all draws."""
    if state.step[0] == c.steps:
        return np.zeros(len(state.step))
    size = len(state.step)
    wide = State(*(np.repeat(column, c.n_events) for column in state))
    m = moment(c, wide, np.tile(np.arange(c.n_events), size))
    total: Any = np.zeros(len(wide.step))
    for term in reward.terms:
        if isinstance(term.pays, Rule):
            total = total + sign * term.weight * term.pays(m)
    for chance in chances:
        after = advance(c, wide, m, np.full(len(wide.step), chance))
        total = total + brute(c, after, reward, chances, sign) / len(chances)
    return total.reshape(size, -1).max(1)


PLACES: list[dict[str, Any]] = [
    {"bars": 2, "meter": "4/4", "progression": "I V vi IV", "chords_per_bar": 2, "key": "random"},
    {"bars": 1, "meter": "6/8", "progression": "V7 i N.C.", "chords_per_bar": 6, "key": "A minor"},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(("place", "steps", "size"), [(PLACES[0], 3, 12), (PLACES[1], 2, 25)])
def test_the_value_is_that_of_brute_force_from_any_state(
    spec: Any, place: Any, steps: int, size: int
) -> None:
    task = Task(steps_per_beat=1, **place, **NARROW)
    reward = load(spec, task.steps)
    c, state = random_states(task, reward, steps, size)
    chances = [0] if reward.readings.median != "random" else range(12 if steps == 2 else 3)
    for sign in (1, -1):
        mix = sign * reward.weights[: len(reward.rules)]
        found = Model(c, state, reward.rules, [mix]).sweep([0], highest)[:, 0]
        expected = brute(c, state, reward, chances, sign)
        np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("spec", ["acmg", "balanced"])
def test_the_value_is_that_of_brute_force_four_steps_from_the_end(spec: str) -> None:
    task = Task(steps_per_beat=1, **PLACES[0], **NARROW)
    reward = load(spec, task.steps)
    c, state = random_states(task, reward, 4, 4)
    found = Model(c, state, reward.rules, [reward.weights[: len(reward.rules)]])
    expected = brute(c, state, reward, [0], 1)
    np.testing.assert_allclose(found.sweep([0], highest)[:, 0], expected, atol=1e-9, rtol=0)


def returns(envs: Any, rollout: Any) -> Any:
    """Return the returns in float64 of the terms that a planner keeps."""
    rules = [i for i, term in enumerate(envs.reward.terms) if isinstance(term.pays, Rule)]
    return rollout.terms.numpy()[..., rules].sum(1) @ envs.reward.weights[rules]


GRIDS = [
    {"meter": "4/4", "steps_per_beat": 2, "progression": "random", "key": "random"},
    {"meter": "3/4", "steps_per_beat": 1, "progression": "I N.C."},
    {"meter": "6/8", "steps_per_beat": 1, "progression": "V7 vi", "chords_per_bar": 2},
    {"meter": "2/4", "steps_per_beat": 4, "progression": "I IV", "pitch_range": ("A2", "B4")},
]


SURE = [spec for spec in SPECS if load(spec, 8).readings.median != "random"]


def rules_only(reward: Reward) -> Reward:
    """Return a reward without its sequence terms."""
    return Reward(
        tuple(t for t in reward.terms if not isinstance(t.pays, SequenceTerm)), reward.readings
    )


@pytest.mark.parametrize("spec", SURE, ids=str)
@pytest.mark.parametrize("grid", GRIDS, ids=lambda g: g["meter"])
def test_its_melodies_return_exactly_the_value_in_the_environment(spec: Any, grid: Any) -> None:
    envs = vector_env(8, rewards=spec, **{**NARROW, **grid})
    reward = rules_only(envs.reward)
    rollout = play(envs, ExactPlanner(envs.task, reward), seed=5)
    found = plan(envs.task, reward, rollout.episodes)
    np.testing.assert_allclose(returns(envs, rollout), found.value, atol=1e-9, rtol=0)
    assert (found.count >= 1).all()


DRAWN: dict[str, Any] = {
    "median_line": {"median": "random", "reach": 1},
    "octave_leap": {"reach": 3, "beyond": -0.7},
}


@pytest.mark.parametrize("scoring", ["literal", "time"])
def test_with_draws_to_come_the_value_is_the_mean_and_foresight_is_a_bound(scoring: str) -> None:
    spec = {**DRAWN, "scoring": scoring}
    envs = vector_env(400, rewards=spec, progression="I V7", chords_per_bar=2)
    policy = ExactPlanner(envs.task, envs.reward)
    rollout = play(envs, policy, seed=5)
    logits, _ = policy(rollout.observation[:, 0], policy.initial_state(rollout.episodes))
    assert set(logits.unique().tolist()) == {-1e9, 0.0}  # evenly among the optimal events
    found = plan(envs.task, envs.reward, rollout.episodes)
    bound = clairvoyant(envs.task, envs.reward, rollout.episodes)
    played = returns(envs, rollout)
    assert np.isnan(found.count).all()
    assert (played <= bound + 1e-9).all() and bound.mean() > found.value.mean() + 0.02
    error = (played - found.value).std() / 20
    assert abs((played - found.value).mean()) < 4 * error < 0.2


@pytest.mark.parametrize("spec", ["acmg", "balanced", {"preset": "acmg", "pitch_range": -2.0}])
def test_no_melody_is_better(spec: Any) -> None:
    envs = vector_env(300, rewards=spec, progression="random", key="natural")
    policies = (UniformRandom(envs.task), HeldTonic(envs.task), NearestChordTone(envs.task))
    played = [play(envs, policy, seed=2) for policy in policies]
    best = plan(envs.task, envs.reward, played[0].episodes).value
    for rollout in played:
        assert (returns(envs, rollout) <= best + 1e-9).all()


def every_melody(envs: Any) -> tuple[Any, Any]:
    """Return all valid melodies (N, T), and what each rule pays for them (N, K), episode 0."""
    task, reward = envs.task, envs.reward
    c, state = begin(envs.episodes(), task, reward.readings)
    events = np.array(list(itertools.product(range(task.n_events), repeat=task.steps)))
    ringing = np.zeros(len(events), np.bool_)
    valid = np.ones(len(events), np.bool_)
    for column in events.T:
        valid &= (column != 0) | ringing
        ringing = (column > 1) | (ringing & (column == 0))
    events = events[valid]
    some = State(*(np.repeat(column[:1], len(events)) for column in state))
    return events, pay(c, some, events, reward).sum(1)[:, : len(reward.rules)]


def three_beats(spec: Any) -> Any:
    envs = vector_env(
        3, rewards=spec, meter="3/4", bars=1, progression="I V7 I", chords_per_bar=3, **NARROW
    )
    envs.reset(seed=1)
    return envs


@pytest.mark.parametrize(
    "spec", ["acmg", "balanced", {"chord_tone": 1.0}, {"non_chord_tone": {"reading": "formula"}}]
)
def test_the_count_is_that_of_all_melodies_and_each_is_equally_likely(spec: Any) -> None:
    envs = three_beats(spec)
    events, raw = every_melody(envs)
    total = raw @ envs.reward.weights[: raw.shape[1]]
    optimal = {tuple(e) for e in events[total >= total.max() - 1e-9]}
    found = plan(envs.task, envs.reward, envs.episodes())
    np.testing.assert_allclose(found.value, total.max(), atol=1e-9)
    assert found.count.tolist() == [len(optimal)] * 3
    policy = ExactPlanner(envs.task, envs.reward)
    rollout = play(envs, policy, seed=4)
    state, sure = policy.initial_state(rollout.episodes), torch.zeros(3)
    for t in range(3):
        logits, state = policy(rollout.observation[:, t], state)
        logits = masked(logits, rollout.observation[:, t], policy.columns["ringing"])
        sure += logits.log_softmax(-1).gather(1, rollout.events[:, t, None])[:, 0]
    assert all(tuple(e) in optimal for e in rollout.events.tolist())
    np.testing.assert_allclose(sure, [-math.log(len(optimal))] * 3, rtol=1e-5, atol=1e-6)


def test_single_rules_and_conflicts_are_those_of_all_melodies() -> None:
    spec = {"preset": "acmg", "non_chord_tone": {"reading": "formula"}, "state_variance": 0.0}
    envs = three_beats({**spec, "median_line": {"median": "nearest"}})
    _, raw = every_melody(envs)
    least, most = single_rule_maxima(envs.task, envs.reward, envs.episodes())
    np.testing.assert_allclose(least, np.tile(raw.min(0), (3, 1)), atol=1e-9)
    np.testing.assert_allclose(most, np.tile(raw.max(0), (3, 1)), atol=1e-9)
    expected = np.full((raw.shape[1],) * 2, np.nan)
    for i, j in itertools.product(range(raw.shape[1]), repeat=2):
        span = np.ptp(raw[:, j])
        if span > 1e-9:
            got = raw[raw[:, i] >= raw[:, i].max() - 1e-9, j].max()
            expected[i, j] = (raw[:, j].max() - got) / span
    found = conflicts(envs.task, envs.reward, envs.episodes())
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.isnan(found).any() and np.nanmax(found) > 0.1


class Whole(SequenceTerm):
    """Judges the whole melody."""


def test_a_term_that_judges_the_whole_melody_is_refused_by_name_unless_it_weighs_nothing() -> None:
    envs = three_beats("acmg")
    reward = Reward((*envs.reward.terms, Term("whole", 0.5, Whole())), envs.reward.readings)
    with pytest.raises(NotFiniteMemory, match="whole"):
        plan(envs.task, reward, envs.episodes())
    with pytest.raises(NotFiniteMemory, match="whole"):
        ExactPlanner(envs.task, reward).initial_state(envs.episodes())
    found = plan(envs.task, reward, envs.episodes(), weights={"whole": 0.0})
    without = plan(envs.task, envs.reward, envs.episodes())
    assert (found.value.tolist(), found.count.tolist()) == (
        without.value.tolist(),
        without.count.tolist(),
    )


def test_weights_change_the_optimum_and_must_fit() -> None:
    envs = three_beats({"chord_tone": 1.0, "final_tonic": 1.0})
    arguments = envs.task, envs.reward, envs.episodes()
    # Only beat 1 of 3/4 is strong; C, then the tonic at the end: 0.6 and 0.8.
    assert plan(*arguments).value == pytest.approx([1.4] * 3)
    assert plan(*arguments, weights={"chord_tone": -1.0}).value == pytest.approx([1.8] * 3)
    assert plan(*arguments, weights=[2.0, -1.0]).value == pytest.approx([1.8] * 3)
    with pytest.raises(ValueError, match="chord_tone"):
        plan(*arguments, weights={"chord_tones": 1.0})
    for wrong in ([1.0], [1.0, math.inf], {"chord_tone": math.nan}):
        with pytest.raises(ValueError, match="2 finite numbers"):
            plan(*arguments, weights=wrong)


def test_a_report_hears_each_step() -> None:
    envs, heard = three_beats("acmg"), []
    plan(envs.task, envs.reward, envs.episodes(), report=heard.append)
    assert heard == [{"steps": 1}, {"steps": 2}, {"steps": 3}]


def test_only_what_the_reward_depends_on_is_told_apart() -> None:
    envs = vector_env(4, progression="I IV", rewards="acmg")
    envs.reset(seed=0)

    def columns(spec: Any) -> set[str]:
        reward = load(spec, envs.task.steps)
        c, state = begin(envs.episodes(), envs.task, reward.readings)
        return set(Model(c, state, reward.rules, [reward.weights[: len(reward.rules)]]).axes)

    assert columns("acmg") == {"pitch", "ringing", "run", "extra"}
    assert columns("acmg_no_theory") == {"pitch", "ringing", "extra"}
    assert columns({"chord_tone": 1.0}) == {"pitch", "ringing"}
    assert columns({"non_chord_tone": {"scope": "previous_weak"}}) == {
        "pitch", "ringing", "weak_extra",
    }  # fmt: skip
    assert columns({"scoring": "literal", "octave_leap": 1.0}) == {"event", "ringing"}
    assert columns({f"{__name__}:Clipped": 1.0}) == {"pitch", "ringing", "run", "weak_extra"}
    assert fields_read(Clipped()) == {"run_length", "extra_before", "beat"}
    assert fields_read(Branching()) == {"last_step", "interval", "struck"}
    assert fields_read(HandedOn()) == set(Moment._fields)


def test_tables_that_are_forgotten_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = vector_env(5, rewards={f"{__name__}:Ramp": 1.0, "chord_tone": 1})
    envs.reset(seed=0)
    expected = plan(envs.task, envs.reward, envs.episodes())
    monkeypatch.setattr(planning_tables, "KEPT_BYTES", 0)
    found = plan(envs.task, envs.reward, envs.episodes())
    assert found.value.tolist() == expected.value.tolist()


@pytest.mark.parametrize(
    "spec", ["acmg_literal", "balanced", {"non_chord_tone": {"scope": "previous_weak"}}], ids=str
)
def test_states_that_no_melody_reaches_may_be_left_out(
    spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    envs = vector_env(5, rewards=spec, progression="I V7 ii N.C.", key="random", chords_per_bar=2)
    envs.reset(seed=0)
    arguments = envs.task, envs.reward, envs.episodes()
    monkeypatch.setattr(planning_tables, "LARGE_GRID", 10**9)
    whole, expected = planning_tables.model_of(*arguments, read=("pitch",)), plan(*arguments)
    monkeypatch.setattr(planning_tables, "LARGE_GRID", 0)
    few, found = planning_tables.model_of(*arguments, read=("pitch",)), plan(*arguments)
    assert few.states < whole.states
    np.testing.assert_array_equal(found.value, expected.value)
    np.testing.assert_array_equal(found.count, expected.count)
    rollout = play(envs, ExactPlanner(*arguments[:2]), seed=0)
    if envs.reward.readings.median != "random":
        np.testing.assert_allclose(returns(envs, rollout), found.value, atol=1e-9)


@dataclass(frozen=True)
class Endless(Rule):
    """A rule that pays infinity for a rest."""

    def __call__(self, m: Moment) -> Any:
        return where(m.sounding, 0.0, 1e308) * 10.0


def test_a_rule_that_pays_no_number_is_refused() -> None:
    envs = three_beats({f"{__name__}:Endless": 1.0})
    with pytest.raises(ValueError, match="finite"):
        plan(envs.task, envs.reward, envs.episodes())


def test_it_plays_environments_of_tensors_too() -> None:
    envs = vector_env(6, backend="tensor", progression="random", rewards="acmg")
    rollout = play(envs, ExactPlanner(envs.task, envs.reward), seed=3)
    host = type(rollout.episodes)(*(part.numpy() for part in rollout.episodes))
    best = plan(envs.task, envs.reward, host).value
    np.testing.assert_allclose(returns(envs, rollout), best, atol=1e-4)


def test_a_reward_without_weights_has_the_optimum_0_and_every_melody() -> None:
    envs = three_beats({"chord_tone": 0.0})
    found = plan(envs.task, envs.reward, envs.episodes())
    assert found.value.tolist() == [0.0] * 3
    # 13 notes and a rest; after a note a hold too: the sounding ones and the silent ones.
    sounding, silent = 13, 1
    for _ in range(2):
        sounding, silent = 14 * sounding + 13 * silent, sounding + silent
    assert found.count.tolist() == [sounding + silent] * 3
    assert single_rule_maxima(envs.task, envs.reward, envs.episodes())[1].shape == (3, 1)


def test_long_episodes_on_a_fine_grid_are_planned() -> None:
    envs = vector_env(
        1, bars=40, steps_per_beat=4, progression="I", rewards={"repetition": 1, "chord_tone": 1}
    )
    envs.reset(seed=0)
    found = plan(envs.task, envs.reward, envs.episodes())
    assert found.value == pytest.approx([40 * 2 * 0.6])
    assert np.isinf(found.count).all()  # more than 1e308
