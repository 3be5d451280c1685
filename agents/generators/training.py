"""The one training loop: a model learns the windows of a corpus, epoch by epoch."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicgym.agents import checkpoints
from musicgym.agents.configs import PretrainConfig
from musicgym.agents.lessons import lessons
from musicgym.corpus.dataset import Corpus
from musicgym.task import Task

__all__ = ["Curve", "Descent", "Groups", "Pupil", "measure", "train"]

#: Windows of a corpus in groups of one length: each a `Lessons`, or another NamedTuple of tensors
#: with the windows first.
Groups = Sequence[Any]
#: What was reported of each epoch: figure -> its values, with the CPU ``"seconds"`` so far.
Curve = dict[str, list[float]]
#: Windows that are measured at once; a large corpus would not fit into the memory.
MOST = 1024
Report = Callable[[dict[str, Any]], None]


class Descent(NamedTuple):
    """How some parameters go down a loss: an optimiser, its schedule, and a clipped gradient.

    Attributes:
        optimiser: any of torch's.
        schedule: moves its learning rate after each step; None keeps it.
        most: gradients are clipped to this norm.
    """

    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    most: float = 1.0

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of a loss ()."""
        self.optimiser.zero_grad()
        loss.backward()
        groups = self.optimiser.param_groups
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], self.most)
        self.optimiser.step()
        if self.schedule:
            self.schedule.step()


class Pupil(nn.Module):
    """A model that `train` can train. A subclass writes `losses` and `figures`; the rest may stay.

    A model with several optimisers, inner steps or a curriculum writes `descents` and `learn`.

    Attributes:
        notes: what `learn` carries from batch to batch beside the weights; a checkpoint keeps it.
    """

    def __init__(self) -> None:
        """Note nothing yet."""
        super().__init__()
        self.notes: dict[str, float] = {}

    def lessons(self, corpus: Corpus, split: str, task: Task, hop: int = 1) -> list[Any]:
        """Return the windows of a split, in groups of one length.

        Raises:
            ValueError: there is no such window.
        """
        return [lessons(corpus, split, task, hop)]

    def losses(self, batch: Any, share: float, training: Any) -> Mapping[str, Tensor]:
        """Return the loss () to be minimised, first, and other figures, of windows of one length.

        Args:
            batch: rows of a group of `lessons`.
            share: how much of the training is over, 0 to below 1.
            training: the `PretrainConfig` of this model.
        """
        raise NotImplementedError

    def figures(self, data: Any) -> dict[str, float]:
        """Return what is reported of one group of windows; the first stops the training.

        It runs in evaluation mode, with random numbers that are the same each time.
        """
        raise NotImplementedError

    def descents(self, training: Any, steps: int) -> list[Descent]:
        """Return how the parameters learn in so many batches: AdamW in one cycle."""
        optimiser = torch.optim.AdamW(self.parameters(), weight_decay=training.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.learning_rate, steps)
        return [Descent(optimiser, schedule)]

    def learn(
        self, batch: Any, share: float, training: Any, descents: Sequence[Descent]
    ) -> Mapping[str, Tensor]:
        """Learn from one batch in training mode; return what is reported of it, each ().

        Args:
            batch: rows of a group of `lessons`; it may be cut or transposed here.
            share: how much of the training is over, 0 to below 1.
            training: the `PretrainConfig` of this model.
            descents: what `descents` returned.
        """
        told = self.losses(batch, share, training)
        descents[0].step(next(iter(told.values())))
        return told

    def fill_gaps(self, groups: Groups) -> None:
        """Give what training from random weights never showed a typical vector: nothing here."""

    def finish(self, groups: Groups) -> None:
        """Do what is to be done once, after the best weights are back: nothing here."""


def train(
    model: Pupil,
    training_windows: Groups,
    validation_windows: Groups,
    config: PretrainConfig,
    report: Report = lambda _: None,
    checkpoint: Path | None = None,
    about: str = "",
) -> Curve:
    """Train a model on windows; it ends with the weights that were best on validation.

    It stops early after `patience` epochs without a better validation figure, if the config has a
    patience; the epochs while the KL weight rises do not count. Torch's own randomness is used: set
    it first. A training that was stopped goes on from the checkpoint, to the bit.

    Args:
        model: on its device.
        training_windows: groups of windows on that device.
        validation_windows: the same, of other tunes.
        config: how it is trained.
        report: called after each epoch with the epoch, ``train_*``, ``validation_*`` and the
            learning rate.
        checkpoint: written whole after each epoch, and gone on from where it is there.
        about: what is trained on what; the checkpoint must be of the same.

    Raises:
        ValueError: the loss is not finite, or the checkpoint is of something else.
        CheckpointError: the checkpoint is corrupt.
    """
    each = sum(math.ceil(len(group[0]) / config.batch) for group in training_windows)
    course = _Course(model, model.descents(config, config.epochs * each), about)
    if checkpoint and checkpoint.exists():
        course.restore(checkpoint)
    total = sum(len(group[0]) for group in training_windows)
    while course.epoch < config.epochs and not course.stale(config):
        begun = time.process_time()
        model.train()
        sums: dict[str, float] = {}
        for i, batch in enumerate(_batches(training_windows, config.batch)):
            share = (course.epoch * each + i) / (config.epochs * each)
            told = {k: float(v.detach()) for k, v in course.learn(batch, share, config).items()}
            _check_finite(told, course.epoch, config)
            for name, value in told.items():
                sums[name] = sums.get(name, 0.0) + value * len(batch[0])
        row = {f"train_{name}": value / total for name, value in sums.items()}
        found = measure(model, validation_windows, config.seed)
        _check_finite(found, course.epoch, config)
        row |= {f"validation_{name}": value for name, value in found.items()}
        row["learning_rate"] = course.descents[0].optimiser.param_groups[0]["lr"]
        course.note(row, next(iter(found.values())), time.process_time() - begun)
        if checkpoint:
            course.save(checkpoint)
        report({"epoch": course.epoch, **row})
    model.load_state_dict(course.kept)
    model.eval()
    return course.curve


def _check_finite(figures: Mapping[str, float], epoch: int, config: PretrainConfig) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise ValueError(
                f"pretraining: the {name} became {value} in epoch {epoch + 1}; a learning rate "
                f"below {config.learning_rate:g} may help."
            )


def measure(model: Pupil, groups: Groups, seed: int) -> dict[str, float]:
    """Return a model's figures over groups of windows, in evaluation mode, with a seed's draws.

    They are means over the windows, and of counts such as active units over parts of the groups.
    """
    device = next(model.parameters()).device
    model.eval()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else ()), torch.no_grad():
        torch.manual_seed(seed)
        parts = [
            type(group)(*(part[start : start + MOST] for part in group))
            for group in groups
            for start in range(0, len(group[0]), MOST)
        ]
        found = [(model.figures(part), len(part[0])) for part in parts]
    if len(found) == 1:
        return found[0][0]
    total = sum(size for _, size in found)
    return {n: sum(each[n] * size for each, size in found) / total for n in found[0][0]}


def _batches(groups: Groups, size: int) -> Iterator[Any]:
    """Yield the windows in batches of a random order, each of one group."""
    drawn = [
        (group, rows)
        for group in groups
        for rows in torch.split(torch.randperm(len(group[0])), size)
    ]
    order = torch.randperm(len(drawn)).tolist() if len(groups) > 1 else range(len(drawn))
    for place in order:
        group, rows = drawn[place]
        yield type(group)(*(part[rows] for part in group))


class _Course:
    """Where a training stands: all that its checkpoint holds."""

    def __init__(self, model: Pupil, descents: Sequence[Descent], about: str) -> None:
        self.model, self.descents, self.about = model, descents, about
        self.epoch, self.best_epoch, self.best = 0, 0, math.inf
        self.kept = copy.deepcopy(model.state_dict())
        self.curve: Curve = {}

    def learn(self, batch: Any, share: float, config: PretrainConfig) -> Mapping[str, Tensor]:
        return self.model.learn(batch, share, config, self.descents)

    def note(self, row: dict[str, float], figure: float, seconds: float) -> None:
        """Note the figures of an epoch, the validation figure among them, and keep the best."""
        self.epoch += 1
        if figure < self.best:
            self.best, self.best_epoch = figure, self.epoch
            self.kept = copy.deepcopy(self.model.state_dict())
        before = self.curve.get("seconds", [0.0])[-1]
        for name, value in {"seconds": before + seconds, **row}.items():
            self.curve.setdefault(name, []).append(value)

    def stale(self, config: PretrainConfig) -> bool:
        """Return whether it has not become better for as long as it may."""
        patience = getattr(config, "patience", config.epochs)
        since = max(self.best_epoch, getattr(config, "warmup", 0.0) * config.epochs)
        return bool(self.epoch - since >= patience)

    def save(self, path: Path) -> None:
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"kept.{name}": value for name, value in self.kept.items()}
        learned = []
        for i, (optimiser, schedule, _) in enumerate(self.descents):
            state = optimiser.state_dict()
            for index, entry in state["state"].items():
                tensors |= {f"descent{i}.{index}.{name}": value for name, value in entry.items()}
            learned.append([state["param_groups"], schedule.state_dict() if schedule else None])
        tensors["random"] = torch.get_rng_state()
        if (device := next(self.model.parameters()).device).type == "cuda":
            tensors["random_cuda"] = torch.cuda.get_rng_state(device)
        facts = {
            "about": self.about, "epoch": self.epoch, "best_epoch": self.best_epoch,
            "best": self.best, "curve": self.curve, "descents": learned, "notes": self.model.notes,
        }  # fmt: skip
        checkpoints.save(path, "training", tensors, facts)

    def restore(self, path: Path) -> None:
        held = checkpoints.load(path, "training")
        facts = held.facts
        if facts["about"] != self.about:
            raise ValueError(
                f"checkpoint: {path} is of an unfinished training of {facts['about']}, and this is "
                f"one of {self.about}; delete it, or give another path."
            )
        self.model.load_state_dict(checkpoints.under(held.tensors, "model"))
        device = next(self.model.parameters()).device
        kept = checkpoints.under(held.tensors, "kept").items()
        self.kept = {name: value.to(device) for name, value in kept}
        for i, (optimiser, schedule, _) in enumerate(self.descents):
            groups, steps = facts["descents"][i]
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in checkpoints.under(held.tensors, f"descent{i}").items():
                index, _, entry = name.partition(".")
                state.setdefault(int(index), {})[entry] = value
            optimiser.load_state_dict({"state": state, "param_groups": groups})
            if schedule:
                schedule.load_state_dict(steps)
        torch.set_rng_state(held.tensors["random"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(held.tensors["random_cuda"], device)
        self.epoch, self.best_epoch = facts["epoch"], facts["best_epoch"]
        self.best, self.curve = facts["best"], facts["curve"]
        self.model.notes = facts.get("notes", {})
