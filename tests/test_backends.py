"""The one text gives the same on Python numbers (plain, inlined), NumPy, numba and torch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playing import random_events, rule_names

from musicgym import threads
from musicgym.backends import compiled as compiled_module
from musicgym.backends import scalar
from musicgym.backends.arrays import Arrays
from musicgym.backends.batch import COLUMNS, Core, Outcome, Start, new_batch, width
from musicgym.backends.compiled import Compiled
from musicgym.backends.scalar import TABLES
from musicgym.backends.source import Code, InlineError, Inliner
from musicgym.dynamics import (
    Constants,
    Moment,
    State,
    advance,
    constants,
    initial,
    moment,
    terminal,
)
from musicgym.observation import layout, observe
from musicgym.randomness import chance_at, episode_key
from musicgym.reward import Reward, Rule, load
from musicgym.rewards.presets import PRESETS
from musicgym.select import Array, count_bits, where
from musicgym.task import Task

ODD = {
    "non_chord_tone": {"reading": "formula", "scope": "previous_weak"},
    "median_line": {"median": "nearest", "reach": 7, "rest": -0.125, "weight": 0.3},
    "chord_tone": {"inside": 1, "rest": -0.1},
    "repetition": {"max_run": 1, "weight": -2.0},
    "octave_leap": {"reach": 3, "rest": 0.7},
    "pitch_range": {"rest": 0.01, "weight": 1e-3},
    "final_tonic": {"tonic": 7},
    "scoring": "onset",
}
DRAWN = {
    "preset": "acmg",
    "median_line": {"median": "random"},
    "non_chord_tone": {"reading": "lenient", "scope": "bar"},
    "octave_leap": {"rest": -0.3},
}
EVERYTHING = {name: {} for name in rule_names()}
MIXES: dict[str, Any] = {
    **{preset: preset for preset in PRESETS},
    "odd": ODD,
    "drawn": DRAWN,
    "every rule by time": EVERYTHING,
    "every rule by onset": {**EVERYTHING, "scoring": "onset"},
    "every rule literally": {**EVERYTHING, "scoring": "literal"},
}
SIZE = 33
#: Chords of no, three and four tones, two a bar; both modes and all keys.
TASK = Task(bars=3, meter="6/8", steps_per_beat=1, key="random", chords_per_bar=2,
            progression="I N.C. V7 viio7 I IV")  # fmt: skip
RANDOM = Task(bars=2, key="random", progression="random", pitch_range=("D3", "G5"))


@dataclass
class Rollout:
    """What a backend gave: each list is over the steps, each entry an array over the episodes."""

    states: list[State]
    observations: list[Any]
    rewards: list[Any]
    raws: list[Any]
    dones: list[Any]
    events: list[Any]


def same(a: Rollout, b: Rollout) -> None:
    """Assert that two rollouts are the same to the last bit."""
    assert len(a.states) == len(b.states)
    for x, y in zip(a.states, b.states, strict=True):
        for name, p, q in zip(State._fields, x, y, strict=True):
            np.testing.assert_array_equal(p, q, name)
    for name in ("observations", "rewards", "raws", "dones", "events"):
        for p, q in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(p, q, name)


def batch_rollout(make: type[Core], task: Task, reward: Reward, flat: bool = False) -> Rollout:
    """Return a rollout of a batch backend."""
    c, sizes = constants(task, reward.readings), layout(task)
    core = make(c, reward, sizes, flat)  # type: ignore[call-arg]
    batch = new_batch(SIZE, task.steps)
    every, drawn = np.ones(SIZE, np.bool_), np.full(SIZE, -1)
    parts = sum(sizes.values()) if flat else len(sizes)
    columns = parts if flat else width(parts)
    held = np.full((SIZE, columns), 7, np.float32 if flat else np.uint8)
    seen = held[:, :parts]
    paid, done = np.full(SIZE, np.nan), np.zeros(SIZE, np.bool_)
    raw = np.full((len(reward.terms), SIZE), np.nan)
    core.reset(batch, every, Start(keys(), drawn, drawn, drawn), held)
    out = Rollout([_copy(batch.state)], [seen.copy()], [], [], [], [])
    for events in actions(task):
        core.step(batch, events, None, reward.weights, Outcome(held, paid, [*raw], done, masks()))
        _note(out, _copy(batch.state), seen.copy(), paid.copy(), raw.T.copy(), done.copy())
    out.events = list(batch.events[:-1].copy())
    return out


def _copy(state: State) -> State:
    return State(*(column.copy() for column in state))


def _note(out: Rollout, state: State, seen: Any, paid: Any, raw: Any, done: Any) -> None:
    out.states.append(state)
    out.observations.append(seen)
    out.rewards.append(paid)
    out.raws.append(raw)
    out.dones.append(done)


def keys() -> np.ndarray:
    return np.array([episode_key(seed) for seed in range(SIZE)], np.int64)


def masks(size: int = SIZE) -> np.ndarray:
    return np.full((size, 300), 7, np.int8)


def actions(task: Task) -> np.ndarray:
    return random_events(task.n_events, task.steps, seed=5, size=SIZE)  # type: ignore[no-any-return]


def scalar_rollout(functions: scalar.Scalar, task: Task, reward: Reward) -> Rollout:
    """Return a rollout of the single environment's functions, one episode after the other."""
    one = [functions.reset(int(key), -1, -1, -1) for key in keys()]
    weights = tuple(reward.weights[: len(reward.rules)].tolist())
    states, seen, _ = zip(*one, strict=True)
    out = Rollout([_columns(states)], [np.array(seen)], [], [], [], [])
    for events in actions(task):
        steps = [functions.step(s, int(e), weights) for s, e in zip(states, events, strict=True)]
        states, seen, paid, infos, done, played = zip(*steps, strict=True)
        raws = np.array([list(info["reward_terms"].values()) for info in infos])
        _note(out, _columns(states), np.array(seen), np.array(paid), raws, np.array(done))
        out.events.append(np.array(played))
    return out


def _columns(states: Any) -> State:
    return State(*(np.array(column) for column in zip(*states, strict=True)))


def torch_rollout(task: Task, reward: Reward) -> Rollout:
    """Return a rollout of the text on torch tensors, called as it stands."""
    c = constants(task, reward.readings)
    c = Constants(**{**c._asdict(), **{n: torch.from_numpy(getattr(c, n)) for n in TABLES}})
    key, drawn = torch.from_numpy(keys()), torch.full((SIZE,), -1)
    s = initial(c, key, drawn, drawn, drawn, chance_at(key, 0))

    def stacked(state: State) -> Any:
        return torch.stack([part.to(torch.int64) for part in observe(c, state)], 1).numpy()

    out = Rollout([_numpy(s)], [stacked(s)], [], [], [], [])
    for events in actions(task):
        m = moment(c, s, torch.from_numpy(events))
        values = [
            torch.as_tensor(rule(m), dtype=torch.float64).expand(SIZE) for rule in reward.rules
        ]
        paid: Any = torch.zeros(SIZE, dtype=torch.float64)
        for k, (weight, value) in enumerate(zip(reward.weights.tolist(), values, strict=False)):
            paid = weight * value if k == 0 else paid + weight * value
        s = advance(c, s, m, chance_at(s.key, s.step + 1))
        silent = [torch.zeros(SIZE, dtype=torch.float64)] * len(reward.others)
        raw = torch.stack([*values, *silent], 1).numpy()
        _note(out, _numpy(s), stacked(s), paid.numpy(), raw, terminal(c, s).numpy())
        out.events.append(m.event.numpy())
    return out


def _numpy(state: State) -> State:
    return State(*(column.numpy() for column in state))


def inlined(task: Task, reward: Reward) -> scalar.Scalar:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may fall back
        return scalar.build(constants(task, reward.readings), reward, layout(task), "compact")


def plain(task: Task, reward: Reward) -> scalar.Scalar:
    return scalar._plain(constants(task, reward.readings), reward, layout(task), "compact")


# --- Equal on every backend --------------------------------------------------------------------


@pytest.mark.parametrize("task", [TASK, RANDOM], ids=["chords of all sizes", "random chords"])
@pytest.mark.parametrize("mix", MIXES)
def test_python_plain_and_inlined_numpy_and_torch_agree_to_the_last_bit(
    mix: str, task: Task
) -> None:
    reward = load(MIXES[mix], task.steps)
    reference = batch_rollout(Arrays, task, reward)
    same(reference, scalar_rollout(plain(task, reward), task, reward))
    same(reference, scalar_rollout(inlined(task, reward), task, reward))
    same(reference, torch_rollout(task, reward))
    assert reference.dones[-1].all() and not np.any(reference.dones[:-1])


@pytest.mark.parametrize("mix", MIXES)
def test_compiled_agrees_with_numpy_to_the_last_bit(mix: str) -> None:
    reward = load(MIXES[mix], TASK.steps)
    same(batch_rollout(Arrays, TASK, reward), batch_rollout(Compiled, TASK, reward))


@pytest.mark.parametrize("name", rule_names())
@pytest.mark.parametrize("scoring", ["time", "onset", "literal"])
def test_every_rule_alone_agrees_on_python_numpy_and_torch(name: str, scoring: str) -> None:
    reward = load({name: {"weight": 0.7}}, TASK.steps, scoring)
    reference = batch_rollout(Arrays, TASK, reward)
    same(reference, scalar_rollout(plain(TASK, reward), TASK, reward))
    same(reference, scalar_rollout(inlined(TASK, reward), TASK, reward))
    same(reference, torch_rollout(TASK, reward))


def test_the_flat_observation_is_the_same_compiled_and_on_numpy() -> None:
    reward = load("acmg_no_theory", RANDOM.steps)
    pair = [batch_rollout(make, RANDOM, reward, flat=True) for make in (Arrays, Compiled)]
    same(*pair)
    assert set(np.unique(pair[0].observations[-1]).tolist()) == {0.0, 1.0}
    assert (np.array(pair[0].observations).sum(axis=2) == len(layout(RANDOM))).all()


@pytest.mark.parametrize("flat", [False, True])
def test_a_large_batch_in_pieces_gives_the_same(
    flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = load({"chord_tone": 1.0, "octave_leap": 0.5}, TASK.steps)
    serial = batch_rollout(Arrays, TASK, reward, flat)
    monkeypatch.setattr(threads, "PIECES_FROM", SIZE)
    monkeypatch.setattr(threads, "SHARE", 1)
    monkeypatch.setenv("MUSICGYM_THREADS", "3")
    same(serial, batch_rollout(Compiled, TASK, reward, flat))


def test_a_reward_of_policy_terms_only_pays_nothing_by_itself() -> None:
    reward = load({"state_variance": 1.0}, TASK.steps)
    reference = batch_rollout(Arrays, TASK, reward)
    same(reference, batch_rollout(Compiled, TASK, reward))
    same(reference, scalar_rollout(inlined(TASK, reward), TASK, reward))
    assert not np.any(reference.rewards)


@pytest.mark.parametrize("make", [Arrays, Compiled])
def test_inactive_episodes_get_zeros_and_stay_where_they_are(make: Any) -> None:
    reward = load("acmg", TASK.steps)
    c, sizes = constants(TASK, reward.readings), layout(TASK)
    core = make(c, reward, sizes, False)
    batch = new_batch(SIZE, TASK.steps)
    seen = np.zeros((SIZE, width(len(sizes))), np.uint8)
    drawn = np.full(SIZE, -1)
    core.reset(batch, np.ones(SIZE, np.bool_), Start(keys(), drawn, drawn, drawn), seen)
    active = np.arange(SIZE) % 3 == 0
    before = _copy(batch.state)
    paid, done = np.full(SIZE, np.nan), np.ones(SIZE, np.bool_)
    raw = np.full((8, SIZE), np.nan)
    out = Outcome(seen, paid, [*raw], done, masks())
    core.step(batch, np.full(SIZE, 20), active, reward.weights, out)
    for old, new in zip(before, batch.state, strict=True):
        np.testing.assert_array_equal(old[~active], new[~active])
    assert (batch.state.step == active).all()
    assert not raw[:, ~active].any() and not paid[~active].any() and not done.any()
    assert not raw[-1].any()  # the policy term's row


@pytest.mark.parametrize("make", [Arrays, Compiled])
def test_weights_may_differ_between_the_episodes(make: Any) -> None:
    reward = load("acmg", TASK.steps)
    c, sizes = constants(TASK, reward.readings), layout(TASK)
    core = make(c, reward, sizes, False)
    batch = new_batch(SIZE, TASK.steps)
    seen = np.zeros((SIZE, width(len(sizes))), np.uint8)
    drawn = np.full(SIZE, -1)
    every = np.ones(SIZE, np.bool_)
    core.reset(batch, every, Start(keys(), drawn, drawn, drawn), seen)
    weights = np.random.default_rng(0).normal(size=(SIZE, 8))
    paid, done, raw = np.zeros(SIZE), np.zeros(SIZE, np.bool_), np.zeros((8, SIZE))
    for events in actions(TASK):
        core.step(batch, events, None, weights, Outcome(seen, paid, [*raw], done, masks()))
        expected = weights[:, 0] * raw[0]
        for k in range(1, 7):
            expected = expected + weights[:, k] * raw[k]
        np.testing.assert_array_equal(paid, expected)


def test_the_columns_of_a_batch_hold_the_longest_and_widest_task() -> None:
    task = Task(bars=128, meter="6/8", steps_per_beat=4, pitch_range=(0, 127))
    assert np.iinfo(COLUMNS.step).max >= task.steps
    assert np.iinfo(COLUMNS.event).max >= task.n_events - 1
    assert max(layout(task).values()) <= 256  # the compact observation is uint8


# --- Rules that cannot be inlined --------------------------------------------------------------


@dataclass(frozen=True)
class WithIf(Rule):
    def __call__(self, m: Moment) -> Array:
        if self is None:
            return 0.0
        return where(m.struck, 0.25, -0.5)


@dataclass(frozen=True)
class WithLambda(Rule):
    __call__ = lambda self, m: where(m.struck, 0.25, -0.5)  # type: ignore[assignment] # noqa: E731


@dataclass(frozen=True)
class WithLoop(Rule):
    def __call__(self, m: Moment) -> Array:
        total = 0.0
        for value in (0.25,):
            total += value
        return where(m.struck, total, -0.5)


@dataclass(frozen=True)
class WithDoubleAssignment(Rule):
    def __call__(self, m: Moment) -> Array:
        a = b = 0.25
        return where(m.struck, a, -2 * b)


@dataclass(frozen=True)
class WithDefault(Rule):
    def __call__(self, m: Moment) -> Array:
        return where(m.struck, quarter(), -0.5)


def quarter(of: float = 1.0) -> float:
    return of / 4


@dataclass(frozen=True)
class WithTable(Rule):
    table: tuple[float, ...] = (0.25, -0.5)

    def __call__(self, m: Moment) -> Array:
        return where(m.struck, self.table[0], self.table[1])


@dataclass(frozen=True)
class WithChain(Rule):
    def __call__(self, m: Moment) -> Array:
        return where(m.struck, 0.25, -0.5) * (0 < 1 < 2)


_space: dict[str, Any] = {"Rule": Rule, "where": where, "__name__": __name__}
exec(  # its source is nowhere
    "class FromExec(Rule):\n"
    "    def __call__(self, m):\n"
    "        return where(m.struck, 0.25, -0.5)\n",
    _space,
)
FromExec = _space["FromExec"]


def closed() -> type[Rule]:
    value = 0.25

    class Closed(Rule):
        def __call__(self, m: Moment) -> Array:
            return where(m.struck, value, -0.5)

    return Closed


Closed = closed()

STUBBORN = {
    "WithIf": "assignments and one return",
    "WithLambda": "not a plain function",
    "WithLoop": "assignments and one return",
    "WithDoubleAssignment": "assignments and one return",
    "WithDefault": "each of its parameters",
    "WithTable": "not a number",
    "WithChain": "not allowed",
    "FromExec": "source cannot be read",
    "Closed": "enclosing function",
}


@dataclass(frozen=True)
class Plain(Rule):
    def __call__(self, m: Moment) -> Array:
        return where(m.struck, 0.25, -0.5)


@pytest.mark.parametrize("name", STUBBORN)
def test_a_rule_that_cannot_be_inlined_is_called_plainly_with_a_warning_and_pays_the_same(
    name: str,
) -> None:
    reward = load({f"{__name__}:{name}": 2.0, "chord_tone": 1.0}, TASK.steps)
    twin = load({f"{__name__}:Plain": 2.0, "chord_tone": 1.0}, TASK.steps)
    c, sizes = constants(TASK, reward.readings), layout(TASK)
    with pytest.warns(UserWarning, match=f"called plainly, not inlined: .*{STUBBORN[name]}"):
        functions = scalar.build(c, reward, sizes, "compact")
    expected = scalar_rollout(inlined(TASK, twin), TASK, twin)
    same(scalar_rollout(functions, TASK, reward), expected)
    same(batch_rollout(Arrays, TASK, reward), expected)
    with pytest.raises(InlineError, match=STUBBORN[name]):
        Compiled(c, reward, sizes, False)


class Counting(Rule):
    """Counts flags: 2 in Python where an array says True."""

    def __call__(self, m: Moment) -> Array:
        return m.struck + m.strong


def test_the_sum_of_two_flags_is_refused_with_what_to_write() -> None:
    reward = load({f"{__name__}:Counting": 1.0}, TASK.steps)
    with pytest.raises(InlineError, match=r"Counting.*write where\(flag, 1, 0\)"):
        Compiled(constants(TASK, reward.readings), reward, layout(TASK), False)


# --- What the inliner allows -------------------------------------------------------------------


THIRD = 1 / 3


def helped(x: Array, y: Array) -> Array:
    return x // y + x % y


@dataclass(frozen=True)
class Everything(Rule):
    """Uses each thing that a rule may: operators, helpers, constants, parameters, NumPy numbers."""

    number: Any = np.float64(0.5)
    whole: Any = np.int64(3)
    negative: float = -0.25
    flag: bool = True

    def __call__(self, m: Moment) -> Array:
        """Say nothing of use."""
        a = helped(m.pitch, self.whole)
        b = abs(m.interval) * THIRD - -self.negative
        c = (m.chord >> m.degree & 1 == 1) | (m.step < 3) ^ m.struck
        d = where(self.flag, a * self.number, b / 2.0)
        e = where(c, d + b, where((m.beat >= 2) & (m.bar != 1), -d, (m.run_length << 1) * 1.0))
        return where((m.pitch > 3) & (m.step <= 90), e, 0.0)


def test_all_that_a_rule_may_use_agrees_on_every_backend() -> None:
    reward = load({f"{__name__}:Everything": 1.0}, TASK.steps)
    reference = batch_rollout(Arrays, TASK, reward)
    assert len(np.unique(reference.raws)) > 20
    same(reference, scalar_rollout(plain(TASK, reward), TASK, reward))
    same(reference, scalar_rollout(inlined(TASK, reward), TASK, reward))
    same(reference, batch_rollout(Compiled, TASK, reward))


def test_repeated_expressions_are_computed_once_and_unread_ones_never() -> None:
    reward = load({"chord_tone": 1.0}, TASK.steps)
    step, _, place = scalar.sources(constants(TASK, reward.readings), reward, {"event": 38}, "flat")
    assert "sizes[" not in step + place  # nothing that is asked for reads the size of the chord
    assert (step + place).count("% 12") <= 2


def test_switches_are_folded_so_that_a_scoring_costs_nothing() -> None:
    by_time, literally = (
        scalar.sources(constants(TASK, reward.readings), reward, layout(TASK), "compact")[0]
        for reward in (load("acmg", 18, "time"), load("acmg", 18, "literal"))
    )
    assert by_time != literally
    assert "literal" not in by_time + literally
    assert "True if" not in by_time + literally


def test_what_follows_from_the_place_is_looked_up() -> None:
    reward = load("acmg", TASK.steps)
    step, _, place = scalar.sources(constants(TASK, reward.readings), reward, layout(TASK), "flat")
    for text in ("masks[", "roots[", "codes[", "sizes[", "step + 1", "root_rows["):
        assert text in place and text not in step
    assert "pitch" in step and not any(n in place for n in ("action", "ringing", "pitch_rows["))


def counted(x: Array) -> Array:
    return count_bits(x)


def test_bits_are_counted_the_same_by_the_method_of_int() -> None:
    inliner = Inliner(lazy=True)
    lines, (text,) = inliner.assignments([inliner.call(counted, Code("x"))])
    assert not lines and "bit_count" in text
    for x in (*range(-5000, 5000), 2**40 - 1, -(2**40)):
        assert eval(text, {"x": x}) == count_bits(x)


def combined(x: Array, y: Array) -> Array:
    chosen = where((x > 0) & (y > 0) | (y == 2), (x > 1) ^ (y > 1), (x > 1) | (y > 1))
    return chosen & ((x == y) ^ True)


def test_flags_are_combined_the_same_by_words_and_numbers_as_they_were() -> None:
    inliner = Inliner(lazy=True)
    lines, (text,) = inliner.assignments([inliner.call(combined, Code("x"), Code("y"))])
    assert not set("&|^") & set("".join([*lines, text]))
    for x in range(4):
        for y in range(4):
            space = {"x": x, "y": y}
            exec("\n".join(lines), space)
            assert eval(text, space) is combined(x, y)
    assert inliner.lines[inliner.call(bits_in_both, Code("x"), Code("y"))] == "x & y"


def bits_in_both(x: Array, y: Array) -> Array:
    return x & y


def test_the_inliner_shares_equal_expressions() -> None:
    inliner = Inliner()
    assert inliner._name("a + b") == inliner._name("a + b") != inliner._name("b + a")


def test_an_unknown_field_of_the_moment_is_named() -> None:
    reward = Reward(load({f"{__name__}:Unknown": 1.0}, 18).terms, load("acmg", 18).readings)
    with pytest.warns(UserWarning, match="no field 'loudness'"):
        scalar.build(constants(TASK, reward.readings), reward, layout(TASK), "compact")


@dataclass(frozen=True)
class Unknown(Rule):
    def __call__(self, m: Moment) -> Array:
        return m.loudness  # type: ignore[attr-defined]


def test_longer_chord_tables_reach_the_built_functions() -> None:
    from musicgym.dynamics import with_row

    task = Task(bars=2, progression="I V")
    reward = load("acmg", task.steps)
    c = constants(task, reward.readings)
    longer = with_row(c, task.spans("IV ii", "major"))
    for functions in (inlined(task, reward), plain(task, reward)):
        functions.use(longer)
        state, _, _ = functions.reset(1, 1, 0, 0)
        infos = [functions.step(state, pitch - 46, (1.0,) * 7)[3] for pitch in (71, 77)]
        assert [info["reward_terms"]["chord_tone"] for info in infos] == [-1.0, 0.6]


def test_kernels_are_kept_as_files_and_compiled_in_memory_where_no_file_can_be(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(f"def {name}():\n    return CACHE\n" for name in ("step", "reset", "one_hot"))
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path))
    compiled_module._load.cache_clear()
    assert compiled_module._load(text)[0]() is True
    kept = list((tmp_path / "kernels").glob("kernel_*.py"))
    assert len(kept) == 1 and (tmp_path / "kernels").stat().st_mode & 0o77 == 0
    compiled_module._load.cache_clear()
    kept[0].write_text("def step():\n    return 'spoiled'\n")  # a spoiled file is written anew
    assert compiled_module._load(text)[0]() is True
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path / "file"))
    compiled_module._load.cache_clear()
    assert compiled_module._load(text)[0]() is False
    compiled_module._load.cache_clear()


def test_a_damaged_index_of_compiled_kernels_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musicgym.backends import compiled
    from musicgym.dynamics import Readings

    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path))
    compiled._load.cache_clear()
    task = Task(bars=1, steps_per_beat=1, progression="I")
    given = (constants(task, Readings()), load("acmg_no_chords", task.steps), layout(task), False)

    def first_reward() -> float:
        core, batch = Compiled(*given), new_batch(1, task.steps)
        one, zero = np.ones(1, np.bool_), np.zeros(1, np.int64)
        seen = np.zeros((1, width(len(layout(task)))), np.uint8)
        core.reset(batch, one, Start(zero, zero, zero, zero), seen)
        paid, raw, done = np.zeros(1), [*np.zeros((5, 1))], np.zeros(1, np.bool_)
        weights = np.ones(5)
        core.step(batch, np.array([26]), None, weights, Outcome(seen, paid, raw, done, masks(1)))
        return float(paid[0])

    expected = first_reward()
    indices = list((tmp_path / "kernels" / "__pycache__").glob("*.nbi"))
    assert indices
    for index in indices:
        index.write_bytes(b"x")
    compiled._load.cache_clear()
    assert first_reward() == expected
    compiled._load.cache_clear()
