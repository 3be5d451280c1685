"""ActorCritic: a Melody_LSTM that acts and a value estimate beside it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .configs import ActorCriticConfig
from .melody_lstm import Embedding, MelodyLSTM, Player

__all__ = ["ActorCritic"]


class ActorCritic(nn.Module):
    """Logits and values of whole episodes. The critic sees the observation, which is Markov."""

    def __init__(self, sizes: dict[str, int], n_events: int, config: ActorCriticConfig) -> None:
        """Make the actor and the critic for the parts of an observation and A events."""
        super().__init__()
        self.config = config
        self.actor = MelodyLSTM(sizes, n_events, config.actor)
        width = config.critic_hidden
        if config.shared:
            self.value = nn.Linear(config.actor.hidden, 1)
        else:
            self.critic = nn.Sequential(
                Embedding(sizes, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                nn.Linear(width, 1),
            )  # fmt: skip

    def forward(
        self, observation: Tensor, kind: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Return logits (T, B, A) and normalised values (T, B) of episodes (T, B, F), time first.

        Args:
            observation: uint8.
            kind: the type of the LSTM's products, float32 or bfloat16.
        """
        skip, h = self.actor.features(observation, kind)
        return self.actor.head(h) + skip, self.values(observation, h)

    def values(self, observation: Tensor, h: Tensor) -> Tensor:
        """Return normalised values (...) of observations (..., F) and LSTM outputs (..., H)."""
        values = self.value(h) if self.config.shared else self.critic(observation)
        return cast(Tensor, values.squeeze(-1))

    def prepared(self, kind: torch.dtype = torch.float32) -> Player:
        """Return the actor made ready for a rollout, with the values beside its logits."""
        return Player(self.actor, kind, self.values)
