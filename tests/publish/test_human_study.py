"""The tasks of a study in which people rate words: crops, shuffled words, and what a row does not tell."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from core.errors import StudyError
from core.publish.export_files import HUMAN_STUDY_COLUMNS, WORDS, export_table, human_study_tasks, rated_words
from core.store import Study, open_study
from core.study.writer import write_study

NAMES = ["dog", "red", "grass", "ball", "sky", "bone"]


@pytest.fixture(scope="module")
def study(shared_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with words for the feature 3 and the group 5+7, and a word of 3 that was discarded."""
    folder = tmp_path_factory.mktemp("people") / "study"
    shutil.copytree(shared_study, folder)
    ids = open_study(folder).images["image_id"].tolist()
    concepts = [(group, rank, word, True, "") for group in ("5+7", "3") for rank, word in enumerate(NAMES, 1)]
    concepts.append(("3", 7, "cat", False, ids[0]))
    boxes = {"left": [4.0, np.nan, 0.0], "top": [6.0, np.nan, 0.0], "right": [30.0, np.nan, 48.0]}
    boxes["bottom"] = [40.0, np.nan, 48.0]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        columns = ["group", "rank", "word", "kept", "discarded_by"]
        step.table("concepts", pd.DataFrame(concepts, columns=columns))
        crops = pd.DataFrame({"group": ["3", "3", "5+7"], "image_id": [*ids[:2], "a;b#c%.png"], **boxes})
        step.table("highly_activating", crops)
        step.table("counterfactuals", pd.DataFrame({"group": ["3", "3"], "image_id": ids[5:7]}))
    return open_study(folder)


def test_tasks__hold_crops_counterfactual_images_and_shuffled_words(study: Study) -> None:
    tasks = human_study_tasks(study)
    ids = study.images["image_id"].tolist()
    assert tuple(tasks.columns) == HUMAN_STUDY_COLUMNS and tasks["task"].tolist() == ["w0000", "w0001"]
    assert tasks["images_a"].tolist() == [f"{ids[0]}#xywh=4,6,26,34", "a%3Bb%23c%25.png#xywh=0,0,48,48"]
    assert tasks["images_b"].tolist() == [f"{ids[5]};{ids[6]}", ""]
    assert all(sorted(row) == sorted(NAMES) for row in tasks[list(WORDS)].to_numpy().tolist())
    assert any(row != NAMES for row in tasks[list(WORDS)].to_numpy().tolist())
    assert rated_words(study) == {"w0000": ("3", NAMES), "w0001": ("5+7", NAMES)}


def test_tasks__of_fewer_words_than_columns_have_empty_texts(study: Study, tmp_path: Path) -> None:
    folder = shutil.copytree(study.path, tmp_path / "few")
    concepts = study.table("concepts")
    tables = {name: study.table(name) for name in ("highly_activating", "counterfactuals")}
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", concepts.loc[concepts["rank"] <= 2])
        for name, frame in tables.items():
            step.table(name, frame)
    tasks = human_study_tasks(open_study(folder))
    assert [sorted(row) for row in tasks[list(WORDS)].to_numpy().tolist()] == [[""] * 4 + ["dog", "red"]] * 2


def test_tasks__of_a_cell_come_back(study: Study) -> None:
    [cell] = re.split(";", human_study_tasks(study)["images_a"].tolist()[1])
    image_id, _, box = cell.partition("#xywh=")
    assert (unquote(image_id), box) == ("a;b#c%.png", "0,0,48,48")


def test_tasks__are_the_same_each_time_and_tell_neither_ranks_nor_discarded_words(
    study: Study, tmp_path: Path
) -> None:
    assert export_table(study, "human-study", tmp_path / "a.csv") == 2
    export_table(study, "human-study", tmp_path / "b.csv")
    text = (tmp_path / "a.csv").read_text()
    assert text == (tmp_path / "b.csv").read_text() and "cat" not in text and "5+7" not in text


def test_tasks__of_features_with_fewer_words_leave_cells_empty(study: Study, tmp_path: Path) -> None:
    folder = shutil.copytree(study.path, tmp_path / "study")
    concepts = study.table("concepts")
    few = concepts.loc[concepts["rank"] <= 2]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", few)
        for name in ("highly_activating", "counterfactuals"):
            step.table(name, study.table(name))
    tasks = human_study_tasks(open_study(folder))
    assert sorted(tasks[["word_1", "word_2"]].to_numpy().ravel()) == ["dog", "dog", "red", "red"]
    assert (tasks[list(WORDS[2:])] == "").to_numpy().all()


def test_tasks__of_a_study_without_words(shared_study: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="concepts"):
        export_table(open_study(shared_study), "human-study", tmp_path / "a.csv")
