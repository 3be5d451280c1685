from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from musicgym.meters import GRIDS, METERS
from musicgym.progressions import COMMON
from musicgym.task import Task
from musicgym.theory import QUALITIES


@pytest.mark.parametrize(
    ("meter", "grid", "steps"),
    [("2/4", 1, 4), ("3/4", 2, 12), ("4/4", 4, 32), ("6/8", 2, 24)],
)
def test_an_episode_has_bars_times_beats_times_grid_steps(
    meter: str, grid: int, steps: int
) -> None:
    assert Task(bars=2, progression="I", meter=meter, steps_per_beat=grid).steps == steps


def test_the_default_range_is_c3_to_b5_and_its_tessitura_a3_to_a5() -> None:
    task = Task()
    assert (task.low, task.high, task.n_events, task.comfortable) == (48, 83, 38, (57, 81))


def test_a_tessitura_may_be_given_as_names_or_numbers() -> None:
    assert Task(tessitura=("C4", "C5")).comfortable == (60, 72)
    assert Task(tessitura=[48, 83]).comfortable == (48, 83)


def test_lists_equal_tuples_and_tasks_can_be_keys_of_a_dict() -> None:
    a = Task(progression=["I", "V"], pitch_range=["C3", "B5"])
    b = Task(progression=("I", "V"), pitch_range=("C3", "B5"))
    assert a == b
    assert len({a, b}) == 1


def test_a_task_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Task().bars = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"key": "H major"}, ["H major", "C major"]),
        ({"key": None}, ["None", "C major"]),
        ({"meter": "5/4"}, ["5/4", "2/4, 3/4, 4/4, 6/8"]),
        ({"meter": ["4/4"]}, ["2/4, 3/4, 4/4, 6/8"]),
        ({"bars": 0}, ["bars", "0", "1 to 128"]),
        ({"bars": 129}, ["bars", "129", "1 to 128"]),
        ({"bars": 2.0}, ["bars", "2.0", "whole number"]),
        ({"bars": True}, ["bars", "True", "whole number"]),
        ({"steps_per_beat": 3}, ["steps_per_beat", "3", "1, 2, 4"]),
        ({"steps_per_beat": 2.0}, ["steps_per_beat", "2.0", "1, 2, 4"]),
        ({"steps_per_beat": True}, ["steps_per_beat", "True", "1, 2, 4"]),
        ({"progression": "I X"}, ["'X'", "roman numeral", "chord symbol"]),
        ({"progression": ""}, ["progression", "no chord"]),
        ({"progression": []}, ["progression", "no chord"]),
        ({"progression": None}, ["progression", "None", "'random'"]),
        ({"progression": "I V vi"}, ["3 chords", "8 bars", "change the progression"]),
        ({"chords_per_bar": 3}, ["chords_per_bar", "3", "8 steps"]),
        ({"chords_per_bar": 0}, ["chords_per_bar", "0", "1 to 8"]),
        ({"chords_per_bar": 9}, ["chords_per_bar", "9", "1 to 8"]),
        ({"pitch_range": ("C4", "B4")}, ["11 semitones", "octave"]),
        ({"pitch_range": ("B5", "C3")}, ["-35 semitones", "lowest pitch comes first"]),
        ({"pitch_range": ("C3", "H5")}, ["'H5'", "note name"]),
        ({"pitch_range": (0, 128)}, ["128", "MIDI"]),
        ({"pitch_range": ("C3",)}, ["pitch_range", "pair"]),
        ({"pitch_range": "C3"}, ["pitch_range", "pair"]),
        ({"pitch_range": 5}, ["pitch_range", "pair"]),
        ({"pitch_range": None}, ["pitch_range", "pair"]),
        ({"tessitura": ("C2", "C4")}, ["tessitura", "36 to 60", "48 to 83"]),
        ({"tessitura": ("C4", "C3")}, ["tessitura", "60 to 48"]),
        ({"tessitura": ("C4",)}, ["tessitura", "pair"]),
    ],
    ids=str,
)
def test_a_wrong_field_raises_an_error_that_says_what_is_allowed(
    wrong: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ValueError) as error:
        Task(**wrong)  # type: ignore[arg-type]
    for word in words:
        assert word in str(error.value)


def test_a_misspelt_meter_is_answered_with_the_nearest_and_one_full_stop() -> None:
    with pytest.raises(ValueError, match=r"did you mean '6/8'\?$"):
        Task(meter="6/8 ")
    with pytest.raises(ValueError, match=r"6/8\.$"):
        Task(meter="x")


def test_the_narrowest_range_is_an_octave() -> None:
    assert Task(pitch_range=("C4", "C5")).comfortable == (69, 70)


def test_chords_are_stored_relative_to_the_tonic() -> None:
    for key, progression in (("D major", "I V vi IV"), ("D major", "D A Bm G")):
        roots, codes, masks = Task(key=key, progression=progression, bars=4).spans(
            progression, "major"
        )
        assert roots == [0, 7, 9, 5]
        assert [list(QUALITIES)[code] for code in codes] == ["", "", "m", ""]
        assert masks[0] == 0b000010010001
        assert masks[1] == 0b100010000100


def test_a_progression_repeats_to_fill_the_bars() -> None:
    roots, _, _ = Task(progression="I V", bars=4, chords_per_bar=2).spans("I V", "major")
    assert roots == [0, 7] * 4


def test_a_span_without_a_chord_has_root_code_and_mask_zero() -> None:
    task = Task(key="D major", progression="N.C. V", bars=2)
    assert task.spans("N.C. V", "major") == ([0, 7], [0, 1], [0, 0b100010000100])


def test_a_fixed_progression_has_one_row_in_the_mode_of_the_key() -> None:
    assert Task(key="A minor", progression="i iv").table.major_rows == 0
    assert Task(key="A major", progression="I IV").table.major_rows == 1
    both = Task(key="random", progression="I IV").table
    assert (both.major_rows, len(both.roots)) == (1, 2)


def test_a_random_progression_is_one_of_the_common_ones_of_both_modes() -> None:
    table = Task(key="C major", progression="random").table
    assert table.major_rows == len(COMMON["major"])
    assert len(table.roots) == len(COMMON["major"]) + len(COMMON["minor"])
    assert table.roots.shape == table.codes.shape == table.masks.shape == (36, 8)


@pytest.mark.parametrize("bars", [1, 2, 3, 5, 6, 7, 8])
def test_random_progressions_fit_any_number_of_bars(bars: int) -> None:
    table = Task(progression="random", bars=bars).table
    assert table.roots.shape[1] == bars
    assert (table.masks > 0).all()


def test_chord_symbols_with_a_random_key_are_read_in_c_major_and_a_minor() -> None:
    table = Task(key="random", progression="Am F", bars=2).table
    assert table.roots.tolist() == [[9, 5], [0, 8]]


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_the_chords_divide_the_bar_on_every_grid(meter: str, grid: int) -> None:
    beats = METERS[meter].beats
    task = Task(meter=meter, steps_per_beat=grid, chords_per_bar=beats, bars=4)
    assert task.steps_per_chord == grid
    assert task.table.roots.shape == (1, 4 * beats)


def test_a_corpus_is_named_with_its_split() -> None:
    assert Task(progression="corpus:chorales/test").corpus == ("chorales", "test")
    assert Task(progression="corpus:chorales").corpus == ("chorales", "train")
    assert Task().corpus is None
    assert Task(progression="corpus:chorales/test", meter="3/4").steps_per_chord == 2


def test_tables_are_whole_numbers() -> None:
    assert all(column.dtype == np.int64 for column in Task().table[:3])
