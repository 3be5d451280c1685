"""Suites: versioned sets of tasks that entries are ranked on."""

from __future__ import annotations

from dataclasses import dataclass

from .tasks import BenchmarkTask

__all__ = ["SUITES", "Suite", "SuiteTask"]


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite.

    Attributes:
        name: in one word.
        task: what is composed over and what pays.
        about: what it asks of an entry, in a sentence.
        budget: environment steps that an entry may learn for.
        focus: the figure that it is about.
        no_optimum: why it has no exact optimum; empty where it has one.
    """

    name: str
    task: BenchmarkTask
    about: str
    budget: int = 1_000_000
    focus: str = "return"
    no_optimum: str = ""


@dataclass(frozen=True)
class Suite:
    """A set of tasks under one version.

    Attributes:
        name: the version.
        tasks: by their names.
    """

    name: str
    tasks: tuple[SuiteTask, ...]

    def task(self, name: str) -> SuiteTask:
        """Return the task of a name."""
        return next(task for task in self.tasks if task.name == name)


#: The suites by name; what one of them says never changes.
SUITES = {
    "v1": Suite(
        "v1",
        (
            SuiteTask("acmg", BenchmarkTask("acmg"), "The rules of the paper, in full."),
            SuiteTask("balanced", BenchmarkTask("balanced"), "The rules in musical proportion."),
        ),
    ),
}
