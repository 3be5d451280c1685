"""What an entry is, in plain data: built in by name, or read from a TOML or a Python file.

```toml
name = "mine"
policy = "my_agent:make"        # a function beside this file, a checkpoint, or a built-in policy
steps = 200_000                 # of the environment; the task's budget by default
settings = { "learning_rate" = 0.01 }
```
"""

from __future__ import annotations

import importlib
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from musicgym.agents.configs import GENERATORS
from musicgym.theory import closest

from .records import HUMAN

__all__ = ["BUILT_IN", "GROUPS", "EntrySpec", "importable", "read_entries", "read_file", "spec_of"]

#: Best of N of Melody_LSTM, or of a generator.
SEARCH = re.compile(rf"best_of_(\d{{1,6}})(?:_({'|'.join(GENERATORS)}))?")
#: Policies without learning by rules, the search aside.
SIMPLE = ("uniform_random", "held_tonic", "alternated_chord_tones", "nearest_chord_tone")
UNTRAINED = (*SIMPLE, "markov", "melody_lstm", *GENERATORS, "soft_optimum", "optimum", HUMAN)
#: Policies that learn by rules within a budget of steps.
ACTOR_CRITICS = ("acmg_ppo", "acmg_a2c", "acmg_ppo_free", "acmg_a2c_free")
FINE_TUNED = tuple(f"{name}_ppo" for name in GENERATORS)
SB3 = ("sb3_ppo", "sb3_a2c", "sb3_recurrent_ppo")
POLICIES = (*UNTRAINED[:-1], *ACTOR_CRITICS, *FINE_TUNED, *SB3)
#: Files of weights that are policies.
WEIGHTS = (".safetensors", ".zip")
#: What a name may be: it becomes a file's.
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,80}")
MOST_STEPS = 10**9


@dataclass(frozen=True)
class EntrySpec:
    """An entry in plain data, so that any process or machine can make it.

    Attributes:
        name: of its row, one word.
        policy: a built-in one (`POLICIES`, ``best_of_N``), a checkpoint (.safetensors of ours, .zip
            of Stable-Baselines3 with ``algorithm`` in the settings), or ``package.module:factory``.
        steps: environment steps that it may learn for; None is the task's budget, 0 is for what
            learns nothing by rules.
        settings: dotted fields of the policy's configuration -> values; of a factory, its keywords.
        temperature: at which it plays.
        about: what it is, in a sentence.
        folder: where its modules are looked for first; that of the file it was read from.

    >>> EntrySpec("mine", "acmg_ppo", 200_000, {"learning.kl.target": 0.05}).learns
    True
    """

    name: str
    policy: str
    steps: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    about: str = ""
    folder: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without the task."""
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name) or self.name[0] in ".-":
            raise ValueError(
                f"entry: the name {self.name!r} is not one word of letters, digits and _ . @ -"
            )
        kinds = {"policy": str, "settings": Mapping, "about": str, "folder": str}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise self._wrong(name, "text" if kind is str else "a table of settings")
        base = check_policy(self.policy, self.folder)
        steps, heat = self.steps, self.temperature
        if steps is not None and (type(steps) is not int or not 0 <= steps <= MOST_STEPS):
            raise self._wrong("steps", f"a whole number from 1 to {MOST_STEPS:,}")
        if isinstance(heat, bool) or not isinstance(heat, int | float) or not 0 <= heat <= 100:
            raise self._wrong("temperature", "a number from 0 to 100")
        if SEARCH.fullmatch(self.policy) and heat != 1:
            raise self._wrong("temperature", "1 for best of N, which draws at 1 only")
        if not base and not self.steps:
            object.__setattr__(self, "steps", 0)
        if not base and self.steps:
            raise self._wrong("steps", f"0 or not said, as {self.policy} learns nothing by rules")
        if base and steps == 0:
            raise self._wrong("steps", f"from 1 to {MOST_STEPS:,}, as {self.policy} is to learn")
        object.__setattr__(self, "settings", dict(_flat(self.settings)))
        object.__setattr__(self, "temperature", float(heat))

    def _wrong(self, name: str, allowed: str) -> ValueError:
        return ValueError(f"entry {self.name}: {name} is {getattr(self, name)!r}; it must be "
                          f"{allowed}.")  # fmt: skip

    @property
    def learns(self) -> bool:
        """Whether it may learn for some steps."""
        return self.steps != 0

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of it; of a file its name, without the folders of a machine."""
        policy = Path(self.policy).name if self.policy.endswith(WEIGHTS) else self.policy
        found = {"policy": policy, "settings": dict(self.settings), "budget": self.steps or 0}
        more = {"about": self.about, "temperature": self.temperature}
        usual = {"about": "", "temperature": 1.0}
        return found | {name: value for name, value in more.items() if value != usual[name]}

    def within(self, budget: int) -> EntrySpec:
        """Return the entry with this budget where it learns and says none of its own."""
        return replace(self, steps=budget) if self.steps is None else self


def check_policy(policy: str, folder: str = "") -> bool:
    """Return whether a policy learns by rules, so far as its name says.

    Raises:
        ValueError: there is no such policy, or no such file.
    """
    search = SEARCH.fullmatch(policy)
    if search and not int(search[1]):
        raise ValueError(f"entry: the N of {policy!r} is not 1 or more.")
    if search or policy in UNTRAINED:
        return False
    if policy in POLICIES:
        return True
    if policy.endswith(WEIGHTS):
        if not Path(policy).is_file():
            raise ValueError(f"entry: there is no file {policy}.")
        return False
    if re.fullmatch(r"\w+(\.\w+)*:\w+", policy):
        return True
    names = [*POLICIES, *BUILT_IN]
    raise ValueError(
        f"entry: {policy!r} is none{closest(policy, names)}; there are {', '.join(names)}, "
        f"best_of_N, best_of_N_lstm_vae, a checkpoint (.safetensors, .zip), or "
        f"package.module:factory for your own."
    )


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by their dotted names; tables within tables are dots too."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _near(name: str, budget: float, beta: float) -> EntrySpec:
    """Return PPO held a little below a budget of the ranking."""
    return EntrySpec(
        name, "acmg_ppo", settings={"learning.kl.target": 0.95 * budget, "learning.kl.beta": beta},
        about=f"ACMG by PPO, held to its prior at {budget} nats a step.",
    )  # fmt: skip


#: The obligatory entries, the human row aside, and what else is built in: name -> entry.
BUILT_IN: dict[str, EntrySpec] = {}
BUILT_IN |= {
    spec.name: spec
    for spec in (
        EntrySpec("uniform_random", "uniform_random", about="Every valid event is as likely."),
        EntrySpec("held_tonic", "held_tonic", about="One tonic, struck once and held."),
        EntrySpec(
            "alternated_chord_tones", "alternated_chord_tones",
            about="Two chord tones by turns, one on every step.",
        ),
        EntrySpec(
            "nearest_chord_tone", "nearest_chord_tone",
            about="The chord tone nearest to the last pitch, held while it stays one.",
        ),
        EntrySpec("markov", "markov", about="A table of the next event given the last and the "
                  "chord, counted in the training split."),
        EntrySpec("melody_lstm", "melody_lstm", about="The frozen prior: an LSTM that learned the "
                  "training split, at temperature 1."),
        EntrySpec("melody_lstm@0.8", "melody_lstm", temperature=0.8,
                  about="The frozen prior at temperature 0.8."),
        *(
            EntrySpec(f"best_of_{n}", f"best_of_{n}", about=f"The best of {n} melodies of the "
                      f"prior by the task's own reward; nothing is trained.")
            for n in (4, 16, 64)
        ),
        EntrySpec("optimum", "optimum", about="The exact optimum by backward induction."),
        EntrySpec("soft_optimum", "soft_optimum", about="The exact best trade of return against "
                  "KL to a Markov table, at 0.12 nats a step from it."),
        EntrySpec("acmg_ppo", "acmg_ppo", about="ACMG by PPO, held to its prior at 0.14 nats a "
                  "step: the default agent."),
        _near("acmg_ppo_kl02", 0.02, 2.0),
        _near("acmg_ppo_kl05", 0.05, 1.2),
        _near("acmg_ppo_kl10", 0.1, 0.7),
        _near("acmg_ppo_kl30", 0.3, 0.3),
        EntrySpec("acmg_a2c", "acmg_a2c", about="ACMG by A2C, held to its prior at 0.14 nats a "
                  "step."),
        EntrySpec("acmg_ppo_free", "acmg_ppo_free", about="ACMG by PPO from the prior, without a "
                  "price of KL."),
        EntrySpec("acmg_a2c_free", "acmg_a2c_free", about="ACMG by A2C from the prior, without a "
                  "price of KL."),
        EntrySpec("acmg_no_theory", "acmg_ppo_free", settings={"rewards": "acmg_no_theory"},
                  about="The paper's ablation: acmg_ppo_free learns the paper's rules without "
                  "Eq. 5-8, and is graded by the task's own reward."),
        EntrySpec("acmg_no_chords", "acmg_ppo_free", settings={"rewards": "acmg_no_chords"},
                  about="The paper's ablation: acmg_ppo_free learns the paper's rules without "
                  "Eq. 2-4, and is graded by the task's own reward."),
        EntrySpec("sb3_ppo", "sb3_ppo", about="Stable-Baselines3's PPO from random weights."),
        EntrySpec("sb3_a2c", "sb3_a2c", about="Stable-Baselines3's A2C from random weights."),
        EntrySpec("sb3_recurrent_ppo", "sb3_recurrent_ppo", about="sb3-contrib's recurrent PPO "
                  "from random weights."),
        *(EntrySpec(name, name, about=f"The generator {name} as it learned the training split.")
          for name in GENERATORS),
        *(EntrySpec(f"{name}_ppo", f"{name}_ppo", about=f"The generator {name}, fine-tuned by PPO "
                    f"and held to itself at 0.14 nats a step.") for name in GENERATORS),
    )
}  # fmt: skip
#: What a word means in a list of entries.
GROUPS = {
    "all": tuple(BUILT_IN),
    "simple": tuple(name for name, spec in BUILT_IN.items()
                    if not spec.learns and name not in GENERATORS),
    "learned": tuple(name for name, spec in BUILT_IN.items()
                     if spec.learns and spec.policy in ACTOR_CRITICS),
    "sb3": SB3,
    "generators": (*GENERATORS, *FINE_TUNED),
}  # fmt: skip


def spec_of(word: str) -> EntrySpec:
    """Return the entry of a word: a built-in name, a policy, or a checkpoint; ``@T`` cools it.

    Raises:
        ValueError: there is none.

    >>> spec_of("melody_lstm@0.5")
    EntrySpec(name='melody_lstm@0.5', policy='melody_lstm', steps=0, settings={}, temperature=0.5, \
about='', folder='')
    """
    if word in BUILT_IN:
        return BUILT_IN[word]
    base, at, heat = word.partition("@")
    if base in BUILT_IN:
        made = BUILT_IN[base]
    else:
        check_policy(base)
        name = Path(base).stem if base.endswith(WEIGHTS) else base.replace(":", ".")
        made = EntrySpec(name, base)
    if not at:
        return made
    try:
        return replace(made, name=made.name + at + heat, temperature=float(heat), about="")
    except ValueError as error:
        if SEARCH.fullmatch(base):
            raise ValueError(f"entry: {word!r}: best of N draws at temperature 1 only.") from error
        raise ValueError(f"entry: {heat!r} is not a temperature from 0 to 100.") from error


def read_entries(words: Sequence[str]) -> list[EntrySpec]:
    """Return the entries that words name, each once.

    Args:
        words: groups (`GROUPS`), built-in names, policies, checkpoints, and files of entries, .toml
            or .py.

    Raises:
        ValueError: there is no such entry or file, a file is not in order, or two entries have one
            name.
    """
    found: dict[str, EntrySpec] = {}
    for word in words:
        if word in GROUPS:
            some = [BUILT_IN[name] for name in GROUPS[word]]
        elif word.endswith((".toml", ".py")):
            some = read_file(Path(word))
        else:
            try:
                some = [spec_of(word)]
            except ValueError as error:
                if near := closest(word, GROUPS):
                    raise ValueError(f"{error} Or a group{near}") from error
                raise
        for spec in some:
            if found.setdefault(spec.name, spec) != spec:
                raise ValueError(f"entries: two are called {spec.name!r}; rename one.")
    return list(found.values())


def read_file(path: Path) -> list[EntrySpec]:
    """Return the entries of a file.

    Args:
        path: a TOML file, one entry or a list of tables ``[[entry]]``; or a Python file that sets
            ``ENTRY`` or ``ENTRIES``, an `EntrySpec` or a dict, or several. Checkpoints and modules
            are looked for beside it.

    Raises:
        ValueError: there is no such file, it cannot be read, or an entry in it is not in order.
    """
    if not path.is_file():
        raise ValueError(f"entries: there is no file {path}.")
    said = _python(path) if path.suffix == ".py" else _toml(path)
    if not said:
        raise ValueError(f"entries: {path} has none.")
    specs = [_spec(one, path) for one in said]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"entries: two are called {name!r} in {path}; rename one.")
    return specs


def _toml(path: Path) -> list[Any]:
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"entries: {path} is not TOML: {error}.") from error
    if "entry" not in data:
        return [data] if data else []
    if more := sorted(data.keys() - {"entry"}):
        raise ValueError(f"entries: {path} has {more[0]!r} beside [[entry]].")
    found = data["entry"]
    return found if isinstance(found, list) else [found]


def _python(path: Path) -> list[Any]:
    with importable(str(path.resolve().parent)):
        try:
            said = runpy.run_path(str(path))
        except Exception as error:
            raise ValueError(
                f"entries: {path} cannot be run: {type(error).__name__}: {error}."
            ) from error
    found = said.get("ENTRIES", said.get("ENTRY"))
    if found is None:
        raise ValueError(f"entries: {path} sets neither ENTRY nor ENTRIES.")
    return list(found) if isinstance(found, list | tuple) else [found]


def _spec(said: Any, path: Path) -> EntrySpec:
    """Return an entry of a file; paths and modules are beside it."""
    if isinstance(said, EntrySpec):
        said = {f.name: getattr(said, f.name) for f in fields(EntrySpec)}
    if not isinstance(said, Mapping):
        raise ValueError(f"entries: {path}: {said!r} is neither an EntrySpec nor a table.")
    allowed = [f.name for f in fields(EntrySpec) if f.name != "folder"]
    for name in said:
        if name not in allowed and not (name == "folder" and not said[name]):
            raise ValueError(
                f"entries: {path}: {name!r} is not a field{closest(name, allowed)}; the fields are "
                f"{', '.join(allowed)}."
            )
    for name in ("name", "policy"):
        if name not in said:
            raise ValueError(f"entries: {path}: an entry has no {name}.")
    given, folder = {k: v for k, v in said.items() if k != "folder"}, path.resolve().parent
    policy = given["policy"]
    if isinstance(policy, str) and policy in BUILT_IN and policy not in POLICIES:
        base = BUILT_IN[policy]  # with settings of its own, and these on top
        given |= {"policy": base.policy, "settings": {**base.settings, **given.get("settings", {})}}
    elif isinstance(policy, str) and policy.endswith(WEIGHTS):
        given["policy"] = str(folder / Path(policy).expanduser())
    if given["name"] == HUMAN:
        raise ValueError(f"entries: {path}: {HUMAN!r} is the human row; call it otherwise.")
    own = ":" in policy if isinstance(policy, str) else False
    try:
        return EntrySpec(**given, folder=str(folder) if own else "")
    except ValueError as error:
        raise ValueError(f"{error} (in {path})") from error


@contextmanager
def importable(folder: str) -> Iterator[None]:
    """Look for modules in a folder first, for as long as this lasts."""
    if not folder:
        yield
        return
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
