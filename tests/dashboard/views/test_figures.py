"""The page Figures: what is on the sheet, how it is changed, and what is drawn of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from core.charts.options import FigureOptions
from core.figures.cells import CellRequest, parse_cell
from core.figures.sheet_layout import GAP, MARGIN
from core.jobs.commands import MakeSheet
from core.slices.slice import Slice
from core.store import Study, open_study
from dashboard.jobs.launcher import SHEETS
from dashboard.panels.sheet import preview as preview_panel
from tests.dashboard.conftest import all_text, write_progress
from tests.dashboard.shelf import Shelf
from tests.manifests import edited_manifest


@pytest.fixture
def study(studies: Path, shelf: Shelf, seen_study: Path) -> Study:
    return open_study(shelf.serve("seen", seen_study))


def component(app, name: str) -> dict:
    found = [one.proto for one in app.get("bidi_component") if one.proto.component_name == name]
    return json.loads(found[0].json)  # the sheet stands before the gallery


def cards(app) -> list[dict]:
    return component(app, "peregrine_sheet_cards")["cards"]


def preview(app) -> dict:
    return component(app, "peregrine_sheet_preview")


def thumbnails(app) -> list[dict]:
    """What the gallery offers, as it is drawn."""
    found = [one.proto for one in app.get("bidi_component")]
    drawn = [json.loads(one.json) for one in found if one.component_name == "peregrine_sheet_preview"]
    return [cell for one in drawn for cell in one["cells"]]


def on_sheet(app) -> list[CellRequest]:
    text = app.query_params.get("sheet", [""])
    return [parse_cell(one) for one in (text[0] if isinstance(text, list) else text).split("|") if one]


def suggested(app):
    return [button for button in app.button if (button.key or "").startswith("sheet_suggested_")]


def test_gallery__leaves_out_what_cannot_be_drawn_here(study):
    there = preview_panel.thumbnail(study, CellRequest("baselines", FigureOptions(), "split=val"))
    assert there is not None
    no_errors = CellRequest("heatmaps", FigureOptions(), "split=val correct=true")
    assert preview_panel.thumbnail(study, no_errors) is None


def test_gallery__leaves_out_a_figure_that_says_why_there_is_none(
    studies, shelf, unlabelled_study, open_page
):
    shelf.serve("bare", unlabelled_study)
    labels = [button.label for button in suggested(open_page("figures", study="bare"))]
    assert "Activation rate of every feature" in labels and not any("purity" in one for one in labels)


@pytest.mark.slow
def test_empty_sheet__says_how_it_is_filled_and_begins_with_one_click(study, open_page):
    app = open_page("figures", study="seen")
    assert not app.exception and "choose *Add to sheet*" in all_text(app)
    assert len(suggested(app)) == len(thumbnails(app)) == 9 and all(one["figure"] for one in thumbnails(app))
    drawn = [json.loads(one.proto.json) for one in app.get("bidi_component") if "thumbnail" in one.proto.id]
    assert all(one["cells"][0]["height"] <= one["height"] + 1 for one in drawn)  # none is cut
    assert all(one["cells"][0]["width"] <= 312 for one in drawn)  # a column's, so that text can be read
    label = suggested(app)[1].label
    app = suggested(app)[1].click().run()
    assert [card["title"] for card in cards(app)] == [label]
    offered = [button.label for button in suggested(app)]  # the gallery stays, without what was added
    assert label not in offered and len(thumbnails(app)) - 1 == len(offered) >= 7
    assert cards(app)[0]["caption"].startswith(label) and cards(app)[0]["about"] == "evaluation images"


@pytest.mark.slow
def test_link__holds_the_sheet_in_its_order(study, open_page):
    app = open_page("figures", study="seen", sheet="baselines?caption=One|roc?score=norm&where=label=bee|map")
    assert [(card["letter"], card["title"], card["caption"]) for card in cards(app)] == [
        ("(a)", "Every score with its interval", "One"),
        ("(b)", "ROC of Raw norm", ""),
        ("(c)", "Every image on the map", ""),
    ]
    assert cards(app)[1]["about"] == "images of bee"


def test_link__what_cannot_be_read_is_dropped_and_said(study, open_page):
    app = open_page("figures", study="seen", sheet="rock|roc|roc?where=((")
    assert [card["title"] for card in cards(app)] == ["ROC of Q-Score"]
    assert any("no figure 'rock'" in one.value for one in app.info)


def test_sheet__goes_along_to_other_pages(study, open_page):
    app = open_page("masks", study="seen", sheet="roc|map")
    assert "sheet" not in app.query_params  # only the address of Figures names it
    app = app.switch_page("views/figures.py").run()
    assert [card["title"] for card in cards(app)] == ["ROC of Q-Score", "Every image on the map"]
    assert [cell.name for cell in on_sheet(app)] == ["roc", "map"]
    assert "sheet" not in app.switch_page("views/masks.py").run().query_params


def test_preview__figures_are_those_of_the_slice(study, open_page):
    app = open_page("figures", study="seen", sheet="q_distribution?where=label=bee|q_distribution")
    few, all_images = (json.loads(cell["figure"]) for cell in preview(app)["cells"])

    def n_images(figure: dict) -> int:
        names = {trace["name"] for trace in figure["data"] if "n = " in trace.get("name", "")}
        return sum(int(re.findall(r"n = (\d+)", name)[0]) for name in names)

    assert n_images(few) == Slice.parse("label=bee split=val").mask(study).sum()
    assert n_images(all_images) == study.is_val.sum()
    assert few["layout"]["width"] == 326


def test_preview__stands_where_the_print_stands(study, open_page):
    image = study.images["image_id"].iloc[int(study.is_val.nonzero()[0][0])]
    app = open_page("figures", study="seen", sheet=f"image:{image}?caption=A bee|heatmap:{image}|roc")
    shown = preview(app)
    assert [(cell["left"], cell["width"]) for cell in shown["cells"]] == [
        (MARGIN, 326),
        (MARGIN + 326 + GAP, 326),
        (MARGIN, 326),
    ]
    assert shown["cells"][0]["caption"] == ["A bee"] and shown["width"] == 696
    assert all(cell["src"] for cell in shown["cells"][:2]) and shown["cells"][2]["figure"]


def test_preview__says_how_large_it_is_and_what_no_page_holds(study, open_page):
    low = open_page("figures", study="seen", sheet="roc")
    inches = preview(low)["height"] / 96
    assert f"7.25 × {inches:.1f} in" in all_text(low) and "A page" not in all_text(low)
    high = open_page("figures", study="seen", sheet="roc|" * 5 + "roc", sheet_columns="1 column")
    assert "A page of a paper has about 9 in" in all_text(high)


def test_preview__captions_are_left_to_the_paper(study, open_page):
    app = open_page("figures", study="seen", sheet="roc?caption=Here")
    assert preview(app)["cells"][0]["caption"] == ["Here"]
    app.toggle("sheet_captions").set_value(False).run()
    assert preview(app)["cells"][0]["caption"] == []


def test_preview__says_what_cannot_be_drawn(study, open_page):
    app = open_page("figures", study="seen", sheet="by_cause|directions|roc")
    causes, directions, roc = preview(app)["cells"]
    assert "do not record what makes them hard" in causes["why"] and cards(app)[0]["problem"] == causes["why"]
    assert "computed when the file is made" in directions["why"] and roc["figure"]


def test_add__a_picture_or_a_figure_from_the_box(study, open_page):
    app = open_page("figures", study="seen", sheet="roc")
    box = app.selectbox(key="sheet_add")
    title = next(one for one in box.options if one.startswith("Heatmap of "))
    app = box.set_value(title).run()
    assert [cell.name.partition(":")[0] for cell in on_sheet(app)] == ["roc", "heatmap"]
    assert on_sheet(app)[1].options.colours == "inferno"  # the colours of the pages
    assert app.selectbox(key="sheet_add").value is None


@pytest.mark.slow
def test_make__starts_the_command_with_every_cell(study, open_page, started, trusted):
    text = "roc?where=label=bee&caption=Bees"
    app = open_page("figures", study="seen", sheet=f"{text}|map", sheet_columns="3 columns")
    app.button(key="sheet_make").click().run()
    ((command, folder),) = started
    assert isinstance(command, MakeSheet) and command.cells == (text, "map") and command.columns == 3
    assert [path.name for path in command.outputs] == ["sheet.pdf", "sheet.svg", "sheet.png", "sheet.zip"]
    assert all(path.parent == folder for path in command.outputs)


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["seen", "second"])
def test_files__are_offered_while_every_study_is_as_it_was(
    changed, study, studies, open_page, started, trusted
):
    shutil.copytree(study.path, studies / "second")
    asked = {"study": "seen", "sheet": "compared_classes?with=second"}
    open_page("figures", **asked).button(key="sheet_make").click().run()
    ((_, folder),) = started
    write_progress(folder, state="done", stages_done=["figures"])
    for name in SHEETS.values():
        (folder / name).write_bytes(b"a sheet")

    def offers(app) -> tuple[bool, bool]:
        return bool(app.get("download_button")), "sheet_make" in [button.key for button in app.button]

    assert offers(open_page("figures", **asked)) == (True, False)
    with edited_manifest(studies / changed) as manifest:
        manifest["steps"]["quality"]["summary"]["mean_q"] = 0.5
    assert offers(open_page("figures", **asked)) == (False, True)


def test_options_of_a_chart__are_kept(study, open_page):
    cell = CellRequest("q_distribution", FigureOptions(score="norm", cutoff=3.5), "label=bee")
    app = open_page("figures", study="seen", sheet=str(cell))
    figure = json.loads(preview(app)["cells"][0]["figure"])
    assert figure["layout"]["xaxis"]["title"]["text"] == "Raw norm"
    assert any(shape.get("x0") == 3.5 for shape in figure["layout"]["shapes"])


@pytest.mark.slow
def test_sheet__each_study_has_its_own(study, open_page):
    app = open_page("figures", study="seen", sheet="roc")
    app = app.selectbox(key="study").set_value("demo").run()
    assert on_sheet(app) == [] and suggested(app)
    app = app.selectbox(key="study").set_value("seen").run()
    assert [cell.name for cell in on_sheet(app)] == ["roc"]


@pytest.mark.slow
def test_add_to_sheet__is_offered_where_the_catalogue_has_the_chart(study, open_page):
    offers = offered(open_page("feature", study="seen", feature="1"))
    assert offers["feature_push"] is False and offers["feature_pictures"] is True
    by_class = offered(open_page("map", study="seen", map_figure="true"))
    by_answer = offered(open_page("map", study="seen", map_figure="true", map_colour="Predicted class"))
    assert by_class["map_chart"] is True and by_answer["map_chart"] is False
    pair = {"errors_tab": "Compare two", "slices_of": "Misclassified"}
    assert offered(open_page("errors", study="seen", **pair))["slices_differences"] is True
    every = offered(open_page("errors", study="seen", **pair, slices_b="All images"))
    assert every["slices_differences"] is False  # train images too, which no slice of a figure means


def offered(app) -> dict[str, bool]:
    """Whether the menu of each chart offers to add it to the sheet."""
    menus = [
        one.proto for one in app.get("bidi_component") if one.proto.component_name == "peregrine_chart_menu"
    ]
    return {found["chart"]: found["sheet"] for found in (json.loads(one.json) for one in menus)}


@pytest.mark.slow
def test_cell_of_two_studies__is_drawn_and_says_when_the_other_one_is_gone(study, studies, open_page):
    second = shutil.copytree(study.path, studies / "second")
    cells = ["compared_classes?with=second", "roc", "miou?with=../elsewhere"]
    app = open_page("figures", study="seen", sheet="|".join(cells))
    assert not app.exception
    assert [bool(cell["figure"]) for cell in preview(app)["cells"]] == [True, True, False]
    assert cards(app)[0]["title"].endswith(", compared with second") and not cards(app)[0]["problem"]
    assert "There is no study 'elsewhere'" in cards(app)[2]["problem"]
    second.rename(studies / "second-run")
    app = app.run()
    assert [bool(cell["figure"]) for cell in preview(app)["cells"]] == [False, True, False]
    assert cards(app)[0]["problem"] == "There is no study 'second' any more. Did you mean 'second-run'?"
