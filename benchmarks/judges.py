"""Judges: what a style classifier and the emotion targets say of melodies, as figures of a record.

Both learn from training splits only. The human row is judged as systems are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from musicgym.corpus.cache import corpus_path
from musicgym.corpus.dataset import Corpus, CorpusMissing, load
from musicgym.emotion import EmotionTargets, targets
from musicgym.task import Task

from .metrics.metric import Measured
from .metrics.pieces import Pieces
from .metrics.zhao import emotion_figures
from .style import StyleJudge, judge_of, style_figures
from .style_examples import CORPORA
from .tasks import corpus_windows

__all__ = ["Judges", "missing"]


@dataclass(frozen=True)
class Judges:
    """Who judges the melodies of a task; one that cannot be had is None.

    Attributes:
        corpus: the name of the task's corpus.
        style: tells the styles apart.
        emotions: the emotions of the corpus.
    """

    corpus: str
    style: StyleJudge | None
    emotions: EmotionTargets | None

    @staticmethod
    def of(corpus: Corpus, task: Task) -> Judges:
        """Gather who can be had: corpora that are not prepared are not built here."""
        style: StyleJudge | None = None
        emotions: EmotionTargets | None = None
        with suppress(CorpusMissing, ValueError):  # `missing` says it; or no melody of this meter
            style = judge_of(task)
        with suppress(ValueError):  # a corpus in which a feature never changes
            both = replace(task, key="natural")  # the mode is one of the five numbers
            emotions = targets(corpus_windows(corpus, "train", both), task.low)
        return Judges(corpus.name, style, emotions)

    def figures(self, pieces: Pieces, facts: Mapping[str, Any]) -> dict[str, Measured]:
        """Return the figures of N melodies.

        Args:
            pieces: the melodies.
            facts: of the entry; ``"style"`` and ``"emotion"`` are what it was asked for, one word
                or one a melody. The corpus's own style by default, and no emotion.
        """
        found: dict[str, Measured] = {}
        if self.style is not None:
            own = next((style for style, name in CORPORA.items() if name == self.corpus), None)
            found |= style_figures(self.style, pieces, facts.get("style", own))
        if self.emotions is not None:
            found |= emotion_figures(pieces, self.emotions, facts.get("emotion"))
        return found


def missing(steps_per_beat: int) -> str:
    """Return why there is no row of style, or an empty string."""
    for name in CORPORA.values():
        if not corpus_path(name, steps_per_beat).exists():
            try:
                load(name, steps_per_beat=steps_per_beat)
            except CorpusMissing as error:
                return f"The rows of style are left out: {error}."
    return ""
