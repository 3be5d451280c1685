"""ActorCritic: a Melody_LSTM that acts and a value estimate beside it."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from .configs import ActorCriticConfig
from .melody_lstm import Embedding, MelodyLSTM

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

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, A) and normalised values (B, T) of episodes (B, T, F)."""
        actor = self.actor
        if self.config.shared:
            x, h = actor.features(observation)
            return actor.head(h) + actor.skip(x), cast(Tensor, self.value(h).squeeze(-1))
        return actor.whole(observation), cast(Tensor, self.critic(observation).squeeze(-1))
