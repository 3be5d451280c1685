"""RL Tuner's terms, branch by branch, worked by hand, and against a slow reading of their text.

The melodies are in C major on eighths, eight steps a bar, unless the test says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_rl_tuner as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import raw, spelt

from musicgym.dynamics import Moment
from musicgym.env import MelodyComposeEnv
from musicgym.reward import load
from musicgym.rewards.autocorrelation import Autocorrelation
from musicgym.rewards.excessive_repeat import ExcessiveRepeat
from musicgym.rewards.key import Key
from musicgym.rewards.leap_resolution import LeapResolution
from musicgym.rewards.motif import Motif
from musicgym.rewards.preferred_interval import PreferredInterval
from musicgym.rewards.repeated_motif import RepeatedMotif
from musicgym.rewards.tonic_start_end import TonicStartEnd
from musicgym.rewards.unique_extremes import UniqueExtremes
from musicgym.sequence import listen
from musicgym.vector_env import MelodyComposeVectorEnv

example = Moment.example
#: Two bars of sixteenths, 32 steps, as RL Tuner has them.
PAPER: dict[str, Any] = {"bars": 2, "steps_per_beat": 4, "progression": "I"}
LITERAL: dict[str, Any] = {"parameters": {"literal": True}}


# --- key ---------------------------------------------------------------------------------------


def test_key_takes_for_each_note_that_is_struck_outside_the_scale() -> None:
    assert raw("key", "C5 D5 Eb5 . - F#5 . B5 F5") == [0, 0, -1, 0, 0, -1, 0, 0, 0]


def test_key_is_that_of_the_episode() -> None:
    assert raw("key", "D5 F#5 C#5 F5 C5", key="D major") == [0, 0, 0, -1, -1]


def test_in_minor_the_sixth_and_the_seventh_may_be_raised() -> None:
    given = {"key": "A minor", "progression": "i"}
    assert raw("key", "A4 B4 C5 D5 E5 F5 F#5 G5 G#5", **given) == [0] * 9
    assert raw("key", "Bb4 C#5 D#5", **given) == [-1, -1, -1]


def test_key_is_silent_where_nothing_is_struck() -> None:
    assert Key()(example(struck=False, degree=1)) == 0.0
    assert Key(outside=-2.0)(example(degree=1)) == -2.0


# --- tonic_start_end ---------------------------------------------------------------------------

HOLDS = " ." * 27


@pytest.mark.parametrize(
    ("end", "paid"),
    [
        ("C4 . . .", [3, 3, 3, 3]),
        ("C4 . - -", [3, 3, 3, 3]),
        ("C4 - - -", [3, 0, 3, 3]),  # the step after the tonic is a hold
        ("G4 . . .", [0, 3, 3, 3]),
        (". . . .", [0, 3, 3, 3]),  # the tonic sounds, but it is not struck
        ("C4 C4 C4 C4", [3, 0, 0, 0]),
    ],
)
def test_the_tonic_is_struck_at_the_first_step_and_struck_and_held_in_the_last_beat(
    end: str, paid: list[float]
) -> None:
    assert raw("tonic_start_end", f"C5{HOLDS} {end}", **PAPER) == [3.0, *[0] * 27, *paid]


def test_tonic_start_end_pays_nothing_for_another_beginning() -> None:
    for first in ("E5", "-"):
        assert not any(raw("tonic_start_end", f"{first} C5 . C5", **PAPER))


@pytest.mark.parametrize(
    ("meter", "grid", "end"),
    [("4/4", 1, "D4"), ("4/4", 2, "D4 ."), ("3/4", 4, "D4 . - -"), ("6/8", 2, "D5 ."),
     ("2/4", 1, "D5")],
)  # fmt: skip
def test_at_other_grids_the_last_beat_has_its_own_number_of_steps(
    meter: str, grid: int, end: str
) -> None:
    steps, last = 2 * int(meter[0]) * grid, end.split()
    text = " ".join(["D4", *["F#4"] * (steps - 1 - len(last)), *last])
    given = {"bars": 2, "meter": meter, "steps_per_beat": grid, "key": "D minor"}
    paid = raw("tonic_start_end", text, progression="i", **given)
    assert paid == [3.0, *[0] * (steps - 1 - grid), *[3.0] * grid]


def test_the_published_tonic_is_in_one_octave() -> None:
    one = {"parameters": {"any_octave": False}, **PAPER}
    for first, paid in (("C4", 3), ("C5", 0), ("C3", 0)):
        assert raw("tonic_start_end", first, **one) == [paid]
    assert raw("tonic_start_end", "C5", pitch_range=("B3", "C6"), **one) == [3]


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"step": 0}, 2.0),
        ({"step": 0, "degree": 7}, 0.0),
        ({}, 0.0),
        ({"last_beat": True}, 2.0),
        ({"last_beat": True, "event": 0, "step_in_beat": 1, "beat_starts": False}, 2.0),
        ({"last_beat": True, "event": 1, "step_in_beat": 1, "beat_starts": False}, 0.0),
        ({"last_beat": True, "event": 1, "step_in_beat": 2, "beat_starts": False}, 2.0),
        ({"last_beat": True, "event": 26, "step_in_beat": 2, "beat_starts": False}, 0.0),
        ({"event": 0, "step_in_beat": 1, "beat_starts": False}, 0.0),
    ],
    ids=str,
)
def test_tonic_start_end_judges_each_kind_of_moment(fields: dict[str, Any], value: float) -> None:
    assert TonicStartEnd(tonic=2.0)(example(**fields)) == value


# --- preferred_interval ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("D5 E5", 0.4), ("D5 C5", 0.4), ("D5 F#5", 0.45), ("D5 G5", 0.35), ("D5 B5", 0.25),
        ("D5 A5", 0.1), ("A5 D5", 0.1),
        ("C5 G5", 0.5), ("C5 F4", 0.5), ("G4 C4", 0.5), ("G4 D5", 0.5),  # from the 1st, the 5th
        ("C5 E5", 0.75), ("C5 Ab4", 0.75), ("E5 C5", 0.75), ("E5 G#5", 0.75),  # the 1st, the 3rd
        ("C5 B5", -1.5), ("B5 C5", -1.5), ("C4 C5", 0), ("C4 Db5", -5), ("B5 C4", -5),
        ("C5 C5", 0), ("C5 Db5", 0), ("C5 Eb5", 0), ("C5 F#5", 0), ("C5 Ab5", 0), ("C5 Bb5", 0),
    ],
)  # fmt: skip
def test_an_interval_is_paid_by_its_size_and_where_it_starts(text: str, last: float) -> None:
    assert raw("preferred_interval", text) == [0, last]


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("A4 C5", 0.75), ("C5 A4", 0.75), ("C5 Eb5", 0.75), ("A4 C#5", 0.45), ("C5 E5", 0.45),
        ("D5 F5", 0), ("A4 E5", 0.5), ("E5 A4", 0.5), ("D5 A5", 0.1),
    ],
)  # fmt: skip
def test_in_minor_the_third_of_the_key_is_three_semitones(text: str, last: float) -> None:
    assert raw("preferred_interval", text, key="A minor", progression="i") == [0, last]


def test_holds_and_rests_are_paid_by_the_degree_before() -> None:
    assert raw("preferred_interval", "C5 . . - -") == [0, 1.5, 1.5, 0.75, 0.75]
    assert raw("preferred_interval", "G4 . -") == [0, 1.5, 0.75]
    assert raw("preferred_interval", "D5 . - -") == [0, 0.375, 0.25, 0.25]


def test_rests_before_the_first_note_pay_nothing_and_rests_between_change_no_interval() -> None:
    assert raw("preferred_interval", "- - C5 - . D5") == [0, 0, 0, 0.75, 0.75, 0.4]


def test_every_value_of_preferred_interval_is_a_parameter() -> None:
    names = ["stable_hold", "stable_rest", "hold", "rest", "key_third", "key_fifth", "third",
             "second", "fourth", "sixth", "fifth", "seventh", "beyond_octave"]  # fmt: skip
    rule = PreferredInterval(scale=2.0, **{name: float(i) for i, name in enumerate(names, 1)})
    on_d = {"degree": 2, "struck": False}
    moments = [
        example(struck=False), example(struck=False, sounding=False), example(**on_d),
        example(**on_d, sounding=False), example(degree=4, interval=4),
        example(degree=7, interval=7),
        *(example(degree=2 + step, interval=step) for step in (4, 2, 5, 9)),
        example(degree=9, interval=7), *(example(interval=step) for step in (-11, 13)),
    ]  # fmt: skip
    assert [rule(m) for m in moments] == [2.0 * i for i in range(1, 14)]


# --- excessive_repeat --------------------------------------------------------------------------


def test_the_sixth_equal_note_in_a_row_and_those_after_it_are_too_many() -> None:
    assert raw("excessive_repeat", "C5 " * 7 + "D5") == [0] * 5 + [-100, -100, 0]


@pytest.mark.parametrize("between", [".", "-"])
def test_with_holds_or_rests_between_the_eighth_is_too_many(between: str) -> None:
    paid = raw("excessive_repeat", f"C5 {between} " * 9)
    assert [step for step, value in enumerate(paid) if value] == [14, 16]


def test_one_hold_between_is_enough_and_one_before_or_after_is_none() -> None:
    after_the_first = raw("excessive_repeat", "C5 . C5 C5 C5 C5 C5 C5 C5")
    assert after_the_first == [0] * 8 + [-100]
    before_the_first = raw("excessive_repeat", "D5 . C5 C5 C5 C5 C5 C5")
    assert before_the_first == [0] * 7 + [-100]
    assert raw("excessive_repeat", "- C5 C5 C5 C5 C5 C5") == [0] * 6 + [-100]


def test_another_note_ends_a_run() -> None:
    assert not any(raw("excessive_repeat", "C5 C5 C5 C5 C5 D5 C5 C5 C5 C5 C5"))


def test_the_third_rest_in_a_row_is_too_long() -> None:
    assert raw("excessive_repeat", "- - - C5 - - D5 - - - -") == [
        0, 0, -100, 0, 0, 0, 0, 0, 0, -100, -100,
    ]  # fmt: skip


def test_a_held_note_is_one_note_and_literally_a_repetition_from_the_sixth_hold_on() -> None:
    text = "C5 . . . . . . . D5 . ."
    assert raw("excessive_repeat", text) == [0] * 11
    assert raw("excessive_repeat", text, **LITERAL) == [0] * 6 + [-100, -100, 0, 0, 0]


def test_literally_holds_and_rests_before_a_run_count_as_between_its_notes() -> None:
    for before in ("D5 .", "-"):
        paid = raw("excessive_repeat", f"{before} " + "C5 " * 8, **LITERAL)
        assert [value for value in paid if value] == [-100.0]
        assert paid[-1] == -100
    assert raw("excessive_repeat", "D5 . D5" + " C5" * 6, **LITERAL)[-1] == -100


def test_the_numbers_of_excessive_repeat_are_parameters() -> None:
    given = {"max_run": 1, "max_apart": 2, "max_rests": 0, "repeated": -2.0}
    paid = raw("excessive_repeat", "C5 C5 D5 . D5 . D5 -", parameters=given)
    assert paid == [0, -2, 0, 0, 0, 0, -2, -2]
    with pytest.raises(ValueError, match="max_run=0 is below 1"):
        ExcessiveRepeat(max_run=0)


# --- autocorrelation ---------------------------------------------------------------------------


def test_autocorrelation_worked_by_hand_at_three_lags() -> None:
    # x = -1/2, 1/2: r1 = -1/2.  x = -1, 0, 1: r1 = 0, r2 = -1/2.
    # x = -3/2 ... 3/2: r1 = 1/4, r2 = -3/10, r3 = -9/20.
    # x = -2 ... 2: r1 = 4/10, r2 = -1/10 (too small), r3 = -4/10.
    assert raw("autocorrelation", "C5 Db5 D5 Eb5 E5") == [0, -1.5, -1.5, -3.0, -2.4]


def test_autocorrelation_is_silent_on_equal_pitches_holds_and_rests() -> None:
    assert raw("autocorrelation", "C5 C5 C5 C5") == [0] * 4
    assert raw("autocorrelation", "C5 . . Db5 - - D5 .") == [0, 0, 0, -1.5, 0, 0, -1.5, 0]


def test_autocorrelation_read_literally_takes_every_event_for_a_value() -> None:
    # 26, 0: r1 = -1/2.  26, 0, 0: r1 = -1/6, r2 = -1/3.
    assert raw("autocorrelation", "C5 . .", **LITERAL) == [0, -1.5, -1.5]
    assert raw("autocorrelation", "- - -", **LITERAL) == [0, 0, 0]


def test_the_numbers_of_autocorrelation_are_parameters() -> None:
    term = Autocorrelation(per_unit=-2.0, threshold=0.5)
    assert listen(term, [26, 28, 26]) == [0.0, 0.0, -1.333333333]  # r1 = -1/2, then -2/3; r2 = 1/6


# --- motif -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        ("C5 D5 E5 C5 D5 E5 C5 D5", 3.0),
        ("C5 . D5 . E5 . F5 .", 3.3),
        ("C5 D5 E5 F5 G5 A5 B5 C4", 4.5),
        ("C5 C4 - - D5 - - -", 3.0),
        ("C5 . D5 . C5 . D5 .", 0.0),
        ("- - - - - - - -", 0.0),
    ],
)
def test_a_motif_has_three_distinct_pitches_or_more_in_eight_events(text: str, paid: float) -> None:
    assert raw("motif", text) == [0] * 7 + [paid]


def test_what_is_eight_events_ago_is_no_part_of_the_motif() -> None:
    assert raw("motif", "C5 D5 E5 . . . . . . .")[7:] == [3, 0, 0]
    assert raw("motif", "C5 D5 E5 C5 . . . . . .")[7:] == [3, 3, 0]  # C5 was struck again


def test_the_numbers_of_motif_are_parameters() -> None:
    term = Motif(window=2, least=2, found=1.0, richer=0.5)
    assert listen(term, [26, 26, 28, 0]) == [0, 0, 1, 0]
    assert listen(Motif(window=3, least=1), [26, 28, 30]) == [0, 0, 3.6]
    with pytest.raises(ValueError, match="window=0 is below 1"):
        Motif(window=0)


# --- repeated_motif ----------------------------------------------------------------------------

LINE = "C5 . D5 . E5 . F5 ."


def test_a_motif_that_comes_back_pays_at_its_last_step() -> None:
    assert raw("repeated_motif", f"{LINE} {LINE}") == [0] * 15 + [5.0]
    assert raw("repeated_motif", f"{LINE} G5 - A5 {LINE} G5") == [0] * 18 + [5.0, 5.0]


def test_a_motif_may_come_back_at_the_very_end_and_in_the_widest_range() -> None:
    for before, bars in (("", 2), ("- " * 8, 3)):
        paid = raw("repeated_motif", f"{before} {LINE} {LINE}", bars=bars, progression="I")
        assert paid == [0] * (8 * bars - 1) + [5.0]
    assert listen(RepeatedMotif(), 2 * [129, 128, 127, 0, 0, 0, 0, 0])[-1] == 4.0


def test_two_windows_that_overlap_are_no_repetition() -> None:
    assert raw("repeated_motif", "C5 D5 E5 F5 " * 5) == [0] * 15 + [5.0] * 5


@pytest.mark.parametrize(
    "second", ["C5 - D5 . E5 . F5 .", "C5 . D5 . E5 . F5 F5", "C4 . D5 . E5 . F5 ."]
)
def test_the_windows_are_equal_event_by_event(second: str) -> None:
    assert not any(raw("repeated_motif", f"{LINE} {second}"))


def test_what_is_repeated_must_be_a_motif() -> None:
    assert not any(raw("repeated_motif", "C5 . D5 . C5 . D5 . " * 3))


def test_the_numbers_of_repeated_motif_are_parameters() -> None:
    term = RepeatedMotif(window=2, least=1, found=1.0, richer=0.5)
    assert listen(term, [26, 28, 26, 28, 28, 26, 28]) == [0, 0, 0, 1.5, 0, 1.5, 1.5]
    for width, words in ((0, "below 1"), (9, "above 8")):
        with pytest.raises(ValueError, match=f"window={width} is {words}"):
            RepeatedMotif(window=width)


# --- leap_resolution ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        ("C5 G5 F5 D5 C5 C5", [0, 0, 0, 0, 5, 0]),  # by step
        ("C5 G5 E5 B4", [0, 0, 0, 5]),  # past the departure
        ("C5 G5 C5 G5 C5", [0, 0, 5, 0, 5]),  # by a leap, which opens none
        ("C5 . - G5 . - C5 .", [0, 0, 0, 0, 0, 0, 5, 0]),
        ("C5 F4 A4 C5", [0, 0, 0, 5]),  # downwards
        ("C5 F#5 C5", [0, 0, 0]),  # six semitones are no leap
        ("C4 G4 D5 A5 C4", [0, 0, -5, -5, 5]),  # doubled, and it stays open
        ("C5 F4 Bb3 C5", [0, 0, -5, 5]),
        ("C4 C5 F4 C4", [0, 0, 0, 5]),  # a leap back that falls short
        ("C4 C5 F4 C5 D4 C4", [0, 0, 0, -5, 0, 5]),
    ],
)
def test_a_return_resolves_a_leap_and_a_second_leap_doubles_it(
    text: str, paid: list[float]
) -> None:
    assert raw("leap_resolution", text) == paid


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        ("C5 G5 C5", [0, 0, 0]),  # at once: closed, unpaid
        ("C4 C5 F4 C4", [0, 0, 0, 0]),
        ("C4 C5" + " ." * 6 + " F4 C4", [0] * 10),  # six steps between: still too soon
        ("C4 C5" + " ." * 7 + " F4 C4", [0] * 9 + [5, 0]),
        ("C5 G5 F5 C5", [0, 0, 0, 5]),
        ("C4 G4 D5", [0, 0, -5]),
    ],
)
def test_read_literally_a_leap_back_pays_only_when_it_waits(text: str, paid: list[float]) -> None:
    assert raw("leap_resolution", text, **LITERAL) == paid


def test_the_numbers_of_leap_resolution_are_parameters() -> None:
    term = LeapResolution(leap=3, resolved=1.0, doubled=-2.0)
    assert listen(term, [26, 29, 32, 26]) == [0, 0, -2, 1]
    assert listen(LeapResolution(literal=True, wait=1), [26, 38, 0, 0, 31]) == [0, 0, 0, 0, 5]
    with pytest.raises(ValueError, match="leap=0 is below 1"):
        LeapResolution(leap=0)


# --- unique_extremes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("C5 . E5 . G5 . D5 .", 6),
        ("E5 C5 G5 E5 G5 D5 . .", 3),
        ("C5 E5 G5 C5 D5 . . .", 3),
        ("C5 G5 C5 G5 E5 - - -", 0),
        ("C5 . . . . . . .", 6),
        ("C5 C5 - - - - - -", 0),
        ("- - - - - - - -", 0),
        ("D5 - - - - - - C5", 6),
    ],
)
def test_the_highest_and_the_lowest_note_are_struck_once(text: str, last: float) -> None:
    assert raw("unique_extremes", text, bars=1, progression="I") == [0] * 7 + [last]


def test_the_value_of_unique_extremes_is_a_parameter() -> None:
    assert listen(UniqueExtremes(once=1.5), [26]) == [3.0]


# --- A second opinion, and the presets ---------------------------------------------------------


@settings(max_examples=60)
@given(st.data(), st.booleans())
def test_the_sequence_terms_agree_with_a_slow_reading_of_their_text(
    data: st.DataObject, literal: bool
) -> None:
    few = data.draw(st.lists(st.integers(2, 37), min_size=1, max_size=5))
    event = st.sampled_from([0, 0, 1, *few, *few])
    phrase = data.draw(st.lists(event, min_size=8, max_size=12))
    events = data.draw(st.lists(event, max_size=6)) + phrase
    events = (events + data.draw(st.lists(event, max_size=6)) + phrase + phrase)[:32]
    events = (events + [0] * 32)[:32]
    env = MelodyComposeEnv(rewards="rl_tuner_literal" if literal else "rl_tuner", **PAPER)
    env.reset(seed=0)
    outputs = [env.step(event)[4] for event in events]
    played = outputs[-1]["melody"].tolist()
    for name, place in (("excessive_repeat", True), ("autocorrelation", True), ("motif", False),
                        ("repeated_motif", False), ("leap_resolution", True),
                        ("unique_extremes", False)):  # fmt: skip
        expected = getattr(slow, name)(played, *([literal] if place else []))
        paid = [output["reward_terms"][name] for output in outputs]
        assert paid == pytest.approx(expected, abs=1e-9), name


def test_both_presets_hold_the_nine_terms_with_weight_one() -> None:
    names = {"key", "tonic_start_end", "excessive_repeat", "autocorrelation", "motif",
             "repeated_motif", "preferred_interval", "leap_resolution",
             "unique_extremes"}  # fmt: skip
    for preset in ("rl_tuner", "rl_tuner_literal"):
        reward = load(preset, 32)
        assert set(reward.names) == names and set(reward.weights) == {1.0}
        assert reward.readings.scoring == "time"


def returns(preset: str, melodies: Any) -> Any:
    """Return the returns (N,) of melodies (N, 32) in two bars of sixteenths."""
    envs = MelodyComposeVectorEnv(
        len(melodies), "arrays", rewards=preset, observation="compact", **PAPER
    )
    envs.reset(seed=0)
    return sum(envs.step(column)[1] for column in melodies.T)


def test_literally_noise_out_scores_a_slow_melody_and_with_holds_as_holds_it_does_not() -> None:
    slow_melody = spelt(" ".join(f"{note} . . . . . . ." for note in ("C5", "E5", "D5")))
    melody = np.array([slow_melody + spelt("B4 . . . C5 . . .")])
    noise = np.random.default_rng(0).integers(0, 38, (200, 32))
    assert returns("rl_tuner", melody) > returns("rl_tuner", noise).mean() + 30
    # Each half note has two holds too many at -100.
    assert returns("rl_tuner_literal", melody) < returns("rl_tuner_literal", noise).mean() - 300
