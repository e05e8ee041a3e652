"""The answers of people who rate words: the paper's tables, agreement against loops, and what is refused."""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import StudyError
from core.store import Study, open_study
from core.study.writer import write_study
from reproductions import human_study
from reproductions.human_study import (
    agreement_of,
    choice_table,
    choice_tasks,
    precision_table,
    read_answers,
    related_words,
    rows,
    word_key,
)
from tests.concepts import reference_concepts as reference
from tests.tables import rows_where

WORDS = ["dog", "red", "grass", "ball", "sky", "bone"]
KEY = word_key({"w0000": ("3", WORDS), "w0001": ("5+7", WORDS)})


def answers_of(votes: dict[tuple[str, str], list[int]]) -> pd.DataFrame:
    cast = [(str(w), t, word, str(fits)) for (t, word), all in votes.items() for w, fits in enumerate(all)]
    return pd.DataFrame(cast, columns=["worker", "task", "word", "fits"])


def test_answers__become_the_papers_tables():
    yes = {"dog": [1, 1, 0], "red": [0, 0, 1], "grass": [1, 1, 1], "ball": [0] * 3, "sky": [0] * 3}
    votes = {("w0000", word): cast for word, cast in (yes | {"bone": [1, 1, 1]}).items()}
    votes |= {("w0001", word): [1, 1, 1] for word in WORDS}
    words = related_words(answers_of(votes), KEY)
    assert words.loc[words["task"] == "w0000", "related"].tolist() == [True, False, True, False, False, True]
    assert words["rank"].tolist() == [*range(1, 7), *range(1, 7)]
    precision = precision_table(words)
    assert precision["precision"].tolist() == pytest.approx([100, 75, 100 * (2 / 3 + 1) / 2, 75, 70, 75])
    # of 3 + 6 related words, 1, 1, 2, 2, 2, 3 and 1 … 6 stand among the first K
    assert precision["recall_pooled"].tolist() == pytest.approx([100 * n / 9 for n in (2, 3, 5, 6, 7, 9)])
    assert set(precision["n"]) == {2} and set(precision["n_related"]) == {9}
    assert words["votes"].tolist()[0] == [True, True, False]


def test_published_counts__give_the_papers_table():
    table = pd.DataFrame(rows(False, Namespace(answers=None)))
    assert table["precision"].tolist() == pytest.approx([94.62, 92.47, 88.89, 86.82, 85.60, 84.23], abs=0.011)
    recall = [18.72, 36.60, 52.77, 68.72, 84.68, 100.00]
    assert table["recall_pooled"].tolist() == pytest.approx(recall, abs=0.011)
    assert set(table["n"]) == {93} and set(table["n_related"]) == {470}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "w0000,submarine,1",
            "word_answers_eve.csv, line 3: task 'w0000' does not show the word 'submarine'",
        ),
        ("w0000,dog,maybe", "word_answers_eve.csv, line 3: 'fits' is 'maybe'"),
    ],
)
def test_answers__that_belong_to_no_task_are_named(row: str, message: str, tmp_path: Path):
    (tmp_path / "word_answers_eve.csv").write_text(f"worker,task,word,fits\neve,w0000,dog,1\neve,{row}\n")
    answers = read_answers(tmp_path, "word_answers", ("worker", "task", "word", "fits"))
    with pytest.raises(StudyError, match=message):
        related_words(answers, KEY)


def test_answers__no_file_and_no_column(tmp_path: Path):
    with pytest.raises(StudyError, match="word_answers"):
        read_answers(tmp_path, "word_answers", ("worker",))
    (tmp_path / "word_answers.csv").write_text("worker\na\n")
    with pytest.raises(StudyError, match="'task'"):
        read_answers(tmp_path, "word_answers", ("worker", "task"))


def test_choices__by_hand_and_one_that_is_none():
    key = pd.DataFrame(
        [("c0000", "3", "1", "ours"), ("c0000", "3", "2", "theirs")],
        columns=["task", "group", "shown", "means"],
    )
    choices = pd.DataFrame([("a", "c0000", "1"), ("b", "c0000", "1"), ("c", "c0000", "2")])
    choices.columns = ["worker", "task", "option"]
    table = choice_table(choices, key).set_index("method")
    assert table["share"].to_dict() == pytest.approx({"ours": 200 / 3, "theirs": 100 / 3})
    assert table["n_shown"].to_dict() == {"ours": 3, "theirs": 3}
    assert choice_table(choices.head(0), key)["share"].isna().all()
    with pytest.raises(StudyError, match="'c0000' .*'9'"):
        choice_table(choices.assign(option="9"), key)


def with_concepts(shared_study: Path, folder: Path) -> Study:
    """A copy of a study with words, crops and counterfactual images for the features 3 and 5_7."""
    shutil.copytree(shared_study, folder)
    ids = open_study(folder).images["image_id"].tolist()
    concepts = [(group, rank, word, True) for group in ("3", "5+7") for rank, word in enumerate(WORDS, 1)]
    crops = pd.DataFrame({"group": ["3", "5+7"], "image_id": ids[:2]})
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", pd.DataFrame(concepts, columns=["group", "rank", "word", "kept"]))
        step.table("highly_activating", crops.assign(left=0.0, top=0.0, right=9.0, bottom=9.0))
        step.table("counterfactuals", pd.DataFrame({"group": ["3"], "image_id": ids[5:6]}))
    return open_study(folder)


def test_script__reads_the_answers_to_a_study(shared_study: Path, tmp_path: Path, capsys):
    study = with_concepts(shared_study, tmp_path / "study")
    human_study.main(["--study", str(study.path), "--choices", str(tmp_path / "choices.csv")])
    tasks, key = choice_tasks(study)
    assert pd.read_csv(tmp_path / "choices.csv").shape == tasks.shape == (2, 4)
    own = rows_where(key, (key["task"] == "c0000") & (key["means"] == "FALCON"))["shown"].iloc[0]
    for worker, fits in (("ann", 1), ("bob", 0)):
        cast = [(worker, "w0000", word, fits if word == "dog" else 1) for word in WORDS]
        names = ["worker", "task", "word", "fits"]
        pd.DataFrame(cast, columns=names).to_csv(tmp_path / f"word_answers_{worker}.csv", index=False)
    (tmp_path / "choice_answers.csv").write_text(f"worker,task,option\nann,c0000,1\nann,c0000,{own}\n")
    capsys.readouterr()
    human_study.main(["--study", str(study.path), "--answers", str(tmp_path), "-o", str(tmp_path / "out")])
    table = pd.read_csv(tmp_path / "out" / "human_study.csv")
    assert table["precision"].tolist()[0] == 0 and table["precision"].tolist()[5] == pytest.approx(500 / 6)
    printed = capsys.readouterr().out
    assert "0.8333" in printed and "100.0" in printed  # pairs of workers that agree; FALCON's share


@pytest.mark.parametrize(
    ("n_yes", "n_workers", "related"),
    [
        (1, 1, True),
        (1, 2, False),
        (2, 3, True),
        (3, 4, True),
        (3, 5, False),
        (4, 6, True),
        (13, 20, True),
        (12, 20, False),
    ],
)
def test_related_words__take_65_percent_of_the_workers(n_yes, n_workers, related):
    key = pd.DataFrame({"task": ["w1"], "group": ["3"], "shown": ["dog"], "means": ["1"]})
    fits = ["1"] * n_yes + ["0"] * (n_workers - n_yes)
    workers = [f"worker {at}" for at in range(n_workers)]
    found = related_words(pd.DataFrame({"worker": workers, "task": "w1", "word": "dog", "fits": fits}), key)
    assert found["related"].tolist() == [related]


def test_related_words__a_worker_who_answers_twice_counts_once():
    key = pd.DataFrame({"task": ["w1"], "group": ["3"], "shown": ["dog"], "means": ["1"]})
    answers = pd.DataFrame({"worker": ["a", "b", "a"], "task": "w1", "word": "dog", "fits": ["1", "0", "0"]})
    found = related_words(answers, key)
    assert found["n_workers"].tolist() == [2] and found["n_yes"].tolist() == [0]


@pytest.mark.parametrize("n_workers", [2, 3, 5])
def test_agreement__matches_loop(rng, n_workers):
    votes = [[bool(v) for v in rng.random(n_workers) < 0.6] for _ in range(20)]
    found = agreement_of(votes)
    assert found["pairwise"] == pytest.approx(reference.pairwise_agreement(votes))
    assert found["kappa"] == pytest.approx(reference.fleiss_kappa(votes))


def test_agreement__of_people_who_always_agree():
    assert agreement_of([[True, True], [False, False]]) == {"pairwise": 1.0, "kappa": 1.0, "n_items": 2}
    assert np.isnan(agreement_of([[True], [False]])["pairwise"])
