"""The Bach chorales that come with music21, as melodies over one chord a beat.

The melody is the soprano; the chord of each beat is read from the three lower voices, so that
the melody does not leak into its own chord. Repeats are played once. A pickup is written as a
first bar with rests before it, so every bar line stands where the score has it. The last note,
which bears a fermata, sounds to the end of its bar.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.meters import METERS

from .dataset import HIGH, LOW, Corpus, Piece, collect
from .labelling import label_beats

__all__ = ["build", "find_key", "gather", "read_chorale"]

#: A piece that loses more of its notes than this to the grid is dropped. A grid of one slot a beat
#: is chosen to leave the eighths out, so it may lose more.
MAX_LOST = {1: 0.25, 2: 0.05, 4: 0.05}

#: The weight of the second half of a beat, where most passing notes are, in the beat's chord.
SECOND_HALF = 0.4

#: How strongly a pitch class speaks for a key on its tonic (Temperley 2007, chapter 6; the
#: profiles of Krumhansl prefer the dominant of half of the chorales in major).
_PROFILES = {
    "major": (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
    "minor": (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
}


class Sound(NamedTuple):
    """A note of the score: onset and end in quarters, MIDI pitch, and whether it has a fermata."""

    onset: float
    end: float
    pitch: int
    fermata: bool


class Dropped(ValueError):
    """A piece is not used; the message is the reason."""


def build(*, steps_per_beat: int = 2, jobs: int = 1, progress: bool = True) -> Corpus:
    """Read all chorales and return them as a corpus, with the reasons for those left out.

    Args:
        steps_per_beat: grid slots a quarter.
        jobs: processes that read in parallel.
        progress: whether to show a progress bar.
    """
    from music21 import corpus

    paths = sorted(
        str(path) for path in corpus.getComposer("bach") if path.suffix in (".mxl", ".xml")
    )
    work = [(path, steps_per_beat) for path in paths]
    return gather("chorales", _read, work, jobs=jobs, progress=progress)


def gather(
    name: str,
    read: Callable[[tuple[str, int]], list[Piece | str]],
    work: Sequence[tuple[str, int]],
    *,
    jobs: int,
    progress: bool,
) -> Corpus:
    """Read files in parallel and collect their pieces, those that come twice once.

    Args:
        name: of the corpus.
        read: a function of a module, from an item of `work` to pieces and reasons for dropping.
        work: (path, steps_per_beat) of each file.
        jobs: processes that read in parallel.
        progress: whether to show a progress bar.
    """
    from tqdm import tqdm

    bar: dict[str, Any] = {"total": len(work), "desc": name, "disable": not progress}
    if jobs <= 1:
        found = list(tqdm(map(read, work), **bar))
    else:
        # Spawned, not forked: a fork of a process with running threads can hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            found = list(tqdm(pool.map(read, work, chunksize=4), **bar))
    pieces: list[Piece] = []
    report: Counter[str] = Counter()
    seen: set[tuple[Any, ...]] = set()
    for result in (one for file in found for one in file):
        if isinstance(result, str):
            report[result] += 1
            continue
        marks = {(result.name,), (result.meter, result.events, result.roots, result.codes)}
        if marks & seen:
            report["the same as another"] += 1
            continue
        seen |= marks
        pieces.append(result)
    return collect(name, pieces, {"kept": len(pieces), **dict(report.most_common())})


def _read(work: tuple[str, int]) -> list[Piece | str]:
    try:
        return [read_chorale(Path(work[0]), work[1])]
    except Dropped as reason:
        return [str(reason)]


def read_chorale(path: Path, steps_per_beat: int = 2) -> Piece:
    """Read one chorale from MusicXML.

    Raises:
        Dropped: it does not fit; the message is the reason.
    """
    from music21 import converter

    score = converter.parse(path, forceSource=True, storePickle=False)
    parts = _voices(score)
    meter, pickup, quarters = _bars(parts[0])
    voices = [list(_sounds(part)) for part in parts]
    if not all(voices):
        raise Dropped("an empty voice")
    sharps = [k.sharps for k in parts[0].recurse().getElementsByClass("KeySignature")]
    tonic, mode = find_key(voices, sharps[0] if sharps else 0)
    bar = METERS[meter].beats * 4 / METERS[meter].unit  # quarters
    step = 4 / METERS[meter].unit / steps_per_beat
    pad = (bar - pickup) % bar
    steps = ceil((pad + quarters) / bar) * METERS[meter].beats * steps_per_beat
    if any(b.onset - a.end > bar for a, b in pairwise(voices[0])):
        raise Dropped("instrumental interludes")
    voices = [[s._replace(onset=s.onset + pad, end=s.end + pad) for s in v] for v in voices]
    pitches = [sound.pitch for sound in voices[0]]
    shift = _shift(tonic, mode, min(pitches), max(pitches))
    events = _events(voices[0], steps, step, shift, MAX_LOST[steps_per_beat])
    ends = {ceil(s.end / step - 1e-6) for s in voices[0][:-1] if s.fermata}
    last = max(i for i, event in enumerate(events) if event >= FIRST_NOTE)
    roots, codes = _chords(voices[1:], steps // steps_per_beat, step * steps_per_beat, shift)
    return Piece(
        name=path.stem,
        tune="",
        mode=mode,
        meter=meter,
        steps_per_beat=steps_per_beat,
        events=tuple(events),
        roots=roots,
        codes=codes,
        phrases=(*sorted(end for end in ends if 0 < end <= last), steps),
        shift=shift,
    )


def _voices(score: Any) -> list[Any]:
    """Return soprano, alto, tenor and bass."""
    parts = list(score.parts)
    if len(parts) == 4:
        return parts
    names = ("soprano", "alto", "tenor", "bass")
    found = [[p for p in parts if str(p.partName).lower().startswith(name)] for name in names]
    if any(len(named) != 1 for named in found):
        raise Dropped("not in four voices")
    return [named[0] for named in found]


def _bars(part: Any) -> tuple[str, float, float]:
    """Return the meter, the length of the pickup and that of the whole, both in quarters."""
    meters = {m.ratioString for m in part.recurse().getElementsByClass("TimeSignature")}
    if len(meters) != 1:
        raise Dropped("changes its meter")
    meter = str(meters.pop())
    if meter not in METERS:
        raise Dropped(f"in {meter}")
    bar = METERS[meter].beats * 4 / METERS[meter].unit
    measures = list(part.getElementsByClass("Measure"))
    spans = [(float(m.offset), float(m.duration.quarterLength)) for m in measures]
    # Around a repeat sign the score cuts a bar in two; the pieces make up a bar again.
    full = [offset for offset, length in spans if abs(length - bar) < 1e-6]
    if not full or any(length > bar + 1e-6 for _, length in spans):
        raise Dropped("uneven bars")
    pickup = full[0] % bar
    if any(abs((offset - pickup) % bar) > 1e-6 for offset in full):
        raise Dropped("uneven bars")
    return meter, pickup, sum(spans[-1])


def _sounds(part: Any) -> Iterator[Sound]:
    """Yield the notes of a voice in order, tied notes joined, grace notes left out."""
    held: Sound | None = None
    for note in part.flatten().notes:
        length = float(note.quarterLength)
        if length <= 0:
            continue
        onset = float(note.offset)
        fermata = any("Fermata" in mark.classes for mark in note.expressions)
        pitch = max(p.midi for p in note.pitches)
        tied = note.tie is not None and note.tie.type in ("stop", "continue")
        if tied and held and held.pitch == pitch and abs(held.end - onset) < 1e-6:
            held = held._replace(end=onset + length, fermata=held.fermata or fermata)
            continue
        if held:
            yield held
        held = Sound(onset, onset + length, pitch, fermata)
    if held:
        yield held


def find_key(voices: Sequence[Sequence[Sound]], sharps: int) -> tuple[int, str]:
    """Return the tonic's pitch class and the mode, major or minor, of a chorale.

    The key is the one whose profile agrees best with the pitch classes of all voices; the last
    bass note and the key signature decide between close ones. Scores label most minor chorales
    as major, so their own label is not used. A dorian tune becomes minor and a mixolydian one
    major on the same final; a phrygian tune becomes the minor key whose dominant ends it.
    """
    heard = np.zeros(12)
    for sound in (s for voice in voices for s in voice):
        heard[sound.pitch % 12] += sound.end - sound.onset
    final = voices[-1][-1].pitch % 12
    best, key = -np.inf, (0, "major")
    for mode, profile in _PROFILES.items():
        for tonic in range(12):
            # The signature of C major or A minor is empty, and a fifth up adds a sharp.
            written = ((tonic - (9 if mode == "minor" else 0)) * 7 + 6) % 12 - 6
            apart = abs((written - sharps + 6) % 12 - 6)
            score = np.corrcoef(np.roll(profile, tonic), heard)[0, 1]
            score += 0.15 * (tonic == final) + (0.1 if apart == 0 else 0.05 if apart == 1 else 0.0)
            if score > best:
                best, key = score, (tonic, mode)
    return key


def _shift(tonic: int, mode: str, lowest: int, highest: int) -> int:
    """Return the smallest transposition to C major or A minor that keeps the melody in range."""
    nearest = ((9 if mode == "minor" else 0) - tonic + 6) % 12 - 6
    for shift in sorted((nearest, nearest - 12, nearest + 12), key=abs):
        if lowest + shift >= LOW and highest + shift <= HIGH:
            return shift
    raise Dropped("outside C3 to B5")


def _events(
    melody: Sequence[Sound], steps: int, step: float, shift: int, most_lost: float
) -> list[int]:
    """Return the melody on the grid: each slot has the note that sounds as the slot begins.

    So a note on the slot wins, and a note wholly between two slots is lost.
    """
    owner = [-1] * steps
    for index, sound in enumerate(melody):
        first, end = (ceil(t / step - 1e-6) for t in (sound.onset, sound.end))
        owner[first:end] = [index] * (min(end, steps) - first)
    lost = len(melody) - len(set(owner) - {-1})
    if lost > most_lost * len(melody):
        raise Dropped("too fine for the grid")
    last = max(i for i, index in enumerate(owner) if index >= 0)
    owner[last:] = [owner[last]] * (steps - last)
    before = [-1, *owner]
    return [
        REST if now < 0 else HOLD if now == was else melody[now].pitch + shift - LOW + FIRST_NOTE
        for was, now in zip(before, owner, strict=False)
    ]


def _chords(
    lower: Sequence[Sequence[Sound]], beats: int, beat: float, shift: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the roots and codes of each beat; beats after the end keep the last chord."""
    weights = np.stack([_durations(voice, beats, beat, shift) for voice in lower])  # (3, B, 12)
    roots, codes = label_beats(weights.sum(axis=0), weights[-1])
    last = int(np.flatnonzero(codes)[-1]) if codes.any() else 0
    roots[last:], codes[last:] = roots[last], codes[last]
    return tuple(roots.tolist()), tuple(codes.tolist())


def _durations(voice: Sequence[Sound], beats: int, beat: float, shift: int) -> NDArray[np.float64]:
    """Return (B, 12): how long each pitch class sounds in each beat, its start counting most."""
    weights = np.zeros((beats, 12))
    for sound in voice:
        for b in range(int(sound.onset // beat), min(ceil(sound.end / beat - 1e-6), beats)):
            for start, weight in ((b * beat, 1.0), ((b + 0.5) * beat, SECOND_HALF)):
                length = min(sound.end, start + beat / 2) - max(sound.onset, start)
                weights[b, (sound.pitch + shift) % 12] += weight * max(length, 0.0)
    return weights
