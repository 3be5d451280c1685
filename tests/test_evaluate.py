"""Evaluation: every entry over the same episodes, graded by the environment's own rules."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import corpus

from musicgym.agents import acmg
from musicgym.agents.best_of_n import curve as unbiased
from musicgym.agents.best_of_n import pool
from musicgym.agents.configs import (
    ActorCriticConfig,
    KLConfig,
    MelodyLSTMConfig,
    PPOConfig,
    PretrainConfig,
)
from musicgym.agents.lessons import lessons
from musicgym.agents.markov import MarkovTable
from musicgym.agents.rollout import play
from musicgym.benchmarks import entries, evaluate
from musicgym.benchmarks.entries import BASELINES, ENTRIES, PLANNERS, SIMPLE, Workshop
from musicgym.benchmarks.evaluate import Evaluation, first_seed, grade_all
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.records import HUMAN, read_records
from musicgym.benchmarks.scenes import pieces_of
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.corpus import dataset

TASK = BenchmarkTask("balanced", corpus="walks", steps_per_beat=1, bars=2)
COUNT = 12


def silent(name: str, total: int) -> Any:
    return lambda figures: None


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Evaluation on a corpus of walks, with agents of one iteration."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MUSICGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
    dataset.save(corpus(), 1)
    short = PPOConfig(total_steps=64, kl=KLConfig(0.5))
    patch.setattr(entries, "LEARNED", dict.fromkeys(entries.LEARNED, short))
    usual = acmg.ACMGConfig
    patch.setattr(
        entries, "ACMGConfig",
        lambda **given: usual(
            **{**given, "num_envs": 8, "pretraining": PretrainConfig(epochs=1),
               "model": ActorCriticConfig(MelodyLSTMConfig(8), 8)}
        ) if given else usual(num_envs=8),
    )  # fmt: skip
    envs = usual.envs
    patch.setattr(usual, "envs", lambda *a, **k: envs(*a, **{**k, "backend": "arrays"}))
    yield Evaluation(Workshop(TASK, corpus(), silent), COUNT, splits=3)
    patch.undo()


def test_the_return_is_what_the_environment_pays(graded: Evaluation) -> None:
    record = graded.grade("nearest_chord_tone", seed=2)
    policy = graded.workshop.make("nearest_chord_tone", graded.scene(2).episodes).policy
    rollout = play(graded.envs, policy, first_seed(2))
    assert record.value("return") == pytest.approx(float(rollout.rewards.sum(1).mean()), abs=1e-5)
    parts = [v.value for n, v in record.figures.items() if n.startswith("return_")]
    assert sum(parts) == pytest.approx(record.value("return"))
    pieces = Pieces.of(graded.envs.melodies)
    again = pieces_of(graded.scene(2), TASK, rollout.events.numpy())
    for name in ("events", "low", "tonic", "minor", "masks"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pieces, name))


def test_no_entry_earns_more_than_the_optimum_which_is_reached_exactly(graded: Evaluation) -> None:
    for name in (*SIMPLE, "markov", "melody_lstm", "best_of_4", "acmg_ppo", "soft_optimum"):
        assert graded.grade(name).value("share_of_optimum") < 1 + 1e-9, name
    assert graded.grade("optimum").value("share_of_optimum") == pytest.approx(1, abs=1e-9)


def test_the_prior_is_at_no_distance_from_itself_and_others_are(graded: Evaluation) -> None:
    prior = graded.grade("melody_lstm")
    assert prior.value("kl") == pytest.approx(0, abs=1e-6) and prior.value("entropy") > 0.5
    cool = graded.grade("melody_lstm@0.5")
    assert cool.entry == "melody_lstm@0.5"
    assert cool.value("kl") > 0.01 and cool.value("entropy") < prior.value("entropy")
    held = graded.grade("held_tonic")
    assert held.value("entropy") == pytest.approx(0, abs=1e-6) and held.value("kl") > 1


def test_best_of_n_shares_one_pool_and_rises_with_n(graded: Evaluation) -> None:
    records = graded.best_of(8)
    assert [r.entry for r in records] == ["best_of_2", "best_of_4", "best_of_8"]
    curve = [r.value("return_curve") for r in records]
    found = [r.value("return") for r in records]
    assert curve == sorted(curve) and found == sorted(found)
    assert found[-1] == pytest.approx(curve[-1])  # all of the pool: nothing is left to average
    assert found[-1] > graded.grade("melody_lstm").value("return")
    assert records[0].value("kl") == pytest.approx((math.log(2) - 0.5) / 8)
    task, own = graded.task, graded.scene(1).episodes
    returns = pool(graded.workshop.prior, task.task, task.reward, own, 8, seed=1)
    assert curve == pytest.approx(list(unbiased(returns).values())[1:], rel=1e-12)
    # The pool's rows are those of the entry that draws for itself.
    assert str(graded.grade("best_of_4").figures["return"]) == str(records[1].figures["return"])
    assert graded.grade("best_of_4").value("mmd2") == records[1].value("mmd2")


def test_a_larger_pool_adds_to_the_rows_that_a_folder_has(
    graded: Evaluation, tmp_path: Path
) -> None:
    small = graded.best_of(4, 1, tmp_path)
    large = graded.best_of(8, 1, tmp_path)
    assert [r.entry for r in large] == ["best_of_2", "best_of_4", "best_of_8"]
    assert large[1].value("return_curve") == pytest.approx(small[1].value("return_curve"))
    assert len(read_records(tmp_path)) == 3


def test_a_named_search_that_the_pool_has_is_one_row(graded: Evaluation) -> None:
    made = grade_all(graded, ["best_of_4", "best_of_3"], 1, 4, baselines=False)
    assert [r.entry for r in made] == [HUMAN, "best_of_3", "best_of_2", "best_of_4"]


def test_two_rows_of_one_name_are_refused(graded: Evaluation, tmp_path: Path) -> None:
    names = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        names.append(str(tmp_path / folder / "mine.safetensors"))
        Path(names[-1]).touch()
    with pytest.raises(ValueError, match="two rows would be called 'mine'"):
        grade_all(graded, names, baselines=False)
    human = tmp_path / f"{HUMAN}.safetensors"
    human.touch()
    with pytest.raises(ValueError, match="two rows"):
        grade_all(graded, [str(human)], baselines=False)


def test_the_human_row_is_paid_by_the_same_rules_and_carries_the_floors(
    graded: Evaluation,
) -> None:
    human = graded.human_record()
    assert human.entry == HUMAN and human.count == len(graded.human.pieces.events)
    assert human.value("return") <= human.value("optimum")
    assert human.value("mmd2_deviation") >= 0
    assert math.isnan(human.value("kl"))


def test_a_planted_copy_is_taken_for_human_and_shares_all_its_runs(graded: Evaluation) -> None:
    copy, shuffle, rhythm = graded.planted()
    assert copy.value("mmd2") <= 0 and shuffle.value("mmd2") > copy.value("mmd2")
    longest = graded.human.pieces.line.count.max() - 1  # under 12 intervals: "copied" is undefined
    assert copy.value("shared_with_reference_max") == longest < 12
    assert math.isnan(copy.value("copied"))
    assert shuffle.value("shared_with_reference") < copy.value("shared_with_reference")
    assert rhythm.value("pitch_range") == copy.value("pitch_range")


def test_two_evaluations_of_one_seed_agree_and_two_seeds_differ(graded: Evaluation) -> None:
    one, two = graded.grade("markov", 1), graded.grade("markov", 1)
    assert str(one.figures) == str(two.figures)
    assert str(one.figures) != str(graded.grade("markov", 2).figures)
    keys = [set(graded.scene(seed).episodes.key.tolist()) for seed in (1, 2)]
    assert len(keys[0] | keys[1]) == 2 * COUNT  # no episode of one seed comes again in another


def test_the_markov_table_has_seen_the_training_split_only(graded: Evaluation) -> None:
    plain = TASK.plain("random")
    seen = MarkovTable(plain).fit(lessons(corpus(), "train", plain)).logits
    torch.testing.assert_close(graded.workshop.table.logits, seen, rtol=0, atol=0)


def test_a_trained_agent_brings_what_its_training_took(graded: Evaluation) -> None:
    facts = graded.grade("acmg_ppo").facts
    assert facts["training_steps"] == 64 and facts["training_seconds"] > 0
    assert facts["steps_to_90_percent"] == 64 and facts["parameters"] > 100


def test_a_checkpoint_is_an_entry_and_one_of_another_grid_is_refused(
    graded: Evaluation, tmp_path: Path
) -> None:
    agent = acmg.ACMG(acmg.ACMGConfig(steps_per_beat=1, bars=4, pretraining=None))
    agent.save(tmp_path / "mine.safetensors")
    record = graded.grade(str(tmp_path / "mine.safetensors"))
    assert record.entry == "mine" and record.facts["algorithm"] == "ppo"
    acmg.ACMG(acmg.ACMGConfig(pretraining=None)).save(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="2 steps a beat.*the task has 4/4, 1"):
        graded.grade(str(tmp_path / "other.safetensors"))


def test_a_policy_of_the_users_own_is_an_entry(
    graded: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_agent.py").write_text(
        "from musicgym.agents.heuristics import HeldTonic\n"
        "def make(task):\n    return HeldTonic(task)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = graded.grade("my_agent:make")
    assert own.value("return") == graded.grade("held_tonic").value("return")
    before = graded.workshop.content("my_agent:make", 1)
    with (tmp_path / "my_agent.py").open("a") as file:
        file.write("# changed\n")
    assert graded.workshop.content("my_agent:make", 1) != before  # no old record stands for it
    sys.modules.pop("my_agent")
    with pytest.raises(ValueError, match="cannot be loaded"):
        graded.grade("my_agent:other")


class Odd:
    """A user's policy that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def initial_state(self, episodes: Any) -> None:
        return None

    def __call__(self, observation: Any, state: Any) -> Any:
        return self.answer(len(observation), TASK.task.n_events)


ODD: dict[str, Any] = {
    "no finite numbers": lambda b, a: (torch.full((b, a), math.nan), None),
    "not logits, state": lambda b, a: torch.zeros(b, a),
    "no tensor of floats": lambda b, a: (np.zeros((b, a)), None),
    r"\(12, 37\), not \(12, 38\)": lambda b, a: (torch.zeros(b, a - 1), None),
}


@pytest.mark.parametrize("said", ODD)
def test_a_policy_that_gives_no_logits_is_refused_with_what_it_gave(
    graded: Evaluation, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "odd", lambda task: Odd(ODD[said]), raising=False)
    with pytest.raises(ValueError, match=said):
        graded.grade(f"{__name__}:odd")


@pytest.mark.parametrize(("made", "said"), [(3, "no function"), (lambda task: None, "no policy")])
def test_what_makes_no_policy_is_refused(
    graded: Evaluation, made: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "odd", made, raising=False)
    with pytest.raises(ValueError, match=said):
        graded.grade(f"{__name__}:odd")


def test_a_policy_may_rule_events_out_by_minus_infinity(
    graded: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rests_or_one_note(size: int, n_events: int) -> Any:
        logits = torch.full((size, n_events), -math.inf)
        logits[:, 1:3] = 0
        return logits, None

    odd = lambda task: Odd(rests_or_one_note)  # noqa: E731
    monkeypatch.setattr(sys.modules[__name__], "odd", odd, raising=False)
    record = graded.grade(f"{__name__}:odd")
    assert record.value("entropy") == pytest.approx(math.log(2))
    assert 0 < record.value("kl") < 50  # from the prior to it there would be a billion nats


@pytest.mark.parametrize(
    ("name", "said"),
    [("acmg_pop", "did you mean 'acmg_ppo'"), ("markov@hot", "temperature"),
     ("none.safetensors", "no file"), ("best_of_0", "1 or more"),
     ("best_of_8@0.5", "temperature 1 only"), ("", "there are")],
)  # fmt: skip
def test_a_mistyped_entry_is_refused_with_what_there_is(
    graded: Evaluation, name: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        graded.grade(name)


def test_what_a_folder_holds_is_not_made_again(
    graded: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = grade_all(graded, ["markov"], 2, 4, baselines=False, folder=tmp_path)
    assert [(r.entry, r.seed) for r in first] == [
        (HUMAN, 0), ("markov", 1), ("markov", 2), ("best_of_2", 1), ("best_of_4", 1),
        ("best_of_2", 2), ("best_of_4", 2),
    ]  # fmt: skip
    monkeypatch.setattr(Workshop, "make", None)
    monkeypatch.setattr(evaluate, "figures", None)
    again = grade_all(graded, ["markov"], 2, 4, baselines=False, folder=tmp_path)
    assert [(r.entry, r.seed) for r in again] == [(r.entry, r.seed) for r in first]
    for held, made in zip(again, first, strict=True):
        for name, figure in made.figures.items():
            assert held.value(name) == pytest.approx(figure.value, rel=1e-8, nan_ok=True), name
    with pytest.raises(TypeError):  # another seed is not there
        grade_all(graded, ["markov"], 3, 0, baselines=False, folder=tmp_path)


@pytest.mark.parametrize(("seeds", "best_of"), [(0, 0), (1, 3), (1, 1), (1, -2)])
def test_a_number_out_of_its_range_is_refused(graded: Evaluation, seeds: int, best_of: int) -> None:
    with pytest.raises(ValueError, match="seeds|best_of"):
        grade_all(graded, ["markov"], seeds, best_of)
    with pytest.raises(ValueError, match="count"):
        Evaluation(graded.workshop, 1)


def test_all_named_entries_are_checked_before_any_is_made(
    graded: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workshop, "make", None)
    with pytest.raises(ValueError, match="entry"):
        grade_all(graded, ["markov", "marcov"], 1, 0, baselines=False)
    for name in ENTRIES:
        graded.workshop.check(name)


def test_a_reward_without_an_exact_optimum_has_no_share(graded: Evaluation) -> None:
    spec = {"preset": "balanced", "unique_extremes": 1.0}
    task = replace(TASK, rewards=spec)
    record = Evaluation(Workshop(task, corpus(), silent), COUNT, splits=3).grade("held_tonic")
    assert math.isnan(record.value("share_of_optimum"))
    assert record.value("return_unique_extremes") != 0
    assert asdict(task)["rewards"] == spec


@pytest.mark.parametrize(
    ("rewards", "left"),
    [({"preset": "balanced", "unique_extremes": 1.0}, set(PLANNERS)),
     ({"octave_leap": 1.0}, {"soft_optimum"})],  # its optimum is too near the prior
    ids=["no optimum", "optimum near the prior"],
)  # fmt: skip
def test_a_planner_that_a_reward_has_not_is_left_out_unless_it_is_asked_for(
    graded: Evaluation, rewards: Any, left: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = Evaluation(Workshop(replace(TASK, rewards=rewards), corpus(), silent), 4, splits=2)
    made = grade_all(other, [])
    assert {r.entry for r in made} == {HUMAN, *BASELINES} - left
    assert all(f"{name} is left out" in capsys.readouterr().err for name in sorted(left)[:1])
    with pytest.raises(ValueError, match="excessive|whole|prior"):
        grade_all(other, ["soft_optimum"], baselines=False)


def test_a_share_of_an_optimum_of_nothing_is_undefined(graded: Evaluation) -> None:
    task = replace(TASK, rewards={"chord_tone": 0.0})
    record = Evaluation(Workshop(task, corpus(), silent), COUNT, splits=2).grade("uniform_random")
    assert record.value("optimum") == 0
    assert math.isnan(record.value("share_of_optimum"))


def test_logits_stay_off_the_graph(graded: Evaluation) -> None:
    graded.grade("melody_lstm")
    assert torch.is_grad_enabled()
