"""Leaderboards: the same units and folds for all, numbers against twins, and what is missing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from core.answers.knn import TEMPERATURE, K
from core.compare.leaderboard import (
    PROMISED,
    Leaderboard,
    disagreements,
    encoder_to_take,
    leaderboard,
    leaderboard_cells,
    leaderboard_finding,
    leaderboard_text,
)
from core.compare.shared_folds import shared_folds
from core.errors import StudyError
from core.pipeline.leaderboard import answer_for_leaderboard
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests.command_line import Command, runner
from tests.compare.boards import board_of, classes_of, embedded, planted

N = 120


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    """Three encoders of 120 images, of which two are planted alike, in an order that is not theirs."""
    folder, rng, labels = tmp_path_factory.mktemp("board"), np.random.default_rng(3), classes_of(N)
    strengths = {"weak": 0.4, "good": 2.2, "also": 2.2}
    studies = [embedded(folder / name, planted(rng, labels, one), labels) for name, one in strengths.items()]
    return board_of(studies, resamples=300)


def test_frame__has_the_promised_columns_best_first(board: Leaderboard) -> None:
    frame = board.frame
    assert tuple(frame.columns[: len(PROMISED)]) == PROMISED
    assert frame["study"].iloc[-1] == "weak" and frame["accuracy"].is_monotonic_decreasing
    assert frame["group"].tolist() == [1, 1, 2] and frame["letters"].tolist() == ["a", "a", "b"]
    assert frame["n"].eq(N).all() and frame["n_wrong"].tolist() == (~board.correct).sum(1).tolist()
    assert frame[["milliseconds", "parameters"]].isna().to_numpy().all()
    level, *better = leaderboard_finding(board).parts
    assert level.kind == "level" and [one.what for one in better] == frame["study"].tolist()[:2]
    assert {one.names for one in better} == {("weak",)}
    assert len(leaderboard_cells(board)) == 4


def test_encoder_to_take__is_the_fastest_of_those_level_with_the_first(board: Leaderboard) -> None:
    first, level = board.frame["study"].tolist()[:2]
    assert (encoder_to_take(board).kind, encoder_to_take(board).what) == ("take", first)  # times are unknown
    timed = replace(board, frame=board.frame.assign(milliseconds=[9.0, 4.0, 1.0]))
    take = encoder_to_take(timed)
    assert (take.kind, take.what, take.n, take.value) == ("take_fastest", level, 2, 4.0)
    alone = replace(timed, frame=timed.frame.assign(group=[1, 2, 2]))
    assert (encoder_to_take(alone).kind, encoder_to_take(alone).what) == ("take", first)


def test_numbers__against_twins(board: Leaderboard) -> None:
    labels = classes_of(N)
    for at, (study, row) in enumerate(zip(board.studies, board.frame.to_dict("records"), strict=True)):
        table = study.table("leaderboard")
        right = (table["predicted"] == labels).to_numpy()
        assert_array_equal(right, board.correct[at])
        assert_allclose(row["accuracy"], right.mean())
        assert_allclose(row["confidence_auroc"], roc_auc_score(right, table["confidence"]))
        by_class = {name: right[labels == name].mean() for name in np.unique(labels)}
        assert_allclose(row["worst_class"], min(by_class.values()))
        assert by_class[row["worst_class_name"]] == min(by_class.values())
        assert_allclose(row["knn"], np.mean(np.array(slow_knn(study, table["unit"].to_numpy())) == labels))


def slow_knn(study: Study, units: np.ndarray) -> list[str]:
    """The class with the most votes exp(cosine / T) among the K nearest images of other units."""
    raw = study.array("representations")[:].astype(float)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    labels, said = classes_of(len(raw)), []
    for at in range(len(raw)):
        others = [one for one in range(len(raw)) if units[one] != units[at]]
        nearest = sorted(others, key=lambda one: -unit[at] @ unit[one])[:K]
        votes: dict[str, float] = {}
        for one in nearest:
            votes[labels[one]] = votes.get(labels[one], 0.0) + np.exp(unit[at] @ unit[one] / TEMPERATURE)
        said.append(max(votes, key=lambda name: votes[name]))
    return said


def test_disagreements__are_those_most_divided_first(board: Leaderboard) -> None:
    table = disagreements(board)
    n_right = board.correct.sum(0)
    assert sorted(table["row"]) == np.flatnonzero((n_right > 0) & (n_right < 3)).tolist()
    assert table["divided"].is_monotonic_decreasing and table["n_right"].isin([1, 2]).all()
    assert_array_equal(n_right[table["place"]], table["n_right"])


def test_units_of_all_studies_are_joined__and_folds_are_the_same(tmp_path: Path, rng, monkeypatch) -> None:
    """One study says that 0 and 1 are of one patient, the other that 1 and 2 are: all three are one unit."""
    labels, alone = classes_of(40), np.arange(40, dtype=np.int32)
    raw = planted(rng, labels, 2.0)
    units_of = {"a": np.where(alone == 1, 0, alone), "b": np.where(alone == 2, 1, alone)}
    monkeypatch.setattr("core.compare.shared_folds.unit_codes", lambda study: units_of[study.name])
    studies = [embedded(tmp_path / name, raw, labels) for name in units_of]
    board = board_of(studies, resamples=100)
    units, folds = board.folds.units, board.folds.folds
    assert units[0] == units[1] == units[2] and len(np.unique(units)) == 38
    assert len(set(folds[:3])) == 1
    for study in board.studies:
        table = study.table("leaderboard")
        assert_array_equal(table["unit"], units)
        assert_array_equal(table["fold"], folds)


def test_only_shared_images_with_one_label__and_it_is_said(tmp_path: Path, rng) -> None:
    labels = classes_of(60)
    other = labels.copy()
    other[[1, 5]] = "class 0"
    one = embedded(tmp_path / "one", planted(rng, labels, 2), labels)
    two = embedded(tmp_path / "two", planted(rng, other, 2), other, keep=slice(0, 50))
    board = board_of([one, two], resamples=100)
    assert board.folds.n == 48 and {1, 5}.isdisjoint(board.folds.shared.rows[0].tolist())
    kinds = [getattr(note.text, "kind", "") for note in board.notes]
    assert {"partly_shared", "given", "no_quality"} <= set(kinds)
    assert board.folds.n_other_label == 2 and "48 images (2 left out" in leaderboard_text(board)


def test_stored_answers_of_the_same_folds__are_taken(tmp_path: Path, rng, monkeypatch) -> None:
    labels = classes_of(60)
    studies = [embedded(tmp_path / name, planted(rng, labels, 1.5), labels) for name in ("a", "b")]
    for study in studies:
        run_step("crossfit", study.path, {}, Progress.silent())

    def refuse(*_: object) -> None:
        raise AssertionError("fitted once more")

    with monkeypatch.context() as patch:
        patch.setattr("core.analysis.crossfit_step._fitted", refuse)
        taken = board_of([open_study(study.path) for study in studies], resamples=100)
    for study in studies:
        with write_study(study.path) as writer:
            writer.remove("leaderboard")
            writer.remove("crossfit")
    fitted = board_of([open_study(study.path) for study in studies], resamples=100)
    assert_array_equal(taken.correct, fitted.correct)
    assert_allclose(taken.frame["confidence_auroc"], fitted.frame["confidence_auroc"])


def test_answers_of_other_folds__are_not_compared(tmp_path: Path, rng) -> None:
    labels = classes_of(60)
    one, two, three = (
        embedded(tmp_path / name, planted(rng, labels, 1.5), labels, keep=slice(0, n))
        for name, n in (("one", 60), ("two", 60), ("three", 40))
    )
    with pytest.raises(StudyError, match="one and two"):
        leaderboard([one, two])
    board_of([one, two], resamples=100)
    again = [open_study(study.path) for study in (one, two, three)]
    assert shared_folds(again).missing == [0, 1, 2], "a smaller set of images has other folds"
    assert answer_for_leaderboard(again[:2], {"device": "cpu"}, Progress.silent()) == 0


def test_few_errors__are_not_judged(tmp_path: Path, rng) -> None:
    labels = classes_of(60)
    board = board_of(
        [embedded(tmp_path / name, planted(rng, labels, 9), labels) for name in "ab"], resamples=100
    )
    assert board.frame["n_wrong"].max() < 8 and board.frame["confidence_auroc"].isna().all()
    assert sum(getattr(note.text, "kind", "") == "few_errors" for note in board.notes) == 2


def test_command__prints_writes_and_refuses(board: Leaderboard, tmp_path: Path, capsys) -> None:
    run: Command = runner(capsys)
    paths = [study.path for study in board.folds.shared.studies]
    said = run("compare", *paths, "--leaderboard", "--bootstrap", 300, "--json")
    assert said.code == 0, said.err
    report = json.loads(said.out)
    assert [row["study"] for row in report["leaderboard"]] == board.names and report["answer"] == "crossfit"
    assert report["leaderboard"][0]["milliseconds"] is None and len(report["pairs"]) == 3
    out = tmp_path / "board.csv"
    assert run("compare", *paths, "--leaderboard", "--bootstrap", 300, "-o", out).code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert tuple(rows[0])[: len(PROMISED)] == PROMISED
    assert_allclose([float(row["accuracy"]) for row in rows], board.frame["accuracy"])
    assert run("compare", *paths, "--leaderboard", "-o", tmp_path / "board.tex").code == 0
    assert (tmp_path / "board.tex").read_text().count(r" \\") == 4
    assert "--where" in run("compare", *paths, "--leaderboard", "--where", "label=class 1").error
    assert "--device" in run("compare", *paths, "--device", "cpu").error
