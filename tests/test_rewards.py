"""The eight rules of ACMG, branch by branch, worked by hand from the rules' text.

The melodies are in C major over I V vi IV (C, G, Am, F), a chord a bar, eight steps a bar, unless
the test says otherwise: strong beats start at steps 0 and 4 of a bar.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from playing import LOW, random_events, raw, rule_names

from musicgym.dynamics import Moment
from musicgym.env import MelodyComposeEnv
from musicgym.reward import load
from musicgym.rewards.chord_tone import ChordTone
from musicgym.rewards.final_tonic import FinalTonic
from musicgym.rewards.median_line import MedianLine
from musicgym.rewards.non_chord_tone import NonChordTone
from musicgym.rewards.octave_leap import OctaveLeap
from musicgym.rewards.pitch_range import PitchRange
from musicgym.rewards.presets import PRESETS
from musicgym.rewards.repetition import Repetition
from musicgym.rewards.state_variance import StateVariance
from musicgym.theory import QUALITIES, Chord

example = Moment.example


def class_of(name: str) -> Any:
    return type(load({name: {}}, steps=64).terms[0].pays)


# --- What holds for every rule -----------------------------------------------------------------


@pytest.mark.parametrize("name", rule_names())
def test_every_rule_has_an_equation_or_source_a_range_and_a_worked_example(name: str) -> None:
    text = inspect.getdoc(class_of(name)) or ""
    assert re.search(r"Reference: ", text)
    assert re.search(r"Range: ", text)
    assert ">>>" in text


@pytest.mark.parametrize("name", rule_names())
@pytest.mark.parametrize("scoring", ["time", "onset", "literal"])
def test_every_rule_stays_within_the_range_that_it_states(name: str, scoring: str) -> None:
    found = re.search(r"Range: \[(-?[\d.]+), (-?[\d.]+)\]", inspect.getdoc(class_of(name)) or "")
    if not found:
        pytest.skip("its range is not two numbers")
    low, high = map(float, found.groups())
    env = MelodyComposeEnv(rewards={name: {}}, scoring=scoring, key="random", progression="random")
    values: set[float] = set()
    for seed in range(4):
        env.reset(seed=seed)
        events = random_events(env.task.n_events, env.task.steps, seed).tolist()
        values |= {round(env.step(e)[4]["reward_terms"][name], 9) for e in events}
    assert low <= min(values) <= max(values) <= high
    assert len(values) > 1, "it never speaks"


# --- Eq. 2: chord tones on strong beats --------------------------------------------------------


def test_chord_tone_pays_for_a_chord_tone_and_takes_for_another_pitch_on_a_strong_beat() -> None:
    assert raw("chord_tone", "C5 D5 E5 F5 F5 E5 D5 C5 | G4 . . . A4 . . .") == [
        0.6, 0, 0, 0, -1.0, 0, 0, 0, 0.6, 0, 0, 0, -1.0, 0, 0, 0,
    ]  # fmt: skip


def test_chord_tone_judges_a_held_pitch_too_and_against_the_chord_of_that_moment() -> None:
    held = "E5 . . . . . . . | . . . . G4 . . ."
    expected = [0.6, 0, 0, 0, 0.6, 0, 0, 0, -1.0, 0, 0, 0, 0.6, 0, 0, 0]
    assert raw("chord_tone", held) == expected


def test_chord_tone_by_onset_judges_struck_notes_only() -> None:
    held = "E5 . . . . . . . | . . . . F4 . . ."
    expected = [0.6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1.0, 0, 0, 0]
    assert raw("chord_tone", held, scoring="onset") == expected


def test_chord_tone_read_literally_takes_for_holds_and_rests() -> None:
    expected = [0.6, 0, 0, 0, -1.0, 0, 0, 0, -1.0, 0, 0, 0, 0.6]
    assert raw("chord_tone", "E5 . . . . . . . | - - - - B4", scoring="literal") == expected


@pytest.mark.parametrize("scoring", ["time", "onset"])
def test_chord_tone_pays_the_rest_parameter_in_rests_on_strong_beats_only(scoring: str) -> None:
    text = "E5 - - - - - - -"
    assert raw("chord_tone", text, scoring=scoring) == [0.6, 0, 0, 0, 0, 0, 0, 0]
    given = {"rest": -0.3}
    expected = [0.6, 0, 0, 0, -0.3, 0, 0, 0]
    assert raw("chord_tone", text, scoring=scoring, parameters=given) == expected


def test_chord_tone_by_onset_does_not_take_a_hold_for_a_rest() -> None:
    text = "E5 . . . . . . ."
    expected = [0.6, 0, 0, 0, 0, 0, 0, 0]
    assert raw("chord_tone", text, scoring="onset", parameters={"rest": -0.3}) == expected


def test_chord_tone_is_silent_in_a_span_without_a_chord() -> None:
    text = "C5 . . . - - - - | G4 . . . F4 . . ."
    expected = [0, 0, 0, 0, 0, 0, 0, 0, 0.6, 0, 0, 0, -1.0, 0, 0, 0]
    for scoring in ("time", "onset"):
        given = {"progression": "N.C. V", "scoring": scoring, "parameters": {"rest": -0.3}}
        assert raw("chord_tone", text, **given) == expected
    assert raw("chord_tone", text, progression="N.C. V", scoring="literal")[:8] == [0] * 8


@pytest.mark.parametrize(
    ("chord", "inside", "outside"),
    [
        ("G7", "G4 B4 D5 F5", "C5 E5 A5"),
        ("Cmaj7", "C5 E5 G5 B5", "Bb4 D5"),
        ("Bm7b5", "B4 D5 F5 A5", "F#5 C5"),
        ("F#dim7", "F#4 A4 C5 Eb5", "F4 G4"),
        ("Dm", "D5 F5 A5", "C5 B4"),
        ("Gsus4", "G4 C5 D5", "B4"),
        ("C6", "A4", "Bb4"),
    ],
)
def test_chord_tone_knows_chords_of_three_and_of_four_tones(
    chord: str, inside: str, outside: str
) -> None:
    for names, value in ((inside, 0.6), (outside, -1.0)):
        for name in names.split():
            assert raw("chord_tone", name, progression=chord) == [value]


@pytest.mark.parametrize(
    ("meter", "grid", "strong"),
    [
        ("2/4", 1, [0]), ("2/4", 2, [0]), ("2/4", 4, [0]),
        ("3/4", 1, [0]), ("3/4", 2, [0]), ("3/4", 4, [0]),
        ("4/4", 1, [0, 2]), ("4/4", 2, [0, 4]), ("4/4", 4, [0, 8]),
        ("6/8", 1, [0, 3]), ("6/8", 2, [0, 6]), ("6/8", 4, [0, 12]),
    ],
)  # fmt: skip
def test_the_strong_beats_of_every_meter_are_those_of_the_table(
    meter: str, grid: int, strong: list[int]
) -> None:
    beats = int(meter[0])
    paid = raw(
        "chord_tone", "C5 " * (2 * beats * grid),
        progression="I", bars=2, meter=meter, steps_per_beat=grid,
    )  # fmt: skip
    places = strong + [beats * grid + place for place in strong]
    assert [step for step, value in enumerate(paid) if value] == places


def test_chord_tone_takes_its_values_from_its_parameters() -> None:
    given = {"inside": 2.0, "outside": -3.0}
    assert raw("chord_tone", "C5 . . . D5", parameters=given) == [2.0, 0, 0, 0, -3.0]


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({}, 0.6),
        ({"in_chord": False}, -1.0),
        ({"strong": False}, 0.0),
        ({"strong": False, "in_chord": False}, 0.0),
        ({"has_chord": False, "in_chord": False}, 0.0),
        ({"judged": False, "in_chord": False}, 0.0),
        ({"judged": False, "sounding": False}, 0.25),
        ({"judged": False, "sounding": False, "strong": False}, 0.0),
        ({"judged": False, "sounding": False, "has_chord": False}, 0.0),
    ],
    ids=str,
)
def test_chord_tone_judges_each_kind_of_moment(fields: dict[str, Any], value: float) -> None:
    assert ChordTone(rest=0.25)(example(**fields)) == value


# --- Eq. 3: non-chord tones --------------------------------------------------------------------

#        C: strong  extra  tone  extra  strong  extra hold extra | G: strong  tone  extra
LINE = "C5 D5 E5 F5 G5 A5 . B5 | B4 D5 C5"


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ("prose", [0, 0.5, 0, -0.5, 0, -0.5, 0, -0.5, 0, -0.4, 0.5]),
        ("formula", [0, -0.4, 0, -0.5, 0, -0.5, 0, -0.5, 0, 0.5, -0.4]),
        ("lenient", [0, 0, 0, -0.5, 0, -0.5, 0, -0.5, 0, 0, 0]),
    ],
)
def test_non_chord_tone_in_each_reading_allows_one_extra_a_bar(
    reading: str, expected: list[float]
) -> None:
    assert raw("non_chord_tone", LINE, parameters={"reading": reading}) == expected


def test_non_chord_tone_reads_the_prose_and_looks_at_the_bar_by_default() -> None:
    given = {"reading": "prose", "scope": "bar"}
    assert raw("non_chord_tone", LINE) == raw("non_chord_tone", LINE, parameters=given)


def test_non_chord_tone_takes_for_chord_tones_until_the_first_extra() -> None:
    text = "C5 E5 G5 D5 C5 E5"
    assert raw("non_chord_tone", text) == [0, -0.4, -0.4, 0.5, 0, 0]


def test_non_chord_tone_counts_no_extra_that_is_struck_on_a_strong_beat() -> None:
    assert raw("non_chord_tone", "D5 E5 . . A5 E5 D5") == [0, -0.4, 0, 0, 0, -0.4, 0.5]


def test_non_chord_tone_counts_no_extra_that_is_only_held() -> None:
    assert raw("non_chord_tone", "D5 . . . . E5 D5") == [0, 0, 0, 0, 0, -0.4, 0.5]


def test_non_chord_tone_is_silent_on_holds_and_rests() -> None:
    assert raw("non_chord_tone", "- D5 . - - . . E5") == [0, 0.5, 0, 0, 0, 0, 0, 0]


def test_a_chord_that_changes_under_a_held_note_changes_nothing() -> None:
    # E is struck over C and held into G, where it is no chord tone: D is still the first judged.
    text = "C5 . . E5 . D5 C5"
    expected = [0, 0, 0, -0.4, 0, -0.4, 0.5]
    assert raw("non_chord_tone", text, progression="I V", chords_per_bar=2) == expected
    # D is struck as an extra over C and held into G, where it is a chord tone: it stays an extra.
    text = "C5 . . D5 . B4 C5"
    expected = [0, 0, 0, 0.5, 0, 0, -0.5]
    assert raw("non_chord_tone", text, progression="I V", chords_per_bar=2) == expected


def test_the_bar_line_resets_the_extras_of_the_bar() -> None:
    text = "C5 D5 F5 . . . . . | B4 C5 E5"
    assert raw("non_chord_tone", text)[8:] == [0, 0.5, -0.5]


def test_an_extra_on_the_last_step_of_a_bar_does_not_reach_into_the_next() -> None:
    text = "C5 . . . . . . D5 | B4 C5"
    assert raw("non_chord_tone", text)[7:] == [0.5, 0, 0.5]


def test_non_chord_tone_is_silent_and_counts_no_extra_in_a_span_without_a_chord() -> None:
    text = "C5 D5 E5 F5 B4 C5"
    given = {"progression": "N.C. V", "chords_per_bar": 2}
    assert raw("non_chord_tone", text, **given) == [0, 0, 0, 0, 0, 0.5]


@pytest.mark.parametrize("reading", ["prose", "formula", "lenient"])
def test_non_chord_tone_by_onset_is_the_same_as_by_time(reading: str) -> None:
    given = {"parameters": {"reading": reading}}
    assert raw("non_chord_tone", LINE, scoring="onset", **given) == raw(
        "non_chord_tone", LINE, **given
    )


def test_non_chord_tone_read_literally_takes_holds_and_rests_for_extras() -> None:
    expected = [0, 0.5, -0.5, 0, 0, -0.5]
    assert raw("non_chord_tone", "C5 . - E5 . .", scoring="literal") == expected


# beats 2 and 4 are weak: they start at steps 2 and 6.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # before the first weak beat there is none
        ("C5 D5 F5 E5 C5 D5 E5 D5", [0, 0.5, 0.5, 0, 0, -0.5, 0, 0.5]),
        # an extra between the beats is not seen
        ("C5 . E5 D5 C5 D5", [0, 0, -0.4, 0.5, 0, 0.5]),
        # what is held on the weak beat counts, struck or not
        ("C5 D5 . E5", [0, 0.5, 0, 0]),
        # a rest on the weak beat is no extra
        ("C5 D5 - F5", [0, 0.5, 0, 0.5]),
        # the bar line changes nothing: beat 4 of the bar before is the previous weak beat
        ("C5 . . . . . F5 . | B4 C5 E5", [0, 0, 0, 0, 0, 0, 0.5, 0, 0, -0.5, -0.5]),
    ],
)
def test_non_chord_tone_may_look_at_what_sounded_at_the_previous_weak_beat(
    text: str, expected: list[float]
) -> None:
    assert raw("non_chord_tone", text, parameters={"scope": "previous_weak"}) == expected


def test_the_previous_weak_beat_is_judged_against_its_own_chord() -> None:
    # E sounds at beat 2 over C, of which it is a tone; that G follows changes nothing.
    given = {"parameters": {"scope": "previous_weak"}, "progression": "I V", "chords_per_bar": 2}
    assert raw("non_chord_tone", "C5 . E5 . . C5 D5", **given) == [0, 0, -0.4, 0, 0, 0.5, -0.4]


def test_a_weak_beat_without_a_chord_has_no_extra() -> None:
    scope = {"scope": "previous_weak"}
    given = {"parameters": scope, "progression": "N.C. V", "chords_per_bar": 2}
    assert raw("non_chord_tone", "C5 . . . . A4", **given) == [0, 0, 0, 0, 0, 0.5]


@pytest.mark.parametrize("scope", ["bar", "previous_weak"])
@pytest.mark.parametrize(
    ("reading", "values"),
    [
        ("prose", (0.5, -0.4, -0.5, 0.0)),
        ("formula", (-0.4, 0.5, -0.5, 0.0)),
        ("lenient", (0.0, 0.0, -0.5, 0.0)),
    ],
)
def test_non_chord_tone_has_four_values_a_reading(
    reading: str, values: tuple[float, ...], scope: str
) -> None:
    rule = NonChordTone(reading=reading, scope=scope)
    field = {"bar": "extra_in_bar", "previous_weak": "extra_before"}[scope]
    other = {"bar": "extra_before", "previous_weak": "extra_in_bar"}[scope]
    moments = [
        example(strong=False, in_chord=tone, **{field: used, other: not used})
        for used in (False, True)
        for tone in (False, True)
    ]
    assert tuple(rule(m) for m in moments) == values


@pytest.mark.parametrize(
    "fields",
    [{"strong": True}, {"struck": False, "strong": False}, {"has_chord": False, "strong": False}],
    ids=str,
)
def test_non_chord_tone_is_silent_elsewhere(fields: dict[str, Any]) -> None:
    assert NonChordTone()(example(in_chord=False, **fields)) == 0.0


@pytest.mark.parametrize(("name", "word"), [("reading", "prosa"), ("scope", "bars")])
def test_non_chord_tone_names_its_readings_and_scopes(name: str, word: str) -> None:
    with pytest.raises(ValueError, match=r"did you mean '(prose|bar)'\?"):
        NonChordTone(**{name: word})


# --- Eq. 4: the median line --------------------------------------------------------------------


def median_tones(chord: Chord, low: int, high: int) -> list[int]:
    """Return each chord tone in the octave nearest the middle, the lower of two equally near."""
    middle = Fraction(low + high, 2)
    return [
        min((p for p in range(128) if p % 12 == tone), key=lambda p: (abs(p - middle), p))
        for tone in chord.pitch_classes
    ]


def test_the_median_tones_of_c_major_are_e4_g4_and_c5_under_the_default_range() -> None:
    assert sorted(median_tones(Chord(0, ""), 57, 81)) == [64, 67, 72]


def test_the_expected_median_line_is_the_mean_over_the_chord_tones() -> None:
    # distances from E4, G4, C5: G4: 3 0 5; C5: 8 5 0; C4: 4 7 12; B5: far from each
    assert raw("median_line", "G4 C5 C4 B5") == [0.4, 0.2, 0.0, -0.2]


@pytest.mark.parametrize("quality", [q for q in QUALITIES if q != "N.C."])
def test_the_expected_median_line_is_right_for_every_pitch_root_and_key(quality: str) -> None:
    for root, tonic, reach, comfort in (
        (0, 0, 5, (57, 81)),
        (7, 2, 9, (57, 82)),
        (1, 11, 0, (60, 71)),
    ):
        chord = Chord((root + tonic) % 12, quality)
        low, high = comfort
        rule = MedianLine(reach=reach)
        tones = median_tones(chord, low, high)
        relative = chord.transposed(-tonic).mask
        for pitch in range(24, 109):
            near = sum(abs(pitch - tone) <= reach for tone in tones)
            expected = -0.2 + 0.6 * near / len(tones)
            m = example(
                pitch=pitch, chord=relative, chord_size=len(tones), tonic=tonic,
                window=(low + high + 1) // 2 - 6,
            )  # fmt: skip
            assert rule(m) == pytest.approx(expected), (root, tonic, pitch)


def test_median_line_judges_a_held_pitch_against_the_chord_of_that_moment() -> None:
    # over G the tones are G4 67, B4 71, D5 74: C4 is near none; over C it is near one
    text = "C4 . . . . . . . | . ."
    assert raw("median_line", text) == [0.0] * 8 + [-0.2] * 2


def test_median_line_by_onset_judges_struck_notes_only() -> None:
    assert raw("median_line", "G4 . - C5", scoring="onset") == [0.4, 0, 0, 0.2]


@pytest.mark.parametrize("scoring", ["time", "onset"])
def test_median_line_pays_the_rest_parameter_in_rests(scoring: str) -> None:
    given = {"scoring": scoring, "parameters": {"rest": -0.1}}
    expected = [-0.1, 0.4, 0.4 if scoring == "time" else 0, -0.1]
    assert raw("median_line", "- G4 . -", **given) == expected


def test_median_line_read_literally_takes_holds_and_rests_for_low_pitches() -> None:
    assert raw("median_line", "G4 . -", scoring="literal") == [0.4, -0.2, -0.2]


def test_median_line_is_silent_in_a_span_without_a_chord() -> None:
    for median in ("expected", "random", "nearest"):
        given = {"parameters": {"median": median, "rest": -0.1}, "progression": "N.C. V"}
        assert raw("median_line", "G4 . - G4", **given) == [0, 0, 0, 0]


def test_median_line_takes_its_values_from_its_parameters() -> None:
    given = {"reach": 0, "within": 3.0, "beyond": 0.0}
    assert raw("median_line", "G4 E4 F4", parameters=given) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(("pitch", "value"), [(62, 0.4), (72, 0.4), (61, -0.2), (73, -0.2)])
def test_a_drawn_median_reaches_five_semitones_both_ways(pitch: int, value: float) -> None:
    assert MedianLine(median="random")(example(pitch=pitch, median=67)) == value
    assert MedianLine(median="nearest")(example(pitch=pitch, median=67)) == value


@cache
def watching(median: str, progression: str, bars: int, grid: int) -> MelodyComposeEnv:
    return MelodyComposeEnv(
        rewards={"median_line": {"median": median}}, progression=progression, bars=bars,
        observation="dict", steps_per_beat=grid,
    )  # fmt: skip


def medians(median: str, progression: str, seed: int, bars: int = 4, grid: int = 2) -> list[int]:
    """Return the median tone before each bar of an episode, as it is observed."""
    env = watching(median, progression, bars, grid)
    seen, _ = env.reset(seed=seed)
    tones = []
    low, high = env.task.comfortable
    for step in range(env.task.steps):
        if step % env.task.steps_per_bar == 0:
            tones.append(int(seen["median"]) + (low + high + 1) // 2 - 7)
        seen, _, _, _, info = env.step(26)
        near = abs(72 - tones[-1]) <= 5
        if progression.split()[len(tones) - 1] == "N.C.":
            continue
        assert info["reward_terms"]["median_line"] == (0.4 if near else -0.2)
    return tones


def test_a_random_median_is_a_tone_of_each_chord_in_the_middle_octave() -> None:
    chords = [Chord(0, ""), Chord(7, "7"), Chord(9, "m"), Chord(5, "maj7")]
    allowed = [set(median_tones(chord, 57, 81)) for chord in chords]
    for seed in range(30):
        drawn = medians("random", "C G7 Am Fmaj7", seed)
        assert all(tone in tones for tone, tones in zip(drawn, allowed, strict=True))


def test_a_random_median_is_drawn_evenly_from_three_or_four_tones() -> None:
    counts: list[Counter[int]] = [Counter(), Counter()]
    for seed in range(300):
        for place, tone in enumerate(medians("random", "C G7", seed, bars=2, grid=1)):
            counts[place][tone] += 1
    assert len(counts[0]) == 3 and min(counts[0].values()) > 70
    assert len(counts[1]) == 4 and min(counts[1].values()) > 45


def test_a_random_median_is_drawn_only_when_the_chord_changes() -> None:
    changed = 0
    for seed in range(20):
        a, b, c, d = medians("random", "C C Am Am", seed)
        assert a == b
        assert c == d
        changed += a != c
    assert changed > 5


def test_the_nearest_median_moves_to_the_nearest_tone_of_the_new_chord() -> None:
    # The middle is 69. C: 64 67 72 -> 67; F: 65 69 72 -> 65 (2 down, 2 up to 69: the lower);
    # G: 67 71 74 -> 67; Am: 64 69 72 -> 69.
    assert medians("nearest", "C F G Am", seed=0) == [67, 65, 67, 69]


def test_a_chord_of_another_quality_on_the_same_root_is_a_change_of_chord() -> None:
    # C 64 67 72; Caug 64 68 72
    assert medians("nearest", "C Caug C C7", seed=0) == [67, 68, 67, 67]


def test_a_median_tone_stays_through_a_span_without_a_chord() -> None:
    assert medians("nearest", "C N.C. N.C. F", seed=0)[-1] == 65


def test_no_median_is_observed_where_none_is_drawn() -> None:
    env = MelodyComposeEnv(observation="dict")
    seen, _ = env.reset(seed=0)
    assert seen["median"] == 0


def test_median_line_names_its_medians() -> None:
    with pytest.raises(ValueError, match="expected, random, nearest"):
        MedianLine(median="mean")


# --- Eq. 5: repetition -------------------------------------------------------------------------


def test_repetition_takes_from_the_fourth_equal_note_on() -> None:
    assert raw("repetition", "C5 C5 C5 C5 C5 C5 C5 D5 C5") == [0, 0, 0] + [-0.6] * 4 + [0, 0]


def test_repetition_may_wait_for_the_fifth_as_the_text_says() -> None:
    given = {"max_run": 4}
    assert raw("repetition", "C5 C5 C5 C5 C5 C5", parameters=given) == [0, 0, 0, 0, -0.6, -0.6]


@pytest.mark.parametrize("scoring", ["time", "onset"])
def test_held_steps_are_no_repetition_and_rests_do_not_break_a_run(scoring: str) -> None:
    text = "C5 . . . C5 - - C5 . - C5 . -"
    assert raw("repetition", text, scoring=scoring) == [0] * 10 + [-0.6, 0, 0]


def test_an_octave_is_no_repetition() -> None:
    assert raw("repetition", "C5 C4 C5 C4 C5 C4") == [0] * 6


def test_repetition_read_literally_compares_event_ids() -> None:
    assert raw("repetition", "C5 . . . . C5", scoring="literal") == [0, 0, 0, 0, -0.6, 0]
    assert raw("repetition", "- - - - -", scoring="literal") == [0, 0, 0, -0.6, -0.6]
    assert raw("repetition", "C5 C5 . C5 C5", scoring="literal") == [0] * 5


def test_a_run_goes_on_across_the_bar_line_and_a_change_of_chord() -> None:
    text = ". . . . . C5 C5 C5 | C5"
    assert raw("repetition", text)[-1] == -0.6


@pytest.mark.parametrize("max_run", [1, 2, 3, 4])
def test_repetition_speaks_of_struck_notes_beyond_the_run(max_run: int) -> None:
    rule = Repetition(max_run=max_run, repeated=-2.0)
    values = [rule(example(run_length=run)) for run in range(1, 6)]
    assert values == [0.0] * max_run + [-2.0] * (5 - max_run)
    assert rule(example(run_length=5, struck=False)) == 0.0


@pytest.mark.parametrize("max_run", [0, 5, -1])
def test_repetition_says_which_runs_it_can_count(max_run: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 4"):
        Repetition(max_run=max_run)


# --- Eq. 6: leaps ------------------------------------------------------------------------------


def test_octave_leap_allows_ten_semitones_up_and_down() -> None:
    text = "C4 Bb4 C4 B4 C4 C5"
    assert raw("octave_leap", text) == [0, 0.3, 0.3, -0.5, -0.5, -0.5]


def test_octave_leap_may_allow_the_octave_as_the_text_says() -> None:
    text = "C4 C5 C4 C#5"
    assert raw("octave_leap", text, parameters={"reach": 12}) == [0, 0.3, 0.3, -0.5]


def test_a_held_step_counts_as_an_interval_of_0_even_after_the_first_note_or_a_leap() -> None:
    assert raw("octave_leap", "C4 . C5 . .") == [0, 0.3, -0.5, 0.3, 0.3]


def test_striking_a_held_note_again_earns_no_more_than_holding_it() -> None:
    assert raw("octave_leap", "C4 C4 C4 C4") == raw("octave_leap", "C4 . . .") == [0, 0.3, 0.3, 0.3]


def test_rests_pay_0_and_change_nothing_in_the_interval() -> None:
    assert raw("octave_leap", "- C4 - - C5 - Bb4") == [0, 0, 0, 0, -0.5, 0, 0.3]


def test_octave_leap_by_onset_judges_struck_notes_only() -> None:
    assert raw("octave_leap", "C4 . C5 . - Bb4", scoring="onset") == [0, 0, -0.5, 0, 0, 0.3]


@pytest.mark.parametrize("scoring", ["time", "onset"])
def test_octave_leap_pays_the_rest_parameter_in_rests_only(scoring: str) -> None:
    held = 0.3 if scoring == "time" else 0
    given = {"scoring": scoring, "parameters": {"rest": -0.1}}
    assert raw("octave_leap", "- C4 . - C4", **given) == [-0.1, 0, held, -0.1, 0.3]


def test_octave_leap_read_literally_compares_event_ids() -> None:
    # a hold is pitch 46, a rest 47: far from C5 = 72, near C3 = 48
    text = "C5 . . - C3 C5"
    assert raw("octave_leap", text, scoring="literal") == [0, -0.5, 0.3, 0.3, 0.3, -0.5]


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"interval": 10}, 0.3),
        ({"interval": -10}, 0.3),
        ({"interval": 11}, -0.5),
        ({"interval": -11}, -0.5),
        ({"interval": 60, "has_interval": False}, 0.0),
        ({"has_interval": False, "sounding": False}, 0.25),
    ],
    ids=str,
)
def test_octave_leap_judges_each_kind_of_moment(fields: dict[str, Any], value: float) -> None:
    assert OctaveLeap(rest=0.25)(example(**fields)) == value


# --- Eq. 7: the range --------------------------------------------------------------------------


def test_pitch_range_pays_within_a3_to_a5_and_takes_outside() -> None:
    assert raw("pitch_range", "A3 Ab3 A5 Bb5 C3 B5") == [0.1, -0.6, 0.1, -0.6, -0.6, -0.6]


def test_pitch_range_follows_the_tessitura_of_the_task() -> None:
    given = {"tessitura": ("C4", "C5")}
    assert raw("pitch_range", "C4 B3 C5 C#5", **given) == [0.1, -0.6, 0.1, -0.6]


def test_pitch_range_derives_the_tessitura_from_the_event_range() -> None:
    given = {"pitch_range": ("C4", "C6")}  # 60 + 9 to 84 - 2
    assert raw("pitch_range", "Ab4 A4 Bb5 B5", **given) == [-0.6, 0.1, 0.1, -0.6]


def test_pitch_range_judges_holds_by_time_but_not_by_onset_and_no_rests() -> None:
    assert raw("pitch_range", "- C5 . - C3 .") == [0, 0.1, 0.1, 0, -0.6, -0.6]
    assert raw("pitch_range", "- C5 . - C3 .", scoring="onset") == [0, 0.1, 0, 0, -0.6, 0]


@pytest.mark.parametrize("scoring", ["time", "onset"])
def test_pitch_range_pays_the_rest_parameter_in_rests_only(scoring: str) -> None:
    held = 0.1 if scoring == "time" else 0
    given = {"scoring": scoring, "parameters": {"rest": -0.2}}
    assert raw("pitch_range", "- C5 . -", **given) == [-0.2, 0.1, held, -0.2]


def test_pitch_range_read_literally_finds_holds_and_rests_outside_even_of_the_widest() -> None:
    given = {"scoring": "literal", "tessitura": ("C3", "B5")}
    assert raw("pitch_range", "C3 . - B5", **given) == [0.1, -0.6, -0.6, 0.1]


@pytest.mark.parametrize(("pitch", "value"), [(56, -2.0), (57, 1.0), (81, 1.0), (82, -2.0)])
def test_pitch_range_includes_its_ends(pitch: int, value: float) -> None:
    assert PitchRange(inside=1.0, outside=-2.0)(example(pitch=pitch)) == value


# --- Eq. 8: the final tonic --------------------------------------------------------------------

ONE_BAR = {"bars": 1, "progression": "I"}
MINOR = {"bars": 1, "progression": "i", "key": "A minor"}


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("G4 . . . . . . C5", 0.8),
        ("G4 . . . C3 . . .", 0.8),
        ("C5 . . . . . . G4", -0.6),
        ("G4 . . . C5 - - -", 0.8),
        ("C5 . . . G4 . - -", -0.6),
        ("- - - - - - - -", -0.6),
        (". . . . . . . .", -0.6),
    ],
)
def test_final_tonic_speaks_once_of_the_last_pitch_even_in_a_rest(text: str, last: float) -> None:
    for scoring in ("time", "onset"):
        assert raw("final_tonic", text, **ONE_BAR, scoring=scoring) == [0] * 7 + [last]


def test_the_tonic_is_the_tonic_of_the_key_major_or_minor() -> None:
    assert raw("final_tonic", "- - - - - - - A4", **MINOR)[-1] == 0.8
    assert raw("final_tonic", "- - - - - - - C5", **MINOR)[-1] == -0.6
    assert raw("final_tonic", "- - - - - - - Eb4", bars=1, progression="I", key="Eb")[-1] == 0.8


def test_final_tonic_read_literally_takes_for_a_hold_or_a_rest() -> None:
    for text, last in (("C5 " * 8, 0.8), ("C5 " + ". " * 7, -0.6), ("C5 " * 7 + "-", -0.6)):
        assert raw("final_tonic", text, **ONE_BAR, scoring="literal") == [0] * 7 + [last]


def test_final_tonic_literally_finds_no_tonic_in_a_hold_that_has_its_pitch_class() -> None:
    # the lowest pitch is D3: a hold has the number of C3, the tonic's pitch class
    given = {**ONE_BAR, "scoring": "literal", "pitch_range": ("D3", "C6")}
    assert raw("final_tonic", "C5 " + ". " * 7, **given)[-1] == -0.6


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"last_step": True, "degree": 0}, 2.0),
        ({"last_step": True, "degree": 7}, -3.0),
        ({"last_step": True, "degree": 0, "has_pitch": False}, -3.0),
        ({"last_step": True, "degree": 0, "sounding": False, "judged": False}, 2.0),
        ({"last_step": False, "degree": 0}, 0.0),
    ],
    ids=str,
)
def test_final_tonic_judges_each_kind_of_moment(fields: dict[str, Any], value: float) -> None:
    assert FinalTonic(tonic=2.0, other=-3.0)(example(**fields)) == value


# --- Eq. 9-10: state variance ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probabilities", "value", "share"),
    [
        ([0.25, 0.25, 0.25, 0.25], 0.0, 0.0),
        ([0.5, 0.5, 0.0, 0.0], 0.0625, 1 / 3),
        ([1.0, 0.0, 0.0, 0.0], 0.1875, 1.0),  # (n - 1) / n^2 = 3 / 16
    ],
)
def test_state_variance_is_the_variance_of_the_probabilities(
    probabilities: list[float], value: float, share: float
) -> None:
    p = np.array([probabilities, probabilities[::-1]])
    assert StateVariance().judge(p) == pytest.approx([value] * 2)
    assert StateVariance(normalised=True).judge(p) == pytest.approx([share] * 2)


# --- The presets -------------------------------------------------------------------------------

CHORDS = ["chord_tone", "non_chord_tone", "median_line"]
THEORY = ["repetition", "octave_leap", "pitch_range", "final_tonic"]


@pytest.mark.parametrize(
    ("preset", "names", "scoring", "median"),
    [
        ("acmg", [*CHORDS, *THEORY, "state_variance"], "time", "expected"),
        ("acmg_no_theory", [*CHORDS, "state_variance"], "time", "expected"),
        ("acmg_no_chords", [*THEORY, "state_variance"], "time", "expected"),
        ("acmg_literal", [*CHORDS, *THEORY, "state_variance"], "literal", "random"),
    ],
)
def test_the_papers_presets_hold_its_terms_with_weight_one(
    preset: str, names: list[str], scoring: str, median: str
) -> None:
    reward = load(preset, steps=64)
    assert list(reward.names) == names
    assert reward.weights.tolist() == [1.0] * len(names)
    assert (reward.readings.scoring, reward.readings.median) == (scoring, median)


def test_the_balanced_preset_weighs_the_final_tonic_by_the_length() -> None:
    def weights(steps: int) -> dict[str, float]:
        reward = load("balanced", steps)
        return dict(zip(reward.names, reward.weights.tolist(), strict=True))

    assert weights(64) == {
        "chord_tone": 1, "non_chord_tone": 1, "median_line": 0, "repetition": 1,
        "octave_leap": 0.25, "pitch_range": 0.25, "final_tonic": 5,
    }  # fmt: skip
    assert weights(32)["final_tonic"] == 2.5
    assert weights(128)["final_tonic"] == 10


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_loads_for_short_and_long_episodes(preset: str) -> None:
    for steps in (2, 64, 3072):
        assert np.isfinite(load(preset, steps).weights).all()


def test_a_whole_bar_worked_by_hand_under_acmg() -> None:
    env = MelodyComposeEnv(rewards="acmg", bars=1, progression="I")
    env.reset(seed=0)
    #          C5   D5   .    E5   G4   .   -  C5
    events = [72, 74, None, 76, 67, None, 0, 72]
    played = [0 if p is None else 1 if p == 0 else p - LOW + 2 for p in events]
    # Eq. 2    .6                  .6
    # Eq. 3         .5       0                0      (one extra is struck: D)
    # Eq. 4    .2   0    0   0    .4   .4     .2     (near C5; D5, E5: near C5 only)
    # Eq. 6    0    .3  .3   .3   .3   .3     .3
    # Eq. 7    .1 on every sounding step
    # Eq. 8                                   .8
    expected = [0.9, 0.9, 0.4, 0.4, 1.4, 0.8, 0.0, 1.4]
    assert [round(env.step(e)[1], 9) for e in played] == expected
