"""The filter that all views share: what it shows, what it changes, where it goes along, and saved slices."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from core.measures import saved_slices
from core.measures.corrected_accuracy import before_corrections
from core.measures.slice import Slice
from core.store import open_study
from core.study import label_decisions
from dashboard.cache.image_filter import column_name
from dashboard.jobs import further_studies
from dashboard.panels import saved_slices as panel
from dashboard.state.pages import PAGES
from tests.dashboard.conftest import all_text, grid, numbers_of, spec, tiles, unescaped
from tests.dashboard.views.test_pages import VIEWS
from tests.sampling import sample
from tests.sentences import as_record

# There is no study yet; each marked figure keeps its own images.
UNFILTERED = ("new_study", "figures", "try_picture")
FILTERED = [view for view in VIEWS if view not in UNFILTERED]


@pytest.fixture
def study(seen):
    return open_study(seen)


def where(app) -> str:
    found = app.query_params.get("where", "")
    return found if isinstance(found, str) else "".join(found)


def chips(app) -> list[str]:
    return [unescaped(button.label) for button in app.button if str(button.key).startswith("chip ")]


def notes(app) -> str:
    return unescaped(" ".join(note.value for note in app.info))


@pytest.mark.slow
def test_widgets_write_one_part_of_the_link(studies, open_page):
    app = open_page("images", study="demo")
    assert where(app) == "" and chips(app) == []
    app.segmented_control(key="filter_correct").set_value("Misclassified").run()
    app.multiselect(key="filter_labels").set_value(["bee", "ant"]).run()
    assert where(app) == "label=ant,bee correct=false" and chips(app) == []
    study = open_study(studies / "demo")
    expected = (Slice.parse(where(app)).mask(study) & study.is_val).sum()
    assert f"**{expected}** of 40" in all_text(app)
    app.segmented_control(key="filter_split").set_value("Train").run()
    assert where(app) == "split=train label=ant,bee correct=false"
    expected = Slice.parse(where(app)).mask(study).sum()
    assert f"**{expected}** of 80" in all_text(app)


def test_chips_remove_and_clear(studies, open_page):
    app = open_page(
        "images", study="demo", where="split=val label=ant fires=1 q_score=0.01.. confidence=..0.9"
    )
    said = chips(app)
    assert said == ["Confidence up to 0.9", "Q-Score from 0.01", "Feature 1 fires"]
    app.multiselect(key="filter_labels").set_value([]).run()
    assert where(app) == "split=val confidence=..0.9 q_score=0.01.. fires=1"
    assert app.multiselect(key="filter_labels").value == []
    app.button(key="filter_clear").click().run()
    assert where(app) == "" and chips(app) == []
    assert app.segmented_control(key="filter_split").value == "Evaluation"


@pytest.mark.exhaustive("test_widgets_write_one_part_of_the_link has chips")
@pytest.mark.slow
def test_every_kind_of_condition_is_a_chip(study, open_page):
    text = "predicted=bee confusion=ant>bee core_energy=0.1.. image=x,y @mine n_firing=2"
    saved_slices.save(study.path, "mine", Slice(split="val"))
    ids = ",".join(f'"{name}"' for name in study.images["image_id"][:2])
    app = open_page("images", study="seen", where=text.replace("x,y", ids))
    assert not app.exception
    heat = f"{column_name('core_energy')} from 0.1"
    others = ["2 chosen images", "n_firing: 2", "In the slice mine"]
    assert sorted(chips(app)) == sorted(["Answered as bee", "ant taken for bee", heat, *others])


def test_more_filters__count_without_being_open(studies, open_page):
    app = open_page("images", study="demo", where="split=val predicted=ant fires=1")
    labels = [block.proto.popover.label for block in app.get("popover")] if app.get("popover") else []
    assert not labels or "More filters (2)" in labels
    assert not [box for box in app.multiselect if box.key == "filter_fires"]  # nothing drawn while closed


@pytest.mark.slow
@pytest.mark.parametrize("view", sample(FILTERED, 3))
def test_filter_goes_along_to_every_view(view, worded, studies, open_page):
    shutil.copytree(worded.path, studies / "second")  # Compare needs another study over the same images
    app = open_page("map" if view == "images" else "images", study="seen", where="label=bee correct=true")
    links = {link.proto.label: link.proto.query_string for link in app.get("page_link")}
    if PAGES[view].group:  # a page in the sidebar, whose link holds it
        assert "where=label%3Dbee+correct%3Dtrue" in links[PAGES[view].title]
    app.switch_page(f"views/{view}.py")
    app.query_params["where"] = "label=bee correct=true"
    app.run()
    assert not app.exception
    assert where(app) == "label=bee correct=true" and chips(app) == []  # the fields themselves show both
    assert app.multiselect(key="filter_labels").value == ["bee"]
    assert app.segmented_control(key="filter_correct").value == "Correct"
    app.multiselect(key="filter_labels").set_value([]).run()
    assert not app.exception
    assert where(app) == "correct=true"


@pytest.mark.slow
def test_views_narrow_their_images(worded, open_page):
    mask = Slice.parse("label=bee").mask(worded)
    galleries = {
        "images": ["images_gallery"],
        "feature": ["feature_top"],
        "image": ["image_suggested"],
        "heatmaps": ["heat_correct"],
        "predicting_errors": ["quality_flagged"],
        "masks": ["overlap_gallery"],
    }
    parts = {"masks": {"masks_part": "By image"}}
    for view, keys in galleries.items():
        app = open_page(view, study="seen", where="label=bee", **parts.get(view, {}))
        for key in keys:
            shown = [tile["id"] for tile in tiles(app, key)]
            assert shown and mask[shown].all(), (view, key)


@pytest.mark.parametrize(("text", "split"), [("", "val"), ("split=train", "train"), ("label=bee", "val")])
def test_images__are_evaluation_images_unless_asked_otherwise(text, split, study, open_page):
    app = open_page("images", study="seen", where=text)
    shown = [tile["id"] for tile in tiles(app, "images_gallery")]
    assert shown and set(study.images["split"].iloc[shown]) == {split}
    assert Slice.parse(text).mask(study)[shown].all()


@pytest.mark.exhaustive("test_views_narrow_their_images narrows the others")
@pytest.mark.slow
def test_scatter_is_narrowed(study, open_page):
    def points(app) -> int:
        drawn = [trace for trace in spec(app, "overlap_scatter")["data"] if "customdata" in trace]
        return sum(len(grid(trace["customdata"])) for trace in drawn)

    every = open_page("masks", study="seen", masks_part="Method")
    some = open_page("masks", study="seen", masks_part="Method", where="label=bee")
    assert 0 < points(some) < points(every)


@pytest.mark.parametrize(
    ("text", "kept", "says"),
    [
        ("label=unicorn split=val", "split=val", "no label 'unicorn'"),
        ("fires=99999 label=ant", "label=ant", "no feature 99999"),
        ("nonsense=1", "", "no column 'nonsense'"),
        ("@gone label=ant", "label=ant", "no saved slice 'gone'"),
        ("@../../etc/passwd", "", "no saved slice"),
        ("label=", "", "cannot read the slice"),
        ("correct=no label=ant", "label=ant", "'correct' must be true or false, not 'no'"),
        ("label=ant q_score=a..b fires=1", "label=ant fires=1", "'a..b' is not a range"),
        ("label=ant label=bee", "label=bee", "'label' is given twice"),
        ("<script>alert(1)</script>", "", "cannot read the slice"),
        ("concept=red", "", "the words of the images are not computed yet"),
        ("x" * 5000, "", "2,000"),
    ],
)
def test_conditions_that_do_not_hold_are_dropped_with_a_note(text, kept, says, studies, open_page):
    app = open_page("images", study="demo", where=text)
    assert not app.exception
    assert where(app) == kept
    assert says in notes(app)


def test_a_column_that_is_not_there__is_named_without_all_that_are(studies, open_page):
    said = notes(open_page("images", study="demo", where="nonsense=1 label=ant"))
    assert "no column 'nonsense'" in said and "demo" in said
    assert str(studies) not in said and "image_id" not in said


@pytest.mark.exhaustive("tests/measures refuses such a slice")
@pytest.mark.slow
def test_filter_that_another_study_cannot_meet(studies, shelf, unlabelled_study, open_page):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("images", study="demo", where="label=ant split=val", answer="probe")
    app.selectbox(key="study_field").select("unlabelled").run()
    assert not app.exception
    assert where(app) == "split=val" and "answer" not in app.query_params
    assert len(app.info) == 1 and "class = ant" in notes(app) and "split" not in notes(app)


def test_unlabelled_study__no_class_and_no_verdict(studies, shelf, unlabelled_study, open_page):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("images", study="unlabelled")
    assert [control.key for control in app.segmented_control] == ["filter_split"]
    assert not [box for box in app.multiselect if box.key == "filter_labels"]


def test_saved_slices_are_chips_with_counts(studies, open_page):
    path = studies / "demo"
    saved_slices.save(path, "ants <b>", Slice(labels=("ant",)))
    app = open_page("images", study="demo")
    pills = (
        app.button_group(key="filter_saved")
        if hasattr(app, "button_group")
        else app.pills(key="filter_saved")
    )
    assert [unescaped(option) for option in pills.options] == [
        "ants <b> (10)"
    ]  # of the evaluation images, as a page shows them
    pills.set_value("ants <b>").run()
    assert where(app) == "label=ant"


def test_saved_slices__out_of_fold_say_that_train_images_count_too(worded, open_page):
    saved_slices.save(worded.path, "all", Slice(split="val"))
    out_of_fold = worded.answering("crossfit")
    (by_default,), (of_both,) = (
        open_page("images", study="seen", **query).pills(key="filter_saved").options
        for query in ({}, {"answer": "crossfit"})
    )
    assert numbers_of(by_default) == [np.count_nonzero(worded.is_val)]
    assert numbers_of(of_both) == [np.count_nonzero(out_of_fold.is_val)] == [worded.n_images]
    assert of_both != by_default.replace(str(worded.is_val.sum()), str(worded.n_images))
    described = [panel._described(study, "all") for study in (worded, out_of_fold)]
    assert described == [Slice(split="val").describe(), Slice().describe()]


def test_a_long_slice_is_named_in_the_link(studies, open_page):
    study = open_study(studies / "demo")
    ids = tuple(study.images["image_id"])
    saved_slices.save(study.path, "many", Slice(image_ids=ids[:100]))
    app = open_page("images", study="demo")
    pills = app.pills(key="filter_saved")
    pills.set_value("many").run()
    assert where(app) == "@many"
    assert "**100** of 120" in all_text(app)


def test_a_saved_slice_that_changes_is_seen_at_once(studies, open_page):
    path = studies / "demo"
    saved_slices.save(path, "mine", Slice(labels=("ant",)))
    app = open_page("images", study="demo", where="@mine")
    assert "**10** of 40" in all_text(app)
    saved_slices.save(path, "mine", Slice(labels=("ant", "bee")), overwrite=True)
    app.run()
    assert "**20** of 40" in all_text(app)


def test_damaged_list_of_slices__a_note_and_the_page_goes_on(studies, open_page):
    (studies / "demo" / "slices.json").write_text("{")
    app = open_page("images", study="demo", where="label=ant")
    assert not app.exception
    assert "slices.json" in unescaped(notes(app))
    assert "**10** of 40" in all_text(app)


def test_link__unknown_part_is_dropped_with_a_note(studies, open_page):
    app = open_page("images", study="demo", bogus="<script>window.stolen=1</script>")
    assert not app.exception
    assert "'bogus'" in notes(app)
    assert "bogus" not in app.query_params


def test_link__values_out_of_range_are_dropped_with_a_note(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_cutoff="4000")
    assert not app.exception
    assert "quality_cutoff" in notes(app) and "4000" in notes(app)


def test_link__good_parts_cause_no_note(studies, open_page):
    app = open_page(
        "predicting_errors",
        study="demo",
        quality_cutoff="30",
        quality_plot="ROC",
        where="split=val",
        score="Q-Score",
    )
    assert not app.exception
    assert notes(app) == ""


def test_saved_file_is_plain_json(studies):
    saved_slices.save(studies / "demo", "ants", Slice(labels=("ant",)))
    found = json.loads((studies / "demo" / "slices.json").read_text())
    assert found.pop("checksum")
    assert found == {"version": 1, "slices": {"ants": "label=ant"}}


def test_note_on_corrections__stands_where_right_and_wrong_are_counted(studies, unread, open_page):
    study = open_study(studies / "demo")
    where = Slice(split="val")
    one = study.table("probe").query("correct == 0 and split == 'val'").iloc[0]
    pages = [{"view": view, "study": "demo"} for view in ("errors", "overview")]
    label_decisions.decide_label(study, one["image_id"], one["predicted"])
    note = as_record(before_corrections(study, where.mask(study)))
    after = as_record(note.parts[0])
    assert note.n == 1 and note.of and note.value is not None
    assert after.value == pytest.approx(note.value + 1 / note.of)
    for page in pages:
        assert note in all_text(open_page(**page))
    assert note not in all_text(open_page("errors", study="demo", errors_tab="Wrong labels"))
    assert note not in all_text(open_page("images", study="demo", where=f"label={one['predicted']}"))


def test_note_on_corrections__offers_the_study_that_was_made_of_them(studies, unread, open_page, monkeypatch):
    study = open_study(studies / "demo")
    one = study.table("probe").query("correct == 0 and split == 'val'").iloc[0]
    label_decisions.decide_label(study, one["image_id"], one["predicted"])
    again = "To Run again"
    assert again in [one.proto.label for one in open_page("overview", study="demo").get("page_link")]
    monkeypatch.setattr(further_studies, "corrected_studies", lambda _: iter(["corrected"]))
    app = open_page("overview", study="demo")
    assert not app.exception and app.button(key="corrections_open_corrected").label == "Open corrected"
    assert again not in [one.proto.label for one in app.get("page_link")]
