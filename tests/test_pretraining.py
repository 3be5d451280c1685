"""Pretraining on a small corpus, and what its lessons are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from small import TINY, actor_critic, corpus, task

from musicgym.agents.configs import MelodyLSTMConfig, PretrainConfig
from musicgym.agents.lessons import Lessons, lessons, nll
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.pretraining import pretrain
from musicgym.corpus.dataset import LOW, windows
from musicgym.env import MelodyComposeEnv
from musicgym.events import FIRST_NOTE, HOLD
from musicgym.observation import layout
from musicgym.theory import QUALITIES, Chord, Key

TASK = task(key="natural", progression="random")
RINGING = list(layout(TASK)).index("ringing")
SIZE = MelodyLSTMConfig(32, dropout=0.1)
SMALL = PretrainConfig(epochs=6, batch=32, learning_rate=1e-2)


@pytest.fixture(scope="module")
def trained() -> tuple[Any, dict[str, float], list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    torch.set_num_threads(1)
    model, figures, _ = pretrain(corpus(), TASK, SIZE, SMALL, rows.append)
    return model, figures, rows


def test_pretraining_lowers_the_nll_on_tunes_it_has_not_seen(trained: Any) -> None:
    _, figures, rows = trained
    assert rows[-1]["validation_nll"] < rows[0]["validation_nll"]
    data = lessons(corpus(), "test", TASK)
    untrained = nll(actor_critic(TASK).actor.whole(data.observation), data, RINGING)
    assert figures["test_nll"] < 0.6 * float(untrained.detach().mean())
    assert figures["validation_nll"] < math.log(8)  # far below uniform over 38 events
    assert figures["test_accuracy"] > 2 / TASK.n_events


def test_it_reports_each_epoch(trained: Any) -> None:
    _, _, rows = trained
    assert [row["epoch"] for row in rows] == list(range(1, 7))
    assert rows[0].keys() == {
        "epoch", "train_nll", "validation_nll", "validation_accuracy", "learning_rate",
    }  # fmt: skip
    assert max(row["learning_rate"] for row in rows) <= 1e-2 * 1.0001


def test_the_best_epoch_is_kept(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, figures, rows = trained
    assert figures["validation_nll"] == min(row["validation_nll"] for row in rows)
    # The same where later epochs are made worse: their weights are not the ones returned.
    seen: list[dict[str, torch.Tensor]] = []

    def worse_and_worse(model: Any, data: Lessons) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"nll": float(abs(len(seen) - 3))}

    monkeypatch.setattr(MelodyLSTM, "figures", worse_and_worse)
    model = pretrain(corpus(), TASK, SIZE, SMALL).model
    kept = model.state_dict()  # but for the vectors of values that training never showed
    assert all(torch.equal(v, kept[n]) for n, v in seen[2].items() if "table" not in n)
    assert any(not torch.equal(v, model.state_dict()[n]) for n, v in seen[5].items())


def test_the_prior_is_frozen_and_ready_to_play(trained: Any) -> None:
    model, _, _ = trained
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_equal_seeds_give_equal_priors() -> None:
    config = PretrainConfig(epochs=1, batch=64)
    one, two = (pretrain(corpus(12), TASK, SIZE, config)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_corrupted_melodies_are_less_likely(trained: Any) -> None:
    model, _, _ = trained
    data = lessons(corpus(), "test", TASK)
    ringing = data.observation[..., RINGING] == 1
    rng = torch.Generator().manual_seed(1)
    random = torch.randint(FIRST_NOTE, TASK.n_events, data.events.shape, generator=rng)
    swap = (torch.rand(data.events.shape, generator=rng) < 0.3) & ringing
    corrupted = data._replace(events=torch.where(swap, random, data.events))
    plain, worse = (nll(model.whole(d.observation), d, RINGING).mean(1) for d in (data, corrupted))
    touched = swap.any(1)
    assert (worse[touched] > plain[touched]).float().mean() > 0.95
    assert torch.equal(worse[~touched], plain[~touched])


def test_the_likelihood_is_that_of_the_softmax_with_the_mask(trained: Any) -> None:
    model, _, _ = trained
    data = lessons(corpus(), "test", TASK)
    losses = nll(model.whole(data.observation), data, RINGING)
    logits = model.whole(data.observation)[0, 0]
    assert data.observation[0, 0, RINGING] == 0
    logits = logits[1:]  # nothing rings at the first step: no hold
    expected = -logits.log_softmax(-1)[data.events[0, 0] - 1]
    torch.testing.assert_close(losses[0, 0], expected)


# Lessons


def test_lessons_are_what_the_environment_shows_when_the_same_events_are_played() -> None:
    held = corpus()
    data, cut = lessons(held, "train", TASK), windows(held, "train", bars=2)
    names = tuple(QUALITIES)
    assert set(cut.modes.tolist()) == {0, 1}
    for i in range(0, len(cut.events), 17):
        key = Key.parse("A minor" if cut.modes[i] else "C major")
        spans = zip(cut.roots[i], cut.codes[i], strict=True)
        chords = [Chord(int(root), names[code]).symbol(key) for root, code in spans]
        env = MelodyComposeEnv(
            **{**TINY, "progression": chords}, key=key.name, chords_per_bar=4, observation="compact"
        )
        seen, _ = env.reset(seed=0)
        for t, event in enumerate(cut.events[i].tolist()):
            np.testing.assert_array_equal(data.observation[i, t].numpy(), seen, f"{i}, {t}")
            seen, *_ = env.step(event)
        assert data.events[i].tolist() == cut.events[i].tolist()


def test_lessons_follow_the_range_of_the_task() -> None:
    wide = task(key="natural", progression="random", pitch_range=("C2", "C6"))
    near, far = (lessons(corpus(), "test", t).events for t in (TASK, wide))
    struck = near >= FIRST_NOTE
    assert torch.equal(far[struck], near[struck] + LOW - 36)
    assert torch.equal(far[~struck], near[~struck])


def test_no_lesson_holds_where_nothing_rings() -> None:
    data = lessons(corpus(), "train", TASK)
    silent = data.observation[..., RINGING] == 0
    assert silent.any() and not (silent & (data.events == HOLD)).any()


def test_a_corpus_without_the_meter_is_refused() -> None:
    with pytest.raises(ValueError, match="no window of 2 bars in 3/4"):
        lessons(corpus(12), "train", task(meter="3/4"))
