"""ActorCritic: an actor, a Melody_LSTM or a generator, and a value estimate beside it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .configs import ActorConfig, ActorCriticConfig, MelodyLSTMConfig
from .generators import make_generator
from .generators.generator import Generator
from .melody_lstm import Embedding, MelodyLSTM
from .policy import ValuedPolicy

__all__ = ["Actor", "ActorCritic", "make_actor"]

Actor = MelodyLSTM | Generator


def make_actor(sizes: dict[str, int], n_events: int, config: ActorConfig) -> Actor:
    """Return the untrained model of a size, for the parts of an observation and A events."""
    if isinstance(config, MelodyLSTMConfig):
        return MelodyLSTM(sizes, n_events, config)
    return make_generator(sizes, n_events, config)


class ActorCritic(nn.Module):
    """Logits and values of whole episodes. The critic sees the observation, which is Markov."""

    def __init__(self, sizes: dict[str, int], n_events: int, config: ActorCriticConfig) -> None:
        """Make the actor and the critic for the parts of an observation and A events."""
        super().__init__()
        self.config = config
        self.actor = make_actor(sizes, n_events, config.actor)
        width = config.critic_hidden
        if config.shared:
            assert isinstance(config.actor, MelodyLSTMConfig)
            self.value = nn.Linear(config.actor.hidden, 1)
        else:
            self.critic = nn.Sequential(
                Embedding(sizes, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                nn.Linear(width, 1),
            )  # fmt: skip

    def forward(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits (T, B, A) and normalised values (T, B) of episodes (T, B, F), time first.

        Args:
            observation: uint8.
            kind: the type of the products, float32 or bfloat16.
            latent: (B, L) what a generator plays under.
        """
        if isinstance(self.actor, Generator):
            logits = self.actor.whole(observation.transpose(0, 1), kind, latent)
            return logits.transpose(0, 1), self.values(observation)
        skip, h = self.actor.features(observation, kind)
        return self.actor.head(h) + skip, self.values(observation, h)

    def values(self, observation: Tensor, h: Tensor | None = None) -> Tensor:
        """Return normalised values (...) of observations (..., F) and LSTM outputs (..., H)."""
        values = self.value(h) if self.config.shared else self.critic(observation)
        return cast(Tensor, values.squeeze(-1))

    def prepared(self, kind: torch.dtype = torch.float32) -> ValuedPolicy:
        """Return the actor made ready for a rollout, with the values beside its logits."""
        return self.actor.prepared(kind, self.values)
