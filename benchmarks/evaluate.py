"""Evaluation: a policy plays held-out progressions and is measured beside the human row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import torch

from musicgym.agents.acmg import ACMG
from musicgym.agents.configs import Sampling
from musicgym.agents.heuristics import HeldTonic, NearestChordTone, UniformRandom
from musicgym.agents.kl_control import kl_divergence
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import Policy, masked
from musicgym.agents.rollout import Rollout, play, ringing_column
from musicgym.corpus.dataset import LOW, Corpus, windows
from musicgym.melody import Melody
from musicgym.task import Task
from musicgym.theory import QUALITIES, Chord, usual_key
from musicgym.vector_env import MelodyComposeVectorEnv

from .metrics.acmg import METRICS, table
from .metrics.pieces import Pieces

__all__ = ["Row", "corpus_melodies", "evaluate", "markdown", "replay", "rows_of"]

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
    """Return a policy's KL to the prior and its entropy, nats a step, over its own episodes."""
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


def rows_of(agent: ACMG, corpus: Corpus, split: str, count: int) -> list[tuple[str, Row]]:
    """Return the rows of an agent on held-out progressions: corpus, simple policies, prior, agent.

    The human row's return is what the same reward pays for the corpus's own melodies.
    """
    envs = agent.config.envs(f"corpus:{agent.config.corpus}/{split}", count)
    human = corpus_melodies(corpus, split, envs.task)
    rows = [("corpus", {"return": replay(envs, human), **table(Pieces.of(human))})]
    policies: list[tuple[str, Policy]] = [
        ("uniform random", UniformRandom(envs.task)),
        ("held tonic", HeldTonic(envs.task)),
        ("nearest chord tone", NearestChordTone(envs.task)),
    ]
    if agent.prior is not None:
        policies.append(("Melody_LSTM", agent.prior))
    policies.append((f"ACMG ({agent.config.algorithm.upper()})", agent.model.actor))
    return rows + [(name, evaluate(envs, policy, agent.prior)[0]) for name, policy in policies]


def replay(envs: MelodyComposeVectorEnv, melodies: Sequence[Melody]) -> float:
    """Return the mean return that the environments' reward pays for melodies over their chords."""
    total = 0.0
    for melody in melodies:
        env = gym.make(
            "MelodyCompose-v0",
            bars=envs.task.bars,
            steps_per_beat=melody.steps_per_beat,
            meter=melody.meter,
            key=melody.key.name,
            progression=[chord.symbol() for chord in melody.chords],
            chords_per_bar=envs.task.steps_per_bar // melody.steps_per_chord,
            pitch_range=(melody.low, melody.low + envs.task.high - envs.task.low),
            rewards={
                **{t.name: t.weight for t in envs.reward.terms if t.name != "state_variance"},
                "scoring": envs.reward.readings.scoring,
            },
        )
        env.reset(seed=0)
        total += sum(float(env.step(event)[1]) for event in melody.events)
    return total / len(melodies)
