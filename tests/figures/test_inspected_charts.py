"""Confusions and the scale of mIoU as figures: of a study, of a slice, and with nothing to draw."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import StudyError
from core.export.sliced import SlicedStudy
from core.figures.catalogue import draw
from core.figures.options import FigureOptions
from core.slices import inspection
from core.slices.inspection.populations import shown_images
from core.slices.slice import Slice
from core.store import open_study
from tests.synthetic import make_seen_study, make_study


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return open_study(make_seen_study(tmp_path_factory.mktemp("inspected") / "seen"))


@pytest.mark.parametrize("text", ["", "label=bee", "split=train"])
def test_confusions__every_error_of_the_images_once(seen, text):
    study = SlicedStudy(seen, Slice.parse(text)) if text else seen
    pairs = inspection.confusions(seen, shown_images(study))
    fig = draw(study, "confusions")
    if pairs.empty:
        assert fig.layout.annotations
    else:
        assert np.nansum(np.asarray(fig.data[0].z, float)) == pairs["n"].sum()


def test_confusions__without_labels(tmp_path):
    bare = open_study(make_study(tmp_path / "bare", n_train=40, n_val=20, labels=False))
    with pytest.raises(StudyError):
        draw(bare, "confusions")


@pytest.mark.parametrize("text", ["", "label=bee"])
def test_worst_slices__the_significant_ones_of_the_images(seen, text):
    study = SlicedStudy(seen, Slice.parse(text)) if text else seen
    table = inspection.worst_within(seen, shown_images(study))
    significant = table["q"] <= 0.05
    rates = 100 * table.loc[significant | (not significant.any()), "error_rate"]
    fig = draw(study, "worst_slices", options=FigureOptions(images=3))
    if rates.empty:
        assert "No slice is significantly worse" in fig.layout.annotations[0].text
    else:
        assert list(fig.data[0].x) == pytest.approx(rates.head(3).tolist())


def test_worst_slices__without_verdicts(tmp_path):
    bare = open_study(make_study(tmp_path / "bare", n_train=40, n_val=20, labels=False))
    with pytest.raises(StudyError):
        draw(bare, "worst_slices")


def test_miou_scale__is_of_the_images_of_the_slice(seen):
    bees = SlicedStudy(seen, Slice.parse("label=bee"))
    table = inspection.overlap_scale(seen, bees.chosen)
    value = table.loc[(table["heatmap"] == "encoder") & (table["mask"] == "core"), "value"].iloc[0]
    said = [note.text for note in draw(bees, "miou_scale").layout.annotations]
    assert any(f"{value:.2f}" in text for text in said), (value, said)
    assert draw(seen, "miou_scale") != draw(bees, "miou_scale")
