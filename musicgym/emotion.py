"""Emotion: a melody as five numbers, the five emotions that they are composed to, and the nearest.

One text measures a melody and the soft output of a model: it reads event probabilities, those of a
melody being 0 and 1, as NumPy arrays or as torch tensors, which it can be differentiated on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .events import FIRST_NOTE, HOLD
from .select import Array, where
from .theory import closest

if TYPE_CHECKING:
    from .corpus.dataset import Windows

__all__ = [
    "EMOTIONS",
    "FEATURES",
    "LEVELS",
    "TARGETS",
    "EmotionTargets",
    "distances",
    "emotion",
    "emotion_of",
    "nearest",
    "number",
    "targets",
]

#: The five numbers in their order.
FEATURES = ("density", "interval", "spread", "register", "mode")
#: The percentiles of a corpus that an emotion is composed of.
LEVELS = {"low": 10, "middle": 50, "high": 90}
#: Each emotion as a level of each of the `FEATURES`. Tempo, loudness and timbre are not ours to
#: choose; of what is left, listeners hear many notes, leaps and a wide range as aroused, a high
#: register and the major mode as pleasant, a low one and the minor mode as not (A. Gabrielsson and
#: E. Lindström, "The role of structure in the musical expression of emotions", 2010).
#:
#: - cheerful, pleasant and aroused: many notes and leaps, high, major.
#: - sad, unpleasant and not aroused: few notes, a narrow range, low, minor.
#: - calm, pleasant and not aroused: few notes, small steps, a narrow range, high, major.
#: - tense, unpleasant and aroused: many notes and leaps, a wide range, low, minor.
#: - neutral: the middle of everything.
#:
#: Where that leaves a choice (the register of calm and tense, say), the one that is farther from
#: the other emotions without the mode was taken: on the chorales no two are nearer than 2.1
#: standard deviations.
TARGETS: dict[str, dict[str, str]] = {
    name: dict(zip(FEATURES, levels.split(), strict=True))
    for name, levels in {
        "cheerful": "high high middle high high",
        "sad": "low middle low low low",
        "calm": "low low low high high",
        "tense": "high high high low low",
        "neutral": "middle middle middle middle middle",
    }.items()
}
#: The names of the emotions; the rows of a target table.
EMOTIONS = tuple(TARGETS)
#: What a degree above the tonic counts in the mode: the major and the minor 3rd, 6th and 7th.
MAJOR, MINOR = (4, 9, 11), (3, 8, 10)


def emotion(probabilities: Array, low: Array, tonic: Array) -> Array:
    r"""Return the five `FEATURES` of N melodies (N, 5).

    With :math:`p_t(k)` the probability that step t strikes pitch k, :math:`l_t(k)` that k is the
    last pitch struck up to t, and :math:`s_t(k)` that k sounds at t,

    .. math::

        l_t(k) &= p_t(k) + (1 - \sum_j p_t(j)) \, l_{t-1}(k) \\
        s_t(k) &= p_t(k) + p_t(hold) \, s_{t-1}(k)

    - density, notes a step: :math:`\sum_{t,k} p_t(k) / T`, from 0 to 1. It depends on the grid.
    - interval, semitones: the mean absolute interval between successive onsets,
      :math:`\sum p_t(j) \, l_{t-1}(k) \, |j - k| / \sum p_t(j) \, l_{t-1}(k)` over t, j and k.
    - spread, semitones: the standard deviation of the struck pitches, each weighed by
      :math:`\sum_t p_t(k)`.
    - register, semitones: the mean struck pitch above the tonic that lies nearest to `low` (from 5
      below it to 6 above), so that moving melody, key and range together changes nothing.
    - mode, from -1 to 1: the share of sounding time on the major 3rd, 6th and 7th less that on the
      minor ones.

    On a melody (probabilities 0 and 1) they are exact. On others the steps are taken as
    independent of each other: sums in the formulas are then expectations over melodies, but a
    quotient of two is not the expectation of the quotient, and probabilities that were read along
    one melody (teacher forcing) describe that melody's neighbourhood, not the model's own play.

    A hold in silence counts as a rest. Where a number is undefined it is 0, so that every melody
    has finite numbers and a gradient: interval with fewer than two notes, spread, register and
    mode without a note. Silence is far from every target by its density.

    Args:
        probabilities: (N, T, A) of hold, rest and the pitches from `low` at each step.
        low: the MIDI pitch of event 2, one or (N,).
        tonic: (N,) pitch classes of the tonics.

    >>> c_e_g = np.eye(10)[[[2, 0, 6, 1, 9, 0]]]  # C4 held, E4, a rest, G4 held
    >>> emotion(c_e_g, 60, np.array([0])).round(2).tolist()
    [[0.5, 3.5, 2.87, 3.67, 0.2]]
    """
    size, steps, n_events = probabilities.shape
    notes = probabilities[:, :, FIRST_NOTE:]  # (N, T, K)
    place = _numbers(n_events - FIRST_NOTE, probabilities)  # (K,) semitones above `low`
    up = (_like(tonic, probabilities) - low + 5) % 12 - 5  # (N,)
    counts = _sign((place[None] - up[:, None]) % 12)  # (N, K)
    apart = notes @ abs(place[:, None] - place[None])  # (N, T, K)
    struck = notes.sum(-1)  # (N, T)
    last = sounding = notes[:, 0] * 0
    distance = pairs = major = time = struck[:, 0] * 0
    for t in range(steps):
        distance = distance + (apart[:, t] * last).sum(-1)
        pairs = pairs + struck[:, t] * last.sum(-1)
        last = notes[:, t] + (1 - struck[:, t, None]) * last
        sounding = notes[:, t] + probabilities[:, t, HOLD, None] * sounding
        major = major + (sounding * counts).sum(-1)
        time = time + sounding.sum(-1)
    weight, count = notes.sum(1), struck.sum(1)  # (N, K), (N,)
    mean = _ratio((weight * place).sum(-1), count)
    variance = _ratio((weight * (place - mean[:, None]) ** 2).sum(-1), count)
    return _columns(
        count / steps,
        _ratio(distance, pairs),
        _root(variance),
        where(count > 0, mean - up, mean * 0),
        _ratio(major, time),
    )


def emotion_of(events: Array, low: Array, tonic: Array, n_events: int | None = None) -> Array:
    """Return the five `FEATURES` of melodies (N, T) of events, float64 (N, 5); see `emotion`.

    Args:
        events: (N, T) integers, NumPy or torch; an event outside the alphabet counts as a rest.
        low: the MIDI pitch of event 2, one or (N,).
        tonic: (N,) pitch classes of the tonics.
        n_events: the size of the alphabet; by default as large as the events need.

    >>> emotion_of(np.array([[2, 0, 4, 4]]), 60, np.array([0])).round(2).tolist()
    [[0.75, 1.0, 0.94, 1.33, 0.0]]
    """
    size = n_events or max(int(events.max()) + 1, FIRST_NOTE + 1)
    one_hot = events[:, :, None] == _numbers(size, events)
    floats = one_hot.double() if hasattr(one_hot, "double") else one_hot.astype(np.float64)
    return emotion(floats, low, tonic)


@dataclass(frozen=True)
class EmotionTargets:
    """What each emotion is on a corpus: plain numbers, which JSON keeps.

    Attributes:
        values: a row for each of `EMOTIONS`, a column for each of `FEATURES`.
        deviations: the standard deviation of each feature over the corpus's windows.
    """

    values: tuple[tuple[float, ...], ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the shapes and the numbers, and keep them as plain floats."""
        values, deviations = np.array(self.values, float), np.array(self.deviations, float)
        wanted = (len(EMOTIONS), len(FEATURES))
        if values.shape != wanted or deviations.shape != wanted[1:]:
            raise ValueError(
                f"emotion: targets of shape {wanted} and {wanted[1:]} deviations are needed, not "
                f"{values.shape} and {deviations.shape}."
            )
        if not np.isfinite(values).all() or not (np.isfinite(deviations) & (deviations > 0)).all():
            raise ValueError("emotion: targets must be finite, and deviations finite and above 0.")
        object.__setattr__(self, "values", tuple(map(tuple, values.tolist())))
        object.__setattr__(self, "deviations", tuple(deviations.tolist()))

    @property
    def table(self) -> npt.NDArray[np.float64]:
        """The targets as an array (5, 5)."""
        return np.array(self.values)

    def vector(self, name: str) -> npt.NDArray[np.float64]:
        """Return the target (5,) of an emotion.

        Raises:
            ValueError: there is no such emotion.
        """
        return np.array(self.values[number(name)])

    def standardised(self, features: Array) -> Array:
        """Return features (N, 5) in standard deviations."""
        return features / _like(np.array(self.deviations), features)

    def to_json(self) -> str:
        """Return JSON text, read back by `from_json`."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> EmotionTargets:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is not the JSON of targets.
        """
        try:
            return EmotionTargets(**json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"emotion: this is not the JSON of targets ({error}).") from error


def number(name: str) -> int:
    """Return the place of an emotion in `EMOTIONS`.

    Raises:
        ValueError: there is no such emotion.

    >>> number("calm")
    2
    """
    if name not in EMOTIONS:
        raise ValueError(
            f"emotion: {name!r} is not one of {', '.join(EMOTIONS)}{closest(name, EMOTIONS)}."
        )
    return EMOTIONS.index(name)


def targets(cut: Windows, low: int) -> EmotionTargets:
    """Return the emotions of a corpus, from the percentiles of the features of its windows.

    Args:
        cut: windows of the training split, in C major and A minor.
        low: the pitch that they were cut with.

    Raises:
        ValueError: a feature is the same in all windows.
    """
    tonic = np.where(cut.modes == 1, 9, 0)
    found = emotion_of(cut.events.astype(np.int64), low, tonic)
    deviations = found.std(0)
    for name, deviation in zip(FEATURES, deviations, strict=True):
        if not deviation > 0:
            raise ValueError(
                f"emotion: the {name} is the same in all {len(found)} windows, so no target can be "
                "set by it."
            )
    levels = {level: np.percentile(found, at, axis=0) for level, at in LEVELS.items()}
    values = [
        [levels[made[name]][place] for place, name in enumerate(FEATURES)]
        for made in TARGETS.values()
    ]
    return EmotionTargets(tuple(map(tuple, values)), tuple(deviations))


def distances(features: Array, known: EmotionTargets, without: Sequence[str] = ("mode",)) -> Array:
    """Return how far features (N, 5) lie from the target of each of the `EMOTIONS` (N, 5).

    The root of the mean squared difference in standard deviations, over the features that count: 1
    is one deviation in each. The mode is left out by default: a melody over given chords can hardly
    choose it.

    Raises:
        ValueError: `without` names no feature, or all of them.
    """
    for name in without:
        if name not in FEATURES:
            raise ValueError(
                f"emotion: {name!r} is not one of {', '.join(FEATURES)}{closest(name, FEATURES)}."
            )
    kept = [place for place, name in enumerate(FEATURES) if name not in without]
    if not kept:
        raise ValueError("emotion: no feature is left to tell emotions by.")
    own = known.standardised(features)[:, kept]
    table = known.standardised(_like(known.table, features))[:, kept]
    return ((own[:, None] - table[None]) ** 2).mean(-1) ** 0.5


def nearest(features: Array, known: EmotionTargets, without: Sequence[str] = ("mode",)) -> Array:
    """Return the emotion (N,) whose target is nearest to features (N, 5), as its place.

    See `distances`. The first of equally near ones is taken.
    """
    return distances(features, known, without).argmin(-1)


# What differs between NumPy and torch


def _like(values: Any, like: Array) -> Array:
    """Return numbers as an array or a tensor of the kind, type and place of another."""
    if isinstance(like, np.ndarray):
        return np.asarray(values, dtype=like.dtype)
    import torch

    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _numbers(n: int, like: Array) -> Array:
    """Return 0 to n - 1 as `_like`."""
    return _like(np.arange(n), like)


def _columns(*columns: Array) -> Array:
    """Return columns (N,) side by side (N, K)."""
    if isinstance(columns[0], np.ndarray):
        return np.stack(columns, axis=-1)
    import torch

    return torch.stack(columns, dim=-1)


def _sign(degree: Array) -> Array:
    """Return 1 for the major degrees, -1 for the minor ones and 0 for the others."""
    one, value = degree * 0 + 1, degree * 0
    for degrees, sign in ((MAJOR, 1), (MINOR, -1)):
        for which in degrees:
            value = where(degree == which, sign * one, value)
    return value


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, 0 where the whole is 0; there the gradient is 0 too."""
    there = whole > 0
    return where(there, part / where(there, whole, whole * 0 + 1), part * 0)


def _root(x: Array) -> Array:
    """Return the square root, 0 with a gradient of 0 where x is 0 or rounded to it."""
    there = x > 1e-9
    return where(there, where(there, x, x * 0 + 1) ** 0.5, x * 0)
