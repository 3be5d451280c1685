"""Readers of plain data: JSON, NumPy archives of rolls, and CSV, to `Reading`s."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from musicgym.melody import Melody
from musicgym.meters import METERS
from musicgym.theory import NO_CHORD, QUALITIES, Chord, Key, parse_pitch

from .chord_spellings import read_chords
from .readers import check_zip
from .readings import MAX_NOTES, Dropped, Line, Reading, Sound, problem

__all__ = ["read_csv", "read_json", "read_npz"]

#: Limits of rolls; a table of 128 columns shows keys that are down, not pitches.
MAX_VOICES, MAX_CELLS = 16, 4_000_000

#: Columns of a CSV file; the first three must be there.
COLUMNS = ("onset", "duration", "pitch", "piece", "chord", "key", "meter")


def read_json(data: bytes, stem: str) -> list[Reading]:
    """Read what `Melody.to_json` wrote (one or a list), or rolls.

    A roll is a list of time steps, each a list of the MIDI pitches that sound; a file holds one
    roll, a list of them, or lists of them by split (``{"train": [...], "test": [...]}``).

    Raises:
        Dropped: it is neither.
        ValueError: it is no JSON.
    """
    content = json.loads(data)
    if _is_melody(content):
        return [_melody(content, "")]
    if isinstance(content, list) and content and all(map(_is_melody, content)):
        return [_melody(item, str(i)) for i, item in enumerate(content, 1)]
    if isinstance(content, dict):
        rolls = [
            (f"{split}{i}", roll)
            for split, many in content.items()
            if isinstance(many, list)
            for i, roll in enumerate(many, 1)
        ]
    elif _is_roll(content):
        rolls = [("", content)]
    elif isinstance(content, list):
        rolls = [(str(i), roll) for i, roll in enumerate(content, 1)]
    else:
        rolls = []
    if not any(_is_roll(roll) for _, roll in rolls):
        raise Dropped("neither melodies nor rolls")
    return [_roll(roll, title, stem) for title, roll in rolls]


def read_npz(data: bytes, stem: str) -> list[Reading]:
    """Read the rolls of a NumPy archive: arrays (T, voices) or (N, T, voices) of MIDI pitches.

    Raises:
        Dropped: it holds no such array, or only such as need pickle, which is not loaded.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive)
    rolls: list[tuple[str, Any]] = []
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for name in arrays.files:
            try:
                array = arrays[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                raise Dropped("needs pickle, which is not loaded for safety") from error
            if array.size > MAX_CELLS:
                raise Dropped(f"more than {MAX_CELLS} numbers")
            if array.ndim == 2:
                rolls.append((name, array.tolist()))
            elif array.ndim == 3:
                rolls += [(f"{name}{i}", roll.tolist()) for i, roll in enumerate(array, 1)]
    if not rolls:
        raise Dropped("no arrays of two or three dimensions")
    return [_roll(roll, title, stem) for title, roll in rolls]


def _is_melody(item: Any) -> bool:
    return isinstance(item, dict) and {"events", "low", "key", "chords"} <= item.keys()


def _melody(item: dict[str, Any], title: str) -> Reading:
    """Read a melody of ours, every field of it checked."""
    try:
        melody = Melody.from_json(json.dumps(item))
        if any(c.quality not in QUALITIES or c.root not in range(12) for c in melody.chords):
            raise ValueError("a chord that is none")
        if len(melody.events) > MAX_NOTES or melody.steps_per_beat not in (1, 2, 4):
            raise ValueError("too long, or not 1, 2 or 4 steps a beat")
        if not all(0 <= note.pitch <= 127 for note in melody.notes()):
            raise ValueError("a pitch outside 0 to 127")
    except (ValueError, TypeError) as error:
        return Reading([], title, problem=problem(error))
    step = melody.quarters_per_step
    sounds = [
        Sound(n.onset * step, (n.onset + n.duration) * step, n.pitch, False) for n in melody.notes()
    ]
    chords = [(onset * step, chord) for onset, _, chord in melody.spans()]
    return Reading([Line("melody", sounds)], title, melody.meter, key=melody.key, chords=chords)


def _is_roll(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) > 0
        and all(isinstance(s, list) for s in item[:9])
        and all(
            _pitch(p) is not None or p is None or isinstance(p, int | float)
            for s in item[:9]
            for p in s
        )
    )


def _pitch(value: Any) -> int | None:
    """Return a MIDI pitch, None for silence (no number, not a number, 0 or less)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 127:
        return None
    return int(value)


def _roll(roll: Any, title: str, stem: str) -> Reading:
    """Read a roll; a pitch that goes on from step to step is one note, as a roll cannot tell."""
    if not _is_roll(roll):
        return Reading([], title, problem="no roll (a list of lists of pitches)")
    if len(roll) > MAX_NOTES or any(not isinstance(s, list) or len(s) > MAX_VOICES for s in roll):
        return Reading([], title, problem=f"no roll of at most {MAX_VOICES} voices, or too long")
    step = _roll_step(stem)
    voices = max(len(s) for s in roll)
    if all(len(s) == voices for s in roll):
        columns = [[_pitch(s[v]) for s in roll] for v in range(voices)]
    else:  # sets of pitches: the highest is the melody, the rest go below it in order
        rows = [sorted((p for p in map(_pitch, s) if p), reverse=True) for s in roll]
        columns = [[row[v] if v < len(row) else None for row in rows] for v in range(voices)]
    columns.sort(key=_height, reverse=True)
    names = ["melody"] + ["accompaniment"] * len(columns)
    lines = [Line(name, _joined(c, step)) for name, c in zip(names, columns, strict=False)]
    return Reading(lines, title)


def _roll_step(stem: str) -> float:
    """Return the quarters of a time step that a file's name states; a sixteenth if it does not."""
    for word, length in (("16", 0.25), ("quarter", 1.0), ("8th", 0.5), ("eighth", 0.5)):
        if word in stem.lower():
            return length
    return 0.25


def _height(column: Sequence[int | None]) -> float:
    heard = [p for p in column if p]
    return sum(heard) / len(heard) if heard else 0.0


def _joined(column: Sequence[int | None], step: float) -> list[Sound]:
    sounds: list[Sound] = []
    before = None
    for i, pitch in enumerate(column):
        if pitch and pitch == before:
            sounds[-1] = sounds[-1]._replace(end=(i + 1) * step)
        elif pitch:
            sounds.append(Sound(i * step, (i + 1) * step, pitch, False))
        before = pitch
    return sounds


def read_csv(data: bytes) -> list[Reading]:
    """Read a table with a header: a row is a note, in beats of its meter.

    The columns onset, duration and pitch (a MIDI number or a note name) must be there; piece,
    chord (holds until the next one), key and meter may be. A row without a pitch is a rest.

    Raises:
        Dropped: it has no such header, no rows, or too many.
    """
    text = data.decode("utf-8-sig", errors="replace")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    table = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    names = [str(name).strip().lower() for name in table.fieldnames or ()]
    missing = [name for name in COLUMNS[:3] if name not in names]
    if missing:
        raise Dropped(f"no column {', '.join(missing)} in the header")
    table.fieldnames = names
    pieces: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, row in enumerate(table, 2):
        if number > MAX_NOTES:
            raise Dropped(f"more than {MAX_NOTES} notes")
        cells = {k: str(v or "").strip() for k, v in row.items() if k in COLUMNS}
        pieces.setdefault(cells.get("piece", ""), []).append((number, cells))
    if not pieces:
        raise Dropped("no notes")
    many = len(pieces) > 1
    return [_rows(rows, title if many else "") for title, rows in pieces.items()]


def _rows(rows: list[tuple[int, dict[str, str]]], title: str) -> Reading:
    """Read the rows of one piece."""
    try:
        meter = _stated("meter", rows) or "4/4"
        named = _stated("key", rows)
        key = Key.parse(named) if named else None
        if meter not in METERS:
            raise Dropped(f"in {meter[:20]}")
        beat = 4 / METERS[meter].unit
        sounds = []
        for number, row in rows:
            if row["pitch"].lower() in ("", "rest", "r", "nan", "-"):
                continue
            onset, length = _beats(row["onset"], number), _beats(row["duration"], number)
            if length:
                sounds.append(
                    Sound(onset * beat, (onset + length) * beat, _note(row["pitch"], number), False)
                )
        written = [(n, row) for n, row in rows if row.get("chord")]
        onsets = [_beats(row["onset"], n) * beat for n, row in written]
    except ValueError as error:
        return Reading([], title, problem=problem(error))
    chords = read_chords([row["chord"] for _, row in written], key)
    symbols: Iterable[tuple[float, Chord]] = zip(
        onsets, (c or NO_CHORD for c in chords), strict=True
    )
    return Reading(
        [Line("melody", sounds)],
        title,
        meter,
        key=key,
        chords=list(symbols),
        unreadable=chords.count(None),
    )


def _stated(column: str, rows: list[tuple[int, dict[str, str]]]) -> str:
    """Return the first entry of a column, as a piece has one key and one meter."""
    return next((row[column] for _, row in rows if row.get(column)), "")


def _beats(text: str, row: int) -> float:
    value = float(text) if re.fullmatch(r"[\d.eE+-]+", text) else math.nan
    if not 0 <= value <= 1e6:
        raise Dropped(f"row {row}: {text[:20]!r} is no number of beats")
    return value


def _note(text: str, row: int) -> int:
    try:
        return parse_pitch(int(float(text)) if re.fullmatch(r"\d+(\.0*)?", text) else text)
    except ValueError:
        raise Dropped(f"row {row}: {text[:20]!r} is no pitch") from None
