"""A file's music before it is fitted to the corpus, and the way from the one to the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from musicgym.events import Note, from_notes
from musicgym.meters import METERS
from musicgym.theory import NO_CHORD, Chord, Key

from .chorales import MAX_LOST, SECOND_HALF, Dropped, Sound, find_key
from .dataset import HIGH, LOW, Piece
from .labelling import infer_chords, label_beats

__all__ = ["MAX_NOTES", "Dropped", "Line", "Reading", "Sound", "fit", "problem"]

MIN_BARS, MAX_BARS = 4, 1024
MIN_NOTES, MAX_NOTES = 8, 100_000

#: A line of which more notes than this sound together with another is no melody.
MAX_TOGETHER = 0.05

#: Beats after which a note of the accompaniment counts as silent.
MAX_RING = 32

_MELODY = re.compile(r"melod|soprano|vocal|\bvox|voice|\blead|sing|tune|solo|theme|cantus", re.I)
_OTHER = re.compile(r"\bbass\b|drum|perc|chord|accomp|\bpad|harmon|\bleft", re.I)

#: Meters whose bars are those of another.
_SAME = {"2/2": "4/4", "C": "4/4", "C|": "4/4"}


class Line(NamedTuple):
    """A track, part or voice: its name and its notes, in quarters from the start."""

    name: str
    sounds: list[Sound]


@dataclass(frozen=True)
class Reading:
    """What a reader found in a file, in quarters and sounding pitch.

    Attributes:
        lines: the tracks, parts or voices; one of them is the melody.
        title: tells this piece from others of the same file; empty if there are none.
        meter: such as ``"4/4"``.
        pickup: the length of an incomplete first bar, 0 if the first bar is complete.
        key: the key, if the file states it beyond doubt.
        sharps: the key signature (flats negative), None if there is none.
        chords: (onset, chord) in quarters; empty if the file has none.
        unreadable: how many of its chords could not be read and count as no chord.
        problem: why it cannot be used, if the reader found that out.
    """

    lines: list[Line]
    title: str = ""
    meter: str = "4/4"
    pickup: float = 0.0
    key: Key | None = None
    sharps: int | None = None
    chords: Sequence[tuple[float, Chord]] = ()
    unreadable: int = 0
    problem: str = ""


def problem(error: Exception) -> str:
    """Return the reason that an exception gives for leaving a piece out."""
    if isinstance(error, Dropped):
        return str(error)
    return f"cannot be read: {type(error).__name__}: {' '.join(str(error).split())}"[:160]


def fit(reading: Reading, name: str, steps_per_beat: int) -> tuple[Piece, bool]:
    """Return the piece on the grid in C major or A minor, and whether its chords are inferred.

    The melody is the line named so, or the highest single voice. Empty bars before and after it
    are left out. Its chords are those of the file, else those of the other lines' notes, else
    inferred from the melody alone.

    Raises:
        Dropped: it cannot be used; the message is the reason.
    """
    if reading.problem:
        raise Dropped(reading.problem)
    meter = _SAME.get(reading.meter, reading.meter)
    if meter not in METERS:
        raise Dropped(f"in {meter[:20]}")
    beat = 4 / METERS[meter].unit  # quarters
    bar = METERS[meter].beats * beat
    place = _melody(reading.lines)
    melody = sorted(reading.lines[place].sounds)
    others = [s for i, line in enumerate(reading.lines) if i != place for s in line.sounds]
    if melody[-1].onset > (MAX_BARS + 1) * bar:
        raise Dropped(f"longer than {MAX_BARS} bars")
    pad = (bar - reading.pickup) % bar
    pad -= bar * ((melody[0].onset + pad + beat / steps_per_beat / 2) // bar)  # empty bars before
    melody, others = _moved(melody, pad), _moved(others, pad)
    chords = [(onset + pad, chord) for onset, chord in sorted(reading.chords, key=_onset)]
    if all(chord == NO_CHORD for _, chord in chords):
        chords = []

    step = beat / steps_per_beat
    notes = _on_grid(melody, step, MAX_LOST[steps_per_beat])
    bars = ceil(max(note.onset + note.duration for note in notes) * step / bar - 1e-6)
    if not MIN_BARS <= bars <= MAX_BARS:
        limit = f"shorter than {MIN_BARS}" if bars < MIN_BARS else f"longer than {MAX_BARS}"
        raise Dropped(f"{limit} bars")
    beats = bars * METERS[meter].beats
    steps = beats * steps_per_beat
    others = [s for s in others if s.end > 0 and s.onset < bars * bar]
    chords = [(onset, chord) for onset, chord in chords if onset < bars * bar]
    tonic, mode = _key(reading, melody, others, chords, bars * bar)
    shift = _shift(tonic, mode, [note.pitch for note in notes])
    moved = [note._replace(pitch=note.pitch + shift) for note in notes]
    events = from_notes(moved, steps, LOW, HIGH)

    labels = _written(chords, beats, beat, shift) if chords else _heard(others, beats, beat, shift)
    inferred = labels is None
    roots, codes = labels or infer_chords(events, LOW, mode, meter, steps_per_beat)
    ends = {ceil(s.end / step - 1e-6) for s in melody[:-1] if s.fermata}
    piece = Piece(
        name=name,
        tune="",
        mode=mode,
        meter=meter,
        steps_per_beat=steps_per_beat,
        events=tuple(events),
        roots=roots,
        codes=codes,
        phrases=(*sorted(end for end in ends if 0 < end < steps), steps),
        shift=shift,
    )
    return piece, inferred


def _onset(chord: tuple[float, Chord]) -> float:
    return chord[0]


def _moved(sounds: Sequence[Sound], by: float) -> list[Sound]:
    return [s._replace(onset=s.onset + by, end=s.end + by) for s in sounds]


def _melody(lines: Sequence[Line]) -> int:
    """Return the place of the line that is the melody."""
    playing = [i for i, line in enumerate(lines) if line.sounds]
    if not playing:
        raise Dropped("no notes")
    named = [i for i in playing if _MELODY.search(lines[i].name)]
    others = [i for i in playing if not _OTHER.search(lines[i].name)]
    pool = named or others or playing
    single = [i for i in pool if _together(lines[i].sounds) <= MAX_TOGETHER]
    if not single:
        raise Dropped("no single voice")
    most = max(len(lines[i].sounds) for i in single)
    if most < MIN_NOTES:
        raise Dropped(f"fewer than {MIN_NOTES} notes")
    # A few high notes of an ornament are no melody.
    busy = [i for i in single if 4 * len(lines[i].sounds) >= most]
    return max(busy, key=lambda i: float(np.mean([s.pitch for s in lines[i].sounds])))


def _together(sounds: Sequence[Sound]) -> float:
    """Return the share of notes that sound for half their length with an earlier one."""
    count, held = 0, Sound(0.0, 0.0, 0, False)
    for sound in sorted(set(sounds)):
        overlap = min(held.end, sound.end) - sound.onset
        shorter = min(held.end - held.onset, sound.end - sound.onset)
        count += overlap > 0.5 * shorter
        held = max(held, sound, key=lambda s: s.end)
    return count / len(sounds)


def _on_grid(melody: Sequence[Sound], step: float, most_lost: float) -> list[Note]:
    """Return the notes in steps; of several on one step, the nearest to it (then the highest)."""
    slots: dict[int, list[Sound]] = {}
    for sound in melody:
        slots.setdefault(round(sound.onset / step), []).append(sound)
    onsets = sorted({round(s.onset / step * 4) for s in melody})  # of a chord, one
    if len(onsets) - len(slots) > most_lost * len(onsets):
        raise Dropped("too fine for the grid")
    notes = []
    for slot, sounds in sorted(slots.items()):
        best = min(sounds, key=lambda s: (round(abs(s.onset / step - slot), 1), -s.pitch))
        notes.append(Note(slot, max(1, round(best.end / step) - slot), best.pitch))
    if len(notes) < MIN_NOTES:
        raise Dropped(f"fewer than {MIN_NOTES} notes")
    return notes


def _key(
    reading: Reading,
    melody: list[Sound],
    others: list[Sound],
    chords: list[tuple[float, Chord]],
    end: float,
) -> tuple[int, str]:
    """Return the tonic and the mode: the file's own, or those that notes and chords speak for."""
    if reading.key:
        return reading.key.tonic, reading.key.mode
    # The last of the last voice is taken for the final bass note, so roots come last.
    voice = sorted(others, key=lambda s: (s.onset, -s.pitch))
    if chords:
        ends = [onset for onset, _ in chords[1:]] + [end]
        voice = [
            Sound(max(onset, 0.0), until, pitch, False)
            for (onset, chord), until in zip(chords, ends, strict=True)
            for pitch in reversed(chord.pitch_classes)
            if until > 0
        ]
    voices = [melody, voice] if voice else [melody]
    sharps = reading.sharps if reading.sharps is not None else _likely_sharps(voices)
    return find_key(voices, sharps)


def _likely_sharps(voices: Sequence[Sequence[Sound]]) -> int:
    """Return the key signature whose seven notes sound for the longest time."""
    heard = np.zeros(12)
    for sound in (s for voice in voices for s in voice):
        heard[sound.pitch % 12] += sound.end - sound.onset
    scale = (0, 2, 4, 5, 7, 9, 11)
    inside = {n: sum(heard[(7 * n + tone) % 12] for tone in scale) for n in range(-6, 6)}
    return max(inside, key=lambda n: (round(inside[n], 6), -abs(n)))


def _shift(tonic: int, mode: str, pitches: Sequence[int]) -> int:
    """Return the smallest transposition to C major or A minor into the range."""
    nearest = ((9 if mode == "minor" else 0) - tonic + 6) % 12 - 6
    for shift in sorted((nearest + 12 * octave for octave in range(-6, 7)), key=abs):
        if min(pitches) + shift >= LOW and max(pitches) + shift <= HIGH:
            return shift
    raise Dropped("a range of over three octaves")


Labels = tuple[tuple[int, ...], tuple[int, ...]]  # roots and codes, one a beat


def _written(chords: list[tuple[float, Chord]], beats: int, beat: float, shift: int) -> Labels:
    """Return the chord that holds at the middle of each beat; N.C. before the first."""
    now, row = 0, []
    for b in range(beats):
        while now < len(chords) and chords[now][0] < (b + 0.5) * beat - 1e-6:
            now += 1
        row.append(chords[now - 1][1].transposed(shift) if now else NO_CHORD)
    return tuple(chord.root for chord in row), tuple(chord.code for chord in row)


def _heard(others: Sequence[Sound], beats: int, beat: float, shift: int) -> Labels | None:
    """Return the chords that the other lines play; None where they are silent half of the time."""
    weights, bass = np.zeros((beats, 12)), np.zeros((beats, 12))
    lowest = np.full(beats, 128)
    for sound in sorted(others, key=lambda s: s.pitch):
        pc = (sound.pitch + shift) % 12
        last = min(sound.end, sound.onset + MAX_RING * beat)
        for b in range(max(0, int(sound.onset // beat)), min(beats, ceil(last / beat))):
            length = 0.0
            for start, weight in ((b * beat, 1.0), ((b + 0.5) * beat, SECOND_HALF)):
                half = min(sound.end, start + beat / 2) - max(sound.onset, start)
                length += weight * max(half, 0.0)
            if length <= 0.05 * beat:  # a note that hangs over, or comes early
                continue
            weights[b, pc] += length
            lowest[b] = min(lowest[b], sound.pitch)
            bass[b, pc] += length * (sound.pitch == lowest[b])
    if np.mean(weights.any(axis=1)) < 0.5:
        return None
    roots, codes = label_beats(weights, bass)
    return tuple(roots.tolist()), tuple(codes.tolist())
