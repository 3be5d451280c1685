"""The repertoire of a CVAE-GAN: windows of several corpora and metres, with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from musicgym.agents.lessons import lessons
from musicgym.corpus.dataset import Corpus, prepare
from musicgym.task import Task

from .conditions import Scenes

__all__ = ["labels_of", "repertoire"]

#: Windows of a style and metre that are learned and validated on, at most: of the corpus's own
#: style, and of another.
MOST = {"train": (800, 500), "validation": (150, 150), "test": (150, 150)}


def repertoire(
    corpus: Corpus, split: str, task: Task, styles: Sequence[str], metres: Sequence[str],
    hop: int = 1,
) -> list[Scenes]:  # fmt: skip
    """Return the windows of a split in all styles and metres, a group each, in C major and A minor.

    The styles other than the corpus's own are taken from the cache, or built.

    Args:
        corpus: one of the styles.
        split: of every corpus.
        task: of one of the metres; it gives bars, grid and range.
        styles: names of corpora.
        metres: a style without one of them does without.
        hop: bars from one window to the next, before they are thinned.

    Raises:
        ValueError: the corpus or the metre is none of these, or a style has no window at all.
    """
    if corpus.name not in styles:
        raise ValueError(
            f"style: the corpus is {corpus.name!r}, and this CVAEGAN is made for "
            f"{', '.join(styles)}; make it with styles=({corpus.name!r},)."
        )
    if task.meter not in metres:
        raise ValueError(
            f"metre: the task is in {task.meter}, and this CVAEGAN is made for {', '.join(metres)}."
        )
    groups = []
    for style, name in enumerate(styles):
        own = name == corpus.name
        source = corpus if own else prepare(name, steps_per_beat=task.steps_per_beat)
        found = 0
        for metre, meter in enumerate(metres):
            there = Task(
                "natural", "random", meter, task.bars, task.steps_per_beat,
                pitch_range=task.pitch_range,
            )  # fmt: skip
            try:
                heard = lessons(source, split, there, hop)
            except ValueError:
                continue
            rows = thinned(len(heard.events), MOST[split][not own])
            labels = labels_of(len(rows), style, metre, styles, metres)
            groups.append(Scenes(heard.observation[rows], heard.events[rows], labels))
            found += len(rows)
        if not found:
            raise ValueError(
                f"style: the corpus {name!r}, split {split!r}, has no window of {task.bars} bars "
                f"in {' or '.join(metres)}."
            )
    return groups


def labels_of(
    count: int, style: int, metre: int, styles: Sequence[str], metres: Sequence[str]
) -> Tensor:
    """Return `Scenes.labels` (count, S + M) of one style and metre."""
    row = torch.zeros(len(styles) + len(metres))
    row[style] = row[len(styles) + metre] = 1.0
    return row.expand(count, -1).clone()


def thinned(count: int, most: int) -> Tensor:
    """Return the places of at most so many of a count, evenly spread, int64."""
    return torch.from_numpy(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
