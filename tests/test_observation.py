from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playing import random_events, spelt

from musicgym.env import MelodyComposeEnv
from musicgym.observation import Observation, layout
from musicgym.task import Task
from musicgym.theory import QUALITIES


def watch(text: str, seed: int = 0, **arguments: Any) -> list[dict[str, int]]:
    """Return what is observed before each step of a melody and after the last."""
    env = MelodyComposeEnv(observation="dict", **arguments)
    seen = [env.reset(seed=seed)[0]]
    seen += [env.step(event)[0] for event in spelt(text, env.task.low)]
    return [{name: int(value) for name, value in part.items()} for part in seen]


def column(seen: list[dict[str, int]], name: str) -> list[int]:
    return [part[name] for part in seen]


def test_the_parts_have_these_names_and_sizes() -> None:
    sizes = layout(Task())
    assert tuple(sizes) == Observation._fields
    assert list(sizes.values()) == [38, 37, 2, 8, 9, 12, 20, 12, 20, 6, 2, 2, 13, 2, 12]
    assert sizes["quality"] == len(QUALITIES)


def test_the_event_the_pitch_and_whether_it_rings_are_those_of_the_melody() -> None:
    seen = watch("C3 . - . B5")
    assert column(seen, "event") == [1, 2, 0, 1, 1, 37]
    assert column(seen, "pitch") == [0, 1, 1, 1, 1, 36]
    assert column(seen, "ringing") == [0, 1, 1, 0, 0, 1]


def test_the_place_in_the_bar_and_the_bars_that_are_left_count_to_the_end() -> None:
    seen = watch("- " * 8, bars=2, steps_per_beat=1, progression="I V")
    assert column(seen, "position") == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert column(seen, "bars_left") == [2, 2, 2, 2, 1, 1, 1, 1, 0]


def test_the_chord_of_now_and_the_next_span_are_observed() -> None:
    seen = watch("- " * 8, bars=2, steps_per_beat=1, progression="I V7 N.C. vi", chords_per_bar=2)
    assert column(seen, "root") == [0, 0, 7, 7, 0, 0, 9, 9, 9]
    assert column(seen, "next_root") == [7, 7, 0, 0, 9, 9, 0, 0, 0]
    names = [list(QUALITIES)[code] for code in column(seen, "quality")]
    assert names == ["", "", "7", "7", "N.C.", "N.C.", "m", "m", "m"]
    after = [list(QUALITIES)[code] for code in column(seen, "next_quality")]
    assert after == ["7", "7", "N.C.", "N.C.", "m", "m", "N.C.", "N.C.", "N.C."]


def test_the_run_and_the_extras_are_observed() -> None:
    seen = watch("C5 D5 D5 D5 D5 D5 D5 D5 B4")
    assert column(seen, "run") == [0, 1, 1, 2, 3, 4, 5, 5, 5, 1]
    assert column(seen, "extra") == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    assert column(seen, "weak_extra") == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]


def test_mode_and_tonic_are_observed_the_tonic_above_the_lowest_pitch() -> None:
    assert watch("", key="A minor", progression="i iv")[0]["mode"] == 1
    assert watch("", key="A major", progression="I IV")[0]["mode"] == 0
    assert watch("", key="D major", pitch_range=("C3", "B5"))[0]["tonic"] == 2
    assert watch("", key="D major", pitch_range=("D3", "B5"))[0]["tonic"] == 0


def test_a_drawn_median_is_observed_from_1() -> None:
    drawn = {"rewards": {"median_line": {"median": "nearest"}}}
    assert watch("", **drawn)[0]["median"] == 67 - 63 + 1


@pytest.mark.parametrize("notes_only", [False, True])
def test_the_three_forms_tell_the_same(notes_only: bool) -> None:
    given: dict[str, Any] = {"key": "random", "progression": "random", "notes_only": notes_only}
    envs = {
        form: MelodyComposeEnv(observation=form, **given) for form in ("flat", "compact", "dict")
    }
    sizes = list(envs["flat"].parts.values())
    starts = np.cumsum([0, *sizes[:-1]])
    for seed in range(5):
        seen = {form: env.reset(seed=seed)[0] for form, env in envs.items()}
        for event in [None, *random_events(38, 64, seed).tolist()]:
            if event is not None:
                seen = {form: env.step(event)[0] for form, env in envs.items()}
            assert list(seen["dict"].values()) == seen["compact"].tolist()
            hot = np.flatnonzero(seen["flat"])
            assert (hot - starts).tolist() == seen["compact"].tolist()
            assert set(seen["flat"].tolist()) == {0.0, 1.0}
    assert seen["flat"].dtype == np.float32
    assert seen["compact"].dtype == np.uint8


def test_notes_only_shows_the_last_event_and_nothing_else() -> None:
    seen = watch("C3 . - B5", notes_only=True)
    assert seen == [{"event": e} for e in (1, 2, 0, 1, 37)]


@pytest.mark.parametrize("preset", ["acmg", "acmg_literal"])
def test_equal_observations_and_events_lead_to_equal_rewards(preset: str) -> None:
    """The process is Markov in the observation: what it shows decides what is paid."""
    env = MelodyComposeEnv(
        rewards=preset, observation="compact", bars=1, meter="2/4", steps_per_beat=2,
        progression="I", pitch_range=("C4", "C5"),
    )  # fmt: skip
    paid: dict[bytes, tuple[float, bytes]] = {}
    met_again = 0
    rng = np.random.default_rng(0)
    for seed in range(3000):
        seen, _ = env.reset(seed=seed % 7)
        done = False
        while not done:
            event = int(rng.choice([0, 1, 2, 4, 6]))
            place = seen.tobytes() + bytes([event])
            seen, reward, done, _, _ = env.step(event)
            outcome = (reward, seen.tobytes())
            met_again += place in paid
            assert paid.setdefault(place, outcome) == outcome
    assert met_again > 5000
