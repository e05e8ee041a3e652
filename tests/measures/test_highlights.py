"""What to look at first, against counting by hand over the tables of a study."""

from __future__ import annotations

import numpy as np
import pytest

from core.measures.highlights import background_features, class_accuracy, worst_slice
from core.measures.intervals import wilson
from core.measures.slice import Slice
from core.store import open_study
from core.study.writer import StudyWriter
from tests.synthetic import make_seen_study


@pytest.fixture
def judged_rows(shared_study):
    """(study, rows of (label, predicted, correct) of the evaluation images by row)."""
    study = open_study(shared_study)
    probe = study.table("probe")
    rows = {
        row: (study.images["label"].iat[row], probe["predicted"].iat[row], bool(probe["correct"].iat[row]))
        for row in np.flatnonzero(study.is_val)
    }
    return study, rows


def test_class_accuracy__is_that_of_the_evaluation_images(judged_rows):
    study, rows = judged_rows
    found = class_accuracy(study)
    by_class: dict[str, list[bool]] = {}
    for label, _, correct in rows.values():
        by_class.setdefault(label, []).append(correct)
    assert found is not None and found.n == len(rows)
    assert found.accuracy == pytest.approx(sum(map(sum, by_class.values())) / len(rows))
    assert found.guess == pytest.approx(max(map(len, by_class.values())) / len(rows))
    assert (found.low, found.high) == pytest.approx(
        [float(end) for end in wilson(sum(map(sum, by_class.values())), len(rows))]
    )
    assert found.beats_guessing == (found.low > found.guess)
    assert len(by_class[found.common]) == max(map(len, by_class.values()))
    rates = {label: sum(some) / len(some) for label, some in by_class.items()}
    assert rates[found.worst] == min(rates.values()) == pytest.approx(found.worst_accuracy)


@pytest.fixture
def with_a_bad_class(study_path):
    """A study of whose largest class most evaluation images are misclassified."""
    folder = study_path(n_train=40, n_val=200)
    study = open_study(folder)
    largest = study.images.loc[study.is_val, "label"].mode().iat[0]
    probe = study.table("probe")
    mine = (study.images["label"] == largest).to_numpy(bool)
    probe["correct"] = ~mine | (np.arange(len(probe)) % 5 == 0)
    with StudyWriter(folder).step("probe", study.settings("probe")) as step:
        step.table("probe", probe)
    return open_study(folder), largest


@pytest.mark.slow
def test_worst_slice__holds_more_errors_than_the_rest(with_a_bad_class):
    study, label = with_a_bad_class
    found = worst_slice(study)
    assert found is not None and found.label == label
    mask = Slice.parse(found.where).mask(study) & study.is_val
    wrong = ~study.table("probe")["correct"].to_numpy(bool)
    assert (np.count_nonzero(mask), np.count_nonzero(mask & wrong)) == (found.n, found.errors)
    assert found.rest == pytest.approx(wrong[study.is_val & ~mask].mean())
    assert found.errors / found.n > found.rest
    assert found.rows.tolist() == np.flatnonzero(mask & wrong).tolist()


@pytest.mark.slow
def test_background_features__the_clearest_first(tmp_path):
    folder = make_seen_study(tmp_path / "seen")
    assert background_features(open_study(folder)) == []  # in that world all heat lies on the object
    table = open_study(folder).table("overlap_by_feature")
    chosen = table["feature"].unique()[:3].tolist()
    mine = table["feature"].isin(chosen)
    table.loc[mine, "verdict"] = "spurious"
    wanted = table[mine & (table["mask"] == "spurious")]
    expected = [
        int(feature)
        for _, feature in sorted(
            (-lift, number) for lift, number in zip(wanted["lift"], wanted["feature"], strict=True)
        )
    ]
    with StudyWriter(folder).step("overlap", open_study(folder).settings("overlap")) as step:
        step.table("overlap_by_feature", table)
    assert background_features(open_study(folder)) == expected and expected


def test_nothing_judged__nothing_to_look_at(study_path):
    study = open_study(study_path(labels=False))
    assert class_accuracy(study) is None and worst_slice(study) is None
    assert background_features(study) == []
