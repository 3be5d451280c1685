"""The README's pipeline at a tiny budget: prepare, pretrain, train, compose, evaluate."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from musicgym.agents.acmg import ACMG
from musicgym.cli import main
from musicgym.corpus import dataset

TINY = ["--ppo.total-steps", "4096", "--num-envs", "16"]
SHORT_PRIOR = ["--prior.epochs", "1", "--model.actor.hidden", "16"]


@pytest.fixture(scope="module")
def agent(chorales, tmp_path_factory):
    """An agent that was trained by the command line for a moment."""
    path = tmp_path_factory.mktemp("agent") / "tiny.safetensors"
    main(["train", "ppo", *TINY, *SHORT_PRIOR, "--out", str(path), "--log", str(path.parent)])
    return path


def run(*arguments):
    """Run the command line; return its exit code."""
    try:
        main(list(arguments))
    except SystemExit as end:
        return end.code
    return 0


def test_training_writes_an_agent_that_is_finished_and_tensorboard_logs(agent):
    assert ACMG.load(agent).finished
    assert list(agent.parent.glob("learn/events*"))


def test_training_again_finds_the_finished_agent(agent, capsys):
    before = agent.stat().st_mtime_ns
    main(["train", "ppo", *TINY, *SHORT_PRIOR, "--out", str(agent)])
    assert str(agent) in capsys.readouterr().out
    assert agent.stat().st_mtime_ns == before


def test_composing_writes_every_file_and_prints_melody_reward_and_paths(agent, tmp_path, capsys):
    soundfile = pytest.importorskip("soundfile")
    main(["compose", "--agent", str(agent), "--key", "D minor", "--progression", "i VI III VII",
          "--count", "2", "--seed", "1", "--out", str(tmp_path)])  # fmt: skip
    printed = capsys.readouterr().out
    for number in (1, 2):
        for ending in (".mid", ".musicxml", ".svg", "-score.png", "-roll.png", ".ogg"):
            path = tmp_path / f"acmg-d-minor-1-{number}{ending}"
            assert path.stat().st_size > 200
            assert str(path) in printed
    assert "| Dm" in printed and "final_tonic" in printed
    sound, rate = soundfile.read(tmp_path / "acmg-d-minor-1-1.ogg")
    assert len(sound) / rate > 8 * 4 * 60 / 100
    assert 0.05 < np.abs(sound).max() <= 1.0


def test_the_same_seed_composes_the_same_melodies(agent, tmp_path):
    for folder in ("a", "b"):
        out = str(tmp_path / folder)
        main(["compose", "--agent", str(agent), "--seed", "3", "--out", out])
    first, second = (tmp_path / f / "acmg-c-major-3-1.musicxml" for f in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_an_opening_stands_at_the_start_of_the_melody(agent, tmp_path, capsys):
    main(["compose", "--agent", str(agent), "--opening", "C5 . E5 . G5 . . -", "--bars", "16",
          "--out", str(tmp_path)])  # fmt: skip
    assert "| C5 .  E5 .  G5 .  .  -" in capsys.readouterr().out


@pytest.fixture(scope="module")
def results(agent, tmp_path_factory):
    """A folder of records, and what was printed while they were made."""
    folder = tmp_path_factory.mktemp("results")
    table = folder / "table.md"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["evaluate", str(agent), "--count", "8", "--best-of", "4", "--out", str(folder),
              "--markdown", str(table)])  # fmt: skip
    return folder, printed.getvalue(), table.read_text()


def test_evaluating_prints_the_human_row_the_baselines_and_the_agent(results):
    folder, printed, table = results
    for name in ("corpus", "uniform_random", "melody_lstm", "best_of_4", "optimum", "tiny"):
        assert f"| {name} |" in table and f") {name}\n" in printed
        assert list(folder.glob(f"{name}-*.json"))
    assert "chord match %" in printed and "floor of mmd2" in printed
    assert "tiny: BELOW best of 4, -" in printed  # an agent that learned for a moment
    assert all(len(line) <= 80 for line in printed.splitlines() if str(folder) not in line)


def test_the_trade_off_of_a_folder_of_records_is_one_picture(results, capsys):
    folder = results[0]
    main(["tradeoff", str(folder)])
    assert (folder / "tradeoff.png").read_bytes().startswith(b"\x89PNG")
    assert "tradeoff.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "acmg_pop"], "did you mean 'acmg_ppo'"),
        (["evaluate", "markov", "--task", "balance"], "did you mean 'balanced'"),
        (["evaluate", "markov", "--seeds", "0"], "seeds: 0"),
        (["evaluate", "markov", "--count", "1"], "count: 1"),
        (["evaluate", "markov", "--best-of", "3"], "best_of: 3"),
        (["evaluate", "nowhere.safetensors"], "no file nowhere.safetensors"),
        (["tradeoff", "nowhere"], "has none"),
        (["papers", "table_9"], "'table_9' is not one of"),
    ],
)
def test_a_mistyped_evaluation_ends_with_code_2_and_a_sentence(chorales, capsys, arguments, says):
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--key", "H major"], "'H major' is not a key"),
        (["--progression", "I Q"], "'Q' is neither a roman numeral"),
        (["--progression", "I V vi"], "3 chords do not divide 8 bars"),
        (["--meter", "5/4"], "'5/4' is not one of 2/4, 3/4, 4/4, 6/8"),
        (["--steps-per-beat", "3"], "not one of 1, 2, 4"),
        (["--bars", "0"], "bars: 0"),
        (["--count", "0"], "count: 0"),
        (["--temperature", "-1"], "temperature"),
        (["--opening", "C9"], "lies outside"),
        (["--agent", "nowhere.safetensors"], "there is no file nowhere.safetensors"),
        (["--device", "tpu"], "'tpu' is not one of cpu, cuda"),
        (["--seed", "-1"], "seed: -1"),
        (["--count", "1000000"], "count: 1000000"),
    ],
)
def test_a_users_mistake_ends_with_code_2_and_a_sentence(agent, tmp_path, capsys, arguments, says):
    given = [] if "--agent" in arguments else ["--agent", str(agent)]
    assert run("compose", *given, "--out", str(tmp_path), *arguments) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("--ppo.minibatches", "0"),
        ("--ppo.epochs", "0"),
        ("--ppo.clip", "-1"),
        ("--ppo.entropy-weight", "nan"),
        ("--ppo.seed", "-1"),
        ("--ppo.precision", "float8"),
        ("--ppo.kl.target", "inf"),
        ("--num-envs", "0"),
        ("--prior.batch", "0"),
        ("--model.actor.layers", "0"),
    ],
)
def test_a_setting_out_of_range_ends_with_code_2_and_its_name(setting, value, tmp_path, capsys):
    assert run("train", "ppo", setting, value, "--out", str(tmp_path / "a.safetensors")) == 2
    said = capsys.readouterr().err
    assert setting.rpartition(".")[2].strip("-").replace("-", "_") in said
    assert "Traceback" not in said


def test_without_pretraining_there_is_no_prior_to_stay_near(chorales, tmp_path):
    path = tmp_path / "a.safetensors"
    assert run("train", "ppo", *TINY, "--no-pretrained", "--out", str(path)) == 0
    made = ACMG.load(path)
    assert made.prior is None and made.config.learning.kl.beta == 0


def test_a_folder_that_cannot_be_written_shows_before_the_training(chorales, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.safetensors"
    assert run("train", "ppo", *TINY, *SHORT_PRIOR, "--out", str(path)) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "file") in said and "100%|" not in said.partition("learn")[2]


def test_a_corrupt_agent_ends_with_code_2_and_its_path(agent, tmp_path, capsys):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(agent.read_bytes()[:5000])
    assert run("compose", "--agent", str(broken)) == 2
    assert str(broken) in capsys.readouterr().err


def test_an_unknown_preset_ends_with_code_2(capsys, tmp_path):
    assert run("train", "--rewards", "acmgg", "--out", str(tmp_path / "a.safetensors")) == 2
    assert "did you mean 'acmg'" in capsys.readouterr().err


def test_a_folder_without_melodies_ends_with_code_2(tmp_path, capsys):
    (tmp_path / "broken.mid").write_bytes(b"MThd nonsense")
    assert run("data", "import", str(tmp_path)) == 2
    assert "broken.mid" in capsys.readouterr().err


def test_preparing_prints_what_was_kept_and_dropped(chorales, capsys):
    main(["data", "prepare"])
    assert capsys.readouterr().out.strip() == dataset.summary(chorales).strip()


def test_ctrl_c_in_training_keeps_a_checkpoint_that_goes_on(
    chorales, tmp_path, monkeypatch, capsys
):
    from musicgym.agents import learning

    path = tmp_path / "stopped.safetensors"
    step = learning.Learner.step

    def stopped(self):
        if self.iteration == 2:
            raise KeyboardInterrupt
        return step(self)

    arguments = ["train", "ppo", *TINY, *SHORT_PRIOR, "--out", str(path)]
    monkeypatch.setattr(learning.Learner, "step", stopped)
    assert run(*arguments) == 130
    assert "goes on from there" in capsys.readouterr().err
    assert not ACMG.load(path).finished
    monkeypatch.setattr(learning.Learner, "step", step)
    assert run(*arguments) == 0
    assert ACMG.load(path).finished


def test_a_full_disk_says_so_and_leaves_no_half_file(agent, tmp_path, monkeypatch, capsys):
    import errno

    from musicgym import files

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    assert run("compose", "--agent", str(agent), "--out", str(tmp_path)) == 1
    assert "disk is full" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["style", "--meter", "5/4"], "'5/4' is not one of 2/4, 3/4, 4/4, 6/8"),
        (["lstm_vae", "--start-from", "none.safetensors"], "start-from: add --out"),
        (["lstm_vae", "--start-from", "none", "--out", "x"], "there is no file none"),
        (["hierarchical_vae", "--corpus", "nowhere"], "'nowhere' is not one of chorales, folk"),
        (["transformer_vae", "--model.heads", "3"], "256 is not a multiple of heads, 3"),
    ],
)
def test_a_mistake_in_pretraining_ends_with_code_2_and_a_sentence(capsys, arguments, says):
    assert run("pretrain", *arguments) == 2
    said = capsys.readouterr().err
    assert says in " ".join(said.split()) and "Traceback" not in said
