"""Which images a slice holds, and which others it is compared with."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.errors import SliceError
from core.measures import saved_slices
from core.measures.slice import Slice
from core.measures.slice_comparison import metrics, population, with_split
from core.store import Study, open_study
from core.study.writer import write_study
from tests import small


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = small.write_small_study(tmp_path_factory.mktemp("populations") / "study")
    saved_slices.save(study.path, "train dogs", Slice.parse("split=train label=dog"))
    saved_slices.save(study.path, "dogs", Slice.parse("label=dog"))
    return study


def rows(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("where", "inside", "others"),
    [
        ("", [3, 4, 5, 6, 7], []),
        ("label=dog", [5], [3, 4, 6, 7]),
        ("split=train label=dog", [0, 1], [2]),
        ('@"train dogs"', [0, 1], [2]),
        ("@dogs", [5], [3, 4, 6, 7]),
        ("split=val @dogs", [5], [3, 4, 6, 7]),
        ('split=val @"train dogs"', [], [0, 1, 2, 3, 4, 5, 6, 7]),
        ("q_score=9..", [], [3, 4, 5, 6, 7]),
        ("image=train/0.jpg", [0], [1, 2, 3, 4, 5, 6, 7]),
        ('"split"=train label=dog', [0, 1], [2]),
    ],
)
def test_population__is_of_evaluation_images_unless_a_split_is_named(study, where, inside, others):
    mask, against = population(study, Slice.parse(where))
    assert (rows(mask), rows(against)) == (inside, others)


def test_population__two_slices_share_no_images(study):
    """Common images stay in the smaller slice."""
    cats, sand = Slice.parse("label=cat split=train"), Slice.parse("background=sand split=train")
    mask, against = population(study, sand, cats)
    assert (rows(mask), rows(against)) == ([0], [2])
    mask, against = population(study, cats, sand)
    assert (rows(mask), rows(against)) == ([2], [0])
    mask, against = population(study, Slice.parse("label=dog"), Slice.parse("split=train"))
    assert (rows(mask), rows(against)) == ([5], [0, 1, 2])


def test_population__of_a_study_without_evaluation_images_is_of_all(tmp_path):
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        images = small._images(True).assign(split="train")
        step.table("images", images)
    study = open_study(tmp_path / "study")
    mask, against = population(study, Slice(labels=("dog",)))
    assert rows(mask) == [0, 1, 5]
    assert_array_equal(against, ~mask)
    assert with_split(study, Slice()) == Slice()


def test_population__says_what_the_study_lacks(study):
    with pytest.raises(SliceError, match="'dogg'"):
        population(study, Slice(labels=("dogg",)))
    with pytest.raises(SliceError, match="'dogg'"):
        population(study, Slice(), Slice(labels=("dogg",)))


def test_metrics__aurocs_of_q_and_of_confidence_are_of_the_slice_alone():
    mask = np.array([True] * 4 + [False] * 2)
    columns = {"correct": np.array([1, 1, 0, np.nan, 0, 1]), "q_score": np.array([0.1, 0.9, 0.5, 0, 1, 0])}
    columns["confidence"] = np.array([0.8, 0.7, 0.6, 1, 1, 0])
    table = metrics(mask, columns).set_index("metric")
    assert (table.at["q_auroc", "value"], table.at["confidence_auroc", "value"]) == (0.5, 1.0)
    assert table.at["confidence_auroc", "n"] == 3
    del columns["q_score"]  # a study without features
    assert "q_auroc" not in metrics(mask, columns)["metric"].tolist()
