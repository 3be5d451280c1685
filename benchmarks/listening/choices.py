"""What listeners said on a page: its file, read with every field checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from musicgym.events import FIRST_NOTE
from musicgym.melody import Melody
from musicgym.meters import GRIDS, METERS
from musicgym.theory import QUALITIES, Chord, Key, closest

__all__ = [
    "FORMAT", "SCALES", "Choice", "Choices", "Judgement", "Rating", "judgements", "melody_data",
    "read_all",
]  # fmt: skip

#: Raised whenever a file would be read differently.
FORMAT = 1
#: What a melody is rated on, 1 to 5.
SCALES = ("fluency", "creativity", "emotion", "harmony")
#: Larger files, and more or longer melodies, are refused.
MAX_BYTES, MAX_PAIRS, MAX_STEPS = 16 * 2**20, 1000, 4096
#: What a listener may be called.
NAME = re.compile(r"[\w .@+-]{1,64}")


@dataclass(frozen=True)
class Choice:
    """What a listener said of a pair.

    Attributes:
        pair: its number.
        preferred: the melody that is better, 0 or 1, or None where there is no difference.
        left: the melody that was called A, 0 or 1.
        plays: how often each melody was started.
        seconds: from the pair's appearance to the choice.
    """

    pair: int
    preferred: int | None
    left: int
    plays: tuple[int, int]
    seconds: float


@dataclass(frozen=True)
class Rating:
    """What a listener thinks of a melody: 1 to 5 on each of the `SCALES`.

    Attributes:
        pair: the pair's number.
        melody: 0 or 1.
        fluency: how well it flows.
        creativity: how new its ideas are.
        emotion: how much it expresses.
        harmony: how well it fits its chords.
    """

    pair: int
    melody: int
    fluency: int
    creativity: int
    emotion: int
    harmony: int


@dataclass(frozen=True)
class Choices:
    """What one listener said on one page.

    Attributes:
        page: the page's digest.
        listener: who it was.
        started: when, in ISO 8601.
        saved: when it was saved, in ISO 8601.
        systems: the names of the two systems.
        pairs: melodies 0 and 1 of each pair; melody k is by system k.
        choices: at most one a pair.
        ratings: at most one a melody.
    """

    page: str
    listener: str
    started: str
    saved: str
    systems: tuple[str, str]
    pairs: tuple[tuple[Melody, Melody], ...]
    choices: tuple[Choice, ...]
    ratings: tuple[Rating, ...] = ()

    def to_json(self) -> str:
        """Return it as the JSON that a page saves and `read` reads."""
        pairs = [list(map(melody_data, pair)) for pair in self.pairs]
        return json.dumps({"format": FORMAT, **asdict(self), "pairs": pairs}, indent=1)

    @staticmethod
    def read(path: Path) -> Choices:
        """Read what a page saved.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not such a file; the message says where it is wrong.
        """
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"choices: {path} is larger than {MAX_BYTES} bytes.")
        try:
            return _choices(json.loads(path.read_bytes(), parse_constant=_refuse))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"choices: {path}: {error}") from error


def read_all(paths: Sequence[Path]) -> list[Choices]:
    """Read the files of several listeners.

    Raises:
        FileNotFoundError: one is missing.
        ValueError: one is wrong, or two are of one listener on one page.
    """
    found: dict[tuple[str, str], Path] = {}
    read = []
    for path in paths:
        held = Choices.read(path)
        other = found.setdefault((held.page, held.listener), path)
        if other is not path:
            raise ValueError(
                f"choices: {other} and {path} are both of the listener {held.listener!r} on one "
                "page; keep the later one."
            )
        read.append(held)
    return read


class Judgement(NamedTuple):
    """A choice with all that it is about.

    Attributes:
        systems: of the two melodies.
        melodies: the two.
        score: 1 where melody 0 is better, 0 where melody 1 is, 1/2 where there is no difference.
        listener: who said so.
        first: the same score, for the melody that was called A.
    """

    systems: tuple[str, str]
    melodies: tuple[Melody, Melody]
    score: float
    listener: str
    first: float


def judgements(files: Sequence[Choices]) -> list[Judgement]:
    """Return the choices of all files.

    Raises:
        ValueError: there is none.
    """
    found = []
    for held in files:
        for choice in held.choices:
            score = 0.5 if choice.preferred is None else 1.0 - choice.preferred
            first = 1.0 - score if choice.left else score
            pair = held.pairs[choice.pair]
            found.append(Judgement(held.systems, pair, score, held.listener, first))
    if not found:
        raise ValueError("choices: the files hold no choice; listen to a page first.")
    return found


def melody_data(melody: Melody) -> dict[str, Any]:
    """Return a melody as plain JSON, without its name: that may say whose it is."""
    data = {**asdict(melody), "key": melody.key.name}
    del data["name"]
    return data


# --- Reading -----------------------------------------------------------------------------------


def _choices(data: Any) -> Choices:
    if isinstance(data, dict) and data.get("format") != FORMAT:
        raise ValueError(f"format: {data.get('format')!r} is not {FORMAT}, which is read here.")
    said = _fields(data, "the file", ("format", *Choices.__dataclass_fields__))
    systems = _list(said["systems"], "systems", 2, 2)
    texts = [_text(name, "systems", 200) for name in systems]
    if texts[0] == texts[1]:
        raise ValueError(f"systems: both are called {texts[0]!r}.")
    pairs = tuple(
        _pair(pair, f"pairs[{i}]")
        for i, pair in enumerate(_list(said["pairs"], "pairs", 1, MAX_PAIRS))
    )
    count = len(pairs)
    choices = tuple(
        _choice(choice, f"choices[{i}]", count)
        for i, choice in enumerate(_list(said["choices"], "choices", 0, count))
    )
    ratings = tuple(
        _rating(rating, f"ratings[{i}]", count)
        for i, rating in enumerate(_list(said["ratings"], "ratings", 0, 2 * count))
    )
    _once([choice.pair for choice in choices], "choices: pair")
    _once([(rating.pair, rating.melody) for rating in ratings], "ratings: pair and melody")
    listener = _text(said["listener"], "listener", 64)
    if not NAME.fullmatch(listener):
        raise ValueError(
            f"listener: {listener!r} has other signs than letters, digits and . @ + - _ ."
        )
    return Choices(
        _text(said["page"], "page", 64), listener, _time(said["started"], "started"),
        _time(said["saved"], "saved"), (texts[0], texts[1]), pairs, choices, ratings,
    )  # fmt: skip


def _pair(data: Any, place: str) -> tuple[Melody, Melody]:
    first, second = (_melody(m, f"{place}[{k}]") for k, m in enumerate(_list(data, place, 2, 2)))
    return first, second


def _melody(data: Any, place: str) -> Melody:
    said = _fields(data, place, ("events", "low", "key", "chords", "meter", "steps_per_beat"))
    low = _whole(said["low"], f"{place}.low", 0, 127)
    events = tuple(
        _whole(event, f"{place}.events[{t}]", 0, 127 - low + FIRST_NOTE)
        for t, event in enumerate(_list(said["events"], f"{place}.events", 1, MAX_STEPS))
    )
    chords = tuple(
        _chord(chord, f"{place}.chords[{i}]")
        for i, chord in enumerate(_list(said["chords"], f"{place}.chords", 1, MAX_STEPS))
    )
    meter = _one_of(said["meter"], f"{place}.meter", METERS)
    grid = _whole(said["steps_per_beat"], f"{place}.steps_per_beat", min(GRIDS), max(GRIDS))
    if grid not in GRIDS:
        raise ValueError(f"{place}.steps_per_beat: {grid} is not one of {GRIDS}.")
    try:
        key = Key.parse(_text(said["key"], f"{place}.key", 20))
        return Melody(events, low, key, chords, meter, grid)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _chord(data: Any, place: str) -> Chord:
    said = _fields(data, place, ("root", "quality"))
    quality = _one_of(said["quality"], f"{place}.quality", QUALITIES)
    return Chord(_whole(said["root"], f"{place}.root", 0, 11), quality)


def _choice(data: Any, place: str, pairs: int) -> Choice:
    said = _fields(data, place, Choice.__dataclass_fields__)
    preferred = said["preferred"]
    plays = [
        _whole(times, f"{place}.plays", 0, 10_000)
        for times in _list(said["plays"], f"{place}.plays", 2, 2)
    ]
    return Choice(
        _whole(said["pair"], f"{place}.pair", 0, pairs - 1),
        None if preferred is None else _whole(preferred, f"{place}.preferred", 0, 1),
        _whole(said["left"], f"{place}.left", 0, 1),
        (plays[0], plays[1]),
        _seconds(said["seconds"], f"{place}.seconds"),
    )


def _rating(data: Any, place: str, pairs: int) -> Rating:
    said = _fields(data, place, Rating.__dataclass_fields__)
    marks = [_whole(said[scale], f"{place}.{scale}", 1, 5) for scale in SCALES]
    return Rating(
        _whole(said["pair"], f"{place}.pair", 0, pairs - 1),
        _whole(said["melody"], f"{place}.melody", 0, 1),
        *marks,
    )


def _fields(data: Any, place: str, names: Any) -> Mapping[str, Any]:
    """Return an object that has the fields and no others."""
    if not isinstance(data, dict):
        raise ValueError(f"{place}: this is not an object with the fields {', '.join(names)}.")
    for name in data:
        if name not in names:
            raise ValueError(f"{place}: {name!r} is no field{closest(name, names)}.")
    for name in names:
        if name not in data:
            raise ValueError(f"{place}: the field {name!r} is missing.")
    return data


def _list(data: Any, place: str, least: int, most: int) -> list[Any]:
    if not isinstance(data, list) or not least <= len(data) <= most:
        held = f"{len(data)} entries" if isinstance(data, list) else repr(data)[:40]
        raise ValueError(f"{place}: {held}; {least} to {most} are allowed, in a list.")
    return data


def _whole(data: Any, place: str, low: int, high: int) -> int:
    if not isinstance(data, int) or isinstance(data, bool) or not low <= data <= high:
        raise ValueError(f"{place}: {data!r} is not a whole number from {low} to {high}.")
    return data


def _seconds(data: Any, place: str) -> float:
    number = isinstance(data, int | float) and not isinstance(data, bool)
    if not number or not math.isfinite(data) or data < 0:
        raise ValueError(f"{place}: {data!r} is not a number of seconds.")
    return float(data)


def _text(data: Any, place: str, most: int) -> str:
    if not isinstance(data, str) or not 1 <= len(data) <= most or not data.isprintable():
        raise ValueError(f"{place}: {data!r} is not a text of 1 to {most} characters.")
    return data


def _one_of(data: Any, place: str, names: Mapping[str, Any]) -> str:
    if not isinstance(data, str) or data not in names:
        raise ValueError(f"{place}: {data!r} is not one of {', '.join(names)}.")
    return data


def _time(data: Any, place: str) -> str:
    try:
        datetime.fromisoformat(_text(data, place, 40))
    except ValueError as error:
        raise ValueError(f"{place}: {data!r} is not a time in ISO 8601.") from error
    return str(data)


def _once(keys: Sequence[Any], what: str) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{what} {key} stands there twice.")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number.")
