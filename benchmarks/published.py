"""Numbers that papers printed, to stand beside ours. Shares in percent, as printed."""

from __future__ import annotations

__all__ = ["ACMG_TABLE_1", "RL_TUNER_TABLE", "ZHAO_ABLATIONS", "ZHAO_RATINGS", "ZHAO_TABLE"]

#: A figure -> what each system shows.
Printed = dict[str, dict[str, float]]


def _printed(systems: tuple[str, ...], figures: dict[str, tuple[float, ...]]) -> Printed:
    return {name: dict(zip(systems, row, strict=True)) for name, row in figures.items()}


#: ACMG, Table 1. Which of two counts "repeated" is, is not said; it stands beside both.
ACMG_TABLE_1 = _printed(
    ("LSTM", "no theory", "complete"),
    {
        "excessive_repetition": (63.12, 35.8, 20.8),
        "in_long_runs": (63.12, 35.8, 20.8),
        "autocorrelation": (0.12, 0.06, 0.04),
        "outside_key": (10.2, 6.74, 3.21),
        "under_octave": (77.4, 81.3, 90.2),
        "unique_highest": (58.6, 59.4, 64.2),
        "unique_lowest": (55.8, 62.4, 58.8),
        "classical_style": (47.6, 60.5, 74.3),
    },
)
#: RL Tuner, arXiv 1611.02796, Table 1: the prior, and three ways to tune it.
RL_TUNER_TABLE = _printed(
    ("Note RNN", "Q", "Psi", "G"),
    {
        "repeated_as_published": (63.3, 0.0, 0.02, 0.03),
        "event_autocorrelation_1": (-0.16, -0.11, -0.10, 0.55),
        "not_in_key": (0.1, 1.0, 0.6, 28.7),
        "starts_on_tonic": (0.9, 28.8, 28.7, 0.0),
        "leaps_resolved": (77.2, 91.1, 90.0, 52.2),
        "unique_highest": (64.7, 56.4, 59.4, 37.1),
        "unique_lowest": (49.4, 51.9, 58.3, 56.5),
        "in_motif": (5.9, 75.7, 73.8, 69.3),
    },
)
#: Zhao et al., melodies of their model and of others; seconds, a count and notes a second.
ZHAO_TABLE = _printed(
    ("Zhao et al.", "Music Transformer", "MuseNet", "Magenta", "DeepBach", "MelNet"),
    {
        "duration": (12.3, 10.2, 11.1, 10.7, 9.8, 10.5),
        "pitch_variation": (5.2, 4.1, 4.5, 4.3, 4.2, 4.4),
        "rhythm_diversity": (1.9, 1.1, 1.3, 1.2, 1.5, 1.4),
        "harmonic_richness": (9, 5, 6, 5, 7, 6),
        "melodic_complexity": (7.1, 6.2, 6.5, 6.4, 6.7, 6.8),
    },
)
#: Zhao et al., what each part does; the first is what they call note jump.
ZHAO_ABLATIONS = _printed(
    ("full", "no VAE", "no RNN", "no emotion loss", "no adversarial loss"),
    {
        "pitch_variation": (5.2, 4.8, 4.5, 4.9, 4.6),
        "rhythm_continuity": (1.9, 2.1, 2.2, 2.0, 2.3),
        "pitch_stability": (1.1, 1.5, 1.8, 1.4, 1.7),
        "duration": (12.3, 11.6, 11.0, 11.3, 10.8),
    },
)
#: Zhao et al., what listeners said of each system, from 1 to 5.
ZHAO_RATINGS = _printed(
    ("Zhao et al.", "Music Transformer", "MuseNet", "Magenta", "DeepBach"),
    {
        "fluency": (4.3, 3.1, 3.5, 3.4, 3.6),
        "creativity": (4.1, 2.8, 3.2, 3.1, 3.5),
        "emotion": (4.5, 3.0, 3.3, 3.2, 3.4),
        "harmony": (4.2, 2.9, 3.4, 3.3, 3.1),
    },
)
