"""The presets: named mixes of terms and weights, as functions of the episode's length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["PRESETS"]

_CHORDS: dict[str, Any] = {"chord_tone": {}, "non_chord_tone": {}, "median_line": {}}
_THEORY: dict[str, Any] = {
    "repetition": {},
    "octave_leap": {},
    "pitch_range": {},
    "final_tonic": {},
}


def acmg(steps: int) -> dict[str, Any]:
    """Eq. 2-10 of the paper, weights 1."""
    return {**_CHORDS, **_THEORY, "state_variance": {}}


def acmg_no_theory(steps: int) -> dict[str, Any]:
    """The paper's ablation without the music-theory rules, Eq. 5-8."""
    return {**_CHORDS, "state_variance": {}}


def acmg_no_chords(steps: int) -> dict[str, Any]:
    """The paper's ablation without the chord-progression rules, Eq. 2-4."""
    return {**_THEORY, "state_variance": {}}


def acmg_literal(steps: int) -> dict[str, Any]:
    """Everything as printed: one step is one note, the median tone is drawn."""
    drawn = {"median_line": {"median": "random"}}
    return {"scoring": "literal", **_CHORDS, **drawn, **_THEORY, "state_variance": {}}


def balanced(steps: int) -> dict[str, Any]:
    """The mix for use with a KL prior: no median line, a final tonic that grows with `steps`."""
    return {
        "chord_tone": {"weight": 1.0},
        "non_chord_tone": {"weight": 1.0},
        "median_line": {"weight": 0.0},
        "repetition": {"weight": 1.0},
        "octave_leap": {"weight": 0.25},
        "pitch_range": {"weight": 0.25},
        "final_tonic": {"weight": 5.0 * steps / 64},
    }


_RL_TUNER: dict[str, Any] = {
    name: {}
    for name in (
        "key", "tonic_start_end", "preferred_interval", "excessive_repeat", "autocorrelation",
        "motif", "repeated_motif", "leap_resolution", "unique_extremes",
    )
}  # fmt: skip


def rl_tuner(steps: int) -> dict[str, Any]:
    """RL Tuner's music theory (Jaques et al. 2016), a held note as one note, weights 1.

    The paper adds these terms, times 1/c with c = 0.5, to log p(event) under a pretrained policy.
    Here that prior is the trainer's (its KL term) or the term `prior_log_likelihood`.
    """
    return dict(_RL_TUNER)


def rl_tuner_literal(steps: int) -> dict[str, Any]:
    """The same as RL Tuner's public code computes it, weights 1: each hold is an event by itself.

    Made for two bars on a grid of sixteenths in C major, C3 to B5.
    """
    literal = {"literal": True}
    return {
        **_RL_TUNER,
        "tonic_start_end": {"any_octave": False},
        "excessive_repeat": literal,
        "autocorrelation": literal,
        "leap_resolution": literal,
    }


PRESETS: dict[str, Callable[[int], dict[str, Any]]] = {
    preset.__name__: preset
    for preset in (
        acmg,
        acmg_no_theory,
        acmg_no_chords,
        acmg_literal,
        balanced,
        rl_tuner,
        rl_tuner_literal,
    )
}
