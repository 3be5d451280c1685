from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from playing import LOW, equal, random_events, spelt
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import musicgym
from musicgym.backends import scalar
from musicgym.backends.source import InlineError
from musicgym.dynamics import Episodes
from musicgym.env import MelodyComposeEnv
from musicgym.reward import SequenceTerm
from musicgym.rewards.presets import PRESETS
from musicgym.theory import Chord

# Without those of suites: they are there once a test has imported musicgym.benchmarks.suites.
IDS = sorted(name for name in gym.registry if name.startswith("MelodyCompose") and "/" not in name)
OBSERVATIONS = ["flat", "compact", "dict"]
RANDOM = {"key": "random", "progression": "random"}


class Rising(SequenceTerm):
    """Pays half the number of notes so far, plus the tonic in the first step."""

    begun = 0

    def begin(self, episodes: Episodes, which: Any) -> None:
        self.begun += 1
        self.tonic = np.where(which, episodes.tonic, getattr(self, "tonic", 0))
        self.notes = np.where(which, 0, getattr(self, "notes", 0))
        self.first = which | getattr(self, "first", False)

    def pay(self, events: Any) -> Any:
        played = events >= 0
        self.notes = self.notes + (events > 1)
        value = np.where(played, self.notes / 2 + np.where(self.first, self.tonic, 0), 99.0)
        self.first = self.first & ~played
        return value


RISING = f"{__name__}:Rising"


def make(**arguments: Any) -> MelodyComposeEnv:
    env = gym.make("MelodyCompose-v0", **arguments).unwrapped
    assert isinstance(env, MelodyComposeEnv)
    return env


def rollout(env: Any, events: Any, **reset: Any) -> list[Any]:
    """Return the outputs of an episode, and of the resets before it."""
    return [env.reset(**reset), *(env.step(int(event)) for event in events)]


# --- Conformance -------------------------------------------------------------------------------


def test_the_two_environments_are_registered() -> None:
    assert IDS[:2] == ["MelodyCompose-v0", "MelodyComposeBalanced-v0"]
    assert gym.spec("MelodyComposeBalanced-v0").kwargs["rewards"] == "balanced"


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("name", IDS)
def test_the_checkers_of_gymnasium_and_sb3_pass_without_a_warning(
    name: str, observation: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name, observation=observation, bars=4).unwrapped, skip_render_check=True)
        check_env_sb3(gym.make(name, observation=observation, bars=4))


def test_the_checker_passes_with_every_render_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(bars=4))


@pytest.mark.parametrize("name", IDS)
def test_a_spec_survives_json_and_makes_the_same_environment(name: str) -> None:
    env = gym.make(
        name, bars=2, progression=["I", "V"], pitch_range=["D3", "C5"], meter="6/8", key="random",
        rewards={"preset": "balanced", "repetition": {"max_run": 4}}, reward_timing="bar",
        observation="compact", scoring="onset", tessitura=["F3", "C5"],
    )  # fmt: skip
    assert env.spec is not None
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    events = random_events(20, 24, seed=2)
    equal(rollout(env, events, seed=4), rollout(again, events, seed=4))


def test_every_argument_in_the_signature_has_a_plain_default() -> None:
    import inspect

    for parameter in list(inspect.signature(MelodyComposeEnv).parameters.values()):
        json.dumps(parameter.default)


def output_of(code: str) -> str:
    root = Path(musicgym.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True)
    return done.stdout.decode().strip()


def test_importing_musicgym_imports_nothing_heavy() -> None:
    code = (
        "import sys, musicgym\n"
        "heavy = {'torch', 'music21', 'numba', 'matplotlib', 'symusic', 'verovio', 'scipy',"
        " 'stable_baselines3', 'soundfile'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert output_of(code) == "[]"


def test_making_and_playing_a_single_environment_compiles_nothing() -> None:
    code = (
        "import sys, gymnasium, musicgym\n"
        "env = gymnasium.make('MelodyCompose-v0'); env.reset(seed=0); env.step(5)\n"
        "print('numba' in sys.modules, 'torch' in sys.modules)"
    )
    assert output_of(code) == "False False"


# --- Spaces, outputs and the episode -----------------------------------------------------------


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_outputs_are_fresh_in_their_space_and_of_plain_types(observation: str) -> None:
    env = make(observation=observation, bars=4, key="random", progression="random")
    seen, info = env.reset(seed=0)
    before = []
    for event in random_events(38, 32, seed=0):
        assert env.observation_space.contains(seen)
        before.append((seen, copy.deepcopy(seen), info, copy.deepcopy(info)))
        seen, reward, terminated, truncated, info = env.step(np.int64(event))
        assert type(reward) is float
        assert type(terminated) is bool and truncated is False
        assert all(type(value) is float for value in info["reward_terms"].values())
    for kept, copied, info, info_copied in before:  # nothing that was given out changes later
        equal(kept, copied)
        equal(info, info_copied)
        arrays = [info["action_mask"], *([kept] if observation != "dict" else [])]
        assert all(array.flags.writeable and array.flags.aligned for array in arrays)


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_what_a_user_writes_into_an_output_changes_nothing_later(observation: str) -> None:
    clean, soiled = make(observation=observation), make(observation=observation)
    events = random_events(38, 64, seed=0)
    expected = [*rollout(clean, events, seed=0), *rollout(clean, events)]
    soiled.reset(seed=0)
    given = []
    for _ in range(2):
        for event in [None, *events.tolist()]:
            output = soiled.step(event) if event is not None else soiled.reset(seed=0)
            given.append(copy.deepcopy(output))
            output[-1]["action_mask"][:] = 7
            output[-1].get("reward_terms", {}).clear()
            if observation == "dict":
                output[0].clear()
            else:
                output[0][:] = 9
    equal(given, expected)


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_rules_called_plainly_give_every_output_of_inlined_ones(
    observation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"observation": observation, "rewards": "acmg_literal", "bars": 4, **RANDOM}
    events = random_events(38, 32, seed=1)
    inlined = rollout(make(**given), events, seed=2)

    def refuse(*_: Any) -> None:
        raise InlineError("today nothing is inlined")

    monkeypatch.setattr(scalar, "sources", refuse)
    with pytest.warns(UserWarning, match="today nothing"):
        equal(rollout(make(**given), events, seed=2), inlined)


def test_places_that_were_forgotten_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    remembering, forgetting = make(**RANDOM), make(**RANDOM)
    events = random_events(38, 64, seed=1)
    expected = [rollout(remembering, events, seed=seed % 4) for seed in range(12)]
    monkeypatch.setattr(scalar, "KEPT", 130)  # two episodes
    assert len({str(outputs[5]) for outputs in expected}) == 4
    equal([rollout(forgetting, events, seed=seed % 4) for seed in range(12)], expected)
    assert len(forgetting._play.__globals__["places"]) <= 2


def test_the_event_alphabet_is_hold_rest_and_the_pitches() -> None:
    assert make().action_space == gym.spaces.Discrete(38)
    assert make(pitch_range=("C4", "C5")).action_space == gym.spaces.Discrete(15)


def test_an_episode_terminates_after_its_steps_with_the_melody_in_the_last_info() -> None:
    env = make(bars=4)
    events = spelt("C5 . - . E5 . D5 C5") * 4
    outputs = rollout(env, events, seed=0)[1:]
    assert [o[2] for o in outputs] == [False] * 31 + [True]
    assert not any("melody" in o[4] for o in outputs[:-1])
    melody = outputs[-1][4]["melody"]
    valid = spelt("C5 . - - E5 . D5 C5") * 4  # a hold in silence counts as a rest
    assert melody.dtype.kind == "u" and melody.tolist() == valid
    assert list(env.melody.events) == valid


def test_the_reward_is_the_weighted_sum_of_the_terms() -> None:
    env = make(rewards={"preset": "balanced", "median_line": 0.5})
    rollout_ = rollout(env, random_events(38, 64, seed=1), seed=0)[1:]
    weights = dict(zip(env.reward.names, env.weights, strict=True))
    for _, reward, _, _, info in rollout_:
        assert list(info["reward_terms"]) == list(weights)
        total = sum(weights[name] * value for name, value in info["reward_terms"].items())
        assert reward == pytest.approx(total)


def test_a_term_of_weight_zero_is_reported_and_pays_nothing() -> None:
    env = make(rewards={"chord_tone": 0.0})
    _, reward, _, _, info = rollout(env, [26], seed=0)[1]
    assert (reward, info["reward_terms"]) == (0.0, {"chord_tone": 0.6})


def test_an_environment_without_a_term_pays_nothing() -> None:
    outputs = rollout(make(rewards={}), random_events(38, 64, seed=0), seed=0)[1:]
    assert {o[1] for o in outputs} == {0.0}


@pytest.mark.parametrize("event", [-1, 38, 10**6, 0])
def test_an_invalid_event_counts_as_a_rest(event: int) -> None:
    a, b = make(observation="compact"), make(observation="compact")
    a.reset(seed=0), b.reset(seed=0)
    equal(a.step(event), b.step(1))
    equal(a.step(26), b.step(26))


def test_a_hold_is_masked_while_nothing_sounds() -> None:
    env = make()
    _, info = env.reset(seed=0)
    masks = [info["action_mask"]]
    for event in spelt("C5 . - C5"):
        masks.append(env.step(event)[4]["action_mask"])
        np.testing.assert_array_equal(masks[-1], env.action_masks())
    assert [int(mask[0]) for mask in masks] == [0, 1, 1, 0, 1]
    assert all(mask[1:].all() and mask.shape == (38,) and mask.dtype == np.int8 for mask in masks)
    env.action_space.sample(mask=masks[0])  # it is a mask as the space takes it


@pytest.mark.parametrize("rewards", list(PRESETS))
def test_each_timing_pays_the_same_return(rewards: str) -> None:
    events = random_events(38, 64, seed=3)
    paid = {}
    for timing in ("dense", "bar", "end"):
        env = make(rewards=rewards, reward_timing=timing)
        paid[timing] = [output[1] for output in rollout(env, events, seed=0)[1:]]
    total = sum(paid["dense"])
    assert sum(paid["bar"]) == pytest.approx(total)
    assert sum(paid["end"]) == pytest.approx(total)
    bars = [sum(paid["dense"][start : start + 8]) for start in range(0, 64, 8)]
    assert paid["bar"][7::8] == pytest.approx(bars)
    assert not any(r for step, r in enumerate(paid["bar"]) if step % 8 != 7)
    assert not any(paid["end"][:-1])


def test_what_was_owed_is_forgotten_at_a_reset() -> None:
    env = make(reward_timing="bar", rewards={"chord_tone": 1.0}, bars=4)
    rollout(env, [26, 26], seed=0)
    outputs = rollout(env, [1] * 8)
    assert outputs[-1][1] == 0.0


# --- Seeds -------------------------------------------------------------------------------------

DRAWN = {"key": "random", "progression": "random", "observation": "compact",
         "rewards": "acmg_literal"}  # fmt: skip


def test_equal_seeds_give_equal_episodes_and_all_that_follow() -> None:
    events = random_events(38, 64, seed=0)
    a, b = make(**DRAWN), make(**DRAWN)
    equal(rollout(a, events, seed=5), rollout(b, events, seed=5))
    for _ in range(3):
        equal(rollout(a, events), rollout(b, events))


def test_episodes_and_seeds_differ() -> None:
    env = make(**DRAWN)
    first = [env.reset(seed=seed)[0].tobytes() for seed in range(40)]
    assert len(set(first)) > 35
    env.reset(seed=0)
    assert len({env.reset()[0].tobytes() for _ in range(40)}) > 35


def test_the_first_episode_without_a_seed_is_drawn() -> None:
    assert len({make(**DRAWN).reset()[0].tobytes() for _ in range(12)}) > 6


def test_playing_changes_nothing_in_the_episodes_to_come() -> None:
    a, b = make(**DRAWN), make(**DRAWN)
    rollout(a, random_events(38, 64, seed=0), seed=5)
    b.reset(seed=5)
    equal(a.reset(), b.reset())


def test_a_fixed_key_and_progression_are_the_same_in_every_episode() -> None:
    env = make(observation="compact")
    assert len({env.reset(seed=seed)[0].tobytes() for seed in range(20)}) == 1


def test_a_natural_key_is_c_major_or_a_minor() -> None:
    env = make(key="natural", progression="random")
    keys = set()
    for seed in range(30):
        env.reset(seed=seed)
        keys.add(env.melody.key.name)
    assert keys == {"C major", "A minor"}


def test_a_random_key_is_any_and_its_progression_of_its_mode() -> None:
    env = make(key="random", progression="random")
    keys = set()
    for seed in range(400):
        env.reset(seed=seed)
        melody = env.melody
        keys.add(melody.key.name)
        minor = sum(chord == Chord(melody.key.tonic, "m") for chord in melody.chords)
        major = sum(chord == Chord(melody.key.tonic, "") for chord in melody.chords)
        assert minor * major == 0
        assert (minor > 0) == melody.key.minor or minor == major == 0
    assert len(keys) == 24


# --- Options -----------------------------------------------------------------------------------


def test_an_option_changes_the_progression_for_one_episode() -> None:
    env = make(bars=4)
    env.reset(seed=0, options={"progression": "IV IV V V7"})
    symbols = [chord.symbol() for chord in env.melody.chords]
    assert symbols == ["F", "F", "G", "G7"]
    assert env.step(spelt("F5")[0])[4]["reward_terms"]["chord_tone"] == 0.6
    env.reset()
    assert [chord.symbol() for chord in env.melody.chords] == ["C", "G", "Am", "F"]


def test_a_progression_may_be_given_as_a_list_and_again_and_again() -> None:
    env = make(bars=4, observation="compact")
    for _ in range(3):
        for chords in (["G"], ["F", "C"], ["G"]):
            env.reset(seed=0, options={"progression": chords})
            assert [c.symbol() for c in env.melody.chords] == chords * (4 // len(chords))
    assert len(env.constants.roots) == 3 * 4  # the task's row and two more, not nine


def test_an_option_changes_the_key_for_one_episode() -> None:
    env = make(bars=4)
    env.reset(seed=0, options={"key": "D major"})
    assert env.melody.key.name == "D major"
    assert [chord.symbol() for chord in env.melody.chords] == ["D", "A", "Bm", "G"]
    env.reset()
    assert env.melody.key.name == "C major"


def test_an_option_may_change_the_mode_too() -> None:
    env = make(bars=4)
    env.reset(seed=0, options={"key": "A minor", "progression": "i VI III VII"})
    assert [chord.symbol() for chord in env.melody.chords] == ["Am", "F", "C", "G"]


def test_chord_symbols_stay_where_they_are_when_an_option_changes_the_key() -> None:
    env = make(bars=4, progression="C G Am F")
    env.reset(seed=0, options={"key": "D major"})
    assert [chord.symbol() for chord in env.melody.chords] == ["C", "G", "Am", "F"]
    assert env.melody.key.name == "D major"


def test_roman_numerals_are_read_in_the_mode_that_an_option_gives() -> None:
    env = make(bars=4, progression="I VI VII V")
    env.reset(seed=0, options={"key": "A minor"})
    assert [chord.symbol() for chord in env.melody.chords] == ["A", "F", "G", "E"]


def test_an_option_may_draw_the_key() -> None:
    env = make(bars=4)
    names = set()
    for seed in range(60):
        env.reset(seed=seed, options={"key": "random", "progression": "I V"})
        melody = env.melody
        names.add(melody.key.name)
        assert melody.chords[0].root == melody.key.tonic
    assert len(names) > 15
    env.reset()
    assert env.melody.key.name == "C major"


def test_a_given_progression_is_read_in_the_mode_that_a_random_key_draws() -> None:
    env = make(key="random", progression="random", bars=2)
    for seed in range(20):
        env.reset(seed=seed, options={"progression": "VI VII"})
        melody = env.melody
        low = 8 if melody.key.minor else 9
        assert melody.chords[0].root == (melody.key.tonic + low) % 12


def test_weights_of_an_option_last_until_they_are_changed() -> None:
    env = make(rewards={"chord_tone": 1.0, "pitch_range": 1.0})
    env.reset(seed=0, options={"weights": {"chord_tone": 10}})
    for _ in range(2):
        assert env.step(26)[1] == pytest.approx(6.1)
        env.reset()
    env.reset(options={"weights": {"pitch_range": 0.0}})
    assert env.step(26)[1] == pytest.approx(6.0)
    assert make(rewards={"chord_tone": 1.0}).weights.tolist() == [1.0]


def test_an_opening_is_played_unpaid_and_continued() -> None:
    opening = spelt("C5 . D5 -")
    plain, opened = make(observation="compact"), make(observation="compact")
    outputs = rollout(plain, [*opening, 26, 0], seed=0)
    seen, info = opened.reset(seed=0, options={"events": opening})
    np.testing.assert_array_equal(seen, outputs[4][0])
    assert set(info) == {"action_mask"} and info["action_mask"][0] == 0
    equal(opened.step(26), outputs[5])
    equal(opened.step(0), outputs[6])
    for _ in range(58):
        last = opened.step(1)
    assert last[2] and last[4]["melody"][:4].tolist() == opening


def test_an_opening_is_not_paid_later_either() -> None:
    env = make(reward_timing="bar", rewards={"chord_tone": 1.0})
    env.reset(seed=0, options={"events": spelt("C5 . . .")})
    assert [env.step(0)[1] for _ in range(4)] == [0, 0, 0, 0.6]


def test_an_empty_opening_is_no_opening() -> None:
    env = make(observation="compact")
    equal(env.reset(seed=0, options={"events": []}), env.reset(seed=0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"progresion": "I"}, ["'progresion'", "did you mean 'progression'?"]),
        ({"key": "H"}, ["'H'", "'C major'"]),
        ({"key": None}, ["None", "'C major'"]),
        ({"progression": "I X"}, ["'X'", "roman numeral"]),
        ({"progression": "I V vi"}, ["3 chords", "8 bars"]),
        ({"weights": {"chord_tones": 1}}, ["'chord_tones'", "did you mean 'chord_tone'?"]),
        ({"weights": {"chord_tone": float("nan")}}, ["nan", "finite"]),
        ({"weights": {"chord_tone": "x"}}, ["'x'", "finite numbers"]),
        ({"weights": {"chord_tone": None}}, ["None", "finite numbers"]),
        ({"weights": {"chord_tone": [1.0, 2.0]}}, ["shape (2,)", "a number is allowed"]),
        ({"weights": [1.0]}, ["[1.0]", "dict of term"]),
        ({"events": [1] * 64}, ["64 events", "shorter"]),
        ({"events": [1.5]}, ["float64", "integers (k,)"]),
        ({"events": [[1, 2]]}, ["(1, 2)", "integers (k,)"]),
        ({"events": ["C5"]}, ["events", "integers (k,)"]),
        (["key"], ["dict"]),
    ],
    ids=str,
)
def test_a_wrong_option_raises_an_error_and_leaves_the_episode_as_it_was(
    options: Any, words: list[str]
) -> None:
    env = make()
    rollout(env, [26, 0], seed=0)
    before = env.get_state()
    with pytest.raises(ValueError) as error:
        env.reset(seed=9, options=options)
    for word in words:
        assert word in str(error.value)
    equal(before, env.get_state())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"observation": "flatt"}, ["observation", "did you mean 'flat'?"]),
        ({"reward_timing": "later"}, ["reward_timing", "dense, bar, end"]),
        ({"scoring": "tim"}, ["scoring", "did you mean 'time'?"]),
        ({"key": "X"}, ["'X'", "'C major'"]),
        ({"progression": "I Q"}, ["'Q'", "chord symbol"]),
        ({"meter": "5/4"}, ["5/4", "6/8"]),
        ({"rewards": "acgm"}, ["'acgm'", "'acmg'"]),
        ({"rewards": {"chord": 1}}, ["'chord'", "chord_tone"]),
        ({"pitch_range": ("C4", "E4")}, ["octave"]),
        ({"bars": 6}, ["4 chords", "6 bars"]),
    ],
    ids=str,
)
def test_a_wrong_argument_names_what_is_allowed(arguments: Any, words: list[str]) -> None:
    with pytest.raises(ValueError) as error:
        gym.make("MelodyCompose-v0", **arguments)
    for word in words:
        assert word in str(error.value)


def test_a_wrong_render_mode_names_the_modes() -> None:
    with pytest.raises(ValueError, match="render_mode: 'ansy' .* ansi, rgb_array, human"):
        MelodyComposeEnv(render_mode="ansy")


# --- State, copies, misuse ---------------------------------------------------------------------


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
@pytest.mark.parametrize("rewards", ["acmg", {"preset": "acmg_literal", RISING: 1.0}])
def test_a_copy_in_the_middle_of_an_episode_goes_on_the_same(way: str, rewards: Any) -> None:
    env = make(rewards=rewards, key="random", progression="random", observation="compact")
    env.reset(seed=3, options={"weights": {"repetition": 7.0}, "progression": "I ii"})
    events = random_events(38, 64, seed=0)
    for event in events[:20]:
        env.step(int(event))
    env.observe_policy(np.full(38, 1 / 38))
    twin = pickle.loads(pickle.dumps(env)) if way == "pickle" else copy.deepcopy(env)
    for event in events[20:]:
        equal(env.step(int(event)), twin.step(int(event)))
    equal(rollout(env, events), rollout(twin, events))


def test_a_wrapped_environment_can_be_pickled() -> None:
    env = gym.make("MelodyCompose-v0", bars=4)
    env.reset(seed=0)
    twin = pickle.loads(pickle.dumps(env))
    equal(env.step(26), twin.step(26))


@pytest.mark.parametrize("rewards", ["acmg", {"preset": "acmg", RISING: 0.5}])
@pytest.mark.parametrize("timing", ["dense", "bar"])
def test_set_state_returns_exactly_to_where_get_state_was_called(rewards: Any, timing: str) -> None:
    env = make(rewards=rewards, reward_timing=timing, observation="compact", **{
        "key": "random", "progression": "random"})  # fmt: skip
    events = random_events(38, 64, seed=0)
    rollout(env, events[:21], seed=3)
    env.observe_policy(np.eye(38)[3])
    state = env.get_state()
    rest = [env.step(int(event)) for event in events[21:]]
    following = rollout(env, events[:30])
    env.reset(seed=99, options={"weights": {"repetition": 3.0}})
    env.step(5)
    for _ in range(2):
        env.set_state(state)
        equal(rest, [env.step(int(event)) for event in events[21:]])
    equal(following, rollout(env, events[:30]))


def test_a_state_may_be_taken_before_the_first_reset() -> None:
    env = make()
    state = env.get_state()
    env.reset(seed=0)
    env.set_state(state)
    with pytest.raises(ResetNeeded):
        env.step(1)


def test_a_step_before_a_reset_or_after_the_end_asks_for_a_reset() -> None:
    env = make(bars=1, progression="I")
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        env.step(1)
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        _ = env.melody
    rollout(env, [1] * 8, seed=0)
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        env.step(1)
    env.reset()
    env.step(1)


@pytest.mark.parametrize("seed", [-1, "x", 1.5])
def test_a_wrong_seed_leaves_the_weights_as_they_were(seed: Any) -> None:
    env = make()
    with pytest.raises(gym.error.Error):
        env.reset(seed=seed, options={"weights": {"chord_tone": 9.0}})
    assert env.weights.tolist() == [1.0] * 8


# --- Policy terms and sequence terms -----------------------------------------------------------


def test_the_policys_probabilities_are_judged_once_and_then_forgotten() -> None:
    env = make()
    env.reset(seed=0)
    assert env.step(1)[4]["reward_terms"]["state_variance"] == 0.0
    sure = np.eye(38)[1]
    variance = ((1 - 1 / 38) ** 2 + 37 / 38**2) / 38
    env.observe_policy(sure)
    _, reward, _, _, info = env.step(1)
    assert info["reward_terms"]["state_variance"] == pytest.approx(variance)
    assert reward == pytest.approx(variance)
    _, reward, _, _, info = env.step(1)
    assert (reward, info["reward_terms"]["state_variance"]) == (0.0, 0.0)


def test_the_policy_term_pays_by_its_weight() -> None:
    env = make(rewards={"state_variance": {"weight": -2.0, "normalised": True}})
    env.reset(seed=0)
    env.observe_policy(np.eye(38, dtype=np.float32)[1])
    assert env.step(1)[1] == pytest.approx(-2.0)


def test_a_reset_forgets_the_policys_probabilities() -> None:
    env = make()
    env.reset(seed=0)
    env.observe_policy(np.eye(38)[1])
    env.reset(seed=0)
    assert env.step(1)[4]["reward_terms"]["state_variance"] == 0.0


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (np.full(37, 1 / 37), r"\(37,\) given, \(38,\) expected"),
        (np.full((1, 38), 1 / 38), r"\(1, 38\) given"),
        (np.full(38, np.nan), "finite"),
        (np.r_[-0.5, 1.5, np.zeros(36)], "not negative"),
        (np.full(38, 1 / 37), "sum to 1"),
    ],
)
def test_wrong_probabilities_raise_an_error(wrong: Any, word: str) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=word):
        env.observe_policy(wrong)
    assert env.step(1)[4]["reward_terms"]["state_variance"] == 0.0


def test_probabilities_may_be_off_by_rounding() -> None:
    env = make()
    env.reset(seed=0)
    env.observe_policy(np.full(38, (1 + 9e-5) / 38))


def test_a_sequence_term_hears_each_event_and_starts_with_each_episode() -> None:
    env = make(rewards={RISING: 2.0, "chord_tone": 1.0}, key="D major", bars=4)
    for _ in range(2):
        outputs = rollout(env, spelt("D5 . E5 - D5"), seed=0)[1:]
        heard = [o[4]["reward_terms"][RISING] for o in outputs]
        assert heard == [2.5, 0.5, 1.0, 1.0, 1.5]
        assert [o[1] for o in outputs] == pytest.approx([5.6, 1.0, 2.0, 2.0, 4 - 1 + 0.6])


def test_a_sequence_term_hears_the_opening_too() -> None:
    env = make(rewards={RISING: 1.0})
    env.reset(seed=0, options={"events": spelt("C5 C5 C5")})
    assert env.step(26)[1] == 2.0


# --- Rendering ---------------------------------------------------------------------------------


def test_ansi_shows_the_note_names_under_their_chords() -> None:
    env = make(render_mode="ansi", bars=2, progression="I V", meter="2/4")
    rollout(env, spelt("C5 . G4 - B4"), seed=0)
    lines = env.render().splitlines()
    assert [line.split() for line in lines] == [
        ["|", "C", "|"],
        ["|", "C5", ".", "G4", "-", "|"],
        ["|", "G", "|"],
        ["|", "B4", "-", "-", "-", "|"],
    ]


def test_rgb_array_shows_a_picture() -> None:
    env = make(render_mode="rgb_array", bars=2, progression="I V")
    rollout(env, spelt("C5 . G4"), seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2


def test_human_prints_each_bar_as_it_is_completed(capsys: pytest.CaptureFixture[str]) -> None:
    env = make(render_mode="human", bars=2, progression="I V", meter="2/4")
    rollout(env, spelt("C5 . G4"), seed=0)
    assert capsys.readouterr().out == ""
    env.step(1)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["|", "C", "|"],
        ["|", "C5", ".", "G4", "-", "|"],
    ]
    for event in spelt("B4 . . ."):
        env.step(event)
    assert "B4" in capsys.readouterr().out
    assert env.render() is None


def test_render_without_a_mode_says_which_there_are(recwarn: pytest.WarningsRecorder) -> None:
    env = make()
    env.reset(seed=0)
    assert env.render() is None
    assert any("rgb_array" in str(w.message) for w in recwarn)


def test_the_melody_so_far_is_padded_with_rests() -> None:
    env = make(bars=4, key="Bb major")
    rollout(env, spelt("C5 ."), seed=0)
    melody = env.melody
    assert isinstance(melody, musicgym.Melody)
    assert list(melody.events) == spelt("C5 .") + [1] * 30
    assert (melody.low, melody.key.name, melody.meter) == (LOW, "Bb major", "4/4")
    assert [chord.symbol(melody.key) for chord in melody.chords] == ["Bb", "F", "Gm", "Eb"]
