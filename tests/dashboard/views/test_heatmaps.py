"""The Heatmaps view: the right images on the right side with the right look; what it says without maps."""

from __future__ import annotations

import shutil
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from core.measures.overlap import object_preference
from core.measures.slice import Slice
from core.measures.slice_features import feature_activations
from core.store import open_study
from dashboard.cache import heatmap_reads, reads
from tests.dashboard.conftest import all_text, forget, tiles
from tests.sentences import numbers
from tests.synthetic import make_seen_study

PER_PAGE = 12


@pytest.fixture
def study(seen):
    return open_study(seen)


def rows_of(app, name: str) -> list[int]:
    return [tile["id"] for tile in tiles(app, name)]


def asked(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def judged(study, *, correct: bool) -> np.ndarray:
    images = study.images.merge(study.table("probe")[["image_id", "correct", "confidence"]], on="image_id")
    fits = images[(images["split"] == "val") & (images["correct"] == correct)]
    return fits.sort_values("confidence", ascending=False, kind="stable").index.to_numpy()


def one_of_each(rows: np.ndarray, kinds: np.ndarray) -> list[int]:
    """Take the first image of each kind that is left, again and again."""
    left, taken = rows.tolist(), []
    while left:
        seen = set()
        for row in [row for row in left if not (kinds[row] in seen or seen.add(kinds[row]))]:
            taken.append(row)
            left.remove(row)
    return taken


def test_maps_of_few_positions__are_said_to_be_coarse(study, open_page, monkeypatch):
    height, width = study.array("heatmap_maps").shape[1:]
    for least, said in ((min(height, width), False), (min(height, width) + 1, True)):
        monkeypatch.setattr(heatmap_reads, "FEW_POSITIONS", least)
        line = f"**Coarse**: the encoder's maps have {height} × {width} positions"
        assert (line in all_text(open_page("heatmaps", study="seen"))) == said


def test_correct_left_and_misclassified_right__surest_of_each_class_first(study, open_page):
    app = open_page("heatmaps", study="seen")
    assert not app.exception
    labels = study.images["label"].to_numpy()
    for name, correct in (("heat_correct", True), ("heat_misclassified", False)):
        assert rows_of(app, name) == one_of_each(judged(study, correct=correct), labels)[:PER_PAGE]
    surest = open_page("heatmaps", study="seen", heat_sort="Most confident first")
    assert rows_of(surest, "heat_correct") == judged(study, correct=True)[:PER_PAGE].tolist()
    bees = open_page("heatmaps", study="seen", where="label=bee")
    wrong = judged(study, correct=False)
    wrong = wrong[labels[wrong] == "bee"]
    answers = study.table("probe")["predicted"].to_numpy()
    assert rows_of(bees, "heat_misclassified") == one_of_each(wrong, answers)[:PER_PAGE]
    assert {tile["verdict"] for tile in tiles(app, "heat_misclassified")} == {"wrong"}
    heads = [head.value for head in app.header]
    n_correct = len(judged(study, correct=True))
    assert heads == [f"Correct ({n_correct})", f"Misclassified ({40 - n_correct})"]


def test_each_side__says_how_far_its_heat_prefers_the_object(study, open_page):
    said = all_text(open_page("heatmaps", study="seen"))
    for correct in (True, False):
        mask = Slice.parse(f"split=val correct={str(correct).lower()}").mask(study)
        value, low, high, _ = object_preference(study, mask)
        text = f"Object preference {100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
        assert text.replace("-", "−") in said.replace("**", "")


ALL_PICTURES = ["Original", "Overlay", "Masks"]


def test_tile__original_and_overlay_unless_masks_are_asked_for(study, open_page):
    tile = tiles(open_page("heatmaps", study="seen"), "heat_misclassified")[0]
    assert tile["names"] == ["Original", "Overlay"] and len(tile["beside"]) == 1


def test_tile__original_overlay_and_masks__the_truth_comes_first(study, open_page):
    app = open_page("heatmaps", study="seen", heat_shown=ALL_PICTURES)
    tile = tiles(app, "heat_misclassified")[0]
    assert tile["src"].startswith(f"thumb/seen/{tile['id']}?")
    overlay, masks = tile["beside"]
    assert overlay.startswith(f"overlay/seen/{tile['id']}?")
    assert "features" not in asked(overlay)
    assert asked(masks)["opacity"] == "0"
    fact = study.images.merge(study.table("quality"), on="image_id").iloc[tile["id"]]
    sure = f"{100 * fact['confidence']:.0f} %"
    assert tile["lines"] == [f"{fact['label']} → {fact['predicted']}, {sure}"]
    right = tiles(app, "heat_correct")[0]
    assert right["lines"][0].startswith(f"{study.images['label'].iat[right['id']]}, ")


def test_order_by_q__is_written_on_the_pictures(study, open_page):
    app = open_page("heatmaps", study="seen", heat_sort="Highest Q first")
    scores = study.table("quality")["q_score"]
    shown = tiles(app, "heat_correct")
    assert [tile["badge"] for tile in shown] == [f"Q {scores.iat[tile['id']]:.3f}" for tile in shown]
    assert (np.diff(scores.iloc[rows_of(app, "heat_correct")]) <= 0).all()


def test_masks__only_those_that_an_image_has(study, open_page):
    app = open_page("heatmaps", study="seen", heat_masks=["Core", "Spurious"], heat_shown=ALL_PICTURES)
    table = study.masks.table
    for tile in tiles(app, "heat_correct"):
        image = study.images["image_id"].iat[tile["id"]]
        there = sorted(table.loc[table["image_id"] == image, "mask"])
        assert asked(tile["beside"][0])["mask"].split(",") == there
        assert asked(tile["beside"][1])["mask"].split(",") == there


def test_class_and_look__from_the_link(study, open_page):
    query = {"where": "label=bee", "heat_combine": "Largest"}
    app = open_page("heatmaps", study="seen", **query, heat_shown=["Overlay"])
    shown = tiles(app, "heat_correct")
    labels = study.images["label"].to_numpy()
    assert shown and all(labels[tile["id"]] == "bee" and tile["beside"] == [] for tile in shown)
    look = asked(shown[0]["src"])
    assert look["combine"] == "max"
    assert "**10** of 40" in all_text(app)


@pytest.mark.slow
def test_one_feature__images_with_its_map_by_activation(study, open_page):
    features = study.table("features")
    maps = {
        int(feature): [
            row for row in range(study.n_images) if feature in study.heatmap_reader.features_of(row)
        ]
        for feature in features.loc[features["discriminative"], "feature"]
    }
    feature, held = max(maps.items(), key=lambda pair: len(pair[1]))  # enough to fill a page
    app = open_page(
        "heatmaps", study="seen", heat_of="One feature", feature=str(feature), where="split=train"
    )
    shown = [tile for name in ("correct", "misclassified") for tile in _tiles_or_none(app, f"heat_{name}")]
    assert {tile["id"] for tile in shown} <= set(held)
    assert all(asked(tile["beside"][0])["features"] == str(feature) for tile in shown)
    raw = study.vector("representations").astype(float)
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    correct = rows_of(app, "heat_correct")
    right = study.table("probe")["correct"].to_numpy(bool) & ~study.is_val
    assert len(correct) == min(PER_PAGE, int(right[held].sum())) > 5
    assert (np.diff(h[correct, feature]) <= 0).all()
    assert tiles(app, "heat_correct")[0]["badge"] == f"{h[correct[0], feature]:.2f}"


def default_of_one_feature(app) -> int:
    return int(app.selectbox(key="heat_feature").value.split()[1])


def test_one_feature__the_strongest_of_the_class_comes_first(study, open_page):
    app = open_page("heatmaps", study="seen", heat_of="One feature", where="label=cat")
    means = study.vector("class_means")[:, study.class_names.index("cat")]
    rows = np.flatnonzero(study.is_val & (study.images["label"] == "cat").to_numpy())
    drawn = {int(j) for row in rows for j in study.heatmap_reader.features_of(row)}
    inside = study.table("features").query("discriminative")["feature"].to_numpy()
    inside = np.array([feature for feature in inside if feature in drawn])
    best = int(inside[np.argmax(means[inside])])
    assert default_of_one_feature(app) == best
    assert f"**{reads.feature_name(study, best)}**" in all_text(app)
    options = app.selectbox(key="heat_feature").options
    assert options[:2] == ["All features that fire", *reads.list_names(study, [best])]


@pytest.mark.parametrize("where", ["", "label=ant", "label=bee", "label=bee q_score=0.01..", "split=train"])
def test_one_feature__the_default_has_pictures(where, study, open_page):
    """Whatever the filter, the feature that the page opens with has a heatmap on one of its images."""
    app = open_page("heatmaps", study="seen", heat_of="One feature", where=where)
    assert not app.exception
    feature = default_of_one_feature(app)
    shown = [tile for name in ("correct", "misclassified") for tile in _tiles_or_none(app, f"heat_{name}")]
    assert shown
    assert all(asked(tile["beside"][0])["features"] == str(feature) for tile in shown)


def test_one_feature__says_on_how_many_images_it_fires_where_not_all_have_a_heatmap(study, open_page):
    features, mask = study.table("features"), study.is_val
    few = {}  # features that are not discriminative: images on which each fires, and those with a heatmap
    for feature in features.loc[~features["discriminative"], "feature"].tolist():
        rows, _ = feature_activations(study, feature, mask)
        held = [row for row in rows.tolist() if feature in study.heatmap_reader.features_of(row)]
        if 0 < len(held) < len(rows):
            few[feature] = len(rows), len(held)
    feature, (n, n_held) = next(iter(few.items()))
    app = open_page("heatmaps", study="seen", heat_of="One feature", feature=str(feature))
    (said,) = [one.value for one in app.caption if numbers(one.value) == [str(n), str(n_held)]]
    assert "not discriminative" in said


@pytest.mark.exhaustive("test_one_feature__… comes from such a link")
@pytest.mark.slow
def test_choosing_a_feature__goes_into_the_link_and_out_again(study, open_page):
    app = open_page("heatmaps", study="seen")
    option = app.selectbox(key="heat_feature").options[3]
    feature = int(option.split()[1])
    app.selectbox(key="heat_feature").set_value(option).run()
    assert app.query_params["feature"] == str(feature)
    assert f"**Feature {feature}**" in all_text(app)
    app.selectbox(key="heat_feature").set_value("All features that fire").run()
    assert not {"feature", "heat_of"} & set(app.query_params)
    assert "discriminative features that fire" in all_text(app)


def test_images_on_which_nothing_fires__are_marked(study, open_page):
    app = open_page("heatmaps", study="seen", heat_sort="Least sure first")
    silent = study.vector("heatmap_rows")[study.vector("heatmap_fallback")]
    shown = tiles(app, "heat_correct") + tiles(app, "heat_misclassified")
    for tile in shown:
        assert tile["badge"] == ("strongest one" if tile["id"] in silent else "")
    n_silent = int(study.is_val[silent].sum())
    line = f"On {n_silent} of 40 images no discriminative feature fires, so the strongest one is shown."
    said = all_text(app)
    assert n_silent and said.count("strongest one is shown") == 1 and line in said


def test_order_by_heat_on_the_spurious_mask(study, open_page):
    app = open_page("heatmaps", study="seen", heat_sort="Most heat on the spurious mask first")
    table = study.table("overlap").query("mask == 'spurious'").set_index("row")["energy"]
    energies = table.reindex(rows_of(app, "heat_correct")).to_numpy()
    assert (np.diff(energies) <= 0).all()


def test_stale_parts_of_a_link__are_dropped_with_a_note(seen, open_page):
    app = open_page("heatmaps", study="seen", where="label=unicorn", feature="4711", heat_of="One feature")
    assert not app.exception
    said = " ".join(note.value for note in app.info)
    assert "unicorn" in said
    assert "'4711'" in said


def test_without_verdicts__one_gallery(seen, open_page):
    forget(seen, "probe", "quality", "overlap")
    app = open_page("heatmaps", study="seen")
    assert not app.exception
    assert len(tiles(app, "heat_heatmaps")) == 2 * PER_PAGE


def test_without_heatmaps__the_command(seen, open_page):
    forget(seen, "heatmaps", "overlap")
    app = open_page("heatmaps", study="seen")
    assert not app.exception
    assert any(code.value.startswith("python -m core heatmaps") for code in app.code)


def test_study_of_representations__says_why_there_are_none(studies, open_page):
    app = open_page("heatmaps", study="demo")
    assert not app.exception
    assert "encoder" in all_text(app)


def test_masks_that_were_moved_away__the_rest_works(unread, studies, shelf, open_page, tmp_path):
    own = make_seen_study(tmp_path / "moved")
    shutil.move(tmp_path / "moved.input" / "masks", tmp_path / "away")
    shelf.serve("moved", own)
    app = open_page("heatmaps", study="moved")
    assert not app.exception
    assert tiles(app, "heat_correct")[0]["names"] == ["Original", "Overlay"]
    assert "Masks" not in app.button_group(key="heat_shown").options


def _tiles_or_none(app, key: str) -> list[dict]:
    try:
        return tiles(app, key)
    except AssertionError:
        return []
