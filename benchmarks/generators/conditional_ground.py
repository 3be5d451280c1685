"""What the parts of a CVAE-GAN are measured on: held-out melodies, their chords, and who judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from musicgym.agents.configs import Sampling
from musicgym.agents.generators.conditions import Scenes
from musicgym.agents.generators.cvae_gan import CVAEGAN
from musicgym.agents.imagination import imagine
from musicgym.agents.lessons import perform
from musicgym.benchmarks.features import features
from musicgym.benchmarks.human import Human
from musicgym.benchmarks.metrics.metric import Floats
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.style import StyleJudge, judge_of
from musicgym.benchmarks.tasks import as_melodies, corpus_windows
from musicgym.corpus.dataset import Corpus, Windows
from musicgym.dynamics import Episodes, Readings
from musicgym.replay import episodes_of
from musicgym.reward import Reward
from musicgym.task import Task

from .hearing import MetreJudge, fit_metres

__all__ = ["METRES", "STYLES", "Ground", "Held", "bare", "compose", "moved", "scenes"]

#: The corpora, and the names of their styles for the classifier.
STYLES = {"chorales": "chorale", "folk": "folk"}
METRES = ("4/4", "3/4", "6/8")
#: Melodies of a style or metre, at most.
MOST = 204
#: A reward without a term.
SILENT = Reward((), Readings())


@dataclass(frozen=True)
class Held:
    """Held-out human melodies of a style and a metre.

    Attributes:
        style: of the model.
        task: their metre, length, grid and range.
        episodes: their keys and chords.
        pieces: the melodies.
        tunes: the tune of each.
    """

    style: str
    task: Task
    episodes: Episodes
    pieces: Pieces
    tunes: npt.NDArray[Any]


@dataclass(frozen=True)
class Ground:
    """What all models are measured on."""

    corpora: Mapping[str, Corpus]

    @staticmethod
    def task(metre: str) -> Task:
        """Return the task of a metre."""
        return Task("natural", "random", meter=metre)

    def held(self, style: str, metre: str, split: str = "test", most: int = MOST) -> Held:
        """Return human melodies, spread over the windows of a split."""
        task = self.task(metre)
        cut = _thinned(corpus_windows(self.corpora[style], split, task), most)
        pieces = Pieces.of(as_melodies(cut, task))
        return Held(style, task, episodes_of(cut, task), pieces, np.array(cut.tunes))

    @cached_property
    def humans(self) -> dict[str, Human]:
        """The human melodies of each style in 4/4."""
        return {style: Human.of(c, self.task("4/4")) for style, c in self.corpora.items()}

    @cached_property
    def natural(self) -> dict[str, Held]:
        """Test melodies of each style in 4/4, as many of either."""
        return {style: self.held(style, "4/4") for style in STYLES}

    @cached_property
    def by_metre(self) -> dict[str, Held]:
        """Test melodies of folk tunes in each metre."""
        return {metre: self.held("folk", metre) for metre in METRES}

    @cached_property
    def scale(self) -> tuple[Floats, Floats]:
        """Mean and deviation of the features over training melodies of both styles in 4/4."""
        parts = [features(self.held(style, "4/4", "train", 800).pieces) for style in STYLES]
        found = np.concatenate(parts)
        return found.mean(0), np.maximum(found.std(0), 0.02)

    def vectors(self, pieces: Pieces) -> Floats:
        """Return the standardised features of melodies."""
        centre, scale = self.scale
        return (features(pieces) - centre) / scale

    @cached_property
    def style_judge(self) -> StyleJudge:
        """The metrics' classifier of styles."""
        return judge_of(self.task("4/4"))

    @cached_property
    def metre_judge(self) -> MetreJudge:
        """A classifier of metres, fitted to training melodies."""
        known: dict[str, list[Pieces]] = {}
        for metre in METRES:
            styles = STYLES if metre != "6/8" else ("folk",)
            known[metre] = [self.held(style, metre, "train", 600).pieces for style in styles]
        return fit_metres(known)


def _thinned(cut: Windows, most: int) -> Windows:
    rows = np.linspace(0, len(cut.events) - 1, min(len(cut.events), most)).round().astype(np.int64)
    return Windows(
        cut.events[rows], cut.roots[rows], cut.codes[rows], cut.modes[rows],
        tuple(cut.tunes[i] for i in rows), tuple(cut.names[i] for i in rows),
    )  # fmt: skip


def moved(episodes: Episodes, seed: int) -> Episodes:
    """Return episodes in other keys, each of the twelve as likely."""
    by = np.random.default_rng(seed).integers(0, 12, len(episodes.tonic))
    return episodes._replace(tonic=(episodes.tonic + by) % 12)


def bare(episodes: Episodes) -> Episodes:
    """Return episodes without their chords."""
    zero = episodes.roots * 0
    return episodes._replace(roots=zero, codes=zero, masks=zero)


def compose(
    model: CVAEGAN,
    held: Held,
    seed: int,
    episodes: Episodes | None = None,
    style: str = "",
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    latent: Tensor | None = None,
) -> Pieces:
    """Return a melody in each held-out episode, a chord a beat, as the metrics read it.

    Args:
        model: what plays.
        held: the task, and the episodes and the style if no others are given.
        seed: of the events and latents.
        episodes: keys and chords.
        style: what is asked for.
        sampling: how events are drawn.
        latent: (N, L) in place of drawn ones.
    """
    task, there = held.task, held.episodes if episodes is None else episodes
    player = model.prepared(style=style or held.style, metre=task.meter)
    events = imagine(
        player, there, task, SILENT, seed, sampling, task.steps_per_beat, latent=latent
    ).events
    up = there.tonic[:, None]
    masks = (there.masks << up | there.masks >> 12 - up) & 4095
    low = np.full(len(events), task.low)
    return Pieces(events, low, there.tonic, there.mode == 1, masks, task.meter, task.steps_per_beat)


def scenes(model: CVAEGAN, held: Held, events: npt.NDArray[np.int64]) -> Any:
    """Return melodies (N, T) in held-out episodes as the model reads them."""
    heard = perform(held.episodes, held.task, lambda t, _: events[:, t])
    return Scenes(*heard, model.asked(len(events), style=held.style, metre=held.task.meter))
