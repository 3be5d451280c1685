"""RL Tuner: begin on the tonic, and end on a held one."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class TonicStartEnd(Rule):
    r"""Pays for the tonic struck at the first step, and struck and held in the last beat.

    .. math:: 3 \text{ at the first step and at the start of the last beat, if the tonic is struck;
        at the step after it if it is a hold; at the steps after that, if a hold or a rest}

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [0, 3].
    At four steps a beat it pays at most five times, 15 in all; at fewer the last beat has fewer
    steps. Silent on: all other steps.
    Departs from it: the key's tonic in any octave. With ``any_octave=False`` only the one between
    12 and 23 semitones above the lowest pitch, as the code: C4 of C3 to B5.

    >>> TonicStartEnd()(Moment.example(step=0, degree=0))
    3.0
    """

    tonic: float = 3.0
    any_octave: bool = True

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        in_octave = (m.event >= 14) & (m.event < 26)
        tonic = (m.event > 1) & (m.degree == 0) & (in_octave | self.any_octave)
        begins = (m.step == 0) | (m.last_beat & m.beat_starts)
        held = m.last_beat & (m.step_in_beat == 1) & (m.event == 0)
        let_go = m.last_beat & (m.step_in_beat > 1) & (m.event < 2)
        return where((begins & tonic) | held | let_go, self.tonic, 0.0)
