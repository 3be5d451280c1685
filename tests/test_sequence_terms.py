"""What holds for every sequence term of the folder, in each environment; and their common base."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from playing import equal, random_events, sequence_names
from test_tensor import NoReads, drive
from test_tensor import make as make_tensor

from musicgym.env import MelodyComposeEnv
from musicgym.replay import begin, pay
from musicgym.reward import load
from musicgym.rewards.motif import Motif
from musicgym.select import Array
from musicgym.sequence import Recurrence, listen
from musicgym.tensor_env import MelodyComposeTensorEnv
from musicgym.vector_env import MelodyComposeVectorEnv

NAMES = sequence_names()
EVERY = dict.fromkeys(NAMES, 1.0)
MODES = ["NextStep", "SameStep", "Disabled"]
SIZE = 5
TASK: dict[str, Any] = {
    "bars": 2, "key": "random", "progression": "random", "rewards": EVERY, "observation": "compact",
}  # fmt: skip


def looped(steps: int, size: int, seed: int = 0) -> Any:
    """Return random events (T, B) of which some melodies are a few notes, or come back."""
    events = random_events(38, steps, seed, size)
    events[:, 1::3] = np.where(events[:, 1::3] > 1, 20 + events[:, 1::3] % 3, events[:, 1::3])
    events[8:16, ::2] = events[:8, ::2]
    return events


# --- What holds for every sequence term --------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_sequence_term_has_a_source_a_range_and_a_worked_example(name: str) -> None:
    text = inspect.getdoc(type(load({name: {}}, steps=64).terms[0].pays)) or ""
    assert re.search(r"Reference: ", text) and ">>>" in text
    assert re.search(r"Range: ", text)


@pytest.mark.parametrize("name", NAMES)
def test_every_sequence_term_stays_within_the_range_that_it_states(name: str) -> None:
    text = inspect.getdoc(type(load({name: {}}, steps=64).terms[0].pays)) or ""
    found = re.search(r"Range: \[(-?[\d.]+), (-?[\d.]+)\]", text)
    if not found:
        pytest.skip("its range is not two numbers")
    low, high = map(float, found.groups())
    envs = MelodyComposeVectorEnv(60, "arrays", **{**TASK, "rewards": {name: 1.0}})
    envs.reset(seed=0)
    values = np.stack([envs.step(column)[1] for column in looped(16, 60)])
    assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_pays_what_its_single_environments_pay(mode: str) -> None:
    one = [lambda: gym.make("MelodyCompose-v0", **TASK)] * SIZE
    sync = SyncVectorEnv(one, autoreset_mode=AutoresetMode(mode))
    native = MelodyComposeVectorEnv(SIZE, "arrays", autoreset_mode=mode, **TASK)
    opening = {"events": [26, 0, 28]}
    equal(sync.reset(seed=3, options=dict(opening)), native.reset(seed=3, options=dict(opening)))
    mask = np.array([True, False, False, True, False])
    for step, actions in enumerate(looped(45, SIZE)):
        theirs, ours = sync.step(actions), native.step(actions)
        equal(theirs[1], ours[1], f"step {step}")
        equal(theirs[4], ours[4], f"step {step}")
        if (mode == "Disabled" and theirs[2].any()) or step == 5:
            which = mask if step == 5 else theirs[2].copy()
            for envs in (sync, native):  # an opening: the others must not hear it
                envs.reset(options={"reset_mask": which.copy(), **opening})


@pytest.mark.parametrize("mode", MODES)
def test_tensors_are_paid_as_arrays_are(mode: str) -> None:
    drive(mode, steps=40, **TASK, options={"events": [26, 0, 28]})


@pytest.mark.parametrize("backend", ["arrays", "tensor"])
def test_the_state_of_a_batch_can_be_taken_and_put_back(backend: str) -> None:
    envs = make_tensor(backend=backend, **TASK)
    envs.reset(seed=0)
    events = torch.from_numpy(looped(40, SIZE)) if backend == "tensor" else looped(40, SIZE)
    for column in events[:5]:
        envs.step(column)
    envs.reset(options={"reset_mask": np.array([True, False, True, False, False])})
    for column in events[5:14]:
        envs.step(column)
    state = envs.get_state()
    rest = [np.asarray(envs.step(column)[1]) for column in events[14:]]
    for _ in range(2):
        envs.set_state(state)
        again = [np.asarray(envs.step(column)[1]) for column in events[14:]]
        np.testing.assert_array_equal(rest, again)


def test_the_state_of_a_single_environment_can_be_taken_and_put_back() -> None:
    env = MelodyComposeEnv(**TASK)
    env.reset(seed=0)
    events = looped(16, 1)[:, 0].tolist()
    for event in events[:9]:
        env.step(event)
    state = env.get_state()
    rest = [env.step(event)[4]["reward_terms"] for event in events[9:]]
    env.reset(seed=1)
    env.set_state(state)
    assert [env.step(event)[4]["reward_terms"] for event in events[9:]] == rest


def test_sequence_terms_read_nothing_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = "meta"  # a tensor without values: whatever the host asks of it fails
    monkeypatch.setattr(MelodyComposeTensorEnv, "_check_device", lambda *_: None)
    envs = make_tensor(device=device, execution="eager", **TASK)
    envs.reset(seed=0)
    envs.step(torch.ones(SIZE, dtype=torch.int64, device=device))
    envs.reset(options={"reset_mask": np.arange(SIZE) % 2 == 0})
    actions = torch.from_numpy(looped(20, SIZE)).to(device)
    with NoReads():
        for column in actions:
            assert envs.step(column)[1].device.type == device


def test_inference_mode_may_be_entered_and_left_between_steps() -> None:
    plain, mixed = (make_tensor(**TASK) for _ in range(2))
    plain.reset(seed=0)
    with torch.inference_mode():
        mixed.reset(seed=0)
    for step, column in enumerate(torch.from_numpy(looped(20, SIZE))):
        with torch.inference_mode(step % 2 == 0):
            got = mixed.step(column)[1]
        assert torch.equal(got.clone(), plain.step(column)[1])


# --- The base ----------------------------------------------------------------------------------


class Steps(NamedTuple):
    """The events heard (B,)."""

    count: Array


class Counting(Recurrence):
    """Pays the number of events heard, the length of the melody at the first."""

    def start(self, zero: Array, steps: int) -> Steps:
        return Steps(zero + steps)

    def hear(self, memory: Steps, event: Array) -> tuple[Steps, Array]:
        return Steps(memory.count + 1), memory.count * 1.0


def test_only_what_is_played_is_heard_and_only_what_starts_is_forgotten() -> None:
    envs = MelodyComposeVectorEnv(3, "arrays", **TASK)
    envs.reset(seed=0)
    told, term = envs.episodes(), Counting()
    every = np.ones(3, np.bool_)
    term.begin(told, every)
    assert term.pay(np.array([1, -1, 26])).tolist() == [16, 0, 16]
    assert term.pay(np.array([1, 1, 1])).tolist() == [17, 16, 17]
    term.begin(told, np.array([True, False, False]))
    assert term.pay(np.array([0, 0, 0])).tolist() == [16, 17, 18]


def test_a_term_goes_from_one_batch_to_another_of_any_size_and_kind() -> None:
    term = Motif()
    assert listen(term, [26, 28, 30, 0, 0, 0, 0, 0])[-1] == 3.0
    for backend, size in (("arrays", 4), ("tensor", 4), ("tensor", 2)):
        envs = make_tensor(size, backend, **TASK)
        envs.reset(seed=0)
        told = envs.episodes()
        term.begin(told, told.tonic >= 0)
        for event in (26, 28, 30, 0, 0, 0, 0):
            assert not term.pay(told.tonic * 0 + event).any()
        assert term.pay(told.tonic * 0).tolist() == [3.0] * size


def test_a_copy_of_an_environment_and_a_replay_of_its_reward_do_not_disturb_it() -> None:
    envs, same = (MelodyComposeVectorEnv(SIZE, "arrays", **TASK) for _ in range(2))
    envs.reset(seed=0), same.reset(seed=0)
    columns = looped(16, SIZE)
    for column in columns[:7]:
        envs.step(column), same.step(column)
    copy.deepcopy(envs).step(columns[0])
    constants, state = begin(envs.episodes(), envs.task, envs.reward.readings)
    pay(constants, state, columns.T, envs.reward, envs.episodes())
    for column in columns[7:]:
        np.testing.assert_array_equal(envs.step(column)[1], same.step(column)[1])
