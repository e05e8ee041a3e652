"""Confusions and the scale of mIoU as figures: of a study, of a slice, and with nothing to draw."""

from __future__ import annotations

import numpy as np
import pytest

from core.charts.catalogue import draw
from core.charts.options import FigureOptions
from core.charts.theme import layout_of, traces_of
from core.errors import StudyError
from core.measures.confusions import confusions
from core.measures.finder import MIN_IMAGES
from core.measures.overlap import overlap_scale
from core.measures.slice import Slice
from core.measures.slice_comparison import shown_images
from core.measures.slice_words import worst_within
from core.store import open_study
from tests.sentences import numbers
from tests.synthetic import make_seen_study, make_study


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return open_study(make_seen_study(tmp_path_factory.mktemp("inspected") / "seen"))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "label=bee", "split=train"])
def test_confusions__every_error_of_the_images_once(seen, text):
    study = seen.where(Slice.parse(text)) if text else seen
    pairs = confusions(seen, shown_images(study))
    fig = draw(study, "confusions")
    if pairs.empty:
        assert layout_of(fig).annotations
    else:
        assert np.nansum(np.asarray(traces_of(fig)[0].z, float)) == pairs["n"].sum()


def test_confusions__without_labels(tmp_path):
    bare = open_study(make_study(tmp_path / "bare", n_train=40, n_val=20, labels=False))
    with pytest.raises(StudyError):
        draw(bare, "confusions")


@pytest.mark.parametrize("text", ["", "label=bee"])
def test_worst_slices__the_significant_ones_of_the_images(seen, text):
    study = seen.where(Slice.parse(text)) if text else seen
    table = worst_within(seen, shown_images(study))
    significant = table["q"] <= 0.05
    table = table.loc[significant | (not significant.any())]
    wrong = seen.table("probe")["correct"].to_numpy(object) == False  # noqa: E712  (NA is neither)
    above: set[int] = set()
    rates = []
    for where, rate in zip(table["where"], table["error_rate"], strict=True):
        own = set(np.flatnonzero(Slice.parse(where).mask(seen) & wrong).tolist())
        if own and len(own - above) * 2 >= len(own):  # mostly errors of its own
            rates.append(100 * rate)
            above |= own
    fig = draw(study, "worst_slices", options=FigureOptions(images=3))
    if not rates:
        assert not traces_of(fig) and numbers(layout_of(fig).annotations[0].text) == [str(MIN_IMAGES)]
    else:
        assert list(traces_of(fig)[0].x) == pytest.approx(rates[:3])


@pytest.mark.slow
def test_worst_slices__without_verdicts(tmp_path):
    bare = open_study(make_study(tmp_path / "bare", n_train=40, n_val=20, labels=False))
    with pytest.raises(StudyError):
        draw(bare, "worst_slices")


def loop_differences(study, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Percentage points by which each feature fires more often on one set of images than on the other."""
    ptr, rows = study.vector("firing_by_feature_ptr"), study.vector("firing_by_feature_rows")
    found = {}
    for feature in range(len(ptr) - 1):
        fires = set(rows[ptr[feature] : ptr[feature + 1]].tolist())
        a, b = ([row in fires for row in range(study.n_images) if side[row]] for side in (one, other))
        if any(a) or any(b):
            found[f"Feature {feature}"] = 100 * (sum(a) / len(a) - sum(b) / len(b))
    return found


def drawn_differences(fig) -> dict[str, float]:
    """What the chart shows, by the name of the feature without the words behind it."""
    points = zip(traces_of(fig)[0].customdata, traces_of(fig)[0].x, strict=True)
    return {title.partition(" (")[0]: x for (_, title, *_), x in points}


@pytest.mark.parametrize("versus", ["", "label=ant split=val", "split=val"])
def test_slice_differences__of_a_slice_and_the_others(seen, versus):
    bees = Slice.parse("label=bee split=val")
    fig = draw(seen.where(bees), "slice_differences", options=FigureOptions(versus=versus))
    one = bees.mask(seen)
    other = (Slice.parse(versus) if versus else Slice(split="val")).mask(seen) & ~one
    wanted = loop_differences(seen, one, other)
    drawn = drawn_differences(fig)
    assert drawn and drawn == pytest.approx({title: wanted[title] for title in drawn})
    assert "bees" in layout_of(fig).xaxis.title.text


def test_slice_differences__of_a_whole_study_its_errors_against_the_rest(seen):
    fig = draw(seen, "slice_differences", options=FigureOptions(images=2))
    correct = seen.table("probe")["correct"].to_numpy(bool)
    wanted = loop_differences(seen, seen.is_val & ~correct, seen.is_val & correct)
    drawn = drawn_differences(fig)
    assert 0 < len(drawn) <= 4 and drawn == pytest.approx({title: wanted[title] for title in drawn})


def test_slice_differences__without_verdicts_asks_for_a_slice(tmp_path):
    bare = open_study(make_study(tmp_path / "bare", n_train=40, n_val=20, labels=False))
    with pytest.raises(StudyError, match="name a slice"):
        draw(bare, "slice_differences")


def test_miou_scale__is_of_the_images_of_the_slice(seen):
    bees = seen.where(Slice.parse("label=bee"))
    assert bees.chosen is not None
    table = overlap_scale(seen, bees.chosen)
    value = table.loc[(table["heatmap"] == "encoder") & (table["mask"] == "core"), "value"].iloc[0]
    said = [note.text for note in layout_of(draw(bees, "miou_scale")).annotations]
    assert any(f"{value:.2f}" in text for text in said), (value, said)
    assert draw(seen, "miou_scale") != draw(bees, "miou_scale")
