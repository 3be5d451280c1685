"""LSTMVAE: a recurrent encoder and a recurrent decoder, with a latent vector between them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from musicgym.agents.configs import LSTMVAEConfig, MelodyLSTMConfig
from musicgym.agents.decoders import LSTMDecoder
from musicgym.agents.lessons import Lessons
from musicgym.agents.melody_lstm import Embedding, LSTMState, MelodyLSTM, Player

from .generator import Generator
from .latent import Posterior
from .training import Groups

__all__ = ["LSTMVAE"]


class Standing(NamedTuple):
    """Where a play stands.

    Attributes:
        player: the decoder, ready.
        given: what the latent adds to its first gates and to its logits.
        layers: the state of each layer.
    """

    player: Player
    given: tuple[Tensor, Tensor]
    layers: LSTMState


class LSTMVAE(Generator):
    r"""Two LSTM layers on either side of z (Pricop & Iftene 2024, VAE-LSTM).

    The encoder reads a melody with its chords and metre; mean and log-variance of z are linear in
    the mean of its outputs and the last one. The decoder is a `MelodyLSTM`; its input at every step
    is

    .. math:: x_t = E(observation_t) + U z + b

    and its logits see :math:`x_t` straight as well.
    """

    config: LSTMVAEConfig

    def __init__(self, sizes: dict[str, int], n_events: int, config: LSTMVAEConfig) -> None:
        """Make the layers for the parts of an observation and A events."""
        super().__init__(sizes, n_events, config)
        hidden, layers, dropout = config.hidden, config.layers, config.dropout
        self.heard, self.written = Embedding(sizes, hidden), nn.Embedding(n_events, hidden)
        self.encoder = nn.LSTM(hidden, hidden, layers, dropout=dropout if layers > 1 else 0.0)
        self.posterior = nn.Linear(2 * hidden, 2 * config.latent)
        self.up = nn.Linear(config.latent, hidden)
        self.decoder = MelodyLSTM(sizes, n_events, MelodyLSTMConfig(hidden, layers, dropout))
        self.dropout = nn.Dropout(dropout)

    def encode(self, lessons: Lessons) -> Posterior:
        """Return q(z | melody) of whole melodies."""
        x = self.heard(lessons.observation) + self.written(lessons.events)  # (B, T, H)
        h = self.encoder(self.dropout(x).transpose(0, 1))[0]  # (T, B, H)
        told = self.posterior(self.dropout(torch.cat([h.mean(0), h[-1]], -1)))
        mean, log_variance = told.float().chunk(2, -1)
        return Posterior(mean, log_variance)

    def whole(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, A) of whole episodes uint8 (B, T, F) under latents (B, Z)."""
        if latent is None:
            latent = self.middle(len(observation))
        seen = observation.transpose(0, 1).contiguous()
        skip, h = self.decoder.features(seen, kind, self.up(latent))
        logits: Tensor = self.decoder.head(h) + skip
        return logits.transpose(0, 1)

    def begin(self, latent: Tensor) -> Standing:
        """Return the decoder's state at the start, under latents (B, Z)."""
        player = self.decoder.prepared()
        return Standing(player, self.decoder.condition(self.up(latent)), player.start(len(latent)))

    def step(self, observation: Tensor, state: Standing) -> tuple[Tensor, Standing]:
        """Return logits (B, A) of one step uint8 (B, F) and the next state."""
        logits, _, layers = state.player.step(observation, state.layers, state.given)
        return logits, state._replace(layers=layers)

    def as_decoder(self, observation: Tensor, state: Standing) -> LSTMDecoder:
        """Return what plays on, as `sampler` takes it; the arguments are those of `step`."""
        return state.player.as_decoder(observation, state.layers, state.given)

    def fill_gaps(self, groups: Groups) -> None:
        """Give the values that training never showed a typical vector."""
        for embedding in (self.heard, self.decoder.embedding):
            embedding.fill_unseen(groups[0].observation)
