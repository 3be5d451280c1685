"""Melody_LSTM: the actor. An LSTM over events and their context, with a skip to the logits."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from musicgym.dynamics import Episodes

from .configs import MelodyLSTMConfig

__all__ = ["Embedding", "MelodyLSTM"]

LSTMState = tuple[tuple[Tensor, Tensor], ...]  # (h, c) a layer, each (B, H)


class Embedding(nn.Module):
    """The sum of one vector for each part of a compact observation: one-hot times matrix, fast."""

    starts: Tensor
    most: Tensor

    def __init__(self, sizes: dict[str, int], width: int) -> None:
        """Make the table; `sizes` are the parts of the observation."""
        super().__init__()
        counts = torch.tensor(list(sizes.values()))
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("most", counts - 1, persistent=False)
        self.table = nn.Embedding(int(counts.sum()), width)
        nn.init.normal_(self.table.weight, std=len(sizes) ** -0.5)

    def forward(self, observation: Tensor) -> Tensor:
        """Return (..., width) of uint8 (..., F).

        A value beyond its part's size counts as the largest: a longer melody has its first bars
        read as "many bars to go".
        """
        places = torch.minimum(observation.long(), self.most) + self.starts  # (..., F)
        flat = nn.functional.embedding_bag(
            places.flatten(0, -2), self.table.weight, mode="sum"
        )  # (N, width)
        return flat.view(*observation.shape[:-1], -1)

    @torch.no_grad()
    def fill_unseen(self, observation: Tensor) -> None:
        """Set the vector of each value that an observation never shows to the mean of its part's.

        Values that training never showed (rare chords, say) then count as a typical one, where
        their random vectors would be noise.
        """
        weight = self.table.weight
        places = (observation.long() + self.starts).flatten()
        counts = torch.bincount(places, minlength=len(weight))
        sizes = (self.most + 1).tolist()
        for part, n in zip(weight.split(sizes), counts.split(sizes), strict=True):
            part[n == 0] = (part * n[:, None]).sum(0) / n.sum()


class MelodyLSTM(nn.Module):
    """Embedding -> LSTM -> logits over events, the embedding also straight to the logits.

    Reference: ACMG, Melody_LSTM (the paper gives no sizes). It is a `Policy`.
    """

    def __init__(self, sizes: dict[str, int], n_events: int, config: MelodyLSTMConfig) -> None:
        """Make the layers for the parts of an observation and A events."""
        super().__init__()
        self.config = config
        self.embedding = Embedding(sizes, config.hidden)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(
            config.hidden, config.hidden, config.layers, batch_first=True, dropout=between
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, n_events)
        self.skip = nn.Linear(config.hidden, n_events, bias=False)

    def features(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings and LSTM outputs, each (B, T, H), of whole episodes (B, T, F)."""
        x = self.dropout(self.embedding(observation))
        h, _ = self.lstm(x)
        return x, self.dropout(h)

    def whole(self, observation: Tensor) -> Tensor:
        """Return logits (B, T, A) of whole episodes (B, T, F).

        In evaluation mode it is `forward` at every step, fused.
        """
        x, h = self.features(observation)
        return cast(Tensor, self.head(h) + self.skip(x))

    def initial_state(self, episodes: Episodes) -> LSTMState:
        """Return zeros for each layer."""
        like = self.head.weight
        zeros = like.new_zeros(len(episodes.tonic), self.config.hidden)
        return tuple((zeros, zeros) for _ in range(self.config.layers))

    def forward(self, observation: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Return logits (B, A) of one step (B, F) and the next state."""
        x = h = self.embedding(observation)  # (B, H)
        after = []
        for layer, (before, cell) in enumerate(state):
            weights = [getattr(self.lstm, f"{name}_l{layer}") for name in _WEIGHTS]
            w_input, w_hidden, b_input, b_hidden = weights
            gates = torch.addmm(
                torch.addmm(b_input + b_hidden, h, w_input.t()), before, w_hidden.t()
            )
            i, f, g, o = gates.chunk(4, dim=-1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            h = o.sigmoid() * cell.tanh()
            after.append((h, cell))
        return self.head(h) + self.skip(x), tuple(after)


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
