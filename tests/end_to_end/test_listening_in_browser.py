"""A listener at the page, by keyboard: hears, chooses, comes back, saves; then the fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicgym.benchmarks.listening.choices import SCALES, Choices
from musicgym.benchmarks.listening.page import unseal, write_page
from musicgym.benchmarks.listening.reward_model import RewardModel
from musicgym.cli import main
from musicgym.melody import Melody
from musicgym.theory import Chord, Key

C, G = Chord(0, ""), Chord(7, "")
PAIRS = 3


def tune(number: int) -> Melody:
    """Return one of many melodies of a bar, so that they are soon heard."""
    events = tuple(np.random.default_rng(number).integers(10, 30, 4).tolist())
    return Melody(events, 48, Key.parse("C major"), (C, G), steps_per_beat=1)


def written(folder: Path, ratings: bool = False) -> str:
    pytest.importorskip("soundfile")
    pairs = [(tune(2 * i), tune(2 * i + 1)) for i in range(PAIRS)]
    path = folder / "page.html"
    path.write_text(write_page(("old", "new"), pairs, seed=2, ratings=ratings, tempo=240))
    return path.as_uri()


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    """Give a browser that has seen nothing; whatever it logs or fetches is a failure."""
    wrong: list[str] = []
    made = chromium.new_context(viewport={"width": 1000, "height": 800})
    made.on("console", lambda message: wrong.append(message.text))
    made.on("weberror", lambda error: wrong.append(str(error.error)))
    made.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url),
    )
    yield made
    made.close()
    assert wrong == []


def begin(context: Any, address: str) -> Any:
    page = context.new_page()
    page.goto(address)
    page.keyboard.type("Ear 1")  # the field has the focus
    page.keyboard.press("Enter")
    page.wait_for_selector("#listen", state="visible")
    return page


def hear(page: Any, *letters: str) -> None:
    """Play melodies by their keys, each until it counts as heard."""
    for letter in letters:
        page.keyboard.press(letter)
        page.wait_for_function(
            "side => document.querySelectorAll('.heard')[side].textContent.startsWith('heard')",
            arg="ab".index(letter.lower()),
        )


def is_playing(page: Any) -> list[bool]:
    found: list[bool] = page.evaluate("[...document.querySelectorAll('audio')].map(a => !a.paused)")
    return found


def saved(page: Any, folder: Path) -> Path:
    with page.expect_download() as download:
        page.keyboard.press("Enter")  # the link to save has the focus
    assert download.value.suggested_filename == "choices.json"
    path = folder / "choices.json"
    download.value.save_as(path)
    return path


def test_a_listener_chooses_by_keyboard_and_the_choices_are_fitted(
    context: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = begin(context, written(tmp_path))
    page.keyboard.press("ArrowLeft")  # nothing is heard yet, so nothing can be chosen
    assert page.get_by_text("Listen to A and B first.").is_visible()
    assert page.locator("#choose button").first.is_disabled()
    hear(page, "a")
    assert is_playing(page) == [True, False]
    hear(page, "B")
    assert is_playing(page) == [False, True]  # one at a time
    page.keyboard.press("b")
    assert is_playing(page) == [False, False]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")  # the last word counts
    page.keyboard.press("Enter")
    assert page.locator("#where").text_content() == "Pair 2 of 3"
    hear(page, "b", "a")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    hear(page, "a", "b")
    page.keyboard.press("b")
    page.keyboard.press("b")
    page.get_by_text("heard 2 times").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#end", state="visible")
    path = saved(page, tmp_path)
    told = json.loads(page.locator("#text").input_value())
    assert told == json.loads(path.read_text())

    found = Choices.read(path)
    source = (tmp_path / "page.html").read_text()
    data = json.loads(source.split('type="application/json">')[1].split("</script>")[0])
    left = json.loads(unseal(data["sealed"], data["page"]))["left"]
    assert set(left) == {0, 1}  # so that both ways to tell a side are seen
    assert found.listener == "Ear 1" and found.systems == ("old", "new")
    assert [c.preferred for c in found.choices] == [left[0], None, 1 - left[2]]
    assert [c.left for c in found.choices] == left
    played = found.choices[2].plays
    assert played[1 - left[2]] == 2 and played[left[2]] == 1
    assert [p[1].events for p in found.pairs] == [tune(2 * i + 1).events for i in range(PAIRS)]
    assert found.ratings == ()

    main(["preference", "fit", str(path), "--out", str(tmp_path / "reward")])
    assert "3 choices, 1 of them without a difference" in capsys.readouterr().out
    assert RewardModel.load(tmp_path / "reward").heard == (("4/4", 1),)


def test_a_listener_comes_back_to_where_the_page_was_left(context: Any, tmp_path: Path) -> None:
    address = written(tmp_path)
    page = begin(context, address)
    hear(page, "a", "b")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    hear(page, "a")
    page.close()
    page = context.new_page()
    page.goto(address)
    assert page.locator("#where").text_content() == "Pair 2 of 3"
    assert page.get_by_text("Listen to B first.").is_visible()
    page.keyboard.press("Backspace")
    assert page.locator("#where").text_content() == "Pair 1 of 3"
    pressed = page.locator("#choose button[aria-pressed=true]")
    assert pressed.text_content() == "B is better"


def test_melodies_are_rated_on_four_scales_and_tabled(
    context: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = begin(context, written(tmp_path, ratings=True))
    for pair in range(PAIRS):
        hear(page, "a", "b")
        page.keyboard.press("ArrowLeft")
        assert page.get_by_text("Rate A and B on all four scales.").is_visible()
        assert page.locator("#next").is_disabled()
        for side in (0, 1):
            for mark, scale in enumerate(SCALES, 1):
                name = f"input[name={scale}{side}]"
                page.locator(f"{name}[value='{mark}']").focus()
                page.keyboard.press("Space")
                if pair == 0 and side == 1:
                    page.keyboard.press("ArrowRight")  # among the marks the arrows move
        page.keyboard.press("Enter")
    page.wait_for_selector("#end", state="visible")
    path = saved(page, tmp_path)
    found = Choices.read(path)
    assert len(found.ratings) == 2 * PAIRS and len(found.choices) == PAIRS
    first = {r.melody: r for r in found.ratings if r.pair == 0}
    called_a, called_b = (first[m] for m in (found.choices[0].left, 1 - found.choices[0].left))
    assert [getattr(called_a, scale) for scale in SCALES] == [1, 2, 3, 4]
    assert [getattr(called_b, scale) for scale in SCALES] == [2, 3, 4, 5]
    assert found.choices[0].preferred == found.choices[0].left  # the arrows chose nothing else
    main(["ratings", str(path)])
    assert "Zhao et al. (published)" in capsys.readouterr().out


def test_the_page_fits_a_phone_in_the_dark(chromium: Any, tmp_path: Path) -> None:
    made = chromium.new_context(
        viewport={"width": 360, "height": 720}, is_mobile=True, has_touch=True, color_scheme="dark"
    )
    page = made.new_page()
    page.goto(written(tmp_path, ratings=True))
    page.locator("#listener").fill("Ear 1")
    page.get_by_role("button", name="Begin").tap()
    page.get_by_role("button", name="Play melody A").tap()
    page.wait_for_function("!document.querySelector('audio').paused")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert max(int(part) for part in colour[4:-1].split(",")) < 60
    assert not page.locator("#keys").is_visible()
    made.close()
