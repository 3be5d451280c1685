"""Melodies for the page: the same progressions for every entry, engraved, paid and sounded."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musicgym.benchmarks.records import HUMAN, Record
from musicgym.benchmarks.scenes import Scene, paid_in, scene_of
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.dynamics import Episodes
from musicgym.export.audio import RATE, samples
from musicgym.export.engraving import svg
from musicgym.export.extras import require
from musicgym.export.musicxml import musicxml
from musicgym.export.notation import musical_signs
from musicgym.melody import Melody
from musicgym.task import chord_masks
from musicgym.theory import Chord, usual_key

from .score import Glyphs, slim

__all__ = ["Studio", "archive_of", "optima", "places", "rewards", "sound", "take"]

Ints = npt.NDArray[np.int64]
Archive = Mapping[str, Ints]

TEMPO = 100.0
#: One channel, so many samples a second, and how hard Opus squeezes them: about 3 kB a second.
SOUND_RATE, SQUEEZE = 24_000, 0.94


def archive_of(folder: Path, record: Record) -> Archive | None:
    """Return the melodies of a record, None where they were not kept or not copied along."""
    path = folder / record.task_name / record.melodies
    if not record.melodies or not path.is_file():
        return None
    with np.load(path) as held:
        return {name: held[name].astype(np.int64) for name in held.files}


def places(played: Archive, human: Archive | None, count: int) -> list[tuple[int, int | None]]:
    """Return which progressions are shown: (place in an entry's record, place in the human one).

    The first ones that a human melody stands over, major and minor by turns; then the first of the
    others. The choice sees chords only, so it favours no entry.

    Args:
        played: the melodies of any entry over the shared episodes.
        human: those of the human row.
        count: how many.
    """
    written: dict[bytes, int] = {}
    for place, chords in enumerate(_chords(human) if human else ()):
        written.setdefault(chords, place)
    known, rest, seen = ([], []), [], set()  # type: ignore[var-annotated]
    for place, chords in enumerate(_chords(played)):
        if chords in seen:
            continue
        seen.add(chords)
        if chords in written:
            known[int(played["mode"][place])].append((place, written[chords]))
        else:
            rest.append((place, None))
    turns = [pair for both in zip(*known, strict=False) for pair in both]
    left = [pair for mode in known for pair in mode[min(map(len, known)) :]]
    return [*turns, *left, *rest][:count]


def take(archive: Archive, at: Sequence[int]) -> Archive:
    """Return some melodies of an archive."""
    return {name: part[list(at)] for name, part in archive.items()}


def _chords(archive: Archive) -> list[bytes]:
    parts = (
        archive["tonic"][:, None],
        archive["mode"][:, None],
        archive["roots"],
        archive["codes"],
    )
    return [row.tobytes() for row in np.hstack(parts)]


@dataclass(frozen=True)
class Studio:
    """Writes melodies as what the page shows of them.

    Attributes:
        glyphs: the signs of music, gathered over all scores.
    """

    glyphs: Glyphs = field(default_factory=Glyphs)

    def melodies(
        self,
        task: BenchmarkTask,
        record: Record,
        archive: Archive,
        numbers: Sequence[int],
        optimum: Mapping[int, float],
        audible: bool,
    ) -> list[dict[str, Any]]:
        """Return melodies as plain data: notes, chords, the reward by term, a score, sound.

        Args:
            task: what pays.
            record: whose they are.
            archive: the melodies alone.
            numbers: the number of the progression of each.
            optimum: the most that a melody over a progression can earn, by its number.
            audible: whether they are sounded.
        """
        paid = rewards(task, archive)
        shown = []
        for i, number in enumerate(numbers):
            melody = _melody(task, archive, i)
            terms = {name: np.round(values[i], 4) for name, values in paid.items()}
            shown.append(
                {
                    "progression": number,
                    "key": melody.key.name,
                    "tonic": melody.key.tonic,
                    "meter": melody.meter,
                    "bars": task.bars,
                    "bar": melody.steps_per_bar,
                    "beat": melody.steps_per_beat,
                    "steps": len(melody.events),
                    "given": task.given,
                    "seconds": melody.quarters_per_step * 60 / TEMPO,
                    "notes": [list(note) for note in melody.notes()],
                    "chords": [
                        [onset, length, musical_signs(c.symbol(melody.key)), list(c.pitch_classes)]
                        for onset, length, c in melody.spans()
                    ],
                    "paid": {name: [_plain(v) for v in values] for name, values in terms.items()},
                    "return": round(float(sum(v.sum() for v in terms.values())), 4),
                    "optimum": optimum.get(number),
                    "score": self.score(melody, record.entry),
                    "sound": base64.b64encode(sound(melody)).decode() if audible else None,
                }
            )
        return shown

    def score(self, melody: Melody, entry: str) -> str:
        """Return a melody's engraved score, small."""
        whose = "people" if entry == HUMAN else entry.replace("_", " ")
        page = svg(musicxml(melody, tempo=TEMPO))
        return slim(page, self.glyphs, f"Score of a melody by {whose} in {melody.key.name}")


def rewards(task: BenchmarkTask, archive: Archive) -> dict[str, npt.NDArray[np.float64]]:
    """Return what each term pays melodies at each step, weight applied: name -> (N, T)."""
    episodes, width = _episodes(archive)
    paid = paid_in(Scene(episodes, width, None), task, archive["events"])
    paid[:, : task.given] = 0  # an opening that was given earns nothing
    return {term.name: paid[..., k] * term.weight for k, term in enumerate(task.reward.terms)}


def optima(task: BenchmarkTask, archive: Archive) -> list[float]:
    """Return the most that can be earned over the chords of each melody; none if none is known."""
    best = scene_of(task, *_episodes(archive), archive["events"]).optimum
    return [] if best is None else [round(float(value), 4) for value in best]


def _episodes(archive: Archive) -> tuple[Episodes, int]:
    """Return the episodes of melodies, and how many steps a chord has."""
    width = archive["events"].shape[1] // archive["roots"].shape[1]
    roots, codes = (np.repeat(archive[name], width, axis=1) for name in ("roots", "codes"))
    masks = chord_masks(roots, codes)
    keys = np.arange(len(roots))
    return Episodes(archive["tonic"], archive["mode"], roots, codes, masks, keys), width


def sound(melody: Melody) -> bytes:
    """Return the sound of a melody, one channel, as Opus in Ogg: about 55 kB for 20 seconds.

    Raises:
        MissingExtra: a package of the extra `audio` is not installed.
    """
    from scipy.signal import resample_poly

    soundfile = require("soundfile", "audio", "sound")
    mono = resample_poly(samples(melody, tempo=TEMPO).mean(1), SOUND_RATE // 300, RATE // 300)
    buffer = BytesIO()
    peak = max(float(np.abs(mono).max()), 1e-9)
    soundfile.write(
        buffer, mono * (0.9 / peak), SOUND_RATE,
        format="OGG", subtype="OPUS", compression_level=SQUEEZE,
    )  # fmt: skip
    return buffer.getvalue()


def _plain(value: float) -> float | int:
    """Return a number as short as JSON writes it."""
    return int(value) if value == int(value) else float(value)


def _melody(task: BenchmarkTask, archive: Archive, i: int) -> Melody:
    tonic, mode = int(archive["tonic"][i]), ("major", "minor")[int(archive["mode"][i])]
    roots, codes = archive["roots"][i], archive["codes"][i]
    chords = tuple(Chord.of(int(r + tonic) % 12, int(c)) for r, c in zip(roots, codes, strict=True))
    key = usual_key(tonic, mode)
    plain = task.task
    return Melody(
        tuple(archive["events"][i].tolist()), plain.low, key, chords, plain.meter,
        plain.steps_per_beat, " ",
    )  # fmt: skip
