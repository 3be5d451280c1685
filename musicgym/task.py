"""Task: all that fixes an episode, frozen and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .events import FIRST_NOTE
from .meters import GRIDS, METERS
from .progressions import COMMON, FORMS, SETS
from .theory import (
    MODES,
    QUALITIES,
    Chord,
    Key,
    closest,
    parse_pitch,
    parse_progression,
    usual_key,
)

__all__ = ["ProgressionTable", "Task"]

Ints = npt.NDArray[np.int64]
#: Keys that are drawn in each episode, and the code of the tonic that stands for them.
DRAWN_KEYS = {"random": -1, "natural": -2}
_REFERENCE = {"major": usual_key(0, "major"), "minor": usual_key(9, "minor")}


class ProgressionTable(NamedTuple):
    """Chords of P progressions over S equal spans, major rows first.

    Attributes:
        roots: (P, S) semitones of the root above the tonic.
        codes: (P, S) places in `theory.QUALITIES`; 0 = no chord.
        masks: (P, S) chord tones above the tonic as 12 bits.
        major_rows: how many rows are in major; the others are in minor.
    """

    roots: Ints
    codes: Ints
    masks: Ints
    major_rows: int


@dataclass(frozen=True)
class Task:
    """What fixes an episode of melody composition.

    Attributes:
        key: a key; ``"random"`` (tonic and mode drawn each episode); or ``"natural"`` (C major or
            A minor, drawn: the keys that a corpus is transposed to).
        progression: roman numerals or chord symbols as text or a list; ``"random"`` (drawn from
            common progressions of the key's mode); ``"set:jazz/train"`` (drawn from a named set,
            see `progressions.SETS`); or ``"corpus:NAME/SPLIT"``, drawn from a corpus, if need be
            joined to a form (see `progressions.FORMS`): ``"corpus:NAME/SPLIT/turn"``.
        meter: ``"2/4"``, ``"3/4"``, ``"4/4"`` or ``"6/8"``.
        bars: bars an episode, 1 to 128.
        steps_per_beat: grid slots a beat: 1, 2 or 4. A beat is the meter's denominator.
        chords_per_bar: chords a bar; None = one, or one a beat with a corpus.
        pitch_range: lowest and highest pitch, at least an octave apart.
        tessitura: the comfortable part of the range (Eq. 7); None = low + 9 to high - 2.

    >>> Task(bars=4, meter="3/4").steps
    24

    Raises:
        ValueError: a field is out of its range; the message says what is allowed.
    """

    key: str = "C major"
    progression: str | Sequence[str] = "I V vi IV"
    meter: str = "4/4"
    bars: int = 8
    steps_per_beat: int = 2
    chords_per_bar: int | None = None
    pitch_range: Sequence[str | int] = ("C3", "B5")
    tessitura: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        if self.key not in DRAWN_KEYS:
            Key.parse(self.key)
        if self.meter not in list(METERS):
            raise ValueError(
                f"meter: {self.meter!r} is not one of {', '.join(METERS)}"
                f"{closest(self.meter, METERS) or '.'}"
            )
        _check_integer("bars", self.bars, 1, 128)
        if type(self.steps_per_beat) is not int or self.steps_per_beat not in GRIDS:
            raise ValueError(
                f"steps_per_beat: {self.steps_per_beat!r} is not one of 1, 2, 4 (slots a beat)."
            )
        if not isinstance(self.progression, str):
            if not isinstance(self.progression, Sequence):
                raise ValueError(
                    f"progression: {self.progression!r} is not chords as text or a list, 'random' "
                    f"or 'corpus:NAME/SPLIT'."
                )
            object.__setattr__(self, "progression", tuple(self.progression))
        for name in ("pitch_range", "tessitura"):
            pair = getattr(self, name)
            if pair is not None or name == "pitch_range":
                if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
                    raise ValueError(f"{name}: {pair!r} is not a pair of pitches, lowest first.")
                object.__setattr__(self, name, tuple(pair))
        if self.high - self.low < 12:
            raise ValueError(
                f"pitch_range: {tuple(self.pitch_range)!r} spans {self.high - self.low} semitones; "
                f"the lowest pitch comes first and the range is at least an octave (12)."
            )
        low, high = self.comfortable
        if not self.low <= low <= high <= self.high:
            raise ValueError(
                f"tessitura: {low} to {high} is not within the range {self.low} to {self.high}."
            )
        self._check_name()
        if self.chords_per_bar is not None:
            _check_integer("chords_per_bar", self.chords_per_bar, 1, self.steps_per_bar)
            if self.corpus and self.chords_per_bar != self.spans_per_bar:
                raise ValueError(
                    f"chords_per_bar: a corpus has a chord a beat, {self.spans_per_bar} a bar of "
                    f"{self.meter}, not {self.chords_per_bar}; leave it out."
                )
        if self.steps_per_bar % self.spans_per_bar:
            raise ValueError(
                f"chords_per_bar: {self.spans_per_bar} does not divide the {self.steps_per_bar} "
                f"steps of a bar evenly."
            )
        if not self.drawn:
            for mode in self.modes:  # the text is read now, so that a mistake shows now
                self.spans(self.progression, mode)

    @cached_property
    def low(self) -> int:
        """The lowest pitch as a MIDI number."""
        return parse_pitch(self.pitch_range[0])

    @cached_property
    def high(self) -> int:
        """The highest pitch as a MIDI number."""
        return parse_pitch(self.pitch_range[1])

    @cached_property
    def n_events(self) -> int:
        """The size of the event alphabet."""
        return self.high - self.low + 1 + FIRST_NOTE

    @cached_property
    def comfortable(self) -> tuple[int, int]:
        """The tessitura as MIDI numbers."""
        if self.tessitura is None:
            return self.low + 9, self.high - 2
        return parse_pitch(self.tessitura[0]), parse_pitch(self.tessitura[1])

    @cached_property
    def steps_per_bar(self) -> int:
        """Grid slots a bar."""
        return METERS[self.meter].beats * self.steps_per_beat

    @cached_property
    def steps(self) -> int:
        """Grid slots an episode (T)."""
        return self.bars * self.steps_per_bar

    @property
    def corpus(self) -> tuple[str, str] | None:
        """Name and split of the corpus that progressions are drawn from, or None."""
        if isinstance(self.progression, str) and self.progression.startswith("corpus:"):
            name, _, rest = self.progression.removeprefix("corpus:").partition("/")
            return name, rest.partition("/")[0] or "train"
        return None

    @property
    def form(self) -> str:
        """The form that windows of the corpus are joined to, or an empty string."""
        return "/".join(str(self.progression).split("/")[2:]) if self.corpus else ""

    @property
    def drawn(self) -> bool:
        """Whether each episode draws its progression, from a table of its mode."""
        return self.progression == "random" or bool(self.corpus) or self._named

    @property
    def _named(self) -> bool:
        return isinstance(self.progression, str) and self.progression.startswith("set:")

    @cached_property
    def change(self) -> int | None:
        """The step at which the key of the chords changes, None where it does not."""
        parts = FORMS.get(self.form, ())
        whole, before = sum(part.last - part.first for part in parts), 0
        for part in parts:
            if part.up:
                return before * self.steps // whole
            before += part.last - part.first
        return None

    @property
    def spans_per_bar(self) -> int:
        """Chords a bar."""
        if self.corpus:
            return METERS[self.meter].beats
        return self.chords_per_bar or 1

    @property
    def steps_per_chord(self) -> int:
        """Grid slots a chord."""
        return self.steps_per_bar // self.spans_per_bar

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that an episode may be in."""
        return MODES if self.key in DRAWN_KEYS else (Key.parse(self.key).mode,)

    def reference(self, mode: str) -> Key:
        """Return the key in which a progression's text is read."""
        return _REFERENCE[mode] if self.key in DRAWN_KEYS else Key.parse(self.key)

    def spans(
        self, progression: str | Sequence[str], mode: str, key: Key | None = None
    ) -> tuple[list[int], list[int], list[int]]:
        """Return a progression's roots, quality codes and masks, relative to the tonic, repeated.

        Raises:
            ValueError: a chord is unknown, or the chords do not divide the bars evenly.
        """
        key = key or self.reference(mode)
        chords = parse_progression(progression, key)
        total = self.bars * self.spans_per_bar
        if total % len(chords):
            raise ValueError(
                f"progression: {len(chords)} chords do not divide {self.bars} bars of "
                f"{self.spans_per_bar} chords evenly ({total} chords); change the progression, "
                f"bars or chords_per_bar."
            )
        chords = tuple(c.transposed(-key.tonic) for c in chords) * (total // len(chords))
        return [c.root for c in chords], [c.code for c in chords], [c.mask for c in chords]

    @cached_property
    def table(self) -> ProgressionTable:
        """The progressions that an episode's may be drawn from."""
        rows: dict[str, list[Any]] = {"major": [], "minor": []}
        if self.corpus:
            rows = self._corpus_rows(*self.corpus)
        elif self.drawn:
            known = COMMON if self.progression == "random" else SETS[str(self.progression)[4:]]
            for mode in MODES:
                rows[mode] = [
                    self.spans(self._fitted(text), mode, _REFERENCE[mode]) for text in known[mode]
                ]
        else:
            rows |= {mode: [self.spans(self.progression, mode)] for mode in self.modes}
        if not any(rows[mode] for mode in self.modes):
            raise ValueError(
                f"progression: {self.progression!r} has none of {self.bars} bars of {self.meter} "
                f"in {' or '.join(self.modes)}."
            )
        stacked = np.array(rows["major"] + rows["minor"], dtype=np.int64)  # (P, 3, S)
        return ProgressionTable(
            stacked[:, 0], stacked[:, 1], stacked[:, 2], major_rows=len(rows["major"])
        )

    def _corpus_rows(self, name: str, split: str) -> dict[str, list[Any]]:
        """Return the distinct chord rows of a corpus's windows by mode."""
        from .corpus.dataset import load  # reads the cache: only when asked for
        from .corpus.forms import formed

        corpus = load(name, steps_per_beat=self.steps_per_beat)
        cut = formed(corpus, split, self.form, bars=self.bars, meter=self.meter)
        rows: dict[str, list[Any]] = {}
        for place, mode in enumerate(MODES):
            some = cut.modes == place
            tonic = _REFERENCE[mode].tonic
            chords = np.stack([cut.roots[some], cut.codes[some]], axis=1).astype(np.int64)
            roots, codes = np.unique(chords, axis=0).transpose(1, 0, 2)  # (P, beats) each
            roots = np.where(codes > 0, (roots - tonic) % 12, 0)
            masks = chord_masks(roots, codes)
            rows[mode] = list(np.stack([roots, codes, masks], axis=1))
        return rows

    def _check_name(self) -> None:
        """Raise a ValueError where there is no such set, or no such form."""
        word, name = "form", self.form
        known: dict[str, Any] = {"": (), **FORMS}
        if self._named:
            word, name, known = "set", str(self.progression)[4:], {**SETS}
        if name not in known:
            raise ValueError(
                f"progression: {self.progression!r}: there is no {word} {name!r}"
                f"{closest(name, known)}; there are {', '.join(filter(None, known))}."
            )

    def _fitted(self, text: str) -> Sequence[str]:
        """Cut a progression so that it divides the bars."""
        chords, total = text.split(), self.bars * self.spans_per_bar
        while total % len(chords):
            chords = chords[:-1]
        return chords


def chord_masks(roots: Ints, codes: Ints) -> Ints:
    """Return the tones of chords as 12 bits from their roots and quality codes."""
    table = [[Chord.of(root, code).mask for code in range(len(QUALITIES))] for root in range(12)]
    masks: Ints = np.array(table, dtype=np.int64)[roots, codes]
    return masks


def _check_integer(name: str, value: object, least: int, most: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= int(str(value)) <= most:
        raise ValueError(f"{name}: {value!r} is not a whole number from {least} to {most}.")
