from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from playing import equal, random_events, spelt
from test_env import IDS, RISING

from musicgym.backends import compiled
from musicgym.dynamics import Moment
from musicgym.env import MelodyComposeEnv
from musicgym.reward import Rule
from musicgym.select import Array
from musicgym.vector_env import MelodyComposeVectorEnv

MODES = [mode.value for mode in AutoresetMode]
BACKENDS = ["arrays", "compiled"]
SIZE = 5
#: One task for nearly all tests, so that few kernels are compiled: 8 steps, everything drawn.
TASK: dict[str, Any] = {
    "bars": 2, "steps_per_beat": 1, "key": "random", "progression": "random",
    "rewards": "acmg_literal",
}  # fmt: skip


def make(size: int = SIZE, backend: str = "arrays", **arguments: Any) -> MelodyComposeVectorEnv:
    given = {**TASK, "observation": "compact", **arguments}
    envs = gym.make_vec("MelodyCompose-v0", num_envs=size, backend=backend, **given)
    assert isinstance(envs, MelodyComposeVectorEnv)
    return envs


def events(steps: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    return random_events(38, steps, seed, size)  # type: ignore[no-any-return]


# --- Native and SyncVectorEnv ------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("observation", ["flat", "compact", "dict"])
@pytest.mark.parametrize("mode", MODES)
def test_the_native_batch_is_gymnasiums_sync_batch_on_every_output(
    mode: str, observation: str, backend: str
) -> None:
    timing = {"NextStep": "dense", "SameStep": "bar", "Disabled": "end"}[mode]
    given = {**TASK, "observation": observation, "reward_timing": timing}
    one = [lambda: gym.make("MelodyCompose-v0", **given)] * SIZE
    sync = SyncVectorEnv(one, autoreset_mode=AutoresetMode(mode))
    native = make(backend=backend, autoreset_mode=mode, **given)
    assert native.observation_space == sync.observation_space
    assert native.action_space == sync.action_space
    assert native.single_observation_space == sync.single_observation_space
    assert native.metadata["autoreset_mode"] == sync.metadata["autoreset_mode"]
    equal(sync.reset(seed=3), native.reset(seed=3))
    equal(sync.reset(seed=[4, 5, 9, 1, 0]), native.reset(seed=[4, 5, 9, 1, 0]))
    equal(sync.reset(), native.reset())
    for step, actions in enumerate(events(30)):
        if step == 3:  # so that the episodes end at different steps
            mask = np.array([True, False, True, False, False])
            equal(
                sync.reset(options={"reset_mask": mask.copy()}),
                native.reset(options={"reset_mask": mask.copy()}),
            )
        theirs, ours = sync.step(actions), native.step(actions)
        for part in range(5):
            equal(theirs[part], ours[part], f"step {step}, output {part}")
        assert native.observation_space.contains(ours[0])
        if mode == "Disabled" and theirs[2].any():
            mask = theirs[2].copy()
            equal(
                sync.reset(options={"reset_mask": mask.copy()}),
                native.reset(options={"reset_mask": mask.copy()}),
            )


@pytest.mark.parametrize("name", IDS)
def test_every_id_makes_a_native_batch_with_its_own_rewards(name: str) -> None:
    envs = gym.make_vec(name, num_envs=2, bars=4, backend="arrays")
    single = gym.make(name, bars=4).unwrapped
    assert isinstance(envs, MelodyComposeVectorEnv) and isinstance(single, MelodyComposeEnv)
    assert envs.reward == single.reward


@pytest.mark.parametrize("backend", BACKENDS)
def test_environment_i_is_the_single_environment_with_seed_plus_i(backend: str) -> None:
    envs = make(backend=backend)
    singles = [MelodyComposeEnv(**{**TASK, "observation": "compact"}) for _ in range(SIZE)]
    seen, _ = envs.reset(seed=11)
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(seen[i], single.reset(seed=11 + i)[0])
    for actions in events(8):
        seen, rewards, done, _, infos = envs.step(actions)
        for i, single in enumerate(singles):
            one = single.step(int(actions[i]))
            np.testing.assert_array_equal(seen[i], one[0])
            assert (rewards[i], bool(done[i])) == (one[1], one[2])
            for name, value in one[4]["reward_terms"].items():
                assert infos["reward_terms"][name][i] == value
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(infos["melody"][i], single.melody.events)
        assert envs.melodies[i] == single.melody


def test_a_large_batch_has_the_same_episodes_as_a_small_one() -> None:
    small, large = make(3), make(40)
    equal(small.reset(seed=7)[0], large.reset(seed=7)[0][:3])


# --- Options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_may_differ_between_environments_and_last(backend: str) -> None:
    given = {"rewards": "acmg_literal", "key": "C major", "progression": "I V"}
    envs = make(3, backend, **given)
    weight = np.array([0.0, 1.0, -2.5])
    envs.reset(seed=0, options={"weights": {"chord_tone": weight, "repetition": 4.0}})
    single = [MelodyComposeEnv(**{**TASK, **given}) for _ in range(3)]
    for i, env in enumerate(single):
        env.reset(seed=i, options={"weights": {"chord_tone": weight[i], "repetition": 4.0}})
    for episode in range(2):
        for actions in events(8, seed=episode, size=3):
            rewards = envs.step(actions)[1]
            assert rewards.tolist() == [
                e.step(int(a))[1] for e, a in zip(single, actions, strict=True)
            ]
        envs.step(actions)  # the next episodes begin
        for env in single:
            env.reset()


def test_weights_of_a_single_environment_in_a_batch_may_be_an_array() -> None:
    envs = make(1)
    envs.reset(seed=0, options={"weights": {"chord_tone": np.array([2.0])}})
    assert envs.weights[..., envs.reward.names.index("chord_tone")].tolist() == [2.0]


@pytest.mark.parametrize("opening", ["shared", "own"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_openings_are_shared_or_one_an_environment(backend: str, opening: str) -> None:
    own = np.array([spelt("C5 . D5"), spelt("- C5 ."), spelt("C4 C4 C4")])
    given = own if opening == "own" else own[0]
    envs = make(3, backend)
    seen, infos = envs.reset(seed=0, options={"events": given})
    singles = [MelodyComposeEnv(**{**TASK, "observation": "compact"}) for _ in range(3)]
    for i, single in enumerate(singles):
        one, info = single.reset(seed=i, options={"events": own[i if opening == "own" else 0]})
        np.testing.assert_array_equal(seen[i], one)
        np.testing.assert_array_equal(infos["action_mask"][i], info["action_mask"])
    for actions in events(5, size=3):
        _, rewards, done, _, infos = envs.step(actions)
        assert rewards.tolist() == [
            e.step(int(a))[1] for e, a in zip(singles, actions, strict=True)
        ]
    assert done.all()
    np.testing.assert_array_equal(infos["melody"][:, :3], np.broadcast_to(given, (3, 3)))
    envs.step(actions)
    assert (envs.get_state()[1] == 0).all(), "an opening is for one episode only"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_progression_and_a_key_may_be_given_for_one_episode(backend: str) -> None:
    envs = make(2, backend)
    for chords in ("I ii", "V7 N.C.", "I ii"):
        envs.reset(seed=0, options={"progression": chords, "key": "E major"})
        singles = [MelodyComposeEnv(**{**TASK, "observation": "compact"}) for _ in range(2)]
        for i, single in enumerate(singles):
            single.reset(seed=i, options={"progression": chords, "key": "E major"})
        for actions in events(4, size=2):
            rewards = envs.step(actions)[1]
            assert rewards.tolist() == [
                e.step(int(a))[1] for e, a in zip(singles, actions, strict=True)
            ]
        assert [m.chords for m in envs.melodies] == [single.melody.chords for single in singles]


def test_a_given_progression_is_read_in_the_mode_that_each_environment_draws() -> None:
    envs = make(16)
    envs.reset(seed=0, options={"progression": "VI VII"})
    modes = set()
    for melody in envs.melodies:
        modes.add(melody.key.mode)
        above = 8 if melody.key.minor else 9
        assert melody.chords[0].root == (melody.key.tonic + above) % 12
    assert modes == {"major", "minor"}


def test_a_reset_mask_starts_only_the_environments_that_it_names() -> None:
    envs = make(autoreset_mode="Disabled")
    envs.reset(seed=0)
    for actions in events(3):
        seen = envs.step(actions)[0]
    mask = np.array([False, True, False, False, True])
    again, infos = envs.reset(seed=50, options={"reset_mask": mask})
    np.testing.assert_array_equal(again[~mask], seen[~mask])
    np.testing.assert_array_equal(infos["_action_mask"], mask)
    fresh = make()
    fresh_seen, _ = fresh.reset(seed=50)
    np.testing.assert_array_equal(again[mask], fresh_seen[mask])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"reset_mask": [True] * 5}, TypeError, "NumPy array of bools"),
        ({"reset_mask": np.ones(5, int)}, TypeError, "NumPy array of bools"),
        ({"reset_mask": np.ones(4, bool)}, ValueError, r"\(5,\)"),
        ({"reset_mask": np.zeros(5, bool)}, ValueError, "at least one True"),
        ({"events": np.ones((4, 2), int)}, ValueError, r"\(4, 2\) given.*\(5, k\)"),
        ({"events": np.ones((5, 2, 1), int)}, ValueError, r"\(5, k\)"),
        ({"events": np.ones((5, 8), int)}, ValueError, "shorter"),
        ({"events": np.ones(3)}, ValueError, "float64"),
        ({"weights": {"chord_tone": np.ones(4)}}, ValueError, r"shape \(4,\).*\(5,\)"),
        ({"weights": {"chord_tone": np.full(5, np.nan)}}, ValueError, "finite"),
        ({"weights": {"chord": 1}}, ValueError, "'chord'"),
        ({"keys": "C"}, ValueError, "did you mean 'key'"),
        (["key"], ValueError, "dict"),
    ],
    ids=str,
)
def test_a_wrong_option_raises_an_error_and_changes_nothing(
    options: Any, error: type[Exception], words: str
) -> None:
    envs = make()
    envs.reset(seed=0)
    envs.step(events(1)[0])
    before = envs.get_state()
    with pytest.raises(error, match=words):
        envs.reset(seed=1, options=options)
    equal(before, envs.get_state())


@pytest.mark.parametrize("backend", ["arrays", "tensor"])
def test_wrong_seeds_raise_an_error_and_change_nothing(backend: str) -> None:
    envs = make(backend=backend)
    envs.reset(seed=0)
    before = envs.get_state()
    with pytest.raises(ValueError, match="2 seeds given for 5"):
        envs.reset(seed=[1, 2], options={"weights": {"repetition": 9.0}})
    assert str(envs.get_state()) == str(before)


# --- Policy terms and sequence terms -----------------------------------------------------------


def test_probabilities_of_the_batch_are_judged_once() -> None:
    envs = make(2, rewards={"state_variance": {"normalised": True}})
    envs.reset(seed=0)
    p = np.array([np.eye(38)[3], np.full(38, 1 / 38)])
    envs.observe_policy(p)
    _, rewards, _, _, infos = envs.step(np.array([1, 1]))
    assert rewards == pytest.approx([1.0, 0.0])
    assert infos["reward_terms"]["state_variance"] == pytest.approx([1.0, 0.0])
    assert not envs.step(np.array([1, 1]))[1].any()
    with pytest.raises(ValueError, match=r"\(2, 38\) expected"):
        envs.observe_policy(p[0])
    envs.observe_policy(p)
    envs.reset(seed=0)
    assert not envs.step(np.array([1, 1]))[1].any(), "a reset forgets them"


def test_an_environment_that_starts_again_is_not_judged_in_that_step() -> None:
    envs = make(2, rewards={"state_variance": 1.0})
    envs.reset(seed=0)
    envs.reset(options={"reset_mask": np.array([True, False])})
    for _ in range(8):
        envs.step(np.array([1, 1]))
    envs.observe_policy(np.eye(38)[:2])
    assert not envs.step(np.array([1, 1]))[1].any()


@pytest.mark.parametrize("mode", MODES)
def test_a_sequence_term_starts_with_each_environments_own_episodes(mode: str) -> None:
    given = {**TASK, "rewards": {RISING: 1.0, "chord_tone": 1.0}, "observation": "compact"}
    one = [lambda: gym.make("MelodyCompose-v0", **given)] * SIZE
    sync = SyncVectorEnv(one, autoreset_mode=AutoresetMode(mode))
    native = make(autoreset_mode=mode, **given)
    opening = {"events": spelt("C5 D5")}
    equal(sync.reset(seed=3, options=dict(opening)), native.reset(seed=3, options=dict(opening)))
    mask = np.array([True, False, False, True, False])
    for step, actions in enumerate(events(30)):
        theirs, ours = sync.step(actions), native.step(actions)
        equal(theirs[1], ours[1], f"step {step}")
        equal(theirs[4], ours[4], f"step {step}")
        if mode == "Disabled" and theirs[2].any() or step == 2:
            which = mask if step == 2 else theirs[2].copy()
            sync.reset(options={"reset_mask": which.copy()})
            native.reset(options={"reset_mask": which.copy()})


# --- State, copies, misuse ---------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", MODES[:2])
def test_set_state_returns_exactly_to_where_get_state_was_called(mode: str, backend: str) -> None:
    envs = make(backend=backend, autoreset_mode=mode)
    envs.reset(seed=0, options={"weights": {"repetition": np.arange(5.0)}})
    envs.reset(options={"reset_mask": np.array([True, True, False, False, False])})
    for actions in events(11):
        envs.step(actions)
    envs.observe_policy(np.full((5, 38), 1 / 38))
    state = envs.get_state()
    rest = [envs.step(actions) for actions in events(20, seed=1)]
    envs.reset(seed=77, options={"weights": {"repetition": 0.0}})
    for _ in range(2):
        envs.set_state(state)
        equal(rest, [envs.step(actions) for actions in events(20, seed=1)])


def test_set_state_lets_sequence_terms_hear_the_melodies_again() -> None:
    envs = make(rewards={RISING: 1.0})
    envs.reset(seed=0)
    for actions in events(3):
        envs.step(actions)
    envs.reset(options={"reset_mask": np.array([True, False, True, False, False])})
    for actions in events(2):
        envs.step(actions)
    state = envs.get_state()
    rest = [envs.step(actions) for actions in events(20, seed=1)]
    envs.reset(seed=5)
    envs.set_state(state)
    equal(rest, [envs.step(actions) for actions in events(20, seed=1)])


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_copy_in_the_middle_of_an_episode_goes_on_the_same(backend: str, way: str) -> None:
    envs = make(backend=backend)
    envs.reset(seed=0, options={"progression": "IV V"})
    for actions in events(5):
        envs.step(actions)
    twin = pickle.loads(pickle.dumps(envs)) if way == "pickle" else copy.deepcopy(envs)
    for actions in events(20, seed=1):
        equal(envs.step(actions), twin.step(actions))


def test_outputs_are_fresh_arrays_every_step() -> None:
    envs = make(autoreset_mode="SameStep")
    kept = [envs.reset(seed=0)]
    copies = [copy.deepcopy(kept[0])]
    for actions in events(20):
        kept.append(envs.step(actions))
        copies.append(copy.deepcopy(kept[-1]))
    equal(kept, copies)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("backend", [*BACKENDS, "tensor"])
def test_writing_over_what_a_step_gave_changes_nothing_later(backend: str, mode: str) -> None:
    envs, twin = (make(backend=backend, autoreset_mode=mode) for _ in range(2))
    envs.reset(seed=0), twin.reset(seed=0)
    first, *rest = events(5)
    twin.step(first)
    observation, reward, terminated, truncated, infos = envs.step(first)
    observation[:], reward[:], terminated[:], truncated[:] = 7, 7.0, True, True
    infos["action_mask"][:], infos["reward_terms"]["repetition"][:] = 7, 7.0
    options = {"reset_mask": np.array([True, False, True, False, False])}
    assert str(envs.reset(options=options)) == str(twin.reset(options=options))
    for actions in rest:
        assert str(envs.step(actions)) == str(twin.step(actions))


def test_columns_of_a_table_and_arrays_that_are_only_read_compile_nothing() -> None:
    envs = make(backend="compiled")
    envs.reset(seed=0)
    envs.step(events(1)[0])
    kernels = compiled._load(envs._core.texts[0])
    known = len(kernels.step.signatures), len(kernels.reset.signatures)
    table = np.zeros((SIZE, 2), np.int64)
    read = np.broadcast_to(np.int64(3), SIZE)
    envs.step(table[:, 0]), envs.step(read)
    envs.reset(options={"reset_mask": table[:, 1] == 0})
    envs.reset(options={"reset_mask": np.broadcast_to(np.True_, SIZE)})
    assert (len(kernels.step.signatures), len(kernels.reset.signatures)) == known


def test_a_subclass_of_the_numpy_environment_refuses_the_tensor_backend() -> None:
    class Own(MelodyComposeVectorEnv):
        pass

    with pytest.raises(ValueError, match="MelodyComposeTensorEnv"):
        Own(2, "tensor")


def test_a_batch_without_a_seed_is_drawn() -> None:
    assert len({make().reset()[0].tobytes() for _ in range(5)}) > 1


def test_misuse_raises_an_error_that_says_what_to_do() -> None:
    envs = make(autoreset_mode="Disabled")
    for call in (
        lambda: envs.step(np.ones(5, int)),
        envs.get_state,
        lambda: envs.melodies,
        lambda: envs.reset(options={"reset_mask": np.eye(5, dtype=bool)[0]}),
    ):
        with pytest.raises(ResetNeeded, match=r"reset\(\)"):
            call()
    envs.reset(seed=0)
    for wrong in (np.ones(4, int), np.ones(5), np.ones((5, 1), int), 1):
        with pytest.raises(ValueError, match=r"integers \(5,\) expected"):
            envs.step(wrong)
    for _ in range(8):
        envs.step([1] * 5)
    with pytest.raises(ResetNeeded, match="reset_mask"):
        envs.step(np.ones(5, int))
    with pytest.raises(ValueError, match="3 seeds given for 5"):
        envs.reset(seed=[1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"backend": "numby"}, "auto, compiled, arrays"),
        ({"device": "gpu9"}, "device"),
        ({"autoreset_mode": "Nextstep"}, "did you mean 'NextStep'"),
        ({"num_envs": 0}, "1 or more"),
        ({"num_envs": 2.0}, "1 or more"),
        ({"observation": "x"}, "flat, compact, dict"),
    ],
    ids=str,
)
def test_a_wrong_argument_names_what_is_allowed(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        MelodyComposeVectorEnv(**{"num_envs": 2, **arguments})


class Stubborn(Rule):
    """Cannot be inlined."""

    def __call__(self, m: Moment) -> Array:
        if m is None:
            return 0.0
        return m.step * 0.5


@pytest.mark.filterwarnings("ignore:called plainly")
def test_a_reward_that_cannot_be_compiled_runs_on_numpy_with_a_warning_or_is_refused() -> None:
    spec = {f"{__name__}:Stubborn": 1.0}
    with pytest.warns(UserWarning, match="the batch runs on NumPy, not compiled: Stubborn"):
        envs = make(2, "auto", rewards=spec)
    envs.reset(seed=0)
    assert [envs.step(np.ones(2, int))[1].tolist() for _ in range(2)] == [[0, 0], [0.5, 0.5]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="'compiled' cannot run this reward: Stubborn"):
            make(2, "compiled", rewards=spec)


def test_autoreset_modes_are_given_as_strings_or_members() -> None:
    for mode in AutoresetMode:
        assert make(autoreset_mode=mode).autoreset_mode is mode
        assert make(autoreset_mode=mode.value).autoreset_mode is mode


def test_gymnasiums_own_wrappers_take_the_batch() -> None:
    envs = RecordEpisodeStatistics(make())
    envs.reset(seed=0)
    total = np.zeros(SIZE)
    for actions in events(8):
        _, rewards, done, _, infos = envs.step(actions)
        total += rewards
    assert done.all()
    assert infos["episode"]["r"] == pytest.approx(total)
    assert infos["episode"]["l"].tolist() == [8] * SIZE


def test_a_batch_tells_its_episodes_masks_events_and_pictures() -> None:
    envs = make(2, key="D major", progression="I V", render_mode="ansi")
    envs.reset(seed=0)
    envs.step(np.array([spelt("D5")[0], 0]))
    told = envs.episodes()
    assert told.tonic.tolist() == [2, 2]
    assert told.roots.tolist() == [[0] * 4 + [7] * 4] * 2
    assert envs.action_masks()[:, 0].tolist() == [1, 0]
    assert envs.played.tolist() == [spelt("D5")[0], 1]
    first, second = envs.render()
    assert "D5" in first and "D5" not in second
