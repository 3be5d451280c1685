"""The decoder of the CVAE-GAN: an LSTM under a latent vector, and what it plays by itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from musicgym.agents.decoders import LSTMDecoder
from musicgym.agents.melody_lstm import Embedding
from musicgym.agents.recurrence import Gates, cell, recurrence
from musicgym.events import FIRST_NOTE
from musicgym.task import Task

from .conditions import Frame, Scenes, perform_in

__all__ = ["ConditionedDecoder", "Layer", "Playing", "Unrolled"]

NEVER = -1e9


class Playing(NamedTuple):
    """A decoder's state: weights made ready, what its latents make (see `turn`), h and c (B, H)."""

    gates: Gates
    skip: Tensor
    given: Tensor
    turns: Tensor
    h: Tensor | None
    c: Tensor


class Unrolled(NamedTuple):
    """Melodies that the generator played.

    Attributes:
        events: float32 (B, T, A'), one-hot in the frame; their gradient is that of the soft ones.
        scenes: what was heard and played, with the labels it was played under.
    """

    events: Tensor
    scenes: Scenes


class Layer(nn.Module):
    """An embedding and an LSTM over it and a constant condition, first layer of either side."""

    def __init__(self, sizes: dict[str, int], width: int, hidden: int, given: int) -> None:
        """Make the layer for parts of an observation and a condition of `given` numbers."""
        super().__init__()
        self.width, self.hidden = width, hidden
        self.embedding = Embedding(sizes, width)
        self.lstm = nn.LSTM(width + given, hidden)

    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the weights (4H, W) of the embedding, (4H, K) of the condition, (4H, H), bias."""
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        w_input, w_hidden, one, other = (getattr(self.lstm, name) for name in names)
        return w_input[:, : self.width], w_input[:, self.width :], w_hidden, one + other

    def gates(self, drop: float = 0.0) -> Gates:
        """Return the weights as `recurrence` takes them, a share of them dropped."""
        embedding = self.embedding
        of_input, _, hidden, bias = self.weights()
        table = nn.functional.dropout(embedding.table.weight, drop) @ of_input.t()
        hidden = nn.functional.dropout(hidden, drop)
        return Gates(embedding.starts, embedding.most, table, bias, hidden, None)

    def condition(self, given: Tensor) -> Tensor:
        """Return what conditions (B, K) add to the gates of every step (B, 4H)."""
        return given @ self.weights()[1].t()

    def forward(self, seen: Tensor, given: Tensor, drop: float, kind: torch.dtype) -> Tensor:
        """Return outputs (T, B, H) of observations (T, B, F) under conditions (B, K)."""
        if seen.device.type == "cpu":
            return recurrence(self.gates(drop), seen, None, kind, self.condition(given))
        return self.plain(seen, given, drop, kind)

    def plain(self, seen: Tensor, given: Tensor, drop: float, kind: torch.dtype) -> Tensor:
        """Return the same by torch's own layers: cuDNN's on a GPU. What is dropped is the input."""
        below = given.expand(len(seen), -1, -1)
        with torch.autocast(seen.device.type, kind, enabled=kind != torch.float32):
            x = nn.functional.dropout(self.embedding(seen), drop)
            h: Tensor = self.lstm(torch.cat([x, below], -1))[0]
            return h.float()


class ConditionedDecoder(nn.Module):
    """p(x_t | z, C, x_<t): an LSTM in the frame, and a way past it straight to the logits."""

    def __init__(
        self, frame: Frame, sizes: dict[str, int], hidden: int, given: int, dropout: float
    ) -> None:
        """Make the layers.

        Args:
            frame: in which events are read and written.
            sizes: of the observation's parts in the frame.
            hidden: width of the embedding and of the LSTM (H).
            given: numbers of a latent (L).
            dropout: share of weights and outputs dropped in training.
        """
        super().__init__()
        self.frame = frame
        self.layer = Layer(sizes, hidden, hidden, given)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, frame.alphabet)
        self.skip = nn.Linear(hidden, frame.alphabet, bias=False)
        self.turns = nn.Linear(given, 2 * hidden)
        nn.init.zeros_(self.turns.weight)
        nn.init.zeros_(self.turns.bias)

    @staticmethod
    def turn(h: Tensor, turns: Tensor) -> Tensor:
        """Return outputs (..., B, H) scaled and shifted as a latent says, by turns (B, 2H).

        So a style or a metre chooses among what the LSTM has heard, where a sum could only add to
        it. Reference: Perez et al. 2018, FiLM (arXiv 1709.07871).
        """
        scale, shift = turns.chunk(2, -1)
        return h * (1 + scale) + shift

    def straight(self, seen: Tensor, table: Tensor, compiled: bool) -> Tensor:
        """Return what observations in the frame (..., F) add to the logits; see `skip_table`."""
        return self.layer.embedding.sums(seen, table, compiled)

    def skip_table(self) -> Tensor:
        """Return the embedding's table times the weights that go straight to the logits."""
        return self.layer.embedding.table.weight @ self.skip.weight.t()

    def whole(self, observation: Tensor, latent: Tensor, kind: torch.dtype) -> Tensor:
        """Return logits (B, T, A) of whole episodes (B, T, F) under latents (B, L)."""
        seen = self.frame.enter(observation).transpose(0, 1).contiguous()
        h = self.layer(seen, latent, self.dropout.p if self.training else 0.0, kind)
        on_host = seen.device.type == "cpu"
        h = self.turn(self.dropout(h), self.turns(latent))
        logits = self.head(h) + self.straight(seen, self.skip_table(), on_host)
        return self.frame.leave(logits.transpose(0, 1), observation)

    def begin(self, latent: Tensor) -> Playing:
        """Return the state at the start, under latents (B, L)."""
        c = latent.new_zeros(len(latent), self.layer.hidden)
        given, turns = self.layer.condition(latent), self.turns(latent)
        return Playing(self.layer.gates(), self.skip_table(), given, turns, None, c)

    def step(self, observation: Tensor, state: Playing) -> tuple[Tensor, Playing]:
        """Return logits (B, A) of one step (B, F) and the next state."""
        seen, h = self.frame.enter(observation), state.c if state.h is None else state.h
        h, _, c = cell(state.gates, seen, None, h, state.c, compiled=False, given=state.given)
        out = self.head(self.turn(h, state.turns))
        logits = out + self.straight(seen, state.skip, False)
        logits = self.frame.leave(logits[:, None], observation[:, None])[:, 0]
        return logits, state._replace(h=h, c=c)

    def as_decoder(self, observation: Tensor, state: Playing) -> LSTMDecoder:
        """Return a decoder of events out of the frame, in the key of an observation (1, F).

        The rows of its tables, and of the head, are put where that key's events look for them.
        """
        shift = self.frame.shift(observation)
        places, (starts, most, rows) = (
            self.frame.places(shift)[0],
            self.frame.rows(state.gates.most + 1, int(shift)),
        )
        gates = state.gates._replace(starts=starts, most=most, table=state.gates.table[rows])
        h = state.c if state.h is None else state.h
        scale, moved = state.turns[0].chunk(2)
        head, bias = self.head.weight * (1 + scale), self.head.bias + self.head.weight @ moved
        return LSTMDecoder(
            [gates], ((h, state.c),), head[places], bias[places],
            state.skip[rows][:, places], (state.given, None), int(shift),
        )  # fmt: skip

    def unroll(self, scenes: Scenes, latent: Tensor, task: Task) -> Unrolled:
        r"""Play melodies over the keys, chords and labels of scenes: G(z, C).

        An event is drawn by the Gumbel-softmax with temperature 1 and is hard on its way on: it
        moves the environment's own text, which says what is observed next. Its gradient is that of
        the soft event (straight-through), and goes on along two ways:

        - the event itself, which the critic hears;
        - the parts of the next observations that are linear in it: the event before, and the last
          pitch :math:`p_t = n_t + (1 - \sum n_t) p_{t-1}` for a struck note n. To their vectors in
          the embedding a term is added that is 0 and has that gradient.

        Along the other parts (runs, non-chord tones), which are steps and counts, it stops.

        Args:
            scenes: the conditions (B).
            latent: (B, L).
            task: of their metre and length, see `stage`.
        """
        frame, layer, learning = self.frame, self.layer, torch.is_grad_enabled()
        alphabet, size, device = frame.alphabet, len(latent), latent.device
        shift = frame.shift(scenes.observation[:, 0])
        allowed = torch.full((size, alphabet), NEVER, device=device)
        allowed.scatter_(1, frame.places(shift), 0.0)
        table, turns = layer.embedding.table.weight, self.turns(latent)
        of_input, _, hidden, bias = layer.weights()
        weight, fixed = torch.cat([of_input, hidden], 1).t(), layer.condition(latent) + bias
        starts = dict(zip(frame.names, layer.embedding.starts.tolist(), strict=True))
        rows = torch.cat([
            table[starts["event"] : starts["event"] + alphabet],
            table[starts["pitch"] + 1 : starts["pitch"] + 1 + alphabet - FIRST_NOTE],
        ])  # fmt: skip
        ringing = frame.names.index("ringing")
        h = c = torch.zeros(size, layer.hidden, device=device)
        event = torch.zeros(size, alphabet, device=device)
        pitch = torch.zeros(size, alphabet - FIRST_NOTE, device=device)
        played: list[Tensor] = []

        def act(t: int, seen: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
            nonlocal h, c, event, pitch
            heard = torch.from_numpy(seen).to(device)
            inside = frame.enter(heard)
            x = layer.embedding.sums(inside, table, False)
            if learning and t:
                linear = torch.cat([event, pitch], -1)
                x = x + (linear - linear.detach()) @ rows
            gates = torch.addmm(fixed, torch.cat([x, h], -1), weight)
            i, f, g, o = gates.chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            logits = self.head(self.turn(h, turns)) + self.skip(x) + allowed
            silent = heard[:, ringing, None] == 0
            hold = logits[:, :1].masked_fill(silent, NEVER)
            logits = torch.cat([hold, logits[:, 1:]], -1)
            noise = -torch.empty_like(logits).exponential_().log()
            soft = (logits + noise).softmax(-1)
            drawn = soft.argmax(-1)
            hard = nn.functional.one_hot(drawn, alphabet).float()
            event = hard + soft - soft.detach() if learning else hard
            struck = event[:, FIRST_NOTE:]
            pitch = struck + (1 - struck.sum(-1, keepdim=True)) * pitch
            played.append(event)
            events = drawn - shift * (drawn >= FIRST_NOTE)
            numbers: npt.NDArray[np.int64] = events.cpu().numpy()
            return numbers

        heard = perform_in(scenes, task, act)
        return Unrolled(torch.stack(played, 1), Scenes(*heard, scenes.labels))
