"""Evaluation: a policy plays held-out progressions and is measured beside the human row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from musicgym.agents.acmg import ACMG
from musicgym.agents.configs import Sampling
from musicgym.agents.heuristics import HeldTonic, NearestChordTone, UniformRandom
from musicgym.agents.kl_control import entropy, kl_divergence
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import Policy, masked, ringing_column
from musicgym.agents.rollout import Rollout, play
from musicgym.corpus.dataset import Corpus, Windows
from musicgym.melody import Melody
from musicgym.replay import begin, episodes_of, pay
from musicgym.vector_env import MelodyComposeVectorEnv

from .metrics.acmg import METRICS, table
from .metrics.pieces import Pieces
from .tasks import as_melodies, corpus_windows

__all__ = [
    "Row",
    "as_melodies",
    "columns",
    "corpus_windows",
    "evaluate",
    "markdown",
    "replay",
    "rows_of",
]

Row = dict[str, float]
#: Far from any seed of training, so that evaluation draws its own episodes.
EVALUATION_SEED = 10**12
#: Figures that are shares, shown in percent.
SHARES = {name for name, (_, unit) in METRICS.items() if unit == "%"} | {"distinct"}


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
    device = next(policy.parameters()).device if isinstance(policy, nn.Module) else "cpu"
    rollout = play(envs, policy, seed, sampling, device=device)
    melodies = envs.melodies
    row = {"return": float(rollout.rewards.sum(1).mean()), **table(Pieces.of(melodies))}
    if prior is not None and isinstance(policy, MelodyLSTM):
        row |= divergence(policy, prior, rollout, ringing_column(envs.task))
    return row, melodies


@torch.no_grad()
def divergence(policy: MelodyLSTM, prior: MelodyLSTM, rollout: Rollout, ringing: int) -> Row:
    """Return a policy's KL to the prior and its entropy, nats a step, over its own episodes."""
    seen = rollout.observation
    logits, other = (masked(model.whole(seen), seen, ringing) for model in (policy, prior))
    return {
        "kl": float(kl_divergence(logits, other).mean()),
        "entropy": float(entropy(logits).mean()),
    }


def markdown(rows: Sequence[tuple[str, Row]]) -> str:
    """Return rows of figures as a Markdown table, shares in percent; a dash is undefined."""
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    lines = [f"| system | {' | '.join(map(heading, names))} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {title} | {' | '.join(cell(n, row) for n in names)} |" for title, row in rows]
    return "\n".join(lines)


def columns(rows: Sequence[tuple[str, Row]]) -> str:
    """Return the figures as text for a terminal: a line a figure, a numbered column a system."""
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    lines = [f"({number}) {title}" for number, (title, _) in enumerate(rows, 1)]
    lines += ["", " " * 24 + "".join(f"{f'({n})':>9}" for n in range(1, len(rows) + 1))]
    lines += [heading(n).ljust(24) + "".join(f"{cell(n, r):>9}" for _, r in rows) for n in names]
    return "\n".join(lines)


def heading(name: str) -> str:
    """Return a figure's name for people, with its unit where it is a share."""
    return name.replace("_", " ") + (" %" if name in SHARES else "")


def cell(name: str, row: Row) -> str:
    """Return a figure as text; a dash is undefined."""
    value = row.get(name, float("nan"))
    if value != value:
        return "-"
    return f"{100 * value:.1f}" if name in SHARES else f"{value:.2f}"


def rows_of(agent: ACMG, corpus: Corpus, split: str, count: int) -> list[tuple[str, Row]]:
    """Return the rows of an agent on held-out progressions: corpus, simple policies, prior, agent.

    The human row is every window of the split, and its return what the same rules pay for them. The
    other rows draw the mode evenly and the progression among the distinct ones of that mode.
    """
    envs = agent.config.envs(f"corpus:{agent.config.corpus}/{split}", count)
    cut = corpus_windows(corpus, split, envs.task)
    human = Pieces.of(as_melodies(cut, envs.task))
    rows = [("corpus", {"return": replay(envs, cut), **table(human)})]
    policies: list[tuple[str, Policy]] = [
        ("uniform random", UniformRandom(envs.task)),
        ("held tonic", HeldTonic(envs.task)),
        ("nearest chord tone", NearestChordTone(envs.task)),
    ]
    if agent.prior is not None:
        policies.append(("Melody_LSTM", agent.prior))
    policies.append((f"ACMG ({agent.config.algorithm.upper()})", agent.model.actor))
    return rows + [(name, evaluate(envs, policy, agent.prior)[0]) for name, policy in policies]


def replay(envs: MelodyComposeVectorEnv, cut: Windows) -> float:
    """Return the mean return that the rules of the environments' reward pay for a corpus's windows.

    The windows must be cut for the environments' task.
    """
    episodes = episodes_of(cut, envs.task)
    c, state = begin(episodes, envs.task, envs.reward.readings, envs.task.steps_per_beat)
    raw = pay(c, state, cut.events, envs.reward, episodes)  # (N, T, K)
    return float((raw.sum(1) @ envs.reward.weights).mean())
