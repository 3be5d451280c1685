"""Chords from notes: one a beat from the lower voices, or inferred from a melody alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicgym.events import to_notes
from musicgym.meters import METERS
from musicgym.theory import QUALITIES, Key, parse_chord

__all__ = ["infer_chords", "label_beats"]

_SUFFIXES = tuple(QUALITIES)

#: The qualities a beat can be labelled with, and what each costs: rarer ones need more evidence.
#: These and the costs below were fitted to sixteen published analyses of chorales by hand.
_COST = {
    "": 0.0, "m": 0.0, "dim": 0.25, "aug": 0.4,
    "7": 0.1, "m7": 0.4, "m7b5": 0.4, "maj7": 0.6, "dim7": 0.5, "sus4": 0.9,
}  # fmt: skip

#: What a chord tone that does not sound costs: the root, the third, the fifth, the seventh.
_ABSENT = (0.25, 0.2, 0.2, 0.6)

#: The same for a tone outside the scale, on top: what nobody sounds is seldom chromatic.
_CHROMATIC = 0.15 * np.array([0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0])

#: A tone is fully present when it sounds for this share of all that sounds in the beat.
_PRESENT = 1 / 4

#: What a root in the bass earns: it decides between spellings of one sound.
_BASS = 0.05


def _templates() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return tones (K, 12) as 0 or 1, cost of absence (K, 12), and root * 20 + code (K,)."""
    tones, absent, names = [], [], []
    for suffix in _COST:
        for root in range(12):
            tone, cost = np.zeros(12), np.zeros(12)
            for interval, price in zip(QUALITIES[suffix], _ABSENT, strict=False):
                tone[(root + interval) % 12] = 1
                cost[(root + interval) % 12] = price
            tones.append(tone)
            absent.append(cost)
            names.append(root * len(_SUFFIXES) + _SUFFIXES.index(suffix))
    return np.array(tones), np.array(absent) + _CHROMATIC * tones, np.array(names)


_TONES, _ABSENCE, _NAMES = _templates()
_PRICE = np.repeat(list(_COST.values()), 12)  # (K,)


def label_beats(weights: ArrayLike, bass: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return the root and the quality's code of the chord that best explains each beat.

    Args:
        weights: (B, 12), how long each pitch class sounds in each beat, over all voices, in
            C major or A minor.
        bass: (B, 12), the same for the lowest voice alone.

    Returns:
        roots (B,), a pitch class, and codes (B,), a place in `QUALITIES`; both are 0 where
        nothing sounds.

    A chord earns what it explains, pays for what it does not, for its tones that are absent and
    for being rare, and earns a little when its root is in the bass.
    """
    weights, bass = np.asarray(weights, float), np.asarray(bass, float)
    total = weights.sum(axis=1, keepdims=True)
    share = weights / np.maximum(total, 1e-9)  # (B, 12)
    low = bass / np.maximum(bass.sum(axis=1, keepdims=True), 1e-9)
    heard = np.minimum(share / _PRESENT, 1.0)
    score = 2 * share @ _TONES.T - (1 - heard) @ _ABSENCE.T - _PRICE  # (B, K)
    score += _BASS * low[:, _NAMES // len(_SUFFIXES)]
    best = _NAMES[np.argmax(score, axis=1)]
    silent = total[:, 0] <= 0
    roots = np.where(silent, 0, best // len(_SUFFIXES)).astype(np.int8)
    codes = np.where(silent, 0, best % len(_SUFFIXES)).astype(np.int8)
    return roots, codes


#: The chords that harmonise a melody, and how well each stands alone.
_DEGREES = {
    "major": {"I": 0.3, "ii": 0.0, "iii": -0.5, "IV": 0.1, "V": 0.25, "vi": 0.0, "viio": -0.4},
    "minor": {"i": 0.3, "iio": -0.4, "III": 0.0, "iv": 0.1, "V": 0.25, "VI": 0.0, "VII": -0.1},
}

#: What a root motion of so many semitones upwards earns: down a fifth (5) is the best.
_MOTION = (0.2, -0.3, 0.1, -0.3, -0.3, 0.6, -0.3, 0.2, -0.3, 0.1, 0.1, -0.3)


def infer_chords(
    events: Sequence[int], low: int, mode: str, meter: str, steps_per_beat: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (roots, codes), one a beat, of chords that fit a melody in C major or A minor.

    The chord changes on strong beats only (every two beats in 4/4, every bar in 3/4). The
    sequence of diatonic triads is the best one (Viterbi) for the time that melody tones lie in
    the chord, root motions by fifth, and a tonic at the end. A bar without a note goes on with
    the chord beside it.

    Raises:
        ValueError: the mode or the meter is unknown.
    """
    if mode not in _DEGREES or meter not in METERS:
        raise ValueError(f"mode {mode!r} or meter {meter!r} is unknown.")
    key = Key.parse("C major" if mode == "major" else "A minor")
    degrees = _DEGREES[mode]
    chords = [parse_chord(numeral, key) for numeral in degrees]
    span = METERS[meter].strong_every * steps_per_beat
    spans = -(-len(events) // span)
    sounding = np.zeros((spans, 12))
    for note in to_notes(events, low):
        for step in range(note.onset, note.onset + note.duration):
            first = step % span == 0 or step == note.onset and step % steps_per_beat == 0
            sounding[step // span, note.pitch % 12] += 1.5 if first else 1.0
    sounding *= 2 / (span + 1)
    tones = np.array([[p in chord.pitch_classes for p in range(12)] for chord in chords])
    fit = 0.8 * sounding @ (2.0 * tones.T - 1) + np.array(list(degrees.values()))  # (S, K)
    fit[-1, 0] += 1.5
    roots = np.array([chord.root for chord in chords])
    motion = (roots[None, :] - roots[:, None]) % 12  # (from, to)
    step_score = np.array(_MOTION)[motion]
    best, came = fit[0], np.zeros((spans, len(chords)), dtype=np.intp)
    for s in range(1, spans):
        score = best[:, None] + step_score
        came[s] = score.argmax(axis=0)
        best = score.max(axis=0) + fit[s]
    path = [int(best.argmax())]
    for s in range(spans - 1, 0, -1):
        path.append(int(came[s, path[-1]]))
    beats = len(events) // steps_per_beat
    every = METERS[meter].strong_every
    picked = [chords[path[::-1][beat // every]] for beat in range(beats)]
    return tuple(c.root for c in picked), tuple(c.code for c in picked)
