"""Pieces, corpora, and the equal-length windows that models are trained on.

Every piece is transposed to C major or A minor, and its bars are whole. A corpus carries its own
split by tune and a fingerprint of its content.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.melody import Melody
from musicgym.meters import GRIDS, METERS
from musicgym.theory import NO_CHORD, QUALITIES, Chord, Key, closest

from . import cache, splits

__all__ = [
    "HIGH",
    "LOW",
    "Corpus",
    "CorpusMissing",
    "Piece",
    "Windows",
    "collect",
    "load",
    "phrases",
    "prepare",
    "save",
    "summary",
    "windows",
]

#: The default range of the environment, C3 to B5; the events of every piece count from LOW.
LOW, HIGH = 48, 83

#: Raised whenever the content of a cached corpus would change or be read differently.
FORMAT = 1

#: The corpora that `prepare` can build: each is a module of this folder with `build`.
SOURCES = ("chorales", "folk")


class CorpusMissing(LookupError):
    """A corpus is not in the cache; the message says how to prepare it."""


@dataclass(frozen=True)
class Piece:
    """A melody over one chord a beat, transposed to C major or A minor.

    Attributes:
        name: unique in its corpus, such as ``"bwv253"``.
        tune: the group of pieces that share a tune; the unit of the split.
        mode: ``"major"`` (the piece is in C major) or ``"minor"`` (A minor).
        meter: a name of `musicgym.meters.METERS`.
        steps_per_beat: grid slots a beat.
        events: T events in whole bars; event 2 is the pitch `LOW`.
        roots: the pitch class of the chord's root for each beat, 0 where the code is 0.
        codes: the chord's place in `musicgym.theory.QUALITIES` for each beat, 0 = no chord.
        phrases: the steps at which a phrase ends (exclusive); the last is T.
        shift: the semitones by which it was transposed.
    """

    name: str
    tune: str
    mode: str
    meter: str
    steps_per_beat: int
    events: tuple[int, ...]
    roots: tuple[int, ...]
    codes: tuple[int, ...]
    phrases: tuple[int, ...]
    shift: int

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        problem = _problem(self)
        if problem:
            raise ValueError(f"piece {self.name!r}: {problem}.")

    @property
    def steps_per_bar(self) -> int:
        """Grid slots a bar."""
        return METERS[self.meter].beats * self.steps_per_beat

    @property
    def bars(self) -> int:
        """The number of bars."""
        return len(self.events) // self.steps_per_bar

    @property
    def key(self) -> Key:
        """The key it is written in: C major or A minor."""
        return Key.parse("C major" if self.mode == "major" else "A minor")

    def melody(self) -> Melody:
        """Return the piece as a `Melody`, with one chord a beat."""
        chords = map(Chord.of, self.roots, self.codes)
        return Melody(
            self.events, LOW, self.key, tuple(chords), self.meter, self.steps_per_beat, self.name
        )


def _problem(piece: Piece) -> str:
    """Return what is wrong with a piece, or an empty string."""
    if piece.mode not in ("major", "minor"):
        return f"mode: {piece.mode!r} is not 'major' or 'minor'"
    if piece.meter not in METERS:
        return f"meter: {piece.meter!r} is not one of {', '.join(METERS)}"
    if piece.steps_per_beat not in GRIDS:
        return f"steps_per_beat: {piece.steps_per_beat!r} is not one of {GRIDS}"
    steps = len(piece.events)
    if not steps or steps % piece.steps_per_bar:
        return f"{steps} steps are not whole bars of {piece.steps_per_bar}"
    beats = steps // piece.steps_per_beat
    if len(piece.roots) != beats or len(piece.codes) != beats:
        return f"{len(piece.roots)} roots and {len(piece.codes)} codes for {beats} beats"
    if not all(0 <= event <= HIGH - LOW + FIRST_NOTE for event in piece.events):
        return f"an event lies outside 0 to {HIGH - LOW + FIRST_NOTE}"
    if not all(0 <= root < 12 for root in piece.roots):
        return "a root lies outside 0 to 11"
    if not all(0 <= code < len(QUALITIES) for code in piece.codes):
        return f"a chord code lies outside 0 to {len(QUALITIES) - 1}"
    ends = piece.phrases
    if not ends or ends[-1] != steps or any(a >= b for a, b in zip((0, *ends), ends, strict=False)):
        return f"the phrase ends {ends} do not rise to {steps}"
    return ""


@dataclass(frozen=True)
class Corpus:
    """Pieces, their split by tune, and what was kept and dropped on the way.

    Attributes:
        name: ``"chorales"``, ``"folk"``, or the name a user gave an import.
        pieces: in a fixed order.
        fingerprint: 16 hex digits over the content and the format; equal means the same data.
        split: piece name -> ``"train"``, ``"validation"`` or ``"test"``.
        report: how many pieces were ``"kept"``, and how many dropped for each reason.
    """

    name: str
    pieces: tuple[Piece, ...]
    fingerprint: str
    split: Mapping[str, str]
    report: Mapping[str, int]

    def of(self, split: str) -> tuple[Piece, ...]:
        """Return the pieces of a split (``"all"`` for every piece).

        Raises:
            ValueError: there is no such split.
        """
        if split == "all":
            return self.pieces
        if split not in splits.SPLITS:
            allowed = (*splits.SPLITS, "all")
            raise ValueError(
                f"split: {split!r} is not one of {', '.join(allowed)}{closest(split, allowed)}"
            )
        return tuple(piece for piece in self.pieces if self.split[piece.name] == split)

    def melodies(self, split: str) -> list[Melody]:
        """Return the pieces of a split as melodies, one chord a beat."""
        return [piece.melody() for piece in self.of(split)]


class Windows(NamedTuple):
    """Equal-length cuts of a corpus, ready for training: N windows of T steps.

    Attributes:
        events: uint8 (N, T); event 2 is the pitch `low` that the windows were cut with.
        roots: int8 (N, beats), pitch classes, 0 where the code is 0.
        codes: int8 (N, beats), places in `musicgym.theory.QUALITIES`.
        modes: int8 (N,), 0 in C major, 1 in A minor.
        tunes: the tune of each window.
        names: the piece of each window.
    """

    events: NDArray[np.uint8]
    roots: NDArray[np.int8]
    codes: NDArray[np.int8]
    modes: NDArray[np.int8]
    tunes: tuple[str, ...]
    names: tuple[str, ...]

    def at(self, places: NDArray[np.int64]) -> Windows:
        """Return some of the windows."""
        tunes, names = (tuple(some[i] for i in places) for some in (self.tunes, self.names))
        events, roots, codes, modes = (
            self.events[places], self.roots[places], self.codes[places], self.modes[places]
        )  # fmt: skip
        return Windows(events, roots, codes, modes, tunes, names)


def collect(name: str, pieces: Sequence[Piece], report: Mapping[str, int]) -> Corpus:
    """Gather pieces into a corpus: group them by tune, split them, take the fingerprint.

    The `tune` of each piece is set here from its opening, so that pieces which share a tune
    never stand on two sides of the split.

    Raises:
        ValueError: two pieces have one name.
    """
    names = [piece.name for piece in pieces]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f"corpus {name!r}: two pieces are named {twice!r}; names must differ.")
    tunes = splits.group_tunes([p.events for p in pieces], names, [p.steps_per_bar for p in pieces])
    grouped = tuple(replace(p, tune=tune) for p, tune in zip(pieces, tunes, strict=True))
    side = splits.assign(tunes)
    split = {piece.name: side[piece.tune] for piece in grouped}
    return Corpus(name, grouped, _fingerprint(grouped, split), split, dict(report))


def _fingerprint(pieces: Sequence[Piece], split: Mapping[str, str]) -> str:
    content = [FORMAT, [asdict(piece) for piece in pieces], dict(split)]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def windows(
    corpus: Corpus,
    split: str,
    *,
    bars: int = 8,
    meter: str = "4/4",
    low: int = LOW,
    high: int = HIGH,
    hop: int = 1,
) -> Windows:
    """Cut a split into windows of `bars` bars, one every `hop` bars.

    Every window starts on a bar line, but not in a pickup bar (a first bar that begins with a
    rest). A note held over from before is struck at the window's start. Windows without a note,
    or with one outside `low` to `high`, are left out.

    Raises:
        ValueError: an argument is out of bounds, or the split has no such window.
    """
    if bars < 1 or hop < 1:
        raise ValueError(f"windows: bars and hop must be 1 or more, not {bars} and {hop}.")
    if not 0 <= low <= high <= 127:
        raise ValueError(f"windows: low and high must rise within 0 to 127, not {low}, {high}.")
    cuts: list[tuple[Piece, int, list[int]]] = []
    for piece in corpus.of(split):
        if piece.meter != meter:
            continue
        first = 1 if piece.events[0] == REST else 0
        for bar in range(first, piece.bars - bars + 1, hop):
            events = _cut(piece, bar * piece.steps_per_bar, (bar + bars) * piece.steps_per_bar)
            struck = [event + LOW - FIRST_NOTE for event in events if event >= FIRST_NOTE]
            if struck and low <= min(struck) and max(struck) <= high:
                cuts.append((piece, bar, [e if e < FIRST_NOTE else e + LOW - low for e in events]))
    if not cuts:
        meters = ", ".join(sorted({piece.meter for piece in corpus.of(split)})) or "no piece"
        raise ValueError(
            f"corpus {corpus.name!r}, split {split!r}: no window of {bars} bars in {meter} within "
            f"{low} to {high} (it holds {meters})."
        )
    beats = METERS[meter].beats
    spans = [(piece, slice(bar * beats, (bar + bars) * beats)) for piece, bar, _ in cuts]
    return Windows(
        np.array([events for _, _, events in cuts], dtype=np.uint8),  # (N, T)
        np.array([piece.roots[span] for piece, span in spans], dtype=np.int8),  # (N, beats)
        np.array([piece.codes[span] for piece, span in spans], dtype=np.int8),
        np.array([piece.mode == "minor" for piece, _ in spans], dtype=np.int8),  # (N,)
        tuple(piece.tune for piece, _ in spans),
        tuple(piece.name for piece, _ in spans),
    )


def _cut(piece: Piece, start: int, end: int) -> list[int]:
    """Return the events of some steps; a note held over from before them is struck again."""
    events = list(piece.events[start:end])
    before = [event for event in piece.events[:start] if event != HOLD]
    if events[0] == HOLD and before:
        events[0] = before[-1]
    return events


def phrases(corpus: Corpus, split: str) -> list[Melody]:
    """Return the phrases of a split, from one fermata to the next, as melodies in whole bars.

    The bars are those of the piece: where a phrase begins or ends within a bar, the rest of that
    bar is silent and without a chord. Phrases without a note are left out.
    """
    found = []
    for piece in corpus.of(split):
        whole = piece.melody()
        for number, (start, end) in enumerate(
            zip((0, *piece.phrases), piece.phrases, strict=False), 1
        ):
            events = _cut(piece, start, end)
            if not any(event >= FIRST_NOTE for event in events):
                continue
            first = start - start % piece.steps_per_bar
            last = end + -end % piece.steps_per_bar
            beats = range(first // piece.steps_per_beat, last // piece.steps_per_beat)
            inside = [
                start < (b + 1) * piece.steps_per_beat and b * piece.steps_per_beat < end
                for b in beats
            ]
            found.append(
                replace(
                    whole,
                    events=(*[REST] * (start - first), *events, *[REST] * (last - end)),
                    chords=tuple(
                        whole.chords[b] if here else NO_CHORD
                        for b, here in zip(beats, inside, strict=True)
                    ),
                    name=f"{piece.name}-phrase{number}",
                )
            )
    return found


def load(name: str = "chorales", *, steps_per_beat: int = 2) -> Corpus:
    """Return a prepared corpus from the cache.

    Raises:
        CorpusMissing: it is not there, or its file is damaged.
    """
    path = cache.corpus_path(name, steps_per_beat)
    which = f" --corpus {name}" if name in SOURCES[1:] else ""
    grid = f" --steps-per-beat {steps_per_beat}" if steps_per_beat != 2 else ""
    how = f"run `musicgym data prepare{which}{grid}`"
    try:
        return _read(path)
    except FileNotFoundError:
        raise CorpusMissing(f"the corpus {name!r} is not prepared: {how}") from None
    except cache.CorruptFile as error:
        raise CorpusMissing(f"the corpus {name!r} must be prepared again: {error}; {how}") from None


def prepare(
    name: str = "chorales", *, steps_per_beat: int = 2, jobs: int = 1, progress: bool = True
) -> Corpus:
    """Return a corpus from the cache, or build it and write it there.

    A damaged file is set aside with a warning and built anew.

    Raises:
        ValueError: there is no such corpus, or no such grid.
    """
    if steps_per_beat not in GRIDS:
        raise ValueError(f"steps_per_beat: {steps_per_beat!r} is not one of {GRIDS}.")
    path = cache.corpus_path(name, steps_per_beat)
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except cache.CorruptFile as error:
        aside = cache.set_aside(path)
        warnings.warn(f"{error}; it is kept as {aside.name} and built anew", stacklevel=2)
    if name not in SOURCES:
        raise ValueError(
            f"corpus: {name!r} is not one of {', '.join(SOURCES)}{closest(name, SOURCES)} and no "
            "import of that name is in the cache."
        )
    source = importlib.import_module(f".{name}", __package__)  # it imports this module
    corpus: Corpus = source.build(steps_per_beat=steps_per_beat, jobs=jobs, progress=progress)
    save(corpus, steps_per_beat)
    return corpus


def save(corpus: Corpus, steps_per_beat: int) -> None:
    """Write a corpus to the cache, where `load` finds it by its name."""
    content = {
        "format": FORMAT,
        "name": corpus.name,
        "fingerprint": corpus.fingerprint,
        "split": dict(corpus.split),
        "report": dict(corpus.report),
        "pieces": [asdict(piece) for piece in corpus.pieces],
    }
    cache.write(cache.corpus_path(corpus.name, steps_per_beat), content)


def _read(path: Path) -> Corpus:
    """Return the corpus that `save` wrote, checked against its own fingerprint."""
    content = cache.read(path)
    if content.get("format") != FORMAT:
        raise cache.CorruptFile(f"{path} has format {content.get('format')!r}, not {FORMAT}")
    try:
        rows: list[dict[str, Any]] = [
            {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
            for row in content["pieces"]
        ]
        pieces = tuple(Piece(**row) for row in rows)
        split, report = dict(content["split"]), dict(content["report"])
        if _fingerprint(pieces, split) != content["fingerprint"]:
            raise ValueError("its fingerprint does not match")
        return Corpus(str(content["name"]), pieces, content["fingerprint"], split, report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise cache.CorruptFile(f"{path} does not fit together ({error})") from error


def summary(corpus: Corpus, *, bars: int = 8, meter: str = "4/4") -> str:
    """Return a text of at most 80 columns: what was kept, dropped, and how it is split."""
    lines = [f"{corpus.name}: {len(corpus.pieces)} pieces, fingerprint {corpus.fingerprint}"]
    lines += [
        f"  dropped {n:4}  {reason}" for reason, n in corpus.report.items() if reason != "kept"
    ]
    for title, counts in (
        ("meters", Counter(piece.meter for piece in corpus.pieces)),
        ("modes", Counter(piece.mode for piece in corpus.pieces)),
    ):
        lines.append(f"  {title}: " + ", ".join(f"{n} in {key}" for key, n in counts.most_common()))
    lines.append(f"  {'split':<12}{'pieces':>8}{'tunes':>8}{'phrases':>9}{'windows':>9}")
    for split in splits.SPLITS:
        pieces = corpus.of(split)
        try:
            cuts = len(windows(corpus, split, bars=bars, meter=meter).events)
        except ValueError:
            cuts = 0
        tunes = len({piece.tune for piece in pieces})
        ends = sum(len(piece.phrases) for piece in pieces)
        lines.append(f"  {split:<12}{len(pieces):>8}{tunes:>8}{ends:>9}{cuts:>9}")
    lines.append(f"  (windows of {bars} bars in {meter}; no tune stands on two sides)")
    events = np.array([event for piece in corpus.pieces for event in piece.events])
    shares = [np.mean(events >= FIRST_NOTE), np.mean(events == HOLD), np.mean(events == REST)]
    onset, hold, rest = (f"{100 * share:.1f} %" for share in shares)
    lines.append(f"  slots: {onset} onsets, {hold} holds, {rest} rests")
    return "\n".join(lines)
