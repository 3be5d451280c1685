"""Where the melodies of a page come from: a folder of files, or records of the leaderboard."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from musicgym.benchmarks.records import Record
from musicgym.corpus.files import SUFFIXES, read_melody
from musicgym.melody import Melody
from musicgym.task import Task
from musicgym.theory import ALL_KEYS, Chord

__all__ = ["System", "melodies_of", "read_system"]

#: Of files with one stem the first of these is read: a composed melody is written in many forms.
FORMS = (".json", ".musicxml", ".xml", ".mxl", ".mid", ".midi", ".abc", ".csv", ".npz")


class System(NamedTuple):
    """What is listened to.

    Attributes:
        name: the entry's of records, or the folder's of files.
        melodies: all of its melodies.
        left_out: a line for each file that cannot be used.
    """

    name: str
    melodies: tuple[Melody, ...]
    left_out: tuple[str, ...] = ()


def read_system(path: Path, steps_per_beat: int = 2) -> System:
    """Read a folder of MIDI, MusicXML or other files, a folder of records, or one of either.

    Args:
        path: a file or a folder; the records in it must be of one entry (the seeds may differ).
        steps_per_beat: the grid that files are read on; records have their own.

    Raises:
        ValueError: it holds nothing to listen to, or records of several entries.
        OSError: it cannot be read.
    """
    if not path.exists():
        raise ValueError(f"listen: {path} does not exist; give a folder of melodies or a record.")
    inside = [path] if path.is_file() else sorted(path.iterdir())
    records = [file for file in inside if file.suffix == ".json" and _is_record(file)]
    return _recorded(path, records) if records else _filed(path, inside, steps_per_beat)


def melodies_of(record: Record, folder: Path) -> list[Melody]:
    """Return the melodies of a record.

    Args:
        record: what one evaluation found.
        folder: where it and its melodies lie.

    Raises:
        ValueError: the record failed or has no melodies, or they are not those of such a task.
        FileNotFoundError: the file of the melodies is missing.
    """
    if not record.melodies:
        raise ValueError(f"record: {record.file} has no melodies{_because(record.error)}.")
    path = folder / Path(record.melodies).name
    spec = record.task
    grid = {n: spec[n] for n in ("meter", "steps_per_beat", "bars", "pitch_range") if n in spec}
    plain = Task(key="natural", progression="random", **grid)
    try:
        with np.load(path, allow_pickle=False) as held:
            names = ("events", "tonic", "mode", "roots", "codes")
            arrays = [held[name].astype(np.int64) for name in names]
        return [_melody(plain, *row) for row in zip(*arrays, strict=True)]
    except (KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"record: {path} does not hold the melodies of a record ({error}).") from (
            error
        )


def _melody(plain: Task, events: Any, tonic: int, mode: int, roots: Any, codes: Any) -> Melody:
    key = next(k for k in ALL_KEYS if (k.tonic, int(k.minor)) == (tonic, mode))
    chords = tuple(Chord.of(root + tonic, code) for root, code in zip(roots, codes, strict=True))
    grid = (plain.meter, plain.steps_per_beat)
    return Melody(tuple(events.tolist()), plain.low, key, chords, *grid)


def _because(error: str) -> str:
    return f": it failed with {error!r}" if error else ""


def _is_record(file: Path) -> bool:
    """Say whether a JSON file means to be a record."""
    try:
        data = json.loads(file.read_text())
    except (ValueError, OSError):
        return False
    return isinstance(data, dict) and {"entry", "figures", "seed"} <= {*data}


def _recorded(path: Path, files: Sequence[Path]) -> System:
    records = [(Record.read(file), file) for file in files]
    names = {record.entry for record, _ in records}
    tasks = {json.dumps(dict(record.task), sort_keys=True) for record, _ in records}
    if len(names) > 1 or len(tasks) > 1:
        several = "entries" if len(names) > 1 else "tasks"
        raise ValueError(
            f"listen: {path} has records of several {several}; give one file of "
            f"{', '.join(sorted(file.name for file in files)[:6])}."
        )
    melodies = [m for record, file in records for m in melodies_of(record, file.parent)]
    return System(names.pop(), tuple(melodies))


def _filed(path: Path, inside: Sequence[Path], steps_per_beat: int) -> System:
    usable = [file for file in inside if file.is_file() and file.suffix.lower() in SUFFIXES]
    stems: dict[str, Path] = {}
    for file in sorted(usable, key=lambda f: FORMS.index(f.suffix.lower())):
        stems.setdefault(file.stem, file)
    melodies, left_out = [], []
    for file in sorted(stems.values()):
        try:
            melodies.append(read_melody(file, steps_per_beat=steps_per_beat)[0])
        except ValueError as error:
            left_out.append(f"{file.name}: {error}")
    if not melodies:
        why = f": {left_out[0]}" if left_out else f"; it reads {', '.join(SUFFIXES)} and records."
        raise ValueError(f"listen: {path} has no melody that can be used{why}")
    whole = path.resolve()
    return System(whole.name if whole.is_dir() else whole.stem, tuple(melodies), tuple(left_out))
