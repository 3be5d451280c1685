"""The training loop that Melody_LSTM and the generators share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
import torch
from small import corpus, task
from torch import Tensor, nn

from musicgym.agents.acmg import ACMG
from musicgym.agents.configs import (
    GENERATORS,
    MODELS,
    CVAEGANConfig,
    GeneratorConfig,
    GeneratorTraining,
    HierarchicalVAEConfig,
    LSTMVAEConfig,
    MelodyLSTMConfig,
    PretrainConfig,
    TransformerVAEConfig,
)
from musicgym.agents.generators import training
from musicgym.agents.generators.training import Descent, Pupil, train
from musicgym.agents.pretraining import cross_validate, folds, pretrain
from musicgym.cli import main
from musicgym.cli.training import Pretrain, Train
from musicgym.corpus import dataset

TASK = task(key="natural", progression="random")
SIZE = MelodyLSTMConfig(16, dropout=0.3)


class Numbers(NamedTuple):
    """N windows that are one number each."""

    value: Tensor


class Mean(Pupil):
    """Learns the mean of numbers, by draws; `heard` keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.guess = nn.Parameter(torch.tensor(0.0))
        self.heard: list[tuple[int, float]] = []

    def losses(self, batch: Numbers, share: float, training: Any) -> dict[str, Tensor]:
        self.heard.append((len(batch.value), share))
        noise = torch.randn(()) * 0.1
        return {"loss": (batch.value + noise - self.guess).square().mean(), "noise": noise}

    def figures(self, data: Numbers) -> dict[str, float]:
        return {"loss": float((data.value - self.guess).square().mean() + torch.rand(()))}


def numbers(*values: float) -> list[Numbers]:
    return [Numbers(torch.tensor(values, dtype=torch.float32))]


CONFIG = GeneratorTraining(epochs=8, batch=2, learning_rate=0.5, patience=8, warmup=0.0)


def test_the_whole_corpus_is_shown_each_epoch_and_the_share_rises_to_the_end() -> None:
    model = Mean()
    train(model, numbers(1, 2, 3, 4, 5), numbers(3), replace(CONFIG, epochs=2))
    assert [size for size, _ in model.heard] == [2, 2, 1, 2, 2, 1]
    assert [share for _, share in model.heard] == pytest.approx([i / 6 for i in range(6)])


def test_groups_of_other_lengths_are_not_mixed_and_all_are_shown() -> None:
    model = Mean()
    seen: list[set[float]] = []
    real = model.losses

    def losses(batch: Numbers, share: float, training: Any) -> dict[str, Tensor]:
        seen.append(set(batch.value.tolist()))
        return real(batch, share, training)

    model.losses = losses  # type: ignore[method-assign]
    groups = [*numbers(1, 2, 3), *numbers(10, 20, 30, 40, 50)]
    curve = train(model, groups, groups, replace(CONFIG, epochs=1))
    assert set().union(*seen) == {1, 2, 3, 10, 20, 30, 40, 50}
    assert all(max(values) < 10 or min(values) >= 10 for values in seen)
    # The figure of two groups is the mean over their windows.
    values, drawn = torch.cat([g.value for g in groups]), torch.Generator().manual_seed(CONFIG.seed)
    expected = (values - model.guess.detach()).square().mean()
    noise = torch.rand(2, generator=drawn) @ torch.tensor([3 / 8, 5 / 8])
    assert curve["validation_loss"][0] == pytest.approx(float(expected + noise), rel=1e-5)


def test_it_stops_after_so_many_epochs_without_a_better_figure() -> None:
    told = iter([5.0, 4.0, 3.0, 3.5, 3.2, 3.0, 2.0, 1.0])
    model = Mean()
    model.figures = lambda data: {"loss": next(told)}  # type: ignore[method-assign]
    guesses: list[float] = []
    curve = train(
        model, numbers(1, 2), numbers(3), replace(CONFIG, patience=3),
        lambda row: guesses.append(float(model.guess.detach())),
    )  # fmt: skip
    assert curve["validation_loss"] == [5.0, 4.0, 3.0, 3.5, 3.2, 3.0]  # equal is not better
    assert float(model.guess.detach()) == guesses[2] != guesses[5]


def test_it_waits_for_the_kl_weight_to_have_risen_before_it_stops() -> None:
    told = iter([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    model = Mean()
    model.figures = lambda data: {"loss": next(told)}  # type: ignore[method-assign]
    curve = train(model, numbers(1), numbers(3), replace(CONFIG, patience=2, warmup=0.5))
    assert len(curve["validation_loss"]) == 6  # 4 epochs of rising, then 2


def test_validation_neither_moves_the_draws_of_training_nor_draws_anew() -> None:
    model = Mean()
    model.figures = lambda data: {"loss": float(torch.rand(()))}  # type: ignore[method-assign]
    torch.manual_seed(0)
    curve = train(model, numbers(1, 2, 3), numbers(3), replace(CONFIG, epochs=3))
    assert len(set(curve["validation_loss"])) == 1
    other = Mean()
    other.figures = lambda data: {"loss": 0.0}  # type: ignore[method-assign]
    torch.manual_seed(0)
    assert (
        train(other, numbers(1, 2, 3), numbers(3), replace(CONFIG, epochs=3))["train_noise"]
        == (curve["train_noise"])
    )


def test_many_windows_are_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Mean()
    sizes: list[int] = []

    def figures(data: Numbers) -> dict[str, float]:
        sizes.append(len(data.value))
        return {"loss": float(data.value.mean())}

    model.figures = figures  # type: ignore[method-assign]
    monkeypatch.setattr(training, "MOST", 4)
    found = training.measure(model, [*numbers(1, 2, 3, 4, 5), *numbers(9)], seed=0)
    assert sizes == [4, 1, 1] and found["loss"] == pytest.approx(24 / 6)


class TwoSided(Mean):
    """A guess and a critic of it, each with an optimiser: two steps of one to one of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Linear(1, 1)

    def descents(self, training: Any, steps: int) -> list[Descent]:
        return [
            Descent(torch.optim.Adam([self.guess], 0.1)),
            Descent(torch.optim.Adam(self.critic.parameters(), 0.1)),
        ]

    def learn(
        self, batch: Numbers, share: float, training: Any, descents: Sequence[Descent]
    ) -> dict[str, Tensor]:
        for _ in range(2):
            gap = (self.critic(batch.value[:, None]) - self.guess.detach()).square().mean()
            descents[1].step(gap)
        told = self.losses(batch, share, training)
        descents[0].step(told["loss"] + self.critic(self.guess[None]).square().mean())
        return told


@pytest.mark.parametrize("kind", [Mean, TwoSided])
def test_a_training_that_was_stopped_goes_on_to_the_bit(kind: type[Mean], tmp_path: Path) -> None:
    data, path = numbers(1, 2, 3, 4, 5), tmp_path / "begun.safetensors"

    def whole(stop: int, checkpoint: Path | None) -> tuple[Mean, Any]:
        def report(row: dict[str, Any]) -> None:
            if row["epoch"] == stop:
                raise KeyboardInterrupt

        torch.manual_seed(3)
        model = kind()
        return model, train(model, data, numbers(3), CONFIG, report, checkpoint, "this")

    plain, curve = whole(0, None)
    with pytest.raises(KeyboardInterrupt):
        whole(3, path)
    again, continued = whole(0, path)
    assert len(again.heard) == 5 * 3 < len(plain.heard)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert {k: v for k, v in curve.items() if k != "seconds"} == {
        k: v for k, v in continued.items() if k != "seconds"
    }
    with pytest.raises(ValueError, match="unfinished training of this, and this is one of that"):
        train(kind(), data, numbers(3), CONFIG, checkpoint=path, about="that")


def test_a_pretraining_of_melody_lstm_goes_on_to_the_bit(tmp_path: Path) -> None:
    held, path = corpus(12), tmp_path / "begun.safetensors"
    config = PretrainConfig(epochs=3, batch=32)

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    plain = pretrain(held, TASK, SIZE, config)
    with pytest.raises(KeyboardInterrupt):
        pretrain(held, TASK, SIZE, config, stop, checkpoint=path)
    again = pretrain(held, TASK, SIZE, config, checkpoint=path)
    assert again.figures == plain.figures
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    with pytest.raises(ValueError, match="unfinished training of"):
        pretrain(held, TASK, SIZE, replace(config, batch=16), checkpoint=path)


TINY_GENERATORS: dict[str, tuple[GeneratorConfig, dict[str, Any]]] = {
    "lstm_vae": (LSTMVAEConfig(hidden=8, latent=2, layers=1), {}),
    "transformer_vae": (TransformerVAEConfig(width=8, heads=2, latent=2, layers=1), {}),
    "hierarchical_vae": (HierarchicalVAEConfig(hidden=8, heads=2, latent=2), {"reading": 0.0}),
    "cvae_gan": (
        CVAEGANConfig(latent=2, hidden=8, encoder=8, critic=4, styles=("walks",), metres=("4/4",)),
        {"critic_steps": 1, "rows": 8},
    ),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_pretraining_of_each_generator_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    """The second epoch of the CVAE-GAN begins between two turns of its GAN, every third batch."""
    path, held = tmp_path / "begun.safetensors", corpus(8, bars=6)
    size, more = TINY_GENERATORS[name]
    config = MODELS[name][1](epochs=2, batch=8, **more)

    def stop(figures: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    plain = pretrain(held, TASK, size, config)
    with pytest.raises(KeyboardInterrupt):
        pretrain(held, TASK, size, config, stop, checkpoint=path)
    again = pretrain(held, TASK, size, config, checkpoint=path)
    assert again.figures == plain.figures
    for key, values in plain.curve.items():
        assert key == "seconds" or again.curve[key] == values, key
    for key, value in plain.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key


def test_a_loss_that_is_not_finite_ends_it_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="the loss became nan in epoch 1; a learning rate below"):
        train(Mean(), numbers(1, math.nan), numbers(1), CONFIG)


def test_each_tune_is_validated_on_once() -> None:
    held = corpus(20)
    pooled = {p.tune for p in held.pieces if held.split[p.name] != "test"}
    seen: list[str] = []
    for part in folds(held, 3):
        sides = {side: {p.tune for p in part.of(side)} for side in ("train", "validation", "test")}
        assert sides["test"] == {p.tune for p in held.of("test")}
        assert sides["train"] | sides["validation"] == pooled
        assert not sides["train"] & sides["validation"]
        seen += sides["validation"]
    assert sorted(seen) == sorted(pooled)
    with pytest.raises(ValueError, match=f"folds: 1 is not from 2 to {len(pooled)}"):
        next(folds(held, 1))


def test_cross_validation_reports_each_fold() -> None:
    found = cross_validate(corpus(12), TASK, SIZE, PretrainConfig(epochs=1), 2)
    assert len(found) == 2 and found[0]["validation_nll"] != found[1]["validation_nll"]


def test_weights_to_start_from_are_taken() -> None:
    held, config = corpus(12), PretrainConfig(epochs=1, learning_rate=1e-12)
    first = pretrain(held, TASK, SIZE, replace(config, seed=5)).model.state_dict()
    second = pretrain(held, TASK, SIZE, config, start=first).model.state_dict()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=1e-6)


def test_what_weights_to_start_from_know_stays_where_the_new_corpus_never_shows_it() -> None:
    """From random weights it is given the mean of what the corpus shows."""
    held, config = corpus(12), PretrainConfig(epochs=1, learning_rate=1e-12)
    first = pretrain(held, TASK, SIZE, config).model.state_dict()
    first["embedding.table.weight"] = torch.randn_like(first["embedding.table.weight"])
    second = pretrain(held, TASK, SIZE, config, start=first).model.state_dict()
    torch.testing.assert_close(
        second["embedding.table.weight"], first["embedding.table.weight"], rtol=0, atol=1e-6
    )


# The command

TINY = ("--corpus", "walks", "--steps-per-beat", "1", "--bars", "2")
LSTM = ("melody_lstm", *TINY, "--model.hidden", "8", "--prior.epochs", "1")
VAE = ("lstm_vae", *TINY, "--model.hidden", "8", "--model.latent", "4", "--prior.epochs", "1")


@pytest.fixture
def walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path / "cache"))
    dataset.save(corpus(12), 1)
    return tmp_path


def test_the_command_pretrains_a_model_on_any_corpus_and_prints_what_it_reached(
    walks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = walks / "vae.safetensors"
    main(["pretrain", *VAE, "--out", str(path)])
    said = capsys.readouterr().out
    agent = ACMG.load(path)
    assert agent.config.model.actor == LSTMVAEConfig(hidden=8, latent=4)
    for name in ("validation_loss", "validation_reconstruction", "test_kl", "test_active_units"):
        assert f"{agent.facts['pretraining'][name]:.4f}" in said, name
    assert len(agent.facts["curve"]["train_kl"]) == 1
    assert not list(walks.rglob("*.begun*"))  # what was begun is finished


def test_without_a_model_it_pretrains_melody_lstm(
    walks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pretrain", *LSTM[1:]])
    assert "validation_accuracy" in capsys.readouterr().out


def test_every_model_can_be_pretrained_and_trained_by_its_name() -> None:
    commands = get_args(get_type_hints(Pretrain, include_extras=True)["model"])
    names = [get_args(kind)[1].name for kind in commands]
    assert names == [*MODELS, "style"]
    assert get_args(get_type_hints(Train)["actor"]) == tuple(MODELS)


def test_it_cross_validates(walks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pretrain", *LSTM, "--folds", "2"])
    said = capsys.readouterr().out.splitlines()
    values = [float(line.split()[-1]) for line in said[:2]]
    middle, apart = sum(values) / 2, abs(values[0] - values[1]) / math.sqrt(2)
    words = said[2].split()
    assert [float(words[1]), float(words[3])] == pytest.approx([middle, apart], abs=2e-4)


def test_it_starts_from_an_agent_of_the_same_size_and_grid_only(
    walks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(walks / "first.safetensors"), str(walks / "second.safetensors")
    main(["pretrain", *LSTM, "--out", first])
    begun = ["pretrain", *LSTM, "--start-from", first]
    main([*begun, "--prior.learning-rate", "1e-12", "--out", second])
    weights = [ACMG.load(Path(path)).model.actor.state_dict() for path in (first, second)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-6)
    for change, told in (
        (("--bars", "4"), "bars 2, and this one 4"),
        (("--meter", "3/4"), "meter 4/4, and this one 3/4"),
        (("--model.hidden", "16"), "hidden=8.*and this one.*hidden=16"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*begun, *change, "--out", second])
        assert end.value.code == 2
        assert re.search(told, capsys.readouterr().err)
    with pytest.raises(SystemExit):
        main(begun)
    assert "add --out" in capsys.readouterr().err


def test_a_corpus_without_such_windows_is_refused_in_a_sentence(
    walks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["pretrain", *VAE, "--bars", "11"])
    assert end.value.code == 2
    assert "no window of 11 bars in 4/4" in capsys.readouterr().err
