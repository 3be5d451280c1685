"""Importing a user's files: every shape by its exact content, and files that are broken."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from musicgym.corpus import dataset
from musicgym.corpus.chord_spellings import from_tones, read_chords
from musicgym.corpus.files import ImportReport, import_folder
from musicgym.corpus.midi_check import check_midi
from musicgym.corpus.readers import read_abc
from musicgym.events import FIRST_NOTE, HOLD, REST, to_notes
from musicgym.melody import Melody
from musicgym.theory import Chord, Key, parse_progression

# Four bars of 4/4 in C major: (onset and duration in quarters, MIDI pitch).
TUNE = [
    (0, 1, 60), (1, 1, 64), (2, 1, 67), (3, 0.5, 65), (3.5, 0.5, 64),
    (4, 1, 62), (5, 1, 65), (6, 2, 69),
    (8, 1, 67), (9, 1, 65), (10, 1, 64), (11, 1, 62),
    (12, 3, 60),
]  # fmt: skip
CHORDS = ["C", "Dm", "G7", "C"]  # one a bar
E0 = FIRST_NOTE - dataset.LOW  # event of a pitch, less the pitch
EVENTS = (
    60 + E0, 0, 64 + E0, 0, 67 + E0, 0, 65 + E0, 64 + E0,
    62 + E0, 0, 65 + E0, 0, 69 + E0, 0, 0, 0,
    67 + E0, 0, 65 + E0, 0, 64 + E0, 0, 62 + E0, 0,
    60 + E0, 0, 0, 0, 0, 0, REST, REST,
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "tunes"
    path.mkdir()
    return path


def read(path: Path, **options) -> ImportReport:
    return import_folder(path, progress=False, **options)


def symbols(piece: dataset.Piece) -> list[str]:
    """Return the chord symbols of a piece, one a bar."""
    melody = piece.melody()
    beats = len(melody.chords) // piece.bars
    return [chord.symbol() for chord in melody.chords[::beats]]


def pitches(piece: dataset.Piece) -> list[int]:
    return [note.pitch for note in to_notes(piece.events, dataset.LOW)]


def midi(tracks: dict[str, list], *, meter=(4, 4), key=None, drums=(), program=0) -> bytes:
    """Return a MIDI file of named tracks of (onset, duration, pitch) in quarters."""
    from symusic import KeySignature, Note, Score, TimeSignature, Track

    score = Score(480)
    for name, notes in tracks.items():
        track = Track(name=name, program=program, is_drum=name in drums)
        for onset, duration, pitch in notes:
            track.notes.append(Note(round(onset * 480), round(duration * 480), pitch, 80))
        score.tracks.append(track)
    if meter:
        score.time_signatures.append(TimeSignature(0, *meter))
    if key:
        score.key_signatures.append(KeySignature(0, *key))
    return score.dumps_midi()


def block(symbols: list[str], low: int = 48) -> list[tuple[float, float, int]]:
    """Return whole-note chords in close position."""
    chords = parse_progression(symbols, Key.parse("C major"))
    return [
        (4 * bar, 4, low + chord.root + (p - chord.root) % 12)
        for bar, chord in enumerate(chords)
        for p in chord.pitch_classes
    ]


def lead_sheet(chords: list[str], shift: int = 0, key: int | None = 0):
    """Return the tune as a music21 score with chord symbols."""
    from music21 import harmony, meter, note, stream
    from music21 import key as keys

    part = stream.Part()
    part.append(meter.TimeSignature("4/4"))
    if key is not None:
        part.insert(0, keys.KeySignature(key))
    for onset, duration, pitch in TUNE:
        part.insert(onset, note.Note(pitch + shift, quarterLength=duration))
    for bar, symbol in enumerate(chords):
        part.insert(4 * bar, harmony.ChordSymbol(symbol) if symbol != "N.C." else harmony.NoChord())
    return stream.Score([part.makeMeasures()])


def xml_of(score) -> bytes:
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    return GeneralObjectExporter(score).parse()


# --- MIDI ---------------------------------------------------------------------------------------


def test_a_midi_melody_keeps_its_exact_events_and_gets_inferred_chords(folder):
    (folder / "tune.mid").write_bytes(midi({"": TUNE}))
    report = read(folder)
    (piece,) = report.pieces
    assert piece.events == EVENTS
    assert (piece.name, piece.mode, piece.meter, piece.shift) == ("tune", "major", "4/4", 0)
    assert piece.phrases == (len(EVENTS),)
    assert report.inferred == 1 and all(piece.codes)
    assert piece.melody().chords[-1] == Chord(0, "")


def test_an_import_is_found_again_by_its_name(folder):
    (folder / "tune.mid").write_bytes(midi({"": TUNE}))
    report = read(folder, name="mine", steps_per_beat=4)
    assert dataset.load("mine", steps_per_beat=4) == report.corpus
    assert report.corpus.report == {"kept": 1}


def test_a_transposed_melody_comes_back_to_c_major_within_the_range(folder):
    for name, shift in (("up", 5), ("down", -4), ("high", 24), ("deep", -36)):
        notes = [(o, d, p + shift) for o, d, p in TUNE]
        (folder / f"{name}.mid").write_bytes(midi({"": notes + [(16, 4, 60 + shift)]}))
        (piece,) = read(folder / f"{name}.mid").pieces
        assert [p % 12 for p in pitches(piece)] == [p % 12 for _, _, p in TUNE] + [0]
        assert (piece.mode, (piece.shift + shift) % 12) == ("major", 0)
        assert set(np.diff(pitches(piece))) == set(np.diff([p for _, _, p in TUNE] + [60]))


def test_a_minor_melody_comes_to_a_minor(folder):
    scale = [62, 64, 65, 67, 69, 70, 69, 67, 65, 64, 62, 61, 62, 65, 64, 62]
    notes = [(i, 1, p) for i, p in enumerate(scale)]
    (folder / "signed.mid").write_bytes(midi({"": notes}, key=(-1, 0)))
    (folder / "bare.mid").write_bytes(midi({"": [(o, d, p + 2) for o, d, p in notes]}))
    for file in folder.iterdir():
        (piece,) = read(file).pieces
        assert piece.mode == "minor"
        assert pitches(piece)[0] % 12 == pitches(piece)[-1] % 12 == 9


def test_the_melody_is_found_by_name_or_as_the_highest_single_voice(folder):
    low = [(o, d, p - 12) for o, d, p in TUNE]
    high = [(o, d, p + 12) for o, d, p in TUNE]
    chords = block(CHORDS, low=72)
    (folder / "named.mid").write_bytes(midi({"Flute": high, "Melody": TUNE, "Piano": chords}))
    (folder / "highest.mid").write_bytes(midi({"A": low, "B": TUNE, "Piano": chords}))
    (folder / "bell.mid").write_bytes(midi({"A": TUNE, "Bell": [(0, 1, 96), (8, 1, 91)]}))
    for file in folder.iterdir():
        (piece,) = read(file).pieces
        assert pitches(piece) == [p for _, _, p in TUNE], file.name


def test_the_other_tracks_give_the_chords(folder):
    tracks = {"Melody": TUNE, "Piano": block(CHORDS), "Drums": [(i, 0.5, 40) for i in range(16)]}
    (folder / "band.mid").write_bytes(midi(tracks, drums=("Drums",)))
    report = read(folder)
    assert symbols(report.pieces[0]) == CHORDS
    assert report.inferred == 0


def test_paired_folders_are_read_as_one_melody_with_its_chords(folder):
    for name, notes in (("melody", TUNE), ("chords", block(["C", "F", "G7", "Am"]))):
        (folder / name).mkdir()
        (folder / name / "01.mid").write_bytes(midi({"": notes}))
    report = read(folder)
    assert [piece.name for piece in report.pieces] == ["melody-01"]
    assert symbols(report.pieces[0]) == ["C", "F", "G7", "Am"]
    assert report.skipped == ()


def test_a_played_performance_is_moved_to_the_nearest_slot(folder):
    jitter = np.random.default_rng(0).uniform(-0.09, 0.09, (len(TUNE), 2))
    played = [(max(0, o + a), d + b, p) for (o, d, p), (a, b) in zip(TUNE, jitter, strict=True)]
    (folder / "played.mid").write_bytes(midi({"": played}))
    assert read(folder).pieces[0].events == EVENTS


def test_a_pickup_that_notation_programs_write_as_a_short_bar_is_padded(folder):
    from symusic import Score, TimeSignature

    score = Score.from_midi(
        midi({"": [(0, 1, 55), *[(o + 1, d, p) for o, d, p in TUNE]]}, meter=None)
    )
    score.time_signatures.append(TimeSignature(0, 1, 4))
    score.time_signatures.append(TimeSignature(480, 4, 4))
    (folder / "pickup.mid").write_bytes(score.dumps_midi())
    (piece,) = read(folder).pieces
    assert piece.events[:8] == (REST,) * 6 + (55 + E0, HOLD)
    assert piece.events[8:] == EVENTS


def test_empty_bars_before_and_after_the_melody_are_left_out_with_their_chords(folder):
    late = [(o + 8, d, p) for o, d, p in TUNE]
    tracks = {"Melody": late, "Piano": block(["F", "F", *CHORDS, "F", "F"])}
    (folder / "late.mid").write_bytes(midi(tracks))
    (piece,) = read(folder).pieces
    assert piece.events == EVENTS and symbols(piece) == CHORDS


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("drums only", {"tracks": {"kit": TUNE}, "drums": ("kit",)}),
        ("no single voice", {"tracks": {"Piano": block(CHORDS * 3)}}),
        ("no single voice", {"tracks": {"Melody": block(CHORDS * 3), "Bass": TUNE}}),
        ("no single voice", {"tracks": {"Piano": block(CHORDS * 3), "Bass": TUNE}}),
        ("no notes", {"tracks": {}}),
        ("fewer than 8 notes", {"tracks": {"": TUNE[:5] + [(16, 1, 60)]}}),
        ("shorter than 4 bars", {"tracks": {"": TUNE[:11]}}),
        ("longer than 1024 bars", {"tracks": {"": [*TUNE, (10_000, 1, 60)]}}),
        ("longer than 1024 bars", {"tracks": {"": [*TUNE, (15, 10_000, 60)]}}),
        ("in 5/4", {"tracks": {"": TUNE}, "meter": (5, 4)}),
        ("a range of over three octaves", {"tracks": {"": [*TUNE, (15, 1, 99)]}}),
        ("too fine for the grid", {"tracks": {"": [(i / 4, 0.25, 60 + i % 5) for i in range(64)]}}),
        ("too fine for the grid", {"tracks": {"": [(i / 3, 0.33, 60 + i % 5) for i in range(48)]}}),
    ],
)
def test_an_unusable_midi_file_is_left_out_with_its_reason(folder, reason, options):
    (folder / "good.mid").write_bytes(midi({"": TUNE}))
    (folder / "odd.mid").write_bytes(midi(**options))
    report = read(folder)
    assert report.skipped == (("odd.mid", reason),)
    assert len(report.pieces) == 1 and report.corpus.report == {"kept": 1, reason: 1}


def test_a_finer_grid_takes_sixteenths(folder):
    (folder / "fast.mid").write_bytes(midi({"": [(i / 4, 0.25, 60 + i % 5) for i in range(64)]}))
    (piece,) = read(folder, steps_per_beat=4).pieces
    assert pitches(piece) == [piece.shift + 60 + i % 5 for i in range(64)]


def test_changes_of_meter_or_key_leave_a_midi_file_out(folder):
    from symusic import KeySignature, Score, TimeSignature

    (folder / "good.mid").write_bytes(midi({"": TUNE}))
    for name in ("meter", "key"):
        score = Score.from_midi(midi({"": TUNE}, key=(0, 0)))
        if name == "meter":
            score.time_signatures.append(TimeSignature(4 * 1920, 3, 4))
        else:
            score.key_signatures.append(KeySignature(4 * 1920, 3, 0))
        (folder / f"{name}.mid").write_bytes(score.dumps_midi())
    reasons = dict(read(folder).skipped)
    assert reasons == {"meter.mid": "changes its meter", "key.mid": "changes its key signature"}


def chunk(events: str) -> bytes:
    """Return a MIDI file of one track, its events written in hexadecimal digits."""
    track = bytes.fromhex(events)
    return b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk" + len(track).to_bytes(4, "big") + track


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ("00 90 80 40", "a message with wrong data"),
        ("00 90 3c", "a message with wrong data"),
        ("00 3c 40", "a message with wrong data"),
        ("00 f5 00", "an unknown event"),
        ("ff ff ff ff 00 90 3c 40", "a number of more than four bytes"),
        ("00 ff 58 03 04 02 18", "a meta event of wrong length"),
        ("00 ff 01 7f 41", "a meta event of wrong length"),
        ("00 ff 58 04 00 02 18 08", "no time signature"),
        ("00 ff 59 02 08 00", "no key signature"),
        ("00 ff 2f 00 00 90 3c 40", "events after the end of a track"),
        ("00 f0 7f 41", "a track is cut short"),
        ("ff ff ff 7f 90 3c 40" * 9, "later than any music"),
    ],
)
def test_bytes_that_could_end_the_process_in_the_fast_reader_are_refused_before(events, reason):
    with pytest.raises(ValueError, match=f"broken MIDI: {reason}"):
        check_midi(chunk(events))


def test_what_the_midi_format_allows_is_read(folder):
    data = midi({"": TUNE})
    check_midi(chunk("00 90 3c 40 81 00 3c 00 00 f0 02 41 f7 00 ff 01 01 41 00 ff 2f 00"))
    (folder / "a.mid").write_bytes(data[:14] + b"XFIH\0\0\0\2ab" + data[14:] + b"\0\0")
    assert read(folder).pieces[0].events == EVENTS


# --- MusicXML -----------------------------------------------------------------------------------


def test_a_musicxml_lead_sheet_keeps_its_notes_and_chord_symbols(folder):
    (folder / "sheet.musicxml").write_bytes(xml_of(lead_sheet(CHORDS)))
    report = read(folder)
    (piece,) = report.pieces
    assert piece.events == EVENTS and symbols(piece) == CHORDS
    assert (report.inferred, report.unreadable_chords) == (0, 0)


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("E-m7", "D#m7"), ("B-", "Bb"), ("F#m7b5", "F#m7b5"), ("Cmaj7", "Cmaj7"), ("G/B", "G"),
        ("Am/G", "Am"), ("C9", "C7"), ("Dm/C#", "Dm"), ("G7sus4", "G7sus4"), ("C6", "C6"),
        ("E+", "Eaug"), ("Bo7", "Bdim7"), ("N.C.", "N.C."), ("Cpower", "N.C."),
    ],
)  # fmt: skip
def test_chord_symbols_of_musicxml_are_read_by_their_tones(folder, written, symbol):
    (folder / "a.xml").write_bytes(xml_of(lead_sheet(["C", written, "G7", "C"])))
    report = read(folder)
    chord = parse_progression([symbol], Key.parse("C major"))[0]
    piece = report.pieces[0]
    assert (piece.roots[4], piece.codes[4]) == (chord.root, chord.code)
    assert report.unreadable_chords == (written == "Cpower")


def test_a_sheet_in_another_key_is_transposed_with_its_chords(folder):
    (folder / "a.xml").write_bytes(xml_of(lead_sheet(["E-", "Fm", "B-7", "E-"], 3, -3)))
    (piece,) = read(folder).pieces
    assert piece.events == EVENTS and symbols(piece) == CHORDS and piece.shift == -3


def test_compressed_musicxml_reads_as_the_plain_file(folder):
    container = '<container><rootfiles><rootfile full-path="b.xml"/></rootfiles></container>'
    with zipfile.ZipFile(folder / "a.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("a.xml", "<score-partwise/>")
        archive.writestr("b.xml", xml_of(lead_sheet(CHORDS)))
    (piece,) = read(folder).pieces
    assert piece.events == EVENTS and symbols(piece) == CHORDS


def test_the_upper_voice_of_a_staff_with_two_voices_is_the_melody(folder):
    from music21 import meter, note, stream

    part = stream.Part()
    for bar in range(4):
        measure = stream.Measure(number=bar + 1)
        upper, lower = stream.Voice(id="1"), stream.Voice(id="2")
        for onset, duration, pitch in TUNE:
            if onset // 4 == bar:
                upper.insert(onset - 4 * bar, note.Note(pitch, quarterLength=duration))
        if bar == 3:
            upper.append(note.Rest(quarterLength=1))
        for pitch in (48, 55, 52, 48):
            lower.append(note.Note(pitch, quarterLength=1))
        measure.insert(0, upper)
        measure.insert(0, lower)
        part.append(measure)
    part.measure(1).insert(0, meter.TimeSignature("4/4"))
    (folder / "a.xml").write_bytes(xml_of(stream.Score([part])))
    assert read(folder).pieces[0].events == EVENTS


def test_tied_notes_are_joined_and_fermatas_end_phrases(folder):
    from music21 import expressions, note, tie

    score = lead_sheet(CHORDS)
    measures = list(score.parts[0].getElementsByClass("Measure"))
    last = measures[1].notes.last()
    last.expressions.append(expressions.Fermata())
    first = next(n for n in measures[2].notes if type(n) is note.Note)
    last.tie, first.tie = tie.Tie("start"), tie.Tie("stop")
    first.pitch = last.pitch
    (folder / "a.xml").write_bytes(xml_of(score))
    (piece,) = read(folder).pieces
    assert piece.events[16:18] == (HOLD, HOLD) and piece.events[18] == 65 + E0
    assert piece.phrases == (18, 32)


# --- ABC ----------------------------------------------------------------------------------------

ABC = """X:1
T:With chords
M:4/4
L:1/4
K:C
"C"C E G F/2E/2|"Dm"D F A2|"G7"G F "^slow"E D|"C"C3 z|]
"""


def test_abc_keeps_its_notes_and_its_quoted_chords(folder):
    (folder / "a.abc").write_text(ABC)
    report = read(folder)
    (piece,) = report.pieces
    assert piece.events == EVENTS and symbols(piece) == CHORDS
    assert (report.inferred, report.unreadable_chords) == (0, 0)


@pytest.mark.parametrize(
    "symbol", ["Bbm7b5", "F#dim7", "Ebmaj7", "Caug7", "Dmaj7#5", "G7b5", "AmM7", "Gsus2", "E7sus4"]
)
def test_every_chord_survives_the_way_through_abc(folder, symbol):
    (folder / "a.abc").write_text(ABC.replace('"Dm"', f'"{symbol}"'))
    chord = parse_progression([symbol], Key.parse("C major"))[0]
    (piece,) = read(folder).pieces
    assert (piece.roots[4], piece.codes[4]) == (chord.root, chord.code)


def test_a_dorian_signature_is_read_as_the_minor_key_of_the_final(folder):
    scale = [62, 64, 65, 67, 69, 70, 69, 67, 65, 64, 62, 61, 62, 65, 64, 62]
    (folder / "a.mid").write_bytes(midi({"": [(i, 1, p) for i, p in enumerate(scale)]}, key=(0, 1)))
    (piece,) = read(folder).pieces
    assert piece.mode == "minor" and pitches(piece)[-1] % 12 == 9


def test_an_unreadable_chord_among_good_ones_is_no_chord_and_counted(folder):
    (folder / "a.abc").write_text(ABC.replace('"Dm"', '"foo"'))
    report = read(folder)
    assert symbols(report.pieces[0]) == ["C", "N.C.", "G7", "C"]
    assert report.unreadable_chords == 1
    assert "1 chords could not be read" in str(report)


def test_quoted_fingerings_are_no_chords(folder):
    text = ABC
    for chord, finger in zip(CHORDS, "1234", strict=True):
        text = text.replace(f'"{chord}"', f'"{finger}"')
    (folder / "a.abc").write_text(text)
    report = read(folder)
    assert report.inferred == 1 and report.unreadable_chords == 0
    assert report.pieces[0].events == EVENTS


def test_a_tune_book_gives_a_piece_a_tune_and_a_bad_tune_spoils_no_other(folder):
    short = ABC.replace("X:1", "X:7").split("|")[0] + "|]\n"
    absurd = ABC.replace("X:1", "X:9").replace("A2", "A99999999")
    (folder / "book.abc").write_text(ABC + "\n" + short + "\n" + absurd)
    report = read(folder)
    assert [piece.name for piece in report.pieces] == ["book-1"]
    assert dict(report.skipped) == {
        "book.abc#7": "fewer than 8 notes",
        "book.abc#9": "a note of absurd length",
    }


def test_the_key_of_an_abc_tune_is_believed(folder):
    (folder / "a.abc").write_text(ABC.replace("K:C", "K:Am"))
    assert read(folder).pieces[0].mode == "minor"


def test_a_pickup_in_abc_is_padded_to_a_bar(folder):
    (folder / "a.abc").write_text(ABC.replace('"C"C E', 'G,|"C"C E'))
    (piece,) = read(folder).pieces
    assert piece.events == (REST,) * 6 + (55 + E0, HOLD) + EVENTS
    assert symbols(piece) == ["N.C.", *CHORDS]


# --- JSON, npz and CSV --------------------------------------------------------------------------


def test_our_own_json_comes_back_exactly_transposed_to_c(folder):
    chords = tuple(
        Chord(c.root, c.quality) for c in parse_progression(CHORDS, Key.parse("C major"))
    )
    melody = Melody(EVENTS, dataset.LOW, Key.parse("C major"), chords)
    (folder / "one.json").write_text(melody.transposed(5).to_json())
    report = read(folder)
    assert report.pieces[0].events == EVENTS and symbols(report.pieces[0]) == CHORDS
    many = [json.loads(melody.transposed(n).to_json()) for n in (-2, 4)]
    many[1]["events"][0] = 69 + E0
    (folder / "one.json").write_text(json.dumps(many))
    assert [piece.name for piece in read(folder).pieces] == ["one-1", "one-2"]


def roll() -> list[list[int]]:
    """Return the tune over its chords, a row each eighth: soprano, alto, tenor, bass."""
    sounding = [-1] * 32
    for onset, duration, pitch in TUNE:
        sounding[int(2 * onset) : int(2 * (onset + duration))] = [pitch] * int(2 * duration)
    lower = [sorted(p for o, _, p in block(CHORDS, 36) if o == 4 * b)[::-1][:3] for b in range(4)]
    return [[top, *lower[step // 8]] for step, top in enumerate(sounding)]


@pytest.mark.parametrize("shape", ["one", "list", "splits", "reversed", "sets", "floats"])
def test_rolls_of_four_voices_give_the_soprano_and_the_chords_below_it(folder, shape):
    rows = roll()
    content = {
        "one": rows,
        "list": [rows],
        "splits": {"train": [rows], "test": []},
        "reversed": [row[::-1] for row in rows],
        "sets": [[p for p in row if p > 0] for row in rows[:-2]] + [[], []],
        "floats": [[float(p) if p > 0 else None for p in row] for row in rows],
    }[shape]
    (folder / "jsb-8th.json").write_text(json.dumps(content))
    report = read(folder)
    (piece,) = report.pieces
    assert piece.events == EVENTS
    assert report.inferred == 0 and symbols(piece)[:2] == ["C", "Dm"]


def test_the_name_of_a_file_of_rolls_states_the_length_of_a_step(folder):
    rows = [[60 + i % 5, 48, 43, 36] for i in range(32)]
    for name, steps in (("quarter", 64), ("8th", 32)):
        (folder / "x.json").unlink(missing_ok=True)
        (folder / f"jsb-{name}.json").write_text(json.dumps(rows))
        (piece,) = read(folder / f"jsb-{name}.json").pieces
        assert len(piece.events) == steps


def test_npz_rolls_are_read_and_pickles_are_not(folder):
    np.savez_compressed(
        folder / "rolls-8th.npz", train=np.array([roll()]), one=np.array(roll())[:, :1]
    )
    np.savez(folder / "pickle.npz", allow_pickle=True, a=np.array([{1: 2}], dtype=object))
    np.savez_compressed(folder / "keys.npz", a=np.zeros((64, 128), dtype=np.int8))
    np.savez_compressed(folder / "huge.npz", a=np.zeros((1_500_000, 4), dtype=np.int8))
    report = read(folder)
    assert {piece.events for piece in report.pieces} == {EVENTS}
    assert dict(report.skipped) == {
        "huge.npz": "more than 4000000 numbers",
        "keys.npz#a": "no roll of at most 16 voices, or too long",
        "pickle.npz": "needs pickle, which is not loaded for safety",
    }


def table(rows, header="piece,onset,duration,pitch,chord") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)])


def tune_rows(piece: str = "a", names=CHORDS) -> list[list[object]]:
    rows = [[piece, o, d, p, names[int(o // 4)] if o % 4 == 0 else ""] for o, d, p in TUNE]
    return rows


def test_csv_rows_are_notes_in_beats_and_a_chord_holds_until_the_next(folder):
    (folder / "a.csv").write_text(table(tune_rows("one") + tune_rows("two", ["C", "F", "G", "Am"])))
    report = read(folder)
    assert [piece.name for piece in report.pieces] == ["a-one", "a-two"]
    assert all(piece.events == EVENTS for piece in report.pieces)
    assert [symbols(piece) for piece in report.pieces] == [CHORDS, ["C", "F", "G", "Am"]]


def test_csv_takes_note_names_other_delimiters_a_key_and_a_meter(folder):
    names = {60: "C4", 62: "D4", 64: "E4", 65: "F4", 67: "G4", 69: "A4"}
    rows = [[o * 2, d * 2, names[p], "a minor", "6/8", ""] for o, d, p in TUNE]
    text = table(rows, "Onset,Duration,Pitch,Key,Meter,Chord").replace(",", ";")
    (folder / "a.csv").write_text("\ufeff" + text)
    (piece,) = read(folder).pieces
    assert (piece.meter, piece.mode) == ("6/8", "minor")
    assert piece.events[:8] == (60 + E0, 0, 0, 0, 64 + E0, 0, 0, 0)


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        (1, "soon", "row 3: 'soon' is no number of beats"),
        (1, "1e300", "row 3: '1e300' is no number of beats"),
        (2, "-1", "row 3: '-1' is no number of beats"),
        (3, "H4", "row 3: 'H4' is no pitch"),
        (3, "999", "row 3: '999' is no pitch"),
    ],
)
def test_a_bad_cell_leaves_its_piece_out_and_names_the_row(folder, cell, value, reason):
    bad = tune_rows("bad")
    bad[1][cell] = value
    (folder / "a.csv").write_text(table(bad + tune_rows("good")))
    report = read(folder)
    assert report.skipped == (("a.csv#bad", reason),) and len(report.pieces) == 1


# --- what is broken, hostile or missing ---------------------------------------------------------


def test_broken_files_are_left_out_with_a_reason_and_never_stop_the_rest(folder):
    good = xml_of(lead_sheet(CHORDS))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", b"<" * (65 * 2**20))
    laughs = (
        b'<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><score-partwise>&b;</score-partwise>'
    )
    broken = {
        "noise.mid": np.random.default_rng(1).bytes(500),
        "cut.mid": midi({"": TUNE})[:60],
        "header.mid": b"MThd" + b"\xff" * 100,
        "empty.mid": b"",
        "cut.xml": good[: len(good) // 2],
        "noise.musicxml": np.random.default_rng(2).bytes(500),
        "page.xml": b"<html></html>",
        "laughs.xml": laughs,
        "long.xml": good.replace(
            b"<duration>10080</duration>", b"<duration>99999999999</duration>"
        ),
        "bomb.mxl": bomb.getvalue(),
        "noise.mxl": b"PK" + np.random.default_rng(3).bytes(500),
        "noise.abc": np.random.default_rng(4).bytes(500),
        "long.abc": ABC.replace("A2", "A999999").encode(),
        "nokey.abc": b"X:1\nCDEF\n",
        "broken.json": b'{"events": [1, 2',
        "other.json": b'{"hello": "world"}',
        "number.json": b"7",
        "deep.json": b"[" * 100_000,
        "lies.json": b'{"events": [2], "low": 60, "key": "H", "chords": []}',
        "roll.json": json.dumps([roll()[:4] + ["x"] * 10]).encode(),
        "noise.npz": np.random.default_rng(5).bytes(500),
        "noise.csv": np.random.default_rng(6).bytes(500),
        "header.csv": b"a,b,c\n1,2,3\n",
        "nothing.csv": b"onset,duration,pitch\n",
    }
    assert broken["long.xml"] != good
    for name, data in broken.items():
        (folder / name).write_bytes(data)
    (folder / "sub").mkdir()
    (folder / "sub" / "good.xml").write_bytes(good)
    (folder / ".hidden.mid").write_bytes(b"no")
    (folder / "notes.txt").write_bytes(b"no")
    report = read(folder)
    assert [piece.name for piece in report.pieces] == ["sub-good"]
    reasons = dict(report.skipped)
    assert reasons.keys() == broken.keys()
    assert all(reasons.values()) and max(map(len, reasons.values())) <= 160
    for name, part in {
        "noise.mid": "broken MIDI: no header", "cut.mid": "cut short", "empty.mid": "empty",
        "cut.xml": "cannot be read",
        "page.xml": "no MusicXML", "laughs.xml": "XML entities", "long.xml": "64 quarters",
        "bomb.mxl": "unpacks to more than 64 MiB", "long.abc": "absurd length",
        "nokey.abc": "no ABC tune", "broken.json": "cannot be read",
        "other.json": "neither melodies nor rolls", "lies.json": "'H' is not a key",
        "header.csv": "no column onset, duration, pitch", "nothing.csv": "no notes",
    }.items():  # fmt: skip
        assert part in reasons[name], (name, reasons[name])
    assert sum(report.corpus.report.values()) == 1 + len(broken)


def test_files_and_scores_over_the_limits_are_left_out(folder, monkeypatch):
    from musicgym.corpus import files, midi_tracks, readers

    (folder / "big.csv").write_text(table(tune_rows()) + "\n" * 9000)
    (folder / "notes.mid").write_bytes(midi({"": TUNE}))
    (folder / "notes.xml").write_bytes(xml_of(lead_sheet(CHORDS)))
    (folder / "notes.abc").write_text(ABC)
    (folder / "good-8th.json").write_text(json.dumps(roll()))
    monkeypatch.setattr(files, "MAX_BYTES", 8000)
    monkeypatch.setattr(midi_tracks, "MAX_NOTES", 12)
    monkeypatch.setattr(readers, "MAX_NOTES", 12)
    monkeypatch.setattr(readers, "MAX_TUNE_NOTES", 12)
    report = read(folder)
    assert [piece.name for piece in report.pieces] == ["good-8th"]
    assert dict(report.skipped) == {
        "big.csv": "larger than 8000 bytes",
        "notes.abc": "more than 12 notes",
        "notes.mid": "more than 12 notes",
        "notes.xml": "more than 12 notes",
    }


def test_the_same_piece_twice_is_kept_once(folder):
    for name in ("a.mid", "b.mid"):
        (folder / name).write_bytes(midi({"": TUNE}))
    report = read(folder)
    assert [piece.name for piece in report.pieces] == ["a"]
    assert report.skipped == (("b.mid", "the same as another"),)


def test_files_of_one_stem_get_names_of_their_own(folder):
    (folder / "a.csv").write_text(table(tune_rows()))
    (folder / "a.mid").write_bytes(midi({"": [(o, d, p + (o == 0)) for o, d, p in TUNE]}))
    (folder / "a.json").write_text(
        Melody((*EVENTS, *EVENTS), 48, Key.parse("C major"), (Chord(0, ""),)).to_json()
    )
    assert [piece.name for piece in read(folder).pieces] == ["a", "a-json", "a-mid"]


def test_a_single_file_is_imported_under_its_own_name(folder):
    (folder / "my tune!.mid").write_bytes(midi({"": TUNE}))
    report = read(folder / "my tune!.mid")
    assert report.corpus.name == "my-tune-" and dataset.load("my-tune-") == report.corpus


def test_missing_and_empty_paths_and_unknown_suffixes_say_what_can_be_read(folder, tmp_path):
    with pytest.raises(ValueError, match=r"'.*nowhere' does not exist.*\.mid.*\.abc"):
        read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds nothing to read"):
        read(folder)
    (folder / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="holds nothing to read"):
        read(folder)
    with pytest.raises(ValueError, match="cannot be read; files to read end in"):
        read(folder / "a.txt")


def test_a_folder_without_a_usable_file_is_refused_with_counts_and_first_reasons(folder):
    for i in range(13):
        (folder / f"{i:02}.mid").write_bytes(b"noise")
    with pytest.raises(ValueError, match="left out 13") as caught:
        read(folder)
    assert "00.mid: broken MIDI" in str(caught.value) and "and 3 more" in str(caught.value)
    with pytest.raises(dataset.CorpusMissing):
        dataset.load("tunes")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "chorales"}, "choose another name"),
        ({"name": "../up"}, "not a name"),
        ({"steps_per_beat": 3}, "steps_per_beat: 3 is not one of"),
    ],
)
def test_a_wrong_argument_is_refused_before_the_work(folder, options, match):
    (folder / "a.mid").write_bytes(midi({"": TUNE}))
    with pytest.raises(ValueError, match=match):
        read(folder, **options)


# --- chord spellings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        (["Cd", "Cdim", "C/e", "Cmaj7", "Am7/G"], ["Cdim", "Cdim", "C", "Cmaj7", "Am7"]),
        (["B-7", "E-", "Cm", "F#m7"], ["Bb7", "Eb", "Cm", "F#m7"]),  # music21
        (["E-maj7", "B-m", "B--"], ["Ebmaj7", "Bbm", "A"]),  # music21
        (["A-7", "D7", "G", "Bb"], ["Am7", "D7", "G", "Bb"]),  # jazz
        (["A-", "Bbm", "D7"], ["Am", "Bbm", "D7"]),  # jazz
        (["A:min7/b3", "C:maj", "G:7", "B:hdim7", "N"], ["Am7", "C", "G7", "Bm7b5", "N.C."]),
        (["", "N.C.", "NC", "x"], ["N.C."] * 4),
        (["V7", "foo", "c", "C6/9"], [None, None, None, "C6"]),
    ],
)
def test_the_spellings_of_many_sources_are_read(texts, want):
    key = Key.parse("Eb major")
    got = [
        chord and chord.symbol(key if "b" in str(w) else None)
        for chord, w in zip(read_chords(texts, None), want, strict=True)
    ]
    assert got == want


def test_roman_numerals_are_read_in_a_stated_key_only():
    assert read_chords(["V7", "ii"], Key.parse("D major")) == [Chord(9, "7"), Chord(4, "m")]
    assert read_chords(["V7", "ii"], None) == [None, None]


def test_the_largest_chord_inside_a_set_of_tones_is_taken():
    assert from_tones(0, {0, 2, 4, 7, 10}) == Chord(0, "7")
    assert from_tones(0, {0, 2, 4, 5, 7, 9, 11}) == Chord(0, "maj7")
    assert from_tones(9, {9, 0, 4}) == Chord(9, "m")
    assert from_tones(0, {0, 7}) is None


def test_a_tune_that_music21_rejects_keeps_its_reason():
    (reading,) = read_abc(b"X:1\nM:x\nL:1/4\nK:C\nCDEF|\n")
    assert reading.problem.startswith("cannot be read")
