"""Training of Stable-Baselines3's models on native environments, gone on with to the bit."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musicgym.files import cache_folder

from . import checkpoints
from .acmg import ACMGConfig
from .learning import Report
from .sb3 import SB3Config, SB3Policy, algorithm_class, alias, own_randomness, sizes_of, untrained
from .threads import few_threads

__all__ = ["sb3_path", "train"]

#: Seconds from one checkpoint of a training to the next.
EVERY = 20.0


def sb3_path(
    config: SB3Config, practice: ACMGConfig, fingerprint: str, folder: Path | None = None
) -> Path:
    """Return where the model of a configuration is kept: in a folder, or in the user's cache."""
    content = json.dumps(asdict(config), sort_keys=True) + practice.to_json() + fingerprint
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    meter = practice.meter.replace("/", "-")
    name = f"sb3-{config.algorithm}-{meter}-grid{practice.steps_per_beat}-{digest}.safetensors"
    return (folder or cache_folder("agents")) / name


@few_threads()
def train(
    config: SB3Config, practice: ACMGConfig, path: Path, report: Report = lambda _: None,
    every: float = EVERY,
) -> SB3Policy:  # fmt: skip
    """Return the model of a configuration: read from a path, or trained and written there.

    A training that was stopped goes on from its last checkpoint and ends with the same model.

    Args:
        config: of the algorithm.
        practice: what is practised on: meter, grid, length, range, rewards, progressions. Its
            model and its pretraining are not used.
        path: where the model and its checkpoints are kept.
        report: called after each rollout with ``steps`` and ``return``.
        every: seconds from one checkpoint to the next.

    Raises:
        ImportError: Stable-Baselines3 is not installed.
        CheckpointError: the path holds something else.
    """
    held, task = checkpoints.load(path, "sb3") if path.exists() else None, practice.task()
    with own_randomness():
        if held is None or not held.facts["finished"]:
            held = _trained(config, practice, path, report, every, held)
        policy = untrained(config, task, **sizes_of(config))
    policy.load_state_dict(checkpoints.under(held.tensors, "policy"))
    made = SB3Policy(policy.eval().requires_grad_(False), task)
    made.curve = held.facts["history"]
    made.facts = {
        "algorithm": f"sb3 {config.algorithm}",
        "training_steps": int(made.curve[-1][0]) if made.curve else 0,
        "training_seconds": round(sum(row[1] for row in made.curve), 3),
        "parameters": sum(p.numel() for p in policy.parameters()),
    }
    return made


def _trained(
    config: SB3Config, practice: ACMGConfig, path: Path, report: Report, every: float,
    held: checkpoints.Checkpoint | None,
) -> checkpoints.Checkpoint:  # fmt: skip
    """Train a model to its end, from a checkpoint if there is one; return the last checkpoint."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecNormalize

    steps = practice.task().steps
    melodies = _melodies(config, practice)
    envs = VecNormalize(melodies, norm_obs=False, gamma=config.gamma)
    words: dict[str, Any] = {"n_steps": config.n_steps or steps}
    if config.algorithm != "a2c":
        words |= {"batch_size": config.batch_size, "n_epochs": config.n_epochs}
    model = algorithm_class(config.algorithm)(
        alias(config.algorithm, "flat"), envs,
        learning_rate=lambda left: config.learning_rate * left, gamma=config.gamma,
        gae_lambda=config.gae_lambda, ent_coef=config.ent_coef, policy_kwargs=sizes_of(config),
        device="cpu", seed=config.seed, **words,
    )  # fmt: skip
    history: list[list[float]] = []
    if held is not None:
        history = held.facts["history"]
        _restore(model, envs, melodies, held)
    before = model.num_timesteps

    def saved(finished: bool) -> checkpoints.Checkpoint:
        tensors, facts = _state(model, envs, melodies)
        facts |= {"history": history, "finished": finished, "config": asdict(config)}
        checkpoints.save(path, "sb3", tensors, facts)
        return checkpoints.Checkpoint("sb3", tensors, facts, "")

    class Watch(BaseCallback):  # type: ignore[misc]
        """Notes the curve after each rollout, and writes checkpoints between two melodies."""

        def __init__(self) -> None:
            super().__init__()
            self.last = self.written = time.perf_counter()

        def _on_rollout_start(self) -> None:
            now = time.perf_counter()
            if melodies.returns:
                row = [self.model.num_timesteps, now - self.last, float(np.mean(melodies.returns))]
                history.append(row)
                report({"steps": row[0], "return": row[2]})
                melodies.returns.clear()
                self.last = now
                if now - self.written >= every and melodies.between:
                    saved(False)
                    self.written = now

        def _on_step(self) -> bool:
            return True

    path.parent.mkdir(parents=True, exist_ok=True)
    watch = Watch()
    model.learn(
        config.total_steps - before, callback=watch, log_interval=None,
        reset_num_timesteps=held is None,
    )  # fmt: skip
    watch._on_rollout_start()  # the last rollout has no next one
    return saved(True)


def _melodies(config: SB3Config, practice: ACMGConfig) -> Any:
    """Return SB3's kind of vector environment over native ones, a part for each progression.

    All melodies begin and end together. Melody i of round r depends on the seed, r and i only.
    """
    from stable_baselines3.common.vec_env import VecEnv

    sources = practice.progressions[: config.n_envs]
    share = -(-config.n_envs // len(sources))
    sizes = [min(share, config.n_envs - i * share) for i in range(len(sources))]
    parts = [
        practice.envs(source, size, observation="flat")
        for source, size in zip(sources, sizes, strict=True)
        if size > 0
    ]
    cuts = np.cumsum([part.num_envs for part in parts])[:-1]

    class Melodies(VecEnv):  # type: ignore[misc]
        """Native environments behind SB3's interface."""

        def __init__(self) -> None:
            first = parts[0]
            super().__init__(
                config.n_envs, first.single_observation_space, first.single_action_space
            )
            self.round, self.between = 0, True
            self.paid = np.zeros(config.n_envs)
            #: Returns of the melodies that were finished since they were last asked for.
            self.returns: list[float] = []
            self.nothing: list[dict[str, Any]] = [{} for _ in range(config.n_envs)]

        def reset(self) -> Any:
            seed = (config.seed * 1_000_003 + self.round) * config.n_envs
            places = [0, *cuts]
            seen = [
                part.reset(seed=seed + int(place))[0]
                for part, place in zip(parts, places, strict=True)
            ]
            self.round, self.between = self.round + 1, True
            return np.concatenate(seen)

        def step_async(self, actions: Any) -> None:
            self.actions = np.split(np.asarray(actions), cuts)

        def step_wait(self) -> Any:
            made = [part.step(own) for part, own in zip(parts, self.actions, strict=True)]
            seen, paid, done = (np.concatenate([each[j] for each in made]) for j in range(3))
            self.paid += paid
            self.between = False
            if done.all():
                self.returns += self.paid.tolist()
                self.paid[:] = 0
                seen = self.reset()
            return seen, paid.astype(np.float32), done, self.nothing

        def close(self) -> None:
            for part in parts:
                part.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(parts[0], attr_name, None)] * config.n_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError

        def env_method(self, method_name: str, *_: Any, indices: Any = None, **__: Any) -> Any:
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * config.n_envs

        def seed(self, seed: int | None = None) -> list[int | None]:
            return [None] * config.n_envs  # all comes from the configuration's seed

    return Melodies()


def _state(model: Any, envs: Any, melodies: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return all that a training depends on between two melodies: tensors, and plain numbers."""
    tensors = {f"policy.{name}": value for name, value in model.policy.state_dict().items()}
    for index, entry in model.policy.optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            tensors[f"optimiser.{index}.{name}"] = torch.as_tensor(value)
    _, words, place, has, spare = np.random.get_state()
    tensors["torch_state"] = torch.get_rng_state()
    tensors["numpy_state"] = torch.from_numpy(np.asarray(words).astype(np.int64))
    scale = envs.ret_rms
    return {name: value.clone() for name, value in tensors.items()}, {
        "steps": model.num_timesteps,
        "round": melodies.round,
        "numpy": [int(place), int(has), float(spare)],
        "scale": [float(scale.mean), float(scale.var), float(scale.count)],
    }


def _restore(model: Any, envs: Any, melodies: Any, held: checkpoints.Checkpoint) -> None:
    """Return to where `_state` was called."""
    facts, tensors = held.facts, held.tensors
    model.policy.load_state_dict(checkpoints.under(tensors, "policy"))
    saved: dict[int, dict[str, Tensor]] = {}
    for name, value in checkpoints.under(tensors, "optimiser").items():
        index, _, entry = name.partition(".")
        saved.setdefault(int(index), {})[entry] = value
    groups = model.policy.optimizer.state_dict()["param_groups"]
    model.policy.optimizer.load_state_dict({"state": saved, "param_groups": groups})
    model.num_timesteps = facts["steps"]
    melodies.round = facts["round"] - 1  # the melodies of that round are begun again
    envs.ret_rms.mean, envs.ret_rms.var, envs.ret_rms.count = map(np.float64, facts["scale"])
    torch.set_rng_state(tensors["torch_state"])
    words = tensors["numpy_state"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, *facts["numpy"]))
