"""Style: a small network that tells styles of melodies apart, the judge of the `style` reward.

It reads intervals, scale degrees and rhythm above the tonic, no chords and no register, so that
moving melody, key and range together changes nothing. The metric's classifier is another one, see
`musicgym.benchmarks.style`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicgym.events import FIRST_NOTE, HOLD
from musicgym.task import Task
from musicgym.theory import closest

from . import checkpoints
from .checkpoints import CheckpointError
from .threads import few_threads

__all__ = ["Examples", "StyleConfig", "StyleFacts", "StyleModel", "fit"]

#: Intervals beyond this many semitones are alike.
FAR = 13
#: Steps that a layer looks at, and how far apart they lie in each layer.
KERNEL, DILATIONS = 5, (1, 2, 4)


class Examples(NamedTuple):
    """Melodies of known style.

    Attributes:
        events: (N, T) of one alphabet.
        tonic: (N,) pitch classes.
        style: (N,) places in the classes.
    """

    events: Tensor
    tonic: Tensor
    style: Tensor


@dataclass(frozen=True)
class StyleConfig:
    """How a style model is trained.

    Attributes:
        width: channels of the network.
        dropout: share of the features dropped in training.
        epochs: passes over the examples; the best on the validation examples is kept.
        batch: melodies a step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        seed: fixes weights, order and dropout.
    """

    width: int = 48
    dropout: float = 0.2
    epochs: int = 10
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("width", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not 1 or more.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout!r} is not from 0 to below 1.")
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"learning_rate: {self.learning_rate!r} is not above 0, or weight_decay: "
                f"{self.weight_decay!r} is below 0."
            )


@dataclass(frozen=True)
class StyleFacts:
    """What a style model has learned, and on what melodies it may be asked.

    Attributes:
        classes: the names of the styles.
        corpora: the fingerprint of each corpus that it learned from, by its name.
        meter: of the melodies.
        steps_per_beat: grid slots a beat.
        low: the pitch of event 2.
        high: the highest pitch.
        steps_per_bar: grid slots a bar.
    """

    classes: tuple[str, ...]
    corpora: tuple[tuple[str, str], ...]
    meter: str
    steps_per_beat: int
    low: int
    high: int
    steps_per_bar: int

    @staticmethod
    def of(
        task: Task, classes: Sequence[str], corpora: Sequence[tuple[str, str]] = ()
    ) -> StyleFacts:
        """Return the facts of a model for the melodies of a task."""
        return StyleFacts(
            tuple(classes), tuple(corpora), task.meter, task.steps_per_beat, task.low, task.high,
            task.steps_per_bar,
        )  # fmt: skip

    def problem(self, task: Task) -> str:
        """Return how a task differs from what the model knows, or an empty string."""
        own = (self.meter, self.steps_per_beat, self.low, self.high)
        asked = (task.meter, task.steps_per_beat, task.low, task.high)
        if own == asked:
            return ""
        said, wanted = (
            f"{meter}, {grid} steps a beat, pitches {low} to {high}"
            for meter, grid, low, high in (own, asked)
        )
        return f"the style model knows melodies in {said}; the task has {wanted}"


class StyleModel(nn.Module):
    """Log-probabilities of styles from whole melodies, in one batch on any device.

    Embeddings of what each step is, the interval to the note before, the sounding degree and the
    place in the bar are summed, three residual convolutions look 2, 6 and 14 steps to either side,
    and the mean and the largest of each channel over the melody are read.

    Attributes:
        facts: what it was fitted to.
        config: its size and training.
    """

    def __init__(self, facts: StyleFacts, config: StyleConfig = StyleConfig()) -> None:  # noqa: B008
        """Make a model with random weights."""
        super().__init__()
        self.facts, self.config = facts, config
        width = config.width
        self.kind = nn.Embedding(3, width)  # hold, rest, onset
        self.interval = nn.Embedding(2 * FAR + 2, width)  # the last: no interval
        self.degree = nn.Embedding(13, width)  # the last: silence
        self.position = nn.Embedding(facts.steps_per_bar, width)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2 * apart, dilation=apart)
            for apart in DILATIONS
        )
        self.norm = nn.LayerNorm(2 * width)
        self.dropout = nn.Dropout(config.dropout)
        self.read = nn.Linear(2 * width, len(facts.classes))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the styles."""
        return self.facts.classes

    def forward(self, events: Tensor, tonic: Tensor) -> Tensor:
        """Return log-probabilities (N, C) of melodies (N, T) with tonics (N,)."""
        parts = heard(events, tonic, self.facts)
        x = self.kind(parts.kind) + self.interval(parts.interval) + self.degree(parts.degree)
        x = self.dropout(x + self.position(parts.position)).transpose(1, 2)  # (N, W, T)
        for layer in self.layers:
            x = x + nn.functional.gelu(layer(x))
        pooled = torch.cat([x.mean(2), x.amax(2)], dim=1)  # (N, 2 W)
        logits: Tensor = self.read(self.dropout(self.norm(pooled)))
        return logits.log_softmax(-1)

    def place(self, style: str) -> int:
        """Return the place of a style in the classes.

        Raises:
            ValueError: the model has not learned it.
        """
        if style not in self.classes:
            raise ValueError(
                f"style: {style!r} is not one of {', '.join(self.classes)}"
                f"{closest(style, self.classes)}, which the style model has learned."
            )
        return self.classes.index(style)

    @torch.no_grad()
    def log_odds(self, events: Tensor, tonic: Tensor, style: str) -> Tensor:
        r"""Return :math:`\log \frac{p(style | x)}{1 - p(style | x)}` of melodies (N, T): (N,).

        Raises:
            ValueError: the model has not learned the style.
        """
        wanted, said = self.place(style), self(events, tonic)
        others = [c for c in range(len(self.classes)) if c != wanted]
        odds: Tensor = said[:, wanted] - said[:, others].logsumexp(-1)
        return odds

    def save(self, path: Path, figures: dict[str, Any] | None = None) -> None:
        """Write the model, what it was fitted to, and its figures."""
        facts = {
            "model": asdict(self.facts), "config": asdict(self.config), "figures": figures or {},
        }  # fmt: skip
        checkpoints.save(path, "style", dict(self.state_dict()), facts)

    @staticmethod
    def load(path: Path, device: str | torch.device = "cpu") -> StyleModel:
        """Read what `save` wrote, in evaluation mode and frozen.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: it is corrupt, or of another kind or format.
        """
        held = checkpoints.load(path, "style", device)
        try:
            said = held.facts["model"]
            corpora = tuple((str(name), str(mark)) for name, mark in said["corpora"])
            known = replace(
                StyleFacts(**said), classes=tuple(map(str, said["classes"])), corpora=corpora
            )
            model = StyleModel(known, StyleConfig(**held.facts["config"]))
            model.load_state_dict(held.tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"checkpoint: {path} does not fit together ({error}).") from error
        return model.to(device).requires_grad_(False).eval()


class Heard(NamedTuple):
    """What a model is told of each step, int64 (N, T)."""

    kind: Tensor
    interval: Tensor
    degree: Tensor
    position: Tensor


def heard(events: Tensor, tonic: Tensor, facts: StyleFacts) -> Heard:
    """Return what melodies (N, T) with tonics (N,) tell; a hold in silence is a rest."""
    events = events.long()
    steps = torch.arange(events.shape[1], device=events.device)
    struck = events >= FIRST_NOTE
    onset = _latest(struck, steps)  # (N, T) the last onset up to here, -1 before the first
    change = _latest(events != HOLD, steps)
    sounding = (change >= 0) & (change == onset)
    pitch = events.gather(1, onset.clamp(min=0)) - FIRST_NOTE  # above `low`
    before = nn.functional.pad(onset, (1, -1), value=-1)
    jump = (pitch - pitch.gather(1, before.clamp(min=0))).clamp(-FAR, FAR) + FAR
    return Heard(
        kind=torch.where(struck, 2, torch.where(sounding, 0, 1)),
        interval=torch.where(struck & (before >= 0), jump, 2 * FAR + 1),
        degree=torch.where(sounding, (pitch + facts.low - tonic.long()[:, None]) % 12, 12),
        position=(steps % facts.steps_per_bar).expand_as(events),
    )


def _latest(there: Tensor, steps: Tensor) -> Tensor:
    """Return the last step up to each at which something holds (N, T), -1 before the first."""
    return torch.where(there, steps, -1).cummax(1).values


@torch.no_grad()
def _accuracy(model: StyleModel, data: Examples) -> tuple[float, float]:
    """Return the mean NLL in nats and the share that is told right."""
    said = model.eval()(data.events, data.tonic)
    right = (said.argmax(-1) == data.style).float().mean()
    return float(nn.functional.nll_loss(said, data.style)), float(right)


@few_threads()
@torch.random.fork_rng(devices=())
def fit(
    train: Examples,
    validation: Examples,
    facts: StyleFacts,
    config: StyleConfig = StyleConfig(),  # noqa: B008
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> StyleModel:
    """Fit a style model and keep the epoch that is best on the validation examples.

    Args:
        train: examples of every class.
        validation: examples of other tunes.
        facts: the classes and the melodies.
        config: how it is trained.
        report: called after each epoch with the epoch, losses and accuracy.

    Raises:
        ValueError: a class has no training example.
    """
    for place, name in enumerate(facts.classes):
        if not (train.style == place).any():
            raise ValueError(f"style: there is no training melody of the class {name!r}.")
    torch.manual_seed(config.seed)
    model = StyleModel(facts, config).to(train.events.device)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    steps = config.epochs * math.ceil(len(train.events) / config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, steps)
    best, kept = math.inf, copy.deepcopy(model.state_dict())
    for epoch in range(1, config.epochs + 1):
        model.train()
        total = 0.0
        for rows in torch.split(torch.randperm(len(train.events)), config.batch):
            said = model(train.events[rows], train.tonic[rows])
            loss = nn.functional.nll_loss(said, train.style[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        loss_now, right = _accuracy(model, validation)
        if loss_now < best:
            best, kept = loss_now, copy.deepcopy(model.state_dict())
        report({
            "epoch": epoch, "train_nll": total / len(train.events), "validation_nll": loss_now,
            "validation_accuracy": right,
        })  # fmt: skip
    model.load_state_dict(kept)
    return model.requires_grad_(False).eval()
