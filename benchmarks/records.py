"""Records: what one evaluation found, one JSON file each, written whole and never overwritten."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from musicgym.files import write_whole

from .metrics.metric import Measured

__all__ = ["HUMAN", "Record", "read_records"]

#: The name of the human row.
HUMAN = "corpus"
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What one entry showed on one task, with one seed.

    Attributes:
        task: the fields of the `BenchmarkTask`.
        entry: the entry's name.
        seed: of the training and of the evaluation; 0 for the human row.
        count: melodies.
        figures: a figure's name -> its value and the melodies that it is defined on.
        facts: what the entry took: training steps, samples a melody, a checkpoint.
        made: versions, machine, corpus, seconds.
        returns: of each melody, so that entries over the same episodes can be paired.
        tunes: the tune whose chords each melody was played over, as a number.
        melodies: the name of the file beside it with the melodies, a NumPy archive.
    """

    task: Mapping[str, Any]
    entry: str
    seed: int
    count: int
    figures: Mapping[str, Measured]
    facts: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    returns: Sequence[float] = ()
    tunes: Sequence[int] = ()
    melodies: str = ""

    @property
    def file(self) -> str:
        """Its file name: the entry, the seed, and a digest of all that fixes the outcome."""
        content = self.facts.get("content")
        return file_name(self.task, self.entry, self.seed, self.count, content)

    def value(self, name: str) -> float:
        """Return a figure, NaN where there is none."""
        found = self.figures.get(name)
        return math.nan if found is None else found.value

    def write(self, folder: Path) -> Path:
        """Write it into a folder, unless it is there already; return the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file
        if not path.exists():
            write_whole(path, self.json().encode())
        return path

    def json(self) -> str:
        """Return the record as JSON text, a line a figure: [value, defined, total]."""
        fields = {"format": FORMAT, **asdict(self)}
        figures = {n: [m.value, m.defined, m.total] for n, m in self.figures.items()}
        lines = [f'"{n}": {json.dumps(_plain(v))}' for n, v in fields.items() if n != "figures"]
        each = ",\n  ".join(f'"{n}": {json.dumps(_plain(v))}' for n, v in figures.items())
        return "{\n" + ",\n".join([*lines, '"figures": {\n  ' + each + "\n}"]) + "\n}\n"

    @staticmethod
    def read(path: Path) -> Record:
        """Read what `write` wrote.

        Raises:
            ValueError: the file is not a record of this format.
        """
        try:
            data = json.loads(path.read_text())
            if data.pop("format") != FORMAT:
                raise ValueError("it has another format")
            figures = {name: _measured(*given) for name, given in data.pop("figures").items()}
            for name, kind in (("task", dict), ("entry", str), ("seed", int), ("facts", dict)):
                if not isinstance(data[name], kind):
                    raise ValueError(f"{name} is {data[name]!r}")
            return Record(**data, figures=figures)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"record: {path} is not one of ours ({error}).") from error


def file_name(
    task: Mapping[str, Any], entry: str, seed: int, count: int, content: str | None
) -> str:
    """Return the name of the file that a record goes to."""
    fixed = json.dumps([task, entry, seed, count, content], sort_keys=True)
    digest = hashlib.sha256(fixed.encode()).hexdigest()[:8]
    return f"{entry.replace(':', '.')}-{seed}-{digest}.json"


def read_records(folder: Path) -> list[Record]:
    """Return the records of a folder, by entry and seed; other JSON files are passed over.

    Raises:
        ValueError: there is none, they are of several tasks, or two are of one entry and seed.
    """
    found: dict[tuple[str, int], tuple[Record, Path]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = Record.read(path)
        except ValueError:
            continue
        held, other = found.setdefault((record.entry, record.seed), (record, path))
        if other != path:
            raise ValueError(
                f"records: {other.name} and {path.name} in {folder} are both of {record.entry}, "
                f"seed {record.seed}; keep one of them."
            )
        first, _ = next(iter(found.values()))
        if first.task != held.task:
            raise ValueError(
                f"records: {folder} has records of several tasks; keep one folder a task."
            )
    if not found:
        raise ValueError(
            f"records: {folder} has none; write some with `musicgym evaluate ... --out {folder}`."
        )
    return [found[place][0] for place in sorted(found)]


def _plain(value: Any) -> Any:
    """Return plain JSON: null for what is not a finite number."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def _measured(value: float | None, defined: int, total: int) -> Measured:
    return Measured(math.nan if value is None else float(value), int(defined), int(total))
