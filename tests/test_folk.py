"""The folk tunes: what becomes of a tune in ABC, and which are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicgym.corpus import dataset, folk
from musicgym.corpus.dataset import Corpus, CorpusMissing, Piece
from musicgym.corpus.labelling import infer_chords

REEL = "d2fd AdFA|BGdB AFDF|GBEG FADF|EDEF GABc|d2fd AdFA|BGdB AFDF|GBEG FAce|d2d2 d4|"
SLOW = "G2BG|c2A2|GBdB|A2D2|G2BG|c2A2|GBAF|G4|"


def tune(music: str, key: str, meter: str = "M:C|\nL:1/8", number: int = 1) -> str:
    """Return a tune in ABC."""
    return f"X:{number}\nT:A tune\n{meter}\nK:{key}\n{music}\n\n"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that builds the corpus from files: path -> text."""
    monkeypatch.setattr("music21.common.getCorpusFilePath", lambda: tmp_path)

    def build(files: dict[str, str], steps_per_beat: int = 2) -> Corpus:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return folk.build(steps_per_beat=steps_per_beat, progress=False)

    return build


def bars(piece: Piece) -> list[list[str]]:
    """Return the melody as names of notes, bar by bar."""
    return [line.split("|")[1].split() for line in piece.melody().bars().splitlines()[1::2]]


def test_a_tune_keeps_its_notes_through_fingerings_fermatas_and_endings(built):
    music = 'D|"2"G2B2 d2B2|c2"^H"A2 HF2D2|G2B2 d2g2|1 e2c2 A2D:|2 B2A2 G3|'
    corpus = built({"airdsAirs/book1.abc": tune(music, "G", number=7) + tune("x", "C")})
    (piece,) = corpus.pieces
    assert piece.name == "airds-0007" and corpus.report == {"kept": 1, "no notes": 1}
    assert (piece.meter, piece.mode, piece.shift) == ("4/4", "major", -7)  # up 5 is over B5
    assert bars(piece) == [
        ["-", "-", "-", "-", "-", "-", "-", "G3"],
        ["C4", ".", "E4", ".", "G4", ".", "E4", "."],
        ["F4", ".", "D4", ".", "B3", ".", "G3", "."],
        ["C4", ".", "E4", ".", "G4", ".", "C5", "."],
        ["E4", ".", "D4", ".", "C4", ".", ".", "-"],  # the second ending
    ]
    assert (piece.roots, piece.codes) == infer_chords(piece.events, 48, "major", "4/4", 2)


def test_a_reel_in_sixteenths_of_two_four_is_the_same_in_eighths_of_four_four(built):
    corpus = built(
        {
            "ryansMammoth/Reel.abc": tune(REEL, "D", "M:2/4\nL:1/16"),
            "oneills1850/1-2.abc": tune(REEL, "D") + tune(SLOW, "G", "M:2/4\nL:1/8", 2),
        }
    )
    assert {piece.name for piece in corpus.pieces} == {"oneills-0001", "oneills-0002"}
    assert corpus.report["the same as another"] == 1
    meters = {piece.name: (piece.meter, piece.bars) for piece in corpus.pieces}
    assert meters == {"oneills-0001": ("4/4", 8), "oneills-0002": ("2/4", 8)}


def test_a_number_that_two_files_hold_is_kept_once(built):
    other = REEL.replace("d2fd", "dAfd")
    corpus = built(
        {
            "oneills1850/a.abc": tune(other, "D", number=5) + tune(REEL, "D", "M:9/8", 6),
            "oneills1850/b.abc": tune(REEL, "D", number=5) + tune("x", "C", number=8),
            "ryansMammoth/Other.abc": tune(REEL, "D"),
        }
    )
    assert {p.name: bars(p)[0][1] for p in corpus.pieces} == {
        "oneills-0005": "G4",  # of the larger file
        "ryans-Other": ".",
    }
    assert corpus.report == {
        "kept": 2,
        "in 9/8": 1,
        "the same as another": 1,
        "no notes": 1,
    }


@pytest.mark.parametrize(
    ("music", "key", "found"),
    [
        ("EFGA BGEG|FDAF dAFD|EFGA Bgfe|dBAF E4|", "Em", ("minor", -7)),
        ("EFGA BGEG|FDAF dAFD|EFGA Bgfe|dBAF E4|", "G", ("minor", -7)),  # its relative
        ("EFGA BGEG|FDAF dAFD|EFGA Bgfe|dBAF E4|", "Edor", "neither major nor minor"),
        ("DFAd fdAF|EA^ce a^c'ba|fdAF DFAd|faed d4|", "G", "an unclear key"),
    ],
)
def test_the_key_is_the_stated_one_or_its_relative_if_the_notes_agree(built, music, key, found):
    corpus = built({"airdsAirs/book1.abc": tune(music, key) + tune(REEL, "D", number=2)})
    first = [(p.mode, p.shift) for p in corpus.pieces if p.name == "airds-0001"]
    assert first == [found] if isinstance(found, tuple) else corpus.report[found] == 1


def test_dotted_rhythms_need_the_finer_grid(built):
    files = {"ryansMammoth/Fling.abc": tune("G>AB>c d>cB>A|" * 8, "G")}
    with_sixteenths = built(files, 4)
    assert bars(with_sixteenths.pieces[0])[0][:8] == ["C5", ".", ".", "D5", "E5", ".", ".", "F5"]
    assert built(files).report == {"kept": 0, "too fine for the grid": 1}


def test_a_tune_of_ryans_collection_is_as_printed():
    from music21 import common

    path = common.getCorpusFilePath() / "ryansMammoth" / "AcaciaReel.abc"
    (piece,) = folk._read((str(path), 2))
    assert isinstance(piece, Piece) and piece.name == "ryans-AcaciaReel"
    assert (piece.meter, piece.bars, piece.shift) == ("4/4", 17, -7)  # in 2/4 in the book, in G
    assert bars(piece)[1:3] == [
        ["C4", ".", "C4", "D4", "E4", "F4", "G4", "E4"],  # G2GA BcdB
        ["F4", "E4", "F4", "G4", "A4", ".", "G4", "B4"],  # cBcd e2(3def, a triplet on two slots
    ]


def test_the_missing_corpus_names_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path))
    with pytest.raises(CorpusMissing, match="run `musicgym data prepare --corpus folk`"):
        dataset.load("folk")
    with pytest.raises(ValueError, match="did you mean 'folk'"):
        dataset.prepare("folks")
