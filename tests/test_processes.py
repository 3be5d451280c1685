"""Which process of a run this is."""

from __future__ import annotations

import pytest

from musicgym.processes import Place, place

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}  # fmt: skip


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)


def test_the_place_is_what_torchrun_says() -> None:
    assert place() == Place(rank=3, size=4, local_rank=1, local_size=2)


def test_on_one_machine_the_local_place_is_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    assert place() == Place(3, 4, 3, 4)


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_without_a_way_to_find_others_a_process_is_alone(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    assert place() == Place()


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "x"), ("RANK", "4"), ("WORLD_SIZE", "0"), ("LOCAL_RANK", "-1")]
)
def test_a_place_that_is_none_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"do not name a place: .*{name}='{value}'"):
        place()
