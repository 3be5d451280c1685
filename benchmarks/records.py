"""Records: what one evaluation found, one JSON file each, written whole and never overwritten.

The first line of a file holds the SHA-256 of all the others, so that an edited record is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from musicgym.files import write_whole

from .metrics.metric import Measured

__all__ = ["HUMAN", "Record", "read_records", "read_suite"]

#: The name of the human row.
HUMAN = "corpus"
FORMAT = 2
#: What differs from one run of the same to the next.
TIMINGS = ("seconds", "training_seconds", "seconds_to_90_percent")
#: A mean of returns differs by less from the figure, as a share: both are rounded.
ROUNDED = 1e-5
#: What a file begins with, before the digest.
DIGEST = '{"sha256": "'


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
        suite: the suite that it is a run of, if it is.
        task_name: the task's name in the suite.
        curve: rows [environment steps, return, KL in nats a step] of the training.
        error: why the entry failed; such a record has no figures.
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
    suite: str = ""
    task_name: str = ""
    curve: Sequence[Sequence[float | None]] = ()
    error: str = ""

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

    def without_timings(self) -> Record:
        """Return the record as any other run of the same would leave it."""
        facts, made = (
            {name: value for name, value in part.items() if name not in TIMINGS}
            for part in (self.facts, self.made)
        )
        return replace(self, facts=facts, made=made)

    def json(self) -> str:
        """Return the record as JSON text, a line a figure: [value, defined, total]."""
        fields = {"format": FORMAT, **vars(self)}
        figures = {n: [m.value, m.defined, m.total] for n, m in self.figures.items()}
        lines = [f'"{n}": {json.dumps(_plain(v))}' for n, v in fields.items() if n != "figures"]
        each = ",\n  ".join(f'"{n}": {json.dumps(_plain(v))}' for n, v in figures.items())
        body = ",\n".join([*lines, '"figures": {\n  ' + each + "\n}"]) + "\n}\n"
        return f'{DIGEST}{_digest(body.encode())}",\n{body}'

    @staticmethod
    def read(path: Path) -> Record:
        """Read what `write` wrote.

        Raises:
            ValueError: the file is not a record of this format, was edited, lacks a field, or has
                a figure that is no number; the message says which.
        """
        try:
            return _parsed(path.read_bytes().replace(b"\r\n", b"\n"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"record: {path} is not one of ours ({error}).") from error


def _parsed(text: bytes) -> Record:
    first, _, body = text.partition(b"\n")
    try:
        data = orjson.loads(text)  # thousands of files are read at once
    except orjson.JSONDecodeError:
        data = DECODER.decode(text.decode())  # says what is wrong
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    if first != f'{DIGEST}{_digest(body)}",'.encode():
        raise ValueError("it was edited: its digest is of another text")
    del data["sha256"], data["format"]
    if wrong := sorted({*KINDS} ^ {*data}):
        raise ValueError(f"its fields are not ours: {', '.join(wrong)}")
    for name, kind in KINDS.items():
        if type(data[name]) is not kind:
            raise ValueError(f"{name} is {data[name]!r}")
    figures = Figures(data.pop("figures"))
    if not {*map(type, data["returns"])} <= {float, int}:
        raise ValueError("a return is no number")
    rows = data["curve"]
    if not {type(x) for row in rows for x in row} <= NUMBERS or not {*map(len, rows)} <= {3}:
        raise ValueError("its curve is not of rows [steps, return, KL]")
    if not {*map(type, data["tunes"])} <= {int}:
        raise ValueError("a tune is no number")
    if bool(figures) == bool(data["error"]):
        raise ValueError("it has neither figures nor an error, or both")
    _check_returns(data["returns"], data["tunes"], data["count"], figures)
    return Record(**data, figures=figures)


def _check_returns(
    returns: Sequence[float], tunes: Sequence[int], count: int, figures: Mapping[str, Measured]
) -> None:
    if len(returns) != len(tunes):
        raise ValueError("returns and tunes are not of the same melodies")
    if not returns:
        return
    if len(returns) != count:
        raise ValueError(f"its returns are of {len(returns)} melodies, its count is {count}")
    mean = sum(returns) / count
    said = figures["return"].value if "return" in figures else math.nan
    if not abs(mean - said) <= ROUNDED * max(1.0, abs(mean)):
        raise ValueError(f"its return is {said}, the mean of its melodies' is {mean:.9g}")


class Figures(Mapping[str, Measured]):
    """The figures of a file, checked at once, and each made when it is asked for.

    Of thousands of records with a hundred figures a table takes a few.
    """

    __slots__ = ("_given",)

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Keep [value, defined, total] of each name."""
        for name, (value, defined, total) in given.items():
            if type(value) not in NUMBERS or type(defined) is not int or type(total) is not int:
                raise ValueError(f"{name} is {given[name]}, not [value, defined, total]")
            if (value is None) != (defined == 0) or not 0 <= defined <= total:
                raise ValueError(f"{name} is {value}, defined on {defined} of {total} melodies")
        self._given = given

    def __getitem__(self, name: str) -> Measured:
        """Return a figure."""
        value, defined, total = self._given[name]
        return Measured(math.nan if value is None else float(value), int(defined), int(total))

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._given)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._given)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")


#: Made once, not for each file.
DECODER = json.JSONDecoder(parse_constant=_refuse)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def file_name(
    task: Mapping[str, Any], entry: str, seed: int, count: int, content: str | None
) -> str:
    """Return the name of the file that a record goes to."""
    fixed = json.dumps([task, entry, seed, count, content], sort_keys=True)
    digest = hashlib.sha256(fixed.encode()).hexdigest()[:8]
    return f"{stem(entry, seed)}-{digest}.json"


def stem(entry: str, seed: int) -> str:
    """Return what the name of a record's file begins with, before the digest."""
    return f"{entry.replace(':', '.')}-{seed}"


def read_suite(folder: Path) -> list[Record]:
    """Return the records of a leaderboard's folder, a folder a task, by task, entry and seed.

    Raises:
        ValueError: there is none; or one was edited, lacks a field, has a figure that is no
            number, lies under another name, is there twice, or its task is not what its suite
            says. The message names the file and the reason.
    """
    from .suites import SUITES

    specs = {s.name: {t.name: json.loads(t.task.json) for t in s.tasks} for s in SUITES.values()}
    found: dict[tuple[str, str, int], Path] = {}
    records: list[Record] = []
    for path in sorted(folder.glob("*/*.json"), key=str):  # paths themselves compare slowly
        record = Record.read(path)
        if record.suite not in specs:
            raise ValueError(f"record: {path} is of no suite that there is ({record.suite!r}).")
        if record.task != specs[record.suite].get(record.task_name):
            raise ValueError(
                f"record: {path} has another task than {record.task_name!r} of suite "
                f"{record.suite} is."
            )
        if (path.parent.name, path.name) != (record.task_name, record.file):
            raise ValueError(f"record: {path} should be called {record.task_name}/{record.file}.")
        if records and record.suite != records[0].suite:
            raise ValueError(f"records: {folder} has records of several suites.")
        place = (record.task_name, record.entry, record.seed)
        if place in found:
            raise ValueError(
                f"records: {found[place]} and {path} are both of {record.entry}, seed "
                f"{record.seed}; keep one of them."
            )
        found[place] = path
        records.append(record)
    if not records:
        raise ValueError(
            f"records: {folder} has none; write some with `musicgym leaderboard run --out {folder}`"
        )
    return records


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


#: The kinds of a figure; None is where it is undefined.
NUMBERS = {float, int, type(None)}
#: The fields of a file and their kinds.
KINDS: dict[str, Any] = {
    "task": dict, "entry": str, "seed": int, "count": int, "figures": dict, "facts": dict,
    "made": dict, "returns": list, "tunes": list, "melodies": str, "suite": str, "task_name": str,
    "curve": list, "error": str,
}  # fmt: skip
