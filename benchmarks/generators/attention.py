"""What the models look at: attention weights and input saliency along a melody."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.actor_critic import Actor
from musicgym.agents.generators.hierarchical_vae import HierarchicalVAE
from musicgym.agents.lessons import Lessons, episodes_in, lessons, perform
from musicgym.agents.library import with_prior
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import masked, ringing_column
from musicgym.agents.reporting import stages
from musicgym.corpus.dataset import Corpus, prepare
from musicgym.events import FIRST_NOTE, HOLD
from musicgym.export.extras import require
from musicgym.files import write_whole
from musicgym.task import Task

from .emotions import config

__all__ = ["measure", "saliency", "section"]

Floats = npt.NDArray[np.float64]
#: Held-out melodies that the means are taken over, and the emotion of the generated ones.
MELODIES, EMOTION = 14, "neutral"
#: Steps back that the table speaks of.
LAGS = (0, 1, 2, 3, 4, 6, 8, 16, 24, 32)
PICTURES = {"attention": "attention.png", "saliency": "saliency.png"}
NAMES = {"human": "a held-out chorale", "generated": "a generated melody, same chords"}


def measure(melodies: int = MELODIES) -> dict[str, Any]:
    """Measure where the hierarchical RNN-VAE attends, and what it and Melody_LSTM depend on.

    Args:
        melodies: held-out human melodies that the means are taken over; as many are generated over
            the same chords.
    """
    corpus = prepare()
    vae, lstm = (_prior(c, corpus) for c in (config("full"), ACMGConfig()))
    assert isinstance(vae, HierarchicalVAE)
    task = ACMGConfig().task()
    heard = lessons(corpus, "test", task)
    every = max(1, len(heard.events) // melodies)
    human = Lessons(*(part[::every][:melodies] for part in heard))
    latent = vae.draw(torch.arange(len(human.events)), emotion=EMOTION)
    both = {"human": human, "generated": _generated(vae, human, task, latent)}
    read = {"human": vae.embed(human), "generated": latent}
    found: dict[str, Any] = {"melodies": len(human.events), "heads": vae.config.heads}
    for name, data in both.items():
        with torch.no_grad():
            weights = vae.attended(data.observation, read[name]).double().numpy()  # (B, M, T, T)
        felt = {
            "hierarchical RNN-VAE": saliency(vae, data, task, read[name]),
            "Melody_LSTM": saliency(lstm, data, task),
        }
        found[name] = {
            "events": data.events[0].tolist(),
            "low": task.low,
            "attention": [_packed(head) for head in weights[0]],
            "saliency": {model: _packed(_shares(s[0])) for model, s in felt.items()},
            "attention_by_lag": [by_lag(weights[:, m]) for m in range(weights.shape[1])],
            "saliency_by_lag": {model: by_lag(_shares(s)) for model, s in felt.items()},
            "entropy": [entropy(weights[:, m]) for m in range(weights.shape[1])],
        }
    return found


def _prior(wanted: ACMGConfig, corpus: Corpus) -> Actor:
    agent: ACMG = with_prior(wanted, corpus, stages())
    assert agent.prior is not None
    return agent.prior.eval()


@torch.no_grad()
def _generated(model: HierarchicalVAE, data: Lessons, task: Task, latent: Tensor) -> Lessons:
    """Return melodies played over the chords of others."""
    state, ringing = model.begin(latent), ringing_column(task)
    chance = torch.Generator().manual_seed(1)

    def act(t: int, seen: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        nonlocal state
        now = torch.from_numpy(seen)
        logits, state = model.step(now, state)
        shares = masked(logits, now, ringing).softmax(-1)
        drawn: npt.NDArray[np.int64] = torch.multinomial(shares, 1, generator=chance)[:, 0].numpy()
        return drawn

    return perform(episodes_in(data, task), task, act)


def saliency(actor: Actor, data: Lessons, task: Task, latent: Tensor | None = None) -> Floats:
    r"""Return how much each event hangs on what was heard at each step up to it, (B, T, T).

    .. math:: s_{tk} = \left\| \frac{\partial \log p(y_t | x_{\le t})}{\partial E x_k} \right\|_2

    with E x_k the embedding of the observation of step k, which holds the event of step k - 1, the
    chords and the metre. 0 for k > t.

    Args:
        actor: a Melody_LSTM or a generator with an ``embedding``, in evaluation mode.
        data: melodies.
        task: theirs.
        latent: (B, L) what a generator reads them under.

    Raises:
        ValueError: the actor does not hear its observations through one embedding.
    """
    size, steps = data.events.shape
    heard: list[Tensor] = []

    def keep(_: Any, __: Any, output: Tensor) -> Tensor:
        heard.append(output.detach().requires_grad_())
        return heard[-1]

    embedding = getattr(actor, "embedding", None)
    if not isinstance(embedding, torch.nn.Module):
        raise ValueError(f"saliency: {type(actor).__name__} has no embedding.")
    hook = embedding.register_forward_hook(keep)
    try:
        if isinstance(actor, MelodyLSTM):
            skip, h = actor.plain_features(data.observation.transpose(0, 1))
            logits = (actor.head(h) + skip).transpose(0, 1)
        else:
            logits = actor.whole(data.observation, latent=latent)
    finally:
        hook.remove()
    if len(heard) != 1:
        raise ValueError(
            f"saliency: {type(actor).__name__} hears its embedding {len(heard)} times, not once."
        )
    told = masked(logits, data.observation, ringing_column(task)).log_softmax(-1)
    chosen = told.gather(-1, data.events[..., None])[..., 0]  # (B, T)
    rows = []
    for t in range(steps):
        (slope,) = torch.autograd.grad(chosen[:, t].sum(), heard[0], retain_graph=t + 1 < steps)
        size_of = slope.norm(dim=-1)
        rows.append(size_of.t() if isinstance(actor, MelodyLSTM) else size_of)
    found: Floats = torch.stack(rows, 1).double().numpy()
    return found


def _shares(felt: Floats) -> Floats:
    """Return saliencies (..., T, T) as shares of their row."""
    shares: Floats = felt / np.maximum(felt.sum(-1, keepdims=True), 1e-12)
    return shares


def by_lag(weights: Floats) -> list[float]:
    """Return the mean weight of the step `lag` steps back (T,), of weights (B, T, T).

    >>> by_lag(np.array([[[1.0, 0.0], [0.25, 0.75]]]))
    [0.875, 0.25]
    """
    lags = range(weights.shape[-1])
    return [float(np.diagonal(weights, -lag, 1, 2).mean()) for lag in lags]


def entropy(weights: Floats) -> float:
    """Return the mean entropy over the steps of weights (B, T, T), in nats.

    >>> round(entropy(np.array([[[1.0, 0.0], [0.5, 0.5]]])), 4)  # log(2) / 2
    0.3466
    """
    return float(-(weights * np.log(np.maximum(weights, 1e-12))).sum(-1).mean())


def _packed(weights: Floats) -> list[str]:
    """Return weights (T, T) as lines of whole thousandths, up to the diagonal."""
    return [" ".join(str(round(1000 * x)) for x in row[: t + 1]) for t, row in enumerate(weights)]


def _unpacked(lines: list[str]) -> Floats:
    table = np.zeros((len(lines), len(lines)))
    for t, line in enumerate(lines):
        table[t, : t + 1] = [int(x) / 1000 for x in line.split()]
    return table


# The section of the page


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section of the page, from what `measure` found; the pictures go to the folder."""
    write_whole(folder / PICTURES["attention"], _picture(found, "attention"))
    write_whole(folder / PICTURES["saliency"], _picture(found, "saliency"))
    lines = [
        "Where the hierarchical RNN-VAE attends, and what the log-probability of the chosen event "
        "hangs on: the length of its gradient by the embedding of each step heard so far, as a "
        f"share of all steps. Means over {found['melodies']} windows of held-out chorales and as "
        f"many melodies generated over their chords ({EMOTION}); a lag of 0 is the step itself, "
        "with the event before it, and 8 is a bar.",
        "",
        "| | " + " | ".join(f"lag {lag}" for lag in LAGS) + " | entropy, nats |",
        "|---" * (2 + len(LAGS)) + "|",
    ]
    for name, title in NAMES.items():
        row = found[name]
        rows = {
            f"attention, head {m + 1}": (means, f"{row['entropy'][m]:.2f}")
            for m, means in enumerate(row["attention_by_lag"])
        }
        rows |= {f"saliency, {model}": (m, "") for model, m in row["saliency_by_lag"].items()}
        for what, (means, last) in rows.items():
            cells = " | ".join(f"{means[lag]:.3f}" for lag in LAGS)
            lines.append(f"| {title.split(',')[0].removeprefix('a ')}: {what} | {cells} | {last} |")
    return [
        *lines,
        "",
        f"![Attention weights](generators/{PICTURES['attention']})",
        "",
        f"![Input saliency](generators/{PICTURES['saliency']})",
    ]


def _picture(found: dict[str, Any], what: str) -> bytes:
    """Return the melodies as piano rolls with the weights of each step under them.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "the pictures of attention")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tables = {name: _tables(found[name], what) for name in NAMES}
    rows = list(next(iter(tables.values())))
    figure = Figure(figsize=(13, 2.2 + 4.6 * len(rows)), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        1 + len(rows), 2, sharex=True, height_ratios=(1, *(2.6 for _ in rows)), squeeze=False
    )
    for column, name in enumerate(NAMES):
        _roll(panels[0][column], found[name])
        panels[0][column].set_title(NAMES[name])
        for axes, title in zip(panels[1:, column], rows, strict=True):
            table = tables[name][title]
            shown = np.where(np.tri(len(table), dtype=bool), table, np.nan)
            image = axes.imshow(shown**0.5, cmap="magma_r", vmin=0, vmax=1, aspect="auto",
                                interpolation="nearest")  # fmt: skip
            axes.set(title=title, ylabel="the step that is chosen")
            axes.set_xticks(
                range(0, len(table), 8), [f"bar {b + 1}" for b in range(len(table) // 8)]
            )
            axes.set_yticks(
                range(0, len(table), 8), [f"bar {b + 1}" for b in range(len(table) // 8)]
            )
            axes.grid(color="#d1d5db", lw=0.5)
        panels[-1][column].set_xlabel("the step that is heard")
        panels[-1][column].tick_params(labelbottom=True)
    bar = figure.colorbar(image, ax=panels[1:, :], shrink=0.5, pad=0.01)
    bar.set_ticks([0, 0.1**0.5, 0.5, 0.5**0.5, 1], labels=["0", "0.1", "0.25", "0.5", "1"])
    bar.set_label("share (colours by its root)")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _tables(row: dict[str, Any], what: str) -> dict[str, Floats]:
    """Return the tables (T, T) of a melody under their titles."""
    if what == "attention":
        return {f"attention, head {m + 1}": _unpacked(x) for m, x in enumerate(row[what])}
    return {f"saliency, {model}": _unpacked(x) for model, x in row[what].items()}


def _roll(axes: Any, row: dict[str, Any]) -> None:
    """Draw a melody as a piano roll."""
    start = None
    notes: list[list[int]] = []  # onset, pitch, steps
    for t, event in enumerate(row["events"]):
        if event >= FIRST_NOTE:
            start = [t, event - FIRST_NOTE + row["low"], 1]
            notes.append(start)
        elif event == HOLD and start is not None:
            start[2] += 1
        else:
            start = None
    for onset, pitch, steps in notes:
        axes.barh(pitch, steps - 0.15, left=onset - 0.42, height=0.9, color="#1d4ed8")
    pitches = [pitch for _, pitch, _ in notes] or [60]
    axes.set_ylim(min(pitches) - 1.5, max(pitches) + 1.5)
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    white = [p for p in range(min(pitches), max(pitches) + 1) if "#" not in names[p % 12]]
    axes.set_yticks(white, [f"{names[p % 12]}{p // 12 - 1}" for p in white], fontsize=8)
    axes.grid(axis="x", color="#d1d5db", lw=0.5)
