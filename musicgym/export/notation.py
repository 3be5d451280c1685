"""Written note values: how a melody on a grid is put on paper, before any file format.

A sounding note may need several written ones: it is cut at bar lines and wherever one value would
hide the beats, and the pieces are tied. Accidentals are shown where a reader needs them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from musicgym.melody import Melody
from musicgym.meters import METERS
from musicgym.theory import FIFTHS, Key, spell

__all__ = ["Spelled", "Written", "musical_signs", "spell_pitch", "systems", "write_bars"]


class Spelled(NamedTuple):
    """A pitch on paper: letter, alteration in semitones, octave (4 holds middle C)."""

    letter: str
    alteration: int
    octave: int


class Written(NamedTuple):
    """One written note or rest.

    Attributes:
        onset: grid slots after the bar line.
        length: grid slots; a plain or a dotted value.
        pitch: the spelled pitch, or None for a rest.
        tied_back: it goes on from the value before it.
        tied_on: it goes on in the value after it.
        accidental: its accidental is shown.
    """

    onset: int
    length: int
    pitch: Spelled | None = None
    tied_back: bool = False
    tied_on: bool = False
    accidental: bool = False


def spell_pitch(pitch: int, key: Key) -> Spelled:
    """Return how a MIDI pitch is written in a key.

    >>> spell_pitch(61, Key.parse("D minor")), spell_pitch(71, Key.parse("Cb major"))
    (Spelled(letter='C', alteration=1, octave=4), Spelled(letter='C', alteration=-1, octave=5))
    """
    letter, alteration = spell(pitch % 12, key)
    return Spelled(letter, alteration, (pitch - alteration) // 12 - 1)


def write_bars(melody: Melody) -> list[list[Written]]:
    """Return the bars of a melody, each full; the last is filled with rests.

    A melody without notes is bars of rest; one without steps is a single bar of rest.
    """
    width = melody.steps_per_bar
    count = max(1, -(-len(melody.events) // width))
    bars: list[list[Written]] = [[] for _ in range(count)]
    step = 0
    for onset, duration, pitch in melody.notes():
        _put(bars, melody, step, onset, None)
        step = onset + duration
        _put(bars, melody, onset, step, spell_pitch(pitch, melody.key))
    _put(bars, melody, step, count * width, None)
    return [_show_accidentals(bar, melody.key) for bar in bars]


def _put(
    bars: list[list[Written]], melody: Melody, start: int, end: int, pitch: Spelled | None
) -> None:
    """Append a note or a rest to its bars, in pieces."""
    width, step = melody.steps_per_bar, start
    while step < end:
        bar = step // width
        stop = min(end, (bar + 1) * width)
        for left, right in _pieces(step - bar * width, stop - bar * width, melody, pitch is None):
            back, on = bar * width + left > start, bar * width + right < end
            note = pitch is not None
            bars[bar].append(Written(left, right - left, pitch, note and back, note and on))
        step = stop


def _strength(position: int, melody: Melody) -> int:
    """Return the metric weight of a place in the bar.

    2 the bar line, 1 the other strong beats, 0 a beat, -1 half a beat, -2 a quarter of one.
    """
    beat = melody.steps_per_beat
    if position % melody.steps_per_bar == 0:
        return 2
    if position % (METERS[melody.meter].strong_every * beat) == 0:
        return 1
    if position % beat == 0:
        return 0
    return -1 if position * 2 % beat == 0 else -2


def _pieces(start: int, end: int, melody: Melody, rest: bool) -> list[tuple[int, int]]:
    """Cut a span inside one bar into readable values."""
    if (_rest_is_clear if rest else _note_is_clear)(start, end, melody):
        return [(start, end)]
    inside = {place: _strength(place, melody) for place in range(start + 1, end)}
    strongest = max(inside.values())
    places = [place for place, strength in inside.items() if strength == strongest]
    # From a strong place the long value comes first, otherwise the short one leads to the beat.
    cut = places[-1] if _strength(start, melody) >= strongest else places[0]
    return [*_pieces(start, cut, melody, rest), *_pieces(cut, end, melody, rest)]


def _is_value(length: int) -> bool:
    """Tell whether a length is one plain or dotted value: 1, 2, 3, 4, 6, 8, 12, ... slots."""
    odd = length // (length & -length)
    return odd in (1, 3)


def _note_is_clear(start: int, end: int, melody: Melody) -> bool:
    if end - start == melody.steps_per_bar:
        return True
    if not _is_value(end - start):
        return False
    inside = [_strength(place, melody) for place in range(start + 1, end)]
    if not inside:
        return True
    crossed = max(inside)
    if METERS[melody.meter].unit == 8 and crossed == 1:  # the middle of 6/8 is never hidden
        return False
    first, last = _strength(start, melody), _strength(end, melody)
    # Plain if it starts on a place as strong as any it crosses; else only the usual
    # syncopations: half a level early, and over one such place (short-long-short).
    return first >= crossed or (
        first == crossed - 1 and last >= crossed - 1 and inside.count(crossed) == 1
    )


def _rest_is_clear(start: int, end: int, melody: Melody) -> bool:
    beat, length = melody.steps_per_beat, end - start
    group = METERS[melody.meter].strong_every * beat
    if length == melody.steps_per_bar:
        return True
    if length == group or (METERS[melody.meter].unit == 8 and length == 2 * beat):
        return start % group == 0
    return length <= beat and length & (length - 1) == 0 and start % length == 0


def _signature(key: Key) -> dict[str, int]:
    """Return the alteration of each letter in the key signature."""
    count = key.signature
    altered = FIFTHS[:count] if count > 0 else FIFTHS[7 + count :] if count < 0 else ""
    return {letter: (letter in altered) * (1 if count > 0 else -1) for letter in FIFTHS}


def _show_accidentals(bar: list[Written], key: Key) -> list[Written]:
    """Mark the notes whose accidental a reader needs, given the signature and the bar so far."""
    signature = _signature(key)
    heard: dict[tuple[str, int], int | None] = {}
    shown = []
    for value in bar:
        if value.pitch is not None:
            place = (value.pitch.letter, value.pitch.octave)
            expected = heard.get(place, signature[value.pitch.letter])
            if value.tied_back:
                # A tie carries the accidental over the bar line for that note alone, so the next
                # note on the same line always says what it is.
                if value.pitch.alteration != expected:
                    heard[place] = None
            else:
                heard[place] = value.pitch.alteration
                value = value._replace(accidental=value.pitch.alteration != expected)
        shown.append(value)
    return shown


def systems(bars: list[list[Written]], most: int = 36) -> int:
    """Return how many bars a line of the page holds: 4, or fewer where they are dense.

    `most` is the number of written values that a line holds without being cramped.
    """
    for width in (4, 2):
        lines = (bars[i : i + width] for i in range(0, len(bars), width))
        if all(sum(map(len, line)) <= most for line in lines):
            return width
    return 1


def musical_signs(text: str) -> str:
    """Return a chord symbol or a note name with ♯ and ♭ in place of # and b.

    >>> musical_signs("Bbm7b5"), musical_signs("F#dim"), musical_signs("Bbb3")
    ('B♭m7♭5', 'F♯dim', 'B♭♭3')
    """
    flats = re.sub(r"(?<=[A-G])b+|b(?=\d)", lambda match: "♭" * len(match[0]), text)
    return flats.replace("#", "♯")
