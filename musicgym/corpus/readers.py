"""Readers of scores in MusicXML and ABC, from the bytes of a file to `Reading`s."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from musicgym.theory import NO_CHORD, Chord, Key

from .chord_spellings import from_tones, read_chords
from .readings import Dropped, Line, Reading, Sound, problem

__all__ = ["MAX_UNPACKED", "check_zip", "read_abc", "read_musicxml"]

#: Limits that keep a hostile file from filling the memory or taking for ever.
MAX_NOTES = 20_000  # of a MusicXML file: music21 takes half a minute
MAX_TUNE_NOTES = 4_000  # of an ABC tune: its time grows with the square
MAX_ABC_LENGTH, MAX_ABC_TOTAL = 32, 10_000
MAX_UNPACKED = 64 * 2**20


def _key(sharps: int, mode: str) -> Key | None:
    """Return the key of a signature and a mode, None if there is none such."""
    if not -7 <= sharps <= 7:
        return None
    fifths = sharps + 1 + (3 if mode == "minor" else 0)
    accidental = fifths // 7
    sign = "#" * accidental if accidental > 0 else "b" * -accidental
    return Key.parse(f"{'FCGDAEB'[fifths % 7]}{sign} {mode}")


def check_zip(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that would unpack to too much; what it states is what is unpacked."""
    if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
        raise Dropped(f"unpacks to more than {MAX_UNPACKED // 2**20} MiB")


def read_musicxml(data: bytes) -> list[Reading]:
    """Read MusicXML, plain or compressed, with its chord symbols.

    Raises:
        Dropped: it does not fit or is too large; the message is the reason.
        Exception: whatever music21 raises on a file that is no MusicXML.
    """
    text = _unpacked(data) if data[:2] == b"PK" else _decoded(data)
    if "<!ENTITY" in text:
        raise Dropped("declares XML entities")
    if "<score-partwise" not in text:
        raise Dropped("no MusicXML (score-partwise)")
    if len(re.findall(r"<note[\s>]", text)) > MAX_NOTES:
        raise Dropped(f"more than {MAX_NOTES} notes")
    # music21 takes minutes over notes and bars of absurd length.
    divisions = 1.0
    for name, value in re.findall(r"<(divisions|duration)>\s*([\d.]+)", text):
        if name == "divisions":
            divisions = float(value)
        elif float(value) > 64 * divisions:
            raise Dropped("a note of more than 64 quarters")
    if re.search(r"<beat(s|-type)>\s*\d{3}", text):
        raise Dropped("an absurd meter")
    return [_score(text, "musicxml")]


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unpacked(data: bytes) -> str:
    """Return the score inside a compressed MusicXML file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive)
        names = [n for n in archive.namelist() if not n.startswith("META-INF/")]
        scores = [n for n in names if n.endswith((".xml", ".musicxml"))]
        if not scores:
            raise Dropped("no score in the archive")
        inside = "META-INF/container.xml"
        index = _decoded(archive.read(inside)) if inside in archive.namelist() else ""
        stated = re.search(r'full-path="([^"]+)"', index)
        name = stated[1] if stated and stated[1] in scores else scores[0]
        return _decoded(archive.read(name))


#: How a quoted string begins that is a text above or below the notes.
_WORDS = ("^", "_", "<", ">", "@")
_QUOTED = re.compile(r'"([^"\n]*)"')

#: music21 reads other names for these chords.
_FIGURES = {"aug7": "+7", "maj7#5": "+M7", "7b5": "dom7dim5", "dimM7": "dim"}


def read_abc(data: bytes) -> list[Reading]:
    """Read the tunes of an ABC file, with the chords in quotation marks.

    In tunes where fewer than half of the quoted strings are chords they are fingerings or words:
    the tune then has no chords.

    Raises:
        Dropped: no tune in it, or too large.
    """
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    tunes = [tune for tune in re.split(r"(?m)^(?=X:)", text) if re.search(r"(?m)^K:", tune)]
    if not tunes:
        raise Dropped("no ABC tune with a key (K:)")
    readings = []
    for number, tune in enumerate(tunes, 1):
        stated = re.search(r"(?m)^X:\s*(\w+)", tune)
        title = (stated[1] if stated else str(number)) if len(tunes) > 1 else ""
        try:
            readings.append(replace(_tune(tune), title=title))
        except Exception as error:  # music21 raises all kinds; the other tunes may be whole
            readings.append(Reading([], title, problem=problem(error)))
    return readings


def _tune(text: str) -> Reading:
    """Read one tune."""
    music = re.sub(r"(?m)%.*$|^[A-JN-Zabd-z]:.*$", "", _QUOTED.sub("", text))
    numbers = [int(n) for n in re.findall(r"\d{1,9}", music)]
    if len(re.findall("[A-Ga-gxz]", music)) > MAX_TUNE_NOTES:
        raise Dropped(f"more than {MAX_TUNE_NOTES} notes")
    # music21 takes minutes over notes of absurd length.
    if max(numbers, default=0) > MAX_ABC_LENGTH or sum(numbers) > MAX_ABC_TOTAL:
        raise Dropped("a note of absurd length")
    quoted = [q for q in _QUOTED.findall(text) if not q.startswith(_WORDS)]
    chords = read_chords(quoted, None)
    unreadable = chords.count(None)
    if 2 * unreadable > len(chords):
        return _score(_QUOTED.sub("", text), "abc")
    figures = iter([_figure(chord or NO_CHORD) for chord in chords])
    plain = _QUOTED.sub(lambda m: "" if m[1].startswith(_WORDS) else f'"{next(figures)}"', text)
    return replace(_score(plain, "abc"), unreadable=unreadable)


def _figure(chord: Chord) -> str:
    if chord == NO_CHORD:
        return "N.C."
    return Chord(chord.root, "").symbol() + _FIGURES.get(chord.quality, chord.quality)


def _score(text: str, form: str) -> Reading:
    """Read a score in one part or many with music21."""
    from music21 import converter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = converter.parseData(text, format=form)
    parts = list(score.parts)
    if not parts:
        raise Dropped("no notes")
    meter, pickup = _bars(parts[0])
    sharps, key = _signature(parts[0])
    if form == "musicxml":  # programs write a mode there without being asked
        key = None
    chords, unreadable = _symbols(score)
    lines = [line for part in parts for line in _voices(part)]
    return Reading(
        lines,
        meter=meter,
        pickup=pickup,
        key=key,
        sharps=sharps,
        chords=chords,
        unreadable=unreadable,
    )


def _bars(part: Any) -> tuple[str, float]:
    """Return the meter and the length of the pickup, 0 if the first bar is complete."""
    signs = list(part.recurse().getElementsByClass("TimeSignature"))
    if len({sign.ratioString for sign in signs}) > 1:
        raise Dropped("changes its meter")
    if not signs:
        return "4/4", 0.0
    bar = float(signs[0].barDuration.quarterLength)
    measures = list(part.getElementsByClass("Measure"))
    spans = [(float(m.offset), float(m.duration.quarterLength)) for m in measures]
    # Around a repeat sign the score cuts a bar in two; the pieces make up a bar again.
    full = [offset for offset, length in spans if abs(length - bar) < 1e-6]
    pickup = full[0] % bar if full else 0.0
    astray = sum(abs((offset - pickup + 1e-6) % bar) > 2e-6 for offset in full)
    if astray > 0.1 * len(full):
        raise Dropped("uneven bars")
    return str(signs[0].ratioString), pickup


def _signature(part: Any) -> tuple[int | None, Key | None]:
    """Return the number of sharps, and the key if a major or minor mode is stated."""
    signs = list(part.recurse().getElementsByClass("KeySignature"))
    if not signs:
        return None, None
    sharps = signs[0].sharps
    if any(sign.sharps != sharps for sign in signs):
        raise Dropped("changes its key signature")
    mode = getattr(signs[0], "mode", None)
    return sharps, _key(sharps, mode) if mode in ("major", "minor") else None


def _symbols(score: Any) -> tuple[list[tuple[float, Chord]], int]:
    """Return the chord symbols, in order, and how many cannot be read."""
    found, unreadable = [], 0
    for symbol in score.flatten().getElementsByClass("ChordSymbol"):
        chord = _chord(symbol)
        unreadable += chord is None
        found.append((float(symbol.offset), chord or NO_CHORD))
    return found, unreadable


def _chord(symbol: Any) -> Chord | None:
    """Return a chord symbol as our chord, read by its tones; a bass of its own is left out."""
    if "NoChord" in symbol.classes:
        return NO_CHORD
    if not symbol.pitches:
        return None
    kinds = _tones_of_kind(symbol.chordKind)
    root, bass = symbol.root().pitchClass, symbol.bass().pitchClass
    tones = {pitch.pitchClass for pitch in symbol.pitches}
    if (bass - root) % 12 not in kinds:
        return from_tones(root, tones - {bass}) or from_tones(root, tones)
    return from_tones(root, tones)


@lru_cache(maxsize=256)
def _tones_of_kind(kind: str) -> frozenset[int]:
    """Return the semitones above the root that the kind of a chord symbol names."""
    from music21 import harmony

    if kind not in harmony.CHORD_TYPES:
        return frozenset()
    plain = harmony.ChordSymbol(root="C", kind=kind)
    return frozenset(pitch.pitchClass for pitch in plain.pitches)


def _voices(part: Any) -> Iterator[Line]:
    """Yield the voices of a part; notes outside any voice are the first one's."""
    found: dict[str, list[Any]] = {}
    for measure in [m for m in part.getElementsByClass("Measure")] or [part]:
        start = float(measure.offset) if measure is not part else 0.0
        voices = list(measure.voices)
        for i, voice in enumerate(voices or [measure]):
            rows = found.setdefault(str(i), [])
            rows += [(start + float(e.offset), e) for e in voice.notes]
        if voices:
            found["0"] += [(start + float(e.offset), e) for e in measure.notes]
    for sounds in map(_sounds, found.values()):
        yield Line(str(part.partName or ""), sounds)


def _sounds(rows: list[tuple[float, Any]]) -> list[Sound]:
    """Return the notes of a voice, tied notes joined, grace notes and chord symbols left out."""
    sounds: list[Sound] = []
    last: dict[int, int] = {}  # pitch -> place of its latest sound
    for onset, element in sorted(rows, key=lambda row: row[0]):
        length = float(element.quarterLength)
        if length <= 0 or "ChordSymbol" in element.classes or "Unpitched" in element.classes:
            continue
        fermata = any("Fermata" in mark.classes for mark in element.expressions)
        for note in getattr(element, "notes", None) or [element]:
            pitch = int(note.pitch.midi)
            tied = note.tie is not None and note.tie.type in ("stop", "continue")
            before = sounds[last[pitch]] if pitch in last else None
            if tied and before and abs(before.end - onset) < 1e-6:
                sounds[last[pitch]] = before._replace(
                    end=onset + length, fermata=before.fermata or fermata
                )
                continue
            last[pitch] = len(sounds)
            sounds.append(Sound(onset, onset + length, pitch, fermata))
    return sounds
