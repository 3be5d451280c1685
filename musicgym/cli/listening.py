"""Commands about listeners: `listen`, `preference`, `ratings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro import conf

__all__ = ["Listen", "Preference", "Ratings"]


@dataclass(frozen=True)
class Listen:
    """Write a page on which a listener compares the melodies of two systems, blind.

    It is one HTML file that works without network. At its end it saves choices.json, which
    `musicgym preference fit` and `musicgym ratings` read.

    Attributes:
        first: folder of MIDI, MusicXML or other files, or of records of one entry; or one record.
        second: the same of the other system.
        out: the page.
        pairs: how many pairs, at most; a pair is over the same chords where there are such.
        seed: fixes pairs, order and sides.
        ratings: also ask for 1 to 5 in fluency, creativity, emotional expression and harmony.
        bars: longer melodies are cut after so many.
        steps_per_beat: grid that files are read on: 1, 2 or 4; records have their own.
        tempo: quarter notes a minute.
    """

    first: conf.Positional[Path]
    second: conf.Positional[Path]
    out: Path = Path("page.html")
    pairs: int = 20
    seed: int = 1
    ratings: bool = False
    bars: int = 8
    steps_per_beat: int = 2
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.listening.page import write_page
        from musicgym.benchmarks.listening.pairs import pair_up
        from musicgym.benchmarks.listening.sources import read_system
        from musicgym.files import write_whole

        one, other = (read_system(path, self.steps_per_beat) for path in (self.first, self.second))
        names = (one.name, other.name)
        if one.name == other.name:
            names = (str(self.first), str(self.second))
            if self.first == self.second:
                raise ValueError(f"listen: {self.first} is given twice; give two systems.")
        for line in (*one.left_out, *other.left_out):
            print(f"left out: {line}")
        paired = pair_up(one.melodies, other.melodies, self.pairs, self.seed, self.bars)
        page = write_page(names, paired.pairs, self.seed, self.ratings, self.tempo, progress=True)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.out, page.encode())
        print(
            f"{self.out}: {names[0]} and {names[1]}; pairs: {len(paired.pairs)}, "
            f"of which over the same chords: {paired.matched}"
        )
        if len(paired.pairs) < self.pairs:
            print(f"{self.pairs} were asked for; there are no more melodies to pair.")


@dataclass(frozen=True)
class Preference:
    """Fit a reward to listeners' choices, and say which system they preferred.

    The file that it writes is the scorer of the `preference` reward.

    Attributes:
        what: fit.
        choices: files that listening pages saved.
        out: where the reward is written.
        seed: fixes the cross-validation and the resamples.
    """

    what: conf.Positional[Literal["fit"]]
    choices: conf.Positional[tuple[Path, ...]]
    out: Path = Path("preference.safetensors")
    seed: int = 0

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.listening.choices import judgements, read_all
        from musicgym.benchmarks.listening.report import fit_text
        from musicgym.benchmarks.listening.reward_model import fit

        if not self.choices:
            raise ValueError("preference fit: name the files that listening pages saved.")
        judged = judgements(read_all(self.choices))
        model, odds = fit(judged, self.seed)
        print(fit_text(judged, model, odds))
        model.save(self.out)
        print(self.out)


@dataclass(frozen=True)
class Ratings:
    """Table listeners' ratings by system, beside published ones.

    Attributes:
        choices: files that listening pages saved.
        markdown: print the table as Markdown.
        seed: fixes the resamples.
    """

    choices: conf.Positional[tuple[Path, ...]]
    markdown: bool = False
    seed: int = 0

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.listening.choices import read_all
        from musicgym.benchmarks.listening.ratings import rated, ratings_text

        if not self.choices:
            raise ValueError("ratings: name the files that listening pages saved.")
        print(ratings_text(rated(read_all(self.choices), self.seed), self.markdown))
