"""Melody: what a user keeps of an episode, and how it is read, saved and looked at."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .events import FIRST_NOTE, HOLD, REST, Note, to_notes
from .meters import METERS
from .theory import Chord, Key, parse_pitch, pitch_name

__all__ = ["Melody", "parse_events"]


@dataclass(frozen=True)
class Melody:
    """A melody over its chords, on a regular grid.

    Attributes:
        events: T events of the alphabet in `musicgym.events`.
        low: the MIDI pitch of event 2.
        key: the key it is written in.
        chords: the chords of equal spans that fill the T steps, in order.
        meter: a name of `musicgym.meters.METERS`.
        steps_per_beat: grid slots a beat; a beat is the meter's denominator.
        name: a title, and the stem of saved files.

    >>> from musicgym.theory import Chord
    >>> melody = Melody((2, 0, 6, 0, 9, 0, 0, 1), 60, Key.parse("C major"), (Chord(0, ""),))
    >>> print(melody.bars())
    | C                       |
    | C4 .  E4 .  G4 .  .  -  |
    """

    events: tuple[int, ...]
    low: int
    key: Key
    chords: tuple[Chord, ...]
    meter: str = "4/4"
    steps_per_beat: int = 2
    name: str = "melody"

    def __post_init__(self) -> None:
        """Check that the chords fill the steps evenly."""
        object.__setattr__(self, "events", tuple(int(event) for event in self.events))
        object.__setattr__(self, "chords", tuple(self.chords))
        if self.meter not in METERS:
            raise ValueError(f"meter: {self.meter!r} is not one of {', '.join(METERS)}.")
        if not self.chords or len(self.events) % len(self.chords):
            raise ValueError(
                f"melody: {len(self.chords)} chords do not divide {len(self.events)} steps evenly."
            )

    @property
    def steps_per_bar(self) -> int:
        """Grid slots a bar."""
        return METERS[self.meter].beats * self.steps_per_beat

    @property
    def steps_per_chord(self) -> int:
        """Grid slots a chord span."""
        return len(self.events) // len(self.chords)

    @property
    def quarters_per_step(self) -> float:
        """The length of a grid slot in quarter notes."""
        return 4 / METERS[self.meter].unit / self.steps_per_beat

    def notes(self) -> list[Note]:
        """Return the notes: onset and duration in steps, MIDI pitch."""
        return to_notes(self.events, self.low)

    def spans(self) -> list[tuple[int, int, Chord]]:
        """Return the chords as (onset, duration, chord) in steps, equal neighbours joined."""
        spans: list[tuple[int, int, Chord]] = []
        width = self.steps_per_chord
        for i, chord in enumerate(self.chords):
            if spans and spans[-1][2] == chord:
                onset, duration, _ = spans[-1]
                spans[-1] = (onset, duration + width, chord)
            else:
                spans.append((i * width, width, chord))
        return spans

    def transposed(self, semitones: int) -> Melody:
        """Return the melody with its chords, key and range moved together."""
        return replace(
            self,
            low=self.low + semitones,
            key=self.key.transposed(semitones),
            chords=tuple(chord.transposed(semitones) for chord in self.chords),
        )

    def bars(self) -> str:
        """Return note names under their chords, two lines a bar (``.`` holds, ``-`` rests)."""
        names = ["-"] * len(self.events)
        for note in self.notes():
            names[note.onset] = pitch_name(note.pitch, self.key)
            names[note.onset + 1 : note.onset + note.duration] = ["."] * (note.duration - 1)
        symbols = [""] * len(self.events)
        for onset, _, chord in self.spans():
            symbols[onset] = chord.symbol(self.key)
        lines = []
        for start in range(0, len(self.events), self.steps_per_bar):
            bar = slice(start, start + self.steps_per_bar)
            widths = [max(2, len(n), len(c)) for n, c in zip(names[bar], symbols[bar], strict=True)]
            for row in (symbols[bar], names[bar]):
                cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
                lines.append(f"| {' '.join(cells)} |")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the melody as JSON text, read back by `from_json`."""
        return json.dumps({**asdict(self), "key": self.key.name})

    @staticmethod
    def from_json(text: str) -> Melody:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is not the JSON of a melody.
        """
        try:
            data = json.loads(text)
            chords = tuple(Chord(**chord) for chord in data["chords"])
            return Melody(**{**data, "key": Key.parse(data["key"]), "chords": chords})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"melody: this is not the JSON of a melody ({error}); write one with to_json, with "
                f"the fields events, low, key, chords, meter, steps_per_beat and name."
            ) from error

    def save(self, path: str | Path, *, tempo: float = 100.0) -> Path:
        """Write the melody in the format of the path's suffix and return the path.

        ``.mid``, ``.musicxml`` and ``.json`` need the plain installation, ``.svg`` and ``.png`` the
        extra ``score`` (a name that ends in ``-roll.png`` is a piano roll, another ``.png`` the
        engraved page), ``.ogg`` and ``.wav`` the extra ``audio``.

        Raises:
            ValueError: the suffix is none of these.
            MissingExtra: a package of an extra is not installed.
        """
        from .export import save

        return save(self, Path(path), tempo=tempo)


def parse_events(text: str, low: int, high: int) -> list[int]:
    """Read events as `Melody.bars` writes them: note names, ``.`` to hold and ``-`` to rest.

    >>> parse_events("C4 . E4 -", low=60, high=72)
    [2, 0, 6, 1]

    Raises:
        ValueError: a token is none of these, or a note lies outside the range.
    """
    events = []
    for token in text.replace("|", " ").split():
        if token in (".", "-"):
            events.append(HOLD if token == "." else REST)
            continue
        pitch = parse_pitch(token)
        if not low <= pitch <= high:
            raise ValueError(
                f"opening: {token} lies outside {pitch_name(low)} to {pitch_name(high)}."
            )
        events.append(pitch - low + FIRST_NOTE)
    return events
