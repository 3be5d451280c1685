"""The seven rules once more, slowly, from the text: a second opinion on whole melodies.

It shares no code with the environment. It looks at a finished melody as a list of events and at
the chord of each step as a tuple of pitch classes (empty = no chord).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

STRONG = {"2/4": {1}, "3/4": {1}, "4/4": {1, 3}, "6/8": {1, 4}}
BEATS = {"2/4": 2, "3/4": 3, "4/4": 4, "6/8": 6}
EXTRAS = {  # (first extra, chord tone before it), (later extra, chord tone after one)
    "prose": ((0.5, -0.4), (-0.5, 0.0)),
    "formula": ((-0.4, 0.5), (-0.5, 0.0)),
    "lenient": ((0.0, 0.0), (-0.5, 0.0)),
}


@dataclass
class Piece:
    """A finished melody and what it stands over."""

    events: list[int]
    chords: list[tuple[int, ...]]
    low: int
    comfort: tuple[int, int]
    tonic: int
    meter: str
    grid: int
    scoring: str

    def __post_init__(self) -> None:
        """Read the melody as music: a hold in silence is a rest."""
        literal = self.scoring == "literal"
        self.sounding: list[int | None] = []  # the pitch that sounds, or is taken to, or None
        self.struck: list[bool] = []
        ringing: int | None = None
        for t, event in enumerate(self.events):
            if event == 0 and ringing is None:
                self.events[t] = event = 1
            ringing = self.low + event - 2 if event >= 2 else ringing if event == 0 else None
            self.sounding.append(self.low + event - 2 if literal else ringing)
            self.struck.append(literal or event >= 2)

    @property
    def steps(self) -> range:
        return range(len(self.events))

    def beat(self, t: int) -> int | None:
        """Return the beat that starts at a step, from 1, or None."""
        place = t % (BEATS[self.meter] * self.grid)
        return place // self.grid + 1 if place % self.grid == 0 else None

    def strong(self, t: int) -> bool:
        return self.beat(t) in STRONG[self.meter]

    def tone(self, t: int) -> bool:
        """Tell whether what sounds at a step is a tone of its chord."""
        pitch = self.sounding[t]
        real = self.scoring != "literal" or self.events[t] >= 2
        return real and pitch is not None and pitch % 12 in self.chords[t]

    def judged(self, t: int) -> bool:
        return self.struck[t] if self.scoring == "onset" else self.sounding[t] is not None

    def silent(self, t: int, rest: float) -> float:
        return rest if self.sounding[t] is None else 0.0


def chord_tone(p: Piece, rest: float = 0.0) -> list[float]:
    """Eq. 2."""

    def value(t: int) -> float:
        if not p.strong(t) or not p.chords[t]:
            return 0.0
        return (0.6 if p.tone(t) else -1.0) if p.judged(t) else p.silent(t, rest)

    return [value(t) for t in p.steps]


def non_chord_tone(p: Piece, reading: str = "prose", scope: str = "bar") -> list[float]:
    """Eq. 3."""
    bar = BEATS[p.meter] * p.grid

    def weak(t: int) -> bool:
        return p.struck[t] and not p.strong(t) and bool(p.chords[t])

    def used(t: int) -> bool:
        if scope == "bar":
            return any(weak(u) and not p.tone(u) for u in range(t - t % bar, t))
        beats = [u for u in range(t) if p.beat(u) and not p.strong(u)]
        if not beats:
            return False
        u = beats[-1]
        return p.sounding[u] is not None and bool(p.chords[u]) and not p.tone(u)

    return [EXTRAS[reading][used(t)][p.tone(t)] if weak(t) else 0.0 for t in p.steps]


def median_line(p: Piece, reach: int = 5, rest: float = 0.0) -> list[float]:
    """Eq. 4 in expectation."""
    middle = Fraction(sum(p.comfort), 2)

    def nearest(tone: int) -> int:
        return min(range(tone, 128, 12), key=lambda pitch: (abs(pitch - middle), pitch))

    def value(t: int) -> float:
        pitch = p.sounding[t]
        if not p.chords[t]:
            return 0.0
        if not p.judged(t) or pitch is None:
            return p.silent(t, rest)
        each = [0.4 if abs(pitch - nearest(tone)) <= reach else -0.2 for tone in p.chords[t]]
        return sum(each) / len(each)

    return [value(t) for t in p.steps]


def notes_before(p: Piece, t: int) -> list[int]:
    return [pitch for u in range(t) if p.struck[u] and (pitch := p.sounding[u]) is not None]


def repetition(p: Piece, max_run: int = 3) -> list[float]:
    """Eq. 5."""

    def value(t: int) -> float:
        if not p.struck[t]:
            return 0.0
        last = notes_before(p, t)[-max_run:]
        return -0.6 if last == [p.sounding[t]] * max_run else 0.0

    return [value(t) for t in p.steps]


def octave_leap(p: Piece, reach: int = 10, rest: float = 0.0) -> list[float]:
    """Eq. 6."""

    def value(t: int) -> float:
        pitch = p.sounding[t]
        if pitch is None:
            return rest
        if not p.struck[t]:
            return 0.3 if p.scoring == "time" else 0.0
        before = notes_before(p, t)
        if not before:
            return 0.0
        return 0.3 if abs(pitch - before[-1]) <= reach else -0.5

    return [value(t) for t in p.steps]


def pitch_range(p: Piece, rest: float = 0.0) -> list[float]:
    """Eq. 7."""
    low, high = p.comfort

    def value(t: int) -> float:
        pitch = p.sounding[t]
        if not p.judged(t) or pitch is None:
            return p.silent(t, rest)
        return 0.1 if low <= pitch <= high else -0.6

    return [value(t) for t in p.steps]


def final_tonic(p: Piece) -> list[float]:
    """Eq. 8."""
    last = p.events[-1:] if p.scoring == "literal" else [e for e in p.events if e >= 2][-1:]
    good = bool(last) and last[0] >= 2 and (p.low + last[0] - 2) % 12 == p.tonic
    return [0.0] * (len(p.events) - 1) + [0.8 if good else -0.6]
