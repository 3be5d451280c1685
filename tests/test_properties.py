"""Properties over random tasks, melodies and rewards."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playing import equal

from musicgym.env import MelodyComposeEnv
from musicgym.meters import GRIDS, METERS
from musicgym.randomness import episode_key
from musicgym.rewards.presets import PRESETS
from musicgym.theory import QUALITIES, Chord, Key, usual_key
from musicgym.vector_env import MelodyComposeVectorEnv

settings.register_profile(
    "musicgym", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("musicgym")

ROMANS = {
    "major": ["I", "ii", "iii", "IV", "V", "vi", "viio", "V7", "bVII", "I7", "ii7", "N.C.", "V/V"],
    "minor": ["i", "iio", "III", "iv", "v", "V", "VI", "VII", "iiø7", "V7", "i7", "N.C."],
}
SCORINGS = ["time", "onset", "literal"]
MIX: dict[str, Any] = {
    name: {} for name in ("chord_tone", "median_line", "octave_leap", "pitch_range", "final_tonic",
                          "repetition", "non_chord_tone")
}  # fmt: skip


@st.composite
def tasks(draw: st.DrawFn, keys: list[str] | None = None) -> dict[str, Any]:
    """Draw the arguments of a short task of any meter and grid, over roman numerals."""
    meter, grid = draw(st.sampled_from(list(METERS))), draw(st.sampled_from(GRIDS))
    bars = draw(st.integers(1, 3))
    steps = METERS[meter].beats * grid
    chords_per_bar = draw(st.sampled_from([n for n in (1, 2, 3, 4) if steps % n == 0]))
    tonic, mode = draw(st.integers(0, 11)), draw(st.sampled_from(["major", "minor"]))
    total = bars * chords_per_bar
    length = draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
    low = draw(st.integers(30, 60))
    return {
        "meter": meter,
        "steps_per_beat": grid,
        "bars": bars,
        "chords_per_bar": chords_per_bar,
        "key": usual_key(tonic, mode).name,
        "progression": draw(
            st.lists(st.sampled_from(ROMANS[mode]), min_size=length, max_size=length)
        ),
        "pitch_range": (low, low + draw(st.integers(12, 40))),
    }


def melodies(steps: int, n_events: int) -> st.SearchStrategy[list[int]]:
    """Draw events, often holds and often the same few notes, at times none of the alphabet."""
    few = st.integers(2, min(6, n_events - 1))
    event = st.one_of(
        st.just(0),
        st.just(1),
        few,
        few,
        st.integers(2, n_events - 1),
        st.integers(-2, n_events + 1),
    )
    return st.lists(event, min_size=steps, max_size=steps)


@st.composite
def played(draw: st.DrawFn) -> tuple[dict[str, Any], list[int]]:
    """Draw a task and a melody for it."""
    task = draw(tasks())
    steps = task["bars"] * METERS[task["meter"]].beats * task["steps_per_beat"]
    low, high = task["pitch_range"]
    return task, draw(melodies(steps, high - low + 3))


def play(env: MelodyComposeEnv, events: list[int], seed: int = 0) -> list[Any]:
    return [env.reset(seed=seed), *(env.step(event) for event in events)]


def paid(outputs: list[Any], name: str) -> list[float]:
    return [o[4]["reward_terms"][name] for o in outputs[1:]]


# --- The rules, a second time ------------------------------------------------------------------


@settings(max_examples=150)
@given(
    played(), st.sampled_from(SCORINGS), st.sampled_from(list(reference.EXTRAS)),
    st.sampled_from(["bar", "previous_weak"]), st.integers(1, 4), st.integers(0, 14),
    st.sampled_from([0.0, -0.25]),
)  # fmt: skip
def test_the_rules_agree_with_a_slow_reading_of_their_text(
    given_: tuple[dict[str, Any], list[int]],
    scoring: str,
    reading: str,
    scope: str,
    max_run: int,
    reach: int,
    rest: float,
) -> None:
    task, events = given_
    parameters: dict[str, dict[str, Any]] = {
        "chord_tone": {"rest": rest},
        "non_chord_tone": {"reading": reading, "scope": scope},
        "median_line": {"reach": reach, "rest": rest},
        "repetition": {"max_run": max_run},
        "octave_leap": {"reach": reach, "rest": rest},
        "pitch_range": {"rest": rest},
        "final_tonic": {},
    }
    env = MelodyComposeEnv(**task, rewards=parameters, scoring=scoring, observation="compact")
    outputs = play(env, events)
    melody = env.melody
    width = melody.steps_per_chord
    clean = [event if 0 <= event < env.task.n_events else 1 for event in events]
    piece = reference.Piece(
        clean, [melody.chords[t // width].pitch_classes for t in range(len(events))], env.task.low,
        env.task.comfortable, melody.key.tonic, task["meter"], task["steps_per_beat"], scoring,
    )  # fmt: skip
    assert list(melody.events) == piece.events
    for name, settings_ in parameters.items():
        expected = getattr(reference, name)(piece, **settings_)
        assert paid(outputs, name) == pytest.approx(expected, abs=1e-12), name
    assert [o[1] for o in outputs[1:]] == pytest.approx(
        [sum(o[4]["reward_terms"].values()) for o in outputs[1:]]
    )


# --- Moving everything together ----------------------------------------------------------------


@settings(max_examples=60)
@given(played(), st.integers(-11, 11), st.sampled_from(list(PRESETS)), st.integers(0, 2**40))
def test_moving_melody_chords_key_and_range_together_changes_no_reward_and_no_observation(
    given_: tuple[dict[str, Any], list[int]], shift: int, preset: str, seed: int
) -> None:
    task, events = given_
    low, high = task["pitch_range"]
    moved = {
        **task,
        "key": Key.parse(task["key"]).transposed(shift).name,
        "pitch_range": (low + shift, high + shift),
    }
    here, there = (
        MelodyComposeEnv(**arguments, rewards=preset, observation="compact")
        for arguments in (task, moved)
    )
    equal(play(here, events, seed), play(there, events, seed))
    assert there.melody.notes() == here.melody.transposed(shift).notes()
    assert there.melody.chords == here.melody.transposed(shift).chords


@settings(max_examples=30)
@given(
    st.lists(
        st.builds(Chord, st.integers(0, 11), st.sampled_from(list(QUALITIES)[1:])),
        min_size=2, max_size=2,
    ),
    st.integers(0, 11), st.integers(0, 11), melodies(16, 38),
)  # fmt: skip
def test_moving_chord_symbols_changes_nothing_either(
    chords: list[Chord], tonic: int, shift: int, events: list[int]
) -> None:
    def env(by: int) -> MelodyComposeEnv:
        key = usual_key((tonic + by) % 12, "minor")
        symbols = [chord.transposed(by).symbol(key) for chord in chords]
        return MelodyComposeEnv(
            key=key.name, progression=symbols, bars=2, pitch_range=(40 + by, 75 + by),
            rewards={"median_line": {"median": "random"}, **MIX_WITHOUT_MEDIAN},
            observation="compact",
        )  # fmt: skip

    equal(play(env(0), events), play(env(shift), events))


MIX_WITHOUT_MEDIAN = {name: {} for name in MIX if name != "median_line"}


# --- Holding and striking ----------------------------------------------------------------------


@settings(max_examples=80)
@given(played(), st.data())
def test_striking_a_held_note_again_earns_the_same_but_for_eq_3_and_never_more_in_eq_5(
    given_: tuple[dict[str, Any], list[int]], data: st.DataObject
) -> None:
    task, events = given_
    env = MelodyComposeEnv(**task, rewards=MIX, observation="compact")
    before = play(env, events)
    notes = env.melody.notes()
    held = [(n.onset + k, n.pitch) for n in notes for k in range(1, n.duration)]
    if not held:
        return
    step, pitch = data.draw(st.sampled_from(held))
    again = [*env.melody.events]
    again[step] = pitch - env.task.low + 2
    after = play(env, again)
    for name in ("chord_tone", "median_line", "octave_leap", "pitch_range", "final_tonic"):
        assert paid(before, name) == paid(after, name), name
    assert sum(paid(after, "repetition")) <= sum(paid(before, "repetition")) + 1e-12
    others = [
        [value for t, value in enumerate(paid(outputs, "non_chord_tone")) if t < step]
        for outputs in (before, after)
    ]
    assert others[0] == others[1], "what came before does not change"


@settings(max_examples=60)
@given(played(), st.sampled_from(["time", "onset"]))
def test_a_rest_pays_nothing_before_the_last_step(
    given_: tuple[dict[str, Any], list[int]], scoring: str
) -> None:
    task, events = given_
    env = MelodyComposeEnv(**task, rewards="acmg", scoring=scoring, observation="compact")
    outputs = play(env, events)
    for t, event in enumerate(env.melody.events):
        if event == 1:
            terms = dict(outputs[t + 1][4]["reward_terms"])
            final = terms.pop("final_tonic")
            assert not any(terms.values())
            assert (final != 0) == (t == len(events) - 1)


@settings(max_examples=60)
@given(played())
def test_literally_a_hold_or_a_rest_is_no_chord_tone_not_in_range_and_no_tonic(
    given_: tuple[dict[str, Any], list[int]],
) -> None:
    task, events = given_
    env = MelodyComposeEnv(**task, rewards=MIX, scoring="literal", observation="compact")
    outputs = play(env, events)
    width = env.melody.steps_per_chord
    for t, event in enumerate(env.melody.events):
        terms = outputs[t + 1][4]["reward_terms"]
        if event < 2:
            chord = env.melody.chords[t // width].pitch_classes
            assert terms["pitch_range"] == -0.6
            assert terms["chord_tone"] in ((0.0, -1.0) if chord else (0.0,))
            assert terms["final_tonic"] == (-0.6 if t == len(events) - 1 else 0.0)


@settings(max_examples=60)
@given(played())
def test_by_onset_only_struck_notes_and_the_last_step_pay(
    given_: tuple[dict[str, Any], list[int]],
) -> None:
    task, events = given_
    env = MelodyComposeEnv(**task, rewards=MIX, scoring="onset", observation="compact")
    outputs = play(env, events)
    for t, event in enumerate(env.melody.events[:-1]):
        if event < 2:
            assert not any(outputs[t + 1][4]["reward_terms"].values())


# --- Episodes ----------------------------------------------------------------------------------


@settings(max_examples=80)
@given(
    tasks(), st.sampled_from(list(PRESETS)), st.sampled_from(["flat", "compact", "dict"]),
    st.booleans(), st.integers(0, 2**63), st.data(),
)  # fmt: skip
def test_every_task_runs_to_its_end_in_its_space(
    task: dict[str, Any],
    preset: str,
    observation: str,
    notes_only: bool,
    seed: int,
    data: st.DataObject,
) -> None:
    env = MelodyComposeEnv(**task, rewards=preset, observation=observation, notes_only=notes_only)
    steps = task["bars"] * METERS[task["meter"]].beats * task["steps_per_beat"]
    assert env.task.steps == steps
    events = data.draw(melodies(steps, env.task.n_events))
    seen, info = env.reset(seed=seed)
    for t, event in enumerate(events):
        assert env.observation_space.contains(seen)
        valid = 0 <= event < env.task.n_events and info["action_mask"][event]
        seen, reward, done, truncated, info = env.step(event)
        assert np.isfinite(reward)
        assert (done, truncated) == (t == steps - 1, False)
        assert env.melody.events[t] == (event if valid else 1)
    assert env.observation_space.contains(seen)
    assert info["melody"].tolist() == list(env.melody.events)


@settings(max_examples=25)
@given(tasks(), st.integers(0, 2**63), st.integers(0, 2**31))
def test_the_seed_determines_everything(task: dict[str, Any], seed: int, other: int) -> None:
    given_ = {**task, "key": "random", "progression": "random", "rewards": "acmg_literal",
              "observation": "compact"}  # fmt: skip
    a, b = MelodyComposeEnv(**given_), MelodyComposeEnv(**given_)
    events = np.random.default_rng(other).integers(0, a.task.n_events, a.task.steps).tolist()
    play(b, events, other)  # a past that must not matter
    equal(play(a, events, seed), play(b, events, seed))
    equal(a.reset(), b.reset())


@settings(max_examples=15)
@given(tasks(), st.integers(0, 2**31), st.sampled_from(list(PRESETS)))
def test_a_batch_is_its_single_environments_on_every_task(
    task: dict[str, Any], seed: int, preset: str
) -> None:
    given_ = {**task, "rewards": preset, "observation": "compact"}
    batch = MelodyComposeVectorEnv(num_envs=3, backend="arrays", **given_)
    single = MelodyComposeEnv(**given_)
    rng = np.random.default_rng(seed)
    events = rng.integers(-1, single.task.n_events + 1, (single.task.steps, 3))
    seen, _ = batch.reset(seed=seed)
    outputs = [(seen, np.zeros(3)), *(batch.step(row)[:2] for row in events)]
    for i in range(3):
        ones = play(single, events[:, i].tolist(), seed + i)
        for t, one in enumerate(ones):
            np.testing.assert_array_equal(outputs[t][0][i], one[0])
            if t:
                assert outputs[t][1][i] == one[1]


# --- Randomness --------------------------------------------------------------------------------

SEEDS = 3000


@cache
def starts() -> MelodyComposeVectorEnv:
    envs = MelodyComposeVectorEnv(
        num_envs=SEEDS, backend="arrays", key="random", progression="random",
        rewards="acmg_literal", observation="compact",
    )  # fmt: skip
    envs.reset(seed=0)
    return envs


def even(values: Any, kinds: int) -> None:
    """Assert that values are spread over some kinds as evenly as chance allows (5 deviations)."""
    counts = Counter(np.asarray(values).tolist())
    assert len(counts) == kinds
    expected = sum(counts.values()) / kinds
    chi2 = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi2 < kinds - 1 + 5 * (2 * kinds) ** 0.5


def test_tonics_modes_and_progressions_are_drawn_evenly_and_independently() -> None:
    envs = starts()
    state, major = envs._batch.state, envs.task.table.major_rows
    even(state.tonic, 12)
    even(state.mode, 2)
    even(state.row[state.mode == 0], major)
    even(state.row[state.mode == 1], len(envs.task.table.roots) - major)
    even(state.tonic * 2 + state.mode, 24)
    even(state.tonic[state.mode == 0] * 20 + state.row[state.mode == 0], 240)


def test_the_next_episodes_are_drawn_evenly_too_and_independently_of_the_first() -> None:
    envs = starts()
    envs.reset(seed=0)
    first = envs._batch.state.tonic.copy()
    envs.reset()
    even(envs._batch.state.tonic, 12)
    even(first.astype(int) * 12 + envs._batch.state.tonic, 144)
    envs.reset(seed=0)


def test_neighbouring_seeds_are_independent() -> None:
    tonic = starts()._batch.state.tonic.astype(int)
    even(tonic[:-1] * 12 + tonic[1:], 144)


def test_a_key_is_32_bits_of_the_seed_and_of_no_other_seed_nearby() -> None:
    keys = {episode_key(seed) for seed in range(50_000)}
    assert len(keys) == 50_000
    assert all(0 <= key < 2**32 for key in keys)
