"""Classes that are WordNet ids are shown by their names, and stay ids in the filter and in addresses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.charts.confusions import LONGEST_NAME, confusion_matrix
from core.charts.maps import by_name, representation_map
from core.charts.shown_names import as_text
from core.charts.theme import layout_of, paper, traces_of
from core.common.captions import with_class_names
from core.common.wordnet import wordnet_names
from core.errors import did_you_mean
from core.store import Study, open_study
from dashboard.components.cards import Bar, Card, _named
from dashboard.components.tooltips import plain
from dashboard.server.map_points import FORMAT, Wanted, packed
from tests.dashboard.conftest import drawn_cards, tiles
from tests.synthetic import make_seen_study, make_study

IDS = ("n01440764", "n02099601", "n03126707", "n99999999")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of such classes."""
    folder: Path = tmp_path_factory.mktemp("named")
    return make_study(folder / "demo", n_train=40, n_val=40, class_names=IDS)


@pytest.fixture
def served(named: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("PEREGRINE_STUDIES", str(named.parent))
    return open_study(named)


def test_ids_are_named_as_words_and_left_alone_in_paths():
    assert with_class_names("n02099601 → n01440764.") == "golden retriever → tench."
    for kept in (
        "n99999999",
        "n02099601/3.jpg",
        "a/n02099601",
        "n02099601_3.JPEG",
        "n02099601.tar",
        "xn02099601",
    ):
        assert with_class_names(kept) == kept
    assert as_text("n01440764 & n02099601") == "tench &amp; golden retriever"
    assert plain("class n01440764") == "class tench"
    assert with_class_names(with_class_names("n03126707 n01440764")) == "crane (n03126707) tench"
    names = wordnet_names()
    assert len(set(names.values())) == len(names) > 20_000  # none stands for two


def test_the_confusion_matrix_cuts_long_names_and_has_room_for_them():
    ids = ["n01440764", "n02107574"]  # tench, Greater Swiss Mountain dog
    pairs = pd.DataFrame({"true": ids, "predicted": ids[::-1], "n_images": 1})
    layout = layout_of(confusion_matrix(pairs, ids))
    assert list(layout.xaxis.ticktext) == list(layout.yaxis.ticktext) == ["tench", "Greater Swiss Mou…"]
    assert len(layout.xaxis.ticktext[1]) == LONGEST_NAME
    plain_names = pairs.replace({ids[0]: "tench", ids[1]: "Greater Swiss Mountain dog"})
    named = layout_of(confusion_matrix(plain_names, ["tench", "Greater Swiss Mountain dog"]))
    assert layout.height == named.height


@pytest.mark.parametrize("n", [5, 20, 40])
def test_the_rows_of_a_printed_confusion_matrix_are_as_high_as_their_names(n):
    names = [f"class {number}" for number in range(n)]
    pairs = pd.DataFrame({"true": names, "predicted": [*names[1:], names[0]], "n_images": 1})
    theme = paper(column="single")
    layout = layout_of(confusion_matrix(pairs, names, theme=theme))
    around = 100 + 7 * len(names[-1])  # axis, colour bar and the names of the columns, as on the screen
    assert layout.height - around >= 1.15 * n * layout.yaxis.tickfont.size
    assert layout.yaxis.tickfont.size == layout.xaxis.tickfont.size
    assert layout.height == theme.height or n > 5


def test_the_legend_of_a_printed_map_has_room_for_two_columns():
    names = np.array(["n01440764", "n02107574"], object)  # tench, Greater Swiss Mountain dog
    fig = representation_map(np.zeros((2, 2)), by_name(names))
    assert [trace.name for trace in traces_of(fig)[1:]] == ["tench", "Greater Swiss M…"]


def test_bars_of_cards_and_the_legend_of_the_map_name_classes(named):
    said = _named(Card("1", "a", bars=(Bar("of these n01440764", 0.5, "1 of 2"),)))
    assert said["bars"][0]["label"] == "of these tench"
    study = open_study(named)
    body = packed(study, Wanted("pca", "label"))
    header = json.loads(body[4 : 4 + int.from_bytes(body[:4], "little")])
    assert dict(zip(header["names"], header["shown"], strict=True)) == {
        one: with_class_names(one) for one in IDS
    }
    assert f"v={FORMAT}-" in Wanted("pca", "label").address(study)  # a browser keeps what it has read
    assert "tench" in next(line["words"] for line in header["said"] if line["name"] == "Class")


@pytest.mark.slow
def test_the_pages_show_names_and_filter_by_ids(served, open_page):
    app = open_page("images", study="demo", where="label=n02099601")
    assert not app.exception
    lines = [line for tile in tiles(app, "images_gallery") for line in tile["lines"]]
    assert any("golden retriever" in line for line in lines) and not any(IDS[1] in line for line in lines)
    assert all(tile["alt"].startswith("golden retriever (") for tile in tiles(app, "images_gallery"))
    found = [
        json.loads(one.proto.json) for one in app.get("bidi_component") if "images_facets" in one.proto.id
    ]
    assert "crane (n03126707)" in str(found) and '"n01440764"' in json.dumps(
        found
    )  # the id is what is filtered by
    assert app.multiselect(key="filter_labels").value == [IDS[1]]
    assert "tench" in app.multiselect(key="filter_labels").options
    cards = drawn_cards(open_page("overview", study="demo"), "overview_first")
    said = next(card["title"] + card["subtitle"] for card in cards if card["id"] == "confusion")
    assert not any(name in said for name in IDS[:3])


def test_the_classes_of_mean_representations_are_named_and_the_link_keeps_ids(served, open_page):
    link = {"study": "demo", "heat_part": "Mean representations", "groups_classes": [IDS[1], IDS[2]]}
    app = open_page("heatmaps", **link)
    field = app.multiselect(key="groups_classes")
    assert field.value == [IDS[1], IDS[2]] and not set(field.options) & set(IDS[:3])
    field.unselect(IDS[1]).run()
    assert not app.exception and app.query_params["groups_classes"] == IDS[2]


def test_pickers_of_errors_name_classes_and_the_link_keeps_ids(served, open_page):
    probe = served.table("probe")
    wrong = probe[served.is_val & ~probe["correct"].to_numpy(bool)]
    true = next(name for name in wrong["true"] if name in IDS[:3])
    app = open_page("errors", study="demo", errors_tab="Confusions", failure_true=true)
    assert app.selectbox(key="failure_true").value == true
    for key in ("failure_true", "failure_predicted"):
        options = app.selectbox(key=key).options
        assert options and not set(options) & set(IDS[:3])
    other = app.selectbox(key="failure_predicted").options[0]
    app.selectbox(key="failure_predicted").select(other).run()
    assert not app.exception and app.query_params["failure_true"] == true
    assert with_class_names(app.query_params["failure_predicted"]) == other
    app = open_page("errors", study="demo", errors_tab="Compare two", slices_b="no such slice")
    assert not app.exception and app.selectbox(key="slices_b").value == "All other images"
    assert not any(name in text for text in app.selectbox(key="slices_of").options for name in IDS[:2])


def test_commands_name_the_classes_and_take_their_names(named, tmp_path, run):
    study = named
    by_id, by_name = (
        run("inspect", study, "--where", f'label="{one}"') for one in (IDS[1], "golden retriever")
    )
    assert by_id.out == by_name.out and "of golden retriever" in by_id.out and IDS[1] not in by_id.out
    assert (
        "images, tench taken for golden" in run("inspect", study, "--where", "confusion=tench>n02099601").out
    )
    assert run("export", study, "images", "--where", "label=tench", "-o", tmp_path / "tench.csv").code == 0
    assert set(pd.read_csv(tmp_path / "tench.csv")["label"]) == {IDS[0]}
    line = run("inspect", study, "--where", 'label="golden retriver"').error
    assert did_you_mean("golden retriver", ["golden retriever"]) in line and "It has: tench," in line


@pytest.mark.exhaustive("test_the_pages_show_names_and_filter_by_ids opens pages")
@pytest.mark.slow
def test_tables_of_pages_name_classes(tmp_path: Path, monkeypatch, open_page):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path))
    study = open_study(make_seen_study(tmp_path / "demo", class_names=IDS))
    marked = study.images.loc[study.images["label"] == IDS[0], "image_id"].to_list()[:2]
    pages = (
        ("masks", {"masks_part": "By class"}),
        ("errors", {"slices_view": "Table", "slices_sure": "false", "slices_distinct": "false"}),
        ("images", {"picked": marked, "beside": "true"}),
    )
    for page, link in pages:
        shown = [one.value.to_csv(index=False) for one in open_page(page, study="demo", **link).dataframe]
        assert any("tench" in text or "crane (n03126707)" in text for text in shown), page
        assert not any(re.search(f"{name}(?!/)", text) for text in shown for name in IDS[:2]), page
