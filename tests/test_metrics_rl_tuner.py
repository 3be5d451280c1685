"""RL Tuner's metrics: values by hand, and the published way to count repeats."""

from __future__ import annotations

import numpy as np
import pytest
from tunes import MAJOR, MINOR, close, pieces

from musicgym.benchmarks.metrics import Pieces
from musicgym.benchmarks.metrics.rl_tuner import (
    event_autocorrelations,
    in_motif,
    in_repeated_motif,
    leaps_resolved,
    not_in_key,
    repeated,
    repeated_as_published,
    starts_on_tonic,
)
from musicgym.events import REST
from musicgym.melody import Melody
from musicgym.rewards.excessive_repeat import ExcessiveRepeat
from musicgym.rewards.leap_resolution import LeapResolution
from musicgym.rewards.motif import Motif
from musicgym.rewards.repeated_motif import RepeatedMotif
from musicgym.sequence import listen
from musicgym.theory import parse_progression


def row(*words: str) -> str:
    return " ".join(words)


def of_events(events: np.ndarray) -> Pieces:
    chords = parse_progression("C", MAJOR)
    return Pieces.of([Melody(tuple(e.tolist()), 60, MAJOR, chords) for e in events])


def written(p: Pieces) -> list[list[int]]:
    """Return the events with rests in silence."""
    return [list(map(int, e)) for e in np.where(p.sounding, p.events, REST)]


def test_the_sixth_equal_note_repeats_too_often() -> None:
    close(repeated(pieces("C4 C4 C4 C4 C4 C4 C4 D4")), 2 / 8)
    close(repeated(pieces("C4 C4 C4 C4 C4 D4 C4 C4")), 0)


def test_with_a_hold_or_a_rest_between_the_eighth_equal_note_does() -> None:
    # Nine notes, a hold after the first: the 8th and the 9th.
    close(repeated(pieces(row("C4", ".", *["C4"] * 8))), 2 / 10)
    close(repeated(pieces(row("C4", "-", *["C4"] * 6, "D4", "D4"))), 0)


def test_a_hold_before_or_after_the_run_does_not_count_between() -> None:
    close(repeated(pieces(row("D4", ".", *["C4"] * 6))), 1 / 8)
    close(repeated(pieces(row(*["C4"] * 6, ".", "."))), 1 / 8)


def test_the_third_silent_step_repeats_too_often() -> None:
    close(repeated(pieces("C4 - - - - . D4 -")), 3 / 8)  # an invalid hold is silence too
    close(repeated(pieces("- - C4 - - D4 - -")), 0)


def test_a_long_note_repeats_nothing_but_does_as_published() -> None:
    text = row("C4", *["."] * 7)
    close(repeated(pieces(text)), 0)
    close(repeated_as_published(pieces(text)), 2 / 8)  # the sixth and the seventh hold


def test_notes_after_a_hold_of_another_note_are_not_close_as_published() -> None:
    text = row("D4", ".", *["C4"] * 7)
    close(repeated_as_published(pieces(text)), 0)
    close(repeated(pieces(text)), 2 / 9)


def test_event_numbers_correlate_by_rhythm_as_published() -> None:
    # Events 14 0 14 0: about their mean 7 -7 7 -7, lags 1 to 3 give -3/4, 2/4, -1/4.
    close(event_autocorrelations(pieces("C4 . C4 ."))[0], -3 / 4, 2 / 4, -1 / 4)
    # An invalid hold is a rest: all events are equal.
    close(event_autocorrelations(pieces("- . - ."))[0], np.nan, np.nan, np.nan)


def test_notes_outside_the_key_are_a_share_of_all_events() -> None:
    close(not_in_key(pieces("C4 . C#4 . . . F#4 G4", "G#4 - - - - - - -")), 2 / 8, 1 / 8)
    close(not_in_key(pieces("G#4 - - - - - - -", key=MINOR)), 0)


def test_a_start_on_the_tonic_is_struck_on_the_first_step_in_any_octave() -> None:
    close(starts_on_tonic(pieces("C5 . G4 .", "G4 . C4 .", "- C4 . .", ". C4 . .")), 1, 0, 0, 0)
    close(starts_on_tonic(pieces("A3 . C4 .", key=MINOR)), 1)


def test_a_leap_is_resolved_by_a_return_and_doubled_by_another_leap_on() -> None:
    close(leaps_resolved(pieces("C4 G4 E4 C4")), 1)  # step by step, to the departure
    close(leaps_resolved(pieces("C4 G4 B3 .")), 1)  # back and past it
    close(leaps_resolved(pieces("C4 G4 D5 .")), 0)  # on in the same direction
    close(leaps_resolved(pieces("G4 C4 D4 A4")), 1)  # downwards
    close(
        leaps_resolved(
            pieces("C4 F#4 C5 ."),
        ),
        np.nan,
    )  # a tritone is no leap
    close(leaps_resolved(pieces("C4 G4 E4 D4")), np.nan)  # neither back nor on


def test_a_doubled_leap_stays_open_and_can_still_be_resolved() -> None:
    close(leaps_resolved(pieces("C4 G4 D5 C4")), 1 / 2)
    close(leaps_resolved(pieces("C4 G4 D5 A5 - C4 - -")), 1 / 3)


def test_the_return_of_a_leap_is_no_leap_of_its_own() -> None:
    # Down a fifth resolves; the step up a fifth after it opens a new leap, which stays open.
    close(leaps_resolved(pieces("C4 G4 C4 G4")), 1)
    close(leaps_resolved(pieces("C4 G4 C4 G4 D5 - - -")), 1 / 2)


def test_a_partial_return_leaves_the_leap_open() -> None:
    close(leaps_resolved(pieces("C4 C5 F4 C5")), 0 / 1)  # up 12, down 7, up 7: doubled
    close(leaps_resolved(pieces("C4 C5 F4 C4")), 1)


def test_the_leaps_of_all_melodies_are_counted_together() -> None:
    # Three resolved in one, one doubled in the other: 3 of 4, and not the mean of 1 and 0.
    many = "C4 G4 C4 G4 C4 G4 C4 ."
    close(leaps_resolved(pieces(many, "C4 G4 D5 . . . . .")), 3 / 4)
    close(leaps_resolved(pieces(many, "C4 . . . . . . .")), 1)


def test_a_motif_has_three_pitches_in_eight_events() -> None:
    # Eight events end at steps 8, 9 and 10; the first two hold C, D and E, the last D and E only.
    close(in_motif(pieces("- C4 . D4 . - D4 E4 . .")), 2 / 10)
    close(in_motif(pieces("C4 D4 C4 D4 C4 D4 C4 D4")), 0)
    close(in_motif(pieces("C4 D4 E4 . . . .")), np.nan)  # seven events


def test_an_octave_is_another_pitch_in_a_motif() -> None:
    close(in_motif(pieces("C4 C5 C4 D4 . . . .")), 1 / 8)


def test_a_motif_is_repeated_when_its_eight_events_came_before_without_overlap() -> None:
    motif = "C4 . E4 . G4 . E4 ."
    close(in_repeated_motif(pieces(f"{motif} {motif}")), 1 / 16)
    close(in_repeated_motif(pieces(f"{motif} {motif} {motif}")), 9 / 24)  # shifted ones too
    close(in_repeated_motif(pieces(f"{motif} - {motif} {motif}")), 2 / 25)
    close(in_repeated_motif(pieces(f"{motif} C4 . E4 . G4 . E4 D4")), 0)
    close(in_repeated_motif(pieces(motif)), 0)
    close(in_repeated_motif(pieces("C4 . E4 . G4 . E4")), np.nan)


def test_an_overlap_is_no_repeat() -> None:
    # A pattern of seven events: its windows overlap by one event, and by none in the third turn.
    text = row(*["C4", "D4", "E4", "F4", "G4", "A4", "B4"] * 3)
    close(in_repeated_motif(pieces(text)), 0)
    close(in_repeated_motif(pieces(f"{text} C4")), 1 / 22)


def test_what_two_melodies_share_is_no_repeat_within_one() -> None:
    motif = "C4 . E4 . G4 . E4 ."
    other = "D4 . F4 . A4 . F4 ."
    close(in_repeated_motif(pieces(f"{motif} {other}", f"{other} {motif}")), 0, 0)


# The rules of the reward say the same


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_repeats_too_often_is_what_the_rule_takes_for(seed: int, literal: bool) -> None:
    kinds = [0.2, 0.1, 0.6, 0.05, 0.03, 0.02]  # hold, rest and four pitches
    p = of_events(np.random.default_rng(seed).choice(6, (30, 40), p=kinds))
    paid = np.array([listen(ExcessiveRepeat(literal=literal), e) for e in written(p)])
    shares = (paid < 0).mean(1)
    assert shares.min() < shares.max()
    np.testing.assert_allclose((repeated_as_published if literal else repeated)(p), shares)


@pytest.mark.parametrize("seed", range(3))
def test_motifs_are_those_that_the_rules_pay_for(seed: int) -> None:
    cells = np.array([[2, 0, 3, 1], [4, 2, 0, 0], [0, 3, 1, 5]])
    p = of_events(cells[np.random.default_rng(seed).integers(0, 3, (30, 20))].reshape(30, 80))
    for metric, rule in ((in_motif, Motif()), (in_repeated_motif, RepeatedMotif())):
        shares = (np.array([listen(rule, e) for e in written(p)]) > 0).mean(1)
        assert shares.max() > 0
        np.testing.assert_allclose(metric(p), shares)


@pytest.mark.parametrize("seed", range(5))
def test_leaps_are_resolved_and_doubled_as_the_rule_says(seed: int) -> None:
    events = np.random.default_rng(seed).choice([0, 1, 2, 7, 12, 17, 24], (4, 30))
    paid = np.array([listen(LeapResolution(), e) for e in written(of_events(events))])
    resolved, doubled = (paid > 0).sum(), (paid < 0).sum()
    assert min(resolved, doubled) > 0
    close(leaps_resolved(of_events(events)), resolved / (resolved + doubled))
