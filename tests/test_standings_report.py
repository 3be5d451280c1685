"""The Markdown page of a leaderboard's folder."""

from __future__ import annotations

from pathlib import Path

from pages import TASKS, records

from musicgym.benchmarks.standings_report import report
from musicgym.cli import main


def rows(text: str, title: str) -> dict[str, list[str]]:
    """Return the cells of the table under a heading, by their first or, with a rank, second."""
    part = text.split(f"## {title}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return {row[1] if title.startswith("Standings") else row[0]: row for row in cells[2:]}


def test_a_report_has_every_task_budget_and_entry() -> None:
    text = report(records())
    tasks = rows(text, "Tasks")
    assert set(tasks) == set(TASKS)
    assert tasks["acmg"][3:] == ["30.00", "15.00", "10.00"]  # optimum, human, prior
    assert rows(text, "Standings, KL of at most 0.1 nats a step")["mine"][0] == "1"
    assert rows(text, "Standings, KL of at most 0.1 nats a step")["wild"][0] == "-"
    assert rows(text, "Standings, any KL")["wild"][0] == "1"
    assert rows(text, "Score by task")["melody_lstm"][1:] == ["0.000"] * 3
    assert rows(text, "Score by task")["mine"][1:] == ["0.515"] * 3  # 20.1 to 20.5 of 10 to 30


def test_a_report_says_how_many_runs_failed_and_by_which_code_they_were_made() -> None:
    failed = [r for r in records(seeds=1) if r.entry == "mine"][0]
    others = [r for r in records(seeds=1) if r is not failed and r.file != failed.file]
    lost = type(failed)(failed.task, "mine", 1, 6, {}, suite="small", task_name=failed.task_name,
                        made={"revision": "abc"}, error="it broke")  # fmt: skip
    text = report([*others, lost])
    assert f"{len(others) + 1} records, 1 of them of failed runs" in text
    assert f"unknown ({len(others)}), abc (1)" in text


def test_the_command_writes_the_report(tmp_path: Path) -> None:
    for record in records(seeds=2):
        record.write(tmp_path / "board" / record.task_name)
    main(["leaderboard", "report", str(tmp_path / "board"), "--out", str(tmp_path / "all.md")])
    assert (tmp_path / "all.md").read_text().startswith("# Suite small: all tables")
