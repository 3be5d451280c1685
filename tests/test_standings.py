"""Standings: scores worked out by hand, ranks only where seeds and tunes agree, reasons else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from musicgym import cli
from musicgym.agents.search_curve import kl_bound
from musicgym.benchmarks import suites
from musicgym.benchmarks.entries import PLANNERS, SIMPLE
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.records import HUMAN, Record
from musicgym.benchmarks.standings import OPTIMA, TRIVIAL, Board, Row, Standings, standings
from musicgym.benchmarks.standings_text import columns, explained, markdown
from musicgym.benchmarks.statistics import median
from musicgym.benchmarks.tasks import BenchmarkTask

TASK = {"rewards": "acmg", "corpus": "chorales", "split": "test"}
#: Forty melodies over ten tunes.
TUNES = np.arange(40) % 10
SEEDS = (1, 2, 3, 4, 5)


def run(
    entry: str, seed: int = 1, task: str = "one", paid: float | npt.NDArray[Any] = 10.0,
    facts: Mapping[str, Any] | None = None, tunes: Sequence[int] = tuple(TUNES.tolist()),
    **figures: float,
) -> Record:  # fmt: skip
    """Return a record whose melodies earn what is paid, around an optimum of 30."""
    returns = np.broadcast_to(paid, len(tunes)).astype(float)
    said = {"optimum": 30.0, "kl": 0.01, **figures, "return": float(returns.mean())}
    made = {name: Measured(x, 40, 40) for name, x in said.items() if x == x}
    return Record(
        {**TASK, "rewards": task}, entry, seed, 40, made, facts or {}, {}, returns.tolist(),
        list(tunes), suite="made", task_name=task,
    )  # fmt: skip


def runs(
    entry: str, paid: float, spread: float = 0.1, task: str = "one", seeds: Sequence[int] = SEEDS,
    **more: Any,
) -> list[Record]:  # fmt: skip
    """Return a record a seed; the seeds lie evenly around what is paid."""
    away = np.linspace(-spread, spread, len(seeds))
    return [run(entry, s, task, paid + x, **more) for s, x in zip(seeds, away, strict=True)]


def prior(task: str = "one", seeds: Sequence[int] = SEEDS) -> list[Record]:
    return runs("melody_lstm", 10.0, 0.0, task, seeds, kl=0.0)


def search(n: int, paid: float) -> list[Record]:
    return runs(f"best_of_{n}", paid, 0, kl=kl_bound(n, 64), facts={"samples": n})


def row(found: Standings, entry: str) -> Row:
    return next(row for row in found.rows if row.entry == entry)


def ranks(found: Standings) -> dict[str, tuple[int | None, int | None]]:
    return {row.entry: (row.rank, row.last) for row in found.ranked}


def failure(entry: str, seed: int, task: str = "one") -> Record:
    return Record(
        {**TASK, "rewards": task}, entry, seed, 40, {}, suite="made", task_name=task,
        error="ValueError: no luck\n  somewhere.py, line 3",
    )  # fmt: skip


# Scores


def test_the_prior_scores_0_and_the_optimum_1_seed_by_seed() -> None:
    records = [
        run("melody_lstm", 1, paid=10.0, optimum=30.0), run("a", 1, paid=15.0),
        run("melody_lstm", 2, paid=20.0, optimum=40.0), run("a", 2, paid=30.0, optimum=40.0),
        run("optimum", 1, paid=30.0), run("optimum", 2, paid=40.0, optimum=40.0),
    ]  # fmt: skip
    found = standings(records)
    assert row(found, "a").scores.tolist() == [[0.25], [0.5]]
    assert row(found, "melody_lstm").scores.tolist() == [[0], [0]]
    assert row(found, "optimum").scores.tolist() == [[1], [1]]
    assert row(found, "a").returns["one"][0] == 22.5 and row(found, "a").seeds == (1, 2)


def test_the_optimum_of_the_entry_serves_where_no_figure_says_it() -> None:
    nan = float("nan")
    records = [run("melody_lstm", optimum=nan), run("optimum", paid=20.0, optimum=nan),
               run("a", paid=15.0, optimum=nan)]  # fmt: skip
    assert row(standings(records), "a").scores.tolist() == [[0.5]]


def test_the_score_is_the_interquartile_mean_over_runs_of_all_tasks() -> None:
    records = [*prior(), *prior("two")]
    for seed, first, second in zip(SEEDS, (11, 12, 13, 14, 30), (15, 16, 17, 18, -90), strict=True):
        records += [run("a", seed, "one", first), run("a", seed, "two", second)]
    found = row(standings(records), "a")
    # Of the ten 2 at each end are left out: 12 13 14 15 16 17 stay (-90 and 11, 18 and 30 go).
    assert found.score[0] == pytest.approx((14.5 - 10) / 20)
    assert found.score[1] < found.score[0] < found.score[2]
    assert found.aggregate(median)[0] == pytest.approx(((16 - 10) / 20 + (-4.8 - 10) / 20) / 2)


def test_a_task_without_an_optimum_is_shown_by_return_and_enters_no_score() -> None:
    nan = float("nan")
    free = [run(e, s, "free", 5.0 * (e == "a") + 0.01 * s, optimum=nan)
            for e in ("melody_lstm", "a") for s in SEEDS]  # fmt: skip
    records = [*prior(), *runs("a", 20.0), *free]
    found = standings(records)
    assert found.tasks == ("one",) and "no exact optimum" in found.unscored["free"]
    assert row(found, "a").score[0] == pytest.approx(0.5)
    assert row(found, "a").returns["free"][0] == pytest.approx(5.03)
    alone = standings(records, task="free")
    assert alone.by_return and ranks(alone) == {"a": (1, 1), "melody_lstm": (2, 2)}
    assert row(alone, "a").score[0] == pytest.approx(5.03)


def test_a_seed_without_its_prior_and_another_scene_have_no_score() -> None:
    records = [*prior(seeds=(1, 2)), *runs("a", 20.0, seeds=(1, 2, 3)),
               run("b", 1, tunes=[0] * 40), run("c", 2)]  # fmt: skip
    found = standings(records)
    assert row(found, "a").seeds == (1, 2)
    assert row(found, "b").seeds == () and "other episodes" in row(found, "b").why
    assert row(found, "a").why == "2 of 5 seeds: seed 3 has no run of melody_lstm"


def test_episodes_of_another_optimum_are_other_episodes() -> None:
    found = standings(
        [*prior(), *runs("a", 20.0, optimum=31.0), *runs("b", 20.0, optimum=30 + 1e-8)]
    )
    assert row(found, "a").why == "0 of 5 seeds: it was played over other episodes"
    assert row(found, "b").rank == 1


@pytest.mark.parametrize("name", ["prior", "corpus"])
def test_what_was_measured_against_another_prior_or_corpus_is_not_compared(name: str) -> None:
    def made(record: Record) -> Record:
        return replace(record, made={"prior": "1", "corpus": "2", "revision": record.seed,
                                     **({name: "9"} if record.seed > 3 else {})})  # fmt: skip

    found = standings([made(r) for r in (*prior(), *runs("a", 20.0))])
    assert row(found, "a").seeds == (1, 2, 3)
    assert row(found, "a").why == f"3 of 5 seeds: seed 4 was measured against another {name}"


def test_an_optimum_that_is_not_above_the_prior_is_no_scale() -> None:
    found = standings([*runs("melody_lstm", 30.0, 0), *runs("a", 30.0)])
    assert "no optimum above the prior" in row(found, "a").why


# Ranks


def test_an_entry_is_above_another_only_where_all_seeds_agree_enough() -> None:
    found = standings([*prior(), *runs("a", 20.0), *runs("b", 20.0, 0.2), *runs("c", 15.0)])
    assert ranks(found) == {"a": (1, 2), "b": (1, 2), "c": (3, 3), "melody_lstm": (4, 4)}


def test_seeds_that_disagree_decide_nothing() -> None:
    records = [*prior(), *runs("a", 20.0, 6.0)]
    records += [run("b", s, paid=p) for s, p in zip(SEEDS, (24, 20, 18, 15, 12), strict=True)]
    assert {rank for rank, _ in ranks(standings(records)).values()} <= {1, 3}
    assert row(standings(records), "a").rank == row(standings(records), "b").rank == 1


def test_the_differences_are_paired_by_seed() -> None:
    # The seeds differ by far more than the entries do, but alike in both.
    found = standings([*prior(), *runs("a", 20.0, 5.0), *runs("b", 20.3, 5.0)])
    assert row(found, "b").rank == 1 and row(found, "a").rank == 2


def test_a_difference_that_one_tune_makes_is_none() -> None:
    lucky = np.where(TUNES == 3, 60.0, 14.0)  # the mean is 18.6, all from one of ten tunes
    records = [*prior(), *(run("a", s, paid=lucky) for s in SEEDS), *runs("b", 15.0, 0)]
    assert lucky.mean() > 15 + 3
    assert ranks(standings(records))["a"][0] == ranks(standings(records))["b"][0] == 1
    even = [*prior(), *runs("a", 18.6, 0), *runs("b", 15.0, 0)]
    assert ranks(standings(even))["b"] == (2, 2)


def noisy(entries: int, tasks: int, gap: float = 0.0) -> list[Record]:
    """Return entries that are equal but for luck of seeds and tunes, each `gap` above the last."""
    rng, records = np.random.default_rng(7), []
    for task in map(str, range(tasks)):
        records += prior(task)
        for e in range(entries):
            tune = rng.normal(0, 0.6, 10)
            for seed in SEEDS:
                paid = 20 + e * gap + rng.normal(0, 0.6) + tune[TUNES] + rng.normal(0, 2, 40)
                records.append(run(f"e{e}", seed, task, paid))
    return records


@pytest.mark.parametrize("tasks", [1, 6])
def test_equals_are_seldom_told_apart(tasks: int) -> None:
    board = Board.of(noisy(16, tasks))
    board.standings()
    (contest,) = board._contests.values()
    better = contest._better[1:, 1:]  # the first row is the prior
    told = np.mean(np.abs(better[np.triu_indices(16, 1)]))
    assert told < 0.06  # plain percentiles reach 0.1


def test_what_differs_is_told_apart() -> None:
    found = standings(noisy(4, 6, gap=1.5))
    assert [row.entry for row in found.ranked] == ["e3", "e2", "e1", "e0", "melody_lstm"]
    assert [row.rank for row in found.ranked] == [1, 2, 3, 4, 5]


def test_ranks_depend_on_no_order_and_pairs_on_no_third() -> None:
    records = noisy(4, 2, gap=0.3)
    one, other = standings(records), standings(records[::-1])
    assert ranks(one) == ranks(other)
    few = standings([r for r in records if r.entry in ("e0", "e3", "melody_lstm")])
    clearly = ranks(one)["e3"][1] < ranks(one)["e0"][0]  # type: ignore[operator]
    assert (ranks(few)["e3"][1] < ranks(few)["e0"][0]) >= clearly  # type: ignore[operator]
    assert row(few, "e3").score == row(one, "e3").score


@pytest.mark.parametrize("turn", [1, -1])
def test_entries_of_different_seeds_are_compared_on_those_they_share(turn: int) -> None:
    ten = tuple(range(1, 11))
    many = [run("b", s, paid=20.0 if s <= 5 else 12.0) for s in ten]
    found = standings([*prior(seeds=ten), *runs("a", 15.0), *many][::turn])
    assert row(found, "b").score[0] == pytest.approx((16 - 10) / 20)
    assert row(found, "b").rank == 1 and row(found, "a").rank == 2  # by seeds 1 to 5


def test_a_task_shows_the_figure_that_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [SimpleNamespace(name="one", no_optimum="", focus="reward_after_change")]
    monkeypatch.setitem(suites.SUITES, "made", SimpleNamespace(tasks=told))
    records = [*prior(), *(run("a", s, paid=20.0, reward_after_change=s / 4) for s in SEEDS),
               run(HUMAN, 0, reward_after_change=0.5)]  # fmt: skip
    for task in ("", "one"):
        found = standings(records, task=task)
        assert (
            found.focus == {"one": "reward_after_change"} and row(found, "a").focus["one"] == 0.75
        )
        assert f"{'a':<22}      0.750" in columns(found)
        assert f"{HUMAN:<22}      0.500" in columns(found)
        assert "reward after change on one" in markdown(found)


# Who is ranked


def test_fewer_than_five_seeds_are_shown_unranked() -> None:
    found = standings([*prior(), *runs("a", 20.0, seeds=(1, 2, 3, 4))])
    assert row(found, "a").rank is None and row(found, "a").why == "4 of 5 seeds"
    assert row(found, "a").score[0] == pytest.approx(0.5)
    assert found.rows[0].entry == "melody_lstm"


def test_five_seeds_on_one_task_of_two_are_not_enough_unless_they_are_the_same() -> None:
    records = [*prior(), *prior("two"), *runs("a", 20.0),
               *runs("a", 20.0, task="two", seeds=(1, 2, 3))]  # fmt: skip
    assert row(standings(records), "a").why == "3 of 5 seeds"
    assert row(standings(records, task="one"), "a").rank == 1


def test_an_entry_that_lacks_a_task_is_ranked_on_the_others_alone() -> None:
    records = [*prior(), *prior("two"), *runs("a", 20.0)]
    found = row(standings(records), "a")
    assert found.rank is None and found.why == "no run of two" and np.isnan(found.score[0])
    assert row(standings(records, task="one"), "a").rank == 1


def test_a_task_of_the_suite_that_nobody_ran_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [SimpleNamespace(name=n, no_optimum="", focus="return") for n in ("two", "one")]
    monkeypatch.setitem(suites.SUITES, "made", SimpleNamespace(tasks=told))
    board = Board.of([*prior(), *runs("a", 20.0)])
    assert list(board.tasks) == ["two", "one"]
    assert row(board.standings(), "a").why == "no run of two"


def test_trivial_policies_planners_and_humans_stand_unranked_under_any_name() -> None:
    records = [*prior(), *runs("held_tonic", 25.0), *runs("mine", 25.0, facts={
        "policy": "alternated_chord_tones@0.5"}), *runs("optimum", 30.0), *runs("soft_optimum", 20),
        run(HUMAN, 0, paid=17.0, mmd2=0.012)]  # fmt: skip
    found = standings(records)
    assert list(ranks(found)) == ["melody_lstm"]
    assert row(found, "mine").why == row(found, "held_tonic").why == "a trivial policy"
    assert row(found, "soft_optimum").why == "a planner that knows the reward"
    human = found.rows[-1]
    assert human.entry == HUMAN and human.figures["mmd2"] == 0.012
    assert human.returns["one"][0] == 17.0 and human.rank is None
    assert set(SIMPLE) == set(TRIVIAL) and set(PLANNERS) == set(OPTIMA)


def test_what_failed_once_is_not_ranked_and_says_why() -> None:
    found = standings([*prior(), *runs("a", 20.0), failure("a", 6)])
    assert row(found, "a").why == "failed on one, seed 6: ValueError: no luck"
    only = standings([*prior(), failure("b", 1)])
    assert row(only, "b").why.startswith("failed on one, seed 1")


@pytest.mark.parametrize(
    ("mean", "spread", "fits"),
    [(0.1, 0.0, True), (0.105, 0.0, True), (0.106, 0.0, False), (0.1, 0.008, False),
     (0.1, 0.006, True)],
)  # fmt: skip
def test_an_entry_keeps_to_a_budget_by_its_upper_limit(
    mean: float, spread: float, fits: bool
) -> None:
    # Five values evenly from -d to d deviate by 0.79 d, so the limit is mean + 0.754 d.
    kls = mean + np.linspace(-spread, spread, 5)
    records = [run("a", s, paid=20.0, kl=float(kl)) for s, kl in zip(SEEDS, kls, strict=True)]
    found = row(standings([*prior(), *records], budget=0.1), "a")
    assert (found.rank is not None) == fits
    assert found.kl_limit == pytest.approx(mean + 2.1318 * np.std(kls, ddof=1) / 5**0.5, abs=1e-5)
    assert fits or found.why == f"KL {found.kl_limit:.3f}"
    assert row(standings([*prior(), *records]), "a").rank == 1


def test_a_budget_is_kept_on_every_task_that_is_shown() -> None:
    records = [*prior(), *prior("two"), *runs("a", 20.0, kl=0.01),
               *runs("a", 20.0, task="two", kl=0.15)]  # fmt: skip
    assert row(standings(records, budget=0.1), "a").why == "KL 0.150"
    assert row(standings(records, budget=0.1, task="one"), "a").rank == 1
    assert row(standings(records), "a").figures["kl"] == pytest.approx(0.08)


def test_a_budget_is_kept_on_tasks_that_enter_no_score_too() -> None:
    kls = {"melody_lstm": 0.0, "a": 2.0, "b": 0.05}
    free = [run(entry, s, "free", optimum=float("nan"), kl=kl)
            for entry, kl in kls.items() for s in SEEDS]  # fmt: skip
    records = [*prior(), *runs("a", 20.0), *runs("b", 15.0), *free]
    found = standings(records, budget=0.1)
    assert found.tasks == ("one",) and row(found, "a").why == "KL 2.000"
    assert row(found, "a").kl_limit == pytest.approx(2) and row(found, "b").rank == 1
    assert row(standings(records), "a").rank == 1
    assert row(standings(records, budget=0.1, task="one"), "a").rank == 1
    once = [r for r in records if r.task_name == "one" or r.seed == 1 or r.entry == "melody_lstm"]
    assert row(standings(once, budget=0.1), "b").why == "its KL is not known"


def test_ranks_at_a_budget_are_among_those_who_keep_to_it() -> None:
    records = [*prior(), *runs("a", 25.0, kl=0.5), *runs("b", 20.0, kl=0.01)]
    assert ranks(standings(records)) == {"a": (1, 1), "b": (2, 2), "melody_lstm": (3, 3)}
    assert ranks(standings(records, 0.02)) == {"b": (1, 1), "melody_lstm": (2, 2)}


def test_an_unknown_kl_keeps_to_no_budget() -> None:
    found = standings([*prior(), *runs("a", 20.0, kl=float("nan"))], budget=0.3)
    assert row(found, "a").why == "its KL is not known"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"budget": 0.0}, "budget"), ({"task": "three"}, "none of one")], ids=["budget", "task"]
)  # fmt: skip
def test_a_question_that_has_no_answer_is_refused(change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        standings(prior(), **change)


def test_records_of_two_suites_or_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no records"):
        standings([])
    with pytest.raises(ValueError, match="several suites"):
        standings([*prior(), Record({}, "a", 1, 4, {}, error="x", suite="other")])


# Search


@pytest.mark.parametrize(
    ("paid", "side"), [(17.0, "below"), (19.0, "above"), (18.0, "level")], ids=str
)
def test_an_entry_is_set_beside_best_of_n_at_its_own_kl(paid: float, side: str) -> None:
    records = [*prior(), *search(2, 14.0), *search(4, 18.0), *search(8, 25.0),
               *runs("a", paid, 0.1, kl=kl_bound(4, 64))]  # fmt: skip
    found = row(standings(records), "a").search
    assert found is not None and found.side == side and found.largest == 8
    assert found.value == pytest.approx((paid - 18) / 20, abs=1e-9)


def test_between_two_n_search_is_their_mixture() -> None:
    third = (2 * kl_bound(2, 64) + kl_bound(4, 64)) / 3
    records = [*prior(), *search(2, 14.0), *search(4, 18.0), *runs("a", 20.0, 0, kl=third)]
    found = row(standings(records), "a").search
    assert found is not None
    assert found.value == pytest.approx((20 - (2 * 14 + 18) / 3) / 20)
    half = [*prior(), *search(2, 14.0), *runs("a", 20.0, 0, kl=kl_bound(2, 64) / 2)]
    found = row(standings(half), "a").search
    assert found is not None and found.value == pytest.approx((20 - 12) / 20)


@pytest.mark.parametrize(("paid", "side"), [(17.0, "below"), (25.0, "undecided")])
def test_beyond_the_largest_n_only_a_loss_is_decided(paid: float, side: str) -> None:
    records = [*prior(), *search(2, 18.0), *runs("a", paid, kl=0.5)]
    found = row(standings(records), "a").search
    assert found is not None and found.beyond and found.side == side


def test_search_is_compared_with_no_search_and_samples_are_told() -> None:
    found = standings([*prior(), *search(2, 18.0), *runs("a", 20.0)])
    assert row(found, "best_of_2").search is None and row(found, "melody_lstm").search is None
    assert row(found, "best_of_2").samples == 2 and row(found, "a").samples == 1
    assert row(standings([*prior(), *runs("a", 20.0)]), "a").search is None


# What stands beside the score, and how it is shown


def test_figures_are_means_over_seeds_and_then_over_tasks() -> None:
    facts = {"training_steps": 1000, "training_seconds": 3.0}
    records = [*prior(), *prior("two"), *runs("a", 20.0, mmd2=0.1, facts=facts),
               *runs("a", 20.0, task="two", seeds=(1,), mmd2=0.3, facts=facts)]  # fmt: skip
    found = row(standings(records), "a")
    assert found.figures["mmd2"] == pytest.approx(0.2) and np.isnan(found.figures["vendi"])
    assert (found.training_steps, found.training_seconds) == (1000, 3)


def test_profiles_and_improvements_are_of_the_ranked() -> None:
    found = standings([*prior(), *runs("a", 20.0), *runs("b", 15.0), *runs("held_tonic", 29.0)])
    assert found.profiles([0.4])["a"][0] == 1 and found.profiles([0.4])["b"][0] == 0
    better = found.improvements()
    assert better["a", "b"] == [1, 1, 1] and better["b", "a"] == [0, 0, 0]
    assert len(better) == 6


def table() -> Standings:
    music = {"mmd2": 0.0123, "vendi": 61.23, "copied": 0.015, "entropy": 1.2}
    human = run(HUMAN, 0, mmd2=0.004, mmd2_deviation=0.002, vendi=90.0, copied=0.0)
    return standings([
        human, *prior(), *search(1024, 14.0), *runs("held_tonic", 25.0, kl=2.5),
        *runs("a" * 40, 13.0, kl=kl_bound(1024, 64), facts={"training_steps": 3_000_000}, **music),
        *(run("free", s, "free", 1.5, optimum=float("nan")) for s in SEEDS),
    ])  # fmt: skip


def test_the_table_fits_a_terminal_and_shows_humans_beside_the_music() -> None:
    text = columns(table())
    assert max(map(len, text.splitlines())) <= 80
    long = "a" * 21 + "…"
    assert f"- {long}" in text and "-0.050 BELOW" in text and "≤0.093" in text and "1,024" in text
    assert f"{long}     0.012      61.2       1.5     1.200    3.00M        -" in text
    assert f"{'corpus':<22}     0.004      90.0       0.0" in text
    assert f"{'free':<22}       1.50" in text


@pytest.mark.parametrize(
    ("paid", "said"), [(-100.0, "-100.0 [-103.3, -95.8]"), (-1e4, "-10000 [-10003, -9996]")]
)
def test_large_returns_fit_with_fewer_digits(paid: float, said: str) -> None:
    name, nan = "a_task_of_many_words", float("nan")
    records = [run("melody_lstm", s, name, optimum=nan) for s in SEEDS]
    records += runs("a", paid, 5.0, name, optimum=nan)
    text = columns(standings(records, budget=0.02, task=name))
    assert f"{'a':<22} {said:<23}  0.010" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_is_not_ranked_is_explained() -> None:
    lines = "\n".join(explained(table()))
    assert "Not ranked, a trivial policy: held_tonic." in lines
    assert "Not ranked, no run of free: best_of_1024, aaa" in lines
    assert "standard deviation is 0.002" in lines and "free has no score: there is no" in lines


def test_markdown_has_a_row_an_entry_and_says_why_not() -> None:
    lines = markdown(table()).splitlines()
    assert len(lines) == 2 + 6 and len({line.count("|") for line in lines}) == 1
    assert any(line.startswith("| - | held_tonic | 0.750") for line in lines)
    assert lines[2].startswith("| - | corpus |")


def test_only_asked_entries_are_shown_with_their_ranks() -> None:
    found = standings([*prior(), *runs("a", 20.0), *runs("b", 15.0), run(HUMAN, 0)])
    text = columns(found, ["b"])
    assert "    2 b " in text and "melody_lstm" not in text and "corpus" in text
    with pytest.raises(ValueError, match="'c' is none of a, b, corpus, melody_lstm"):
        columns(found, ["c"])


# The command, and how fast it is


def test_the_command_shows_a_folder_of_thousands_of_records_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"task_{k}" for k in range(8)]
    specs = {name: BenchmarkTask("acmg", bars=2 + k) for k, name in enumerate(names)}
    told = [
        SimpleNamespace(name=n, task=task, no_optimum="", focus="return")
        for n, task in specs.items()
    ]
    monkeypatch.setitem(suites.SUITES, "made", SimpleNamespace(name="made", tasks=told))
    for number, record in enumerate(noisy(48, 8, gap=0.1)):
        name = names[int(record.task_name)]
        fields = {**vars(record), "task_name": name, "task": json.loads(specs[name].json)}
        written = Record(**fields)
        path = tmp_path / name / written.file
        if number < 2:
            assert written.write(tmp_path / name) == path
        path.parent.mkdir(exist_ok=True)
        path.write_text(written.json())
    started = time.process_time()
    cli.main(["leaderboard", "show", str(tmp_path), "--budget", "0.1",
              "--markdown", str(tmp_path / "docs" / "table.md")])  # fmt: skip
    assert time.process_time() - started < 4  # 1,960 records; measured: 0.6 s
    text = capsys.readouterr().out
    assert "made: score over 8 tasks, KL at most 1.05 x 0.1" in text and " 1-" in text
    assert (tmp_path / "docs" / "table.md").read_text().startswith("| rank | entry |")


def test_the_command_refuses_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["leaderboard", "show", str(tmp_path)])
    assert end.value.code == 2 and "musicgym leaderboard run" in capsys.readouterr().err
