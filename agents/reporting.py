"""Reports of training for people: a progress bar, TensorBoard, or both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .learning import Report

__all__ = ["Bar", "stages", "tensorboard", "together"]

#: The figures that a progress bar shows, under short names.
SHOWN = {
    "validation_nll": "nll",
    "validation_loss": "loss",
    "return": "return",
    "kl": "kl",
    "entropy": "entropy",
}


class Bar:
    """A progress bar over one stage of training; it closes when it is full.

    >>> bar = Bar("learn", 100, "steps", quiet=True)
    >>> bar({"steps": 50, "return": 1.0})
    """

    def __init__(self, name: str, total: int, counter: str, quiet: bool = False) -> None:
        """Open the bar; `counter` is the figure that it counts up to `total`."""
        self.counter = counter
        self.bar = tqdm(
            total=total, desc=name, unit=counter.rstrip("s"), unit_scale=True, disable=quiet,
            dynamic_ncols=True,
        )  # fmt: skip

    def __call__(self, figures: dict[str, Any]) -> None:
        """Move the bar to the figures of an iteration."""
        shown = [f"{short} {figures[k]:.3g}" for k, short in SHOWN.items() if k in figures]
        self.bar.set_postfix_str(", ".join(shown), refresh=False)
        self.bar.update(min(figures[self.counter], self.bar.total) - self.bar.n)
        if self.bar.n >= self.bar.total:
            self.bar.close()


def tensorboard(folder: Path, counter: str) -> Report:
    """Return a report that writes every figure to TensorBoard, at once."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def report(figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            if name != counter:
                writer.add_scalar(name, value, figures[counter])
        writer.flush()

    return report


def together(*reports: Report) -> Report:
    """Return a report that passes the figures on to several."""

    def report(figures: dict[str, Any]) -> None:
        for each in reports:
            each(figures)

    return report


#: The stages of training, and the figure that counts each up.
COUNTERS = {"pretrain": "epoch", "learn": "steps"}


def stages(log: Path | None = None) -> Callable[[str, int], Report]:
    """Return what shows the stages of training: a progress bar each, and TensorBoard if asked.

    Args:
        log: the folder of TensorBoard's files, or None.
    """

    def stage(name: str, total: int) -> Report:
        bar = Bar(name, total, COUNTERS[name])
        if log is None:
            return bar
        return together(bar, tensorboard(log / name, COUNTERS[name]))

    return stage
