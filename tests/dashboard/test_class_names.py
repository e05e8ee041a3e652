"""Classes that are WordNet ids are shown by their names, and stay ids in the filter and in addresses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.common.captions import with_class_names, wordnet_names
from core.common.dataframes import as_text
from dashboard.components.plain_text import plain
from tests.dashboard.conftest import drawn_cards, tiles
from tests.synthetic import make_study

IDS = ("n01440764", "n02099601", "n03126707", "n99999999")


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
    names = wordnet_names()
    assert len(set(names.values())) == len(names) > 20_000  # none stands for two


@pytest.mark.slow
def test_the_pages_show_names_and_filter_by_ids(tmp_path: Path, monkeypatch, open_page):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path))
    make_study(tmp_path / "demo", n_train=40, n_val=24, class_names=IDS)
    app = open_page("images", study="demo", where="label=n02099601")
    assert not app.exception
    lines = [line for tile in tiles(app, "images_gallery") for line in tile["lines"]]
    assert any("golden retriever" in line for line in lines) and not any(IDS[1] in line for line in lines)
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
