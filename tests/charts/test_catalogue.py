"""Every figure of the catalogue: drawn from a complete study, refused with the reason from a lesser one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.charts.catalogue import NAMES, STYLES, draw
from core.charts.chart import frame_of
from core.charts.heat_panels import StudyHeats, middles, spread
from core.charts.options import FigureOptions
from core.charts.registry import CHARTS
from core.charts.theme import layout_of, traces_of
from core.cli import main
from core.compare.images import GAINED, LOST, WRONG, study_names
from core.errors import EncoderError, PeregrineError, SettingsError, StudyError, UnreadableImage
from core.store import Study, open_study
from core.study.writer import write_study
from tests import small
from tests.compare.comparable import add_concepts
from tests.sampling import sample
from tests.synthetic import make_study

pytestmark = pytest.mark.slow

OF_IMAGES = ("fda_examples", "retrieval_sheet")  # a study that has only begun has what they need
NO_TABLE = (*OF_IMAGES, "ddm_features", "ddm_map", "perturbed_sheet", "robust_bars")
PICTURES = (
    *("heatmaps", "mask_overlap", "feature_heatmaps", "transferred_features", "directions"),
    *("changed_heatmaps", "checkpoint_features", "perturbed_sheet", *OF_IMAGES),
)

# A usual run draws those that tests/contract/test_one_number.py has no study for.
SEEN_ALONE = (
    *("by_cause", "checkpoint_features", "kept_features", "ddm_features", "ddm_map"),
    *("fda_examples", "retrieval_sheet", "perturbed_sheet", "robust_bars"),
)
SEEN_FIRST = [*SEEN_ALONE, *(name for name in NAMES if name not in SEEN_ALONE)]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory) -> Study:
    return open_study(
        make_study(tmp_path_factory.mktemp("bare") / "bare", labels=False, n_train=30, n_val=20)
    )


def drawn(study, other, name, **options):
    studies = [study, other][: max(CHARTS[name].studies[0], 1)]
    return draw(studies, name, options=FigureOptions(device="cpu", **options))


def twins(study: Study, folder: Path) -> tuple[Study, Study]:
    """Two copies of a study, with words."""
    copies = [shutil.copytree(study.path, folder / name) for name in ("before", "after")]
    for copy in copies:
        add_concepts(copy, {"3": ["dog"]})
    assert main(["compare", *map(str, copies), "--leaderboard"]) == 0
    return open_study(copies[0]), open_study(copies[1])


@pytest.fixture(scope="module")
def retrained(pictured: Study, tmp_path_factory) -> tuple[Study, Study]:
    """A study, and a copy of it whose probe was hardly trained."""
    other = shutil.copytree(pictured.path, tmp_path_factory.mktemp("retrained") / "after")
    assert main(["probe", str(other), "--redo", "--lr", "1e-6"]) == 0
    return pictured, open_study(other)


def rows_of(fig) -> list[int]:
    return [int(row) for (row,) in traces_of(fig)[0].customdata]


@pytest.mark.parametrize("name", sample(SEEN_FIRST, len(SEEN_ALONE)))
def test_every_figure__draws_from_a_complete_study(pictured, other_images, retrained, tmp_path, name):
    if name == "by_cause" and pictured.table("quality_by_cause")["auroc"].isna().all():
        pytest.skip("no cause of this small Glyphworld has eight errors; test_baselines.py draws the figure")
    if name == "changed_heatmaps":
        first, second = retrained
    else:
        first, second = twins(pictured, tmp_path) if CHARTS[name].same_images else (pictured, other_images)
    fig = drawn(first, second, name)
    chart = CHARTS[name]
    shown = chart.read([first, second][: max(chart.studies[0], 1)], FigureOptions(device="cpu"))
    assert "\n" not in chart.finding(shown) and len(chart.described(shown)) > 10
    frame = frame_of(shown)
    assert (frame is None) == (name in NO_TABLE) and (frame is None or len(frame))
    assert traces_of(fig), [note.text for note in layout_of(fig).annotations]
    assert layout_of(fig).width in (336, 696) and layout_of(fig).height > 100
    assert bool(layout_of(fig).images) == (name in PICTURES)
    assert json.loads(str(fig.to_json()))["data"]


def test_every_figure__of_a_study_that_has_only_begun_names_the_step(tmp_path):
    study = small.write_small_study(tmp_path / "begun", features=False)
    for name in sorted({*NAMES} - {*OF_IMAGES}):
        with pytest.raises(StudyError, match="python -m core ") as caught:
            draw([study] * CHARTS[name].studies[0], name)
        assert "\n" not in str(caught.value) and f"no figure '{name}'" in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure__of_images_without_labels_draws_or_says_why(unlabelled, name):
    try:
        fig = draw([unlabelled] * CHARTS[name].studies[0], name)
    except PeregrineError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
    else:
        assert traces_of(fig) or len(layout_of(fig).annotations[0].text) > 20


@pytest.mark.parametrize("name", ["roc", "precision_recall", "finding_errors", "risk_coverage", "baselines"])
def test_scores_as_predictors__of_images_without_labels_are_not_drawn(unlabelled, name):
    with pytest.raises(StudyError, match=f"no figure '{name}' of .*: the images have no labels"):
        draw(unlabelled, name)


def test_class_representations__are_those_of_the_study(pictured):
    label = pictured.class_names.index("cat")
    fig = draw(pictured, "class_representations", options=FigureOptions(classes=("cat",), features=(5, 2)))
    assert_allclose(np.array(traces_of(fig)[0].z), pictured.vector("class_means_correct")[[label]][:, [5, 2]])


def test_heatmaps__correct_images_stand_left_of_misclassified_ones(pictured):
    fig = draw(pictured, "heatmaps", options=FigureOptions(images=2, device="cpu"))
    correct = pictured.table("probe")["correct"].to_numpy()
    middle = next(note.x for note in layout_of(fig).annotations if note.text == "<b>misclassified</b>")
    marks = traces_of(fig)[0]
    drawn = [(row, x) for (row,), x in zip(marks.customdata, marks.x, strict=True)]
    for row, x in drawn:
        assert pictured.is_val[row] and (correct[row] or x > middle - 200)
    left = [x for row, x in drawn if correct[row]]
    right = [x for row, x in drawn if not correct[row]]
    assert left and right and max(left) < min(right)


def test_heatmaps__two_studies_show_the_same_images_before_and_after(pictured):
    alone = draw(pictured, "heatmaps", options=FigureOptions(images=1, device="cpu"))
    both = draw([pictured, pictured], "heatmaps", options=FigureOptions(images=1, device="cpu"))
    assert set(rows_of(alone)) == set(rows_of(both)) and len(rows_of(both)) == 1.5 * len(rows_of(alone))
    assert "here (2)" in [note.text for note in layout_of(both).annotations]


def test_changed_heatmaps__images_that_one_study_gets_right_with_both_answers(pictured, retrained):
    pair = retrained
    was, now = (study.table("probe") for study in pair)
    judged = pictured.is_val & was["correct"].notna().to_numpy() & now["correct"].notna().to_numpy()
    right, still = (table["correct"].to_numpy(float) for table in (was, now))
    expected = {
        GAINED: np.flatnonzero(judged & (right == 0) & (still == 1)),
        LOST: np.flatnonzero(judged & (right == 1) & (still == 0)),
    }
    assert sum(map(len, expected.values())) > 0
    for side, rows in expected.items():
        if not len(rows):
            continue
        options = FigureOptions(images=3, device="cpu", panels=(side,))
        fig = draw(list(pair), "changed_heatmaps", options=options)
        n = min(3, len(rows))
        surest = rows[np.argsort(-now["confidence"].to_numpy(float)[rows], kind="stable")][:n]
        assert sorted(rows_of(fig)) == sorted([*surest] * 3)
        notes = [note.text for note in layout_of(fig).annotations]
        assert f"<b>Only {study_names(pair)[side == GAINED]} right</b>" in notes
        for table in (was, now):
            for row in surest:
                assert table["predicted"][row] in notes


def test_changed_heatmaps__no_such_side_and_nothing_changed(pictured, tmp_path):
    with pytest.raises(SettingsError, match="'gained'"):
        draw([pictured, pictured], "changed_heatmaps", options=FigureOptions(panels=("gained",)))
    with pytest.raises(StudyError, match="is wrong to right or right to wrong"):
        draw(list(twins(pictured, tmp_path)), "changed_heatmaps")


def test_side_by_side__other_images_or_another_crop_are_refused(pictured, other_images, shared_study):
    with pytest.raises(StudyError, match="no image"):
        draw([pictured, other_images], "heatmaps")
    with pytest.raises(StudyError, match="different encoders"):
        draw([pictured, open_study(shared_study)], "transferred_features")


def test_transferred_features__rows_of_both_sets(pictured, other_images):
    chosen = FigureOptions(features=(3, 7), images=2)
    fig = draw([pictured, other_images], "transferred_features", options=chosen)
    expected = []
    for feature in (3, 7):
        for study in (pictured, other_images):
            top = study.vector("top_images")[feature]
            expected += top[top >= 0][:2].tolist()
    assert rows_of(fig) == expected


def test_a_map_that_is_not_stored_is_computed(pictured):
    row = int(np.flatnonzero(~pictured.is_val)[0])
    held = set(pictured.heatmap_reader.features_of(row).tolist())
    feature = next(j for j in range(512) if j not in held)
    source = StudyHeats(pictured, FigureOptions(device="cpu"))
    with pytest.raises(StudyError, match="no heatmap"):
        pictured.heatmap(row, [feature])
    (image,) = source.shown([row])
    heat = source.with_heat(image, "x", [feature]).heats["x"]
    assert heat is not None and heat.shape == (32, 32) and heat.min() >= 0 and heat.max() <= 1


def test_directions__top_feature_is_that_of_the_class(pictured):
    fig = draw(pictured, "directions", options=FigureOptions(classes=("dog",), images=2, device="cpu"))
    means, table = pictured.vector("class_means"), pictured.table("features")
    own = np.where(table["discriminative"], means[:, pictured.class_names.index("dog")], -1)
    titles = [note.text for note in layout_of(fig).annotations]
    assert f"top feature<br>{own.argmax()}" in titles and "principal<br>component 1" in titles


def test_encoder_that_is_gone__one_line(pictured, monkeypatch):
    def gone(*_args, **_more):
        raise EncoderError("the weights are gone")

    monkeypatch.setattr("core.analysis.heatmaps_on_demand.study_encoder", gone)
    with pytest.raises(EncoderError, match="weights are gone"):
        draw(pictured, "directions", options=FigureOptions(device="cpu"))


@pytest.mark.parametrize(("name", "options", "message"), [
    ("heatmaps", {"classes": ("catt",)}, "no class 'catt'.*Did you mean 'cat'"),
    ("feature_heatmaps", {"features": (512,)}, "no feature 512 .* from 0 to 511"),
    ("roc", {"score": "q_scor"}, "no score 'q_scor'.*Did you mean 'q_score'"),
    ("threshold_sweep", {"variant": "soft"}, "only 'paper' and 'binary'"),
    ("heatmaps", {"colours": "turbbo"}, "colour map 'turbbo'"),
])  # fmt: skip
def test_wrong_choices__one_line_with_the_near_ones(pictured, name, options, message):
    with pytest.raises(SettingsError, match=message):
        draw(pictured, name, options=FigureOptions(device="cpu", **options))


def test_wrong_names_numbers_and_styles(pictured):
    with pytest.raises(SettingsError, match="'heatmap'.*Did you mean 'heatmaps'"):
        draw(pictured, "heatmap")
    with pytest.raises(SettingsError, match="--with STUDY2"):
        draw(pictured, "transferred_features")
    with pytest.raises(SettingsError, match="shows one study"):
        draw([pictured, pictured], "sparsity")
    with pytest.raises(SettingsError, match="Styles: paper"):
        draw(pictured, "sparsity", style="news")


@pytest.mark.parametrize(("style", "width"), zip(STYLES, (336, 336, 696, None), strict=True))
def test_styles__fix_the_width(pictured, style, width):
    assert layout_of(draw(pictured, "sparsity", style=style)).width == width


def test_old_quality__says_how_to_make_what_it_lacks(study_path):
    path = study_path(pictures=False)
    with write_study(path) as writer:
        del writer.manifest["items"]["sparsity_curves"]
        from core.study import manifest

        manifest.write_manifest(path, writer.manifest)
    with pytest.raises(StudyError, match="python -m core quality .* --redo"):
        draw(open_study(path), "sparsity")


def test_spread__evenly_by_score_among_images_that_fire(pictured):
    facts = StudyHeats(pictured, FigureOptions()).judged()
    rows = spread(facts, 4)
    scores = facts.set_index("row")["q_score"]
    fires = facts.set_index("row")["n_firing_discriminative"]
    assert (fires[rows] > 0).all() and list(scores[rows]) == sorted(scores[rows], reverse=True)
    assert middles(np.arange(10), 2).tolist() == [2, 7] and middles(np.arange(2), 5).tolist() == [0, 1]


def test_changed_heatmaps__an_image_that_one_study_cannot_read_is_left_out(retrained, monkeypatch):
    pair = retrained
    options = FigureOptions(images=3, device="cpu", panels=(WRONG,))
    rows = rows_of(draw(list(pair), "changed_heatmaps", options=options))
    read = Study.image

    def fails(study: Study, row: int):
        if study.path == pair[1].path and row == rows[0]:
            raise UnreadableImage("gone")
        return read(study, row)

    monkeypatch.setattr(Study, "image", fails)
    left = set(rows) - {rows[0]}
    assert len(left) == 2
    assert set(rows_of(draw(list(pair), "changed_heatmaps", options=options))) == left
