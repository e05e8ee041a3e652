"""Predictions of a file: names of WordNet ids, numbers of outputs, and headers that lie."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.answers.outcome import Request, answer_facts, outcome_table
from core.answers.predictions import file_answer
from core.common.csv_text import write_csv
from core.errors import SettingsError
from core.study.progress import Progress
from tests.sentences import as_record

LABELS = ["n01440764", "n02012849", "n02099601", "n03126707"]


@pytest.fixture
def study() -> Any:
    images = pd.DataFrame({"image_id": [f"{place}.png" for place in range(4)], "label": LABELS})
    return SimpleNamespace(images=images, class_names=LABELS, n_images=4)


def answer_of(study: Any, path: Path, frame: pd.DataFrame, **request: Any) -> tuple[Any, pd.DataFrame]:
    frame.assign(image_id=study.images["image_id"]).to_csv(path, index=False)
    answer = file_answer(study, Request(file=str(path), **request), Progress.silent())
    return answer, outcome_table(study, answer)


def test_predicted_names_of_wordnet_are_those_of_the_folders(study, tmp_path):
    names = pd.DataFrame({"predicted": ["Tinca tinca", "tench", "Golden_retriever", "crane"]})
    answer, table = answer_of(study, tmp_path / "told.csv", names.iloc[[0, 0, 2, 3]].reset_index(drop=True))
    assert table["predicted"].tolist() == ["n01440764", "n01440764", "n02099601", "crane"]
    assert table["correct"].isna().tolist() == [False, True, False, True]  # which crane is not known
    assert table["correct"].fillna(False).tolist() == [True, False, True, False]
    by, shared = map(as_record, answer.notes)
    assert (by.kind, by.why) == ("matched_by", "by WordNet name")
    assert (shared.kind, shared.names) == ("shared", ("crane (n02012849)", "crane (n03126707)"))


def test_spaces_beside_commas_are_no_letters(study, tmp_path):
    told = "".join(f"{place}.png , {label} , 0.5\n" for place, label in enumerate(LABELS))
    (tmp_path / "told.csv").write_text(f"image_id,predicted,confidence\n{told}")
    answer = file_answer(study, Request(file=str(tmp_path / "told.csv")), Progress.silent())
    assert outcome_table(study, answer)["correct"].tolist() == [True] * 4 and not answer.notes


def test_numbers_of_outputs_are_read_with_a_file_of_their_names(study, tmp_path):
    (tmp_path / "index.json").write_text(
        '{"0": ["n03126707", "crane"], "1": ["n01440764", "tench"], "2": ["n00000001", "x"]}'
    )
    request = {"head_classes": str(tmp_path / "index.json")}
    told = pd.DataFrame({"predicted": [1, 0, 2, 0]})
    _, table = answer_of(study, tmp_path / "told.csv", told, **request)
    assert table["predicted"].tolist() == ["n01440764", "n03126707", "n00000001", "n03126707"]
    assert table["correct"].isna().tolist() == [False, True, True, False] and table["correct"].sum() == 2
    scores = pd.DataFrame(np.eye(3)[[1, 0, 2, 0]], columns=["0", "1", "2"])
    _, scored = answer_of(study, tmp_path / "scores.csv", scores, **request)
    assert scored["predicted"].tolist() == table["predicted"].tolist()
    with pytest.raises(SettingsError, match=r"predicts '3'; --head-classes .* by number, 0 to 2"):
        answer_of(study, tmp_path / "told.csv", told.assign(predicted=3), **request)
    with pytest.raises(SettingsError, match=r"has the columns 'tench', '1', '2'; --head-classes"):
        answer_of(study, tmp_path / "scores.csv", scores.rename(columns={"0": "tench"}), **request)


def test_scores__columns_that_are_no_labels_are_no_classes(study, tmp_path):
    logits = pd.DataFrame(np.eye(4, dtype=float), columns=LABELS)
    beside = {
        "loss": [9.0] * 4,
        "entropy": [5.0] * 4,
        "true_index": [3, 2, 1, 0],
        "file": list("abcd"),
        "odd": 7.5,
    }
    answer, table = answer_of(study, tmp_path / "told.csv", pd.DataFrame(beside).join(logits))
    assert table["correct"].tolist() == [True] * 4 and answer.facts["n_classes"] == 4
    left = next(one for one in map(as_record, answer.notes) if one.kind == "no_classes")
    assert left.names == tuple(beside)
    numbered = logits.set_axis(["0", "1", "2", "3"], axis=1).assign(loss=9.0)
    study = SimpleNamespace(images=study.images, class_names=["0", "1", "2", "3"], n_images=4)
    answer, table = answer_of(study, tmp_path / "told.csv", numbered.loc[:, ["loss", "0", "1", "2", "3"]])
    assert table["predicted"].tolist() == ["0", "1", "2", "3"]


def test_scores__further_classes_of_a_row_that_adds_up_to_1_stay(study, tmp_path):
    shares = np.full((4, 5), 0.1)
    shares[range(4), [0, 1, 2, 4]] = 0.6
    answer, table = answer_of(study, tmp_path / "told.csv", pd.DataFrame(shares, columns=[*LABELS, "other"]))
    assert table["predicted"].tolist() == [*LABELS[:3], "other"] and answer.facts["n_classes"] == 5
    assert not [one for one in map(as_record, answer.notes) if one.kind == "no_classes"]


@pytest.mark.parametrize(
    ("labels", "predicted", "expected"),
    [(2, "01", False), (2, "10", True), (1, "00000001", False), (1, "23232323", True)],
    ids=["all of two right", "none of two right", "most of one class right", "none of one class right"],
)
def test_at_chance__is_not_said_of_few_images_that_are_all_right_nor_of_one_class(
    tmp_path, labels, predicted, expected
):
    names = [LABELS[place % labels] for place in range(len(predicted))]
    images = pd.DataFrame({"image_id": [f"{place}.png" for place in range(len(names))], "label": names})
    study: Any = SimpleNamespace(images=images, class_names=LABELS[:labels], n_images=len(names), groups=None)
    scores = pd.DataFrame(np.eye(4)[[int(one) for one in predicted]], columns=LABELS)
    answer, table = answer_of(study, tmp_path / "scores.csv", scores)
    assert answer_facts(study, table, answer, "file", np.ones(len(names), bool))["at_chance"] == expected


def test_restricted_scores_predict_only_labels(study, tmp_path):
    scores = pd.DataFrame([[0.2, 0.1, 0.7]] * 4, columns=["n01440764", "n02012849", "x"])
    _, free = answer_of(study, tmp_path / "scores.csv", scores)
    _, restricted = answer_of(study, tmp_path / "scores.csv", scores, restrict=True)
    assert set(free["predicted"]) == {"x"} and set(restricted["predicted"]) == {"n01440764"}
    assert np.allclose(restricted["confidence"], 2 / 3)
    with pytest.raises(SettingsError, match=r"--restrict needs scores; '.*told.csv' has one class an image"):
        answer_of(study, tmp_path / "told.csv", pd.DataFrame({"predicted": LABELS}), restrict=True)


@pytest.mark.parametrize("first", [False, True])
def test_an_unquoted_comma_is_named_with_its_line_and_moves_nothing(study, tmp_path, first):
    rows = ["a,tench", "b,tench, Tinca tinca", "c,crane"]
    text = "\n".join(["image_id,predicted", *(rows[1:] if first else rows)])
    (tmp_path / "told.csv").write_text(text)
    line = 2 if first else 3
    with pytest.raises(
        SettingsError, match=rf"'.*told.csv': line {line} has more fields than the header; put"
    ):
        file_answer(study, Request(file=str(tmp_path / "told.csv")), Progress.silent())


@pytest.mark.parametrize("shape", [(10**30, 4), (10**12, 10**6)], ids=str)
def test_logits_with_a_header_that_lies_are_one_clear_line(study, tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "logits.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + header.encode())
    with pytest.raises(SettingsError, match="cannot read the logits '.*logits.npy': "):
        file_answer(study, Request(file=str(tmp_path / "logits.npy")), Progress.silent())


def test_scores_and_logits_of_a_file_are_one_answer(study, tmp_path):
    _, table = answer_of(study, tmp_path / "scores.csv", pd.DataFrame(np.eye(4), columns=LABELS))
    np.save(tmp_path / "logits.npy", np.eye(4, dtype=np.float32))
    held = file_answer(study, Request(file=str(tmp_path / "logits.npy")), Progress.silent())
    assert table["predicted"].tolist() == outcome_table(study, held)["predicted"].tolist() == LABELS


def test_one_predicted_name_agrees_and_another_nearly(tmp_path):
    labels = ["cat", "dog", "hot_dog"]
    images = pd.DataFrame({"image_id": ["a", "b", "c", "d"], "label": [*labels, "cat"]})
    study: Any = SimpleNamespace(images=images, class_names=labels, n_images=4)
    predicted = pd.DataFrame({"predicted": ["cat", "Dog", "Hot Dog", "wolf"]})
    answer, table = answer_of(study, tmp_path / "told.csv", predicted)
    assert table["predicted"].tolist() == [*labels, "wolf"] and table["correct"].tolist() == [1, 1, 1, 0]
    (left,) = [note for note in answer.notes if as_record(note).kind == "no_label"]
    assert (as_record(left).n, as_record(left).names) == (1, ("wolf",))


def test_our_own_exported_csv_is_read_back(tmp_path):
    labels = ["+plus", "=equal"]
    images = pd.DataFrame({"image_id": ["=a", "-b.png"], "label": labels})
    study: Any = SimpleNamespace(images=images, class_names=labels, n_images=2)
    write_csv(pd.DataFrame({"image_id": images["image_id"], "predicted": labels}), tmp_path / "mine.csv")
    answer = file_answer(study, Request(file=str(tmp_path / "mine.csv")), Progress.silent())
    assert outcome_table(study, answer)["correct"].tolist() == [1, 1]
    scores = pd.DataFrame({"image_id": images["image_id"], "+plus": [0.9, 0.2], "=equal": [0.1, 0.8]})
    write_csv(scores, tmp_path / "scores.csv")
    answer = file_answer(study, Request(file=str(tmp_path / "scores.csv")), Progress.silent())
    assert outcome_table(study, answer)["correct"].tolist() == [1, 1]
