"""Evaluation: a policy plays held-out progressions and is measured beside the human row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from musicgym.agents.kl_control import kl_divergence
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import Policy, Sampling, masked
from musicgym.agents.rollout import Rollout, play, ringing_column
from musicgym.corpus.dataset import LOW, Corpus, windows
from musicgym.melody import Melody
from musicgym.task import Task
from musicgym.theory import QUALITIES, Chord, usual_key
from musicgym.vector_env import MelodyComposeVectorEnv

from .metrics.acmg import METRICS, table
from .metrics.pieces import Pieces

__all__ = ["Row", "corpus_melodies", "evaluate", "markdown"]

Row = dict[str, float]
#: Far from any seed of training, so that evaluation draws its own episodes.
EVALUATION_SEED = 10**12


def corpus_melodies(corpus: Corpus, split: str, task: Task) -> list[Melody]:
    """Return the windows of a split as melodies: the human row."""
    cut = windows(corpus, split, bars=task.bars, meter=task.meter)
    qualities = list(QUALITIES)
    keys = (usual_key(0, "major"), usual_key(9, "minor"))
    return [
        Melody(
            tuple(events.tolist()),
            LOW,
            keys[mode],
            tuple(
                Chord(int(r), qualities[int(c)])
                for r, c in zip(cut.roots[i], cut.codes[i], strict=True)
            ),
            task.meter,
            task.steps_per_beat,
            cut.names[i],
        )
        for i, (events, mode) in enumerate(zip(cut.events, cut.modes, strict=True))
    ]


def evaluate(
    envs: MelodyComposeVectorEnv,
    policy: Policy,
    prior: MelodyLSTM | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    seed: int = EVALUATION_SEED,
) -> tuple[Row, list[Melody]]:
    """Play one melody in each environment; return its figures and the melodies.

    The return is over the rules (policy terms pay in training only). With a prior, and a policy
    that is a Melody_LSTM, the KL and the entropy in nats a step at temperature 1 are given too.
    """
    rollout = play(envs, policy, seed, sampling)
    melodies = envs.melodies
    row = {"return": float(rollout.rewards.sum(1).mean()), **table(Pieces.of(melodies))}
    if prior is not None and isinstance(policy, MelodyLSTM):
        row |= distance(policy, prior, rollout, ringing_column(envs))
    return row, melodies


@torch.no_grad()
def distance(policy: MelodyLSTM, prior: MelodyLSTM, rollout: Rollout, ringing: int) -> Row:
    """Return the KL to the prior and the entropy of a policy, nats a step, over its own episodes."""
    seen = rollout.observation
    logits, other = (masked(model.whole(seen), seen, ringing) for model in (policy, prior))
    log_p = logits.log_softmax(-1)
    return {
        "kl": float(kl_divergence(logits, other).mean()),
        "entropy": float(-(log_p.exp() * log_p).sum(-1).mean()),
    }


def markdown(rows: Sequence[tuple[str, Row]]) -> str:
    """Return rows of figures as a Markdown table, shares in percent; a dash is undefined."""
    shares = {name for name, (_, unit) in METRICS.items() if unit == "%"} | {"distinct"}
    names = list(dict.fromkeys(name for _, row in rows for name in row))

    def cell(name: str, row: dict[str, Any]) -> str:
        value = row.get(name, float("nan"))
        if value != value:
            return "-"
        return f"{100 * value:.1f}" if name in shares else f"{value:.2f}"

    heads = [f"{n.replace('_', ' ')}{' %' if n in shares else ''}" for n in names]
    lines = [f"| system | {' | '.join(heads)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {title} | {' | '.join(cell(n, row) for n in names)} |" for title, row in rows]
    return "\n".join(lines)
