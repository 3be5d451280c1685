"""Progressions by name, and the forms that those of a corpus are joined to."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

__all__ = ["COMMON", "FORMS", "SETS", "Part"]

#: Roman numerals by mode. The names of songs and styles are beside the point here: these are the
#: four- and eight-chord frames that textbooks and lead sheets share.
COMMON: dict[str, tuple[str, ...]] = {
    "major": (
        "I V vi IV",
        "I vi IV V",
        "I IV V I",
        "I IV I V",
        "I ii V I",
        "I vi ii V",
        "vi IV I V",
        "I iii IV V",
        "I V IV I",
        "I IV ii V",
        "IV I V vi",
        "I V vi iii IV I IV V",
        "I IV V V",
        "I iii vi IV",
        "ii V I vi",
        "I bVII IV I",
        "I I7 IV iv",
        "I V/V V I",
        "vi ii V I",
        "I V I V7",
    ),
    "minor": (
        "i VI III VII",
        "i iv V i",
        "i VII VI V",
        "i iv VII III",
        "i VI iv V",
        "i v VI VII",
        "i iiø7 V7 i",
        "i III VII iv",
        "VI VII i i",
        "i iv i V",
        "i VII i V",
        "iv i V i",
        "i VI VII i",
        "i V VI III iv i iv V",
        "i III iv V",
        "iv VII III VI",
    ),
}

#: Four bars of jazz each, a chord half a bar, in C major and A minor: how a chorus begins, and how
#: it ends. What is held out shares no such half with what is practised on: there are diminished
#: passing chords, tritone substitutes and two-fives of other keys in it that practice never shows.
_JAZZ: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "train": {
        "major": (
            (
                "Dm7 Dm7 G7 G7 Cmaj7 Cmaj7 Cmaj7 Cmaj7",
                "Cmaj7 Am7 Dm7 G7 Em7 A7 Dm7 G7",
                "Cmaj7 Cmaj7 Em7 A7 Dm7 Dm7 G7 G7",
                "Dm7 G7 Em7 A7 Dm7 G7 Cmaj7 Cmaj7",
                "Fmaj7 Fmaj7 Fm6 Bb7 Em7 A7 Dm7 G7",
                "Cmaj7 C7 Fmaj7 Fm6 Em7 A7 D7 G7",
                "C6 C6 Dm7 G7 C6 C6 Gm7 C7",
                "Am7 Dm7 G7 Cmaj7 Fmaj7 Bm7b5 E7 Am7",
            ),
            (
                "Dm7 G7 Cmaj7 A7 Dm7 G7 C6 C6",
                "Em7 A7 Dm7 G7 Cmaj7 Fmaj7 Cmaj7 Cmaj7",
                "D7 D7 Dm7 G7 Cmaj7 Dm7 Cmaj7 Cmaj7",
                "Fmaj7 Bb7 Em7 A7 Dm7 G7 Cmaj7 Cmaj7",
                "Dm7 Dm7 G7 G7 C6 G7 C6 C6",
            ),
        ),
        "minor": (
            (
                "Bm7b5 Bm7b5 E7 E7 Am7 Am7 Am7 Am7",
                "Am7 F#m7b5 Bm7b5 E7 Am7 F#m7b5 Bm7b5 E7",
                "Am6 Am6 Dm7 G7 Cmaj7 Fmaj7 Bm7b5 E7",
                "Dm7 G7 Cmaj7 Fmaj7 Bm7b5 E7 Am7 Am7",
                "Am7 Dm7 Am7 Am7 Dm7 Dm7 Am7 Am7",
                "Am7 Am7 Em7b5 A7 Dm7 Dm7 Bm7b5 E7",
                "Am6 E7 Am6 A7 Dm7 Dm7 E7 E7",
                "Bm7b5 E7 Am7 Am7 Bm7b5 E7 Am7 A7",
            ),
            (
                "Bm7b5 E7 Am7 F7 Bm7b5 E7 Am6 Am6",
                "Dm7 Dm7 Bm7b5 E7 Am7 Dm7 Am6 Am6",
                "F7 F7 E7 E7 Am7 Dm7 Am7 Am7",
                "Bm7b5 Bm7b5 E7 E7 Am6 Am6 Am6 Am6",
                "Dm7 G7 Cmaj7 Fmaj7 Bm7b5 E7 Am7 Am7",
            ),
        ),
    },
    "test": {
        "major": (
            (
                "Cmaj7 C#dim7 Dm7 G7 Em7 Ebdim7 Dm7 G7",
                "Em7 A7 Ebm7 Ab7 Dm7 G7 Cmaj7 Cmaj7",
                "Cmaj7 Cmaj7 Bm7b5 E7 Am7 D7 Gm7 C7",
                "Am7 D7 Dm7 G7 Cmaj7 Fmaj7 Bm7b5 E7",
                "Gm7 C7 Fmaj7 Fmaj7 Fm7 Bb7 Cmaj7 Cmaj7",
            ),
            (
                "Am7 D7 Dm7 G7 C6 Am7 C6 C6",
                "Fm7 Bb7 Em7 A7 Dm7 Db7 Cmaj7 Cmaj7",
                "Dm7 Dm7 Db7 Db7 Cmaj7 Ebdim7 Cmaj7 Cmaj7",
                "D7 G7 Em7 A7 Dm7 G7 C6 C6",
            ),
        ),
        "minor": (
            (
                "AmM7 AmM7 Am7 D7 Dm7 G7 Cmaj7 E7",
                "Am7 G7 Fmaj7 E7 Am7 G7 Fmaj7 E7",
                "Am7 Am7 Gm7 C7 Fmaj7 Fmaj7 Bm7b5 E7",
                "Dm7 Bm7b5 E7 Am7 Dm7 G7 Cmaj7 Cmaj7",
                "Bm7b5 E7 Am7 D7 Gm7 C7 Fmaj7 E7",
            ),
            (
                "Bm7b5 Bb7 Am7 Am7 Bm7b5 Bb7 Am6 Am6",
                "F#m7b5 Fmaj7 Bm7b5 E7 Am6 Dm7 Am6 Am6",
                "Dm7 E7 Fmaj7 D7 Bm7b5 E7 Am6 Am6",
                "B7 B7 E7 E7 Am7 Bm7b5 Am6 Am6",
            ),
        ),
    },
}

#: Named sets of progressions in parts: ``"set:jazz/train"`` is practised on, ``"set:jazz/test"``
#: is held out. Written in C major and A minor.
SETS: dict[str, dict[str, tuple[str, ...]]] = {
    f"jazz/{part}": {
        mode: tuple(" ".join(halves) for halves in product(*both)) for mode, both in modes.items()
    }
    for part, modes in _JAZZ.items()
}


class Part(NamedTuple):
    """A part of a form: some quarters of a window of a corpus, or of another tune's.

    Attributes:
        other: whether it is taken from a window of another tune in the same mode.
        first: the quarter of that window that it begins with, from 0.
        last: the quarter before which it ends.
        up: semitones that chords and notes are moved up.
    """

    other: bool
    first: int
    last: int
    up: int = 0


#: Forms that windows of a corpus are joined to, as in ``"corpus:chorales/test/turn"``.
#: ``aaba`` plays a window twice, then one of another tune, then the first once more. ``turn``
#: plays a window but for its third quarter, which is that of another tune a whole tone higher:
#: the key changes in the middle without warning, and comes back.
FORMS: dict[str, tuple[Part, ...]] = {
    "aaba": (Part(False, 0, 4), Part(False, 0, 4), Part(True, 0, 4), Part(False, 0, 4)),
    "turn": (Part(False, 0, 2), Part(True, 2, 3, up=2), Part(False, 3, 4)),
}
