from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.errors import SettingsError, StudyError
from core.research.human_study.study import (
    agreement_of,
    choice_table,
    export_tasks,
    precision_table,
    read_study_answers,
    related_words,
)
from core.storage.writer import write_study
from core.store import open_study
from tests.concepts import reference_concepts as reference
from tests.tables import rows_where

WORDS = ["dog", "red", "grass", "ball", "sky", "bone"]


@pytest.fixture(scope="module")
def study(shared_study, tmp_path_factory):
    return with_concepts(shared_study, tmp_path_factory.mktemp("people") / "study")


def with_concepts(shared_study, folder, group="3"):
    """A copy of the study with words for a group and for the features 5 and 7."""
    shutil.copytree(shared_study, folder)
    ids = open_study(folder).images["image_id"].tolist()
    concepts = [(g, r, w, True, "") for g in (group, "5_7") for r, w in enumerate(WORDS, start=1)]
    concepts.append((group, 7, "cat", False, ids[0]))
    boxes = {"left": [4.0, np.nan, 0.0], "top": [6.0, np.nan, 0.0], "right": [30.0, np.nan, 48.0],
             "bottom": [40.0, np.nan, 48.0]}  # fmt: skip
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        columns = ["group", "rank", "word", "kept", "discarded_by"]
        step.table("concepts", pd.DataFrame(concepts, columns=columns))
        step.table(
            "highly_activating", pd.DataFrame({"group": [group, group, "5_7"], "image_id": ids[:3], **boxes})
        )
        step.table("counterfactuals", pd.DataFrame({"group": [group, group], "image_id": ids[5:7]}))
    return open_study(folder)


METHODS = {"ours": {"3": ["dog"], "5_7": ["red"]}, "theirs": {"3": ["sky"], "5_7": ["bone"]}}


def test_tasks__hold_crops_and_shuffled_words(study, tmp_path):
    counts = export_tasks(study, tmp_path / "tasks", methods=METHODS, seed=1)
    assert counts == {"n_words": 2, "n_choices": 2}
    tasks = pd.read_csv(tmp_path / "tasks" / "word_tasks.csv", keep_default_na=False)
    first = tasks.iloc[0]
    assert sorted(first[f"word_{i}"] for i in range(1, 7)) == sorted(WORDS)
    assert any(tasks.iloc[row][f"word_{i + 1}"] != WORDS[i] for row in (0, 1) for i in range(6))  # shuffled
    (image,) = first["images_a"].split(";")
    assert Image.open(tmp_path / "tasks" / image).size == (26, 34)
    assert len(first["images_b"].split(";")) == 2 and tasks.iloc[1]["images_b"] == ""
    key = pd.read_csv(tmp_path / "tasks" / "key.csv", dtype="str")
    assert rows_where(key, (key["task"] == "w0000") & (key["shown"] == "grass"))["means"].tolist() == ["3"]
    assert "cat" not in (tmp_path / "tasks" / "word_tasks.csv").read_text()


@pytest.mark.parametrize("group", ["../../../outside", "/outside", "3;4", "a/b\0c"])
def test_tasks__write_nothing_where_the_name_of_a_group_points(shared_study, tmp_path, group):
    group = group.replace("/outside", f"{tmp_path}/outside") if group.startswith("/") else group
    study, folder = with_concepts(shared_study, tmp_path / "study", group), tmp_path / "made" / "tasks"
    with pytest.raises(StudyError, match="'concepts' in .* is damaged"):
        export_tasks(study, folder)
    assert [path.name for path in tmp_path.rglob("*") if path.suffix == ".jpg"] == []


def test_tasks__pictures_are_numbered_by_task(study, tmp_path):
    export_tasks(study, tmp_path)
    tasks = pd.read_csv(tmp_path / "word_tasks.csv", keep_default_na=False)
    cells = [cell for column in ("images_a", "images_b") for cell in tasks[column]]
    written = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "images").iterdir()}
    assert {name for cell in cells for name in cell.split(";")} - {""} == written
    assert all(re.fullmatch(r"images/\d+_[ab]\d+\.jpg", name) for name in written)


def test_tasks__are_seeded_and_can_be_fewer(study, tmp_path):
    for name in ("a", "b"):
        export_tasks(study, tmp_path / name, methods=METHODS, seed=4)
    assert (tmp_path / "a" / "word_tasks.csv").read_bytes() == (
        tmp_path / "b" / "word_tasks.csv"
    ).read_bytes()
    assert export_tasks(study, tmp_path / "c", n_groups=1) == {"n_words": 1, "n_choices": 0}


def test_tasks__refuse_a_full_folder_and_a_study_without_words(study, shared_study, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(SettingsError, match="is not empty"):
        export_tasks(study, tmp_path)
    with pytest.raises(StudyError, match="has no concepts. Run"):
        export_tasks(open_study(shared_study), tmp_path / "tasks")


def answer(folder, votes, choices=()):
    rows = [(w, t, word, fits) for (t, word), cast in votes.items() for w, fits in enumerate(cast)]
    pd.DataFrame(rows, columns=["worker", "task", "word", "fits"]).to_csv(
        folder / "word_answers.csv", index=False
    )
    pd.DataFrame(choices, columns=["worker", "task", "option"]).to_csv(
        folder / "choice_answers.csv", index=False
    )


def test_answers__become_the_papers_tables(study, tmp_path):
    export_tasks(study, tmp_path / "t", methods=METHODS, seed=1)
    yes = {
        "dog": [1, 1, 0],
        "red": [0, 0, 1],
        "grass": [1, 1, 1],
        "ball": [0] * 3,
        "sky": [0] * 3,
        "bone": [1, 1, 1],
    }
    votes = {("w0000", word): cast for word, cast in yes.items()}
    votes |= {("w0001", word): [1, 1, 1] for word in WORDS}
    key = pd.read_csv(tmp_path / "t" / "key.csv", dtype="str")
    ours = rows_where(key, (key["task"] == "c0000") & (key["means"] == "ours"))["shown"].iloc[0]
    other = {"1": "2", "2": "1"}[ours]
    answer(tmp_path / "t", votes, [("a", "c0000", ours), ("b", "c0000", ours), ("c", "c0000", other)])
    found = read_study_answers(tmp_path / "t")
    words = found["words"].set_index(["task", "word"])
    assert [bool(words.at[("w0000", w), "related"]) for w in WORDS] == [True, False, True, False, False, True]
    precision = found["precision"].set_index("k")
    assert precision["precision"].tolist() == pytest.approx([100, 75, 100 * (2 / 3 + 1) / 2, 75, 70, 75])
    # of 3 + 6 related words, 1, 1, 2, 2, 2, 3 and 1 … 6 stand among the first K
    assert precision["recall_pooled"].tolist() == pytest.approx([100 * n / 9 for n in (2, 3, 5, 6, 7, 9)])
    assert set(precision["n"]) == {2} and set(precision["n_related"]) == {9}
    choices = found["choices"].set_index("method")
    assert choices["share"].to_dict() == pytest.approx({"ours": 200 / 3, "theirs": 100 / 3})
    everything = [[bool(v) for v in cast] for cast in votes.values()]
    assert found["agreement"]["words"]["pairwise"] == pytest.approx(reference.pairwise_agreement(everything))
    assert found["agreement"]["words"]["kappa"] == pytest.approx(reference.fleiss_kappa(everything))


def test_answers__that_belong_to_no_task_are_named(study, tmp_path):
    export_tasks(study, tmp_path / "t", methods=METHODS)
    for wrong, said in (
        ({("w0000", "submarine"): [1]}, "line 2: task 'w0000' does not show the word 'submarine'"),
        ({("w0000", "dog"): ["maybe"]}, "line 2: 'fits' is 'maybe'; expected 1 or 0"),
    ):
        answer(tmp_path / "t", wrong)
        with pytest.raises(StudyError, match=said):
            read_study_answers(tmp_path / "t")
    answer(tmp_path / "t", {}, [("a", "c0000", "9")])
    with pytest.raises(StudyError, match="line 2: task 'c0000' has no option '9'"):
        read_study_answers(tmp_path / "t")
    with pytest.raises(StudyError, match="cannot read"):
        read_study_answers(tmp_path / "nowhere")


def test_precision_table__is_the_papers():
    """[K] Table 4.1: 93 features of six words; the related words by rank follow from its percentages."""
    related = np.diff([0, 88, 172, 248, 323, 398, 470])
    rows = [
        {"task": f"w{task:04d}", "rank": rank, "word": f"word{rank}", "related": task < related[rank - 1]}
        for task in range(93)
        for rank in range(1, 7)
    ]
    table = precision_table(pd.DataFrame(rows))
    assert table["precision"].tolist() == pytest.approx([94.62, 92.47, 88.89, 86.82, 85.60, 84.23], abs=0.011)
    recall = [18.72, 36.60, 52.77, 68.72, 84.68, 100.00]
    assert table["recall_pooled"].tolist() == pytest.approx(recall, abs=0.011)
    assert set(table["n"]) == {93} and set(table["n_related"]) == {470}


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


def test_answers__none_yet(study, tmp_path):
    export_tasks(study, tmp_path / "t", methods=METHODS)
    found = read_study_answers(tmp_path / "t")
    assert found["words"].empty and found["precision"]["n"].tolist() == [0] * 6
    assert found["choices"]["share"].isna().all()
    assert np.isnan(found["agreement"]["words"]["kappa"])


def test_related_words__a_worker_who_answers_twice_counts_once():
    key = pd.DataFrame({"task": ["w1"], "group": ["3"], "shown": ["dog"], "means": ["1"]})
    answers = pd.DataFrame({"worker": ["a", "b", "a"], "task": "w1", "word": "dog", "fits": ["1", "0", "0"]})
    found = related_words(answers, key)
    assert found["n_workers"].tolist() == [2] and found["n_yes"].tolist() == [0]
    assert (
        not precision_table(found).empty and choice_table(pd.DataFrame({"task": [], "option": []}), key).empty
    )


@pytest.mark.parametrize("n_workers", [2, 3, 5])
def test_agreement__matches_loop(rng, n_workers):
    votes = [[bool(v) for v in rng.random(n_workers) < 0.6] for _ in range(20)]
    found = agreement_of(votes)
    assert found["pairwise"] == pytest.approx(reference.pairwise_agreement(votes))
    assert found["kappa"] == pytest.approx(reference.fleiss_kappa(votes))


def test_agreement__of_people_who_always_agree():
    assert agreement_of([[True, True], [False, False]]) == {"pairwise": 1.0, "kappa": 1.0, "n_items": 2}
    assert np.isnan(agreement_of([[True], [False]])["pairwise"])


def test_command__exports_tasks_and_prints_the_tables(study, run, tmp_path):
    out = tmp_path / "tasks"
    said = run("human-study", "export", study.path, "-o", out, "--seed", 1)
    assert (
        said.code == 0
        and "2 rating tasks and 2 choice tasks" in said.out
        and str(out / "index.html") in said.out
    )
    page = (out / "index.html").read_text(encoding="utf-8")
    assert '"task": "w0000"' in page and "data:image/jpeg;base64," in page
    assert "FALCON" not in page and "random words" not in page  # what stands behind an option is in the key
    key = pd.read_csv(out / "key.csv", dtype="str")
    choices = rows_where(key, key["task"] == "c0000")
    assert set(choices["means"]) == {"FALCON", "random words"}
    ours = rows_where(choices, choices["means"] == "FALCON")["shown"].iloc[0]
    for worker, fits in (("ann", 1), ("bob", 0)):  # each in a file of their own, as the page saves them
        rows = [(worker, "w0000", word, fits if word == "dog" else 1) for word in WORDS]
        names = ["worker", "task", "word", "fits"]
        pd.DataFrame(rows, columns=names).to_csv(out / f"word_answers_{worker}.csv", index=False)
    pd.DataFrame([("ann", "c0000", ours)], columns=["worker", "task", "option"]).to_csv(
        out / "choice_answers_ann.csv", index=False
    )
    told = run("human-study", "read", out)
    assert "FALCON         100.00 %  (1 of 1)" in told.out
    assert "words: 83.3 % of pairs agree" in told.out
    report = json.loads(run("human-study", "read", out, "--json").out)
    assert report["precision"][5]["precision"] == pytest.approx(
        500 / 6
    )  # of "dog", half of the workers is too few
    assert "Table 4.1: words that at least 65 % of the workers call related" in told.out
    assert "pooled recall" in told.out
    assert "over the words of 1 task, 5 of them related" in told.out


def test_command__errors_are_one_line_and_name_the_file(study, shared_study, run, tmp_path):
    assert "Give -o FOLDER" in run("human-study", "export", study.path).error
    assert "has no concepts. Run" in run("human-study", "export", shared_study, "-o", tmp_path / "x").error
    assert not (tmp_path / "x").exists()
    assert "cannot read" in run("human-study", "read", tmp_path).error
    run("human-study", "export", study.path, "-o", tmp_path / "t")
    (tmp_path / "t" / "word_answers_eve.csv").write_text(
        "worker,task,word,fits\neve,w0000,dog,1\neve,w9,dog,1\n"
    )
    said = run("human-study", "read", tmp_path / "t").error
    assert "word_answers_eve.csv, line 3: task 'w9' does not show the word 'dog'" in said


def test_choices__a_worker_who_chooses_twice_counts_once(study, tmp_path):
    export_tasks(study, tmp_path / "t", methods=METHODS)
    answer(tmp_path / "t", {}, [("a", "c0000", "1"), ("a", "c0000", "2")])
    found = read_study_answers(tmp_path / "t")
    assert found["choices"]["n_chosen"].sum() == 1 and found["agreement"]["choices"]["n_items"] == 0


def test_page__texts_cannot_end_the_script(tmp_path):
    from core.research.human_study.page import write_page

    word = "</script><script>alert(1)</script>"
    write_page(tmp_path / "index.html", [{"task": "w0", "images_a": "", "word_1": word}], [])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    held = page.partition('id="tasks">')[2].partition("</script>")[0]
    assert json.loads(held)["tasks"][0]["options"] == [{"value": word, "text": word}]
