"""Generator: what the four generators have in common, as models, as policies and as judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from musicgym.agents.configs import GeneratorConfig
from musicgym.agents.lessons import Lessons, nll
from musicgym.agents.policy import ValuedPolicy, normals
from musicgym.dynamics import Episodes

from .latent import Posterior, active_units
from .training import Pupil

__all__ = ["Generator", "LatentPlayer"]

Values = Callable[[Tensor], Tensor]
#: The types that products can be made in, as settings name them.
PRODUCTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Generator(Pupil):
    """A model p(events | z, conditions) with an encoder q(z | melody); it is a `LatentPolicy`.

    A subclass writes `encode`, `whole`, `begin` and `step`. A latent (B, L) is z (B, Z) and, where
    the model has attributes, their condition after it.

    Attributes:
        attributes: what can be asked for beside z: name -> its values, such as ``{"emotion":
            ("sad", ...)}``.
    """

    attributes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, sizes: dict[str, int], n_events: int, config: GeneratorConfig) -> None:
        """Keep the parts of an observation, the number of events (A) and the size."""
        super().__init__()
        self.sizes, self.n_events, self.config = dict(sizes), n_events, config
        self.ringing = list(sizes).index("ringing")

    def encode(self, lessons: Lessons) -> Posterior:
        """Return q(z | melody) of whole melodies; it sees events and observations."""
        raise NotImplementedError

    def whole(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, A) of whole episodes uint8 (B, T, F) under latents (B, L).

        Logits at step t depend on the observations up to t only. In evaluation mode they are those
        of `step`, fused. Without latents they are those of `middle`.
        """
        raise NotImplementedError

    def begin(self, latent: Tensor) -> Any:
        """Return the decoder's state at the start, under latents (B, L)."""
        raise NotImplementedError

    def step(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) of one step uint8 (B, F) and the next state."""
        raise NotImplementedError

    def condition(self, lessons: Lessons) -> Tensor:
        """Return the melodies' own attributes as they stand after z, (B, L - Z)."""
        return lessons.events.new_zeros(len(lessons.events), 0, dtype=torch.float32)

    def premise(self, lessons: Lessons) -> Tensor:
        """Return the attributes that melodies are read under in training and validation."""
        return self.condition(lessons)

    def asked(self, count: int, chance: Tensor | None = None, **attributes: str) -> Tensor:
        """Return attributes that are asked for as they stand after z, (count, L - Z).

        Args:
            count: how many rows.
            chance: int64 (count,) 32 random bits that draw what is not asked for.
            attributes: such as ``emotion="sad"``.

        Raises:
            ValueError: this model has no such attribute, or it no such value.
        """
        for name, value in attributes.items():
            if value not in self.attributes.get(name, ()):
                known = "; ".join(f"{n}: {', '.join(v)}" for n, v in self.attributes.items())
                raise ValueError(
                    f"{name}: {value!r} is nothing that {type(self).__name__} has learned "
                    f"({known or 'it has no attributes'})."
                )
        return torch.zeros(count, 0, device=next(self.parameters()).device)

    def middle(self, count: int, **attributes: str) -> Tensor:
        """Return latents (count, L) with z = 0, the middle of the prior, as `asked`."""
        asked = self.asked(count, None, **attributes)
        return torch.cat([asked.new_zeros(count, self.config.latent), asked], -1)

    def embed(self, lessons: Lessons) -> Tensor:
        """Return the latents (B, L) of melodies: the posterior's mean, and their own attributes."""
        return torch.cat([self.encode(lessons).mean, self.condition(lessons)], -1)

    def draw(self, chance: Tensor, **attributes: str) -> Tensor:
        """Return latents (B, L) from 32 random bits an episode, int64 (B,): z from the prior."""
        chance = chance.to(next(self.parameters()).device)
        z = normals(chance, self.config.latent)
        return torch.cat([z, self.asked(len(chance), chance, **attributes)], -1)

    def losses(self, batch: Lessons, share: float, training: Any) -> dict[str, Tensor]:
        r"""Return the loss () under ``"loss"``, to be minimised, and its parts, all in nats a step.

        .. math:: \frac1T \left( -\log p(x | z) + \beta \sum_j \max(\lambda, KL_j) \right)

        with beta rising over the first `warmup` of the training and lambda free bits a number of z
        (Kingma et al. 2016, arXiv 1606.04934; KL_j is a mean over the batch).

        Args:
            batch: whole melodies.
            share: how much of the training is over, 0 to 1.
            training: the weights.
        """
        steps, kind = batch.events.shape[1], PRODUCTS[getattr(training, "precision", "float32")]
        with torch.autocast(batch.events.device.type, kind, enabled=kind != torch.float32):
            posterior = self.encode(batch)
        latent = torch.cat([posterior.sample(), self.premise(batch)], -1)
        reconstruction = nll(self.whole(batch.observation, kind, latent), batch, self.ringing)
        kl = posterior.kl().mean(0)  # (Z,)
        risen = min(1.0, share / training.warmup) if training.warmup else 1.0
        held = kl.clamp(min=training.free_bits).sum()
        told = reconstruction.mean()
        return {
            "loss": told + training.beta * risen * held / steps,
            "reconstruction": told,
            "kl": kl.sum() / steps,
        }

    @torch.no_grad()
    def figures(self, data: Lessons) -> dict[str, float]:
        """Return what validation reports, in nats a step.

        ``"loss"``, which stops the training, bounds the NLL with one draw of z a melody.
        """
        posterior, steps = self.encode(data), data.events.shape[1]
        latent = torch.cat([posterior.sample(), self.premise(data)], -1)
        told = nll(self.whole(data.observation, latent=latent), data, self.ringing).mean()
        kl = posterior.kl().sum(-1).mean() / steps
        return {
            "loss": float(told + kl),
            "reconstruction": float(told),
            "kl": float(kl),
            "active_units": float(active_units(posterior).sum()),
        }

    def prepared(
        self,
        kind: torch.dtype = torch.float32,
        values: Values | None = None,
        latent: Tensor | None = None,
        **attributes: str,
    ) -> LatentPlayer:
        """Return this policy made ready for a rollout; see `LatentPlayer`."""
        return LatentPlayer(self, kind, values, latent, attributes)

    def initial_state(self, episodes: Episodes, latent: Tensor | None = None) -> Any:
        """Return the state at the start of the episodes."""
        return self.prepared().initial_state(episodes, latent)

    def forward(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) of one step (B, F) and the next state."""
        return self.step(observation, state)


class LatentPlayer(ValuedPolicy):
    """A generator ready for a rollout, with what is asked of it."""

    def __init__(
        self,
        model: Generator,
        kind: torch.dtype = torch.float32,
        values: Values | None = None,
        latent: Tensor | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the model and what is asked of it.

        Args:
            model: the generator.
            kind: the type of the products, float32 or bfloat16.
            values: what estimates values (B,) from observations (B, F), if anything does.
            latent: (L,) or (B, L) to play under, in place of what would be drawn.
            attributes: what is asked for where z is drawn, such as ``{"emotion": "sad"}``.
        """
        self.model, self.kind, self.values = model, kind, values
        self.latent, self.attributes = latent, dict(attributes or {})
        model.asked(1, None, **self.attributes)  # a mistake shows now
        if hasattr(model, "as_decoder"):  # for compiled functions (see `sampler`)
            self.as_decoder = model.as_decoder

    def draw(self, chance: Tensor) -> Tensor:
        """Return latents (B, L) from 32 random bits an episode, int64 (B,)."""
        if self.latent is None:
            return self.model.draw(chance, **self.attributes)
        return self.latent.expand(len(chance), -1)

    def initial_state(self, episodes: Episodes, latent: Tensor | None = None) -> Any:
        """Return the state at the start; without latents they are drawn from the episodes' keys."""
        if latent is None:
            latent = self.draw(torch.as_tensor(episodes.key))
        whole = self.model.config.latent + self.model.asked(1).shape[1]
        if latent.shape[-1] != whole:
            raise ValueError(
                f"latent: {latent.shape[-1]} numbers were given, and {type(self.model).__name__} "
                f"plays under {whole}."
            )
        return self.model.begin(latent)

    def step(self, observation: Tensor, state: Any) -> tuple[Tensor, Tensor | None, Any]:
        """Return logits (B, A), values (B,) if it estimates any, and the next state."""
        logits, state = self.model.step(observation, state)
        return logits, self.values(observation) if self.values else None, state
