"""Cells of a figure sheet as text: what is written is read back, and what cannot be read is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.charts.options import FigureOptions
from core.errors import SettingsError
from core.figures.cells import LONGEST_CAPTION, CellRequest, parse_cell, title_of

texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=12)


@given(
    classes=st.lists(texts, max_size=3).map(tuple),
    features=st.lists(st.integers(0, 4000), max_size=3).map(tuple),
    caption=texts,
    cutoff=st.none() | st.floats(-5, 5),
)
def test_round_trip__every_option(classes, features, caption, cutoff):
    options = FigureOptions(classes=classes, features=features, images=3, log=True, cutoff=cutoff)
    cell = CellRequest("roc", options, "label=bird split=val", caption)
    assert parse_cell(str(cell)) == cell


def test_readable_in_an_address():
    options = FigureOptions(score="confidence", against=("q_score", "norm"))
    cell = CellRequest("roc", options, "label=bird")
    assert str(cell) == "roc?score=confidence&against=q_score&against=norm&where=label=bird"
    assert str(CellRequest("roc")) == "roc"


def test_slice_compared_with__is_in_the_text_and_in_the_title():
    options = FigureOptions(versus="label=bee split=val", trait="column")
    cell = CellRequest("slice_differences", options, "label=ant split=val")
    assert parse_cell(str(cell)) == cell
    assert title_of(cell) == "What a slice has more often than evaluation images of bee"
    assert title_of(CellRequest("slice_differences")).endswith("than all others")


def test_other_studies__are_in_the_text_and_in_the_title():
    options = FigureOptions(score="norm")
    cell = CellRequest("compared_scores", options, "split=val", "A & b", beside=("tuned", "../old & new/x"))
    assert parse_cell(str(cell)) == cell
    assert title_of(cell).endswith(", compared with tuned, x")
    alone = CellRequest("class_representations", of="tuned")
    assert str(alone) == "class_representations?of=tuned" and parse_cell(str(alone)) == alone
    assert title_of(alone).endswith(", in tuned") and alone.others == ("tuned",)


@pytest.mark.parametrize("image", ["0/10000003", "a?b.jpg", "a?where=label=b", "dog (1).jpg", "50%.png"])
def test_pictures_keep_their_ids(image):
    for cell in (CellRequest(f"heatmap:{image}"), CellRequest(f"image:{image}", caption="A dog?")):
        assert parse_cell(str(cell)) == cell and cell.is_picture


def test_options_of_the_whole_sheet_are_the_plain_ones():
    plain = FigureOptions(score="norm", colours="turbo")
    assert parse_cell("roc", plain).options == plain
    assert parse_cell("roc?score=confidence", plain).options.colours == "turbo"


def test_numbers_of_features_with_commas_or_apart():
    assert parse_cell("purity?features=3,1&features=2").options.features == (3, 1, 2)


def test_caption__one_line_of_limited_length():
    assert parse_cell("roc?caption=a%0A%20b").caption == "a b"
    assert len(parse_cell("roc?caption=" + "x" * 900).caption) == LONGEST_CAPTION


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rock", "Did you mean 'roc'"),
        ("roc?colour=red", "unknown option"),
        ("roc?images=many", "cannot be read"),
        ("roc?variant=worst", "'variant' of a cell is paper"),
        ("roc?where=nonsense", "the images of 'roc' cannot be read"),
        ("slice_differences?versus=nonsense", "the images of 'slice_differences' cannot be read"),
        ("transferred_features", "compares two studies; name the other: transferred_features.with=STUDY2"),
        ("transferred_features?with=b&with=c", "at most 2 studies"),
        ("roc?with=b", "shows one study: leave out with"),
        ("heatmap:dog.jpg?with=b", "one picture of one study"),
        ("miou?with=/etc", "is not the folder of a study"),
        ("miou?with=a/../../b", "is not the folder of a study"),
        ("roc?of=.hidden", "is not the folder of a study"),
        ("roc?caption=" + "x" * 3000, "too long"),
    ],
)
def test_refused__in_one_line(text, says):
    with pytest.raises(SettingsError, match=says):
        parse_cell(text)
