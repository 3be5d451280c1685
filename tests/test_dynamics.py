from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from playing import LOW, spelt

from musicgym.dynamics import (
    RUN_CAP,
    Constants,
    Moment,
    Readings,
    State,
    advance,
    choose_median,
    constants,
    episodes,
    initial,
    moment,
    nth_tone,
    terminal,
    tones_in_window,
    with_row,
)
from musicgym.randomness import chance_at, draw, episode_key, mix, next_key
from musicgym.task import Task
from musicgym.theory import Chord


def scalar_constants(readings: Readings | None = None, **task: Any) -> Constants:
    """Return the constants of a task with tables of Python numbers."""
    c = constants(Task(**task), readings or Readings())
    tables = {
        name: tuple(getattr(c, name).tolist()) for name in ("roots", "codes", "masks", "sizes")
    }
    return c._replace(**tables)


def start(c: Constants, key: int = 1, row: int = 0, tonic: int = 0, mode: int = 0) -> State:
    return initial(c, key, row, tonic, mode, chance_at(key, 0))


def play(c: Constants, text: str, **given: int) -> tuple[list[Moment], list[State]]:
    """Return the moments of a melody and the states, the first before and the last after it."""
    states, moments = [start(c, **given)], []
    for event in spelt(text):
        s = states[-1]
        moments.append(moment(c, s, event))
        states.append(advance(c, s, moments[-1], chance_at(s.key, s.step + 1)))
    return moments, states


def test_an_episode_starts_in_silence() -> None:
    s = start(scalar_constants())
    assert (s.step, s.event, s.pitch, s.ringing, s.run) == (0, 1, 0, False, 0)
    assert (s.extra, s.weak_extra, s.median) == (False, False, 0)


@pytest.mark.parametrize("event", [0, -1, -5, 38, 1000])
def test_an_invalid_event_is_read_as_a_rest(event: int) -> None:
    c = scalar_constants()
    m = moment(c, start(c), event)
    assert m == moment(c, start(c), 1)
    assert (m.event, m.struck, m.sounding, m.has_pitch) == (1, False, False, False)


def test_a_hold_goes_on_until_a_rest_and_is_invalid_after_it() -> None:
    moments, states = play(scalar_constants(), "C5 . - . C5 .")
    assert [m.event for m in moments] == [26, 0, 1, 1, 26, 0]
    assert [m.sounding for m in moments] == [True, True, False, False, True, True]
    assert [m.struck for m in moments] == [True, False, False, False, True, False]
    assert [s.ringing for s in states] == [False, True, True, False, False, True, True]


def test_the_pitch_in_a_rest_is_the_last_one_and_0_before_the_first() -> None:
    moments, _ = play(scalar_constants(), "- C5 - D5")
    assert [m.pitch for m in moments] == [0, 72, 72, 74]
    assert [m.has_pitch for m in moments] == [False, True, True, True]


def test_the_lowest_and_the_highest_event_strike_the_ends_of_the_range() -> None:
    c = scalar_constants()
    assert moment(c, start(c), 2).pitch == 48
    assert moment(c, start(c), 37).pitch == 83


def test_position_bar_and_beats_are_read_from_the_step() -> None:
    moments, _ = play(scalar_constants(), "- " * 17)
    assert [m.beat for m in moments[:9]] == [1, 1, 2, 2, 3, 3, 4, 4, 1]
    assert [m.beat_starts for m in moments[:4]] == [True, False, True, False]
    assert [m.strong for m in moments[:9]] == [True] + [False] * 3 + [True] + [False] * 3 + [True]
    assert [m.bar for m in moments] == [0] * 8 + [1] * 8 + [2]


def test_the_last_step_is_last_and_the_episode_then_over() -> None:
    c = scalar_constants(bars=1, progression="I")
    moments, states = play(c, "- " * 8)
    assert [m.last_step for m in moments] == [False] * 7 + [True]
    assert [terminal(c, s) for s in states] == [False] * 8 + [True]


def test_the_interval_is_taken_from_the_note_struck_before_through_holds_and_rests() -> None:
    moments, _ = play(scalar_constants(), "C5 . E5 - - D5")
    assert [m.has_interval for m in moments] == [False, True, True, False, False, True]
    assert [m.interval for m in moments[1:]] == [0, 4, 0, 0, -2]


def test_runs_count_equal_struck_notes_up_to_the_cap() -> None:
    moments, _ = play(scalar_constants(), "C5 . C5 - C5 C5 C5 C5 C4 C5")
    assert [m.run_length for m in moments] == [1, 1, 2, 2, 3, 4, RUN_CAP, RUN_CAP, 1, 1]


def test_pitches_and_chords_are_relative_to_the_tonic() -> None:
    c = scalar_constants(key="D major", progression="D A", bars=2)
    moments, _ = play(c, "D5 F#5 E5 A4", tonic=2)
    assert [m.degree for m in moments] == [0, 4, 2, 7]
    assert [m.in_chord for m in moments] == [True, True, False, True]
    assert (moments[0].root, moments[0].chord, moments[0].chord_size) == (0, 0b10010001, 3)


def test_the_chord_follows_the_spans() -> None:
    c = scalar_constants(bars=1, progression="I V7 N.C. IV", chords_per_bar=4)
    moments, _ = play(c, "- " * 8)
    assert [m.root for m in moments] == [0, 0, 7, 7, 0, 0, 5, 5]
    assert [m.chord_size for m in moments] == [3, 3, 4, 4, 0, 0, 3, 3]
    assert [m.has_chord for m in moments] == [True] * 4 + [False] * 2 + [True] * 2


def test_each_scoring_says_which_moments_are_judged() -> None:
    text = "C5 . - ."
    for scoring, judged, struck in (
        ("time", [True, True, False, False], [True, False, False, False]),
        ("onset", [True, False, False, False], [True, False, False, False]),
        ("literal", [True] * 4, [True] * 4),
    ):
        moments, _ = play(scalar_constants(Readings(scoring)), text)
        assert [m.judged for m in moments] == judged
        assert [m.struck for m in moments] == struck


def test_the_literal_scoring_reads_each_event_id_as_a_pitch() -> None:
    moments, _ = play(scalar_constants(Readings("literal")), "C5 . - C3")
    assert [m.pitch for m in moments] == [72, LOW - 2, LOW - 1, LOW]
    assert [m.interval for m in moments[1:]] == [-26, 1, 1]
    assert [m.has_pitch for m in moments] == [True, False, False, True]
    assert not any(m.in_chord for m in moments[1:3])


def test_an_example_of_a_moment_is_what_the_dynamics_would_read() -> None:
    c = scalar_constants(progression="I")
    s = start(c)._replace(step=8, pitch=72, run=5, median=67)
    read = moment(c, s, 26)
    assert read == Moment.example(run_length=RUN_CAP)
    assert Moment.example(interval=7)._replace(interval=0) == Moment.example()


def test_what_moves_is_only_what_a_step_changes() -> None:
    _, states = play(scalar_constants(), "C5 D5 . -")
    fixed = {(s.key, s.row, s.tonic, s.mode) for s in states}
    assert fixed == {(1, 0, 0, 0)}
    assert [s.step for s in states] == [0, 1, 2, 3, 4]


def test_a_drawn_key_is_natural_random_or_given() -> None:
    c = scalar_constants(key="random", progression="I")
    for key in range(50):
        natural = start(c, key=key, row=-1, tonic=-2, mode=-1)
        assert natural.tonic == (9 if natural.mode else 0)
        given = start(c, key=key, row=-1, tonic=5, mode=1)
        assert (given.tonic, given.mode, given.row) == (5, 1, 1)


def test_an_added_row_of_chords_leaves_the_others_where_they_were() -> None:
    task = Task(bars=2, progression="I V")
    c = constants(task, Readings())
    longer = with_row(c, task.spans("G7 N.C.", "major"))
    assert longer.roots.tolist() == [0, 7, 7, 0]
    assert longer.sizes.tolist() == [3, 3, 4, 0]
    assert len(c.roots) == 2


def test_episodes_tell_the_chord_at_each_step() -> None:
    c = constants(Task(bars=2, progression="I V", steps_per_beat=1), Readings())
    keys = np.array([3, 4])
    s = initial(c, keys, np.zeros(2, int), np.array([0, 7]), np.zeros(2, int), keys)
    told = episodes(c, s, np.arange(c.steps))
    assert told.roots.tolist() == [[0] * 4 + [7] * 4] * 2
    assert told.tonic.tolist() == [0, 7]
    assert told.masks.shape == told.codes.shape == (2, 8)
    assert told.key.tolist() == [3, 4]


# --- Medians -----------------------------------------------------------------------------------


def test_the_nth_tone_is_the_nth_set_bit() -> None:
    for tones in (0b10010001, 0b100000100100, 0b10010010001, 0b111, 0b110000000011):
        places = [p for p in range(12) if tones >> p & 1]
        assert [nth_tone(tones, n) for n in range(len(places))] == places


def test_tones_in_the_window_are_the_same_pitch_classes() -> None:
    for window in (60, 63, 71):
        for tonic in range(12):
            tones = tones_in_window(0b10010001, tonic, window)
            classes = {(window + p) % 12 for p in range(12) if tones >> p & 1}
            assert classes == {(tonic + t) % 12 for t in (0, 4, 7)}


@pytest.mark.parametrize(
    ("before", "tone"),
    # the tones of G7 in the window are 65 67 71 74, equally near: 66, 69; of Dm7 65 69 72 74: 73
    [(("7", 7, 66), 65), (("7", 7, 69), 67), (("m7", 2, 73), 72), (("m7", 2, 74), 74)],
)
def test_of_two_equally_near_medians_the_lower_is_taken(
    before: tuple[str, int, int], tone: int
) -> None:
    quality, root, median = before
    c = scalar_constants(Readings(median="nearest"))
    assert choose_median(c, Chord(root, quality).mask, 0, median, 0) == tone


# --- Randomness --------------------------------------------------------------------------------


def test_the_hash_is_the_published_one() -> None:
    def lowbias32(x: int) -> int:  # Wellons, "Prospecting for hash functions", 2018
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    numbers = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    assert [mix(n) for n in numbers] == [lowbias32(n) for n in numbers]
    assert mix(np.array(numbers)).tolist() == [lowbias32(n) for n in numbers]


def test_keys_and_draws_are_32_bit_and_do_not_repeat_over_seeds_episodes_and_steps() -> None:
    seeds = [episode_key(seed) for seed in range(20_000)]
    assert len(set(seeds)) == 20_000
    chain = [episode_key(0)]
    for _ in range(20_000):
        chain.append(next_key(chain[-1]))
    assert len(set(chain)) == len(chain)
    draws = [draw(seeds[0], step) for step in range(3072)]
    assert len(set(draws)) > 3070
    assert all(0 <= number < 2**32 for number in seeds + chain + draws)


def test_seeds_beyond_32_bits_are_distinct() -> None:
    assert len({episode_key(7 + (k << 32)) for k in range(100)}) == 100


def test_every_bit_of_a_draw_is_even() -> None:
    draws = draw(np.array([episode_key(s) for s in range(4000)]), 1)
    share = [(draws >> bit & 1).mean() for bit in range(32)]
    assert min(share) > 0.46 and max(share) < 0.54


@pytest.mark.parametrize("counter", [1, 2, 3, 16, 17])
def test_draws_of_neighbouring_seeds_are_even_over_small_moduli(counter: int) -> None:
    draws = [draw(episode_key(seed), counter) for seed in range(3000)]
    for modulus in (2, 3, 4, 12, 16, 20):
        counts = Counter(d % modulus for d in draws)
        expected = 3000 / modulus
        chi2 = sum((counts[r] - expected) ** 2 / expected for r in range(modulus))
        assert chi2 < modulus - 1 + 5 * (2 * modulus) ** 0.5  # five standard deviations
