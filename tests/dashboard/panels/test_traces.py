"""Notes, tags, doubts and names on the pages: written in popovers, shown and filtered at once."""

from __future__ import annotations

import pytest

from core.measures.slice import Slice
from core.store import open_study
from core.study import trace_changes
from core.study.traces import UNSURE, FeatureTrace, ImageTrace, read_traces
from dashboard.components import tooltips
from tests.dashboard.conftest import all_text, drawn_cards, unescaped
from tests.dashboard.panels.test_filter_bar import chips, notes, where

HOSTILE = "<script>alert(1)</script> **b** [x](javascript:1) :material/delete:"


@pytest.fixture
def demo(studies):
    return open_study(studies / "demo")


def opened(app, key: str):
    """The page with that popover open: AppTest has no click for it."""
    app.session_state[key] = True
    return app.run()


def said_saved(app):
    """Whether it is said, and the popover is closed."""
    said = [one.proto.body for one in app.get("html") if "Saved in the study" in one.proto.body]
    return bool(said) and not any(button.label == "Save" for button in app.button)


@pytest.mark.slow
def test_feature__name_note_and_tags_are_saved_and_shown(demo, open_page):
    app = opened(open_page("feature", study="demo", feature="3"), "trace_feature_3")
    assert not app.exception
    app.text_input(key="trace_name_3").set_value("night sky")
    app.text_area(key="trace_note_3").set_value(HOSTILE)
    app.multiselect(key="trace_tags_3").set_value(["background"])
    app.button(key="trace_save_3").click().run()
    assert not app.exception
    assert read_traces(demo.path).features == {3: FeatureTrace("night sky", HOSTILE, ("background",))}
    assert said_saved(app)
    assert app.title[0].value.startswith("night sky")
    assert any("background" in one.value and "badge" in one.value for one in app.markdown)
    assert tooltips.plain(HOSTILE) in [caption.value for caption in app.caption]


@pytest.mark.exhaustive("tests/study refuses the same")
@pytest.mark.slow
def test_feature__what_is_refused_is_said_and_nothing_is_lost(demo, open_page):
    trace_changes.name_feature(demo, 3, "old name")
    app = opened(open_page("feature", study="demo", feature="3"), "trace_feature_3")
    app.text_input(key="trace_name_3").set_value("<b>")
    app.button(key="trace_save_3").click().run()
    assert not app.exception and not said_saved(app)
    assert "A name holds letters" in unescaped(app.warning[0].value)
    assert read_traces(demo.path).feature_names == {3: "old name"}


@pytest.mark.exhaustive("tests/study writes the same")
@pytest.mark.slow
def test_feature__only_what_was_touched_is_written(demo, open_page):
    app = opened(open_page("feature", study="demo", feature="3"), "trace_feature_3")
    app.text_input(key="trace_name_3").set_value("mine")
    trace_changes.note_feature(demo, 3, "of somebody else")
    app.button(key="trace_save_3").click().run()
    assert read_traces(demo.path).features[3] == FeatureTrace("mine", "of somebody else")


@pytest.mark.exhaustive("tests/study/test_trace_changes.py saves at once")
@pytest.mark.slow
def test_feature__two_who_save_at_once_lose_nothing(demo, open_page):
    trace_changes.set_feature_tags(demo, 3, ["old"])
    app = opened(open_page("feature", study="demo", feature="3"), "trace_feature_3")
    trace_changes.set_feature_tags(demo, 3, ["theirs"])  # adds one and removes one
    trace_changes.note_feature(demo, 3, "of somebody else")
    app.multiselect(key="trace_tags_3").set_value(["old", "mine"])
    app.button(key="trace_save_3").click().run()
    assert read_traces(demo.path).features[3].tags == ("mine", "theirs")
    app = opened(open_page("feature", study="demo", feature="3"), "trace_feature_3")
    trace_changes.note_feature(demo, 3, "another one")
    app.text_area(key="trace_note_3").set_value("my own")
    app.button(key="trace_save_3").click().run()
    assert "'another one'" in unescaped(app.warning[0].value)
    assert read_traces(demo.path).features[3].note == "another one"
    app.button(key="trace_save_3").click().run()
    assert read_traces(demo.path).features[3].note == "my own"


@pytest.mark.exhaustive("tests/study/test_uses.py has the names")
@pytest.mark.slow
def test_names_are_shown_on_other_pages_at_once_and_found(demo, open_page):
    app = open_page("features", study="demo")
    before = {card["id"]: card["title"] for card in drawn_cards(app, "features_cards")}
    number = next(iter(before))
    trace_changes.name_feature(demo, int(number), "zebra stripes")
    after = {card["id"]: card["title"] for card in drawn_cards(app.run(), "features_cards")}
    assert after == before | {number: "zebra stripes"}
    found = open_page("features", study="demo", features_find="Zebra")
    assert [card["id"] for card in drawn_cards(found, "features_cards")] == [number]


def test_image__doubt_note_and_tags_are_saved_and_shown(demo, open_page):
    image = str(demo.images["image_id"][90])
    other = next(name for name in demo.class_names if name != demo.images["label"][90])
    app = opened(open_page("image", study="demo", image=image), f"trace_image_{image}")
    assert not app.exception
    app.selectbox(key=f"trace_label_{image}").set_value(other)
    app.text_area(key=f"trace_note_{image}").set_value(HOSTILE)
    app.multiselect(key=f"trace_tags_{image}").set_value(["doubtful"])
    app.button(key=f"trace_save_{image}").click().run()
    assert not app.exception
    assert read_traces(demo.path).images == {image: ImageTrace(HOSTILE, ("doubtful",), other)}
    assert said_saved(app)
    assert f"should be {other}" in unescaped(all_text(app)) and "doubtful" in all_text(app)
    assert tooltips.plain(HOSTILE) in [caption.value for caption in app.caption]
    app = opened(app, f"trace_image_{image}")
    app.selectbox(key=f"trace_label_{image}").set_value("")
    app.button(key=f"trace_save_{image}").click().run()
    assert read_traces(demo.path).images[image].wrong_label == ""


def test_image__without_labels_there_is_no_label_to_doubt(unlabelled_study, studies, shelf, open_page):
    study = open_study(shelf.serve("bare", unlabelled_study))
    image = str(study.images["image_id"][0])
    app = opened(open_page("image", study="bare", image=image), f"trace_image_{image}")
    assert not app.exception and not [one for one in app.selectbox if one.key == f"trace_label_{image}"]
    app.text_area(key=f"trace_note_{image}").set_value("seen")
    app.button(key=f"trace_save_{image}").click().run()
    assert read_traces(study.path).images == {image: ImageTrace("seen")}


def test_filter__tags_and_doubts(demo, open_page):
    ids = demo.images["image_id"].tolist()
    held_out = [ids[row] for row in range(demo.n_images) if demo.is_val[row]]
    for image in held_out[:3]:
        trace_changes.set_tags(demo, image, ["doubtful"])
    trace_changes.mark_wrong_label(demo, held_out[0], UNSURE)
    app = opened(open_page("images", study="demo"), "filter_more")
    assert not app.exception
    app.multiselect(key="filter_tags").set_value(["doubtful"]).run()
    assert where(app) == "tag=doubtful"
    assert "**3** of 40" in all_text(app)
    opened(app, "filter_more").checkbox(key="filter_wrong_label").check().run()
    assert Slice.parse(where(app)) == Slice.parse("tag=doubtful wrong_label=true")
    assert "**1** of 40" in all_text(app)
    assert chips(app) == ["tag: doubtful", "Label marked as wrong"]
    trace_changes.mark_wrong_label(demo, held_out[1])
    app.run()
    assert "**2** of 40" in all_text(app)


def test_damaged_notes__their_copy_is_shown_and_the_page_says_so(demo, open_page):
    image = str(demo.images["image_id"][0])
    trace_changes.set_note(demo, image, "seen")
    (demo.path / "traces.json").write_text("{")
    app = open_page("image", study="demo", image=image)
    assert "seen" in all_text(app) and "traces.json is damaged" in unescaped(notes(app))


def test_damaged_notes__a_note_and_the_page_goes_on(demo, open_page):
    (demo.path / "traces.json").write_text("{")
    image = str(demo.images["image_id"][0])
    for page, shown in (("feature", {"feature": "3"}), ("image", {"image": image})):
        app = open_page(page, study="demo", **shown)
        assert not app.exception and app.title
        assert "traces.json is damaged" in unescaped(notes(app))
    assert (demo.path / "traces.json").read_text() == "{"
