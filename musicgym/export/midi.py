"""MIDI by symusic: the melody on one track, its chords on another."""

from __future__ import annotations

from typing import Any

from musicgym.melody import Melody
from musicgym.meters import METERS
from musicgym.theory import QUALITIES

__all__ = ["chord_notes", "midi", "score"]

TICKS_PER_QUARTER = 480
MELODY_PROGRAM = 73  # flute
CHORDS_PROGRAM = 48  # string ensemble: it lasts as long as the chord
MELODY_VELOCITY = 96
CHORDS_VELOCITY = 60
CHORD_OCTAVE = 48  # C3: the lowest place of a root


def chord_notes(melody: Melody) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return the accompaniment: (onset, duration, MIDI pitches) in steps, one a span.

    A chord is in close position on a root from C3 to B3, an octave lower where it would reach the
    melody above it. A span without a chord is left out.
    """
    notes = melody.notes()
    voicings = []
    for onset, duration, chord in melody.spans():
        tones = QUALITIES[chord.quality]
        if not tones or not duration:
            continue
        above = [
            n.pitch for n in notes if n.onset < onset + duration > onset < n.onset + n.duration
        ]
        root = CHORD_OCTAVE + chord.root
        if above and root + tones[-1] >= min(above):
            root -= 12
        voicings.append((onset, duration, tuple(root + tone for tone in tones)))
    return voicings


def score(melody: Melody, *, tempo: float = 100.0) -> Any:
    """Return the melody and its chords as a symusic score in ticks (480 a quarter note)."""
    from symusic import KeySignature, Note, Score, Tempo, TimeSignature, Track

    ticks = round(melody.quarters_per_step * TICKS_PER_QUARTER)
    meter = METERS[melody.meter]
    whole = Score(TICKS_PER_QUARTER)
    whole.tempos.append(Tempo(0, tempo))
    whole.time_signatures.append(TimeSignature(0, meter.beats, meter.unit))
    whole.key_signatures.append(KeySignature(0, melody.key.signature, int(melody.key.minor)))
    tune = Track(name="Melody", program=MELODY_PROGRAM)
    for onset, duration, pitch in melody.notes():
        tune.notes.append(Note(onset * ticks, duration * ticks, pitch, MELODY_VELOCITY))
    chords = Track(name="Chords", program=CHORDS_PROGRAM)
    for onset, duration, pitches in chord_notes(melody):
        for pitch in pitches:
            chords.notes.append(Note(onset * ticks, duration * ticks, pitch, CHORDS_VELOCITY))
    whole.tracks.append(tune)
    whole.tracks.append(chords)
    return whole


def midi(melody: Melody, *, tempo: float = 100.0) -> bytes:
    """Return a MIDI file's bytes, `tempo` in quarter notes a minute."""
    data: bytes = score(melody, tempo=tempo).dumps_midi()
    return data
