"""Tables of records: the human row first, means over seeds, and the comparison with search."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from musicgym.agents.best_of_n import kl_bound
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.records import HUMAN, Record
from musicgym.benchmarks.tables import FRONT, columns, every, markdown, notes, rows, shown
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.benchmarks.tradeoff import picture

TASK = asdict(BenchmarkTask())


def record(entry: str, seed: int = 1, facts: Any = None, **figures: float) -> Record:
    """Return a record; its four melodies, each of another tune, earn the return exactly."""
    made = {name: Measured(value, 4, 4) for name, value in figures.items()}
    paid = [figures.get("return", 0.0)] * 4
    return Record(TASK, entry, seed, 4, made, facts or {}, {}, paid, [0, 1, 2, -1])


def search(n: int, paid: float) -> Record:
    bound = kl_bound(n, 64)
    return record(
        f"best_of_{n}", facts={"samples": n}, return_curve=paid, kl=bound, **{"return": paid}
    )


def test_the_human_row_is_first_and_the_others_rise_by_return() -> None:
    found = rows([record("b", **{"return": 2.0}), record(HUMAN, 0, **{"return": 5.0}),
                  record("a", **{"return": 1.0})])  # fmt: skip
    assert [row.name for row in found] == [HUMAN, "a", "b"]


def test_seeds_are_averaged_with_their_standard_deviation() -> None:
    (row,) = rows([record("a", s, **{"return": float(s)}) for s in (1, 2, 3)])
    assert row.mean("return") == 2 and row.spread("return") == 1
    assert "| a | 2.00 ± 1.00 |" in markdown([row], ["return"])


def test_shares_are_in_percent_and_what_is_undefined_is_a_dash() -> None:
    systems = rows([record("a", outside_key=0.021, kl=0.5), record("b", kl=float("nan"))])
    text = markdown(systems, ["outside_key", "kl", "entropy"])
    assert text.splitlines()[0] == "| system | outside key % | kl |"
    assert "| a | 2.1 | 0.500 |" in text and "| b | - | - |" in text


def test_a_table_of_many_systems_fits_a_terminal() -> None:
    figures = dict.fromkeys(FRONT, 0.5)
    text = columns(rows([record(f"system_{i}", **figures) for i in range(14)]))
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"({i})" in text for i in range(1, 15))


def test_every_figure_can_be_shown_those_in_front_first() -> None:
    names = every(rows([record("a", zeta=1.0, kl=0.1)]))
    assert names[: len(FRONT)] == list(FRONT) and names[-1] == "zeta"


LEARNED = {"training_steps": 10}


@pytest.mark.parametrize(("paid", "said"), [(12.0, "BELOW"), (19.0, "above"), (18.0, "level with")])
def test_a_trained_agent_is_set_beside_search_at_its_own_kl(paid: float, said: str) -> None:
    learned = record("acmg", facts=LEARNED, kl=kl_bound(4, 64), **{"return": paid})
    systems = rows([record("melody_lstm", **{"return": 10.0}), search(2, 14.0), search(4, 18.0),
                    search(8, 30.0), learned])  # fmt: skip
    (line,) = notes(systems)
    assert f"acmg: {said} best-of-N at the same KL, {paid - 18:+.2f} [" in line


def test_between_two_points_search_is_their_mixture() -> None:
    half = (kl_bound(2, 64) + kl_bound(4, 64)) / 2
    learned = record("acmg", facts=LEARNED, kl=half, **{"return": 16.0})
    systems = rows([search(2, 14.0), search(4, 18.0), learned])
    assert "+0.00" in notes(systems)[0]


def test_a_difference_that_tunes_disagree_on_is_no_difference() -> None:
    learned = record("acmg", facts=LEARNED, kl=kl_bound(2, 64), **{"return": 14.0})
    learned = replace(learned, returns=[4.0, 26.0, 4.0, 26.0])
    assert "level with" in notes(rows([search(2, 14.0), learned]))[0]


@pytest.mark.parametrize(
    ("paid", "said", "open_"), [(13.0, "BELOW best of 2", False), (40.0, "above best of 2", True)]
)
def test_beyond_the_last_point_only_a_loss_is_decided(paid: float, said: str, open_: bool) -> None:
    learned = record("acmg", facts=LEARNED, kl=1.0, **{"return": paid})
    systems = rows([record("melody_lstm", **{"return": 10.0}), search(2, 14.0), learned])
    (line,) = notes(systems)
    assert said in line and "1.000 nats a step, against 0.003 at most" in line
    assert ("undecided" in line) is open_


def test_an_agent_that_learned_another_reward_is_told() -> None:
    facts = {**LEARNED, "trained_on": "acmg"}
    learned = record("acmg", facts=facts, kl=kl_bound(2, 64), **{"return": 1.0})
    assert "; it learned acmg" in notes(rows([search(2, 14.0), learned]))[0]
    own = record("acmg", facts={**facts, "trained_on": "balanced"}, kl=0.001, **{"return": 1.0})
    assert "it learned" not in notes(rows([search(2, 14.0), own]))[0]


def test_only_melodies_over_the_same_episodes_are_paired() -> None:
    other = record("acmg", 2, facts=LEARNED, kl=0.001, **{"return": 1.0})
    assert notes(rows([search(2, 14.0), other])) == []


def test_the_kl_of_best_of_n_is_shown_as_a_bound() -> None:
    assert "| best_of_2 | ≤0.003 |" in markdown(rows([search(2, 14.0)]), ["kl"])


def test_a_best_of_n_that_was_asked_for_is_shown() -> None:
    systems = rows([search(2, 1.0), search(4, 2.0), search(8, 3.0)])
    assert [row.name for row in shown(systems)] == ["best_of_4", "best_of_8"]  # and the largest
    asked = ["best_of_2", "best_of_4", "best_of_8"]
    assert [row.name for row in shown(systems, asked[:1])] == asked


def test_the_noise_floors_stand_under_the_table() -> None:
    human = record(HUMAN, 0, mmd2=0.02, mmd2_deviation=0.004)
    (line,) = notes(rows([human]))
    assert "floor of mmd2: 0.020, standard deviation 0.004" in line


def test_the_trade_off_is_a_picture_and_needs_more_than_the_human_row() -> None:
    human = record(HUMAN, 0, mmd2=0.02, mmd2_deviation=0.004, share_of_optimum=0.3)
    other = record("a", mmd2=-0.001, share_of_optimum=0.5, kl=0.1)
    assert picture(rows([human, other, search(2, 3.0)])).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no system"):
        picture(rows([human]))
