"""Batches of melodies written as note names, for the tests of metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from playing import spelt

from musicgym.benchmarks.metrics import Pieces
from musicgym.melody import Melody
from musicgym.theory import Key, parse_progression

MAJOR, MINOR = Key.parse("C major"), Key.parse("A minor")


def melody(text: str, key: Key = MAJOR, chords: str = "C", low: int = 48, **grid: Any) -> Melody:
    """Return a melody over chords that share it evenly; `grid`: meter, steps_per_beat."""
    return Melody(tuple(spelt(text, low)), low, key, parse_progression(chords, key), **grid)


def pieces(*texts: str, **given: Any) -> Pieces:
    """Return melodies of one length."""
    return Pieces.of([melody(text, **given) for text in texts])


def random_melodies(
    size: int, bars: int = 4, seed: int = 0, key: Key = MAJOR, chords: str = "C Am F G"
) -> list[Melody]:
    """Return melodies of eighth notes in 4/4: leaps, repeated notes, holds and rests."""
    rng = np.random.default_rng(seed)
    walk = 60 + np.cumsum(rng.integers(-3, 4, (size, 8 * bars)), 1).clip(-12, 23)
    kind = rng.random((size, 8 * bars))
    events = np.where(kind < 0.6, walk - 48 + 2, np.where(kind < 0.85, 0, 1))
    spans = parse_progression(chords, key)
    return [Melody(tuple(row.tolist()), 48, key, spans) for row in events]


def close(values: Any, *expected: float) -> None:
    """Assert that values are those expected, NaN included."""
    np.testing.assert_allclose(np.atleast_1d(values), expected, atol=1e-12)
