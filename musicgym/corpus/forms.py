"""Forms: longer or changing melodies, joined from windows of a corpus, chords and notes alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicgym.events import FIRST_NOTE, HOLD
from musicgym.progressions import FORMS, Part

from .dataset import HIGH, LOW, Corpus, Windows, windows

__all__ = ["formed"]


def formed(
    corpus: Corpus,
    split: str,
    form: str = "",
    *,
    bars: int = 8,
    meter: str = "4/4",
    low: int = LOW,
    high: int = HIGH,
) -> Windows:
    """Return the windows of a split, joined to a form; without one they stay as they are.

    A joined window belongs to the tune that it begins with. The other tune of a form is that of
    the window half a split further on, in the same mode. A note held over a join is struck again.
    Notes that are moved up beyond the range are moved down an octave, and a window that does not
    fit then is left out.

    Args:
        corpus: prepared pieces.
        split: of the corpus.
        form: a name of `musicgym.progressions.FORMS`, or an empty string.
        bars: of what is returned.
        meter: of the pieces.
        low: the lowest pitch.
        high: the highest pitch.

    Raises:
        ValueError: there is no such window, the bars do not divide into the form, or a mode has
            one tune only.
    """
    if not form:
        return windows(corpus, split, bars=bars, meter=meter, low=low, high=high)
    parts = FORMS[form]
    own, uneven = divmod(4 * bars, sum(part.last - part.first for part in parts))
    if uneven or any(own * part.first % 4 for part in parts):
        raise ValueError(f"form: {bars} bars do not divide into the parts of {form!r}.")
    cut = windows(corpus, split, bars=own, meter=meter, low=low, high=high)
    others = _others(cut, form)
    joined = [_part(cut, others, part, high - low + FIRST_NOTE) for part in parts]
    events, roots, codes = (np.concatenate(some, axis=1) for some in zip(*joined, strict=True))
    made = Windows(events.astype(np.uint8), roots, codes, cut.modes, cut.tunes, cut.names)
    return made.at(np.flatnonzero((events >= 0).all(1)))


def _others(cut: Windows, form: str) -> NDArray[np.int64]:
    """Return the place (N,) of a window of another tune in the same mode for each window."""
    found = np.empty(len(cut.modes), np.int64)
    for mode in (0, 1):
        places = np.flatnonzero(cut.modes == mode)
        for turn, place in enumerate(places):
            ahead = np.roll(places, -turn - len(places) // 2)
            differ = [other for other in ahead if cut.tunes[other] != cut.tunes[place]]
            if not differ:
                raise ValueError(f"form: {form!r} needs two tunes a mode; there is one.")
            found[place] = differ[0]
    return found


def _part(
    cut: Windows, others: NDArray[np.int64], part: Part, highest: int
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int8]]:
    """Return events (N, t), -1 where they do not fit, roots and codes (N, b) of a part."""
    rows = others if part.other else np.arange(len(others))
    events, roots, codes = (np.asarray(a)[rows] for a in (cut.events, cut.roots, cut.codes))
    steps, beats = (
        slice(part.first * width // 4, part.last * width // 4)
        for width in (events.shape[1], roots.shape[1])
    )
    struck = np.where(events == HOLD, 0, np.arange(events.shape[1]))
    sounding = np.take_along_axis(events, np.maximum.accumulate(struck, axis=1), axis=1)
    events = events[:, steps].astype(np.int64)
    events[:, 0] = sounding[:, steps.start]
    notes = events >= FIRST_NOTE
    up = np.where((events + part.up).max(1) > highest, part.up - 12, part.up)[:, None]
    moved = np.where(notes, events + up, events)
    moved[notes & (moved < FIRST_NOTE)] = -1
    roots, codes = roots[:, beats], codes[:, beats]
    roots = np.where(codes > 0, (roots + part.up) % 12, 0)
    return moved, roots.astype(np.int8), codes.astype(np.int8)
