"""The list of confusions: its order, the pictures on its cards, and when the page Errors begins with it."""

from __future__ import annotations

import pandas as pd
import pytest

from core.measures.slice import Slice
from core.store import open_study
from dashboard.panels import confusions
from tests.dashboard.conftest import drawn_cards, drawn_charts
from tests.synthetic import make_study

LOOKS = ": what the first of these features looks at"


def test_confident_first__most_images_then_the_surest_image_then_pairs_without_one(studies):
    study = open_study(studies / "demo")
    probe, surest = study.table("probe").loc[study.is_val], {}
    for image in probe.loc[~probe["correct"].astype(bool)].to_dict("records"):
        pair = (image["true"], image["predicted"])
        surest[pair] = max(image["confidence"], surest.get(pair, 0.0))
    by_confidence = sorted(surest, key=lambda pair: surest[pair])  # the wrong way round
    assert len(by_confidence) > 2
    given = [("ant", "an answer of no image"), *by_confidence]
    table = pd.DataFrame(given, columns=["true", "predicted"]).assign(n_images=1)
    table.loc[1, "n_images"] = 2
    ordered = confusions._confident_first(study, Slice(split="val"), table)
    pairs = list(zip(ordered["true"], ordered["predicted"], strict=True))
    assert pairs == [by_confidence[0], *by_confidence[:0:-1], given[0]]


def test_cards__of_few_images_end_with_what_the_pushing_feature_looks_at(
    studies, shelf, worded_study, open_page
):
    shelf.serve("seen", worded_study)
    cards = drawn_cards(open_page("errors", study="seen", errors_tab="Confusions"), "failure_list")
    few = [card for card in cards if int(card["note"].split()[0]) < confusions.PICTURES]
    assert few and all(len(card["pictures"]) <= confusions.PICTURES for card in cards)
    for card in cards:
        images = min(int(card["note"].split()[0]), confusions.PICTURES)
        seen = card["pictures"][images:]
        said = [line for line in card["lines"] if line.endswith(LOOKS)]
        assert [f"The last {len(seen)} picture{'s' * (len(seen) != 1)}{LOOKS}"][: len(seen)] == said
        assert not any(one["src"].startswith("overlay/") for one in card["pictures"][:images])
    assert any(len(card["pictures"]) > int(card["note"].split()[0]) for card in few)


@pytest.mark.parametrize(("study", "shown"), [("demo", "slices_rows"), ("apart", "failure_list")])
def test_errors__begin_with_confusions_where_classes_are_too_small_for_slices(
    study, shown, studies, open_page
):
    names = tuple(f"class {number}" for number in range(28))
    if study == "apart":
        make_study(studies / study, n_train=28, n_val=28, n_classes=28, class_names=names, pictures=False)
    app = open_page("errors", study=study, slices_chance="true")  # slices that could be chance are folded
    assert not app.exception and drawn_cards(app, shown)
    if study == "apart":  # a matrix of ones would tell nothing
        assert "failure_matrix" not in drawn_charts(app)
        assert all(card["note"].startswith("confidence ") for card in drawn_cards(app, shown))
