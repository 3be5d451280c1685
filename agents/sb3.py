"""Stable-Baselines3 beside our own agents: its models learn on the same melodies and play as ours.

A model learns on the one-hot observations of many native environments at once, with the reward
divided by the running deviation of the return, as SB3's own `VecNormalize` does. It has no prior
and no price of KL. What it plays are logits over events, so its KL and its entropy are known.
"""

from __future__ import annotations

import importlib
import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.env import observation_space
from musicgym.events import HOLD, REST
from musicgym.observation import layout
from musicgym.task import Task
from musicgym.theory import closest

from .policy import ringing_column

__all__ = [
    "ALGORITHMS",
    "SB3Config",
    "SB3Policy",
    "algorithm_class",
    "alias",
    "as_played",
    "own_randomness",
    "read_zip",
    "sizes_of",
    "untrained",
]

#: Algorithm -> its package and class; those with a distribution over events.
ALGORITHMS = {
    "ppo": ("stable_baselines3", "PPO"),
    "a2c": ("stable_baselines3", "A2C"),
    "recurrent_ppo": ("sb3_contrib", "RecurrentPPO"),
}
#: What of SB3's `policy_kwargs` says how large a policy is.
SIZES = (
    "net_arch", "lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm",
    "share_features_extractor",
)  # fmt: skip
ACTIVATION = re.compile(r"torch\.nn\.modules\.activation\.(Tanh|ReLU|ELU|GELU|SiLU|LeakyReLU)\b")
#: The three observations by their spaces.
SPACES = {"flat": "Box", "compact": "MultiDiscrete", "dict": "Dict"}


@dataclass(frozen=True)
class SB3Config:
    """How a Stable-Baselines3 model learns; the names are SB3's.

    Attributes:
        algorithm: ``"ppo"``, ``"a2c"`` or ``"recurrent_ppo"`` (sb3-contrib's).
        total_steps: environment steps of the whole run, rounded up to whole rollouts.
        n_envs: melodies played at once.
        n_steps: steps of a rollout; 0 is a whole melody.
        batch_size: steps of a minibatch; A2C has none.
        n_epochs: passes over a rollout; A2C has one.
        learning_rate: at the start; it falls linearly to 0.
        gamma: discount.
        gae_lambda: lambda of the generalised advantage.
        ent_coef: weight of the entropy bonus.
        hidden: width of the two layers of actor and critic, and of a recurrent model's LSTM.
        seed: fixes the run.
    """

    algorithm: str = "ppo"
    total_steps: int = 1_000_000
    n_envs: int = 64
    n_steps: int = 0
    batch_size: int = 512
    n_epochs: int = 4
    learning_rate: float = 1e-3
    gamma: float = 1.0
    gae_lambda: float = 0.95
    ent_coef: float = 0.0
    hidden: int = 128
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"algorithm: {self.algorithm!r} is not one of {', '.join(ALGORITHMS)}"
                f"{closest(self.algorithm, ALGORITHMS) or '.'}"
            )
        for name in ("total_steps", "n_envs", "batch_size", "n_epochs", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not 1 or more.")
        for name in ("n_steps", "ent_coef", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not 0 or more.")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not from 0 to 1.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: {self.learning_rate!r} is not above 0.")


class SB3Policy:
    """A Stable-Baselines3 policy as a `Policy`: compact observations to logits over events.

    An invalid hold counts as a rest in the environment, so its probability is added to the rest's:
    the logits are those of what the model really plays.

    Attributes:
        policy: the model's policy, a module of torch; recurrent ones keep their state.
        facts: what its training took.
        curve: rows [steps, seconds, return] of the training.
    """

    def __init__(self, policy: Any, task: Task, facts: dict[str, Any] | None = None) -> None:
        """Keep the policy.

        Raises:
            ValueError: it reads other observations or plays other events than the task has.
        """
        self.policy, self.facts = policy, facts or {}
        self.curve: list[list[float]] = []
        self.sizes, self.ringing = layout(task), ringing_column(task)
        kinds = {name: observation_space(self.sizes, name) for name in SPACES}
        seen = policy.observation_space
        self.kind = next((name for name, space in kinds.items() if _same(space, seen)), "")
        if not self.kind:
            raise ValueError(
                f"sb3: the model reads {_short(seen)}; the task shows {_short(kinds['flat'])}, "
                f"{_short(kinds['compact'])} or the same by name. It learned on another task."
            )
        if policy.action_space != spaces.Discrete(task.n_events):
            raise ValueError(
                f"sb3: the model plays {policy.action_space}, the task has {task.n_events} events."
            )
        self.recurrent = hasattr(policy, "lstm_actor")
        self.starts = torch.tensor([0, *np.cumsum([*self.sizes.values()])[:-1]])
        self.largest = torch.tensor([*self.sizes.values()]) - 1

    def initial_state(self, episodes: Episodes) -> Any:
        """Return the state at the start: zeros for a recurrent model, else nothing."""
        if not self.recurrent:
            return None
        layers, _, width = self.policy.lstm_hidden_state_shape
        zeros = torch.zeros(layers, len(episodes.key), width, device=self.policy.device)
        return zeros, zeros

    @torch.no_grad()
    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) of compact observations (B, F), and the next state."""
        self.policy.set_training_mode(False)
        seen = self.observed(observation)
        if self.recurrent:
            begun = torch.zeros(len(observation), device=observation.device)
            made, state = self.policy.get_distribution(seen, state, begun)
        else:
            made = self.policy.get_distribution(seen)
        return as_played(made.distribution.logits, observation[:, self.ringing] > 0), state

    def observed(self, compact: Tensor) -> Any:
        """Return what the model reads for compact observations (B, F)."""
        values = torch.minimum(compact.long(), self.largest.to(compact.device))
        if self.kind == "compact":
            return values
        if self.kind == "dict":
            return {name: values[:, j] for j, name in enumerate(self.sizes)}
        flat = compact.new_zeros(len(compact), sum(self.sizes.values()), dtype=torch.float32)
        return flat.scatter_(1, values + self.starts.to(compact.device), 1.0)


def as_played(logits: Tensor, ringing: Tensor) -> Tensor:
    r"""Return logits (B, A) with the hold's probability on the rest where nothing rings (B,).

    .. math:: l_{rest} \leftarrow \log(e^{l_{rest}} + e^{l_{hold}}), \quad l_{hold} \leftarrow -10^9
    """
    both = torch.logaddexp(logits[:, HOLD], logits[:, REST])
    hold = torch.where(ringing, logits[:, HOLD], -1e9)
    rest = torch.where(ringing, logits[:, REST], both)
    return torch.cat([hold[:, None], rest[:, None], logits[:, REST + 1 :]], dim=-1)


def read_zip(path: Path, algorithm: str, task: Task) -> SB3Policy:
    """Return the policy of a model that SB3's ``save`` wrote, without reading any pickle in it.

    Args:
        path: of the .zip.
        algorithm: which of `ALGORITHMS` it is.
        task: what it learned on: one of the environment's three observations, as it comes.

    Raises:
        ImportError: Stable-Baselines3 is not installed.
        ValueError: it is no such file, or not of this algorithm, task or size.
    """
    SB3Config(algorithm)
    try:
        with zipfile.ZipFile(path) as file:
            data = json.loads(file.read("data"))
            stored = io.BytesIO(file.read("policy.pth"))
        weights = torch.load(stored, map_location="cpu", weights_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise ValueError(f"sb3: {path} is no model that SB3 saved ({error}).") from error
    said = {k: v for k, v in data.get("policy_kwargs", {}).items() if k in SIZES}
    if found := ACTIVATION.search(str(data.get("policy_kwargs", {}).get("activation_fn"))):
        said["activation_fn"] = getattr(torch.nn, found[1])
    space = str(data.get("observation_space", {}).get(":type:", ""))
    kind = next((kind for kind, word in SPACES.items() if word in space), "flat")
    with own_randomness():
        policy = untrained(SB3Config(algorithm), task, kind, **said)
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"sb3: {path} does not fit a {algorithm} of this task ({str(error)[:300]}); it learned "
            f"on another task or by another algorithm."
        ) from error
    return SB3Policy(policy.eval().requires_grad_(False), task)


def untrained(config: SB3Config, task: Task, kind: str = "flat", **words: Any) -> Any:
    """Return the untrained policy of a model: a module of torch."""
    made = algorithm_class(config.algorithm).policy_aliases[alias(config.algorithm, kind)]
    return made(
        observation_space(layout(task), kind),
        spaces.Discrete(task.n_events),
        lambda _: 0.0,
        **words,
    )


def algorithm_class(algorithm: str) -> Any:
    """Return the class of an algorithm."""
    package, name = ALGORITHMS[algorithm]
    try:
        return getattr(importlib.import_module(package), name)
    except ImportError as error:
        raise ImportError(
            f"sb3: {package} is not installed; install it with `pip install 'musicgym[sb3]'`."
        ) from error


def alias(algorithm: str, kind: str) -> str:
    """Return SB3's name of the policy for one of the three observations."""
    return ("MultiInput" if kind == "dict" else "Mlp") + (
        "LstmPolicy" if algorithm == "recurrent_ppo" else "Policy"
    )


def sizes_of(config: SB3Config) -> dict[str, Any]:
    """Return SB3's `policy_kwargs` of a configuration."""
    if config.algorithm == "recurrent_ppo":
        # The observation says enough for a value: an LSTM of the critic's own takes half the time.
        arch = {"pi": [], "vf": [config.hidden]}
        return {"lstm_hidden_size": config.hidden, "net_arch": arch, "enable_critic_lstm": False}
    return {"net_arch": [config.hidden, config.hidden]}


@contextmanager
def own_randomness() -> Iterator[None]:
    """Leave the global generators, which SB3 draws from, as they were."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=()):
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def _same(one: spaces.Space[Any], other: Any) -> bool:
    """Return whether two spaces hold the same."""
    if isinstance(one, spaces.MultiDiscrete) and isinstance(other, spaces.MultiDiscrete):
        return bool(np.array_equal(one.nvec, other.nvec))
    return bool(one == other)


def _short(space: Any) -> str:
    """Return a space in a few words."""
    return f"{type(space).__name__}{space.shape or ''}"
