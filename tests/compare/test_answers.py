"""Two answers of one study against each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.common.dataframes import numbers
from core.compare.answers import compare_answers
from core.compare.compare import compare
from core.compare.images import GAINED, LOST
from core.errors import SettingsError, StudyError
from core.measures.slice import Slice
from core.store import Study, open_study
from core.study.progress import Progress


@pytest.fixture(scope="module")
def study(shared_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """With an answer `mine` that knows 5 images better than the probe, and 2 worse."""
    made = open_study(shutil.copytree(shared_study, tmp_path_factory.mktemp("answers") / "study"))
    probe = made.table("probe")
    told = probe["predicted"].to_numpy(object).copy()
    right = (probe["correct"].fillna(False) & made.is_val).to_numpy(bool)
    wrong = (~probe["correct"].fillna(True) & made.is_val).to_numpy(bool)
    assert wrong.sum() >= 5 and right.sum() >= 2
    label, names = made.images["label"].to_numpy(object), made.class_names
    told[np.flatnonzero(wrong)[:5]] = label[np.flatnonzero(wrong)[:5]]
    for row in np.flatnonzero(right)[:2]:
        told[row] = next(name for name in names if name != label[row])
    path = made.path.with_name("mine.csv")
    pd.DataFrame({"image_id": made.images["image_id"], "predicted": told}).to_csv(path, index=False)
    add_answer(made.path, str(path), None, {"device": "cpu"}, Progress.silent())
    return open_study(made.path)


def test_who_is_right_where(study):
    found = compare_answers(study, "probe", "mine", resamples=20)
    pair, n_val = found.pair, int(study.is_val.sum())
    assert pair is not None and (pair.n, pair.only_first, pair.only_second) == (n_val, 2, 5)
    assert len(found.changed("mine", GAINED)) == 5 and len(found.changed("mine", LOST)) == 2
    accuracy = found.value("accuracy", "mine")
    assert accuracy["difference"] == pytest.approx(3 / n_val)
    assert (accuracy["difference_low"], accuracy["difference_high"]) == (pair.low, pair.high)
    by_class = found.classes.loc[found.classes["study"] == "mine"]
    assert (by_class["difference"] * by_class["n"]).sum() == pytest.approx(3)
    assert "mean_firing" not in set(found.measures["measure"])
    bees = compare_answers(study, "probe", "mine", among=Slice.parse("label=bee"), resamples=20)
    assert bees.pair is not None and bees.pair.n == int(
        ((study.images["label"] == "bee") & study.is_val).sum()
    )


def test_images_without_a_prediction_are_left_out_of_both(study):
    """Of the accuracy, and of all that follows from it."""
    path = shutil.copytree(study.path, study.path.with_name("half"))
    told = study.images.loc[study.is_val].iloc[::2].rename(columns={"label": "predicted"})
    table = path.with_name("half.csv")
    told[["image_id", "predicted"]].to_csv(table, index=False)
    add_answer(path, str(table), None, {"device": "cpu"}, Progress.silent())
    half, n = open_study(path), int(study.is_val.sum())
    for found in (
        compare_answers(half, "probe", "half", resamples=5),
        compare([study, half.answering("half")], resamples=5),
    ):
        assert (numbers(found.measures, "n") <= len(told)).all() and found.shared.judged.sum() == len(told)
        names = found.names
        accuracy = {name: found.value("accuracy", name) for name in names}
        assert accuracy[names[1]]["value"] == 1 and accuracy[names[0]]["n"] == len(told)
        sides = found.side_counts(names[1])
        assert accuracy[names[1]]["difference"] == pytest.approx(sides[GAINED] / len(told))
        note = f"{n - len(told)} images known to be right or wrong in some studies only are left out"
        assert note in map(str, found.notes)


def test_bad_requests_are_one_line(study):
    with pytest.raises(SettingsError, match="named twice"):
        compare_answers(study, "mine", "mine")
    with pytest.raises(SettingsError, match="'knn'"):
        compare_answers(study, "mine", "knn")
    with pytest.raises(StudyError, match="none of the"):
        compare_answers(study, "probe", "mine", among=Slice.parse("q_score=8..9"))


def test_the_command_prints_and_writes_them(study, tmp_path, run):
    said = run("compare", study.path, "--answers", "probe,mine", "--bootstrap", 20, "-o", tmp_path / "two.md")
    assert (
        said.code == 0 and "only probe 2, only mine 5" in said.out and "McNemar's test: p = 0.453" in said.out
    )
    assert "Wilson" in said.out and "probe on 2 images, mine on 5 images" in (tmp_path / "two.md").read_text()
    told = json.loads(run("compare", study.path, "--answers", "probe,mine", "--bootstrap", 20, "--json").out)
    assert told["answers"]["only_second"] == 5 and told["side_counts"]["mine"]["wrong to right"] == 5
    assert told["answer"] == "probe, mine"
    for arguments in ((study.path, study.path), (study.path, "--answer", "mine")):
        assert "one study" in run("compare", *arguments, "--answers", "probe,mine").error
