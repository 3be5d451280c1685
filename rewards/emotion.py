"""Learned: how near a melody is to an emotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from musicgym.emotion import EmotionTargets, distances, emotion_of, number
from musicgym.learned import Learned, Melodies, WholeMelody
from musicgym.select import Array


@dataclass
class Emotion(Learned, WholeMelody):
    r"""Takes at the last step for the distance of the whole melody to a target emotion.

    .. math:: -\sqrt{\frac15 \sum_j \left( \frac{emotion_j(x) - target_j}{\sigma_j} \right)^2}

    over note density, mean absolute interval, spread, register and mode
    (`musicgym.emotion.emotion`), with targets and deviations of a corpus: -1 is one standard
    deviation off in each.

    Reference: Zhao et al., the emotional consistency loss, as a reward. Departs from it: the root
    of the mean square, so that the pull is as strong far from the target as near it. Range: up to
    0, on the corpus mostly above -3. Silent on: every step but the last. A melody of rests only
    counts as 0 in all five. Any range and key will do: the register is counted from the tonic
    nearest to the lowest pitch. The density depends on the grid, so the grid and meter must be
    those of the checkpoint, if there is one.

    Args:
        scorer: the checkpoint of a ``hierarchical_vae``, which keeps the targets of its corpus; or
            the targets as plain numbers, ``{"values": five rows of five, "deviations": five}``; or
            any object whose ``emotions`` are `musicgym.emotion.EmotionTargets`.
        loader: reads a checkpoint.
        target: one of ``cheerful``, ``sad``, ``calm``, ``tense`` and ``neutral``.

    >>> import numpy as np
    >>> table = {"values": np.zeros((5, 5)).tolist(), "deviations": [0.5, 1, 1, 1, 1]}
    >>> from musicgym.env import MelodyComposeEnv
    >>> rewards = {"emotion": {"scorer": table, "target": "sad"}}
    >>> env = MelodyComposeEnv(bars=1, progression="I", rewards=rewards)
    >>> observation, info = env.reset(seed=1)
    >>> [round(env.step(2)[1], 3) for _ in range(8)][-2:]  # eight C3: a density of 1
    [0.0, -0.894]
    """

    target: str = field(kw_only=True)

    name: ClassVar[str] = "emotion"

    def __post_init__(self) -> None:
        """Check the emotion, and take or load its targets."""
        try:
            self._place = number(self.target)
            if isinstance(self.scorer, Mapping):
                self._known = EmotionTargets(**self.scorer)
        except (TypeError, ValueError) as error:
            raise ValueError(f"rewards: {error}") from error
        super().__post_init__()
        if not isinstance(self.scorer, Mapping):
            if not isinstance(getattr(self.judge, "emotions", None), EmotionTargets):
                raise ValueError(
                    f"rewards: emotion: a {type(self.judge).__name__} has no targets: give a path, "
                    'plain numbers {"values": ..., "deviations": ...}, or an object with emotions.'
                )
            self._known = self.judge.emotions

    def score(self, melodies: Melodies) -> Array:
        """Return minus the distances (N,) of melodies."""
        c, tonic = melodies.c, melodies.episodes.tonic
        features = emotion_of(melodies.events, c.low, tonic, c.n_events)
        return -distances(features, self._known, without=())[:, self._place]
