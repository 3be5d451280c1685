"""Sweeps: fields and values, points, searches that go on, what is learned and what is graded."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import corpus
from tiny_suite import TINY_SUITE

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import MODELS, LSTMVAEConfig, MelodyLSTMConfig, PretrainConfig
from musicgym.benchmarks import entries, leaderboard, leaderboard_workers
from musicgym.benchmarks.entries import Workshop
from musicgym.benchmarks.entry_files import EntrySpec, read_file, spec_of
from musicgym.benchmarks.leaderboard import carry_out
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.records import Record
from musicgym.benchmarks.settings import with_settings
from musicgym.benchmarks.sweep import Sweep, grid, point_name, random_points, task_of
from musicgym.benchmarks.sweep_axes import Axis, read_axes
from musicgym.benchmarks.sweep_results import (
    Objective,
    Result,
    best_entry,
    human_of,
    level,
    objective_of,
    ranked,
)
from musicgym.benchmarks.sweep_search import search
from musicgym.benchmarks.sweep_text import columns, markdown, notes
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.cli import main
from musicgym.corpus import dataset
from musicgym.reward import load

COUNT = 8
LEARNER = EntrySpec(
    "learner", "acmg_ppo", 256,
    {"model.actor.hidden": 8, "model.critic_hidden": 8, "pretraining.epochs": 1, "num_envs": 8},
)  # fmt: skip
RETURN = Objective("return", lower=False)
WEIGHTS, TARGETS = Axis("rewards.final_tonic", (0, 9)), Axis("learning.kl.target", (0.001, 0.5))


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Small nets, a suite of two bars, runs in this process, and nothing that compiles."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MUSICGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
    dataset.save(corpus(), 1)
    small = {
        "melody_lstm": (lambda: MelodyLSTMConfig(8), lambda: PretrainConfig(epochs=1)),
        "lstm_vae": (lambda: LSTMVAEConfig(latent=2, hidden=8, layers=1),
                     lambda: MODELS["lstm_vae"][1](epochs=1)),
    }  # fmt: skip
    patch.setattr(entries, "MODELS", {**MODELS, **small})
    envs = ACMGConfig.envs
    patch.setattr(ACMGConfig, "envs", lambda *a, **k: envs(*a, **{**k, "backend": "arrays"}))
    patch.setitem(leaderboard.SUITES, "tiny", TINY_SUITE)
    patch.setattr(leaderboard_workers, "work", work)
    few = Measured(0.5, COUNT, COUNT)  # what is measured is not what these tests are about
    floor = {"mmd2": (0.03, 0.01), "frechet": (1.0, 0.1), "c2st": (0.5, 0.01)}
    patch.setattr("musicgym.benchmarks.evaluate.floors", lambda *_: floor)
    patch.setattr("musicgym.benchmarks.scenes.likeness", lambda *_: {"mmd2": 0.1})
    patch.setattr("musicgym.benchmarks.scenes.diversity", lambda *_: {})
    patch.setattr("musicgym.benchmarks.scenes.measure", lambda *_: {"chord_match": few})
    clear()
    yield patch
    patch.undo()
    clear()


def clear() -> None:
    leaderboard._evaluation.cache_clear()
    leaderboard._corpus.cache_clear()


def work(runs: Sequence[Any], folder: Path, jobs: int, watcher: Any) -> None:
    for run in runs:
        watcher.begun(run)
        carry_out(run, folder)
        watcher.ended(run)


def tiny(*axes: Axis, entry: EntrySpec = LEARNER, seeds: int = 2, **options: Any) -> Sweep:
    return Sweep(task_of("balanced", "validation", "tiny"), entry, axes, seeds, COUNT, **options)


def shop(task: BenchmarkTask | None = None) -> Workshop:
    return Workshop(task or BenchmarkTask("balanced"), None, lambda *_: lambda _: None)  # type: ignore[arg-type]


def axes(*texts: str, entry: EntrySpec | None = None, search: str = "random") -> list[Axis]:
    return read_axes(texts, shop(), entry or spec_of("acmg_ppo"), search)


# What is varied


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("kl.target=0.05,0.1", Axis("learning.kl.target", (0.05, 0.1))),
        ("target=none,1", Axis("learning.kl.target", ("none", 1))),
        ("rewards.final_tonic=1,3,5", Axis("rewards.final_tonic", (1, 3, 5))),
        ("rewards=acmg,balanced", Axis("rewards", ("acmg", "balanced"))),
        ("shared=true,false", Axis("model.shared", (True, False))),
        ("progressions=random,random+I V", Axis("progressions", (("random",), ("random", "I V")))),
        ("kl.target=0.01..0.3", Axis("learning.kl.target", (), 0.01, 0.3)),
        ("clip=1..2", Axis("learning.clip", (), 1, 2)),
        ("actor.hidden=log:8..64", Axis("model.actor.hidden", (), 8, 64, log=True, whole=True)),
        ("rewards.final_tonic=-1..5", Axis("rewards.final_tonic", (), -1, 5)),
    ],
)
def test_a_field_goes_by_its_short_name_and_its_values_are_of_its_kind(
    text: str, axis: Axis
) -> None:
    assert axes(text) == [axis]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs=1,2", "may be .*pretraining.epochs.* or learning.epochs"),
        ("kl.targt=1", "did you mean 'kl.target'"),
        ("final_tonic=1", "did you mean 'rewards.final_tonic'"),
        ("rewards.final_tonic", "is not FIELD=VALUES"),
        ("=1", "is not FIELD=VALUES"),
        ("kl.target=", "empty value"),
        ("kl.target=1,,2", "empty value"),
        ("kl.target=1,1", "has 1 twice"),
        ("kl.target=nan", "not a finite number"),
        ("kl.target=2..1", "the first end must be below the second"),
        ("kl.target=log:0..1", "above 0 for log"),
        ("kl.target=a..b", "is not a range"),
        ("actor.hidden=1.5..8", "whole number"),
        ("precision=1..2", "it has no range"),
    ],
)
def test_a_field_or_a_value_that_is_not_in_order_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        axes(text)


def test_a_sweep_varies_something_each_field_once_and_a_grid_has_no_range() -> None:
    with pytest.raises(ValueError, match="nothing is varied"):
        axes()
    with pytest.raises(ValueError, match="learning.kl.target is varied twice"):
        axes("kl.target=1,2", "target=3")
    with pytest.raises(ValueError, match="a range, which a grid has no points of"):
        axes("kl.target=1..2", search="grid")


def test_a_generator_varies_its_pretraining_and_what_has_no_settings_nothing() -> None:
    vae = spec_of("lstm_vae")
    assert axes("epochs=1..9", entry=vae) == [Axis("pretraining.epochs", (), 1, 9, whole=True)]
    with pytest.raises(ValueError, match="no field 'rewards.final_tonic'"):
        axes("rewards.final_tonic=1,2", entry=vae)
    with pytest.raises(ValueError, match="held_tonic has no settings"):
        axes("kl.target=1,2", entry=spec_of("held_tonic"))


def test_a_parameter_of_a_term_is_set_beside_its_weight() -> None:
    config = with_settings(
        ACMGConfig(), {"rewards.non_chord_tone": 3, "rewards.median_line.median": "random"}
    )
    assert config.rewards == {
        "preset": "balanced", "non_chord_tone": 3, "median_line": {"median": "random"}
    }  # fmt: skip
    both = {"rewards.motif": 2, "rewards.motif.width": 4}
    assert with_settings(ACMGConfig(), both).rewards["motif"] == {"weight": 2, "width": 4}
    held = ACMGConfig(rewards={"motif": {"weight": 1.0, "width": 4}})
    assert with_settings(held, {"rewards.motif": 2}).rewards == {"motif": {"weight": 2, "width": 4}}


# Points


def test_a_grid_has_every_pair_of_values() -> None:
    points = [tuple(point.values()) for point in grid([WEIGHTS, TARGETS])]
    assert points == list(product((0, 9), (0.001, 0.5)))


def test_points_at_random_are_fixed_by_the_seed_differ_and_more_begin_with_fewer() -> None:
    some = [Axis("a", (), 0.001, 0.1, log=True), Axis("b", (), 1, 3, whole=True), Axis("c", ("x",))]
    points = random_points(some, 40, seed=1)
    assert random_points(some, 10, seed=1) == points[:10]
    assert random_points(some, 10, seed=2) != points[:10]
    assert len({json.dumps(point) for point in points}) == 40
    assert {point["b"] for point in points} == {1, 2, 3}
    a = np.array([point["a"] for point in points])
    assert a.min() >= 0.001 and a.max() <= 0.1
    assert 0.3 < (a < 0.01).mean() < 0.7  # as many below the middle of the logarithms as above


def test_points_of_lists_are_all_of_them_at_the_most() -> None:
    points = random_points([WEIGHTS, TARGETS], 4, seed=1)
    assert sorted(tuple(p.values()) for p in points) == list(product((0, 9), (0.001, 0.5)))
    with pytest.raises(ValueError, match="5 is more than the 4 different points"):
        random_points([WEIGHTS, TARGETS], 5, seed=1)


def test_a_point_has_one_name_however_it_is_said() -> None:
    assert point_name("x", {"b.c": 1, "a.b.d": 0.5}) == point_name("x", {"a.b.d": 0.5, "b.c": 1})
    assert point_name("x", {"a": 1}) != point_name("x", {"a": 1.0})
    odd = point_name("x", {"progressions": ("I V", "random")})
    assert odd.startswith("x@") and odd != point_name("x", {"progressions": ("I V",)})


def test_choices_are_made_on_the_validation_split_its_progressions_too() -> None:
    task = task_of("recovery", "validation").task
    assert (task.split, task.progression) == ("validation", "corpus:chorales/validation/turn")
    assert task_of("recovery", "test").task.progression == "corpus:chorales/test/turn"
    assert task_of('{"rewards": "acmg", "bars": 4}', "validation").task == BenchmarkTask(
        "acmg", split="validation", bars=4
    )
    assert task_of("rl_tuner", "validation").task.rewards == "rl_tuner"  # a preset, no task of v1
    with pytest.raises(ValueError, match="has no part for validation"):
        task_of("jazz", "validation")
    with pytest.raises(ValueError, match="did you mean 'balanced'"):
        task_of("balancd", "validation")


def test_an_objective_is_a_figure_that_the_records_will_have() -> None:
    task, agent, vae = task_of("balanced", "validation"), spec_of("acmg_ppo"), spec_of("lstm_vae")
    assert objective_of("return", task, agent) == Objective("return", lower=False)
    assert objective_of("mmd2", task, agent).lower and objective_of("kl", task, agent).lower
    assert not objective_of("kl", task, agent, better="higher").lower
    assert objective_of("return_final_tonic", task, agent).name == "return_final_tonic"
    assert objective_of("validation_loss", task, vae).lower
    assert not objective_of("validation_active_units", task, vae).lower
    for name, entry, said in (
        ("mmd", agent, "did you mean 'mmd2'"),
        ("validation_loss", agent, "no figure of acmg_ppo"),
        ("test_loss", vae, "say validation_loss"),
    ):
        with pytest.raises(ValueError, match=said):
            objective_of(name, task, entry)
    with pytest.raises(ValueError, match="has no optimum"):
        objective_of("share_of_optimum", task_of("emotion", "validation"), agent)


# What is run


@pytest.fixture(scope="module")
def swept(patched: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path, Any]:
    """A grid of four points over two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    asked = tiny(WEIGHTS, TARGETS)
    return asked, folder, search(asked, folder, RETURN)


def test_a_weight_reaches_the_training_and_not_the_grading(swept: Any) -> None:
    _, folder, found = swept
    assert [tuple(result.settings.values()) for result in found] == list(
        product((0, 9), (0.001, 0.5))
    )
    for result in found:
        weight, target = result.settings.values()
        assert [record.seed for record in result.records] == [1, 2] and not result.errors
        for record in result.records:
            taught = {"preset": "balanced", "final_tonic": weight}
            assert record.facts["trained_on"] == taught and record.facts["kl_target"] == target
            assert record.task["rewards"] == "balanced" and record.task["split"] == "validation"
            agent = ACMG.load(folder / "agents" / record.facts["checkpoint"])
            terms = {t.name: t.weight for t in load(agent.config.rewards, 8).terms}
            assert terms["final_tonic"] == weight and terms["chord_tone"] == 1.0
            parts = [record.value(f"return_{name}") for name in terms]
            assert record.value("return") == pytest.approx(sum(parts), abs=1e-6)
    curves = {str(result.records[0].curve) for result in found}
    assert len(curves) == 4  # each learned otherwise


def test_the_melodies_are_over_the_chords_of_the_validation_split(swept: Any) -> None:
    sweep, folder, found = swept
    record = found[0].records[0]
    with np.load(folder / "balanced" / record.melodies) as held:
        played = {row.tobytes() for row in held["roots"]}
    split = {}
    for name in ("validation", "test"):
        task = replace(sweep.task.task, split=name)
        made = task.envs(200)
        made.reset(seed=1)
        split[name] = {np.asarray(row[:: task.task.steps_per_chord], np.uint8).tobytes()
                       for row in made.episodes().roots}  # fmt: skip
    assert played <= split["validation"] and not played <= split["test"]


def test_what_is_there_is_not_made_again_and_more_values_add_to_it(
    swept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, found = swept
    made: list[str] = []
    monkeypatch.setattr(
        leaderboard_workers, "work", lambda runs, *_: made.extend(str(run) for run in runs)
    )
    again = search(tiny(TARGETS, WEIGHTS), folder, RETURN)  # in the other order
    assert made == [] and {r.name for r in again} == {r.name for r in found}
    search(tiny(replace(WEIGHTS, values=(0, 4)), TARGETS), folder, RETURN)
    assert len(made) == 4 and all("final_tonic@4" in run for run in made)


class Stopped(Exception):
    """A sweep is killed."""


def test_a_search_that_was_stopped_ends_as_one_that_was_not(
    patched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    asked = tiny(Axis("rewards.final_tonic", (), 0, 9), Axis("learning.kl.target", (0.05, 0.5)),
                 seeds=1, steps=64)  # fmt: skip
    options: dict[str, Any] = {"kind": "bayes", "trials": 6, "seed": 3}
    whole = search(asked, tmp_path / "a", RETURN, **options)
    left = 4

    def some(runs: Sequence[Any], folder: Path, jobs: int, watcher: Any) -> None:
        nonlocal left
        for run in runs:
            if not left:
                raise Stopped
            left -= 1
            work([run], folder, jobs, watcher)

    monkeypatch.setattr(leaderboard_workers, "work", some)
    with pytest.raises(Stopped):
        search(asked, tmp_path / "b", RETURN, **options)
    monkeypatch.setattr(leaderboard_workers, "work", work)
    again = search(asked, tmp_path / "b", RETURN, **options)
    assert [r.name for r in again] == [r.name for r in whole] and len(whole) == 6
    for one, other in zip(whole, again, strict=True):
        assert [r.without_timings().json() for r in one.records] == [
            r.without_timings().json() for r in other.records
        ]


def test_bayes_looks_where_the_objective_is_best(
    patched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    asked = tiny(Axis("learning.kl.target", (), 0.01, 1.0), seeds=1)
    monkeypatch.setattr(leaderboard_workers, "work", lambda *_: None)

    def shown(sweep: Sweep, points: Sequence[EntrySpec], *_: Any) -> list[Result]:
        return [result(p.settings["learning.kl.target"] - 0.3, point=p) for p in points]

    monkeypatch.setattr("musicgym.benchmarks.sweep_search.results", shown)
    near = Objective("square", lower=True)
    found = search(asked, tmp_path, near, kind="bayes", trials=25)
    tried = [r.point.settings["learning.kl.target"] for r in found]
    assert len(tried) == 25 and all(0.01 <= x <= 1 for x in tried)
    assert np.median(np.abs(np.array(tried[15:]) - 0.3)) < 0.12  # 0.24 at random


def result(*values: float, point: EntrySpec | None = None, errors: int = 0) -> Result:
    """A point whose records have these squares, and are of seeds 1, 2..."""
    records = tuple(
        Record({}, "x", seed, 2, {"square": Measured(v * v, 2, 2), "plain": Measured(v, 2, 2)})
        for seed, v in enumerate(values, 1)
    )
    why = tuple((seed, "It broke.") for seed in range(errors))
    return Result(point or EntrySpec(f"p{values[0]}", "acmg_ppo"), {}, records, why)


def test_a_field_of_the_pretraining_is_learned_anew_by_every_seed(
    patched: Any, tmp_path: Path
) -> None:
    vae = EntrySpec("vae", "lstm_vae")
    asked = tiny(Axis("pretraining.epochs", (1, 2)), entry=vae)
    found = search(asked, tmp_path, Objective("validation_loss", lower=True))
    losses = [loss for result in found for loss in result.values("validation_loss")]
    assert len(set(losses)) == 4 and all(loss > 0 for loss in losses)
    seeds = [r.facts["settings"]["pretraining.seed"] for r in found[0].records]
    assert seeds == [1, 2]
    assert not tiny(TARGETS).pretrains and tiny(Axis("model.actor.hidden", (8,))).pretrains


def test_a_failed_point_is_told_and_is_not_the_best(
    patched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tiny(WEIGHTS, seeds=1)
    make = Workshop.make

    def fragile(self: Workshop, spec: EntrySpec, *rest: Any) -> Any:
        if spec.settings.get("rewards.final_tonic") == 9:
            raise RuntimeError("no luck")
        return make(self, spec, *rest)

    monkeypatch.setattr(Workshop, "make", fragile)
    found = search(asked, tmp_path, RETURN)
    assert ranked(found, RETURN)[0].settings == {"rewards.final_tonic": 0}
    assert found[1].errors == ((1, "RuntimeError: no luck"),) and not found[1].records
    assert "failed: " + found[1].name + ", seed 1: RuntimeError: no luck" in notes(found, RETURN)
    assert "failed" in columns(asked, found, RETURN, human_of(asked, tmp_path))
    monkeypatch.setattr(Workshop, "make", make)
    assert not search(asked, tmp_path, RETURN, retry=True)[1].errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 3}, "a grid has all its points"),
        ({"kind": "random", "trials": 0}, "0 points are not from 1"),
        ({"kind": "random", "trials": 99_999}, "99,999 points are not from 1"),
        ({"kind": "walk"}, "'walk' is not one of grid"),
        ({"jobs": 0}, "jobs: 0"),
        ({"batch": 0}, "batch: 0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        search(tiny(WEIGHTS), tmp_path, RETURN, **options)


def test_bayes_without_optuna_says_what_installs_it(
    patched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ImportError, match=r"sweep --search bayes needs optuna: .*musicgym\[sweep"):
        search(tiny(TARGETS), tmp_path, RETURN, kind="bayes")


# What is shown


def test_the_best_is_by_the_mean_and_others_are_level_by_their_pairs() -> None:
    one, near, far, broken = result(3, 5, 7), result(2, 6, 4), result(1, 3, 5), result(9, errors=1)
    most, least = Objective("plain", lower=False), Objective("plain", lower=True)
    found = [far, broken, near, one]
    assert [r.name for r in ranked(found, most)] == ["p3", "p2", "p1", "p9"]
    assert [r.name for r in ranked(found, least)] == ["p1", "p2", "p3", "p9"]
    same = level(found, most)
    # near: differences 1, -1, 3; far: 2, 2, 2, which no interval around 0 explains
    assert [same(r) for r in (one, near, far, broken)] == [False, True, False, False]
    middle, low, high = one.estimate("plain")
    assert (middle, high - middle) == pytest.approx((5, 4.3027 * 2 / 3**0.5), abs=1e-3)
    assert np.isnan(result(1).estimate("plain")[1:]).all() and low < 5


def test_a_table_fits_a_terminal_and_has_the_human_row(swept: Any) -> None:
    sweep, folder, found = swept
    human = human_of(sweep, folder)
    text = columns(sweep, found, RETURN, human)
    assert max(map(len, text.splitlines())) < 80
    assert sum(line.startswith("human") for line in text.splitlines()) >= 3
    best = ranked(found, RETURN)[0]
    marked = next(line for line in text.splitlines() if line.startswith(" *"))
    assert str(best.settings["rewards.final_tonic"]) in marked.split()
    assert f"{best.mean('return'):.2f}"[:4] in marked
    rows = markdown(sweep, found, RETURN, human).splitlines()
    assert len(rows) == 2 + 4 + 1 and len({row.count("|") for row in rows}) == 1
    assert human is not None and f"{human.value('return'):.2f}" in rows[-1]


def test_the_command_ends_in_a_table_a_picture_and_an_entry_that_can_be_ranked(
    swept: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    sweep, folder, found = swept
    learner = tmp_path / "learner.toml"
    learner.write_text(best_entry(replace(found[0], point=LEARNER), sweep))
    assert read_file(learner) == [LEARNER]
    words = ["sweep", "--task", "balanced", "--suite", "tiny", "--entry", str(learner), "--seeds",
             "2", "--count", str(COUNT), "--out", str(folder), "--vary", "kl.target=0.001,0.5",
             "--vary", "rewards.final_tonic=0,9", "--markdown", str(tmp_path / "t.md")]  # fmt: skip
    main(words)
    text = capsys.readouterr().out
    assert "graded by the task's own reward" in " ".join(text.split())
    assert "validation split: learner, 4 points, 2 seeds" in text
    assert max(map(len, text.splitlines())) < 80 or str(folder) in text
    assert (folder / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "t.md").read_text().count("\n| ") == 6
    (best,) = read_file(folder / "best.toml")
    assert best.settings == {**LEARNER.settings, **ranked(found, RETURN)[0].settings}
    tomllib.loads((folder / "best.toml").read_text())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing is varied"),
        (["--vary", "kl.targets=1"], "did you mean 'kl.target'"),
        (["--vary", "kl.target=x"], "must be float"),
        (["--vary", "kl.target=-1,0.1"], "kl.target: it must be above 0"),
        (["--vary", "rewards.final_tonic=x"], "not a finite number"),
        (["--vary", "rewards.final_tonik=1"], "did you mean 'final_tonic'"),
        (["--vary", "learning.total_steps=1,2"], "say steps instead"),
        (["--vary", "kl.target=0.1", "--objective", "mmd"], "did you mean 'mmd2'"),
        (["--vary", "kl.target=0.1", "--seeds", "0"], "seeds: 0"),
        (["--vary", "kl.target=-1..1", "--search", "bayes"], "kl.target: it must be above 0"),
    ],
)
def test_a_mistake_ends_the_command_before_anything_is_trained(
    patched: Any, words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(leaderboard_workers, "work", None)
    place = ["--task", "balanced", "--suite", "tiny", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        main(["sweep", *place, *words])
    assert end.value.code == 2 and said in capsys.readouterr().err
