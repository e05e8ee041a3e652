"""Masks and mIoU: every number is of the images of the filter, and equals what the tables give."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.measures import saved_slices
from core.measures.overlap import object_preference, overlap_scale, overlap_sentence
from core.measures.slice import Slice
from core.store import open_study
from core.study.progress import Progress
from core.study.steps import STEPS
from core.study.writer import write_study
from dashboard.panels import masks
from tests.dashboard.conftest import all_text, drawn_charts, forget, grid, spec, tiles, unescaped
from tests.manifests import edited_manifest, write_tables
from tests.sampling import pairs_of, sample
from tests.tables import rows_where

CORRECTNESS = "Correct against misclassified"
PARTS = ["Overall", "By class", "By feature", "By image", CORRECTNESS, "Method"]


@pytest.fixture
def study(seen):
    return open_study(seen)


def images_of(study, where: str) -> np.ndarray:
    """(n_images,) bool: the images of the page with this filter."""
    chosen = Slice.parse(where)
    return chosen.mask(study) & (study.is_val if chosen.split is None else True)


def table_of(study, where: str):
    table = study.table("overlap")
    return table[images_of(study, where)[table["row"].to_numpy()]]


def cards_of(app, key: str) -> list[dict]:
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}")]
    return json.loads(found[0].json)["cards"] if found else []


def bars(app) -> dict[str, np.ndarray]:
    drawn = spec(app, "overlap_bars")["data"]
    return {trace["name"]: grid(trace["y"]) for trace in drawn if trace["type"] == "bar"}


def means(study, where: str, variant: str, group: str) -> np.ndarray:
    """The means on core and on spurious masks of the images with both."""
    table = table_of(study, where)
    seen = table[table["mask_area"] > 0]
    both = seen.groupby("row")["mask"].nunique()
    table = table[table["row"].isin(both[both == 2].index)]
    if group != "all":
        table = table[table["correct"] == (group == "correct")]
    return table.groupby("mask")[variant].mean().loc[["core", "spurious"]].to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", sample(["label=bee", "", "split=train", "correct=false", "label=ant correct=false"], 1)
)
def test_scale__is_of_the_images_of_the_filter_and_its_sentence_stands_above(where, study, open_page):
    app = open_page("masks", study="seen", where=where)
    assert not app.exception
    table = overlap_scale(study, images_of(study, where))
    sentence = overlap_sentence(table)
    assert app.header[0].value == sentence.removesuffix(".")
    value, low, high, _ = object_preference(study, images_of(study, where))
    if np.isfinite(low):
        shown = f"**Object preference {100 * value:+.1f} points** ({100 * low:+.1f} to {100 * high:+.1f})"
        assert shown in all_text(app).replace("−", "-")
    known = table.dropna(subset="value")
    if known.empty:
        return
    said = [note["text"] for note in spec(app, "overlap_scale")["layout"]["annotations"]]
    for row in known.query("heatmap == 'encoder'").to_dict("records"):
        assert any(text.startswith(f"<b>encoder {row['value']:.2f}</b>") for text in said)
    for name in ("noise", "uniform", "centre blob", "best possible"):
        assert sum(text.startswith(name) for text in said) == known["mask"].nunique()
    preferred = object_preference(study, images_of(study, where)).n
    assert f"it counts {preferred:,}." in all_text(app) or preferred <= known["n"].max()
    own = known.query("heatmap == 'encoder'").set_index("mask")
    if (own["images"] == "both masks").all() and own["n"].max() > 1:
        assert f"**{own['n'].max()}** images" in all_text(app)
    elif not (own["images"] == "both masks").all():
        assert all(f"**{n}** with a {mask} mask" in all_text(app) for mask, n in own["n"].items())


def test_scale__of_an_empty_slice_says_why_nothing_is_known(study, open_page):
    app = open_page("masks", study="seen", where="label=ant predicted=bee q_score=99..")
    assert not app.exception
    assert not drawn_charts(app) and app.header[0].value


def test_numbers_of_images__are_said_once_and_no_second_switch_of_splits(study, open_page):
    app = open_page("masks", study="seen")
    assert all_text(app).count("Based on") == 1
    groups = [group for group in app.button_group if {"Evaluation", "Train"} & set(map(str, group.options))]
    assert len(groups) == 1


def test_bars__say_which_group_lies_more_on_the_object(study, open_page):
    said = all_text(open_page("masks", study="seen", masks_part=CORRECTNESS))
    right, wrong = (means(study, "", "paper", group)[0] for group in ("correct", "misclassified"))
    assert f"{right:.2f} against {wrong:.2f}" in said


def test_bars__of_several_studies(study, seen, open_page):
    shutil.copytree(seen, seen.with_name("twin"))
    app = open_page("masks", study="seen", masks_part=CORRECTNESS, overlap_with=["twin"])
    assert not app.exception
    own = means(study, "", "paper", "correct")
    np.testing.assert_allclose(bars(app)["correct"], [*own, *own])


def test_bars__another_study_is_read_by_the_same_answer_and_left_out_where_it_lacks_the_filter(
    study, seen, open_page, tmp_path
):
    frame = pd.DataFrame({"image_id": study.images["image_id"], "predicted": study.images["label"]})
    frame.loc[np.flatnonzero(study.is_val)[:4], "predicted"] = study.class_names[0]
    frame.to_csv(tmp_path / "deployed.csv", index=False)
    add_answer(seen, str(tmp_path / "deployed.csv"), None, {"device": "cpu"}, Progress.silent())
    shutil.copytree(seen, seen.with_name("twin"))
    saved_slices.save(seen, "mine", Slice(split="val", labels=(study.class_names[0],)))
    asked = {"study": "seen", "masks_part": CORRECTNESS, "overlap_with": ["twin"]}
    app = open_page("masks", **asked, answer="deployed")
    for values in bars(app).values():
        np.testing.assert_array_equal(values[:2], values[2:])
    app = open_page("masks", **asked, where="@mine")
    assert not app.exception and all(len(values) == 2 for values in bars(app).values())
    assert masks.OPTIMISTIC not in all_text(app)  # of evaluation images, as the slice says
    for answer, says in ("probe", True), ("deployed", False):
        app = open_page("masks", **asked, where="split=train", answer=answer)
        assert (masks.OPTIMISTIC in all_text(app)) is says
    app = open_page("masks", **asked, where="@mine")
    assert all(len(values) == 2 for values in bars(app).values())


def test_scatter__its_title_states_the_rank_correlation(study, open_page):
    app = open_page("masks", study="seen", masks_part="Method")
    table = table_of(study, "").dropna(subset="paper")
    scores = study.table("quality")["q_score"]
    said = []
    for mask, place in (("core", "object"), ("spurious", "background")):
        part = table[(table["mask"] == mask) & (scores.iloc[table["row"]].to_numpy() > 0)]  # those drawn
        rho = part["paper"].corr(scores.iloc[part["row"]].set_axis(part.index), method="spearman")
        said.append(f"{rho:.2f} on the {place}".replace("-", "−"))
    titles = [unescaped(head.value) for head in app.header]
    assert any(", ".join(said) in title for title in titles)


@pytest.mark.slow
@pytest.mark.parametrize("where", sample(["label=bee", ""], 1))
def test_features__cards_of_those_that_fire_here_by_how_often(where, study, open_page):
    app = open_page("masks", study="seen", masks_part="By feature", where=where)
    assert not app.exception
    table = study.table("overlap_by_feature").set_index(["feature", "mask"])
    inside = np.flatnonzero(images_of(study, where))
    ends = np.cumsum(study.vector("firing_count"))
    fires = np.concatenate(
        [study.array("firing_features")[ends[row - 1] if row else 0 : ends[row]] for row in inside]
    )
    rate = np.bincount(fires, minlength=32) / len(inside)
    shown = cards_of(app, "overlap_features")
    known = {feature for feature, _ in table.index if rate[feature] > 0}
    assert {int(card["id"]) for card in shown} == known
    assert (np.diff(rate[[int(card["id"]) for card in shown]]) <= 0).all()
    tags = {"core": "on the object", "spurious": "on the background", "undecided": "undecided"}
    for card in shown:
        feature = int(card["id"])
        own = table.loc[feature]
        assert card["tag"] == tags[own["verdict"].iloc[0]]
        assert f"feature={feature}" in card["href"] and card["href"].startswith("/feature?")
        np.testing.assert_allclose([bar["share"] for bar in card["bars"]], own["energy"])
        rows = [int(picture["src"].split("/")[2].split("?")[0]) for picture in card["pictures"]]
        assert rows and set(rows) <= set(inside.tolist())
        assert all(f"features={feature}" in one["src"] for one in card["pictures"] if "overlay" in one["src"])


def test_features__pictures_are_the_strongest_of_the_filter(study, open_page):
    """Images on which the feature fires, first those with a stored heatmap."""
    app = open_page("masks", study="seen", masks_part="By feature", where="label=bee")
    raw = study.vector("representations").astype(float)
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    inside = images_of(study, "label=bee")
    seen = {"overlay": 0, "thumb": 0}
    for card in cards_of(app, "overlap_features"):
        feature = int(card["id"])
        fires = np.flatnonzero(inside & Slice(fires=(feature,)).mask(study))
        held = [row for row in fires if feature in study.heatmap_reader.features_of(row)]
        held, rest = (
            sorted(rows, key=lambda row: -h[row, feature]) for rows in (held, set(fires) - set(held))
        )
        found = [tuple(picture["src"].split("?")[0].split("/")) for picture in card["pictures"]]
        expected = [("overlay", row) for row in held] + [("thumb", row) for row in rest]
        assert [(kind, int(row)) for kind, _, row in found] == expected[:4]
        for kind, _, _ in found:
            seen[kind] += 1
    assert seen["overlay"]


@pytest.mark.slow
@pytest.mark.parametrize("verdict", sample(["core", "undecided"], 1))
def test_features__of_one_verdict(verdict, study, open_page):
    app = open_page("masks", study="seen", masks_part="By feature", verdict=verdict)
    shown = cards_of(app, "overlap_features")
    tag = {"core": "on the object", "undecided": "undecided"}[verdict]
    assert shown and {card["tag"] for card in shown} == {tag}
    app.selectbox(key="overlap_verdict").set_value("All").run()
    assert "verdict" not in app.query_params
    assert len(cards_of(app, "overlap_features")) > len(shown)


@pytest.mark.exhaustive("state/test_session.py drops what a link cannot name")
@pytest.mark.slow
def test_features__a_verdict_that_is_none_is_dropped_with_a_note(study, open_page):
    app = open_page("masks", study="seen", masks_part="By feature", verdict="maybe")
    assert not app.exception
    assert any("maybe" in note.value for note in app.info) and "verdict" not in app.query_params
    assert len(cards_of(app, "overlap_features"))


@pytest.mark.exhaustive("test_features__cards_of_those_that_fire… has the list")
@pytest.mark.slow
def test_features__of_the_object_are_ordered_by_the_heat_on_it(study, open_page):
    app = open_page("masks", study="seen", masks_part="By feature", verdict="core")
    lift = study.table("overlap_by_feature").query("mask == 'core'").set_index("feature")["lift"]
    order = lift.reindex([int(card["id"]) for card in cards_of(app, "overlap_features")]).dropna()
    assert order.is_monotonic_decreasing


@pytest.mark.exhaustive("test_features__cards_of_those_that_fire… has the cards")
@pytest.mark.slow
def test_features__carry_the_words_of_the_workers(unread, seen, open_page):
    """Salient ImageNet's keywords stand on the card of a feature."""
    table = open_study(seen).table("overlap_by_feature").assign(keywords="<b>bird feeder</b>")
    write_tables(seen, overlap_by_feature=table)
    app = open_page("masks", study="seen", masks_part="By feature")
    assert not app.exception
    lines = [card["lines"] for card in cards_of(app, "overlap_features")]
    assert lines and all("<b>bird feeder</b>" in line[0] for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(("mask", "ascending"), pairs_of(["core", "spurious"], [False, True]))
@pytest.mark.parametrize("where", sample(["correct=false", ""], 1))
def test_images__by_their_heat_on_a_mask(mask, ascending, where, study, open_page):
    place = {"core": "object", "spurious": "background"}[mask]
    order = f"{'Least' if ascending else 'Most'} on the {place} first"
    app = open_page("masks", study="seen", masks_part="By image", overlap_image_order=order, where=where)
    table = table_of(study, where).dropna(subset="energy")
    table = table[table["mask"] == mask].sort_values("energy", ascending=ascending, kind="stable")
    shown = tiles(app, "overlap_gallery")
    assert [tile["id"] for tile in shown] == table["row"].head(24).tolist()
    assert shown[0]["badge"] == f"{100 * table['energy'].iloc[0]:.0f} %"
    assert shown[0]["names"] == ["Overlay", "Masks"]


@pytest.mark.exhaustive("tests/charts/test_overlap_scale.py has the controls")
@pytest.mark.slow
def test_controls__a_perfect_heatmap_comes_out_as_one(study, open_page):
    app = open_page("masks", study="seen", masks_part="Method")
    shown = next(frame.value for frame in app.dataframe if "Heatmap" in frame.value).set_index("Heatmap")
    assert shown.loc["Exactly the core mask", "On the core mask"].startswith("1.000")


@pytest.mark.slow
@pytest.mark.parametrize("part", sample(PARTS, 2))
def test_masks_of_objects_alone__no_part_asks_for_the_background(part, seen, open_page):
    tables = {name: open_study(seen).table(name) for name in STEPS["overlap"].outputs}
    tables["overlap_sweep"]["mean"] = np.nan  # no image has both
    with write_study(seen) as writer, writer.step("overlap", {}) as step:
        for name, table in tables.items():
            step.table(name, rows_where(table, table["mask"] == "core"))
    app = open_page("masks", study="seen", masks_part=part)
    assert not app.exception
    chosen = [option for one in (*app.selectbox, *app.button_group) for option in one.options]
    assert not any("ackground first" in option or option == "Background" for option in chosen)
    if part == "Overall":
        ends = [tiles(app, f"overlap_example_{end}_on_the_object_0")[0]["badge"] for end in ("most", "least")]
        assert int(ends[0].split()[0]) > int(ends[1].split()[0])


def test_study_without_heatmaps__says_why_there_is_nothing_to_compare(studies, open_page):
    app = open_page("masks", study="demo")
    assert not app.exception
    assert not drawn_charts(app) and not app.code  # no command makes heatmaps without an encoder


def test_study_without_masks__says_how_to_add_them(seen, open_page, trusted):
    with edited_manifest(seen) as manifest:
        manifest["steps"]["overlap"]["summary"] = {"skipped": "no masks: give --masks DIR"}
    app = open_page("masks", study="seen")
    assert not app.exception
    assert len(app.get("file_uploader")) > 0 and not app.code


def test_study_without_masks__a_folder_that_was_chosen_has_its_button(
    seen, open_page, tmp_path, monkeypatch, trusted
):
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    with edited_manifest(seen) as manifest:
        manifest["steps"]["overlap"]["summary"] = {"skipped": "no masks: give --masks DIR"}
    app = open_page("masks", study="seen", masks_path=str(tmp_path / "mine"))
    assert not app.exception
    assert "Compare heatmaps with masks" in [button.label for button in app.button]
    assert [code.value for code in app.code] == [f"python -m core overlap {seen} --masks={tmp_path / 'mine'}"]
    app = open_page("masks", study="seen", masks_path=str(tmp_path / "gone"))
    assert "there is no" in app.error[0].value
    assert "Compare heatmaps with masks" not in [button.label for button in app.button]


def test_study_without_masks__where_no_click_may_start_it_a_folder_gives_the_line_to_paste(
    seen, open_page, tmp_path, monkeypatch
):
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    with edited_manifest(seen) as manifest:
        manifest["steps"]["overlap"]["summary"] = {"skipped": "no masks: give --masks DIR"}
        text = json.dumps(manifest["steps"]["embed"])  # only its images may not be read
        text = text.replace("python:tests.planted_encoder:hues", "asset:simclr_glyphworld")
        manifest["steps"]["embed"] = json.loads(text)
    app = open_page("masks", study="seen")
    images = open_study(seen).settings("embed")["images"]
    assert [code.value for code in app.code] == [
        f"python -m core overlap {seen} --masks=MASKS",
        f"PEREGRINE_ROOTS={tmp_path / 'mine'}:{images} python -m core dashboard --studies {seen.parent}",
    ]
    app = open_page("masks", study="seen", masks_path=str(tmp_path / "mine"))
    assert "Compare heatmaps with masks" not in [button.label for button in app.button]
    assert app.code[0].value == f"python -m core overlap {seen} --masks={tmp_path / 'mine'}"


def test_without_overlap__the_command(seen, open_page):
    forget(seen, "overlap")
    app = open_page("masks", study="seen")
    assert not app.exception
    assert any(code.value.startswith("python -m core overlap") for code in app.code)
