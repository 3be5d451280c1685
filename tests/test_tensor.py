"""The tensor backend gives what the others give, as tensors, and never waits for the device."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from playing import random_events, spelt
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from musicgym.backends import tensor as tensor_backend
from musicgym.backends.batch import COLUMNS as NUMPY_COLUMNS
from musicgym.backends.tensor import COLUMNS, TensorCore
from musicgym.dynamics import Moment, State, constants
from musicgym.env import MelodyComposeEnv
from musicgym.observation import layout
from musicgym.randomness import episode_key
from musicgym.reward import PolicyTerm, Rule, SequenceTerm, load
from musicgym.rewards.presets import PRESETS
from musicgym.select import Array
from musicgym.task import Task
from musicgym.tensor_env import MelodyComposeTensorEnv
from musicgym.vector_env import MelodyComposeVectorEnv

MODES = ["NextStep", "SameStep", "Disabled"]
SIZE = 5
#: 8 steps, everything drawn.
TASK: dict[str, Any] = {
    "bars": 2, "steps_per_beat": 1, "key": "random", "progression": "random",
    "rewards": "acmg_literal", "observation": "compact",
}  # fmt: skip
RISING, PEAKED = f"{__name__}:Rising", f"{__name__}:Peaked"
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
COMPILER = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler"
)


class Rising(SequenceTerm):
    """Pays for each note above the highest so far: on NumPy arrays and on tensors alike."""

    def begin(self, episodes: Any, which: Array) -> None:
        fresh = episodes.tonic * 0.0
        before = getattr(self, "highest", fresh)
        self.highest = before * (which ^ True) + fresh * which

    def pay(self, events: Array) -> Array:
        higher = (events > 1) & (events > self.highest)
        self.highest = self.highest * (higher ^ True) + events * higher
        return higher * 0.5


class Peaked(PolicyTerm):
    """Pays the probability of a hold."""

    def judge(self, probabilities: Array) -> Array:
        return probabilities[:, 0] * 2.0


class Branching(Rule):
    """Does not run on a batch."""

    def __call__(self, m: Moment) -> Array:
        return 1.0 if m.struck else 0.0


def make(size: int = SIZE, backend: str = "tensor", **arguments: Any) -> Any:
    return gym.make_vec("MelodyCompose-v0", num_envs=size, backend=backend, **{**TASK, **arguments})


def events(steps: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    return random_events(38, steps, seed, size)  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Return what a tensor environment gave as NumPy arrays."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    assert isinstance(value, Tensor), type(value)
    return value.numpy()


def same(ours: Any, theirs: Any, path: str = "") -> None:
    """Assert that tensors are what NumPy gave: exact, but floats to float32 rounding."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{path}[{i}]")
    elif isinstance(theirs, dict):
        assert set(ours) == set(theirs), (path, set(ours) ^ set(theirs))
        for name in theirs:
            same(ours[name], theirs[name], f"{path}/{name}")
    elif theirs.dtype == object:  # final_obs: one row an environment, or None
        for i, row in enumerate(theirs):
            if row is not None:
                parts = (
                    {name: part[i] for name, part in ours.items()}
                    if isinstance(ours, dict)
                    else ours[i]
                )
                same(parts, row, f"{path}[{i}]")
    else:
        assert isinstance(ours, Tensor), (path, type(ours))
        got, expected = ours.numpy(), np.asarray(theirs)
        assert got.shape == expected.shape, path
        if expected.dtype == np.float64:
            assert got.dtype == np.float32, path
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6, err_msg=path)
        else:
            assert got.dtype == expected.dtype, (path, got.dtype, expected.dtype)
            np.testing.assert_array_equal(got, expected, path)


def drive(mode: str, steps: int = 30, options: Any = None, **arguments: Any) -> None:
    """Play the tensor environment beside NumPy's with the same random events, and compare all."""
    execution = arguments.pop("execution", None)
    size = arguments.pop("size", SIZE)
    ours = make(size, autoreset_mode=mode, execution=execution, **arguments)
    theirs = make(size, "arrays", autoreset_mode=mode, **arguments)
    given = options or {}
    same(ours.reset(seed=3, options=dict(given)), theirs.reset(seed=3, options=dict(given)))
    n_events, rng = ours.task.n_events, np.random.default_rng(0)
    some = np.arange(size) % 2 == 0
    for step, actions in enumerate(random_events(n_events, steps, 1, size)):
        if step == 3:  # so that the episodes end at different steps
            same(*(envs.reset(options={"reset_mask": some.copy()}) for envs in (ours, theirs)))
        if step % 2:
            p = rng.dirichlet(np.ones(n_events), size)
            ours.observe_policy(torch.from_numpy(p))
            theirs.observe_policy(p)
        a, b = ours.step(torch.from_numpy(actions)), theirs.step(actions)
        same(a, b, f"step {step}: ")
        same(ours.played, theirs.played)
        same(tuple(ours.episodes()), tuple(theirs.episodes()))
        if mode == "Disabled" and b[2].any():
            mask = b[2].copy()
            same(*(envs.reset(options={"reset_mask": mask.copy()}) for envs in (ours, theirs)))
        if step % 7 == 0:
            assert ours.melodies == theirs.melodies


# --- Equal to the other backends ---------------------------------------------------------------


@pytest.mark.parametrize("observation", ["flat", "compact", "dict"])
@pytest.mark.parametrize("mode", MODES)
def test_every_output_is_that_of_the_numpy_environment(mode: str, observation: str) -> None:
    timing = {"NextStep": "dense", "SameStep": "bar", "Disabled": "end"}[mode]
    drive(mode, observation=observation, reward_timing=timing)


@pytest.mark.parametrize("timing", ["dense", "bar", "end"])
@pytest.mark.parametrize("mode", MODES)
def test_terms_that_are_no_rules_pay_the_same(mode: str, timing: str) -> None:
    rewards = {RISING: 0.5, PEAKED: 2.0, "chord_tone": 1.0, "state_variance": 3.0}
    drive(mode, rewards=rewards, reward_timing=timing, options={"events": spelt("C5 D5")})


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("meter", "steps_per_beat"), [("4/4", 2), ("3/4", 1), ("6/8", 2), ("2/4", 4)]
)
def test_every_preset_is_equal_in_every_meter_and_grid(
    preset: str, meter: str, steps_per_beat: int
) -> None:
    drive("NextStep", rewards=preset, meter=meter, steps_per_beat=steps_per_beat, steps=36)


@pytest.mark.parametrize("scoring", ["time", "onset", "literal"])
@pytest.mark.parametrize("key", ["C major", "F# minor", "natural"])
def test_fixed_keys_ranges_and_scorings_are_equal(key: str, scoring: str) -> None:
    drive("SameStep", key=key, scoring=scoring, pitch_range=("D3", "G5"), rewards="acmg")


@pytest.mark.parametrize(
    "options",
    [
        {"progression": "V7 N.C.", "key": "E major"},
        {"progression": "VI VII", "key": "random"},
        {"key": "B minor"},
        {"events": np.array([spelt("C5 . D5")] * 3 + [spelt("- C5 ."), [-4, 99, 0]])},
        {"weights": {"chord_tone": np.arange(5.0), "repetition": -2.0}},
    ],
    ids=lambda options: "-".join(options),
)
def test_the_options_of_a_reset_are_equal(options: dict[str, Any]) -> None:
    drive("NextStep", options=options)


@pytest.mark.parametrize("mode", MODES)
def test_a_reward_without_terms_pays_nothing(mode: str) -> None:
    drive(mode, rewards={}, steps=10)


def test_options_may_be_tensors() -> None:
    ours, theirs = make(rewards="acmg"), make(backend="arrays", rewards="acmg")
    given = {
        "events": torch.ones((5, 2), dtype=torch.int64),
        "weights": {"chord_tone": torch.arange(5.0)},
    }
    numbers = {"events": np.ones((5, 2), int), "weights": {"chord_tone": np.arange(5.0)}}
    same(ours.reset(seed=1, options=given), theirs.reset(seed=1, options=numbers))
    mask = torch.tensor([True, False, True, False, False])
    same(
        ours.reset(options={"reset_mask": mask}),
        theirs.reset(options={"reset_mask": mask.numpy()}),
    )
    for actions in events(8):
        same(ours.step(torch.from_numpy(actions)), theirs.step(actions))


@pytest.mark.parametrize("seed", [0, 2**32 - 2, 2**63 - 2, 2**64 + 5, [4, None, 2**40, 1, 0]])
def test_seeds_give_the_same_keys(seed: Any) -> None:
    ours, theirs = make(), make(backend="arrays")
    for envs in (ours, theirs):
        envs.reset(seed=7)
        envs.reset(seed=seed)
    same(ours.episodes().key, theirs.episodes().key)
    if isinstance(seed, int):
        assert ours.episodes().key.tolist() == [episode_key(seed + i) for i in range(SIZE)]
    for envs in (ours, theirs):
        envs.reset()
    same(ours.episodes().key, theirs.episodes().key)


def test_environment_i_is_the_single_environment_with_seed_plus_i() -> None:
    envs = make(rewards="acmg")
    singles = [MelodyComposeEnv(**{**TASK, "rewards": "acmg"}) for _ in range(SIZE)]
    seen, _ = envs.reset(seed=11)
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(seen[i].numpy(), single.reset(seed=11 + i)[0])
    for actions in events(8):
        seen, rewards, done, _, infos = envs.step(actions)
        for i, single in enumerate(singles):
            one = single.step(int(actions[i]))
            np.testing.assert_array_equal(seen[i].numpy(), one[0])
            assert float(rewards[i]) == pytest.approx(one[1], abs=1e-6)
            assert bool(done[i]) == one[2]
    assert envs.melodies == [single.melody for single in singles]
    assert infos["melody"].tolist() == [list(single.melody.events) for single in singles]


@pytest.mark.parametrize("way", ["begin and put", "step_many"])
@pytest.mark.parametrize("timing", ["dense", "bar", "end"])
def test_a_rollout_over_the_core_alone_is_that_of_the_environment(timing: str, way: str) -> None:
    given = {
        "rewards": {RISING: 0.5, "chord_tone": 1.0, "repetition": 2.0},
        "reward_timing": timing,
    }
    ours, theirs = make(**given), make(backend="arrays", **given)
    opening = {"events": spelt("C5 D5")}
    theirs.reset(seed=4, options=dict(opening))
    state, observation, weights = ours.begin(seed=4, options=opening)
    steps = [theirs.step(actions) for actions in events(6)]
    actions = torch.from_numpy(events(6))
    if way == "step_many":
        played = ours.step_many(actions)
        rewards, raw, observation = played.reward, played.raw, played.observation[-1]
    else:
        kept = []
        for now in actions:
            kept.append(ours.core.step(state, now, weights))
            state, observation = kept[-1].state, kept[-1].observation
        stacked = [torch.stack([p[i] for p in kept]) for i in (5, 2, 3)]
        rewards, raw = ours.put(state, observation, *stacked)
    same(observation, steps[-1][0])
    same(rewards, np.array([step[1] for step in steps]))
    same(raw[-1], np.stack([steps[-1][4]["reward_terms"][n] for n in ours.reward.names], 1))
    assert ours.melodies == theirs.melodies
    same(tuple(ours.episodes()), tuple(theirs.episodes()))
    for actions in events(9):  # it goes on, with the next episodes
        same(ours.step(torch.from_numpy(actions)), theirs.step(actions))


def test_probabilities_are_judged_within_the_core() -> None:
    envs = make(rewards={PEAKED: 0.5})
    state, _, weights = envs.begin(seed=0)
    p = torch.eye(38)[:SIZE].requires_grad_()
    played = envs.core.step(state, torch.ones(SIZE, dtype=torch.int32), weights, p)
    assert played.reward.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert played.raw[:, 0].tolist() == [2.0, 0.0, 0.0, 0.0, 0.0]
    assert not played.reward.requires_grad


def test_new_chords_are_equal_when_the_tables_have_grown() -> None:
    ours, theirs = make(progression="I V"), make(backend="arrays", progression="I V")
    before, room = ours.core.tables, set()
    for chords in ("C", "Dm7", "G7", "N.C.", "F#dim", "Am", "Bb", "E7", "Cm", "Ab"):
        for key in ("C major", "E major", "A minor", "F minor"):
            option = {"progression": chords, "key": key}
            same(ours.reset(seed=1, options=option), theirs.reset(seed=1, options=option))
            same(tuple(ours.episodes()), tuple(theirs.episodes()))
            room.add(ours.core.tables)
    assert before in room and 1 < len(room) <= 3


# --- Ways to run -------------------------------------------------------------------------------


@COMPILER
@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_compiled_steps_are_equal() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "a step runs")  # nothing may fall back
        drive("NextStep", execution="compiled", rewards="acmg", steps=12)


class Replayed(tensor_backend._Graph):
    """Keeps the state in buffers of its own as a CUDA graph does, without CUDA."""

    def _capture(self) -> Any:
        return self._play()

    def _replay(self) -> None:
        for held, new in zip(self.out[1:], self._play()[1:], strict=True):
            held.copy_(new)


@pytest.mark.parametrize("mode", MODES)
def test_steps_that_keep_the_state_in_their_own_buffers_are_equal(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Replayed] = []

    def graph(*given: Any) -> Replayed:
        made.append(Replayed(*given))
        return made[-1]

    monkeypatch.setattr(tensor_backend, "_Graph", graph)
    monkeypatch.setattr(tensor_backend, "_compiled", lambda core: core.step)
    monkeypatch.setattr(tensor_backend, "CAPTURES", ("cpu",))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "a step runs")
        rewards = {RISING: 0.5, "chord_tone": 1.0}  # no policy term: one graph, again and again
        drive(mode, execution="captured", rewards=rewards, options={"events": spelt("C5 D5")})
        assert made
        envs, plain_envs = make(execution="captured"), make()
        for one in (envs, plain_envs):
            one.reset(seed=0)
            one.step_many(torch.from_numpy(events(5)))
            one.step_many(torch.from_numpy(events(3)))
        assert envs.melodies == plain_envs.melodies


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_many_environments_compile_each_their_own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: real(f, backend="eager", **how))
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 2)
    for size in range(2, 6):  # more than torch may compile of one code
        envs = make(size, execution="compiled", rewards={"chord_tone": 1.0})
        envs.reset(seed=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "a step runs")
            envs.step([1] * size)
        assert envs.execution == "compiled"


def test_what_cannot_be_had_falls_back_with_a_warning_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match="runs compiled, not captured: cpu has no CUDA graphs"):
        envs = make(execution="captured")
    envs.reset(seed=0)
    reference = make()
    reference.reset(seed=0)
    actions = torch.from_numpy(events(1)[0])
    with pytest.warns(UserWarning, match="runs eager, not compiled: no compiler found"):
        outputs = envs.step(actions)
    assert envs.execution == "eager"
    same(outputs, plain_all(reference.step(actions)))
    assert make().execution == "eager"


# --- Nothing leaves the device -----------------------------------------------------------------


class NoReads(TorchDispatchMode):
    """Fails where the host would read a value from the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "equal", "masked_select", "unique2"):
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("split", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("device", ["cpu", "meta", pytest.param("cuda", marks=CUDA)])
def test_a_step_reads_nothing_from_the_device(
    device: str, split: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A "meta" tensor has no values, so whatever the host asks of it fails.
    monkeypatch.setattr(MelodyComposeTensorEnv, "_check_device", lambda *_: None)
    rewards = {"preset": "acmg_literal", RISING: 1.0, PEAKED: 0.5}
    place = {} if split else {"key": "D minor", "progression": "i V"}
    envs = make(device=device, autoreset_mode=mode, rewards=rewards, reward_timing="bar",
                execution="eager", **place)  # fmt: skip
    envs.reset(seed=0)
    if split:
        envs.step(torch.ones(SIZE, dtype=torch.int64, device=device))
        envs.reset(options={"reset_mask": np.arange(SIZE) % 2 == 0})
    p = torch.full((SIZE, 38), 1 / 38, device=device)
    actions = torch.from_numpy(events(30)).to(device)
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        with NoReads():
            for t in range(30 if mode != "Disabled" else 7):
                envs.observe_policy(p)
                seen, reward, done, truncated, infos = envs.step(actions[t])
                for tensor in (seen, reward, done, truncated, *tensors(infos), envs.played):
                    assert tensor.device.type == device
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def tensors(infos: dict[str, Any]) -> Iterator[Tensor]:
    for value in infos.values():
        if isinstance(value, dict):
            yield from tensors(value)
        else:
            assert isinstance(value, Tensor)
            yield value


def test_a_read_from_the_device_would_be_seen() -> None:
    with NoReads(), pytest.raises(AssertionError, match="waits for the device"):
        torch.ones(2).sum().item()


@CUDA
@pytest.mark.parametrize("execution", ["eager", "compiled", "captured"])
def test_a_cuda_device_gives_the_same(execution: str) -> None:
    ours, theirs = make(device="cuda", execution=execution), make()
    same_as = [envs.reset(seed=1)[0].cpu() for envs in (ours, theirs)]
    assert torch.equal(*same_as)
    for actions in torch.from_numpy(events(20)):
        a, b = ours.step(actions.to("cuda")), theirs.step(actions)
        assert torch.equal(a[0].cpu(), b[0]) and torch.equal(a[2].cpu(), b[2])
        torch.testing.assert_close(a[1].cpu(), b[1])
    assert ours.melodies == theirs.melodies and ours.execution == execution
    many = torch.from_numpy(events(8))
    for envs, where in ((ours, "cuda"), (theirs, "cpu")):
        envs.reset(seed=2)
        envs.step_many(many.to(where))
    assert ours.melodies == theirs.melodies


def test_the_package_and_the_numpy_backends_import_no_torch() -> None:
    code = (
        "import sys, musicgym, gymnasium as gym\n"
        "gym.make_vec('MelodyCompose-v0', num_envs=2, backend='arrays').reset(seed=0)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_environments_state_takes_nineteen_bytes_and_holds_the_longest_task() -> None:
    assert sum(dtype.itemsize for dtype in COLUMNS) == 19
    for ours, numpys in zip(COLUMNS, NUMPY_COLUMNS, strict=True):
        assert ours.itemsize == np.dtype(numpys).itemsize
    task = Task(bars=128, meter="6/8", steps_per_beat=4, pitch_range=(0, 127))
    assert torch.iinfo(COLUMNS.step).max >= task.steps


def test_an_environment_keeps_as_many_bytes_as_the_documentation_says() -> None:
    sizes = []
    for size in (100, 300):
        envs = make(size, bars=8, steps_per_beat=2, rewards="acmg")
        envs.reset(seed=0)
        envs.step([1] * size)
        kept = [*envs.__dict__.values(), *envs._state]
        tensors = {id(t): t for t in kept if isinstance(t, Tensor)}.values()
        sizes.append(sum(t.untyped_storage().nbytes() for t in tensors))
    assert (sizes[1] - sizes[0]) / 200 == 138


def test_a_finished_episode_can_be_stepped_without_harm() -> None:
    task = Task(bars=1, progression="I V", chords_per_bar=2)
    reward = load("acmg", task.steps)
    core = TensorCore(constants(task, reward.readings), reward, layout(task), flat=False)
    state, _ = core.reset(torch.arange(3), -1, 0, 0)
    assert isinstance(state, State)
    for _ in range(task.steps + 2):
        state = core.step(state, torch.full((3,), 20), torch.ones(8, dtype=torch.float64)).state
    assert state.step.tolist() == [task.steps] * 3


# --- State, copies, misuse ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES[:2])
def test_set_state_returns_exactly_to_where_get_state_was_called(mode: str) -> None:
    envs = make(autoreset_mode=mode, rewards={"preset": "acmg_literal", RISING: 1.0})
    envs.reset(seed=0, options={"weights": {"repetition": np.arange(5.0)}})
    envs.step([20] * SIZE)
    envs.reset(options={"reset_mask": np.array([True, True, False, False, False])})
    for actions in events(11):
        envs.step(actions)
    envs.observe_policy(torch.full((5, 38), 1 / 38))
    state = envs.get_state()
    rest = [plain_all(envs.step(actions)) for actions in events(20, seed=1)]
    envs.reset(seed=77, options={"weights": {"repetition": 0.0}})
    for _ in range(2):
        envs.set_state(state)
        for actions, expected in zip(events(20, seed=1), rest, strict=True):
            same(envs.step(actions), expected)


def plain_all(outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(plain(output) for output in outputs)


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_a_copy_in_the_middle_of_an_episode_goes_on_the_same(way: str) -> None:
    envs = make()
    envs.reset(seed=0, options={"progression": "IV V"})
    for actions in events(5):
        envs.step(actions)
    twin = pickle.loads(pickle.dumps(envs)) if way == "pickle" else copy.deepcopy(envs)
    for actions in events(20, seed=1):
        same(twin.step(actions), plain_all(envs.step(actions)))
    assert twin.melodies == envs.melodies


def test_outputs_are_fresh_tensors_every_step() -> None:
    envs = make(autoreset_mode="SameStep")
    kept = [envs.reset(seed=0)]
    copies = [copy.deepcopy(kept[0])]
    for actions in events(20):
        kept.append(envs.step(actions))
        copies.append(copy.deepcopy(kept[-1]))
    for ours, theirs in zip(kept, copies, strict=True):
        same(ours, plain_all(theirs))


def test_inference_mode_may_be_entered_and_left_between_any_two_calls() -> None:
    envs = make()
    for inference in (True, False, True, False):
        with torch.inference_mode(inference):
            options = {"progression": "IV V" if inference else "ii V", "events": [20]}
            envs.reset(seed=0, options=options)
            envs.step([20] * SIZE)
        with torch.inference_mode(not inference):
            envs.set_state(envs.get_state())
            envs.reset(options={"progression": "V IV" if inference else "V ii"})
        envs.step([20] * SIZE)
    with torch.inference_mode():
        envs = make()
    envs.reset(seed=0)
    envs.step([20] * SIZE)


def test_rewards_are_float32_whatever_torchs_default_is() -> None:
    envs = make()
    torch.set_default_dtype(torch.float64)
    try:
        envs.reset(seed=0)
        for actions in events(10):
            observation, reward = envs.step(actions)[:2]
            assert reward.dtype == envs.raw.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("wrong", [np.zeros((2, SIZE)), np.zeros((2, 4), int), np.zeros(2, int)])
def test_many_steps_take_whole_numbers_of_every_environment(wrong: np.ndarray) -> None:
    envs = make()
    envs.reset(seed=0)
    for given in (wrong, torch.from_numpy(wrong)):
        with pytest.raises(ValueError, match=r"actions: .* integers \(2, 5\) expected"):
            envs.step_many(given)
    played = envs.step_many(np.full((2, SIZE), 20))
    assert played.event.tolist() == [[20] * SIZE] * 2


class Learned(SequenceTerm):
    """Pays by a parameter."""

    def begin(self, episodes: Any, which: Array) -> None:
        self.weight = torch.ones((), requires_grad=True)

    def pay(self, events: Array) -> Array:
        return events * self.weight


def test_rewards_of_a_learned_term_carry_no_graph() -> None:
    envs = make(rewards={f"{__name__}:Learned": 1.0}, reward_timing="end")
    envs.reset(seed=0)
    for _ in range(3):
        reward = envs.step([20] * SIZE)[1]
    assert not (reward.requires_grad or envs.raw.requires_grad or envs._owed.requires_grad)


def test_the_environment_is_made_anew_from_its_specification() -> None:
    envs = make(execution="eager", device="cpu", autoreset_mode="SameStep")
    spec = EnvSpec.from_json(envs.spec.to_json())
    assert json.loads(envs.spec.to_json())["kwargs"]["backend"] == "tensor"
    twin = gym.make_vec(spec, num_envs=SIZE)
    same(twin.reset(seed=3)[0], envs.reset(seed=3)[0].numpy())


def test_the_class_makes_the_tensor_environment_too() -> None:
    for envs in (
        MelodyComposeVectorEnv(2, "tensor", **TASK),
        MelodyComposeVectorEnv(num_envs=2, backend="tensor", **TASK),
        MelodyComposeTensorEnv(2, **TASK),
    ):
        assert type(envs) is MelodyComposeTensorEnv and envs.device == "cpu"
    assert type(MelodyComposeVectorEnv(2, "arrays", **TASK)) is MelodyComposeVectorEnv


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "gpu"}, "'gpu' is not one of cpu, cuda, cuda:N"),
        ({"device": "cuda:x"}, "not one of"),
        (
            {"device": "cuda:99"},
            "'cuda:99' given, but torch sees .*'cpu' is allowed",
        ),
        ({"execution": "compile"}, "eager, compiled, captured; did you mean 'compiled'"),
        ({"backend": "arrays", "device": "cuda"}, "backend='tensor' runs on others"),
        ({"backend": "arrays", "execution": "eager"}, "only the backend 'tensor'"),
        ({"num_envs": 0}, "1 or more"),
    ],
    ids=str,
)
def test_a_wrong_argument_names_what_is_allowed(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MelodyComposeVectorEnv(**{"num_envs": 2, "backend": "tensor", **arguments})


def test_misuse_raises_an_error_that_says_what_to_do() -> None:
    envs = make(autoreset_mode="Disabled")
    ones = torch.ones(SIZE, dtype=torch.int64)
    for call in (
        lambda: envs.step(ones),
        lambda: envs.step_many(ones[None]),
        envs.get_state,
        envs.episodes,
        lambda: envs.played,
        lambda: envs.melodies,
        lambda: envs.reset(options={"reset_mask": np.eye(5, dtype=bool)[0]}),
    ):
        with pytest.raises(ResetNeeded, match=r"reset\(\)"):
            call()
    envs.reset(seed=0)
    for wrong in (
        ones[:4],
        ones.float(),
        ones.bool(),
        ones[:, None],
        np.ones(4, int),
        1,
        [0.5] * 5,
    ):
        with pytest.raises(ValueError, match=r"integers \(5,\) expected"):
            envs.step(wrong)
    for wrong in (torch.ones(5, 37), torch.ones(5, 38, dtype=torch.int64), np.ones((5, 38))):
        with pytest.raises(ValueError, match="probabilities"):
            envs.observe_policy(wrong)
    with pytest.raises(ValueError, match="9 steps given"):
        envs.step_many(ones.expand(9, 5))
    with pytest.raises(ValueError, match="3 seeds given for 5"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(TypeError, match="bools"):
        envs.reset(options={"reset_mask": ones})
    envs.step(ones)
    envs.reset(options={"reset_mask": np.eye(5, dtype=bool)[0]})
    with pytest.raises(ValueError, match="stand together"):
        envs.step_many(ones[None])
    for _ in range(7):
        envs.step(ones)
    with pytest.raises(ResetNeeded, match="reset_mask"):
        envs.step(ones)


@pytest.mark.filterwarnings("ignore:called plainly")
def test_a_rule_that_does_not_run_on_tensors_is_named() -> None:
    envs = make(rewards={f"{__name__}:Branching": 1.0})
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="Branching does not run on a batch.*`if`"):
        envs.step([1] * SIZE)


def test_a_batch_without_a_seed_is_drawn() -> None:
    assert len({make().reset()[0].numpy().tobytes() for _ in range(5)}) > 1


def test_the_melodies_can_be_shown() -> None:
    envs = make(2, key="D major", progression="I V", render_mode="ansi")
    envs.reset(seed=0)
    envs.step(torch.tensor([spelt("D5")[0], 0]))
    first, second = envs.render()
    assert "D5" in first and "D5" not in second
    assert envs.action_masks()[:, 0].tolist() == [1, 0]
