"""The part Wrong labels of the page Errors: the list of the filter, marked and tagged at once."""

from __future__ import annotations

import numpy as np
import pytest

from core.measures.label_issues import NONE_LIKELY, own_errors
from core.store import open_study
from core.traces import changes
from core.traces.traces import ImageTrace, read_traces
from tests.dashboard.conftest import all_text, tiles
from tests.manifests import write_tables

TAB = {"errors_tab": "Wrong labels"}


def relabelled(folder, n: int = 6) -> list[str]:
    """Give some evaluation images the label of another class; the probe's answers stay."""
    study = open_study(folder)
    rows = study.is_val.nonzero()[0][:n]
    names, images = list(study.class_names), study.images.copy()
    for row in rows:
        images.loc[row, "label"] = names[(names.index(images.loc[row, "label"]) + 1) % len(names)]
    write_tables(folder, images=images)
    return images["image_id"][rows].tolist()


def press(app, label: str) -> None:
    next(one for one in app.button if one.label == label).click().run()
    assert not app.exception


@pytest.mark.slow
def test_list__is_that_of_the_filter_and_is_marked_and_tagged(unread, studies, open_page):
    changed = relabelled(studies / "demo")
    study = open_study(studies / "demo")
    table = study.where("split=val").table("label_issues")
    assert set(table["image_id"]) & set(changed)
    app = open_page("errors", study="demo", **TAB)
    assert not app.exception and f"{len(table)} label" in all_text(app)
    shown = [study.images["image_id"][tile["id"]] for tile in tiles(app, "wrong_labels")]
    assert shown == table["image_id"].tolist()[: len(shown)] and "→" in str(tiles(app, "wrong_labels")[0])
    app.session_state["wrong_labels_bar_label"] = True  # AppTest has no click for a popover
    app.run()
    press(app, f"Mark {len(table)} labels as wrong")
    other = study.images["image_id"].iat[int(np.argmin(study.is_val))]
    changes.set_tags(study, other, ["doubtful"])  # AppTest cannot type a new one
    app.session_state["wrong_labels_bar_tag"] = True
    app.run().selectbox(key="wrong_labels_bar_tag_name").set_value("doubtful").run()
    press(app, f"Tag {len(table)} images")
    kept = dict(read_traces(studies / "demo").images)
    assert kept.pop(other) == ImageTrace(tags=("doubtful",))
    suggested = dict(zip(table["image_id"], table["suggested"], strict=True))
    assert {name: one.wrong_label for name, one in kept.items()} == suggested
    assert all(one.tags == ("doubtful",) for one in kept.values())
    first = tiles(app, "wrong_labels")[0]["traces"]
    assert [short for short, _ in first] == [f"⚑ {table['suggested'].iloc[0]}", "doubtful"]
    press(app, "Undo")
    left = read_traces(studies / "demo").images
    assert [name for name, one in left.items() if one.tags] == [other]
    assert app.button(key="wrong_labels_bar_undo").disabled  # the last action alone
    label = table["label"].iloc[0]
    app = open_page("errors", study="demo", where=f"label={label}", **TAB)
    assert len(tiles(app, "wrong_labels")) == min((table["label"] == label).sum(), 24)


def test_unlabelled_study__says_why(studies, unlabelled_study, open_page):
    app = open_page("errors", study="demo", where="label=ant correct=true", **TAB)
    assert not app.exception and NONE_LIKELY in all_text(app)


def test_list__warns_of_a_classifier_that_is_weak_on_the_images_of_the_filter(unread, studies, open_page):
    relabelled(studies / "demo")
    text = all_text(open_page("errors", study="demo", where="correct=false", **TAB))
    assert own_errors(0).strip() in text
