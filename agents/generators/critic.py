"""The critic of the CVAE-GAN: a convolution over time that scores whole melodies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musicgym.agents.melody_lstm import Embedding
from musicgym.events import FIRST_NOTE, HOLD

from .conditions import Frame, Scenes

__all__ = ["MelodyCritic", "gradient_penalty"]

#: The parts of an observation that are conditions.
GIVEN = ("position", "bars_left", "root", "quality", "mode", "tonic")
#: Gradients of the critic are held to this norm.
NORM = 1.0
#: The mean over time is multiplied by this: the gradient's norm then starts near a quarter, not at
#: a hundredth, and the penalty need not spend the first epochs on raising it.
GAIN = 16.0


class MelodyCritic(nn.Module):
    """Scores melodies under their conditions, high for the corpus's; no batch norm (WGAN-GP).

    Convolutions and not a recurrence: the penalty differentiates twice, which cuDNN's recurrent
    layers do not allow.
    """

    fold: Tensor

    def __init__(self, frame: Frame, sizes: dict[str, int], labels: int, channels: int) -> None:
        """Make the layers.

        Args:
            frame: in which events are given.
            sizes: of the observation's parts.
            labels: numbers of a scene's labels.
            channels: of the first layers; the last has twice as many.
        """
        super().__init__()
        self.frame = frame
        self.given = Embedding({name: sizes[name] for name in GIVEN}, channels)
        self.labels = nn.Linear(labels, channels, bias=False)
        notes = frame.alphabet - FIRST_NOTE
        self.music = nn.Linear(frame.alphabet + notes + 12, channels)
        layers: list[nn.Module] = []
        before = channels
        for width, kernel, stride in ((1, 5, 1), (1, 5, 2), (2, 5, 2), (2, 3, 1)):
            layers += [
                nn.LeakyReLU(0.2),
                nn.Conv1d(before, width * channels, kernel, stride, kernel // 2),
            ]
            before = width * channels
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(0.2))
        self.head = nn.Linear(before, 1)
        classes = torch.arange(notes) % 12
        self.register_buffer("fold", nn.functional.one_hot(classes, 12).float(), persistent=False)

    def read(self, events: Tensor, observation: Tensor) -> Tensor:
        """Return what the critic hears (B, T, C): events, what sounds, and this above the chord.

        Args:
            events: float (B, T, A'), one-hot or soft, in the frame.
            observation: uint8 (B, T, F), whose chords and key count.
        """
        notes, hold = events[..., FIRST_NOTE:], events[..., HOLD, None]
        sounding, steps = torch.zeros_like(notes[:, 0]), []
        for t in range(events.shape[1]):
            sounding = notes[:, t] + hold[:, t] * sounding
            steps.append(sounding)
        roll = torch.stack(steps, 1)  # (B, T, A' - 2)
        root = self.frame.part(observation, "root")
        # A note's place in the frame is its pitch above the corpus's key, 5 semitones up.
        first = 9 * self.frame.part(observation, "mode") + self.frame.home + 5
        above = torch.arange(12, device=root.device)
        rows = (above + (first + root)[..., None]) % 12
        return torch.cat([events, roll, (roll @ self.fold).gather(-1, rows)], -1)

    def forward(self, heard: Tensor, scenes: Scenes) -> Tensor:
        """Return scores (B,) of what is heard (B, T, C) under the conditions of scenes."""
        columns = [self.frame.names.index(name) for name in GIVEN]
        x = self.music(heard) + self.given(scenes.observation[..., columns])
        x = x + self.labels(scenes.labels)[:, None]
        h = GAIN * self.layers(x.transpose(1, 2)).mean(-1)
        scores: Tensor = self.head(h).squeeze(-1)
        return scores


def gradient_penalty(
    critic: MelodyCritic, real: Tensor, fake: Tensor, scenes: Scenes, share: Tensor
) -> Tensor:
    r"""Return the penalty () on points between melodies of the corpus and of the generator.

    .. math:: E[(|\nabla_x D(x)| - 1)^2], \quad x = u \, real + (1 - u) \, fake

    Reference: Gulrajani et al. 2017 (arXiv 1704.00028), Eq. 3.

    Args:
        critic: D.
        real: (B, T, C) see `MelodyCritic.read`.
        fake: the same, under the same conditions.
        scenes: the conditions.
        share: u (B,), from 0 to 1.
    """
    u = share[:, None, None]
    between = (u * real + (1 - u) * fake).detach().requires_grad_()
    scores = critic(between, scenes)
    (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    lengths = (gradient.square().sum((1, 2)) + 1e-12).sqrt()
    return (lengths - NORM).square().mean()
