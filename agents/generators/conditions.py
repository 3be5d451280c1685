"""Conditions: what a melody is composed under, and melodies moved, cut and heard anew.

A condition is a style, a metre, a key and chords. Key and chords are in the observation; style and
metre are labels. Whatever changes a melody here (another key, an excerpt, no chords) is played
again by the environment's own text, so that its observations are those of a play.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from musicgym.agents.lessons import Act, Lessons, episodes_in, perform
from musicgym.dynamics import Episodes
from musicgym.events import FIRST_NOTE, HOLD
from musicgym.task import Task, chord_masks

__all__ = [
    "Frame",
    "Scenes",
    "excerpt",
    "heard_again",
    "keys_of",
    "perform_in",
    "stage",
    "transposed",
]

#: The lowest pitch of a `stage`: a C, so that the tonic is that of the observation.
LOWEST = 12


class Scenes(NamedTuple):
    """Melodies of one metre and length with their labels.

    Attributes:
        observation: uint8 (N, T, F).
        events: int64 (N, T).
        labels: float32 (N, S + M), one-hot of the style and of the metre.
    """

    observation: Tensor
    events: Tensor
    labels: Tensor

    @property
    def lessons(self) -> Lessons:
        """The same without labels."""
        return Lessons(self.observation, self.events)


class Frame(nn.Module):
    r"""Events counted from the tonic, so that a melody and its transpositions are one.

    .. math:: e' = e - o + 5, \quad o = (\tau - h + 6) \bmod 12 - 6

    o is from -6 to 5: the semitones from the corpus's key (C major or A minor, h above the lowest
    pitch) to the observation's tonic tau. Holds and rests stay what they are. The new alphabet has
    11 events more. The tonic itself stays in the observation.
    """

    home: Tensor

    def __init__(self, sizes: dict[str, int], n_events: int) -> None:
        """Take the parts of an observation and the number of events (A).

        Raises:
            ValueError: the observation tells no key or no chords.
        """
        super().__init__()
        missing = [n for n in ("event", "pitch", "tonic", "mode", "root") if n not in sizes]
        if missing:
            raise ValueError(
                f"sizes: the observation has {', '.join(sizes)}, and conditions need also "
                f"{', '.join(missing)}."
            )
        self.names, self.n_events = tuple(sizes), n_events
        self.register_buffer("home", torch.tensor(0))

    @property
    def alphabet(self) -> int:
        """How many events there are in the frame (A + 11)."""
        return self.n_events + 11

    def sizes(self, sizes: dict[str, int]) -> dict[str, int]:
        """Return the sizes of an observation's parts in the frame."""
        return {**sizes, "event": sizes["event"] + 11, "pitch": sizes["pitch"] + 11}

    def part(self, observation: Tensor, name: str) -> Tensor:
        """Return a part of an observation, int64 (...)."""
        return observation[..., self.names.index(name)].long()

    def shift(self, observation: Tensor) -> Tensor:
        """Return 5 - o for each observation, int64 (...), from 0 to 11."""
        home = self.home + 9 * self.part(observation, "mode")
        return 11 - (self.part(observation, "tonic") - home + 6) % 12

    def enter(self, observation: Tensor) -> Tensor:
        """Return observations uint8 (..., F) in the frame."""
        shift = self.shift(observation).to(torch.uint8)
        moved = observation.clone()
        for name, first in (("event", FIRST_NOTE), ("pitch", 1)):
            column = self.names.index(name)
            before = observation[..., column]
            moved[..., column] = before + shift * (before >= first)
        return moved

    def places(self, shift: Tensor) -> Tensor:
        """Return the place in the frame of each event, int64 (B, A), from shifts (B,)."""
        events = torch.arange(self.n_events, device=shift.device)
        return events + shift[:, None] * (events >= FIRST_NOTE)

    def rows(self, sizes: Tensor, shift: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return how a table over the frame's parts is read outside it, under a shift.

        Args:
            sizes: int64 (F,) of the parts in the frame.
            shift: from 0 to 11.

        Returns:
            The first row (F,) and the largest value (F,) of each part outside the frame, and the
            row in the frame (R,) of each row outside.
        """
        struck = {"event": FIRST_NOTE, "pitch": 1}
        starts, places = (sizes.cumsum(0) - sizes).tolist(), []
        for name, start, size in zip(self.names, starts, sizes.tolist(), strict=True):
            values = torch.arange(size - 11 if name in struck else size)
            moved = values + shift * (values >= struck[name]) if name in struck else values
            places.append(start + moved)
        outside = torch.tensor([len(part) for part in places])
        return outside.cumsum(0) - outside, outside - 1, torch.cat(places)

    def leave(self, logits: Tensor, observation: Tensor) -> Tensor:
        """Return the logits (B, T, A) of events from those of the frame (B, T, A + 11)."""
        places = self.places(self.shift(observation[:, 0]))
        return logits.gather(-1, places[:, None].expand(-1, logits.shape[1], -1))

    def events(self, events: Tensor, shift: Tensor) -> Tensor:
        """Return events int64 (B, T) in the frame, under shifts (B,)."""
        return events + shift[:, None] * (events >= FIRST_NOTE)


@cache
def stage(metre: str, bars: int, steps_per_beat: int, n_events: int) -> Task:
    """Return the task in which melodies of a metre and length are heard, from pitch 12 up."""
    high = LOWEST + n_events - FIRST_NOTE - 1
    return Task("natural", "random", metre, bars, steps_per_beat, pitch_range=(LOWEST, high))


def perform_in(scenes: Lessons | Scenes, task: Task, act: Act) -> Lessons:
    """Play events over the keys and chords of scenes; see `musicgym.agents.lessons.perform`."""
    heard = perform(episodes_in(Lessons(*scenes[:2]), task), task, act)
    return Lessons(*(part.to(scenes[0].device) for part in heard))


def heard_again(scenes: Scenes, task: Task, tonic: Tensor, bare: Tensor | None = None) -> Scenes:
    """Return scenes as they are heard in other keys, or without chords.

    Args:
        scenes: with the events to be heard; of their observations only mode and chords count.
        task: of their metre and length, see `stage`.
        tonic: int64 (N,) the tonic above the lowest pitch.
        bare: bool (N,) whose chords are withheld.
    """
    now = episodes_in(scenes.lessons, task)
    roots, codes = now.roots, now.codes
    if bare is not None:
        kept = ~bare.cpu().numpy()[:, None]
        roots, codes = roots * kept, codes * kept
    there = Episodes(
        tonic.cpu().numpy(), now.mode, roots, codes, chord_masks(roots, codes), now.key
    )
    events = scenes.events.cpu().numpy()
    heard = perform(there, task, lambda t, _: events[:, t])
    device = scenes.events.device
    return Scenes(heard.observation.to(device), heard.events.to(device), scenes.labels)


def transposed(scenes: Scenes, frame: Frame) -> tuple[Scenes, Tensor]:
    """Return scenes with their events moved by up to half an octave, and their new tonics (N,).

    Every move that stays in the range is as likely. The observations are still the old ones.
    """
    least, most = _moves(scenes, frame)
    drawn = torch.rand(len(least), device=least.device)
    by = least + (drawn * (most - least + 1)).long()
    tonic = (frame.part(scenes.observation[:, 0], "tonic") + by) % 12
    moved = scenes.events + by[:, None] * (scenes.events >= FIRST_NOTE)
    return scenes._replace(events=moved), tonic


def keys_of(scenes: Scenes, frame: Frame) -> Tensor:
    """Return which keys `transposed` may move scenes to, bool (2, 12): mode, then tonic."""
    least, most = _moves(scenes, frame)
    tonic, mode = (frame.part(scenes.observation[:, 0], part) for part in ("tonic", "mode"))
    found = torch.zeros(2, 12, dtype=torch.bool)
    for by in range(-6, 6):
        there = (least <= by) & (by <= most)
        found[mode[there], (tonic[there] + by) % 12] = True
    return found


def _moves(scenes: Scenes, frame: Frame) -> tuple[Tensor, Tensor]:
    """Return the semitones (N,) that scenes can go down, from -6, and up, to 5."""
    notes = scenes.events >= FIRST_NOTE
    lowest = torch.where(notes, scenes.events, frame.n_events).amin(1)
    least = (FIRST_NOTE - lowest).clamp(min=-6)
    most = (frame.n_events - 1 - scenes.events.amax(1)).clamp(max=5)
    return least, most


def excerpt(scenes: Scenes, frame: Frame, bars: int, of: int) -> Scenes:
    """Return so many bars of each scene: of two drawn places the one with fewer notes.

    A note held over from before is struck at the start. The observations are those of the whole
    but for the bars that are left, so the excerpt must be heard again.

    Args:
        scenes: of `of` bars.
        frame: reads the observations.
        bars: how many are kept.
        of: how many there are.
    """
    if bars >= of:
        return scenes
    size, steps = scenes.events.shape
    width = steps // of
    device = scenes.events.device
    starts = width * torch.randint(of - bars + 1, (2, size), device=device)
    rows = starts[..., None] + torch.arange(width * bars, device=device)  # (2, N, t)
    cut = scenes.events.expand(2, -1, -1).gather(2, rows)
    fewer = (cut >= FIRST_NOTE).sum(-1).argmin(0)  # (N,)
    every = torch.arange(size, device=device)
    rows, events = rows[fewer, every], cut[fewer, every]
    seen = scenes.observation.gather(
        1, rows[..., None].expand(-1, -1, scenes.observation.shape[-1])
    )
    sounding = frame.part(seen[:, 0], "pitch") + FIRST_NOTE - 1
    events[:, 0] = torch.where(events[:, 0] == HOLD, sounding, events[:, 0])
    return Scenes(seen, events, scenes.labels)
