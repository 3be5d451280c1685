"""CVAE, GAN and both: what each learns of chorales and folk tunes, and whether they do as asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import ActorCriticConfig, CVAEGANConfig, CVAEGANTraining, Sampling
from musicgym.agents.generators.cvae_gan import CVAEGAN
from musicgym.agents.generators.latent import importance_weighted
from musicgym.agents.lessons import nll
from musicgym.agents.library import with_prior
from musicgym.agents.reporting import stages
from musicgym.agents.threads import few_threads
from musicgym.benchmarks.diversity import diversity, human_diversity
from musicgym.benchmarks.human import some
from musicgym.benchmarks.likeness import floors, frechet, likeness
from musicgym.benchmarks.metrics.ganorkar import (
    distances_by_style,
    inception_score,
    roll_error,
    sequence_coherence,
)
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.style import style_figures
from musicgym.corpus.dataset import prepare
from musicgym.dynamics import Episodes
from musicgym.files import write_whole

from .conditional_ground import STYLES, Ground, bare, compose, moved, scenes
from .conditional_pictures import curves
from .hearing import find_keys
from .latent import of_another_tune

__all__ = ["PARTS", "config", "measure", "section"]

#: What is trained, and what the page calls it.
PARTS = {"cvae": "CVAE alone", "gan": "GAN alone", "both": "CVAE-GAN"}
#: Draws of z for the bounds on the NLL.
DRAWS = 16
#: Figures of diversity that are shown.
VARIETY = ("vendi", "hamming", "distinct_4", "shared_with_training", "copied")
#: Points from the human row that were aimed at.
NEAR = 5
PICTURE = "conditional-losses.png"


def config(part: str, seed: int) -> ACMGConfig:
    """Return the agent of a part of the model and a seed, at the default size."""
    training = CVAEGANTraining(parts=part, seed=seed)
    return ACMGConfig(model=ActorCriticConfig(CVAEGANConfig()), pretraining=training)


def measure(seeds: Sequence[int] = (1, 2, 3)) -> dict[str, Any]:
    """Train each part with each seed, if it is not trained yet, and measure it.

    Raises:
        ValueError: a corpus has no melodies for it.
    """
    ground = Ground({name: prepare(name) for name in STYLES})
    models = {}
    for part in PARTS:
        rows = []
        for seed in seeds:
            agent = with_prior(config(part, seed), ground.corpora["chorales"], stages())
            assert isinstance(agent.prior, CVAEGAN)
            facts = {"curve": agent.facts.get("curve", {})}
            rows.append({**measured(agent.prior, part, ground, seed), **facts})
        models[part] = rows
    usual = ACMGConfig()
    lstm = with_prior(usual, ground.corpora["chorales"], stages())
    return {
        "seeds": list(seeds),
        "melodies": {style: len(held.pieces.events) for style, held in ground.natural.items()},
        "corpora": {name: corpus.fingerprint for name, corpus in ground.corpora.items()},
        "melody_lstm_nll": lstm.facts["pretraining"]["test_nll"],
        "human": human(ground),
        "models": models,
    }


@few_threads()
@torch.no_grad()
def measured(model: CVAEGAN, part: str, ground: Ground, seed: int) -> dict[str, Any]:
    """Return all figures of one trained model."""
    torch.manual_seed(seed)
    made = {style: compose(model, held, seed) for style, held in ground.natural.items()}
    return {
        "nll": likelihoods(model, part, ground),
        **heard(made, ground),
        "mmd2": {s: likeness(p, ground.humans[s], seed)["mmd2"] for s, p in made.items()},
        "diversity": {s: _few(diversity(p, ground.humans[s], seed)) for s, p in made.items()},
        "roll_error": rebuilt(model, part, ground, seed),
        "conditions": {
            name: obeyed(model, ground, seed, withheld)
            for name, withheld in (("chords", False), ("withheld", True))
        },
        "critic": critic_says(model, made, ground) if part != "cvae" else None,
    }


def likelihoods(model: CVAEGAN, part: str, ground: Ground) -> dict[str, dict[str, float]]:
    """Return bounds on the NLL of the test melodies in 4/4, in nats a step, by style.

    ``bound`` is that of one draw of z from the encoder, ``importance_weighted`` that of 16;
    ``prior`` is that of 16 draws from the prior. A GAN alone has no encoder.
    """
    found = {}
    for style, held in ground.natural.items():
        data = scenes(model, held, held.pieces.events)
        steps = data.events.shape[1]
        told = []
        for _ in range(DRAWS):
            z = torch.randn(len(data.events), model.size.latent)
            logits = model.whole(data.observation, latent=torch.cat([z, data.labels], -1))
            told.append(-nll(logits, data, model.ringing).sum(-1))
        mixed = np.log(DRAWS) - torch.stack(told).logsumexp(0)
        found[style] = {"prior": float(mixed.mean()) / steps}
        if part != "gan":
            draws = {"bound": 1, "importance_weighted": DRAWS}
            found[style] |= {
                name: float(importance_weighted(model, data, n).mean()) / steps
                for name, n in draws.items()
            }
    return found


def heard(made: Mapping[str, Pieces], ground: Ground) -> dict[str, Any]:
    """Return what the features and the classifier say of melodies by style, in 4/4."""
    real = {style: ground.vectors(held.pieces) for style, held in ground.natural.items()}
    ours = {style: ground.vectors(pieces) for style, pieces in made.items()}
    labels = [np.repeat(np.arange(len(x)), [len(v) for v in x.values()]) for x in (ours, real)]
    pooled = [np.concatenate(list(x.values())) for x in (ours, real)]
    apart = distances_by_style(pooled[0], labels[0], pooled[1], labels[1])
    said = {
        style: style_figures(ground.style_judge, pieces, STYLES[style])
        for style, pieces in made.items()
    }
    both = np.concatenate([ground.style_judge.probabilities(p) for p in made.values()])
    return {
        "frechet": {
            **{style: apart[place] for place, style in enumerate(STYLES)},
            "overall": frechet(*pooled),
        },
        "coherence": {s: float(np.nanmean(sequence_coherence(p))) for s, p in made.items()},
        "style": {s: {n: m.value for n, m in row.items()} for s, row in said.items()},
        "inception_score": inception_score(both),
    }


def rebuilt(model: CVAEGAN, part: str, ground: Ground, seed: int) -> dict[str, Any]:
    """Return the error of piano rolls of test melodies played anew, by style.

    ``own`` is played under the melody's own z (the posterior's mean), the likeliest event at each
    step; ``other`` under that of a melody of another tune. A GAN alone has no encoder.
    """
    if part == "gan":
        return {}
    found = {}
    for style, held in ground.natural.items():
        latent = model.embed(scenes(model, held, held.pieces.events))
        errors = {}
        other = latent[torch.from_numpy(of_another_tune(held.tunes, seed))]
        for name, z in (("own", latent), ("other", other)):
            again = compose(model, held, seed, sampling=Sampling(0.0), latent=z)
            errors[name] = float(roll_error(again, held.pieces).mean())
        found[style] = errors
    return found


def obeyed(model: CVAEGAN, ground: Ground, seed: int, withheld: bool) -> dict[str, Any]:
    """Return the share of melodies that are heard as what was asked for.

    Keys: drawn from all twelve, for both styles. Metres: folk tunes in each. Styles: in 4/4, and
    with the chords of the other style (``style_swapped``).
    """

    def over(episodes: Episodes) -> Episodes:
        return bare(episodes) if withheld else episodes

    key, style, swapped = {}, {}, {}
    for name, held in ground.natural.items():
        other = next(s for s in STYLES if s != name)
        ways = {
            "key": (moved(held.episodes, seed), seed + 10),
            "style": (held.episodes, seed + 20),
            "swapped": (ground.natural[other].episodes, seed + 30),
        }
        made = {n: compose(model, held, drawn, over(e)) for n, (e, drawn) in ways.items()}
        key[name] = key_accuracy(made["key"])
        style[name] = style_share(made["style"], name, ground)
        swapped[name] = style_share(made["swapped"], name, ground)
    metre = {}
    for name, held in ground.by_metre.items():
        heard = ground.metre_judge.hear(compose(model, held, seed + 40, over(held.episodes)))
        metre[name] = float(np.mean([m == name for m in heard]))
    return {"key": key, "metre": metre, "style": style, "style_swapped": swapped}


def key_accuracy(pieces: Pieces) -> float:
    """Return the share of melodies whose key, tonic and mode, is found to be what was asked for."""
    tonic, minor = find_keys(pieces)
    return float(((tonic == pieces.tonic) & (minor == pieces.minor)).mean())


def style_share(pieces: Pieces, style: str, ground: Ground) -> float:
    """Return the share of melodies that the classifier takes for a style."""
    return style_figures(ground.style_judge, pieces, STYLES[style])["style_accuracy"].value


def critic_says(
    model: CVAEGAN, made: Mapping[str, Pieces], ground: Ground
) -> dict[str, dict[str, float]]:
    """Return the critic's mean score of test melodies and of the model's own, by style."""
    found = {}
    for style, held in ground.natural.items():
        pair = {"human": held.pieces, "own": made[style]}
        scores = {n: model.score(scenes(model, held, p.events)) for n, p in pair.items()}
        found[style] = {name: float(values.mean()) for name, values in scores.items()}
    return found


def human(ground: Ground) -> dict[str, Any]:
    """Return the same figures of human melodies, and what human melodies of other tunes score.

    The distances are of as many training melodies from the test melodies.
    """
    test = {style: held.pieces for style, held in ground.natural.items()}
    others = {style: ground.held(style, "4/4", "train").pieces for style in STYLES}
    apart = heard(others, ground)
    own = heard(test, ground)
    metre = {
        name: float(np.mean([m == name for m in ground.metre_judge.hear(held.pieces)]))
        for name, held in ground.by_metre.items()
    }
    errors = {}
    for style, held in ground.natural.items():
        others_of = some(held.pieces, of_another_tune(held.tunes, 0))
        errors[style] = float(roll_error(others_of, held.pieces).mean())
    return {
        "frechet": apart["frechet"],
        "coherence": own["coherence"],
        "style": own["style"],
        "inception_score": own["inception_score"],
        "floors": {s: floors(ground.humans[s])["mmd2"] for s in STYLES},
        "diversity": {s: _few(human_diversity(ground.humans[s])) for s in STYLES},
        "roll_error": errors,
        "conditions": {
            "key": {style: key_accuracy(pieces) for style, pieces in test.items()},
            "metre": metre,
            "style": {style: style_share(p, style, ground) for style, p in test.items()},
        },
    }


def _few(found: Mapping[str, Measured]) -> dict[str, float]:
    return {name: found[name].value for name in VARIETY}


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section of the page, from what `measure` found; the picture goes to the folder."""
    write_whole(folder / PICTURE, curves(found["models"], PARTS))
    count = found["melodies"]
    seeds = ", ".join(f"{title} {len(found['models'][part])}" for part, title in PARTS.items())
    lines = [
        "One model of two styles (chorales, folk tunes), three metres and all keys, its CVAE and "
        f"its GAN trained in turn, and each alone (seeds: {seeds}); mean ± one standard deviation "
        "of the seeds. "
        f"{count['chorales']} held-out melodies of either style in 4/4, and as many composed over "
        "their chords. The Fréchet distance is of 42 symbolic features, standardised by the "
        "training melodies of both styles; the human row is of as many training melodies, other "
        "tunes.",
        "",
        "| | Fréchet, chorales | folk | overall | MMD², chorales | folk | "
        "Inception Score | coherence | Vendi, chorales | copied |",
        "|---" * 10 + "|",
    ]
    people = found["human"]
    floor = {style: people["floors"][style] for style in STYLES}
    rows: dict[str, list[Any]] = {"human, other tunes": [people], **{
        title: found["models"][part] for part, title in PARTS.items()
    }}  # fmt: skip
    for title, each in rows.items():
        cells = [_spread([row["frechet"][s] for row in each], 1) for s in (*STYLES, "overall")]
        for style in STYLES:
            if "mmd2" in each[0]:
                cells.append(_spread([row["mmd2"][style] for row in each], 3))
            else:
                cells.append(f"{floor[style][0]:.3f} ± {floor[style][1]:.3f}")
        cells.append(_spread([row["inception_score"] for row in each], 2))
        cells.append(_spread([np.mean([*row["coherence"].values()]) for row in each], 3))
        for name, digits in (("vendi", 1), ("copied", 3)):
            cells.append(_spread([row["diversity"]["chorales"][name] for row in each], digits))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Ganorkar & Rathkanthiwar print FADs of 1.8, 1.9, 2.0 and 1.7 (classical, jazz, rock, "
        "pop), an NLL of 2.18, an MSE of .017 and an Inception Score of 4.75. None is on the scale "
        "of ours: theirs are of audio, of other music and of another classifier.",
        "",
        "NLL of the test melodies in nats a step (Melody_LSTM, chorales: "
        f"{found['melody_lstm_nll']:.3f}), and the mean squared error of piano rolls played anew, "
        "in thousandths, under the melody's own z and under that of another tune's melody.",
        "",
        "| | ELBO, chorales | folk | 16 draws, chorales | folk | z from the prior, chorales | folk "
        "| roll, own z | another's |",
        "|---" * 9 + "|",
    ]
    for part, title in PARTS.items():
        each = found["models"][part]
        cells = [
            _spread([row["nll"][style].get(name) for row in each], 3)
            for name in ("bound", "importance_weighted", "prior")
            for style in STYLES
        ]
        cells += [
            _spread([_rolls(row["roll_error"], name) for row in each], 2)
            for name in ("own", "other")
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    other = 1000 * float(np.mean([*people["roll_error"].values()]))
    lines += [
        "",
        f"Two human melodies of two tunes of a style differ by {other:.2f} thousandths.",
        "",
        *_critics(found),
        "",
        *_obedience(found),
        "",
        f"![Losses over the training](generators/{PICTURE})",
    ]
    return lines


def _critics(found: dict[str, Any]) -> list[str]:
    """Return the line on what the critics say."""
    told = []
    for part in ("gan", "both"):
        each = [row["critic"] for row in found["models"][part]]
        cells = [
            f"{style} {_spread([row[style]['human'] for row in each], 2)} and "
            f"{_spread([row[style]['own'] for row in each], 2)}"
            for style in STYLES
        ]
        told.append(f"{PARTS[part]}: {', '.join(cells)}")
    return [
        "The critic's mean score of the test melodies and of the model's own (0 is the mean of the "
        f"training melodies, 1 their standard deviation): {'; '.join(told)}."
    ]


def _obedience(found: dict[str, Any]) -> list[str]:
    """Return the lines on what was asked for and heard."""
    people = found["human"]["conditions"]
    lines = [
        "Share of melodies that are heard as what was asked for, in %: the key of 24 (Krumhansl "
        "and Schmuckler, on the melody alone; asked for are all 12 tonics in both modes), the "
        "metre of three (a classifier of onsets, folk tunes), the style (the metrics' classifier), "
        "and the style where the chords are of the other one. Beside each, the difference from the "
        "human row in points.",
        "",
        "| | key | metre | style | style, other's chords |",
        "|---|---|---|---|---|",
    ]
    base = {name: 100 * float(np.mean([*people[name].values()])) for name in people}
    cells = [f"{base[name]:.1f}" for name in ("key", "metre", "style")]
    lines.append(f"| human | {' | '.join(cells)} | |")
    near: dict[str, list[str]] = {"yes": [], "no": []}
    for part, title in PARTS.items():
        for name, how in (("chords", ""), ("withheld", ", chords withheld")):
            cells = []
            for what in ("key", "metre", "style", "style_swapped"):
                values = [
                    100 * float(np.mean([*row["conditions"][name][what].values()]))
                    for row in found["models"][part]
                ]
                gap = float(np.mean(values)) - base[what.partition("_")[0]]
                cells.append(f"{_spread(values, 1)} ({gap:+.1f})")
                if part == "both" and what in base:
                    near["yes" if gap >= -NEAR else "no"].append(what + how)
            lines.append(f"| {title}{how} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Within {NEAR} points of the human row or above it, the CVAE-GAN: "
        f"{'; '.join(near['yes']) or 'none'}. "
        f"Not: {'; '.join(near['no']) or 'none'}.",
    ]
    return lines


def _rolls(errors: Mapping[str, Mapping[str, float]], name: str) -> float | None:
    return 1000 * float(np.mean([row[name] for row in errors.values()])) if errors else None


def _spread(values: Sequence[float | None], digits: int) -> str:
    """Return the mean and, of several values, the standard deviation; a dash for none."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{np.mean(known):.{digits}f}"
    return text if len(known) < 2 else f"{text} ± {np.std(known, ddof=1):.{digits}f}"
