"""Commands on corpora."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro import conf

if TYPE_CHECKING:
    pass


__all__ = ["Data"]


@dataclass(frozen=True)
class Prepare:
    """Prepare a corpus: read, label, transpose, split by tune, and keep it in the cache.

    Attributes:
        corpus: chorales (Bach), or folk (fiddle tunes over inferred chords; some minutes).
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        jobs: processes that read in parallel.
    """

    corpus: str = "chorales"
    steps_per_beat: int = 2
    jobs: int = os.cpu_count() or 1

    def run(self) -> None:
        """Run the command."""
        from musicgym.corpus import dataset

        if self.jobs < 1:
            raise ValueError(f"jobs: {self.jobs!r} is not 1 or more.")
        made = dataset.prepare(self.corpus, steps_per_beat=self.steps_per_beat, jobs=self.jobs)
        print(dataset.summary(made))


@dataclass(frozen=True)
class Import:
    """Import a folder of MIDI, MusicXML, ABC, CSV or JSON files as a corpus.

    Attributes:
        path: the folder, or one file.
        name: name of the corpus; the folder's by default.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
    """

    path: conf.Positional[Path]
    name: str | None = None
    steps_per_beat: int = 2

    def run(self) -> None:
        """Run the command."""
        from musicgym.corpus.files import import_folder

        print(import_folder(self.path, name=self.name, steps_per_beat=self.steps_per_beat))


@dataclass(frozen=True)
class Data:
    """Prepare or import corpora."""

    action: (
        Annotated[Prepare, conf.subcommand("prepare")]
        | Annotated[Import, conf.subcommand("import")]
    )

    def run(self) -> None:
        """Run the command."""
        self.action.run()
