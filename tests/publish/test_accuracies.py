"""Every accuracy of a study in one place: whose, on which images, from which command."""

from __future__ import annotations

import numpy as np
import pytest

from core.measures.corrected_accuracy import corrected_accuracy
from core.publish.accuracies import accuracies, accuracies_line, table_of
from core.store import Study, open_study
from core.study import label_decisions
from tests.sentences import as_record


@pytest.fixture
def study(study_path) -> Study:
    return open_study(study_path(n_train=60, n_val=24, n_features=12, n_classes=3, pictures=False))


def test_accuracies__of_one_probe_are_its_outcomes(study):
    row, *others = accuracies(study)
    judged = study.column("probe", "correct").to_numpy(float, na_value=np.nan)[study.is_val]
    assert (row.n, row.value, row.command, row.is_shown) == (24, judged.mean(), "probe", True)
    assert row.low < row.value < row.high and row.images.n == row.n
    assert not any(one.is_shown for one in others)
    assert accuracies_line([row]) == ""  # nothing to tell apart


def test_accuracies__after_corrections_and_in_a_slice(study):
    correct = study.column("probe", "correct").to_numpy(float, na_value=np.nan)
    wrong = int(np.flatnonzero(study.is_val & (correct == 0))[0])
    better = str(study.column("probe", "predicted").iat[wrong])
    label_decisions.decide_label(study, str(study.column("images", "image_id").iat[wrong]), better)
    first, corrected, *others = accuracies(study)
    both = corrected_accuracy(study, study.is_val)
    assert (corrected.n, corrected.value) == (both.n_corrected, both.accuracy_corrected)
    assert corrected.value > first.value and not corrected.is_shown and corrected.images.kind == "corrected"
    line = as_record(accuracies_line([first, corrected]))
    assert [as_record(part).kind for part in line.parts] == ["short", "corrected"]
    in_slice = accuracies(study.where(f"label={study.class_names[0]}"))  # of whole splits all the same
    assert [one.value for one in in_slice[:2]] == [first.value, corrected.value]
    assert len(in_slice) == 2 + len(others)


def test_accuracies__name_the_images_and_the_command_of_each_answer(study_path, run):
    path = study_path(n_train=60, n_val=24, n_features=12, n_classes=3, pictures=False)
    assert run("answers", path, "--add", "knn", "--device", "cpu").code == 0
    assert run("crossfit", path, "--device", "cpu").code == 0
    rows = accuracies(open_study(path).answering())
    assert [row.command for row in rows] == ["probe", "answers --add knn", "crossfit"]
    assert [row.n for row in rows] == [24, 24, 84] and [row.is_shown for row in rows] == [True, False, False]
    knn_first = accuracies(open_study(path).answering("knn"))
    assert [row.command for row in knn_first] == ["answers --add knn", "probe", "crossfit"]
    assert knn_first[0].is_shown
    heads, cells = table_of(rows)
    assert len(cells) == 3 and {len(one) for one in cells} == {len(heads)}
