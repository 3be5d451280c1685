"""The audit itself: everything that is measured of a reward, as one plain dict."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from musicgym import __version__
from musicgym.agents.heuristics import (
    AlternatedChordTones,
    HeldTonic,
    NearestChordTone,
    UniformRandom,
)
from musicgym.agents.imagination import imagine
from musicgym.agents.policy import Policy
from musicgym.corpus.dataset import Corpus, Windows, windows
from musicgym.dynamics import Episodes
from musicgym.meters import METERS
from musicgym.replay import begin, episodes_of, pay
from musicgym.task import Task

from .corruptions import CORRUPTIONS, strike_again
from .optimum import optimum
from .statistics import areas, mean, pairs_won
from .target import Target, open_target
from .verdicts import judge_term, judge_whole

__all__ = ["Found", "audit", "check", "progress"]

#: What an audit found, plain JSON.
Found = dict[str, Any]
Floats = npt.NDArray[np.float64]

#: The policies without learning whose returns are compared with the corpus's.
TRIVIAL: dict[str, Callable[[Task], Policy]] = {
    "uniform random": UniformRandom,
    "held tonic": HeldTonic,
    "nearest chord tone": NearestChordTone,
    "alternated chord tones": AlternatedChordTones,
}
#: Of a larger split so many windows are drawn.
MOST_WINDOWS = 1000


def audit(
    target: str,
    corpus: Corpus,
    meter: str = "4/4",
    steps_per_beat: int = 2,
    bars: int = 8,
    split: str = "test",
    seed: int = 0,
    copies: int = 8,
    planned: int = 256,
    compared: int = 14,
    report: Callable[[str], None] = lambda stage: None,
) -> Found:
    """Audit a reward on the human melodies of a split.

    Args:
        target: a preset's name or the path of a file of rules (see `open_target`).
        corpus: where the melodies and their chords come from.
        meter: of the melodies.
        steps_per_beat: their grid, the corpus's own.
        bars: their length.
        split: the melodies: train, validation or test.
        seed: fixes corruptions, draws and resamples.
        copies: corrupted copies of a melody.
        planned: how many of the windows, at most, the exact optimum is computed for.
        compared: from how many of these the conflicts of the terms come.
        report: told each stage.

    Raises:
        ValueError: the target cannot be loaded, a term fails or pays no finite number, or the split
            has no window for the task or windows of one tune only.
    """
    started = time.process_time()
    for name, value in (("copies", copies), ("planned", planned), ("compared", compared)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not 1 or more.")
    if seed < 0:
        raise ValueError(f"seed: {seed!r} is below 0.")
    task = chord_a_beat(meter, steps_per_beat, bars)
    cut = windows(corpus, split, bars=task.bars, meter=task.meter, low=task.low, high=task.high)
    cut = take(cut, np.random.default_rng(seed).permutation(len(cut.events))[:MOST_WINDOWS])
    with open_target(target, task.steps) as what:
        subject = Subject(what, task, cut, seed, copies)
        found: Found = {
            "target": {
                "name": what.name,
                "spec": what.spec,
                "digest": what.digest,
                "terms": list(what.reward.names),
                "weights": what.reward.weights.tolist(),
                "scoring": what.reward.readings.scoring,
                "left out": list(what.left_out),
            },
            "task": asdict(task),
            "corpus": {
                "name": corpus.name,
                "fingerprint": corpus.fingerprint,
                "split": split,
                "windows": len(cut.events),
                "tunes": len(set(cut.tunes)),
            },
            "settings": {"seed": seed, "copies": copies, "planned": planned, "compared": compared},
            "versions": {
                "musicgym": __version__,
                "python": platform.python_version(),
                **{package: version(package) for package in ("numpy", "torch")},
            },
            "auc": subject.told_apart(report),
            "strike again": subject.strike_again(report),
            **subject.returns(planned, compared, report),
        }
    columns = [*what.reward.names, "whole"]
    found["verdicts"] = {
        name: (judge_whole if name == "whole" else judge_term)(found, name) for name in columns
    }
    found["seconds"] = time.process_time() - started  # of CPU
    return found


def check(target: str, meter: str, steps_per_beat: int, bars: int) -> None:
    """Load a target and forget it, so that a mistake shows before a corpus is prepared.

    Raises:
        ValueError: as `audit` would.
    """
    with open_target(target, chord_a_beat(meter, steps_per_beat, bars).steps):
        pass


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Give a report that moves a progress bar."""
    stages = len(CORRUPTIONS) + len(TRIVIAL) + 3
    with tqdm(total=stages, desc="audit", leave=False) as bar:
        begun = 0

        def report(stage: str) -> None:
            nonlocal begun
            bar.set_postfix_str(stage, refresh=False)
            bar.update(begun - bar.n)
            bar.refresh()
            begun += 1

        yield report


def chord_a_beat(meter: str, steps_per_beat: int, bars: int) -> Task:
    """Return the task of a corpus's windows; their chords take the place of its progression."""
    plain = Task("natural", "I", meter, bars, steps_per_beat)
    return replace(plain, chords_per_bar=METERS[meter].beats)


def take(cut: Windows, some: npt.NDArray[np.intp]) -> Windows:
    """Return some of the windows."""
    return Windows(
        cut.events[some],
        cut.roots[some],
        cut.codes[some],
        cut.modes[some],
        tuple(cut.tunes[i] for i in some),
        tuple(cut.names[i] for i in some),
    )


class Subject:
    """A reward over windows, ready to be tried.

    Scores have a column a term, raw and with the sign of its weight, and one for the whole.
    """

    def __init__(self, what: Target, task: Task, cut: Windows, seed: int, copies: int) -> None:
        """Pay the windows as they are."""
        self.what, self.task, self.cut, self.seed, self.copies = what, task, cut, seed, copies
        self.names = [*what.reward.names, "whole"]
        _, self.tunes = np.unique(np.array(cut.tunes), return_inverse=True)
        self.paid = self.pay(cut)
        self.raw = self.paid.sum(1)

    def pay(self, cut: Windows) -> Floats:
        """Return the raw values of the terms (N, T, K) over windows."""
        reward, episodes = self.what.reward, episodes_of(cut, self.task)
        c, start = begin(episodes, self.task, reward.readings)
        try:
            paid = pay(c, start, cut.events, reward, episodes, self.task)
        except Exception as error:  # whatever the user's own code raises
            what = f"{error}" if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise ValueError(f"audit: a term of {self.what.name} fails: {what}") from error
        for k, name in enumerate(reward.names):
            if not np.isfinite(paid[..., k]).all():
                raise ValueError(f"audit: {name} pays a value that is no finite number.")
        return paid

    def scores(self, raw: Floats, weighted: bool = False) -> Floats:
        """Return the scores (N, K + 1) of raw sums (N, K); or what each adds to the return."""
        weights = self.what.reward.weights
        sign = np.where(weights < 0, -1.0, 1.0)
        return np.column_stack([raw * (weights if weighted else sign), raw @ weights])

    def told_apart(self, report: Callable[[str], None]) -> Found:
        """Return how surely each score tells melodies from corrupted copies.

        ``"all"`` compares every melody with every copy (AUC), ``"own"`` with its own copies.
        """
        real = self.scores(self.raw)
        found: Found = {"all": {name: {} for name in self.names}}
        found["own"] = {name: {} for name in self.names}
        for place, (corruption, corrupt) in enumerate(CORRUPTIONS.items()):
            report(corruption)
            made = [corrupt(self.cut, self.task, (self.seed, place, i)) for i in range(self.copies)]
            copies = np.stack([self.scores(self.pay(copy).sum(1)) for copy in made])
            for kind, compare in (("all", areas), ("own", pairs_won)):
                each = compare(real, copies, self.tunes, self.seed)
                for name, estimate in zip(self.names, each, strict=True):
                    found[kind][name][corruption] = estimate
        return found

    def strike_again(self, report: Callable[[str], None]) -> Found:
        """Return how each weighted term and the return change when held notes are struck again."""
        report("struck again")
        before = self.scores(self.raw, weighted=True)
        found: Found = {name: {} for name in self.names}
        for kind, copies in (("one", self.copies), ("all", 1)):
            made = [
                strike_again(self.cut, self.task, (self.seed, 99, i), every=kind == "all")
                for i in range(copies)
            ]
            after = np.stack([self.scores(self.pay(copy).sum(1), weighted=True) for copy in made])
            change = after - before  # (C, N, K + 1)
            for k, name in enumerate(self.names):
                found[name][kind] = {
                    "change": mean(change[..., k].mean(0), self.tunes, self.seed),
                    "rises": float((change[..., k] > 1e-9).mean()),
                }
        return found

    def returns(self, planned: int, compared: int, report: Callable[[str], None]) -> Found:
        """Return what the corpus and the trivial policies earn, and their share of the optimum."""
        reward, task = self.what.reward, self.task
        episodes = episodes_of(self.cut, task)
        earned = {"corpus": self.raw @ reward.weights}
        for name, policy in TRIVIAL.items():
            report(name)
            made = imagine(policy(task), episodes, task, reward, self.seed)
            earned[name] = made.paid @ reward.weights
        size = abs(self.paid * reward.weights).sum((0, 1))
        some = self.spread(planned)
        few = Episodes(*(part[some] for part in episodes))
        best = optimum(reward, task, few, compared, report)
        rows: Found = {}
        for name, values in earned.items():
            rows[name] = {
                "mean": mean(values, self.tunes, self.seed),
                "over corpus": mean(values - earned["corpus"], self.tunes, self.seed),
                "share": None,
            }
            if best["value"] is not None and best["value"] > 1e-9:
                rows[name]["share"] = float(values[some].mean()) / best["value"]
        shares = size / size.sum() if size.sum() else np.zeros(len(size))
        return {
            "returns": rows,
            "shares": dict(zip(reward.names, shares.tolist(), strict=True)),
            "means": dict(
                zip(reward.names, (self.raw.mean(0) * reward.weights).tolist(), strict=True)
            ),
            "optimum": best,
        }

    def spread(self, count: int) -> npt.NDArray[np.intp]:
        """Return the places of `count` windows, of as many tunes as can be."""
        turn = np.zeros(len(self.tunes), np.int64)  # how many of its tune came before
        for tune in range(self.tunes.max() + 1):
            mine = self.tunes == tune
            turn[mine] = np.arange(mine.sum())
        return np.argsort(turn, kind="stable")[:count]
