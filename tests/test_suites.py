"""The suites: what each task is about holds, and each is an environment by its name."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields, replace
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from small import QUALITY, corpus

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.exact_planner import plan
from musicgym.agents.heuristics import UniformRandom
from musicgym.agents.imagination import imagine
from musicgym.agents.library import agent_path, prior_path
from musicgym.agents.rollout import play
from musicgym.benchmarks.entries import Workshop
from musicgym.benchmarks.entry_files import EntrySpec
from musicgym.benchmarks.evaluate import Evaluation
from musicgym.benchmarks.human import Human
from musicgym.benchmarks.scenes import Scene, around_change, paid_in, pay_in, scene_of
from musicgym.benchmarks.suites import SUITES
from musicgym.benchmarks.tasks import BenchmarkTask, corpus_windows
from musicgym.corpus import dataset
from musicgym.corpus.dataset import HIGH, LOW, Corpus, Piece, Windows, collect, windows
from musicgym.corpus.forms import formed
from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.progressions import COMMON, SETS
from musicgym.replay import after, begin, episodes_of, pay
from musicgym.reward import SequenceTerm
from musicgym.task import Task
from musicgym.theory import parse_progression, usual_key

V1 = SUITES["v1"]
PPO = EntrySpec("ours", "acmg_ppo")
TASKS = {task.name: task.task for task in V1.tasks}
MAJOR, MINOR = usual_key(0, "major"), usual_key(9, "minor")

#: What the tasks of v1 are: they never change.
DIGESTS = {
    "acmg": "5918d765",
    "balanced": "7286a31b",
    "balanced_bar": "45a7517d",
    "balanced_end": "28399d3b",
    "minor": "cc404ce5",
    "waltz": "2a5f9f39",
    "progressions": "ae202021",
    "long": "218aa494",
    "jazz": "5c31c6d6",
    "continuation": "291fdcd3",
    "emotion": "7402dcdc",
    "recovery": "13e493ed",
}


def stretched(name: str, steps_per_beat: int, meter: str = "4/4") -> Corpus:
    """Return the small corpus on a finer grid, and in 3/4 by another division of its beats."""

    def piece(old: Piece) -> Piece:
        events = [
            event if slot == 0 else (REST if event == REST else HOLD)
            for event in old.events
            for slot in range(steps_per_beat)
        ]
        beats = len(old.roots) // 12 * 12
        return replace(
            old,
            meter=meter,
            steps_per_beat=steps_per_beat,
            events=tuple(events[: beats * steps_per_beat]),
            roots=old.roots[:beats],
            codes=old.codes[:beats],
            phrases=(beats * steps_per_beat,),
        )

    pieces = [piece(old) for old in corpus(bars=12).pieces]
    return collect(name, pieces, {"kept": len(pieces)})


@pytest.fixture(autouse=True, scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Walks under the names of the corpora that the suite needs, in a cache of their own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MUSICGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
    dataset.save(stretched("chorales", 2), 2)
    dataset.save(stretched("chorales", 4), 4)
    dataset.save(stretched("folk", 2, "3/4"), 2)
    dataset.save(corpus(), 1)
    yield
    patch.undo()


def small(**changes: Any) -> BenchmarkTask:
    """Return a task over walks, a slot a beat."""
    return BenchmarkTask("balanced", "walks", **{"steps_per_beat": 1, "bars": 2, **changes})


def silent(name: str, total: int) -> Any:
    return lambda figures: None


# The suites


def test_the_tasks_of_v1_are_as_they_were_published() -> None:
    assert {name: task.digest for name, task in TASKS.items()} == DIGESTS


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_task_says_what_it_is_and_comes_back_from_its_json(suite: Any) -> None:
    assert len({task.task.json for task in suite.tasks}) == len(suite.tasks)
    for task in suite.tasks:
        assert suite.task(task.name) is task and task.about.endswith((".", "?"))
        assert BenchmarkTask(**json.loads(task.task.json)) == task.task
        assert task.budget > 0
    with pytest.raises(ValueError, match="did you mean 'balanced'"):
        suite.task("balancd")


def test_a_task_has_an_optimum_or_the_reason_that_there_is_none() -> None:
    for task in V1.tasks:
        whole = [t.name for t in task.task.reward.terms if isinstance(t.pays, SequenceTerm)]
        assert bool(whole) == bool(task.no_optimum)
    for name in ("balanced", "emotion"):
        one = TASKS[name].envs(1)
        one.reset(seed=1)
        scene = scene_of(TASKS[name], one.episodes(), one.task.steps_per_chord)
        assert (scene.optimum is None) == bool(V1.task(name).no_optimum)


def test_what_is_learned_on_is_not_what_is_graded() -> None:
    for task in TASKS.values():
        held = task.task.progression
        assert held not in task.learned_on
        for text in task.learned_on:
            assert "test" not in text and "validation" not in text
            assert len(Task(**_task_of(task.arguments(text))).table.roots)
    assert TASKS["progressions"].learned_on == ("random",)


def _task_of(arguments: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(Task)}
    return {name: value for name, value in arguments.items() if name in known}


# Environments by name


@pytest.mark.parametrize("name", [name for name in TASKS if name != "continuation"])
def test_a_name_makes_the_environment_of_the_task(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(f"musicgym.benchmarks.suites:MelodyCompose/{name}-v1")
        check_env(env.unwrapped, skip_render_check=True)
    one, task = env.unwrapped, TASKS[name]
    assert one.task == replace(task.task, pitch_range=one.task.pitch_range)  # type: ignore[attr-defined]
    assert one.reward_timing == task.reward_timing  # type: ignore[attr-defined]
    assert env.spec is not None and EnvSpec.from_json(env.spec.to_json()) == env.spec
    many = gym.make_vec(f"MelodyCompose/{name}-v1", num_envs=2, backend="arrays")
    many.reset(seed=3)
    alone, _ = env.reset(seed=4)
    np.testing.assert_array_equal(alone, many.reset(seed=3)[0][1])


def test_an_environment_by_name_can_be_practised_in() -> None:
    env = gym.make("MelodyCompose/jazz-v1", progression="set:jazz/train")
    assert env.unwrapped.task.progression == "set:jazz/train"  # type: ignore[attr-defined]


# One mode


def test_minor_is_minor_for_episodes_melodies_and_practice() -> None:
    task = small(key="A minor")
    envs = task.envs(20)
    envs.reset(seed=1)
    assert (envs.episodes().mode == 1).all() and (envs.episodes().tonic == 9).all()
    both = corpus_windows(corpus(), "test", small().task)
    assert 0 < both.modes.sum() < len(both.modes)
    cut = corpus_windows(corpus(), "test", task.task)
    assert len(cut.modes) == both.modes.sum() and cut.modes.all()
    human = Human.of(corpus(), task.task)
    assert human.pieces.minor.all() and len(human.even()) == len(cut.modes)
    config = ACMGConfig(key="A minor", bars=2, steps_per_beat=1)
    practice = config.envs("random", 20, backend="arrays")
    practice.reset(seed=1)
    assert (practice.episodes().mode == 1).all()


def test_a_mode_without_a_melody_is_refused() -> None:
    pieces = [piece for piece in corpus().pieces if piece.mode == "major"]
    with pytest.raises(ValueError, match="no window in minor"):
        corpus_windows(collect("walks", pieces, {}), "train", small(key="A minor").task)


# Delivery


def test_however_it_is_paid_the_total_and_the_optimum_are_the_same() -> None:
    found = []
    for timing in ("dense", "bar", "end"):
        task = small(reward_timing=timing)
        envs = task.envs(6)
        rollout = play(envs, UniformRandom(envs.task), 5)
        scene = scene_of(task, rollout.episodes, 1)
        found.append((rollout.rewards.numpy(), scene.optimum))
    (dense, best), (bar, same), (end, equal) = found
    np.testing.assert_array_equal(best, same)
    np.testing.assert_array_equal(best, equal)
    np.testing.assert_allclose(bar[:, [3, 7]], dense.reshape(6, 2, 4).sum(2), atol=1e-5)
    np.testing.assert_allclose(end[:, 7], dense.sum(1), atol=1e-5)
    assert np.count_nonzero(bar[:, [0, 1, 2, 4, 5, 6]]) == np.count_nonzero(end[:, :7]) == 0


# Jazz


def test_jazz_has_sevenths_in_both_modes_and_holds_other_halves_out() -> None:
    halves: dict[str, set[str]] = {}
    for part in ("train", "test"):
        for mode, key in (("major", MAJOR), ("minor", MINOR)):
            for text in SETS[f"jazz/{part}"][mode]:
                chords = parse_progression(text, key)
                assert len(chords) == 16
                assert all(len(chord.pitch_classes) == 4 for chord in chords)
                words = text.split()
                halves.setdefault(part, set()).update({" ".join(words[:8]), " ".join(words[8:])})
    assert not halves["train"] & halves["test"]
    assert not set(COMMON["major"]) & halves["test"]


def test_a_named_set_is_drawn_in_the_mode_of_the_key() -> None:
    task = Task(key="D minor", progression="set:jazz/test", chords_per_bar=2)
    first = parse_progression(SETS["jazz/test"]["minor"][0], MINOR)
    row = task.table.major_rows
    assert task.table.roots[row].tolist() == [(chord.root - 9) % 12 for chord in first]
    assert task.table.codes[row].tolist() == [chord.code for chord in first]
    assert len(task.table.roots) == sum(map(len, SETS["jazz/test"].values()))
    with pytest.raises(ValueError, match="there is no set 'jaz/test'; did you mean 'jazz/t"):
        Task(progression="set:jaz/test")


# Forms


def lone(name: str, tune: int, bars: int = 4, mode: str = "major") -> Piece:
    """Return a piece whose notes tell tune and beat apart: a note and a chord a beat."""
    beats = 4 * bars
    scale = (0, 2, 4, 5, 7)
    events = tuple(12 + scale[(tune * 2 + 3 * b + b * b * (tune + 1)) % 5] for b in range(beats))
    codes = (QUALITY.index("m" if tune % 2 else ""),) * beats
    roots = tuple((tune + 5 * b) % 12 for b in range(beats))
    return Piece(name, "", mode, "4/4", 1, events, roots, codes, (beats,), 0)


def joined(form: str, bars: int, length: int) -> tuple[Windows, Windows]:
    """Return the plain windows of all pieces of one split, and those of a form."""
    held = collect("lone", [lone(f"p{i}", i, length) for i in range(12)], {})
    held = replace(held, split=dict.fromkeys(held.split, "test"))
    return windows(held, "test", bars=length), formed(held, "test", form, bars=bars)


def test_aaba_plays_another_tune_in_the_third_quarter() -> None:
    plain, cut = joined("aaba", 8, 2)
    assert len(cut.events) == len(plain.events) and cut.names == plain.names
    for i, tune in enumerate(cut.tunes):
        a, again, b, last = cut.events[i].reshape(4, 8)
        np.testing.assert_array_equal(a, plain.events[i])
        np.testing.assert_array_equal(a, again)
        np.testing.assert_array_equal(a, last)
        other = (i + 6) % 12  # half a split on
        np.testing.assert_array_equal(b, plain.events[other])
        assert plain.tunes[other] != tune
        chords = cut.roots[i].reshape(4, 8)
        np.testing.assert_array_equal(chords[2], plain.roots[other])
        np.testing.assert_array_equal(chords[3], plain.roots[i])


def test_turn_moves_another_tunes_third_quarter_up_a_whole_tone() -> None:
    plain, cut = joined("turn", 4, 4)
    for i in range(len(cut.events)):
        other = (i + 6) % 12
        np.testing.assert_array_equal(cut.events[i, :8], plain.events[i, :8])
        np.testing.assert_array_equal(cut.events[i, 12:], plain.events[i, 12:])
        np.testing.assert_array_equal(cut.events[i, 8:12], plain.events[other, 8:12] + 2)
        np.testing.assert_array_equal(cut.roots[i, 8:12], (plain.roots[other, 8:12] + 2) % 12)
        np.testing.assert_array_equal(cut.codes[i, 8:12], plain.codes[other, 8:12])
        assert (cut.roots[i, 8:12] != plain.roots[i, 8:12]).any()


def test_a_note_held_over_a_join_is_struck_again_and_none_leaves_the_range() -> None:
    top = HIGH - LOW + FIRST_NOTE
    later = lone("", 0).events[12:]
    pieces = [
        replace(lone(f"p{i}", i), events=(note, *[HOLD] * 11, *later))
        for i, note in enumerate((top, top - 12))
    ]
    held = collect("lone", pieces, {})
    held = replace(held, split=dict.fromkeys(held.split, "test"))
    cut = formed(held, "test", "turn", bars=4)
    assert cut.events[:, 8].tolist() == [top - 12 + 2, top + 2 - 12]  # the second an octave lower
    assert (cut.events[:, 12] == [piece.events[12] for piece in pieces]).all()


def test_a_form_asks_for_bars_that_divide_and_two_tunes() -> None:
    with pytest.raises(ValueError, match="6 bars do not divide into the parts of 'turn'"):
        formed(corpus(), "test", "turn", bars=6)
    alone = replace(corpus(), split=dict.fromkeys(corpus().split, "train"))
    alone = replace(alone, split={**alone.split, corpus().pieces[1].name: "test"})
    with pytest.raises(ValueError, match="needs two tunes"):
        formed(alone, "test", "aaba", bars=8)
    with pytest.raises(ValueError, match="there is no form 'tern'; did you mean 'turn'"):
        Task(progression="corpus:walks/test/tern")


def test_the_step_of_the_change_is_where_the_key_turns() -> None:
    assert TASKS["recovery"].task.change == 32  # bar 5 of 8 slots
    assert TASKS["long"].task.change is None and TASKS["balanced"].task.change is None
    task = small(bars=4, progression="corpus:walks/test/turn")
    plain, turned = small(bars=4).task.table, task.task.table
    home = {row.tobytes() for row in plain.roots[:, :8]}
    assert all(row.tobytes() in home for row in turned.roots[:, :8])
    # Walks have chords on 0, 5 and 7 in major; a whole tone up those are 2, 7 and 9.
    major = turned.roots[: turned.major_rows]
    assert set(major[:, 8:12].ravel()) == {2, 7, 9} and set(major[:, :8].ravel()) == {0, 5, 7}


# Recovery


def test_the_reward_after_the_change_is_that_of_the_next_strong_beat() -> None:
    task = small(bars=4, progression="corpus:walks/test/turn", steps_per_beat=1)
    envs = task.envs(5)
    rollout = play(envs, UniformRandom(envs.task), 3)
    scene = scene_of(task, rollout.episodes, 1)
    events = rollout.events.numpy()
    heard = around_change(scene, task, events)
    paid = rollout.rewards.numpy()
    np.testing.assert_allclose(heard, paid[:, [6, 10]], atol=1e-6)  # the change is at step 8
    assert scene.at_change is not None and scene.at_change.shape == (5, 2)
    assert scene.at_change.mean() > heard.mean()


def test_a_beat_of_two_slots_is_averaged() -> None:
    task = BenchmarkTask(bars=4, progression="corpus:chorales/test/turn")
    envs = task.envs(3)
    envs.reset(seed=1)
    scene = Scene(envs.episodes(), 2, None)
    events = np.full((3, 32), 14, np.int64)
    paid = paid_in(scene, task, events) @ task.reward.weights
    expected = np.stack([paid[:, 12:14].mean(1), paid[:, 20:22].mean(1)], 1)
    np.testing.assert_allclose(around_change(scene, task, events), expected)


# Continuation

OPENED = small(opening_bars=1, pitch_range=("C4", "G5"))


def test_the_opening_is_that_of_a_human_melody_over_the_same_chords() -> None:
    envs = OPENED.envs(20)
    envs.reset(seed=1)
    told = envs.episodes()
    openings = OPENED.openings(told)
    assert openings.shape == (20, OPENED.given) == (20, 4) and OPENED.own == 4
    cut = corpus_windows(corpus(), "test", OPENED.task)
    human = episodes_of(cut, OPENED.task)
    for i in range(20):
        same = (human.mode == told.mode[i]) & (human.masks == told.masks[i]).all(1)
        first = np.flatnonzero(same & (human.roots == told.roots[i]).all(1))[0]
        np.testing.assert_array_equal(openings[i], cut.events[first, :4])
    assert OPENED.openings(human)[0].tolist() == cut.events[0, :4].tolist()
    strange = told._replace(roots=np.full_like(told.roots, 6))
    with pytest.raises(ValueError, match="no human melody over the chords"):
        OPENED.openings(strange)
    assert small().openings(told).shape == (20, 0)


def test_the_optimum_of_a_continuation_is_the_best_of_all_continuations() -> None:
    envs = OPENED.envs(2)
    envs.reset(seed=4)
    told, task, reward = envs.episodes(), OPENED.task, OPENED.reward
    scene = scene_of(OPENED, told, 1)
    opening = OPENED.openings(told)
    np.testing.assert_array_equal(scene.optimum, plan(task, reward, told, opening=opening).value)
    opening = np.concatenate([opening, [[2], [9]]], axis=1)  # three steps are left
    found = plan(task, reward, told, opening=opening).value
    every = np.array(list(product(range(task.n_events), repeat=3)))
    for i in range(2):
        many = type(told)(*(np.repeat(part[i : i + 1], len(every), axis=0) for part in told))
        start = np.repeat(opening[i : i + 1], len(every), axis=0)
        c, state = begin(many, task, reward.readings, 1)
        raw = pay(c, state, np.concatenate([start, every], 1), reward)
        assert found[i] == pytest.approx((raw[:, 5:] @ reward.weights).sum(1).max())


@pytest.mark.parametrize("name", ["optimum", "best_of_16", "nearest_chord_tone"])
def test_every_entry_goes_on_from_the_opening_and_is_paid_for_the_rest(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(OPENED, corpus(), silent)
    graded = Evaluation(shop, 12, splits=3)
    monkeypatch.setattr(Workshop, "prior", UniformRandom(OPENED.task))
    scene = graded.scene(1)
    entry = shop.make(name, scene.episodes)
    rollout = play(
        graded.envs, entry.policy, 10**12, entry.sampling, {"events": scene.opening}, keep=True
    )
    events = rollout.events.numpy()
    np.testing.assert_array_equal(events[:, :4], scene.opening)
    returns = pay_in(scene, OPENED, events) @ OPENED.reward.weights
    np.testing.assert_allclose(returns, rollout.rewards.sum(1), atol=1e-5)
    assert scene.optimum is not None
    assert (returns <= scene.optimum + 1e-9).all()
    if name == "optimum":
        np.testing.assert_allclose(returns, scene.optimum)
    if name == "best_of_16":
        each = [
            imagine(shop.prior, scene.episodes, OPENED.task, OPENED.reward, 1 + (r << 32),
                    opening=scene.opening).returns(OPENED.reward)
            for r in range(16)
        ]  # fmt: skip
        np.testing.assert_allclose(returns, np.max(each, axis=0))
        assert entry.kl_bound == pytest.approx((np.log(16) - 15 / 16) / 4)


def test_an_opening_leaves_a_step_to_play_and_fits_the_episodes() -> None:
    task = small().plain("random")
    envs = small().envs(2)
    envs.reset(seed=1)
    c, state = begin(envs.episodes(), task, small().reward.readings, 1)
    for wrong in (np.ones((2, 8), np.int64), np.ones((3, 4), np.int64)):
        with pytest.raises(ValueError, match="opening: events of shape"):
            after(c, state, wrong)
    with pytest.raises(ValueError, match="opening_bars: 2 is not a whole number from 0 to 1"):
        small(opening_bars=2)
    whole = plan(task, small().reward, envs.episodes()).value
    none = plan(task, small().reward, envs.episodes(), opening=np.zeros((2, 0), np.int64)).value
    np.testing.assert_array_equal(whole, none)


# Agents


def test_agents_of_today_keep_their_names_in_the_library() -> None:
    config = ACMGConfig()
    assert prior_path(config, "x").name == "prior-4-4-grid2-6c49a944.safetensors"
    assert agent_path(config, "x").name == "ppo-4-4-grid2-fc1d9de7.safetensors"
    assert "reward_timing" not in config.to_json()


@pytest.mark.parametrize("name", TASKS)
def test_an_agent_practises_on_what_the_task_lets_it(name: str) -> None:
    task = TASKS[name]
    shop = Workshop(task, stretched("chorales", 2), silent)
    config = shop.config(PPO, 1)
    assert ACMGConfig.from_json(config.to_json()) == config
    for progression in config.progressions:
        envs = config.envs(progression, 2, backend="arrays")
        asked = task.arguments(progression)
        assert envs.task == Task(**_task_of(asked))
        assert envs.reward_timing == task.reward_timing


def test_tasks_that_differ_in_grading_only_share_their_agents_and_all_their_prior() -> None:
    def paths(name: str) -> tuple[str, str]:
        config = Workshop(TASKS[name], corpus(), silent).config(PPO, 1)
        return prior_path(config, "x").name, agent_path(config, "x").name

    same = {paths(name) for name in ("balanced", "long", "continuation", "recovery")}
    assert len(same) == 1
    others = (
        "acmg",
        "balanced",
        "balanced_bar",
        "balanced_end",
        "minor",
        "progressions",
        "emotion",
    )
    assert len({paths(name)[0] for name in others}) == 1
    assert len({paths(name)[1] for name in others}) == len(others)
