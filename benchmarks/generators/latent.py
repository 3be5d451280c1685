"""Whether the latent vector is used, what it costs, and what lies between two melodies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import Sampling
from musicgym.agents.generators.generator import Generator
from musicgym.agents.generators.latent import active_units, between, importance_weighted
from musicgym.agents.generators.training import Curve
from musicgym.agents.lessons import Lessons, episodes_in, lessons, nll, perform
from musicgym.agents.library import with_prior
from musicgym.agents.markov import MarkovTable
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import chances, masked, ringing_column, sample
from musicgym.agents.pretraining import pretrain
from musicgym.agents.reporting import stages
from musicgym.corpus.dataset import Corpus, prepare, windows
from musicgym.representations import to_piano_roll
from musicgym.task import Task

from .latent_pictures import pictures

__all__ = ["MODELS_SHOWN", "drift", "measure", "of_another_tune", "section", "used"]

MODELS_SHOWN = {"lstm_vae": "VAE-LSTM", "transformer_vae": "VAE-Transformer"}
#: Pricop & Iftene 2024, their first table: total loss, reconstruction and KL after training.
PUBLISHED = {
    "lstm_vae": (4.8046, 4.8003, 2.7e-5),
    "transformer_vae": (4.7117, 4.6439, 0.0677),
}
DRAWS = 100
#: Points on the way from one melody to another, its ends with them.
SHARES = tuple(i / 8 for i in range(9))


def trained(name: str, corpus: Corpus) -> ACMG:
    """Return the agent of a model's defaults, pretrained if it is not yet."""
    return with_prior(ACMGConfig.of(name), corpus, stages())


def measure(pairs: int = 100, seeds: int = 8) -> dict[str, Any]:
    """Measure both autoencoders, Melody_LSTM and the Markov table on the held-out chorales.

    Args:
        pairs: of melodies to interpolate between.
        seeds: plays of each point between them.
    """
    corpus, task = prepare(), ACMGConfig().task()
    test = lessons(corpus, "test", task)
    tunes = np.array(windows(corpus, "test", bars=task.bars, low=task.low, high=task.high).tunes)
    base = trained("melody_lstm", corpus)
    plain = cast(MelodyLSTM, base.model.actor)
    markov = MarkovTable(task).fit(lessons(corpus, "train", task))
    found: dict[str, Any] = {
        "melodies": len(test.events),
        "steps": task.steps,
        "nll": {"melody_lstm": plain.figures(test)["nll"], "markov": markov.nll(test)},
        "curves": {"melody_lstm": base.facts.get("curve") or _curve(base, corpus, task)},
        "models": {},
    }
    for name in MODELS_SHOWN:
        agent = trained(name, corpus)
        model = cast(Generator, agent.model.actor)
        torch.manual_seed(0)
        found["curves"][name] = agent.facts["curve"]
        found["models"][name] = used(model, test, tunes) | {
            "interpolation": drift(model, task, test, tunes, pairs, seeds)
        }
    return found


def _curve(agent: ACMG, corpus: Corpus, task: Task) -> Curve:
    """Return the curve of an agent that was pretrained before curves were kept."""
    config = agent.config.pretraining
    assert config is not None
    return pretrain(corpus, task, agent.config.model.actor, config).curve


@torch.no_grad()
def used(
    model: Generator, data: Lessons, tunes: npt.NDArray[Any], draws: int = DRAWS
) -> dict[str, Any]:
    """Return what the latent costs and what it brings, on melodies; torch's randomness draws.

    Returns:
        In nats a step: ``reconstruction`` and ``kl`` with one draw of z a melody, their sum
        ``total``, and ``importance_weighted``. In nats a melody: ``own`` and ``other``, the
        reconstruction under the mean of a melody's own posterior and of one of another tune's.
        ``units``, the mean KL of each number of z, and how many of them are ``active``.
    """
    posterior, steps = model.encode(data), data.events.shape[1]

    def told(z: Tensor) -> Tensor:
        latent = torch.cat([z, model.premise(data)], -1)
        return nll(model.whole(data.observation, latent=latent), data, model.ringing).sum(-1)

    reconstruction = float(told(posterior.sample()).mean()) / steps
    kl = posterior.kl()
    other = torch.from_numpy(of_another_tune(tunes, 0))
    return {
        "reconstruction": reconstruction,
        "kl": float(kl.sum(-1).mean()) / steps,
        "total": reconstruction + float(kl.sum(-1).mean()) / steps,
        "importance_weighted": float(importance_weighted(model, data, draws).mean()) / steps,
        "own": float(told(posterior.mean).mean()),
        "other": float(told(posterior.mean[other]).mean()),
        "units": kl.mean(0).tolist(),
        "active": int(active_units(posterior).sum()),
    }


@torch.no_grad()
def drift(
    model: Generator,
    task: Task,
    data: Lessons,
    tunes: npt.NDArray[Any],
    pairs: int = 100,
    seeds: int = 8,
) -> dict[str, Any]:
    """Play on the way from one melody's z to another's, over the chords of the first.

    The points of a pair share their chords and the random numbers that draw their events.

    Args:
        model: in evaluation mode.
        task: of the melodies.
        data: melodies.
        tunes: the tune of each; the two of a pair are of two tunes.
        pairs: how many pairs.
        seeds: plays of each point.

    Returns:
        For each point the share of the steps at which what sounds is what sounds ``"here"`` in the
        first melody, and ``"there"`` in the other, over pairs and plays; the NLL of the first
        melody in nats a step; how well each rises or falls with the way, as Spearman correlations:
        the mean over the pairs, and that of the means over the pairs; and one pair's plays,
        ``"shown"``.
    """
    rng = np.random.default_rng(0)
    first = rng.choice(len(tunes), pairs, replace=pairs > len(tunes))
    second = of_another_tune(tunes, 1)[first]
    one, other = (Lessons(*(part[rows] for part in data)) for rows in (first, second))
    here, there = model.embed(one), model.embed(other)
    episodes = episodes_in(one, task)
    ringing = ringing_column(task)
    rows: dict[str, list[npt.NDArray[Any]]] = {"here": [], "there": [], "nll": []}
    shown = []
    sounds = [to_piano_roll(each.events.numpy(), task.low).sounding for each in (one, other)]
    for share in SHARES:
        latent = between(here, there, share)
        equal = np.zeros((2, pairs))
        for seed in range(seeds):
            chance = chances(torch.arange(pairs), seed, task.steps)
            state = [model.begin(latent)]

            def act(t: int, seen: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
                now = torch.from_numpy(seen)
                logits, state[0] = model.step(now, state[0])  # noqa: B023 (called at once)
                logits = masked(logits, now, ringing)
                drawn = sample(logits, Sampling(), chance[t])  # noqa: B023
                return cast("npt.NDArray[np.int64]", drawn.numpy())

            played = perform(episodes, task, act).events.numpy()
            rolls = to_piano_roll(played, task.low).sounding
            equal += [_alike(rolls, sound) / seeds for sound in sounds]
            if seed == 0:
                shown.append(played[0].tolist())
        rows["here"].append(equal[0])
        rows["there"].append(equal[1])
        told = nll(model.whole(one.observation, latent=latent), one, model.ringing)
        rows["nll"].append(told.mean(-1).numpy())
    tables = {name: np.array(values) for name, values in rows.items()}  # (points, pairs)
    return {
        **{name: table.mean(1).tolist() for name, table in tables.items()},
        "spearman": {name: _spearman(table) for name, table in tables.items()},
        "spearman_of_means": {
            name: _spearman(table.mean(1, keepdims=True)) for name, table in tables.items()
        },
        "shown": [one.events[0].tolist(), *shown, other.events[0].tolist()],
        "low": task.low,
    }


def _alike(rolls: npt.NDArray[Any], sound: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the share of steps (N,) at which two rolls (N, 128, T) sound alike, or both rest."""
    alike: npt.NDArray[np.float64] = (rolls == sound).all(1).mean(-1)
    return alike


def _spearman(table: npt.NDArray[Any]) -> float:
    """Return the mean rank correlation of columns (points, N) with the way; 0 of a constant."""
    from scipy.stats import spearmanr

    each = [0.0 if np.ptp(c) == 0 else float(spearmanr(SHARES, c).statistic) for c in table.T]
    return float(np.mean(each))


def of_another_tune(tunes: npt.NDArray[Any], seed: int) -> npt.NDArray[np.int64]:
    """Return for each melody the row of one of another tune, drawn by a seed."""
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(tunes != tune)) for tune in tunes])


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section's lines; its pictures are written into the folder."""
    steps, nlls = found["steps"], found["nll"]
    lines = [
        f"{found['melodies']} held-out melodies of {steps} steps. The table's form is that of "
        "Pricop & Iftene's first table (nats of an event of their alphabet of MIDI tokens, so only "
        "the shape compares: how much of the loss is KL). Melody_LSTM tells the same melodies at "
        f"{nlls['melody_lstm']:.4f} nats a step, the Markov table at {nlls['markov']:.4f}.",
        "",
        "| | total | reconstruction | KL | a melody: total | reconstruction | KL |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, title in MODELS_SHOWN.items():
        own = [found["models"][name][k] for k in ("total", "reconstruction", "kl")]
        each = [*(f"{v:.4f}" for v in own), *(f"{v * steps:.2f}" for v in own)]
        lines.append(_row(title, each))
        printed = [f"{v:.4f}" if v > 1e-3 else f"{v:.1e}" for v in PUBLISHED[name]]
        lines.append(_row(f"{title}, published", [*printed, "", "", ""]))
    lines += [
        "",
        "Is the latent used, and is nothing lost? A melody's own z against another melody's, in "
        "nats a melody (target: 2 or more); active units (8 or more); the importance-weighted NLL "
        f"with {DRAWS} samples against Melody_LSTM's (at most 1.10).",
        "",
        "| | own z | another's z | gain | active units | importance-weighted NLL | / Melody_LSTM |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, title in MODELS_SHOWN.items():
        m = found["models"][name]
        lines.append(
            _row(
                title,
                [
                    f"{m['own']:.2f}", f"{m['other']:.2f}", f"{m['other'] - m['own']:.2f}",
                    f"{m['active']} of {len(m['units'])}", f"{m['importance_weighted']:.4f}",
                    f"{m['importance_weighted'] / nlls['melody_lstm']:.3f}",
                ],
            )
        )  # fmt: skip
    best = {name: found["models"][name]["importance_weighted"] for name in MODELS_SHOWN}
    apart = best["transformer_vae"] / best["lstm_vae"] - 1
    lines += [
        "",
        f"The Transformer is {abs(apart):.1%} {'above' if apart > 0 else 'below'} the LSTM "
        "(importance-weighted NLL; target: at most 3 % above).",
        "",
        "Interpolation: nine points on the arc from one melody's z to another's, played over the "
        "first melody's chords with the same random numbers. Shares of steps that sound as the "
        "first or as the other melody, and the first melody's NLL under each point. The last "
        "columns are Spearman correlations with the way: of one pair, on average, and of the "
        "means that the row shows.",
        "",
        "| | " + " | ".join(f"{share:g}" for share in SHARES) + " | a pair | the means |",
        "|---|" + "---:|" * (len(SHARES) + 2),
    ]
    kinds = {"here": "as the first, %", "there": "as the other, %", "nll": "NLL of the first"}
    for name, title in MODELS_SHOWN.items():
        way = found["models"][name]["interpolation"]
        for kind, text in kinds.items():
            values = [f"{v:.3f}" if kind == "nll" else f"{100 * v:.1f}" for v in way[kind]]
            ranks = [f"{way[which][kind]:+.2f}" for which in ("spearman", "spearman_of_means")]
            lines.append(_row(f"{title}: {text}", [*values, *ranks]))
    curves = found["curves"]
    lines += ["", "| | epochs | best epoch | CPU seconds |", "|---|---:|---:|---:|"]
    for name, curve in curves.items():
        if curve:
            losses = curve["validation_nll" if name == "melody_lstm" else "validation_loss"]
            best_epoch = int(np.argmin(losses))
            each = [str(len(losses)), str(best_epoch + 1), f"{curve['seconds'][best_epoch]:.0f}"]
            lines.append(_row(MODELS_SHOWN.get(name, "Melody_LSTM"), each))
    for name, picture in pictures(found, MODELS_SHOWN).items():
        (folder / f"{name}.png").write_bytes(picture)
    return [*lines, "", *(f"![{t}]({folder.name}/{n}.png)" for n, t in PICTURES.items())]


PICTURES = {
    "losses": "Loss against epoch",
    "units": "Active units against epoch, and the KL of each number of z",
    "interpolation": "From one melody to another",
}


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | " + " | ".join(cells) + " |"
