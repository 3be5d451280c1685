"""How an episode moves: State, Moment and the verbs initial, moment, advance, terminal.

The text below is written once and runs on Python numbers, NumPy arrays and torch tensors as it
stands; `backends.source` inlines it for the single environment and for numba. A body is
assignments, then one return; not-x is ``x ^ True``; a choice is `where`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .meters import METERS
from .randomness import draw
from .select import Array, count_bits, where
from .task import Task

__all__ = [
    "Constants",
    "Episodes",
    "Moment",
    "Readings",
    "State",
    "advance",
    "constants",
    "episodes",
    "initial",
    "moment",
    "terminal",
    "with_row",
]

#: Runs of equal notes are counted up to here.
RUN_CAP = 5


@dataclass(frozen=True)
class Readings:
    """How the moment is read, as the reward asks: the scoring and the kind of median tone.

    Attributes:
        scoring: ``"time"`` judges what sounds at every step, ``"onset"`` struck notes only,
            ``"literal"`` takes every event id as a note of pitch ``low + event - 2``.
        median: ``"expected"`` draws no median tone, ``"random"`` draws one at each change of
            chord, ``"nearest"`` takes the chord tone nearest to the one before.
    """

    scoring: str = "time"
    median: str = "expected"


class Constants(NamedTuple):
    """What the text needs of a task: numbers, switches (bool) and chord tables (P * S,)."""

    steps: int
    steps_per_bar: int
    steps_per_beat: int
    steps_per_chord: int
    steps_per_strong: int
    spans: int
    low: int
    n_events: int
    comfort_low: int
    comfort_high: int
    window: int  # the lowest pitch of the octave nearest the middle of the tessitura
    major_rows: int
    minor_rows: int
    literal: bool
    onset: bool
    draw_median: bool
    near_median: bool
    roots: Array
    codes: Array
    masks: Array
    sizes: Array


def constants(task: Task, readings: Readings) -> Constants:
    """Return the constants of a task under the reward's readings."""
    table = task.table
    low, high = task.comfortable
    return Constants(
        steps=task.steps,
        steps_per_bar=task.steps_per_bar,
        steps_per_beat=task.steps_per_beat,
        steps_per_chord=task.steps_per_chord,
        steps_per_strong=METERS[task.meter].strong_every * task.steps_per_beat,
        spans=task.bars * task.spans_per_bar,
        low=task.low,
        n_events=task.n_events,
        comfort_low=low,
        comfort_high=high,
        window=(low + high + 1) // 2 - 6,
        major_rows=table.major_rows,
        minor_rows=len(table.roots) - table.major_rows,
        literal=readings.scoring == "literal",
        onset=readings.scoring == "onset",
        draw_median=readings.median == "random",
        near_median=readings.median == "nearest",
        roots=table.roots.ravel(),
        codes=table.codes.ravel(),
        masks=table.masks.ravel(),
        sizes=count_bits(table.masks.ravel()),
    )


def with_row(c: Constants, spans: tuple[list[int], list[int], list[int]]) -> Constants:
    """Return the constants with one more row of chords (roots, codes, masks) in the tables."""
    roots, codes, masks = (np.array(column, dtype=np.int64) for column in spans)
    return c._replace(
        roots=np.concatenate([c.roots, roots]),
        codes=np.concatenate([c.codes, codes]),
        masks=np.concatenate([c.masks, masks]),
        sizes=np.concatenate([c.sizes, count_bits(masks)]),
    )


class Episodes(NamedTuple):
    """What is fixed in each of B episodes, for policies that look ahead.

    Attributes:
        tonic: (B,) pitch class of the tonic.
        mode: (B,) 0 major, 1 minor.
        roots: (B, T) the chord's root above the tonic at each step.
        codes: (B, T) its place in `theory.QUALITIES`.
        masks: (B, T) its tones above the tonic as 12 bits.
        key: (B,) hash keys, for a policy's own randomness in an episode.
    """

    tonic: Array
    mode: Array
    roots: Array
    codes: Array
    masks: Array
    key: Array


def episodes(c: Constants, s: State, steps: Array) -> Episodes:
    """Return what is fixed in the episodes of a batch.

    The columns of the state are int64, and `steps` is 0 to T - 1, of one kind of array.
    """
    spans = s.row[:, None] * c.spans + steps // c.steps_per_chord  # (B, T)
    return Episodes(s.tonic, s.mode, c.roots[spans], c.codes[spans], c.masks[spans], s.key)


class State(NamedTuple):
    """Where an episode stands before a step. All integers but the two bools.

    Attributes:
        key: 32-bit hash key, the episode's whole randomness.
        step: steps composed so far, 0 to T.
        row: row of the progression table.
        tonic: pitch class of the tonic.
        mode: 0 major, 1 minor.
        event: the event before this step (rest at the start).
        pitch: the last struck pitch, 0 before the first.
        ringing: a note sounds.
        run: equal notes in a row so far, up to RUN_CAP.
        extra: a non-chord tone was struck on a weak step of this bar.
        weak_extra: a non-chord tone sounded at the previous weak beat.
        median: the median tone (Eq. 4), 0 where none is drawn.
    """

    key: Array
    step: Array
    row: Array
    tonic: Array
    mode: Array
    event: Array
    pitch: Array
    ringing: Array
    run: Array
    extra: Array
    weak_extra: Array
    median: Array


class Moment(NamedTuple):
    """One step of music under musicians' names: all that a rule sees.

    Pitches are MIDI numbers; `degree`, `root` and `chord` count semitones above the tonic.

    Attributes:
        event: the event, an invalid one already read as a rest.
        step: index of the step from 0.
        last_step: it is the last of the episode.
        last_beat: it is in the last beat of the episode.
        bar: index of the bar from 0.
        beat: beat of the bar from 1.
        step_in_beat: index of the step in its beat from 0.
        beat_starts: a beat starts at this step.
        strong: a strong beat starts at this step.
        struck: a note is struck.
        sounding: a note sounds, struck or held.
        judged: Eq. 2, 4, 6 and 7 speak about this step (the scoring decides).
        pitch: the sounding pitch; in a rest the last one; 0 before the first note.
        has_pitch: `pitch` is a note.
        degree: pitch class of `pitch` above the tonic, 0 to 11.
        interval: semitones from the note struck before; 0 on a held step.
        has_interval: there is an interval to judge.
        run_length: equal notes in a row up to this one, at most RUN_CAP.
        has_chord: the span has a chord.
        chord: the chord tones as 12 bits above the tonic.
        chord_size: the number of chord tones.
        root: the chord's root above the tonic.
        in_chord: `pitch` is a chord tone.
        extra: a non-chord tone is struck on a weak step.
        extra_in_bar: one was struck earlier in this bar.
        extra_before: one sounded at the previous weak beat.
        median: the median tone, 0 where none is drawn.
        window: the lowest pitch that a median tone can take.
        low: lower end of the tessitura.
        high: upper end of the tessitura.
        tonic: pitch class of the tonic.
        mode: 0 major, 1 minor.
    """

    event: Array
    step: Array
    last_step: Array
    last_beat: Array
    bar: Array
    beat: Array
    step_in_beat: Array
    beat_starts: Array
    strong: Array
    struck: Array
    sounding: Array
    judged: Array
    pitch: Array
    has_pitch: Array
    degree: Array
    interval: Array
    has_interval: Array
    run_length: Array
    has_chord: Array
    chord: Array
    chord_size: Array
    root: Array
    in_chord: Array
    extra: Array
    extra_in_bar: Array
    extra_before: Array
    median: Array
    window: Array
    low: Array
    high: Array
    tonic: Array
    mode: Array

    @classmethod
    def example(cls, **fields: Array) -> Moment:
        """Return a struck C5 on the first beat over C major in C, with other fields given.

        >>> Moment.example(interval=12).has_interval
        True
        """
        plain = cls(
            event=26, step=8, last_step=False, last_beat=False, bar=1, beat=1, step_in_beat=0,
            beat_starts=True, strong=True, struck=True, sounding=True, judged=True, pitch=72,
            has_pitch=True, degree=0, interval=0, has_interval=True, run_length=1, has_chord=True,
            chord=0b10010001, chord_size=3, root=0, in_chord=True, extra=False, extra_in_bar=False,
            extra_before=False, median=67, window=63, low=57, high=81, tonic=0, mode=0,
        )  # fmt: skip
        return plain._replace(**fields)


def nth_tone(tones: Array, n: Array) -> Array:
    """Return the place of the n-th set bit (from 0) of a chord of at most four tones."""
    one = tones & (tones - 1)
    two = one & (one - 1)
    left = where(n == 0, tones, where(n == 1, one, where(n == 2, two, two & (two - 1))))
    return count_bits((left & (0 - left)) - 1)


def tones_in_window(mask: Array, tonic: Array, window: Array) -> Array:
    """Return the chord tones above the tonic as bits above the pitch `window`."""
    return mask * 4097 >> (window - tonic) % 12 & 4095


def choose_median(c: Constants, mask: Array, tonic: Array, before: Array, chance: Array) -> Array:
    """Return the median tone of a chord (Eq. 4): drawn, or nearest to the one before."""
    tones = tones_in_window(mask, tonic, c.window)
    total = count_bits(tones)
    drawn = c.window + nth_tone(tones, chance % where(total == 0, 1, total))
    around = where(before == 0, c.window + 6, before)
    t0 = c.window + nth_tone(tones, total * 0)
    t1 = c.window + nth_tone(tones, total * 0 + 1)
    t2 = c.window + nth_tone(tones, total * 0 + 2)
    t3 = where(total > 3, c.window + nth_tone(tones, total * 0 + 3), t2)
    low = where(abs(t1 - around) < abs(t0 - around), t1, t0)
    high = where(abs(t3 - around) < abs(t2 - around), t3, t2)
    near = where(abs(high - around) < abs(low - around), high, low)
    chosen = where(c.draw_median, drawn, where(c.near_median, near, before))
    return where(total == 0, before, chosen)


def initial(
    c: Constants, key: Array, row: Array, tonic: Array, mode: Array, chance: Array
) -> State:
    """Start an episode; a row, tonic or mode below 0 is drawn from the key.

    A tonic of -2 is C in major and A in minor.
    """
    zero = key * 0
    no = key < 0
    the_mode = where(mode < 0, draw(key, 2) % 2, mode)
    natural = 9 * the_mode
    the_tonic = where(tonic < 0, where(tonic == -2, natural, draw(key, 1) % 12), tonic)
    count = where(the_mode == 1, c.minor_rows, c.major_rows)
    drawn = the_mode * c.major_rows + draw(key, 3) % where(count == 0, 1, count)
    the_row = where(row < 0, drawn, row)
    return State(
        key=key,
        step=zero,
        row=the_row,
        tonic=the_tonic,
        mode=the_mode,
        event=zero + 1,
        pitch=zero,
        ringing=no,
        run=zero,
        extra=no,
        weak_extra=no,
        median=choose_median(c, c.masks[the_row * c.spans], the_tonic, zero, chance),
    )


def moment(c: Constants, s: State, event: Array) -> Moment:
    """Read one step: what the event does in this state. The scoring is realised here, once."""
    valid = (event >= 0) & (event < c.n_events) & ((event != 0) | s.ringing)
    e = where(valid, event, 1)
    note = e > 1
    held = (e == 0) & s.ringing
    any_event = e >= 0
    struck = where(c.literal, any_event, note)
    sounding = where(c.literal, any_event, note | held)
    pitch = where(c.literal, c.low + e - 2, where(note, c.low + e - 2, s.pitch))
    has_pitch = where(c.literal, note, pitch > 0)
    before = where(c.literal, c.low + s.event - 2, s.pitch)
    had_pitch = where(c.literal, s.step > 0, s.pitch > 0)
    repeated = had_pitch & (pitch == before)
    run = where(s.run < RUN_CAP, s.run + 1, s.run)
    position = s.step % c.steps_per_bar
    step_in_beat = position % c.steps_per_beat
    span = s.row * c.spans + s.step // c.steps_per_chord
    mask = c.masks[span]
    has_chord = mask > 0
    degree = (pitch - s.tonic) % 12
    in_chord = has_pitch & ((mask >> degree) & 1 == 1)
    strong = position % c.steps_per_strong == 0
    return Moment(
        event=e,
        step=s.step,
        last_step=s.step + 1 == c.steps,
        last_beat=s.step >= c.steps - c.steps_per_beat,
        bar=s.step // c.steps_per_bar,
        beat=position // c.steps_per_beat + 1,
        step_in_beat=step_in_beat,
        beat_starts=step_in_beat == 0,
        strong=strong,
        struck=struck,
        sounding=sounding,
        judged=where(c.onset, note, sounding),
        pitch=pitch,
        has_pitch=has_pitch,
        degree=degree,
        interval=where(struck, pitch - before, 0),
        has_interval=where(struck, had_pitch, where(c.onset, any_event ^ True, sounding)),
        run_length=where(struck, where(repeated, run, 1), s.run),
        has_chord=has_chord,
        chord=mask,
        chord_size=c.sizes[span],
        root=c.roots[span],
        in_chord=in_chord,
        extra=struck & (strong ^ True) & has_chord & (in_chord ^ True),
        extra_in_bar=s.extra,
        extra_before=s.weak_extra,
        median=s.median,
        window=c.window,
        low=c.comfort_low,
        high=c.comfort_high,
        tonic=s.tonic,
        mode=s.mode,
    )


def advance(c: Constants, s: State, m: Moment, chance: Array) -> State:
    """Return the state after a moment; `chance` is the draw of the step that comes."""
    step = s.step + 1
    note = m.event > 1
    bar_goes_on = step % c.steps_per_bar != 0
    weak_beat = m.beat_starts & (m.strong ^ True)
    outside = m.sounding & m.has_chord & (m.in_chord ^ True)
    here = s.row * c.spans + s.step // c.steps_per_chord
    there = s.row * c.spans + where(step < c.steps, step, s.step) // c.steps_per_chord
    changed = (c.roots[here] != c.roots[there]) | (c.codes[here] != c.codes[there])
    new_median = choose_median(c, c.masks[there], s.tonic, s.median, chance)
    return State(
        key=s.key,
        step=step,
        row=s.row,
        tonic=s.tonic,
        mode=s.mode,
        event=m.event,
        pitch=where(note, c.low + m.event - 2, s.pitch),
        ringing=note | ((m.event == 0) & s.ringing),
        run=m.run_length,
        extra=(s.extra | m.extra) & bar_goes_on,
        weak_extra=where(weak_beat, outside, s.weak_extra),
        median=where(changed, new_median, s.median),
    )


def terminal(c: Constants, s: State) -> Array:
    """Tell whether the episode is over."""
    return s.step >= c.steps
