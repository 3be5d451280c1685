"""Additive attention over the states so far, for whole episodes and step by step."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

__all__ = ["AdditiveAttention", "Memory"]

#: Steps of a query block; a block's keys end with it, so that half of the square is left out.
BLOCK = 8
#: States that a memory has room for at first; the room doubles when it is full.
ROOM = 64


class Memory(NamedTuple):
    """The states so far of B episodes. `AdditiveAttention.add` writes into its tensors.

    Attributes:
        keys: (B, R, D) what was made of the first `used` states, room for more after them.
        values: (B, R, H) these states.
        used: how many there are.
        apart: (M, D) what scores them, see `AdditiveAttention.apart`.
    """

    keys: Tensor
    values: Tensor
    used: int
    apart: Tensor


class AdditiveAttention(nn.Module):
    r"""Attention of each state to itself and those before it (Bahdanau et al. 2015), in M heads.

    .. math:: e_{tk} = v \cdot \tanh(W h_t + U h_k + b), \quad
              \alpha_t = \mathrm{softmax}_{k \le t} \, e_t, \quad
              c_t = \sum_k \alpha_{tk} h_k

    Each head has W, U, b and v of its own, and the part of h_k with its number.
    """

    def __init__(self, hidden: int, heads: int, width: int = 32) -> None:
        """Make the weights.

        Args:
            hidden: width of a state (H), a multiple of the heads.
            heads: how many (M).
            width: of all queries of a step together (D), a multiple of the heads.
        """
        super().__init__()
        self.heads, width = heads, -(-width // heads) * heads
        self.query = nn.Linear(hidden, width, bias=False)
        self.key = nn.Linear(hidden, width)
        self.score = nn.Parameter(torch.randn(heads, width // heads) * (heads / width) ** 0.5)

    def apart(self) -> Tensor:
        """Return v of each head at its own part of the width and 0 elsewhere, (M, D)."""
        return cast(Tensor, torch.block_diag(*self.score[:, None]))

    def scores(self, query: Tensor, keys: Tensor, apart: Tensor) -> Tensor:
        """Return e (..., M, Q, K) of queries (..., Q, D) and keys (..., K, D)."""
        inner = (query[..., :, None, :] + keys[..., None, :, :]).tanh_()  # (..., Q, K, D)
        return (inner @ apart.t()).movedim(-1, -3)

    def context(self, weights: Tensor, values: Tensor) -> Tensor:
        """Return c (..., Q, H) of weights (..., M, Q, K) and states (..., K, H)."""
        parts = values.unflatten(-1, (self.heads, -1)).transpose(-2, -3)  # (..., M, K, H / M)
        return cast(Tensor, (weights @ parts).transpose(-2, -3).flatten(-2))

    def forward(self, states: Tensor) -> Tensor:
        """Return the contexts (B, T, H) of states (B, T, H)."""
        query, keys, apart = self.query(states), self.key(states), self.apart()
        told = []
        for start in range(0, states.shape[1], BLOCK):
            end = min(start + BLOCK, states.shape[1])
            weights = self._causal(query[:, start:end], keys[:, :end], apart)
            told.append(self.context(weights, states[:, :end]))
        return torch.cat(told, 1)

    def weights(self, states: Tensor) -> Tensor:
        """Return alpha (B, M, T, T) of states (B, T, H): 0 where k > t."""
        return self._causal(self.query(states), self.key(states), self.apart())

    def _causal(self, query: Tensor, keys: Tensor, apart: Tensor) -> Tensor:
        """Return alpha (B, M, Q, K) of the last Q of K steps."""
        asked, steps = query.shape[1], keys.shape[1]
        later = torch.ones(asked, steps, dtype=torch.bool, device=keys.device)
        later = later.triu(steps - asked + 1)
        return self.scores(query, keys, apart).masked_fill(later, -torch.inf).softmax(-1)

    def begin(self, like: Tensor) -> Memory:
        """Return an empty memory for states like these (B, H)."""
        size, hidden = like.shape
        width = self.query.weight.shape[0]
        keys, values = like.new_empty(size, ROOM, width), like.new_empty(size, ROOM, hidden)
        return Memory(keys, values, 0, self.apart())

    def step(self, state: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Add a state (B, H) to the memory and return its context (B, H)."""
        keys, values, used, apart = memory
        if used == keys.shape[1]:
            keys, values = (torch.cat([x, torch.empty_like(x)], 1) for x in (keys, values))
        keys[:, used], values[:, used] = self.key(state), state
        used += 1
        weights = self.scores(self.query(state)[:, None], keys[:, :used], apart).softmax(-1)
        return self.context(weights, values[:, :used])[:, 0], Memory(keys, values, used, apart)
