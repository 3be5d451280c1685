"""Melody_LSTM: the actor. An LSTM over events and their context, with a skip to the logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from musicgym.dynamics import Episodes

from .configs import MelodyLSTMConfig
from .decoders import LSTMDecoder
from .generators.training import Groups, Pupil
from .lessons import Lessons, nll
from .policy import ValuedPolicy, masked
from .recurrence import Gates, bag, cell, plain_bag, recurrence

__all__ = ["Embedding", "MelodyLSTM", "Player"]

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
        return self.sums(observation, self.table.weight, self.training)

    def sums(self, observation: Tensor, table: Tensor, compiled: bool) -> Tensor:
        """Return the sums (..., W) of another table's rows (R, W), chosen as this one's are.

        On a CPU the compiled loop is faster, once it is loaded.
        """
        add = bag if compiled and table.device.type == "cpu" else plain_bag
        sums = add(observation.flatten(0, -2), self.starts, self.most, table)
        return sums.view(*observation.shape[:-1], -1)

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


class MelodyLSTM(Pupil):
    """Embedding -> LSTM -> logits over events, the embedding also straight to the logits.

    Reference: ACMG, Melody_LSTM (the paper gives no sizes). It is a `Policy`.
    """

    def __init__(self, sizes: dict[str, int], n_events: int, config: MelodyLSTMConfig) -> None:
        """Make the layers for the parts of an observation and A events."""
        super().__init__()
        self.sizes, self.config = dict(sizes), config
        self.embedding = Embedding(sizes, config.hidden)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(config.hidden, config.hidden, config.layers, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, n_events)
        self.skip = nn.Linear(config.hidden, n_events, bias=False)

    def features(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        given: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return what goes straight to the logits (T, B, A), and the LSTM's outputs (T, B, H).

        On a CPU and without dropout the embedding is folded into the weights (see `recurrence`).

        Args:
            observation: uint8 (T, B, F), whole episodes, time first.
            kind: the type of the products, float32 or bfloat16.
            given: (B, H) what a condition adds to the embedding of every step, or None.
        """
        if observation.device.type == "cpu" and not (self.training and self.dropout.p):
            added, straight = (None, None) if given is None else self.condition(given)
            h: Tensor | None = None
            for gates in self.gates():
                h = recurrence(gates, observation, h, kind, added)
                added = None
            assert h is not None
            skip = self.embedding.sums(observation, self.skip_table(), True)
            return skip if straight is None else skip + straight, h
        return self.plain_features(observation, kind, given)

    def condition(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a condition (B, H) adds to the first gates (B, 4H) and the logits (B, A)."""
        return given @ self.lstm.all_weights[0][0].t(), given @ self.skip.weight.t()

    def plain_features(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        given: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the same by torch's own layers: cuDNN's on a GPU, and dropout."""
        with torch.autocast(observation.device.type, kind, enabled=kind != torch.float32):
            x = self.embedding(observation)
            x = self.dropout(x if given is None else x + given)
            h = self.dropout(self.lstm(x)[0])
            return self.skip(x).float(), h.float()

    def whole(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, A) of whole episodes (B, T, F); there is no latent vector.

        In evaluation mode it is `forward` at every step, fused.
        """
        skip, h = self.features(observation.transpose(0, 1).contiguous(), kind)
        return cast(Tensor, self.head(h) + skip).transpose(0, 1)

    def losses(self, batch: Lessons, share: float, training: Any) -> dict[str, Tensor]:
        """Return the mean negative log-likelihood () of the events, in nats a step."""
        return {"nll": nll(self.whole(batch.observation), batch, self._ringing).mean()}

    def figures(self, data: Lessons) -> dict[str, float]:
        """Return the NLL in nats a step and the share of events that are predicted best."""
        logits = self.whole(data.observation)
        best = masked(logits, data.observation, self._ringing).argmax(-1)
        return {
            "nll": float(nll(logits, data, self._ringing).mean()),
            "accuracy": float((best == data.events).float().mean()),
        }

    def fill_gaps(self, groups: Groups) -> None:
        """Give the values that training never showed a typical vector."""
        self.embedding.fill_unseen(groups[0].observation)

    @property
    def _ringing(self) -> int:
        return list(self.sizes).index("ringing")

    def gates(self) -> list[Gates]:
        """Return the layers' weights, the embedding folded into those of the first."""
        layers = []
        for layer in range(self.config.layers):
            w_input, w_hidden, b_input, b_hidden = (
                getattr(self.lstm, f"{name}_l{layer}") for name in _WEIGHTS
            )
            table = self.embedding.table.weight[: None if layer == 0 else 0] @ w_input.t()
            above = None if layer == 0 else w_input
            layers.append(
                Gates(
                    self.embedding.starts, self.embedding.most, table, b_input + b_hidden,
                    w_hidden, above,
                )
            )  # fmt: skip
        return layers

    def skip_table(self) -> Tensor:
        """Return the embedding's table times the weights that go straight to the logits (R, A)."""
        return self.embedding.table.weight @ self.skip.weight.t()

    def prepared(
        self,
        kind: torch.dtype = torch.float32,
        values: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Player:
        """Return this policy made ready for a rollout: it plays the same, faster (see `Player`)."""
        return Player(self, kind, values)

    def initial_state(self, episodes: Episodes) -> LSTMState:
        """Return zeros for each layer."""
        return self.prepared().initial_state(episodes)

    def forward(self, observation: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Return logits (B, A) of one step (B, F) and the next state."""
        return self.prepared()(observation, state)


class Player(ValuedPolicy):
    """A Melody_LSTM ready for a rollout: what its weights make of the embedding is made once."""

    @torch.no_grad()
    def __init__(
        self,
        model: MelodyLSTM,
        kind: torch.dtype = torch.float32,
        values: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Fold the embedding into the weights; a model in training plays by compiled loops.

        Args:
            model: the policy.
            kind: the type of the recurrent products, float32 or bfloat16.
            values: what estimates values (B,) from observations (B, F) and outputs (B, H), if
                anything does.
        """
        self.embedding, self.values = model.embedding, values
        self.compiled = model.training and model.head.weight.device.type == "cpu"
        self.layers = [
            gates._replace(
                hidden=gates.hidden.to(kind),
                input=None if gates.input is None else gates.input.to(kind),
            )
            for gates in model.gates()
        ]
        self.skip, self.head = model.skip_table(), model.head

    @property
    def tensors(self) -> list[Tensor]:
        """What was made of the model's weights, which other weights make anew."""
        made = [t for gates in self.layers for t in (gates.table, gates.bias, gates.hidden)]
        return [*made, *(g.input for g in self.layers if g.input is not None), self.skip]

    def copied(self) -> Player:
        """Return a player with tensors of its own; head and critic are shared."""
        other = copy.copy(self)
        other.skip = self.skip.clone()
        other.layers = [
            gates._replace(
                table=gates.table.clone(),
                bias=gates.bias.clone(),
                hidden=gates.hidden.clone(),
                input=None if gates.input is None else gates.input.clone(),
            )
            for gates in self.layers
        ]
        return other

    def initial_state(self, episodes: Episodes) -> LSTMState:
        """Return zeros for each layer."""
        return self.start(len(episodes.tonic))

    def start(self, size: int) -> LSTMState:
        """Return the state (size, H) of each layer at the start."""
        like = self.layers[0].hidden
        zeros = like.new_zeros(size, like.shape[1])
        return tuple((zeros, zeros.float()) for _ in self.layers)

    def step(
        self,
        observation: Tensor,
        state: LSTMState,
        given: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None, LSTMState]:
        """Return logits (B, A), values (B,) if it estimates any, and the next state.

        Args:
            observation: uint8 (B, F).
            state: the layers' before.
            given: what `MelodyLSTM.condition` returned, or None.
        """
        added, straight = given or (None, None)
        below: Tensor | None = None
        after = []
        for gates, (h, c) in zip(self.layers, state, strict=True):
            new, below, c = cell(gates, observation, below, h, c, self.compiled, added)
            after.append((below, c))
            added = None
        logits = self.head(new) + self.embedding.sums(observation, self.skip, self.compiled)
        logits = logits if straight is None else logits + straight
        values = self.values(observation, new) if self.values else None
        return logits, values, tuple(after)

    def as_decoder(
        self, observation: Tensor, state: LSTMState, given: tuple[Tensor, Tensor] | None = None
    ) -> LSTMDecoder:
        """Return what plays on, as `sampler` takes it; the arguments are those of `step`."""
        return LSTMDecoder(self.layers, state, self.head.weight, self.head.bias, self.skip, given)


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
