"""Golden rollouts: one small file for each registered id and preset.

A changed reward value, observation or event code shows here first. From the first release on such a
change is a new environment version; before it, and only on purpose, write the files anew with

    MUSICGYM_REGENERATE_GOLDEN=1 python -m pytest tests/test_golden.py

and read the difference before it is committed.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from test_env import IDS

from musicgym.env import MelodyComposeEnv
from musicgym.rewards.presets import PRESETS

FOLDER = Path(__file__).parent / "golden"
CASES = [(name, preset) for name in IDS for preset in PRESETS]
SEED = 20


def path_of(name: str, preset: str) -> Path:
    return FOLDER / f"{name}-{preset}.json"


def rollout(name: str, preset: str) -> dict[str, Any]:
    """Play two seeded episodes: one as registered, one with all that can be drawn."""
    episodes = {}
    drawn = {"key": "random", "progression": "random", "meter": "6/8", "bars": 4}
    for title, arguments in (("as registered", {}), ("drawn", drawn)):
        env = gym.make(name, rewards=preset, **arguments).unwrapped
        assert isinstance(env, MelodyComposeEnv)
        rng = np.random.RandomState(SEED)  # its stream is frozen for ever
        seen, info = env.reset(seed=SEED)
        digest = hashlib.sha256(seen.tobytes())
        rewards, terms, done = [], dict.fromkeys(env.reward.names, 0.0), False
        while not done:
            valid = np.flatnonzero(info["action_mask"])
            event = [valid[0], valid[1], valid[rng.randint(len(valid))], 26][rng.randint(4)]
            if preset == "acmg":  # a policy term is judged too
                env.observe_policy(info["action_mask"] / info["action_mask"].sum())
            seen, reward, done, _, info = env.step(event)
            digest.update(seen.tobytes())
            rewards.append(round(reward, 12))
            for term, value in info["reward_terms"].items():
                terms[term] += value
        episodes[title] = {
            "key": env.melody.key.name,
            "chords": " ".join(chord.symbol(env.melody.key) for chord in env.melody.chords),
            "events": info["melody"].tolist(),
            "rewards": rewards,
            "terms": {term: round(value, 9) for term, value in terms.items()},
            "observations": digest.hexdigest(),
        }
    return episodes


def written(episodes: dict[str, Any]) -> str:
    """Return JSON with one line a field, so that a difference can be read."""
    blocks = []
    for title, episode in episodes.items():
        fields = ",\n".join(f"  {json.dumps(f)}: {json.dumps(v)}" for f, v in episode.items())
        blocks.append(f" {json.dumps(title)}: {{\n{fields}\n }}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_a_seeded_rollout_is_the_golden_one(name: str, preset: str) -> None:
    path = path_of(name, preset)
    episodes = json.loads(json.dumps(rollout(name, preset)))
    if os.environ.get("MUSICGYM_REGENERATE_GOLDEN"):
        path.write_text(written(episodes))
    assert path.exists(), f"no {path.name}: see the top of this file on how to write it"
    golden = json.loads(path.read_text())
    for title, episode in golden.items():
        for field, value in episode.items():
            assert episodes[title][field] == value, f"{title}: {field}"
    assert episodes.keys() == golden.keys()


def test_every_golden_file_belongs_to_an_id_and_a_preset() -> None:
    assert {p.name for p in FOLDER.iterdir()} == {path_of(*case).name for case in CASES}
