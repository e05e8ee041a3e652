"""Groups of features: counts, groups called by their words, the joint concept against its features."""

from __future__ import annotations

from urllib.parse import parse_qs

import numpy as np
import pytest
import streamlit as st

from core.answers.requests import add_answer
from core.concepts.groups import find_groups
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import write_study
from dashboard.cache import concept_reads
from tests.concepts.worded import ALPHA, MARKUP
from tests.dashboard.conftest import all_text, forget, grid, spec, tiles, unescaped
from tests.manifests import edited_manifest
from tests.sentences import numbers


@pytest.mark.slow
def test_groups__counts_and_sizes(worded, open_page):
    app = open_page("features", study="seen", features_as="Groups")
    assert not app.exception
    table = worded.table("groups")
    said = all_text(app)
    assert f"**{len(table):,}** different sets" in said
    assert f"**{(table['n_features'] > 1).sum():,}**" in said
    bars = [trace for trace in spec(app, "group_sizes")["data"] if trace["type"] == "bar"]
    assert sum(grid(bar["y"]).sum() for bar in bars) == len(table)


def test_table__the_explained_group_comes_first_by_its_words(worded, open_page):
    shown = open_page("features", study="seen", features_as="Groups").dataframe[0].value
    assert shown["name"].iat[0] == "1 + 2"
    assert shown["words"].iat[0] == MARKUP
    assert shown["words"].iloc[1:].isna().all()
    assert len(shown) == (worded.table("groups")["n_features"] > 1).sum()


def test_panel__joint_words_are_set_apart_and_never_markup(worded, open_page):
    app = open_page("features", study="seen", features_as="Groups", group="1_2")
    badges = [part.value for part in app.markdown if "-badge[" in part.value]
    assert any(part.startswith(":green-badge[\\<b\\>") for part in badges)
    shown = tiles(app, "group_images_1+2")
    high = worded.table("highly_activating")
    ids = high.loc[high["group"] == "1+2", "image_id"]
    assert [tile["id"] for tile in shown] == [worded.row_of(name) for name in ids]
    assert all(tile["src"].startswith("data:image/jpeg") for tile in shown)
    for member in ("1", "2"):  # they have no words of their own, but images
        assert tiles(app, f"group_images_{member}")
    assert all_text(app).count("too few images activate it highly") == 2


def test_single_feature__its_words(worded, open_page):
    app = open_page("features", study="seen", features_as="Groups", group_of="Single features", group="3")
    assert not app.exception
    assert app.dataframe[0].value["name"].tolist() == ["3", "7"]
    assert "redness" in all_text(app)


@pytest.mark.parametrize("chunk_rows", [None, 16])
def test_images_of__exactly_the_images_of_algorithm_1(worded, chunk_rows, monkeypatch):
    raw = worded.vector("representations")
    if chunk_rows:  # as a larger study is stored
        array = worded.array("representations")
        parts = [raw[start : start + chunk_rows] for start in range(0, len(raw), chunk_rows)]
        monkeypatch.setattr(type(array), "n_chunks", property(lambda self: len(parts)))
        monkeypatch.setattr(type(array), "chunk", lambda self, at: parts[at])
        monkeypatch.setattr(type(array), "chunk_start", lambda self, at: at * chunk_rows)
    rows = np.flatnonzero(worded.is_val)
    h = raw[rows] / np.linalg.norm(raw[rows], axis=1, keepdims=True)
    found = list(find_groups(np.packbits(h > ALPHA, axis=1), h.shape[1]))
    assert len(found) > 3
    st.cache_resource.clear()
    for group in found[:8]:
        mine = concept_reads.images_of_group(worded, group.name)
        assert sorted(mine.tolist()) == rows[group.rows].tolist()
        least = h[np.searchsorted(rows, mine)][:, list(group.features)].min(1)
        assert (np.diff(least) <= 1e-7).all()


def test_images_of__are_those_that_the_step_looked_at_whatever_an_answer_is_judged_on(worded, tmp_path):
    images, group = worded.images, worded.table("groups")["group"].iat[0]
    images[["image_id"]].assign(predicted=images["label"]).to_csv(tmp_path / "told.csv", index=False)
    add_answer(worded.path, str(tmp_path / "told.csv"), None, {"device": "cpu"}, Progress.silent())
    with edited_manifest(worded.path) as manifest:
        manifest["steps"]["embed"]["summary"]["split_given"] = False
    read = open_study(worded.path).answering("told")
    assert read.is_val.all()
    assert (
        concept_reads.images_of_group(read, group).tolist()
        == concept_reads.images_of_group(worded, group).tolist()
    )


@pytest.mark.exhaustive("test_groups__counts_and_sizes opens the list")
@pytest.mark.slow
def test_group_that_was_not_explained__its_images_and_the_command(worded, open_page):
    table = worded.table("groups")
    table = table[(table["n_features"] > 1) & (table["group"] != "1+2")]
    name = table["group"].iat[0]
    app = open_page("features", study="seen", features_as="Groups", group=name)
    assert not app.exception
    n = len(concept_reads.images_of_group(worded, name))
    least = concept_reads.min_images(worded)
    assert n <= least and [str(n), str(least)] in [numbers(one.value) for one in app.caption]
    assert tiles(app, f"group_images_{name}")[0]["src"].startswith("thumb/")


def without_joint_words(worded, *, summary, largest=None) -> None:
    """Take the words of groups of several features away; largest: of how many images such a group is."""
    names = ("concepts", "highly_activating", "captions", "counterfactuals", "concept_features")
    with write_study(worded.path) as writer, writer.step("concepts", {}) as step:
        for name in names:
            step.table(name, worded.table(name))
        explained, groups = worded.table("explained"), worded.table("groups")
        if largest is not None:
            sizes = groups["n_images"].where(
                groups["n_features"] == 1, groups["n_images"].clip(upper=largest)
            )
            groups = groups.assign(n_images=sizes)
        step.table("groups", groups)
        step.table("explained", explained[explained["n_features"] == 1])
        step.summary = summary


def test_no_group_was_explained__nothing_replaces_words_before_it_is_agreed_to(worded, open_page):
    without_joint_words(worded, summary=worded.summary("concepts"))
    app = open_page("features", study="seen", features_as="Groups", groups_all_the_same="true")
    assert not app.exception
    least = concept_reads.min_images(worded)
    assert [str(least), "4", "2"] in [numbers(one.value) for one in app.caption]
    assert "run_group_run" not in [button.key for button in app.button]
    assert app.button(key="run_group_off").disabled
    app.checkbox(key="group_run_replaces").check().run()
    assert not app.exception
    assert "run_group_run" in [button.key for button in app.button]


def test_no_group_has_members__nothing_is_offered(worded, open_page):
    summary = worded.summary("concepts") | {"per_k": []}
    without_joint_words(worded, summary=summary, largest=1)
    app = open_page("features", study="seen", features_as="Groups")
    assert not app.exception
    assert not app.dataframe  # single features come first, since hardly any set is shared
    app = open_page("features", study="seen", features_as="Groups", groups_all_the_same="true")
    assert not app.exception
    assert not [button.key for button in app.button if button.key and button.key.startswith("run_group")]
    assert app.dataframe[0].value["name"].tolist() == ["3", "7"]  # single features, which have words
    assert "k = " in all_text(app)
    leads = [parse_qs(one.proto.query_string) for one in app.get("page_link")]
    assert ["Words"] in [one.get("features_as") for one in leads]  # no group has two images


@pytest.mark.exhaustive("state/test_session.py drops what a link cannot name")
@pytest.mark.slow
def test_stale_group_of_a_link__is_dropped_with_a_note(worded, open_page):
    app = open_page("features", study="seen", features_as="Groups", group="4711+4712")
    assert not app.exception
    assert "4711+4712" in unescaped(" ".join(note.value for note in app.info))


def test_without_concepts__the_command(worded, open_page):
    forget(worded.path, "failures", "concepts")
    app = open_page("features", study="seen", features_as="Groups")
    assert not app.exception
    assert any(code.value.startswith("python -m core concepts ") for code in app.code)


def test_groups_without_words__a_run_says_first_what_it_replaces(worded, open_page, started):
    explained = worded.table("explained")
    single = explained.loc[~explained["group"].str.contains("+", regex=False)]
    with write_study(worded.path) as writer, writer.step("explained_again", {}) as step:
        step.table("explained", single)
    app = open_page("features", study="seen", features_as="Groups", groups_all_the_same="true")
    assert not app.exception
    assert 0 < len(single) < len(explained)
    n_words = worded.table("highly_activating")["group"].nunique()
    assert numbers(app.checkbox(key="group_run_replaces").label) == [str(n_words)]
    assert ["4"] in [numbers(one.value)[:1] for one in app.markdown]  # computed again at k = 4
    asked = [one for one in app.get("popover") if one.proto.popover.label == "Put groups into words"]
    assert len(asked) == 1 and asked[0].button  # the click that begins it lies behind another one
    assert not [one for one in app.main.button if one.label == "Run" and one not in asked[0].button]
    assert started == []


def test_table__of_single_features_counts_features(worded, open_page):
    text = all_text(open_page("features", study="seen", features_as="Groups", group_of="Single features"))
    n = int((worded.table("explained")["n_features"] == 1).sum())
    assert f"{n} features" in text
