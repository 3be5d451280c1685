"""Generators as policies that PPO goes on with, and what learned rewards do to the music."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.best_of_n import kl_bound
from musicgym.agents.library import prior_path
from musicgym.agents.reporting import stages
from musicgym.agents.rollout import play
from musicgym.benchmarks.entries import FINE_TUNED, FINE_TUNING, Entry
from musicgym.benchmarks.evaluate import Evaluation, evaluation, first_seed
from musicgym.benchmarks.records import Record
from musicgym.benchmarks.scenes import Scene, pay_in
from musicgym.benchmarks.tasks import BenchmarkTask, corpus_windows
from musicgym.emotion import EMOTIONS, emotion_of, nearest, targets
from musicgym.replay import episodes_of

__all__ = ["LEARNED_REWARDS", "closed", "measure", "section"]

#: Draws of the search that each generator is put beside.
N = 64
#: What a row says of a system.
FIGURES = (
    "return", "share_of_optimum", "kl", "kl_to_base", "mmd2", "frechet", "distinct_melodies",
    "chord_match", "outside_key", "onset_share", "pitch_range",
)  # fmt: skip
#: Learned terms beside the balanced rules: name of the run -> (the term, its settings, the model
#: whose checkpoint is its scorer).
LEARNED_REWARDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "critic": ("critic", {"weight": 20.0}, "cvae_gan"),
    "emotion: sad": ("emotion", {"weight": 20.0, "target": "sad"}, "hierarchical_vae"),
    "emotion: cheerful": ("emotion", {"weight": 20.0, "target": "cheerful"}, "hierarchical_vae"),
}


def measure(count: int = 300) -> dict[str, Any]:
    """Fine-tune each generator by PPO under the balanced rules, and grade it before and after.

    Args:
        count: held-out melodies a system.
    """
    graded = evaluation(BenchmarkTask(), count, stages())
    human = graded.human_record()
    optimum = _figures(graded.grade("optimum"))["return"]
    systems = {}
    for tuned, name in FINE_TUNED.items():
        rows = {
            "before": graded.grade(name),
            "after": graded.grade(tuned),
            "search": graded.grade(f"best_of_{N}_{name}"),
        }
        systems[name] = {which: _figures(record) for which, record in rows.items()}
    return {
        "count": count,
        "optimum": optimum,
        "steps": FINE_TUNING.total_steps,
        "kl_target": FINE_TUNING.kl.target,
        "human": _figures(human),
        "systems": systems,
        "weights": {name: settings["weight"] for name, (_, settings, _) in LEARNED_REWARDS.items()},
        "learned": _learned(graded),
    }


def _learned(graded: Evaluation) -> dict[str, Any]:
    """Train Melody_LSTM by the balanced rules with a learned term, and without one."""
    shop, scene = graded.workshop, graded.scene(1)
    plain, rewards = ACMGConfig(learning=FINE_TUNING), {}
    for name, (term, settings, model) in LEARNED_REWARDS.items():
        scorer = {"scorer": str(scorer_path(model, shop.corpus.fingerprint))}
        shop.generator(model)  # trained if it is not there
        rewards[name] = {term: {**settings, **scorer}}
    configs = {"rules alone": plain}
    configs |= {
        f"with {name}": replace(plain, rewards={"preset": "balanced", **spec})
        for name, spec in rewards.items()
    }
    makes: dict[str, Callable[[], Entry]] = {
        "Melody_LSTM": lambda: Entry("melody_lstm", shop.prior),
        **{name: partial(shop.trained, config) for name, config in configs.items()},
    }
    human = graded.human_record()
    found = {"human": {**_figures(human), **_heard(graded, rewards, *_human(graded))}}
    for name, make in makes.items():
        entry = make()
        record = graded.grade_entry(name, partial(_same, entry))
        played = play(graded.envs, entry.policy, first_seed(1)).events.cpu().numpy()
        found[name] = {**_figures(record), **_heard(graded, rewards, scene, played)}
    return found


def _same(entry: Entry) -> Entry:
    return entry


def _human(graded: Evaluation) -> tuple[Scene, npt.NDArray[np.int64]]:
    """Return the human melodies of the split and their episodes."""
    plain = graded.task.task
    cut = corpus_windows(graded.workshop.corpus, graded.task.split, plain)
    scene = Scene(episodes_of(cut, plain), plain.steps_per_beat, None)
    return scene, cut.events.astype(np.int64)


def _heard(
    graded: Evaluation, rewards: Mapping[str, dict[str, Any]], scene: Scene,
    events: npt.NDArray[np.int64],
) -> dict[str, float]:  # fmt: skip
    """Return what each learned term pays for melodies (N, T), and how they feel."""
    heard = {
        f"heard {name}": float(pay_in(scene, BenchmarkTask(spec), events).mean())
        for name, spec in rewards.items()
    }
    plain = graded.task.task
    known = targets(corpus_windows(graded.workshop.corpus, "train", plain), plain.low)
    felt = nearest(emotion_of(events, plain.low, scene.episodes.tonic), known)
    shares = np.bincount(felt, minlength=len(EMOTIONS)) / len(felt)
    return {**heard, **{f"feels {n}": float(x) for n, x in zip(EMOTIONS, shares, strict=True)}}


def scorer_path(model: str, fingerprint: str) -> Path:
    """Return where a pretrained generator of the default size is kept."""
    return prior_path(ACMGConfig.of(model), fingerprint)


def _figures(record: Record) -> dict[str, float]:
    return {name: record.value(name) for name in FIGURES if name in record.figures}


def closed(before: float, after: float, optimum: float) -> float:
    """Return how much of the gap from a return to the optimum another return closes.

    >>> closed(10.0, 15.0, 20.0)
    0.5
    """
    return (after - before) / (optimum - before)


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section of the page, from what `measure` found."""
    optimum, human = found["optimum"], found["human"]
    lines = [
        f"Each generator is the start of PPO under the `balanced` rules ({found['steps']:,} steps, "
        f"one seed) and the prior that it is held to, at {found['kl_target']} nats a step given "
        "the same z, which bounds the KL of the melodies. `closed` is the share of the gap from "
        f"the generator's own return to the exact optimum, {optimum:.2f}; `best of {N}` keeps the "
        f"best of {N} draws of the generator, at {kl_bound(N, 64):.3f} nats a step at most. "
        f"{found['count']} melodies on held-out progressions a row; mmd2 is the distance to human "
        f"melodies (floor {human['mmd2']:.3f}).",
        "",
        f"| generator | return | after PPO | closed | KL | best of {N} | closed | mmd2 | after PPO "
        f"| best of {N} | distinct after |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in found["systems"].items():
        before, after, search = rows["before"], rows["after"], rows["search"]
        shares = [closed(before["return"], x["return"], optimum) for x in (after, search)]
        lines.append(
            f"| {name} | {before['return']:.2f} | {after['return']:.2f} | {shares[0]:.0%} "
            f"| {after['kl_to_base']:.3f} | {search['return']:.2f} | {shares[1]:.0%} "
            f"| {before['mmd2']:.3f} | {after['mmd2']:.3f} | {search['mmd2']:.3f} "
            f"| {after['distinct_melodies']:.0%} |"
        )
    lines += [
        "",
        "Learned rewards. Melody_LSTM learns by PPO under the balanced rules, and with one learned "
        "term beside them (weights "
        + ", ".join(f"{name}: {weight:g}" for name, weight in found["weights"].items())
        + "). `return` is of the rules alone; `heard` is what a learned term pays a melody; "
        "`feels` is the share of melodies nearest to that emotion, the mode left out.",
        "",
    ]
    learned = found["learned"]
    figures = [
        *FIGURES,
        *(name for name in learned["human"] if name.startswith(("heard", "feels"))),
    ]
    lines += ["| | " + " | ".join(learned) + " |", "|---" * (len(learned) + 1) + "|"]
    for figure in figures:
        values = [row.get(figure) for row in learned.values()]
        if any(value is not None for value in values):
            cells = ["-" if value is None else f"{value:.3f}" for value in values]
            lines.append(f"| {figure.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines
