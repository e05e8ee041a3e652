"""Headline, titles, cards and table of a comparison agree, whatever images it is of."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.charts.compared_studies import FEWEST_BINS, class_change_finding, score_table
from core.charts.table_file import TableFile
from core.common.dataframes import numbers
from core.compare.compare import Comparison, compare
from core.compare.separation import SEPARATED, separation_sentence, side_of
from core.compare.text import STAR, headline_rows, numbers_table, premise_lines
from core.compare.verdict import BETTER, CHANGED, WORSE, change_of, changed_sentence, verdict_sentence
from core.measures.slice import Slice
from core.store import Study, open_study
from tests.compare.comparable import second_study
from tests.synthetic import make_study

POPULATIONS = {
    "all images": "",
    "one class": "label=bee",
    "evaluation images": "split=val",
    "a slice": "confidence=0.5..",
    "all correct": "correct=true",
    "all misclassified": "correct=false",
    "no evaluation image": "split=train",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Study]:
    folder: Path = tmp_path_factory.mktemp("population")
    first = make_study(folder / "first")
    return open_study(first), open_study(second_study(first, folder / "second", seed=3))


@pytest.fixture(params=[*POPULATIONS.values(), "one image"], ids=[*POPULATIONS, "one image"])
def comparison(request: pytest.FixtureRequest, pair: tuple[Study, Study]) -> Comparison:
    image = pair[0].images["image_id"].iloc[int(np.flatnonzero(pair[0].is_val)[0])]
    among = Slice(image_ids=(image,)) if request.param == "one image" else Slice.parse(request.param)
    return compare(pair, among=among, resamples=100)


def test_headline__names_what_the_table_marks_and_nothing_else(comparison):
    sentences = f"{verdict_sentence(comparison, 'second')} {changed_sentence(comparison, 'second')}".lower()
    n_judged = 0
    for name, title, *cells in headline_rows(comparison)[1:]:
        if not comparison.value(name, "second"):
            continue
        change = change_of(comparison, name, "second")
        marked = bool(cells[-1]) and cells[-1].endswith(STAR)
        assert marked == (change.verdict in (BETTER, WORSE, CHANGED)) == change.significant
        measure_name = (change.measure.better and change.measure.plain or change.measure.title).lower()
        assert (measure_name in sentences) == marked, title
        assert not cells[-1] or cells[-1].removesuffix(f" {STAR}") == change.words  # as on the card
        n_judged += bool(change.measure.better) and np.isfinite(change.low)
    if n_judged > 1:
        assert f"{n_judged} measures" in sentences or f"each of {n_judged} changes" in sentences


def test_title_of_a_score__says_what_its_row_says(comparison):
    for score, measure in SEPARATED.items():
        title = separation_sentence(comparison.separation, score)
        for study in comparison.names:
            row, separation = comparison.value(measure, study), comparison.separation
            mine = separation.loc[
                (separation["study"] == study) & (separation["score"] == score)
            ].reset_index(drop=True)
            if not len(mine) or not row or not np.isfinite(row["low"]):
                continue
            ends = [numbers(mine, name)[0] for name in ("auroc", "low", "high")]
            assert ends == [row["value"], row["low"], row["high"]]
            assert f"{row['value']:.3f}" in title
            side = side_of(mine.to_dict("records")[0])
            assert side == ("correct" if ends[1] > 0.5 else "misclassified" if ends[2] < 0.5 else "neither")
            words = {"correct": "higher", "misclassified": "lower", "neither": "clear"}
            assert words[side] in title


def test_title_of_the_classes__agrees_with_the_accuracy_of_the_table(comparison):
    title, accuracy = (
        class_change_finding(comparison.classes, "second"),
        change_of(comparison, "accuracy", "second"),
    )
    classes = comparison.classes.loc[comparison.classes["study"] == "second"].reset_index(drop=True)
    if len(classes) == 1 and comparison.shared.judged.sum() > 1:
        assert "most" not in title and str(classes["label"].iat[0]) in title
        assert ("significant" in title) == accuracy.significant
        ends = [numbers(classes, f"difference{end}")[0] for end in ("", "_low", "_high")]
        assert ends == pytest.approx([accuracy.difference, accuracy.low, accuracy.high])
    n = int(comparison.shared.judged.sum()) or comparison.shared.n_images
    assert comparison.population.startswith(f"{n} ") and ("images" in comparison.population) == (n > 1)


def test_what_is_of_all_images__says_so(comparison):
    assert comparison.narrowed == (str(comparison.among) not in ("", "split=val"))
    counts = [row for row in headline_rows(comparison) if row[0].startswith("n_")]
    assert counts and all(("(all images)" in row[1]) == comparison.narrowed for row in counts)
    assert all(("(all images)" in line) == comparison.narrowed for line in premise_lines(comparison))


def test_csv__holds_the_numbers_of_the_table(comparison):
    file = TableFile(tuple(comparison.names), "compare", numbers_table(comparison), comparison.among)
    table = pd.read_csv(io.BytesIO(file.content()))
    for name in ("value", "low", "high", "difference", "difference_low", "difference_high", "n"):
        assert pd.api.types.is_numeric_dtype(table[name])
    assert set(table["slice"].dropna()) == ({str(comparison.among)} if comparison.among else set())
    for row in table.loc[table["n"].notna().to_numpy()].to_dict("records"):
        here = comparison.value(row["measure"], row["study"])
        for name in ("value", "low", "high", "difference", "difference_low", "difference_high"):
            assert row[name] == pytest.approx(here[name], nan_ok=True, rel=1e-9)
        marked = change_of(comparison, row["measure"], row["study"])
        if np.isfinite(marked.low):
            assert str(row["significant"]) == str(marked.significant)


def test_bins__by_the_number_of_images(rng):
    def n_bins(n: int) -> int:
        table = score_table({"a": (rng.random(n), np.ones(n))}, score="confidence")
        return len(table.loc[table["group"] == "correct"])

    assert [n_bins(n) for n in (1, 50, 1000, 100_000)] == [FEWEST_BINS, 7, 20, 48]
