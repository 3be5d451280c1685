"""Evaluation: any policy on any task, to a record with every metric, the human row beside it."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from musicgym.agents.best_of_n import Best, Drawn, curve, kl_bound, pool
from musicgym.agents.kl_control import entropy, kl_divergence
from musicgym.agents.library import Stage
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import masked, ringing_column
from musicgym.agents.rollout import Rollout, play
from musicgym.corpus.dataset import prepare
from musicgym.dynamics import Episodes
from musicgym.files import write_whole
from musicgym.replay import episodes_of

from .audit.corruptions import random_rhythm, shuffle_pitches
from .entries import BASELINES, PLANNERS, Entry, Workshop
from .entry_files import EntrySpec
from .judges import Judges, missing
from .likeness import Human, floors
from .metrics.metric import Measured
from .records import HUMAN, Record, file_name
from .scenes import Scene, archive, figures, over, pay_in, pieces_of, scene_of, whole
from .tasks import BenchmarkTask, corpus_windows
from .throughput.rows import machine

__all__ = ["EVALUATION_SEED", "Evaluation", "evaluation", "grade_all"]

Ints = npt.NDArray[np.int64]
#: Far from any seed of training, so that evaluation draws its own episodes.
EVALUATION_SEED = 10**12
#: From the episodes of one seed to those of the next.
STRIDE = 10**6


#: Rows whose place is known, and how they are made from the human melodies.
PLANTED = {"copy": None, "shuffle": shuffle_pitches, "rhythm": random_rhythm}


@dataclass(frozen=True)
class Evaluation:
    """Grades entries on a task over the same episodes, seed by seed.

    Attributes:
        workshop: makes the entries; it has the task and the corpus.
        count: melodies a record.
        splits: partings of the human melodies by tunes that the noise floors are taken over.
        suite: the suite that the task is of, if it is of one.
        task_name: the task's name in it.
    """

    workshop: Workshop
    count: int = 300
    splits: int = 30
    suite: str = ""
    task_name: str = ""

    def __post_init__(self) -> None:
        """Check the number of melodies."""
        if not 2 <= self.count <= 10_000:
            raise ValueError(f"count: {self.count!r} is not from 2 to 10,000 melodies.")

    @property
    def task(self) -> BenchmarkTask:
        """What is graded."""
        return self.workshop.task

    @cached_property
    def human(self) -> Human:
        """The human melodies and what is measured against them."""
        return Human.of(self.workshop.corpus, self.task.task, self.task.split)

    @cached_property
    def judges(self) -> Judges:
        """Who says which style and which emotion melodies are of."""
        return Judges.of(self.workshop.corpus, self.task.task)

    @property
    def human_content(self) -> str:
        """What fixes the human row."""
        return f"{self.workshop.corpus.fingerprint}, even modes"

    @property
    def pool_content(self) -> str:
        """What fixes the rows of `best_of`."""
        return f"{self.workshop.corpus.fingerprint}-pool"

    @cached_property
    def prior(self) -> str:
        """Sixteen hex digits of the weights of the task's frozen prior."""
        weights = self.workshop.prior.state_dict()
        content = b"".join(weights[name].cpu().numpy().tobytes() for name in sorted(weights))
        return hashlib.sha256(content).hexdigest()[:16]

    @cached_property
    def envs(self) -> Any:
        """The environments that are played."""
        return self.task.envs(self.count)

    @cached_property
    def _scenes(self) -> dict[int, Scene]:
        return {}

    def scene(self, seed: int) -> Scene:
        """Return the episodes of a seed, those of every entry."""
        if seed not in self._scenes:
            self.envs.reset(seed=first_seed(seed))
            self._scenes[seed] = scene_of(
                self.task, self.envs.episodes(), self.task.task.steps_per_chord
            )
        return self._scenes[seed]

    def grade(self, entry: str | EntrySpec, seed: int = 1, folder: Path | None = None) -> Record:
        """Return the record of an entry (see `Workshop.make`)."""
        shop = self.workshop
        shop.check(entry)
        return self.grade_entry(
            shop.title(entry), lambda: shop.make(entry, self.scene(seed).episodes, seed),
            shop.content(entry, seed), seed, folder,
        )  # fmt: skip

    def grade_entry(
        self,
        name: str,
        make: Callable[[], Entry],
        content: str | None = None,
        seed: int = 1,
        folder: Path | None = None,
    ) -> Record:
        """Return the record of an entry: from the folder if it is there, else made and written.

        Args:
            name: the entry's.
            make: makes the entry; it is not called if the record is there.
            content: what fixes the entry beside its name and seed.
            seed: of its training, and of the episodes.
            folder: of the records.
        """
        if held := self._held(folder, name, seed, content):
            return held
        started = time.perf_counter()
        entry, scene = make(), self.scene(seed)
        rollout = play(
            self.envs, entry.policy, first_seed(seed), entry.sampling,
            {"events": scene.opening} if self.task.given else None,
            device=_device(entry.policy), keep=True,
        )  # fmt: skip
        return self._record(
            name, seed, scene, rollout.events.cpu().numpy(), {**entry.facts, "content": content},
            started, folder, self._divergence(entry, rollout, self.workshop.prior),
        )  # fmt: skip

    def human_record(self, folder: Path | None = None) -> Record:
        """Return the human row: windows of the split, paid by the same rules.

        There are as many in major as in minor, as systems play, see `Human.even`.
        """
        started = time.perf_counter()
        plain, places = self.task.task, self.human.even()
        content = self.human_content
        if held := self._held(folder, HUMAN, 0, content, len(places)):
            return held
        cut = corpus_windows(self.workshop.corpus, self.task.split, plain)
        episodes = Episodes(*(part[places] for part in episodes_of(cut, plain)))
        scene = scene_of(self.task, episodes, plain.steps_per_beat, cut.events[places])
        distances = floors(self.human, self.splits).items()
        more = {name: Measured(mean, self.splits, self.splits) for name, (mean, _) in distances}
        more |= {f"{name}_deviation": Measured(d, self.splits, self.splits)
                 for name, (_, d) in distances}  # fmt: skip
        events = cut.events[places].astype(np.int64)
        facts = {"content": content}
        return self._record(HUMAN, 0, scene, events, facts, started, folder, more)

    def planted(self, folder: Path | None = None) -> list[Record]:
        """Return rows whose place is known: the test melodies themselves, and their corruptions.

        A yardstick of human-likeness is good if it takes the copy for human, and tells that it is
        copied, and does not take a shuffle for human.
        """
        plain, records = self.task.task, []
        cut = corpus_windows(self.workshop.corpus, self.task.split, plain)
        scene = scene_of(self.task, episodes_of(cut, plain), plain.steps_per_beat, cut.events)
        for name, plant in PLANTED.items():
            started = time.perf_counter()
            events = (plant(cut, plain, 0).events if plant else cut.events).astype(np.int64)
            facts = {"content": self.workshop.corpus.fingerprint}
            records.append(
                self._record(f"planted_{name}", 1, scene, events, facts, started, folder)
            )
        return records

    def best_of(
        self, largest: int, seed: int = 1, folder: Path | None = None,
        drawn_more: Callable[[int], Any] = lambda _: None,
    ) -> list[Record]:  # fmt: skip
        """Return the records of best-of-N of the prior for N = 1, 2, 4 ... `largest`.

        All share one pool of draws. ``return_curve`` is the unbiased mean over all of the pool;
        ``return`` is that of the melodies that the other figures are taken on. A folder keeps the
        rows that it has when a larger N is asked for.
        """
        sizes = search_sizes(largest)
        names = {n: f"best_of_{n}" for n in sizes}
        content = self.pool_content
        held = {n: self._held(folder, names[n], seed, content) for n in sizes}
        if all(held.values()):
            return [record for record in held.values() if record is not None]
        started = time.perf_counter()
        scene, task = self.scene(seed), self.task
        best = {n: Best(n, self.count, task.task.steps) for n in sizes}

        def hear(drawn: Drawn) -> None:
            for some in best.values():
                some.hear(drawn)
            drawn_more(len(drawn.draw))

        returns = pool(
            self.workshop.prior, task.task, task.reward, scene.episodes, largest, seed,
            hear=hear, opening=scene.opening, device=self.workshop.device,
        )  # fmt: skip
        unbiased = curve(returns)
        records = []
        for n in sizes:
            if kept := held[n]:
                records.append(kept)
                continue
            more = {
                "kl": whole(kl_bound(n, task.own), self.count),
                "return_curve": whole(unbiased[n], self.count),
            }
            facts = {"samples": n, "content": content}
            records.append(
                self._record(names[n], seed, scene, best[n].events, facts, started, folder, more)
            )
        return records

    def _record(
        self, name: str, seed: int, scene: Scene, events: Ints, facts: dict[str, Any],
        started: float, folder: Path | None, more: Mapping[str, Measured] | None = None,
    ) -> Record:  # fmt: skip
        """Return the record of melodies (N, T), and write it with them into a folder."""
        raw = pay_in(scene, self.task, events)
        pieces = pieces_of(scene, self.task, events)
        found = figures(scene, self.task, raw, pieces, self.human, seed, name == HUMAN)
        tunes, made = self.human.read(pieces).tunes, self._made(started)  # judges are fitted once
        found |= self.judges.figures(pieces, facts)
        facts = {"policy": name, "settings": {}, "budget": 0, **facts}
        curve = facts.pop("curve", [])
        record = Record(
            self.task.spec, name, seed, len(events), {**found, **(more or {})}, facts, made,
            np.round(raw @ self.task.reward.weights, 6).tolist(), tunes.tolist(),
            suite=self.suite, task_name=self.task_name, curve=curve,
        )  # fmt: skip
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            record = replace(record, melodies=str(Path(record.file).with_suffix(".npz")))
            write_whole(folder / record.melodies, archive(scene, events))
            record.write(folder)
        return record

    @torch.no_grad()
    def _divergence(self, entry: Entry, rollout: Rollout, prior: MelodyLSTM) -> dict[str, Measured]:
        """Return the KL to the prior and the entropy, nats a step, at the entry's temperature.

        A generator's are given z: upper bounds on those of its melodies.
        """
        count = len(rollout.events)
        if entry.kl_bound is not None:
            return {"kl": whole(entry.kl_bound, count)}
        assert rollout.logits is not None
        seen, logits = (x.to(_device(prior)) for x in (rollout.observation, rollout.logits))
        if not (logits.max(-1).values.abs() < 1e8).all():
            raise ValueError(f"entry: {entry.name} gave logits that are no finite numbers.")
        logits = logits.float().clamp(min=-1e9) / max(entry.sampling.temperature, 1e-3)
        found = {"kl": kl_divergence(logits, self._masked(prior.whole(seen), seen))}
        if entry.base is not None:
            base = entry.base.whole(seen, latent=rollout.latent)
            found["kl_to_base"] = kl_divergence(logits, self._masked(base, seen))
        found["entropy"] = entropy(logits)
        own = slice(self.task.given, None)  # not the opening, which it did not choose
        return {name: over(x[:, own].mean(1).cpu().double().numpy()) for name, x in found.items()}

    def _masked(self, logits: Tensor, seen: Tensor) -> Tensor:
        return masked(logits, seen, ringing_column(self.task.task))

    def _made(self, started: float) -> dict[str, Any]:
        seconds = round(time.perf_counter() - started, 3)
        corpus = self.workshop.corpus.fingerprint
        return {**machine(), "corpus": corpus, "prior": self.prior, "seconds": seconds}

    def _held(
        self, folder: Path | None, name: str, seed: int, content: str | None, count: int = 0
    ) -> Record | None:
        if folder is None:
            return None
        path = folder / file_name(self.task.spec, name, seed, count or self.count, content)
        return Record.read(path) if path.exists() else None


def evaluation(task: BenchmarkTask, count: int, stage: Stage, device: str = "cpu") -> Evaluation:
    """Return what grades entries on a task, its corpus prepared if it is not yet."""
    corpus = prepare(task.corpus, steps_per_beat=task.steps_per_beat, jobs=os.cpu_count() or 1)
    return Evaluation(Workshop(task, corpus, stage, device), count)


def grade_all(
    graded: Evaluation,
    names: Sequence[str],
    seeds: int = 1,
    best_of: int = 0,
    baselines: bool = True,
    folder: Path | None = None,
) -> list[Record]:
    """Return the records of the human row, of the baselines, and of named entries.

    Raises:
        ValueError: a number is out of its range, or there is no such entry.
    """
    if seeds < 1:
        raise ValueError(f"seeds: {seeds!r} is not 1 or more.")
    if best_of and (best_of < 2 or best_of & (best_of - 1)):
        raise ValueError(f"best_of: {best_of!r} is not 0 or a power of two from 2.")
    wanted = list(dict.fromkeys([*(BASELINES if baselines else ()), *names]))
    for name in wanted:
        graded.workshop.check(name)
    pooled = {f"best_of_{n}" for n in search_sizes(best_of)}  # these have rows of their own
    wanted = [name for name in wanted if name not in pooled]
    titles = [HUMAN, *map(graded.workshop.title, wanted)]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"entry: two rows would be called {title!r}; rename one of the files.")
    if note := missing(graded.task.steps_per_beat):
        print(note, file=sys.stderr)
    records = [graded.human_record(folder)]
    turns = [(name, seed) for seed in range(1, seeds + 1) for name in wanted]
    with tqdm(turns, "evaluate", unit="entry", dynamic_ncols=True, leave=False) as bar:
        for name, seed in bar:
            bar.set_postfix_str(f"{name}, seed {seed}")
            try:
                records.append(graded.grade(name, seed, folder))
            except ValueError as error:
                if name in names or name not in PLANNERS:
                    raise
                bar.write(f"{name} is left out. {error}", file=sys.stderr)
    for seed in range(1, seeds + 1) if best_of else ():
        with progress(best_of * graded.count, "best of N") as bar:
            records += graded.best_of(best_of, seed, folder, bar.update)
    return records


def progress(melodies: int, title: str) -> Any:
    """Return a progress bar over so many melodies."""
    return tqdm(total=melodies, desc=title, unit="melody", unit_scale=True, leave=False)


def search_sizes(largest: int) -> list[int]:
    """Return the N of the rows of best-of-N: 2, 4, 8 ... `largest`."""
    return [2**i for i in range(1, largest.bit_length())]


def first_seed(seed: int) -> int:
    """Return the seed of the first episode of an evaluation."""
    return EVALUATION_SEED + STRIDE * (seed - 1)


def _device(policy: Any) -> Any:
    """Return where a policy is: where its weights are, or those of the policy inside it."""
    inner = getattr(policy, "policy", policy)
    weight = next(inner.parameters(), None) if isinstance(inner, nn.Module) else None
    return "cpu" if weight is None else weight.device
