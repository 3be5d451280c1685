"""MusicXML by music21: a lead sheet, the melody on a treble staff and its chord symbols above."""

from __future__ import annotations

import re
from typing import Any

from musicgym.melody import Melody
from musicgym.meters import METERS
from musicgym.theory import Chord, Key, spell

from .notation import Written, systems, write_bars

__all__ = ["CHORD_KINDS", "musicxml"]

#: Suffix of `musicgym.theory.QUALITIES` -> music21's name of the chord, and what it changes in it
#: (type, degree, semitones). MusicXML has no name of its own for four of our qualities.
CHORD_KINDS: dict[str, tuple[str, tuple[tuple[str, int, int], ...]]] = {
    "": ("major", ()),
    "m": ("minor", ()),
    "dim": ("diminished", ()),
    "aug": ("augmented", ()),
    "7": ("dominant-seventh", ()),
    "maj7": ("major-seventh", ()),
    "m7": ("minor-seventh", ()),
    "m7b5": ("half-diminished-seventh", ()),
    "dim7": ("diminished-seventh", ()),
    "mM7": ("minor-major-seventh", ()),
    "aug7": ("augmented-seventh", ()),
    "maj7#5": ("major-seventh", (("alter", 5, 1),)),
    "7b5": ("dominant-seventh", (("alter", 5, -1),)),
    "dimM7": ("minor-major-seventh", (("alter", 5, -1),)),
    "sus2": ("suspended-second", ()),
    "sus4": ("suspended-fourth", ()),
    "7sus4": ("dominant-seventh", (("subtract", 3, 0), ("add", 4, 0))),
    "6": ("major-sixth", ()),
    "m6": ("minor-sixth", ()),
}


def musicxml(melody: Melody, *, tempo: float = 100.0) -> str:
    """Return the melody as MusicXML text.

    One part, "Melody", in treble clef: full bars, ties over bar lines, pitches spelled for the key,
    a chord symbol where the chord changes, and `tempo` in quarter notes a minute.
    """
    from music21 import bar, clef, key, layout, metadata, meter, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    written = write_bars(melody)
    line = systems(written)
    tonic, mode = melody.key.name.split()
    part = stream.Part()
    part.partName = "Melody"
    part.style.printPartName = False  # one staff needs no name in front of it
    for number, values in enumerate(written, start=1):
        measure = stream.Measure(number=number)
        if number == 1:
            measure.clef = clef.TrebleClef()
            measure.keySignature = key.Key(tonic.replace("b", "-"), mode)
            measure.timeSignature = meter.TimeSignature(melody.meter)
            # One beam a felt beat, whole: music21 would break the beams of sixteenths in two.
            beats = "3/8+3/8" if _compound(melody) else "+".join(["1/4"] * int(melody.meter[0]))
            measure.timeSignature.beamSequence = meter.MeterSequence(beats)
            measure.insert(0, _tempo_mark(melody, tempo))
        elif (number - 1) % line == 0:
            measure.insert(0, layout.SystemLayout(isNew=True))
        for value in values:
            measure.insert(value.onset * melody.quarters_per_step, _general_note(value, melody))
        part.append(measure)
    measures = list(part.getElementsByClass(stream.Measure))
    for onset, _, chord in melody.spans() if melody.events else ():
        index, place = divmod(onset, melody.steps_per_bar)
        offset = place * melody.quarters_per_step
        measures[index].insert(offset, _chord_symbol(chord, melody.key))
    measures[-1].rightBarline = bar.Barline("final")
    part.makeBeams(inPlace=True)

    score = stream.Score()
    score.metadata = metadata.Metadata(
        movementName="".join(sign for sign in melody.name if sign.isprintable())
    )
    score.insert(0, part)
    exporter = GeneralObjectExporter(score)
    exporter.makeNotation = False  # the notation is made; music21 must not respell it
    text: str = exporter.parse().decode("utf-8")
    # music21 names itself where there is no composer; the day and a random name of the part would
    # make two writings of one melody differ.
    text = re.sub(r'\n *<creator type="composer">Music21</creator>', "", text)
    text = re.sub(r"\n *<encoding-date>.*</encoding-date>", "", text)
    return re.sub(r'(<(?:score-)?part id=)"P[0-9a-f]{32}"', r'\1"P1"', text)


def _compound(melody: Melody) -> bool:
    """Tell whether the felt beat has three parts."""
    return METERS[melody.meter].unit == 8


def _name(letter: str, alteration: int) -> str:
    """Return a pitch class as music21 writes it, flats as minus signs."""
    return letter + ("#" * alteration if alteration > 0 else "-" * -alteration)


def _general_note(value: Written, melody: Melody) -> Any:
    """Return a music21 note or rest."""
    from music21 import note, pitch, tie

    length = value.length * melody.quarters_per_step
    if value.pitch is None:
        rest = note.Rest(quarterLength=length)
        if value.length == melody.steps_per_bar:
            rest.fullMeasure = True
        return rest
    letter, alteration, octave = value.pitch
    written = note.Note(letter, octave=octave, quarterLength=length)
    # A plain name has no accidental at all, so a natural note gets one only where it is shown, and
    # where it is tied: music21 joins two tied notes on reading only if both have one or neither.
    if alteration or value.accidental or value.tied_back or value.tied_on:
        written.pitch.accidental = pitch.Accidental(alteration)
        written.pitch.accidental.displayStatus = value.accidental
    if value.tied_back or value.tied_on:
        both = value.tied_back and value.tied_on
        written.tie = tie.Tie("continue" if both else "stop" if value.tied_back else "start")
    return written


def _chord_symbol(chord: Chord, key: Key) -> Any:
    """Return a music21 chord symbol; it takes no time from the bar."""
    from music21 import harmony

    if not chord.pitch_classes:
        symbol = harmony.NoChord()
    else:
        kind, changes = CHORD_KINDS[chord.quality]
        root = _name(*spell(chord.root, key))
        symbol = harmony.ChordSymbol(root=root, kind=kind, kindStr=chord.quality)
        for change in changes:
            symbol.addChordStepModification(
                harmony.ChordStepModification(*change), updatePitches=True
            )
    symbol.placement = "above"
    return symbol


def _tempo_mark(melody: Melody, tempo: float) -> Any:
    """Return a metronome mark for the felt beat: a quarter, in 6/8 a dotted quarter."""
    from music21 import tempo as tempos

    beat = 1.5 if _compound(melody) else 1.0
    mark = tempos.MetronomeMark(number=round(tempo / beat), referent=beat)
    mark.placement = "above"
    return mark
