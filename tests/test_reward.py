from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from musicgym.dynamics import Moment
from musicgym.reward import PolicyTerm, Rule, SequenceTerm, load, term_names
from musicgym.rewards.median_line import MedianLine
from musicgym.rewards.presets import PRESETS
from musicgym.select import Array, where


@dataclass(frozen=True)
class Leapless(Rule):
    """Pays for a held note."""

    bonus: float = 0.5
    strict: bool = False

    def __call__(self, m: Moment) -> Array:
        return where(m.struck, 0.0, self.bonus)


class Counting(SequenceTerm):
    """Pays the number of steps so far."""

    def begin(self, episodes: Any, which: Any) -> None:
        self.count = np.zeros(len(which))

    def pay(self, events: Any) -> Any:
        self.count = self.count + 1
        return self.count


@dataclass(frozen=True)
class Peak(PolicyTerm):
    """Pays the largest probability."""

    def judge(self, probabilities: Any) -> Any:
        return probabilities.max(axis=-1)


class NoTerm:
    """Nothing that a reward can use."""


@dataclass(frozen=True)
class Demanding(Rule):
    """Needs a parameter."""

    value: float

    def __call__(self, m: Moment) -> Array:
        return self.value


def test_the_folder_is_the_registry() -> None:
    names = term_names()
    assert {
        "chord_tone", "non_chord_tone", "median_line", "repetition", "octave_leap", "pitch_range",
        "final_tonic", "state_variance",
    } <= set(names)  # fmt: skip
    assert "presets" not in names
    assert names == sorted(names)


def test_a_dict_without_a_preset_holds_only_the_named_terms() -> None:
    reward = load({"chord_tone": 2.0, "repetition": {"max_run": 4}}, steps=64)
    assert reward.names == ("chord_tone", "repetition")
    assert reward.weights.tolist() == [2.0, 1.0]
    assert reward.rules[1].max_run == 4  # type: ignore[attr-defined]


def test_a_preset_takes_overrides_of_weights_and_parameters() -> None:
    spec = {
        "preset": "acmg",
        "final_tonic": 5.0,
        "median_line": {"weight": 1.5, "reach": 9},
        "octave_leap": {"reach": 12},
    }
    reward = load(json.loads(json.dumps(spec)), steps=64)
    assert reward.names == load("acmg", steps=64).names
    weights = dict(zip(reward.names, reward.weights.tolist(), strict=True))
    assert (weights["final_tonic"], weights["median_line"], weights["octave_leap"]) == (5, 1.5, 1)
    reach = {t.name: t.pays.reach for t in reward.terms if hasattr(t.pays, "reach")}
    assert reach == {"median_line": 9, "octave_leap": 12}


def test_an_override_keeps_the_weight_that_the_preset_gives() -> None:
    reward = load({"preset": "balanced", "octave_leap": {"reach": 12}}, steps=64)
    assert dict(zip(reward.names, reward.weights, strict=True))["octave_leap"] == 0.25


def test_a_term_of_weight_zero_is_still_a_term() -> None:
    assert "median_line" in load("balanced", steps=64).names


@pytest.mark.parametrize(
    ("spec", "argument", "scoring"),
    [
        ("acmg", None, "time"),
        ("acmg_literal", None, "literal"),
        ("acmg_literal", "onset", "onset"),
        ({"preset": "acmg_literal", "scoring": "time"}, None, "time"),
        ({"preset": "acmg_literal", "scoring": "time"}, "onset", "onset"),
        ({"chord_tone": 1.0, "scoring": "onset"}, None, "onset"),
        ({"chord_tone": 1.0}, None, "time"),
    ],
)
def test_the_scoring_is_the_argument_then_the_dict_then_the_preset(
    spec: Any, argument: str | None, scoring: str
) -> None:
    assert load(spec, 64, argument).readings.scoring == scoring


@pytest.mark.parametrize("median", ["expected", "random", "nearest"])
def test_the_readings_follow_the_median_line(median: str) -> None:
    reward = load({"median_line": {"median": median}}, steps=64)
    assert reward.readings.median == median
    assert MedianLine(median=median).expected == (median == "expected")


def test_rules_come_first_then_policy_terms_then_sequence_terms() -> None:
    here = __name__
    spec = {
        f"{here}:Counting": 1.0,
        f"{here}:Peak": 2.0,
        "chord_tone": 3.0,
        f"{here}:Leapless": 4.0,
    }
    reward = load(spec, steps=64)
    assert reward.weights.tolist() == [3.0, 4.0, 2.0, 1.0]
    assert len(reward.rules) == 2
    assert [(place, type(term).__name__) for place, term in reward.others] == [
        (2, "Peak"),
        (3, "Counting"),
    ]


def test_a_term_of_ones_own_is_loaded_by_module_and_class_with_parameters() -> None:
    reward = load({f"{__name__}:Leapless": {"weight": 2, "bonus": 1, "strict": True}}, steps=64)
    assert reward.rules == (Leapless(bonus=1.0, strict=True),)


def test_whole_numbers_and_numpy_numbers_become_plain_floats() -> None:
    for bonus in (1, np.float32(1.0), np.int64(1)):
        rule = load({f"{__name__}:Leapless": {"bonus": bonus}}, steps=64).rules[0]
        assert type(rule.bonus) is float  # type: ignore[attr-defined]


OWN = f"{__name__}:Leapless"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("acgm", ["'acgm' is not a preset", "did you mean 'acmg'?", "balanced"]),
        ({"preset": ["acmg"]}, ["is not a preset"]),
        (None, ["None", "preset's name or a dict"]),
        (["chord_tone"], ["preset's name or a dict"]),
        ({"chord_tones": 1.0}, ["'chord_tones'", "did you mean 'chord_tone'?", "repetition"]),
        ({"presets": 1.0}, ["'presets' is not a term"]),
        ({"chord_tone": {"insde": 1.0}}, ["'insde'", "did you mean 'inside'?", "weight, inside"]),
        ({"median_line": {"expected": True}}, ["no parameter 'expected'"]),
        ({"chord_tone": float("nan")}, ["weight of 'chord_tone'", "nan", "finite"]),
        ({"chord_tone": float("inf")}, ["inf", "finite"]),
        ({"chord_tone": "1"}, ["'1'", "finite number"]),
        ({"chord_tone": True}, ["True", "finite number"]),
        ({"chord_tone": None}, ["None", "finite number"]),
        ({"chord_tone": {"inside": "x"}}, ["chord_tone: inside='x'", "finite number"]),
        ({"chord_tone": {"inside": float("nan")}}, ["inside=nan", "finite number"]),
        ({"chord_tone": {"inside": True}}, ["inside=True", "finite number"]),
        ({"octave_leap": {"reach": 9.5}}, ["reach=9.5", "whole number"]),
        ({"repetition": {"max_run": "3"}}, ["max_run='3'", "whole number"]),
        ({"repetition": {"max_run": 9}}, ["max_run=9", "1 to 4"]),
        ({"non_chord_tone": {"reading": "x"}}, ["reading='x'", "prose, formula, lenient"]),
        ({OWN: {"strict": 1}}, ["strict=1", "true or false"]),
        ({f"{__name__}:Missing": 1.0}, ["cannot be loaded", "Missing"]),
        ({"no_such_module:Rule": 1.0}, ["cannot be loaded", "no_such_module"]),
        ({f"{__name__}:OWN": 1.0}, ["is not a class of terms"]),
        ({f"{__name__}:NoTerm": 1.0}, ["not a Rule, a PolicyTerm or a SequenceTerm"]),
        ({f"{__name__}:Demanding": 1.0}, ["needs a value for value"]),
        ({"chord_tone": 1.0, "scoring": "tim"}, ["'tim'", "did you mean 'time'?"]),
    ],
    ids=str,
)
def test_a_wrong_spec_raises_an_error_that_names_what_is_allowed(
    spec: Any, words: list[str]
) -> None:
    with pytest.raises(ValueError) as error:
        load(spec, steps=64)
    for word in words:
        assert word in str(error.value)


def test_terms_that_need_different_median_tones_do_not_mix() -> None:
    @dataclass(frozen=True)
    class Other(MedianLine):
        pass

    globals()["Other"] = Other
    with pytest.raises(ValueError, match="different median tones"):
        load({"median_line": {"median": "random"}, f"{__name__}:Other": 1.0}, steps=64)


def test_the_table_lists_every_term_with_its_weight() -> None:
    lines = load("balanced", steps=64).table().splitlines()
    assert len(lines) == 7
    assert lines[0].split() == ["chord_tone", "+1"]
    assert lines[-1].split() == ["final_tonic", "+5"]


@pytest.mark.parametrize("preset", PRESETS)
def test_loading_a_preset_twice_gives_equal_rewards(preset: str) -> None:
    first, second = load(preset, steps=64), load(preset, steps=64)
    assert first.names == second.names
    assert first.rules == second.rules
