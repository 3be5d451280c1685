"""Pieces: a batch of melodies as arrays, what every metric reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Episodes
from musicgym.events import FIRST_NOTE, HOLD
from musicgym.melody import Melody
from musicgym.meters import METERS
from musicgym.theory import SCALES

__all__ = ["Line", "Pieces"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """The notes of N melodies, at most M each, in order and filled up on the right.

    Attributes:
        count: (N,) the notes of each melody.
        present: (N, M) whether there is a note; the rest of a row is filling.
        pitch: (N, M) struck pitches, 0 where there is no note.
        onset: (N, M) the step each is struck at, T where there is no note.
        duration: (N, M) steps that each sounds, 0 where there is no note.
        interval: (N, M - 1) semitones to the note after, 0 where there is none.
        lowest: (N,) the lowest pitch, 0 without a note.
        highest: (N,) the highest pitch, 0 without a note.
    """

    count: Ints
    present: Bools
    pitch: Ints
    onset: Ints
    duration: Ints
    interval: Ints
    lowest: Ints
    highest: Ints


@dataclass(frozen=True)
class Pieces:
    """N melodies of T steps.

    Attributes:
        events: (N, T) of the alphabet in `musicgym.events`.
        low: (N,) the pitch of event 2.
        tonic: (N,) pitch class of the tonic.
        minor: (N,) whether the mode is minor.
        masks: (N, T) chord tones as 12 bits of absolute pitch classes, 0 = no chord.
        meter: a name of `musicgym.meters.METERS`.
        steps_per_beat: grid slots a beat; a beat is the meter's denominator.
    """

    events: Ints
    low: Ints
    tonic: Ints
    minor: Bools
    masks: Ints
    meter: str = "4/4"
    steps_per_beat: int = 2

    @staticmethod
    def of(melodies: Sequence[Melody]) -> Pieces:
        """Gather melodies of one length, meter and grid."""
        if len({(len(m.events), m.meter, m.steps_per_beat) for m in melodies}) != 1:
            raise ValueError(
                "metrics: melodies of one length, meter and grid are needed, at least one."
            )
        masks = [np.repeat([c.mask for c in m.chords], m.steps_per_chord) for m in melodies]
        return Pieces(
            np.array([m.events for m in melodies], dtype=np.int64),
            np.array([m.low for m in melodies], dtype=np.int64),
            np.array([m.key.tonic for m in melodies], dtype=np.int64),
            np.array([m.key.minor for m in melodies], dtype=np.bool_),
            np.array(masks, dtype=np.int64),
            melodies[0].meter,
            melodies[0].steps_per_beat,
        )

    @staticmethod
    def over(
        episodes: Episodes, events: npt.ArrayLike, low: int, meter: str, steps_per_beat: int
    ) -> Pieces:
        """Return melodies (N, t) in their episodes, whole or as far as they are composed."""
        played = np.asarray(events).astype(np.int64)
        tonic, mode, masks = (
            np.asarray(part).astype(np.int64)
            for part in (episodes.tonic, episodes.mode, episodes.masks[:, : played.shape[1]])
        )
        up = tonic[:, None]  # the chords' masks are above the tonic
        absolute = (masks << up | masks >> 12 - up) & 4095
        lowest = np.full(len(played), low)
        return Pieces(played, lowest, tonic, mode == 1, absolute, meter, steps_per_beat)

    @property
    def steps_per_bar(self) -> int:
        """Grid slots a bar."""
        return METERS[self.meter].beats * self.steps_per_beat

    @property
    def quarters_per_step(self) -> float:
        """The length of a grid slot in quarter notes."""
        return 4 / METERS[self.meter].unit / self.steps_per_beat

    @property
    def bars(self) -> int:
        """The number of bars; the last may be incomplete."""
        return int(-(-self.events.shape[1] // self.steps_per_bar))

    @cached_property
    def onsets(self) -> Bools:
        """(N, bars, steps a bar) where notes are struck; an incomplete last bar ends in silence."""
        whole = np.zeros((len(self.events), self.bars * self.steps_per_bar), np.bool_)
        whole[:, : self.events.shape[1]] = self.struck
        return whole.reshape(len(self.events), self.bars, self.steps_per_bar)

    @cached_property
    def struck(self) -> Bools:
        """(N, T) whether a note is struck."""
        return self.events >= FIRST_NOTE

    @cached_property
    def _last(self) -> Ints:
        """(N, T) the step of the last event that is not a hold, -1 before the first."""
        steps = np.where(self.events != HOLD, np.arange(self.events.shape[1]), -1)
        return np.maximum.accumulate(steps, axis=1)

    @cached_property
    def sounding(self) -> Bools:
        """(N, T) whether a note sounds."""
        return np.take_along_axis(self.struck, np.maximum(self._last, 0), 1) & (self._last >= 0)

    @cached_property
    def pitch(self) -> Ints:
        """(N, T) the sounding pitch, 0 in silence."""
        events = np.take_along_axis(self.events, np.maximum(self._last, 0), 1)
        return np.where(self.sounding, events - FIRST_NOTE + self.low[:, None], 0)

    @cached_property
    def in_scale(self) -> Bools:
        """(N, T) whether the pitch class is in the key; in minor with the raised 6th and 7th."""
        scales = np.zeros((2, 12), np.bool_)
        scales[0, list(SCALES["major"])] = True
        scales[1, [*SCALES["minor"], 9, 11]] = True
        degree = (self.pitch - self.tonic[:, None]) % 12
        inside: Bools = scales[self.minor.astype(np.int64)[:, None], degree]
        return inside

    @cached_property
    def line(self) -> Line:
        """The notes as arrays, at least one column wide."""
        steps = self.events.shape[1]
        count = self.struck.sum(1)
        present = np.arange(max(1, count.max(initial=0))) < count[:, None]  # (N, M)
        order = np.cumsum(self.struck, 1) - 1  # (N, T) the number of the last note struck
        piece, step = np.nonzero(self.struck)
        place = (piece, order[self.struck])
        pitch, onset = np.zeros(present.shape, np.int64), np.full(present.shape, steps)
        pitch[place], onset[place] = self.pitch[self.struck], step
        duration = np.zeros(present.shape, np.int64)
        np.add.at(duration, (np.nonzero(self.sounding)[0], order[self.sounding]), 1)
        interval = np.where(present[:, 1:], np.diff(pitch, axis=1), 0)
        lowest = np.where(present, pitch, 2**31).min(1) * (count > 0)
        return Line(count, present, pitch, onset, duration, interval, lowest, pitch.max(1))

    @cached_property
    def notes(self) -> list[Ints]:
        """The pitches struck, in order, for each melody."""
        return [p[s] for p, s in zip(self.pitch, self.struck, strict=True)]
