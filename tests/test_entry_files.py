"""Entries in plain data: what a file may say, and what is refused before anything is trained."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import GENERATORS, PPOConfig
from musicgym.benchmarks.entry_files import (
    BUILT_IN,
    GROUPS,
    POLICIES,
    EntrySpec,
    read_entries,
    read_file,
    spec_of,
)
from musicgym.benchmarks.settings import known, with_settings

EXAMPLE = Path(__file__).parents[1] / "examples" / "leaderboard_entry.toml"


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_toml_file_says_all_fields(tmp_path: Path) -> None:
    text = """
        name = "near"
        policy = "acmg_ppo"
        steps = 200_000
        temperature = 0.9
        about = "Held tighter."
        settings.learning.kl.target = 0.05
        settings."learning.learning_rate" = 1e-3
    """
    (spec,) = read_file(written(tmp_path, text))
    assert spec == EntrySpec(
        "near", "acmg_ppo", 200_000,
        {"learning.kl.target": 0.05, "learning.learning_rate": 1e-3}, 0.9, "Held tighter.",
    )  # fmt: skip


def test_a_toml_file_may_hold_several_entries(tmp_path: Path) -> None:
    text = '[[entry]]\nname = "a"\npolicy = "markov"\n[[entry]]\nname = "b"\npolicy = "acmg_ppo"\n'
    first, second = read_file(written(tmp_path, text))
    assert (first.name, first.steps, first.learns) == ("a", 0, False)
    assert (second.name, second.steps, second.learns) == ("b", None, True)
    assert second.within(7).steps == 7 and first.within(7).steps == 0


@pytest.mark.parametrize(
    "text",
    [
        "from musicgym.benchmarks.entry_files import EntrySpec\nENTRY = EntrySpec('a', 'markov')",
        "ENTRY = {'name': 'a', 'policy': 'markov'}",
        "ENTRIES = [{'name': 'a', 'policy': 'markov'}]",
        "import beside\nENTRY = beside.said",
    ],
)
def test_a_python_file_sets_them(tmp_path: Path, text: str) -> None:
    written(tmp_path, "said = dict(name='a', policy='markov')", "beside.py")
    assert read_file(written(tmp_path, text, "mine.py")) == [EntrySpec("a", "markov")]


REFUSED: dict[str, str] = {
    'name = "a"\npolicy = "markov"\nstep = 5': r"'step' is not a field; did you mean 'steps'\?",
    'name = "a"': "an entry has no policy",
    'policy = "markov"': "an entry has no name",
    'name = "a b"\npolicy = "markov"': "'a b' is not one word",
    'name = "../a"\npolicy = "markov"': "is not one word",
    'name = "corpus"\npolicy = "markov"': "'corpus' is the human row",
    'name = "a"\npolicy = "marcov"': r"'marcov' is none; did you mean 'markov'\?",
    'name = "a"\npolicy = "nothing.safetensors"': "there is no file .*nothing.safetensors",
    'name = "a"\npolicy = "best_of_0"': "is not 1 or more",
    'name = "a"\npolicy = "best_of_4"\ntemperature = 0.5': "draws at 1 only",
    'name = "a"\npolicy = "acmg_ppo"\nsteps = 0': r"steps is 0; it must be from 1 to 1,000,000,000",
    'name = "a"\npolicy = "acmg_ppo"\nsteps = 1_000_000_001': "a whole number from 1 to 1,000",
    'name = "a"\npolicy = "acmg_ppo"\nsteps = 1.5': "a whole number",
    'name = "a"\npolicy = "acmg_ppo"\nsteps = true': "a whole number",
    'name = "a"\npolicy = "markov"\nsteps = 5': "markov learns nothing by rules",
    'name = "a"\npolicy = "markov"\ntemperature = "hot"': "temperature is 'hot'",
    'name = "a"\npolicy = "markov"\nsettings = 3': "settings is 3",
    'name = "a"\npolicy = 3': "policy is 3",
    'name = "a': "is not TOML",
    "": "has none",
    'x = 1\n[[entry]]\nname = "a"\npolicy = "markov"': r"has 'x' beside",
    'entry = ["a"]': "neither an EntrySpec nor a table",
    '[[entry]]\nname = "a"\npolicy = "markov"\n' * 2: "two are called 'a'",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_in_order_is_refused_with_the_file_and_the_reason(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(ValueError, match=REFUSED[text]) as error:
        read_file(written(tmp_path, text))
    assert "mine.toml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"), [("x = 1", "sets neither ENTRY nor ENTRIES"), ("1 / 0", "ZeroDivisionError")]
)
def test_a_python_file_without_entries_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_file(written(tmp_path, text, "mine.py"))


def test_a_missing_file_and_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file .*gone.toml"):
        read_entries([str(tmp_path / "gone.toml")])
    path = written(tmp_path, 'name = "markov"\npolicy = "melody_lstm"')
    with pytest.raises(ValueError, match="two are called 'markov'"):
        read_entries(["markov", str(path)])
    assert len(read_entries(["markov", "markov", "simple"])) == len(GROUPS["simple"])


def test_a_checkpoint_and_a_module_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    text = """
        [[entry]]
        name = "weights"
        policy = "w.safetensors"
        [[entry]]
        name = "own"
        policy = "my_agent:make"
    """
    weights, own = read_file(written(tmp_path, text))
    assert weights.policy == str(tmp_path / "w.safetensors") and weights.steps == 0
    assert own.folder == str(tmp_path) and own.steps is None


def test_a_built_in_entry_may_be_gone_on_from(tmp_path: Path) -> None:
    text = 'name = "a"\npolicy = "acmg_ppo_kl05"\nsettings.num_envs = 64'
    (spec,) = read_file(written(tmp_path, text))
    assert spec.policy == "acmg_ppo"
    assert spec.settings == {**BUILT_IN["acmg_ppo_kl05"].settings, "num_envs": 64}


def test_an_entry_travels_as_plain_data() -> None:
    for spec in (*BUILT_IN.values(), *read_entries([str(EXAMPLE)])):
        assert EntrySpec(**json.loads(json.dumps(asdict(spec)))) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec


def test_the_obligatory_entries_are_built_in_and_say_what_they_are() -> None:
    obligatory = {
        "uniform_random", "held_tonic", "alternated_chord_tones", "nearest_chord_tone", "markov",
        "melody_lstm", "melody_lstm@0.8", "best_of_4", "best_of_16", "best_of_64", "optimum",
        "soft_optimum", "acmg_ppo_kl02", "acmg_ppo_kl05", "acmg_ppo_kl10", "acmg_ppo_kl30",
        "acmg_ppo_free", "acmg_a2c", "acmg_a2c_free", "acmg_no_theory", "acmg_no_chords",
        "sb3_ppo", "sb3_a2c", "sb3_recurrent_ppo", *GENERATORS, *(f"{n}_ppo" for n in GENERATORS),
    }  # fmt: skip
    assert obligatory <= BUILT_IN.keys()
    assert all(spec.about.endswith(".") and spec.name == name for name, spec in BUILT_IN.items())
    assert {spec.policy for spec in BUILT_IN.values()} - {*POLICIES} == {
        "best_of_4", "best_of_16", "best_of_64"
    }  # fmt: skip
    for budget in (0.02, 0.05, 0.1, 0.3):
        target = BUILT_IN[f"acmg_ppo_kl{100 * budget:02.0f}"].settings["learning.kl.target"]
        assert 0.9 * budget <= target < budget


def test_groups_are_parts_of_all_and_a_near_word_is_named() -> None:
    for names in GROUPS.values():
        assert {*names} <= {*GROUPS["all"]}
    assert [spec.name for spec in read_entries(["sb3"])] == [*GROUPS["sb3"]]
    assert all(spec.learns for spec in read_entries(["learned", "sb3"]))
    assert not any(spec.learns for spec in read_entries(["simple"]))
    with pytest.raises(ValueError, match="did you mean 'generators'"):
        read_entries(["generator"])


def test_a_word_may_cool_an_entry() -> None:
    cool = spec_of("acmg_ppo_kl05@0.5")
    assert (cool.name, cool.policy, cool.temperature) == ("acmg_ppo_kl05@0.5", "acmg_ppo", 0.5)
    assert spec_of("my.agents:make").name == "my.agents.make"
    for word, said in (("markov@hot", "'hot' is not a temp"), ("best_of_4@2", "temperature 1")):
        with pytest.raises(ValueError, match=said):
            spec_of(word)


def test_settings_reach_every_depth_and_keep_the_rest() -> None:
    config = with_settings(
        ACMGConfig(),
        {
            "learning.kl.target": 0.05, "learning.epochs": 5, "model.actor.hidden": 64,
            "pitch_range": ["C4", "C5"], "rewards.final_tonic": 9.0, "num_envs": 8,
        },
    )  # fmt: skip
    assert isinstance(config.learning, PPOConfig) and config.learning.epochs == 5
    assert config.learning.kl.target == 0.05 and config.learning.kl.beta == 0.5
    assert config.model.actor.hidden == 64 and config.pitch_range == ("C4", "C5")
    assert config.rewards == {"preset": "balanced", "final_tonic": 9.0}
    assert with_settings(config, {"learning.kl.target": "none"}).learning.kl.target is None
    assert with_settings(config, {"pretraining": "none"}).pretraining is None
    assert {"model.actor.layers", "pretraining.epochs"} <= {*known(config)}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning.kl.targets": 1}, r"no 'learning.kl.targets'; did you mean 'learning.kl.target"),
        ({"learning": 1}, "set one of learning.total_steps"),
        ({"learning.epochs": 1.5}, r"epochs is 1.5; it must be int"),
        ({"learning.epochs": True}, "must be int"),
        ({"learning.learning_rate": "fast"}, "must be float"),
        ({"learning.kl.target": "much"}, "must be float, or 'none'"),
        ({"learning.clip": -1.0}, "clip: -1.0"),
        ({"corpus": 3}, "must be str"),
        ({"progressions": "random"}, "must be tuple"),
    ],
)
def test_settings_that_do_not_exist_or_are_of_another_kind_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        with_settings(ACMGConfig(), settings)
