"""The leaderboard's page: what its data say, what is escaped, what it weighs."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pages
import pytest

from musicgym.benchmarks.page import data, write_page
from musicgym.benchmarks.page.build import embed, page
from musicgym.benchmarks.page.melodies import places, rewards, sound, take
from musicgym.benchmarks.page.ranking import rankings
from musicgym.benchmarks.page.score import Glyphs, slim
from musicgym.benchmarks.records import HUMAN
from musicgym.melody import Melody
from musicgym.theory import Chord, Key

MELODY = Melody((14, 0, 18, 0, 21, 0, 0, 1), 48, Key.parse("C major"), (Chord(0, ""),))


class Shape(HTMLParser):
    """What a page holds: its elements, its ids, and the text of its JSON blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict]] = []
        self.blocks: dict[str, str] = {}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        self.open = dict(attrs).get("id", "") if tag == "script" else ""

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, text):
        if self.open:
            self.blocks[self.open] = self.blocks.get(self.open, "") + text


@pytest.fixture(scope="module")
def folder(chorales, tmp_path_factory):
    """Return a folder of records with melodies."""
    return pages.write(tmp_path_factory.mktemp("board"), pages.records())


@pytest.fixture(scope="module")
def written(folder):
    """Return the page of the folder, two melodies an entry."""
    return write_page(folder, folder / "site", melodies=2).read_text()


def told(text: str) -> dict:
    return json.loads(Shape(text).blocks["data"])


def test_ranks_follow_the_budget():
    found = rankings(pages.records())
    assert found["budgets"] == (0.02, 0.05, 0.1, 0.3, None) and found["budget"] == 0.1
    ranks = {key: {row["entry"]: row["rank"] for row in by[""]}
             for key, by in found["standings"].items()}  # fmt: skip
    assert ranks["0.05"]["mine"] is None and ranks["0.1"]["mine"] == 1
    assert ranks["0.1"]["wild"] is None and ranks["none"]["wild"] == 1
    assert ranks["none"]["held_tonic"] is None  # trivial at any budget


def test_scores_set_the_prior_to_0_and_the_optimum_to_1():
    rows = {row["entry"]: row for row in rankings(pages.records())["standings"]["none"]["acmg"]}
    assert rows["melody_lstm"]["score"][0] == 0 and rows["optimum"]["score"][0] == 1
    assert rows["mine"]["score"][0] == pytest.approx((20.3 - 10) / 20)  # the middle of five seeds


def test_a_better_entry_wins_every_run_and_a_profile_falls_at_its_score():
    found = rankings(pages.records())
    names, won = (found["better"][""][part] for part in ("names", "p"))
    assert won[names.index("wild")][names.index("mine")] == 1
    assert won[names.index("mine")][names.index("wild")] == 0
    assert won[names.index("mine")][names.index("mine")] == 0.5
    shares = dict(zip(found["profiles"]["taus"], found["profiles"]["of"][""]["mine"], strict=True))
    assert shares[0.5][0] == 1 and shares[0.55][0] == 0


def test_a_cell_has_means_over_seeds_with_intervals_and_the_human_floor_its_deviation():
    found = data.cells(pages.records(), pages.SUITE)
    mean, low, high = found["acmg"]["mine"]["f"]["return"]
    assert mean == pytest.approx(20.3) and 20.1 <= low < mean < high <= 20.5
    assert found["acmg"]["mine"]["f"]["pitch_range"] == [12.0]
    assert found["acmg"][HUMAN]["f"]["mmd2"] == pytest.approx([0.05, 0.04, 0.06])
    assert "kl" not in found["acmg"][HUMAN]["f"]


def test_the_suite_has_means_over_tasks_of_entries_that_ran_on_all_and_no_returns():
    records = [r for r in pages.records() if (r.task_name, r.entry) != ("acmg", "wild")]
    records = [replace(r, figures={**r.figures, **pages.figures(15.0, 0.02)})
               if (r.task_name, r.entry) == ("acmg", "mine") else r for r in records]  # fmt: skip
    whole = data.cells(records, pages.SUITE)[""]
    assert "wild" not in whole and "return" not in whole["mine"]["f"]
    assert whole["mine"]["f"]["kl"][0] == pytest.approx((0.02 + 2 * 0.09) / 3, rel=1e-3)


def test_a_learning_curve_is_the_mean_and_the_range_of_seeds_at_common_steps():
    one, other = (pages.record("acmg", "mine", seed, 20.0, 0.1) for seed in (1, 2))
    one = replace(one, curve=[[0, 10, 0.0], [100, 20, 0.1], [200, 30, 0.2]])
    other = replace(other, curve=[[0, 20, 0.2], [150, 35, 0.2]])  # 30 at step 100
    curve = data.cells([one, other], pages.SUITE)["acmg"]["mine"]["curve"]
    assert curve == [[0, 15, 10, 20, 0.1, 0, 0.2], [100, 25, 20, 30, 0.15, 0.1, 0.2]]


def test_a_failed_run_is_named_with_its_error_and_has_no_figures():
    failed = pages.record("acmg", "broken", 1, 0.0, 0.0, error="ValueError: no\nTrace")
    failed = replace(failed, figures={}, returns=[], tunes=[])
    said = told(page([*pages.records(), failed], pages.SUITE, {}))
    row = next(r for r in said["standings"]["none"]["acmg"] if r["entry"] == "broken")
    assert row["rank"] is None and "ValueError: no" in row["why"] and "Trace" not in row["why"]
    assert "broken" not in said["cells"]["acmg"]


def test_a_name_that_is_a_script_stays_text():
    entries = {**pages.ENTRIES, pages.EVIL: (12.0, 0.01)}
    text = page(pages.records(entries, seeds=1), pages.SUITE, {}, folder=pages.EVIL)
    assert pages.EVIL not in text
    assert pages.EVIL in told(text)["entries"]
    assert Shape(text).tags.count("script") == 2  # the data and the page's own


def test_embedded_json_reads_back_and_holds_no_markup():
    given = {"a": "</script><!-- \u2028 ü", "b": [1.5, None]}
    assert "<" not in embed(given) and json.loads(embed(given)) == given
    with pytest.raises(ValueError):
        embed(float("nan"))


def test_the_page_is_one_file_that_asks_for_nothing(written):
    shape = Shape(written)
    assert not {"link", "img", "iframe", "object"} & {
        tag for tag, at in shape.attributes if at.get("href") != "data:,"
    }
    for _, attributes in shape.attributes:
        for name in ("src", "href", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:,")), attributes
    assert "default-src 'none'" in written
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", written)


def test_every_label_and_id_of_the_page_finds_its_partner(written):
    attributes = [at for _, at in Shape(written).attributes]
    ids = [at["id"] for at in attributes if "id" in at]
    assert len(ids) == len(set(ids))
    for at in attributes:
        for name in ("aria-labelledby", "aria-describedby"):
            assert at.get(name, ids[0]) in ids
        if at.get("href", "").startswith("#"):
            assert at["href"][1:] in ids


def test_each_entry_has_its_melodies_and_one_task_sounds(written):
    said, blocks = told(written), Shape(written).blocks
    assert set(said["melodies"]["acmg"]) == {HUMAN, *pages.ENTRIES}
    loud, still = (json.loads(blocks[said["melodies"][task]["mine"]]) for task in pages.TASKS[:2])
    assert len(loud) == 2 and len(still) == 1
    assert base64.b64decode(loud[0]["sound"])[:4] == b"OggS" and still[0]["sound"] is None
    people = json.loads(blocks[said["melodies"]["acmg"][HUMAN]])
    assert people[0]["chords"] == loud[0]["chords"]  # over the same progression
    assert loud[0]["return"] <= loud[0]["optimum"]


def test_a_melody_without_sound_is_small_and_one_with_sound_below_100_kb(written):
    said, blocks = told(written), Shape(written).blocks
    assert len(blocks[said["melodies"]["acmg"]["mine"]]) < 2 * 60_000  # 4 bars
    assert len(blocks[said["melodies"]["balanced"]["mine"]]) < 5_000


def test_the_page_can_be_written_without_melodies(folder, tmp_path):
    text = write_page(folder, tmp_path, melodies=0).read_text()
    assert told(text)["melodies"] == {} and len(text) < 200_000


@pytest.mark.parametrize(
    ("given", "said"),
    [({"melodies": 21}, "0 to 20"), ({"audible": ["acgm"]}, "did you mean 'acmg'")],
)
def test_a_wrong_wish_is_refused(folder, tmp_path, given, said):
    with pytest.raises(ValueError, match=said):
        write_page(folder, tmp_path, **given)


def test_progressions_are_chosen_by_chords_major_and_minor_in_turn_human_ones_first():
    def chords(*rows):
        tonic, mode, root = np.array(rows).T
        return {"tonic": tonic, "mode": mode, "roots": root[:, None], "codes": root[:, None] * 0}

    played = chords((0, 0, 1), (0, 0, 2), (0, 0, 2), (9, 1, 3), (0, 0, 4))
    human = chords((9, 1, 3), (0, 0, 4), (0, 0, 2))
    assert places(played, human, 9) == [(1, 2), (3, 0), (4, 1), (0, None)]
    assert places(played, None, 2) == [(0, None), (1, None)]
    assert take(played, [3])["roots"].tolist() == [[3]]


def test_the_reward_under_the_notes_is_that_of_the_benchmark(chorales):
    from musicgym.benchmarks.scenes import Scene, pay_in

    archive = {n: a.astype(np.int64) for n, a in np.load(io.BytesIO(pages.archive(0))).items()}
    task = pages.SUITE.task("balanced").task
    paid = rewards(task, archive)
    from musicgym.benchmarks.page.melodies import _episodes

    raw = pay_in(Scene(*_episodes(archive), None), task, archive["events"])
    assert set(paid) == {term.name for term in task.reward.terms}
    assert sum(paid.values()).sum(1) == pytest.approx(raw @ task.reward.weights)


def test_the_sound_is_a_short_ogg_that_is_not_silent():
    soundfile = pytest.importorskip("soundfile")
    made = sound(MELODY)
    wave, rate = soundfile.read(io.BytesIO(made))
    assert wave.ndim == 1 and len(wave) / rate == pytest.approx(4 * 0.6 + 1, abs=0.05)
    assert np.abs(wave).max() > 0.3 and len(made) < 4_000 * len(wave) / rate


def test_a_slim_score_draws_what_the_engraver_drew():
    from musicgym.export.engraving import svg
    from musicgym.export.musicxml import musicxml

    page_, glyphs = svg(musicxml(MELODY)), Glyphs()
    small = slim(page_, glyphs, 'a "score" <b>')
    root, full = ElementTree.fromstring(small), ElementTree.fromstring(page_)
    kinds = [part.tag.split("}")[-1] for part in root.iter()]
    assert kinds.count("use") == sum(1 for part in full.iter() if part.tag.endswith("}use"))
    assert root.get("aria-label") == 'a "score" <b>' and len(small) < len(page_) / 3
    drawn = "".join(part.get("d", "") for part in root.iter())
    assert drawn.count("H") == 6  # five lines, each one stroke, and one below for C4
    defined = set(re.findall(r'id="([^"]+)"', glyphs.svg))
    assert {part.get("href")[1:] for part in root.iter() if part.get("href")} == defined
    assert "".join(root.itertext()).startswith("C")  # the chord's symbol
