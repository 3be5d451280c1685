"""ACMG end to end on a small corpus: it learns, resumes to the bit, and composes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small import corpus

from musicgym.agents import checkpoints
from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.checkpoints import CheckpointError
from musicgym.agents.configs import (
    A2CConfig,
    ActorCriticConfig,
    KLConfig,
    MelodyLSTMConfig,
    PPOConfig,
    PretrainConfig,
    Sampling,
)
from musicgym.theory import Key, parse_progression

ENVS = 8
STEPS = ENVS * 8  # of an iteration
TINY = ACMGConfig(
    steps_per_beat=1,
    bars=2,
    progressions=("random",),
    num_envs=ENVS,
    model=ActorCriticConfig(MelodyLSTMConfig(16), critic_hidden=16),
    pretraining=PretrainConfig(epochs=1),
    learning=PPOConfig(total_steps=6 * STEPS, kl=KLConfig(0.5, 0.1)),
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run on NumPy, which compiles nothing and is equal to the bit, and on one thread."""
    envs = ACMGConfig.envs
    monkeypatch.setattr(
        ACMGConfig, "envs", lambda *a, **given: envs(*a, **{"backend": "arrays", **given})
    )
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def agent(config: ACMGConfig = TINY) -> ACMG:
    """Return an agent with its prior."""
    made = ACMG(config)
    made.pretrain(corpus(12))
    return made


@pytest.fixture(scope="module")
def learned() -> ACMG:
    """Return an untrained agent that composes; its weights are random, so its events are varied."""
    return ACMG(replace(TINY, pretraining=None, learning=PPOConfig()))


def same(a: ACMG, b: ACMG) -> bool:
    one, two = a.model.state_dict(), b.model.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


# The configuration


@pytest.mark.parametrize(
    "config",
    [
        ACMGConfig(),
        TINY,
        ACMGConfig(pretraining=None, learning=A2CConfig(entropy_weight=0.1)),
        ACMGConfig(
            rewards={"chord_tone": {"weight": 2.0}, "octave_leap": {}},
            pitch_range=(50, "C6"),
            model=ActorCriticConfig(MelodyLSTMConfig(64, 2, 0.0), shared=True),
        ),
    ],
    ids=["default", "tiny", "a2c", "rewards"],
)
def test_a_configuration_comes_back_from_json(config: ACMGConfig) -> None:
    text = config.to_json()
    assert ACMGConfig.from_json(text) == config
    assert json.loads(text)["algorithm"] == config.algorithm


def test_the_algorithm_follows_the_learning_settings() -> None:
    assert replace(TINY, learning=PPOConfig()).algorithm == "ppo"
    assert replace(TINY, learning=A2CConfig()).algorithm == "a2c"


# Learning


def test_pretraining_gives_the_actor_the_prior_and_keeps_its_figures() -> None:
    held = corpus(12)
    made = ACMG(TINY)
    figures = made.pretrain(held)
    assert made.prior is not None
    assert all(
        torch.equal(value, made.model.actor.state_dict()[name])
        for name, value in made.prior.state_dict().items()
    )
    assert made.facts["corpus"] == held.fingerprint and made.facts["pretraining"] == figures
    assert len(made.facts["curve"]["validation_nll"]) == made.config.pretraining.epochs


def test_learning_moves_the_actor_and_leaves_the_prior() -> None:
    made = agent()
    assert made.prior is not None
    before = {name: value.clone() for name, value in made.prior.state_dict().items()}
    rows: list[dict[str, Any]] = []
    made.learn(rows.append)
    assert made.finished and len(rows) == 6
    assert all(torch.equal(before[n], v) for n, v in made.prior.state_dict().items())
    assert any(not torch.equal(before[n], v) for n, v in made.model.actor.state_dict().items())
    assert rows[-1]["kl"] > rows[0]["kl"]


def test_an_agent_keeps_its_learning_curve_across_files(tmp_path: Path) -> None:
    made, path = agent(), tmp_path / "agent.safetensors"
    made.learn(checkpoint=path)
    curve = ACMG.load(path).facts["history"]
    assert [row[0] for row in curve] == [STEPS * (i + 1) for i in range(6)]
    assert all(row[1] > 0 and 0 <= row[4] <= 4 for row in curve)
    other = ACMG(TINY)
    other.start_from(made)
    assert "history" not in other.facts


def test_the_time_to_90_percent_is_where_the_curve_gets_there() -> None:
    made = ACMG(TINY)
    assert all(math.isnan(value) for value in made.to_90_percent())
    paid = [0, 5, 8, 9.5, 7, 10, 10, 10, 10, 10, 10]
    made.facts["history"] = [[100 * (i + 1), 2.0, p, 0, 0] for i, p in enumerate(paid)]
    assert made.to_90_percent() == (400, 8)
    made.facts["history"] = [[100, 2.0, 3.0, 0, 0], [200, 2.0, 1.0, 0, 0]]
    assert made.to_90_percent() == (100, 2)


def test_an_agent_starts_from_the_prior_of_another() -> None:
    one, two = agent(), ACMG(TINY)
    two.start_from(one)
    one.learn()
    two.learn()
    assert two.facts["pretraining"] == one.facts["pretraining"]
    # The critics were drawn by the same seed.
    assert same(one, two)


def test_without_a_prior_there_is_nothing_to_start_from_or_to_be_held_to() -> None:
    with pytest.raises(ValueError, match="has no prior"):
        ACMG(TINY).start_from(ACMG(TINY))
    with pytest.raises(ValueError, match="no prior"):
        ACMG(TINY).learn()
    with pytest.raises(ValueError, match="pretraining"):
        ACMG(replace(TINY, pretraining=None)).pretrain(corpus(12))


# Checkpoints


@pytest.mark.parametrize("learning", [TINY.learning, A2CConfig(total_steps=6 * STEPS)])
def test_a_run_resumed_from_a_checkpoint_equals_the_uninterrupted_one_to_the_bit(
    learning: PPOConfig, tmp_path: Path
) -> None:
    config, path = replace(TINY, learning=learning), tmp_path / "agent.safetensors"
    whole, start = agent(config), agent(config)
    whole.learn()

    def stop(row: dict[str, Any]) -> None:
        if row["steps"] >= 3 * STEPS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start.learn(stop, checkpoint=path)
    rest = ACMG.load(path)
    assert not rest.finished and not same(rest, whole)
    seen: list[int] = []
    rest.learn(lambda row: seen.append(row["steps"]), checkpoint=path)
    assert seen == [4 * STEPS, 5 * STEPS, 6 * STEPS]
    assert same(rest, whole)
    assert ACMG.load(path).finished and same(ACMG.load(path), whole)


def test_ctrl_c_in_the_middle_of_an_iteration_loses_that_iteration_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.safetensors"
    whole, start = agent(), agent()
    whole.learn()
    step, calls = torch.optim.Adam.step, []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 30:  # the third iteration: 3 epochs of 4 steps each
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start.learn(checkpoint=path)
    rest = ACMG.load(path)
    rest.learn()
    assert same(rest, whole)


def test_checkpoints_are_written_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, written = agent(), []
    monkeypatch.setattr(made, "save", lambda path: written.append(made.learner.iteration))
    made.learn(checkpoint=tmp_path / "agent.safetensors", every=2)
    assert written == [0, 2, 4, 6, 6]  # the first shows whether the folder can be written


def test_what_is_saved_before_learning_learns_as_if_it_had_never_been_saved(tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    made = agent()
    made.save(path)
    back = ACMG.load(path)
    assert not back.finished and back.facts == made.facts and back.config == made.config
    made.learn()
    back.learn()
    assert same(made, back)


def test_a_loaded_agent_that_is_saved_again_still_resumes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    made = agent()
    made.learn(checkpoint=first)
    ACMG.load(first).save(second)
    back = ACMG.load(second)
    assert back.finished and same(back, made)
    assert (
        checkpoints.load(first, "acmg").tensors.keys()
        == checkpoints.load(second, "acmg").tensors.keys()
    )


@pytest.mark.parametrize("spoil", ["config", "weights", "prior"])
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "agent.safetensors"
    agent().save(path)
    held = checkpoints.load(path, "acmg")
    tensors, facts = dict(held.tensors), dict(held.facts)
    if spoil == "config":
        facts["config"] = json.dumps({"bars": 8})
    elif spoil == "weights":
        del tensors["model.actor.head.bias"]
    else:
        tensors["prior.head.bias"] = torch.zeros(3)
    checkpoints.save(path, "acmg", tensors, facts)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors does not fit"):
        ACMG.load(path)


# Composing


@pytest.mark.parametrize(
    ("one", "other", "progression", "semitones"),
    [("A minor", "D minor", "i VI III VII", 5), ("C major", "Bb major", "I V vi IV", -2),
     ("C major", "F# major", "I V vi IV", -6)],
)  # fmt: skip
def test_the_same_seed_gives_the_same_melody_in_every_key(
    learned: ACMG, one: str, other: str, progression: str, semitones: int
) -> None:
    here, there = (learned.compose(key, progression, count=3, seed=4) for key in (one, other))
    for a, b in zip(here, there, strict=True):
        assert b.melody.key.name == other
        moved = a.melody.transposed(semitones)
        assert [n.pitch for n in b.melody.notes()] == [n.pitch for n in moved.notes()]
        assert b.melody.events == moved.events
        assert [c.mask for c in b.melody.chords] == [c.mask for c in moved.chords]
        assert a.paid == b.paid
    assert len({a.melody.events for a in here}) == 3


def test_seeds_and_counts_fix_what_is_composed(learned: ACMG) -> None:
    three = learned.compose(count=3, seed=7)
    assert learned.compose(count=3, seed=7) == three
    assert learned.compose(count=3, seed=8) != three
    assert [len(learned.compose(count=n)) for n in (1, 2, 5)] == [1, 2, 5]


def test_composing_needs_no_chord_of_its_own_and_reports_what_the_rules_paid(
    learned: ACMG,
) -> None:
    (made,) = learned.compose("G major", "G D Em C", bars=4, rewards="acmg")
    assert made.melody.chords == parse_progression("G D Em C", Key.parse("G major"))
    assert "median_line" in made.paid and made.paid["state_variance"] == 0
    assert made.total == pytest.approx(sum(made.paid.values()))


@pytest.mark.parametrize("bars", [1, 2, 16])
def test_melodies_may_be_shorter_or_longer_than_those_of_training(learned: ACMG, bars: int) -> None:
    (made,) = learned.compose("C major", "I", bars=bars)
    assert len(made.melody.events) == bars * 4
    assert len(set(made.melody.events)) > 2


def test_chords_may_change_within_a_bar(learned: ACMG) -> None:
    (made,) = learned.compose("C major", "I V vi IV", bars=2, chords_per_bar=2)
    assert made.melody.steps_per_chord == 2
    assert len(made.melody.chords) == 4


def test_an_opening_is_continued_and_stands_as_it_was_given(learned: ACMG) -> None:
    opening = [26, 0, 28, 1, 29]
    made = learned.compose("C major", "I V", bars=2, count=4, opening=opening)
    assert all(list(m.melody.events[:5]) == opening for m in made)
    assert len({m.melody.events for m in made}) > 1


def test_temperature_0_composes_one_melody_whatever_the_seed(learned: ACMG) -> None:
    sure = Sampling(temperature=0)
    one, other = (learned.compose(count=2, seed=s, sampling=sure) for s in (1, 2))
    assert len({m.melody.events for m in [*one, *other]}) == 1


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"count": 0}, "count"),
        ({"key": "H minor"}, "H minor"),
        ({"progression": "I Q"}, "Q"),
        ({"progression": "I V vi", "bars": 8}, "3 chords do not divide 8 bars"),
        ({"bars": 0}, "bars"),
        ({"chords_per_bar": 3}, "chords_per_bar"),
        ({"rewards": "acgm"}, "acgm"),
        ({"opening": [26] * 8, "bars": 2, "progression": "I"}, "events"),
    ],
)
def test_a_mistake_is_named(learned: ACMG, wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        learned.compose(**wrong)
