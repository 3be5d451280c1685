"""Readers of scores: MIDI, MusicXML and ABC, from the bytes of a file to `Reading`s."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from musicgym.theory import NO_CHORD, QUALITIES, Chord, Key

from .chord_spellings import from_tones, read_chords
from .readings import Dropped, Line, Reading, Sound

__all__ = ["MAX_NOTES", "MAX_UNPACKED", "check_zip", "read_abc", "read_midi", "read_musicxml"]

#: Limits that keep a hostile file from filling the memory or taking for ever.
MAX_NOTES = 100_000
MAX_SCORE_NOTES = 20_000  # music21 reads about two thousand a second
MAX_UNPACKED = 64 * 2**20


def read_midi(data: bytes, accompaniment: bytes | None = None) -> list[Reading]:
    """Read a MIDI file, and a second one whose notes are the chords of the first.

    Raises:
        Dropped: the meter or the key signature changes, it has drums only, or too many notes.
        RuntimeError: it is no MIDI file.
    """
    import symusic

    score: Any = symusic.Score.from_midi(data)
    lines = _midi_lines(score)
    if accompaniment is not None:
        chords = _midi_lines(symusic.Score.from_midi(accompaniment))
        lines = [Line("melody", line.sounds) for line in lines]
        lines += [Line("chords", line.sounds) for line in chords]
    if not lines and any(track.is_drum for track in score.tracks):
        raise Dropped("drums only")
    meter, pickup = _midi_meter(score)
    signatures = {(k.key, k.tonality) for k in score.key_signatures}
    if len(signatures) > 1:
        raise Dropped("changes its key signature")
    sharps, minor = signatures.pop() if signatures else (None, 0)
    key = _key(sharps, "minor") if minor else None
    return [Reading(lines, meter=meter, pickup=pickup, sharps=sharps, key=key)]


def _midi_lines(score: Any) -> list[Line]:
    """Return the tracks that are no drums, in quarters."""
    tracks = [track for track in score.tracks if not track.is_drum and len(track.notes)]
    if sum(len(track.notes) for track in tracks) > MAX_NOTES:
        raise Dropped(f"more than {MAX_NOTES} notes")
    lines = []
    for track in tracks:
        columns = track.notes.numpy()
        times = zip(columns["time"], columns["duration"], columns["pitch"], strict=True)
        sounds = [
            Sound(float(t / score.tpq), float((t + max(d, 1)) / score.tpq), int(p), False)
            for t, d, p in ((int(t), int(d), int(p)) for t, d, p in times)
        ]
        bass = " bass" if 32 <= track.program < 40 else ""
        lines.append(Line(track.name + bass, sounds))
    return lines


def _midi_meter(score: Any) -> tuple[str, float]:
    """Return the meter and the length of the pickup.

    Notation programs write a pickup as one bar of a shorter meter at the start.
    """
    found: list[tuple[float, int, int]] = []
    for sign in sorted(score.time_signatures, key=lambda sign: sign.time):
        if not found or found[-1][1:] != (sign.numerator, sign.denominator):
            found.append((sign.time / score.tpq, sign.numerator, sign.denominator))
    if not found:
        return "4/4", 0.0
    if len(found) == 2 and found[0][0] == 0:
        (_, n, d), (start, numerator, denominator) = found
        bar = 4 * n / d if d else 0.0
        if denominator and start == bar < 4 * numerator / denominator:
            return f"{numerator}/{denominator}", bar
    if len(found) > 1:
        raise Dropped("changes its meter")
    return f"{found[0][1]}/{found[0][2]}", 0.0


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
    if text.count("<note") > MAX_SCORE_NOTES:
        raise Dropped(f"more than {MAX_SCORE_NOTES} notes")
    # music21 takes minutes over notes and bars of absurd length.
    lengths = [float(n) for n in re.findall(r"<duration>\s*([\d.]+)", text)]
    divisions = [float(n) for n in re.findall(r"<divisions>\s*([\d.]+)", text)]
    if max(lengths, default=0.0) > 64 * min(divisions, default=1.0):
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
        readings.append((title, tune))
    return [_tune(title, tune) for title, tune in readings]


def _tune(title: str, text: str) -> Reading:
    """Read one tune; whatever is wrong with it becomes a reading without notes."""
    music = re.sub(r"(?m)%.*$|^[A-JN-Zabd-z]:.*$", "", _QUOTED.sub("", text))
    numbers = [int(n) for n in re.findall(r"\d{1,9}", music)]
    # music21 takes minutes over notes of absurd length.
    if max(numbers, default=0) > 64 or sum(numbers) > 10_000:
        return Reading([], title)
    quoted = [q for q in _QUOTED.findall(text) if not q.startswith(tuple("^_<>@"))]
    chords = read_chords(quoted, None)
    unreadable = chords.count(None)
    if 2 * unreadable > len(chords):
        text, unreadable = _QUOTED.sub("", text), 0
    else:
        figures = iter(_figure(chord or NO_CHORD) for chord in chords)
        text = _QUOTED.sub(
            lambda m: "" if m[1].startswith(tuple("^_<>@")) else f'"{next(figures)}"', text
        )
    reading = _score(text, "abc")
    return Reading(**{**vars(reading), "title": title, "unreadable": unreadable})


def _figure(chord: Chord) -> str:
    if chord == NO_CHORD:
        return "N.C."
    return chord.symbol().replace(chord.quality, "") + _FIGURES.get(chord.quality, chord.quality)


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
    sharps, key = _signature(score, trusted=form == "abc")
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


def _signature(score: Any, trusted: bool) -> tuple[int | None, Key | None]:
    """Return the number of sharps, and the key if its mode can be believed.

    An ABC tune names its tonic. Programs write "major" into MusicXML without being asked, but
    nobody writes "minor" by accident.
    """
    signs = list(score.recurse().getElementsByClass("KeySignature"))
    if not signs:
        return None, None
    first = score.parts[0].recurse().getElementsByClass("KeySignature").first() or signs[0]
    if (
        len({sign.sharps for sign in score.parts[0].recurse().getElementsByClass("KeySignature")})
        > 1
    ):
        raise Dropped("changes its key signature")
    mode = getattr(first, "mode", None)
    if mode == "minor" or (trusted and mode == "major"):
        return first.sharps, _key(first.sharps, mode)
    return first.sharps, None


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
    root = symbol.root().pitchClass
    tones = {pitch.pitchClass for pitch in symbol.pitches}
    bass = symbol.bass().pitchClass
    plain = from_tones(root, tones - {bass})
    whole = from_tones(root, tones)
    if bass == root or plain is None or bass in _tones_of_kind(symbol, root):
        return whole
    return plain


def _tones_of_kind(symbol: Any, root: int) -> set[int]:
    """Return the pitch classes that the kind of a chord symbol names, without its bass."""
    from music21 import harmony

    kinds = harmony.CHORD_TYPES
    if symbol.chordKind not in kinds:
        return set()
    plain = harmony.ChordSymbol(root="C", kind=symbol.chordKind)
    return {(pitch.pitchClass + root) % 12 for pitch in plain.pitches}


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


#: The chords that music21 can be handed in ABC, a check of `_FIGURES`.
_KNOWN = frozenset(QUALITIES)
