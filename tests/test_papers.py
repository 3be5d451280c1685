"""The papers' tables: which agents they train, what the page says, and that it is made from it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from musicgym.agents.acmg import ACMGConfig
from musicgym.benchmarks import papers
from musicgym.benchmarks.metrics import METRICS
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.paper_page import page
from musicgym.benchmarks.paper_pictures import figures_8_and_9
from musicgym.benchmarks.papers import PARTS, Settings, runs
from musicgym.benchmarks.published import ACMG_TABLE_1, RL_TUNER_TABLE
from musicgym.benchmarks.records import HUMAN, Record
from musicgym.benchmarks.tables import Row, rows

MADE = {"musicgym": "0", "torch": "0", "numpy": "0", "python": "3", "processor": "some"}


def record(part: str, entry: str, seed: int, shift: float = 0.0, **figures: float) -> Record:
    facts = {"training_steps": 1_000_000, "kl_target": 0.14, "kl_to_markov": 0.12}
    values = {**dict.fromkeys(METRICS, 0.5), "return": 10.0, "kl": 0.1, "share_of_optimum": 0.9,
              **{f"pitch_class_{k}": 1 / 12 for k in range(12)}, **figures}  # fmt: skip
    made = {name: Measured(value + shift, 4, 4) for name, value in values.items()}
    return Record(asdict(PARTS[part]), entry, seed, 4, made, facts, MADE)


def table_1(**systems: dict[str, float]) -> list[Row]:
    """Return rows of Table 1 over three seeds; the figures of some systems are given."""
    names = ("lstm", "no_theory", "complete", "no_theory_kl", "complete_kl", "balanced_kl",
             "ppo_alone", "a2c_alone")  # fmt: skip
    made = [
        record("acmg", name, seed, 0.001 * seed, **systems.get(name, {}))
        for name in names
        for seed in (1, 2, 3)
    ]
    return rows([record("acmg", HUMAN, 0), *made])


def test_the_page_stands_published_human_and_our_numbers_side_by_side() -> None:
    text = page({"acmg": table_1(complete={"outside_key": 0.02})}, "musicgym papers")
    line = next(line for line in text.splitlines() if line.startswith("| outside key %"))
    assert line.startswith("| outside key % | 10.2 | 6.74 | 3.21 | 50.0 |")
    assert "| 2.2 ± 0.1 |" in line
    assert "(3 seeds" in text or "3 seeds" in text


def test_a_figure_that_clearly_moves_as_printed_is_reproduced_and_others_are_not() -> None:
    text = page({"acmg": table_1(complete={"outside_key": 0.02, "under_octave": 0.3})}, "x")
    kept, lost = (part for part in text.split("\n") if part.startswith(("From LSTM", "Not so")))
    assert "outside key % (-6.99 printed, -48 found)" in kept
    assert "under octave % (+12.8 printed, -20 found)" in lost
    assert "unique highest" in lost  # it did not move at all


def test_the_ablation_is_told_as_it_is_found() -> None:
    assert "without a prior's price: no clear difference; with KL: no clear difference" in page(
        {"acmg": table_1()}, "x"
    )
    text = page({"acmg": table_1(complete={"outside_key": 0.02})}, "x")
    assert "without a prior's price: outside key % -48; with KL: no clear" in text


def test_one_seed_has_no_error_and_does_not_crash() -> None:
    one = [Row(row.name, row.records[:1]) for row in table_1(complete={"outside_key": 0.02})]
    assert "nan" not in page({"acmg": one}, "x").replace("± nan", "!")


def test_every_published_figure_but_the_style_classifiers_is_measured_by_us() -> None:
    assert set(ACMG_TABLE_1) - set(METRICS) == {"classical_style"}
    assert set(RL_TUNER_TABLE) <= set(METRICS)


def test_the_figures_8_and_9_are_a_picture() -> None:
    assert figures_8_and_9(table_1()).startswith(b"\x89PNG")


def test_agents_differ_by_what_the_table_says_they_differ_by() -> None:
    made = {name: config for name, (config, _) in runs("acmg", Settings()).items()}
    assert made["complete"].rewards == "acmg" and made["no_theory"].rewards == "acmg_no_theory"
    for name in ("complete", "no_theory", "ppo_alone", "a2c_alone"):
        assert made[name].learning.kl.beta == 0 and made[name].learning.total_steps == 1_000_000
    for name in ("complete_kl", "no_theory_kl", "balanced_kl"):
        assert made[name].learning.kl.target == 0.14
    assert made["ppo_alone"].pretraining is None and made["complete"].pretraining is not None
    assert made["a2c_alone"].algorithm == "a2c"
    assert made["balanced_kl"] == ACMGConfig()  # the default agent itself
    (formula, _), = runs("formula", Settings()).values()  # fmt: skip
    assert formula.rewards["non_chord_tone"] == {"reading": "formula"}  # type: ignore[index]
    assert {c.steps_per_beat for c, _ in runs("rl_tuner", Settings()).values()} == {4}


@pytest.mark.parametrize(("given", "said"), [({"parts": ("x",)}, "'x' is not one of"),
                                             ({"seeds": 0}, "seeds")])  # fmt: skip
def test_a_setting_out_of_its_range_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**given)


def test_parts_that_are_not_asked_for_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def made(part: str, settings: Settings, stage: Any) -> list[Record]:
        asked.append(part)
        return [r for row in table_1() for r in row.records]

    monkeypatch.setattr(papers, "records", made)
    monkeypatch.setattr(papers, "_losses", lambda stage: {"test": (0.8, 1.0)})
    paths = papers.write(Settings(tmp_path, ("acmg",)), lambda n, k: lambda f: None, "x")
    assert asked == ["acmg"]
    assert [p.name for p in paths] == ["papers-figures.png", "papers.md"]
    text = paths[-1].read_text()
    assert "## RL Tuner" not in text and "| test | 0.800 | 1.000 | 0.80 |" in text
