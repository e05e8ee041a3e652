"""The step `crossfit` against a twin in loops, leakage, resuming, and studies that give it little."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from core.analysis import crossfit
from core.analysis.folds import assign_folds
from core.analysis.linear_probe import Curvature, fit_classes
from core.cli import main
from core.config import CrossfitConfig
from core.errors import SettingsError
from core.measures.label_issues import label_issues, why_not_checked
from core.measures.slice import Slice
from core.pipeline.run import run_step
from core.publish.export_files import COLUMNS, export_table, labels_table
from core.publish.summary import info
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests.manifests import edited_manifest
from tests.measures.test_confident_learning import slow_probability_wrong
from tests.sentences import numbers
from tests.synthetic import make_study

SINGLE = 2e-4  # the gradient is no larger than 1e-6 at our optimum
N = 120


def planted(tmp_path, *, wrong: int = 8, steps: tuple[str, ...] = ("crossfit",), **changed: object) -> Study:
    """A study of 120 images of 4 classes, 8 of whose labels are those of another class."""
    source = make_study(tmp_path / "clean", n_train=96, n_val=24, pictures=False)
    inputs = source.with_name("clean.input")
    table = pd.read_csv(inputs / "images.csv")
    rng, names = np.random.default_rng(1), np.array(sorted(table["label"].unique()))
    codes = pd.Categorical(table["label"], categories=list(names)).codes.astype(int)
    rows = rng.choice(N, wrong, replace=False)
    codes[rows] = (codes[rows] + rng.integers(1, 4, wrong)) % 4
    table = table.assign(**{"label": names[codes], "was_wrong": np.isin(np.arange(N), rows), **changed})
    table.to_csv(tmp_path / "noisy.csv", index=False)
    options = {"images": str(tmp_path / "noisy.csv"), "representations": str(inputs / "raw.npy")}
    run_step("embed", tmp_path / "noisy", options, Progress.silent())
    for step in steps:
        run_step(step, tmp_path / "noisy", {}, Progress.silent())
    return open_study(tmp_path / "noisy")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> Study:
    return planted(tmp_path_factory.mktemp("crossfit"), steps=("probe", "crossfit"))


def slow_probabilities(raw: np.ndarray, labels: np.ndarray, train: np.ndarray, C: float) -> np.ndarray:
    """Of all images, by scikit-learn's solver on the features standardised on `train`."""
    mean, std = raw[train].mean(0), raw[train].std(0)
    x = np.where(std > 0, (raw - mean) / np.where(std > 0, std, 1), 0)
    model = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(x[train], labels[train])
    return model.predict_proba(x)


def slow_strength(raw: np.ndarray, labels: np.ndarray, folds: np.ndarray, config: CrossfitConfig) -> float:
    """The C of the smallest log loss over the inner folds of all but the first fold."""
    chosen = np.flatnonzero(folds != 0)
    inner = assign_folds(labels[chosen], chosen, config.inner_folds, config.seed)
    losses = {}
    for C in config.strengths:
        total = 0.0
        for fold in range(config.inner_folds):
            shares = slow_probabilities(raw, labels, chosen[inner != fold], C)
            total -= sum(np.log(shares[row, labels[row]]) for row in chosen[inner == fold])
        losses[C] = total
    return min(losses, key=lambda one: losses[one])


@pytest.mark.slow
def test_crossfit__is_the_slow_twin(noisy):
    raw = noisy.vector("representations").astype(float)
    names, ids = noisy.class_names, noisy.images["image_id"].tolist()
    labels = np.array([names.index(one) for one in noisy.images["label"]])
    folds = assign_folds(labels, np.arange(N), 5, 0)
    assert_array_equal(noisy.vector("crossfit_fold"), folds)
    C = slow_strength(raw, labels, folds, CrossfitConfig())
    assert noisy.summary("crossfit")["strength"] == C
    shares = np.full((N, 4), np.nan)
    for fold in range(5):
        train = np.flatnonzero(folds != fold)
        shares[folds == fold] = slow_probabilities(raw, labels, train, C)[folds == fold]
    table = noisy.table("label_issues")
    rows = [ids.index(one) for one in table["image_id"]]
    rival = np.where(np.arange(4) == labels[:, None], -1, shares)
    margins = np.array([shares[row, labels[row]] - max(rival[row]) for row in range(N)])
    assert_allclose(table["margin"], margins[rows], atol=SINGLE)
    assert_allclose(table["confidence"], rival.max(1)[rows], atol=SINGLE)
    assert (np.diff(table["margin"]) >= 0).all()
    assert table["rank"].tolist() == list(range(1, N + 1))
    wrong = slow_probability_wrong(shares, labels)
    assert_allclose(table["probability_wrong"], np.array(wrong)[rows], atol=5 * SINGLE)
    assert {rows[0], rows[1]} <= set(np.argsort(margins)[:4].tolist())
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    for at in range(0, N, 7):
        cosines = [-np.inf if other == rows[at] else unit[rows[at]] @ unit[other] for other in range(N)]
        nearest = np.argsort(cosines)[::-1][:3]
        assert [table[f"near_{one}"][at] for one in (1, 2, 3)] == [ids[row] for row in nearest]
        assert_allclose([table[f"near_{one}_similarity"][at] for one in (1, 2, 3)],
                        [cosines[row] for row in nearest], rtol=1e-5)  # fmt: skip
        assert table["near_2_label"][at] == names[labels[nearest[1]]]


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_fold__is_at_its_optimum_where_features_are_many_and_alike(rng, strength):
    """As representations are: far fewer images than features, most of their variance in a few directions."""
    raw = rng.normal(size=(90, 90)) * np.arange(1, 91) ** -0.7 @ rng.normal(size=(90, 400))
    labels = (raw[:, :3] + 3 * rng.normal(size=(90, 3))).argmax(1)
    folds = np.arange(90) % 5
    array: Any = Rows(raw.astype(np.float32))
    images = crossfit.Labelled(array, np.arange(90), labels, np.arange(90), folds)
    parts = crossfit.moments_by_part(images.array, images.rows, folds, 5)
    standard = crossfit.without(parts, 0)
    curvature = Curvature.of(images.of(np.arange(90), standard).batches("cpu"), 0)
    weights = crossfit.fit_fold(images, 0, strength, standard, curvature, "cpu").astype(float)
    shares = torch.softmax(torch.from_numpy(raw @ weights[:, :-1].T + weights[:, -1]), 1).numpy()
    expected = slow_probabilities(raw, labels, folds != 0, strength)
    assert_allclose(shares, expected, atol=0.001 if strength < 1 else 0.004)


def test_crossfit__finds_planted_labels_of_both_splits(noisy):
    table = noisy.table("label_issues")
    wrong = set(noisy.images["image_id"][noisy.table("attributes")["was_wrong"].to_numpy(bool)])
    hits = table["image_id"].isin(list(wrong)).to_numpy()
    assert average_precision_score(hits, -table["rank"]) > 0.6 and set(table["split"]) == {"train", "val"}
    assert hits[table["listed"]].mean() > 0.4 and (table["n_checked"] == N).all()
    assert (table.loc[table["listed"], "margin"] < 0).all()  # none whose label is the prediction


def test_answer__is_of_all_images_and_never_the_default(noisy, tmp_path):
    assert list(noisy.answers) == ["probe", "crossfit"] and noisy.answer is None
    read = noisy.answering("crossfit")
    splits = noisy.images["split"].tolist()
    assert (
        labels_table(read)["split"].tolist() == labels_table(read.where(Slice()))["split"].tolist() == splits
    )
    assert read.is_val.all() and read.evaluation.n_chosen == N and not read.is_fitted
    probe = read.table("probe")
    table = label_issues(noisy, np.ones(N, bool)).set_index("image_id").loc[probe["image_id"]]
    agrees = (table["margin"] > 0).to_numpy()
    assert_array_equal(probe["correct"].to_numpy(bool), agrees)
    assert (
        read.facts_of_answer if hasattr(read, "facts_of_answer") else read.answers["crossfit"].facts["n"] == N
    )
    folder = shutil.copytree(noisy.path, tmp_path / "study")
    with write_study(folder) as writer:
        writer.remove("probe")
    alone = open_study(folder)
    assert list(alone.answers) == ["crossfit"] and alone.answer is None and not alone.has("probe")


def test_commands__name_the_step_that_makes_the_answer(noisy, tmp_path, capsys):
    folder = shutil.copytree(noisy.path, tmp_path / "study")
    for words in (["--add", "crossfit"], ["--remove", "crossfit"]):
        assert main(["answers", str(folder), *words]) != 0
        assert "step" in capsys.readouterr().err
    with write_study(folder) as writer:
        writer.remove("crossfit")
    old = open_study(folder)
    assert "crossfit" not in old.missing() and "core crossfit" in why_not_checked(old)
    assert label_issues(old, np.ones(N, bool)).empty and "core crossfit" in str(info(old)["label_issues"])
    with pytest.raises(SettingsError, match="core crossfit"):
        old.answering("crossfit")
    assert main(["export", str(folder), "label_issues", "-o", str(tmp_path / "out.csv")]) != 0
    assert "core crossfit" in capsys.readouterr().err


def test_export__is_of_both_splits_and_counts_those_of_the_filter(noisy, tmp_path):
    assert export_table(noisy, "label_issues", tmp_path / "all.csv") == N
    frame = pd.read_csv(tmp_path / "all.csv")
    assert tuple(frame) == COLUMNS["label_issues"] and frame["rank"].tolist() == list(range(1, N + 1))
    label = noisy.class_names[0]
    n = export_table(noisy, "label_issues", tmp_path / "one.csv", slice=Slice.parse(f"label={label}"))
    one = pd.read_csv(tmp_path / "one.csv")
    assert n == (noisy.images["label"] == label).sum() and (one["n_checked"] == n).all()
    assert set(one["split"]) == {"train", "val"} and (np.diff(one["rank"]) > 0).all()
    assert numbers(info(noisy)["label_issues"])[1] == str(N)


def test_folds__are_answered_by_models_that_do_not_depend_on_their_labels(rng):
    raw = rng.normal(size=(60, 5)).astype(np.float32)
    codes = np.arange(60) % 3
    raw[np.arange(60), codes] += 2
    folds = assign_folds(codes, np.arange(60), 5, 0)
    changed = np.where(folds == 2, (codes + 1) % 3, codes)
    weights: list[np.ndarray] = []
    array: Any = Rows(raw)
    for labels in (codes, changed):
        images = crossfit.Labelled(array, np.arange(60), labels, np.arange(60), folds)
        parts = crossfit.moments_by_part(images.array, images.rows, folds, 5)
        standard = crossfit.without(parts, 2)
        curvature = Curvature.of(images.of(np.arange(60), standard).batches("cpu"), 0)
        weights.append(crossfit.fit_fold(images, 2, 0.1, standard, curvature, "cpu"))
    before, after = weights
    assert_array_equal(before, after)


class Rows:
    """Representations in memory, read as those of a study are."""

    def __init__(self, values: np.ndarray):
        self.values, self.shape = values, values.shape

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        return self.values[rows]

    def chunk(self, number: int) -> np.ndarray:
        return self.values

    def by_chunk(self, values: np.ndarray):
        return [(0, values)]


def test_preconditioner__changes_the_way_and_not_the_optimum(rng):
    raw = rng.normal(size=(200, 12)).astype(np.float32)
    raw[:, 6:] = raw[:, :6] + 0.05 * raw[:, 6:]  # nearly the same features twice
    codes = rng.integers(0, 4, 200)
    raw[np.arange(200), codes] += 1
    array: Any = Rows(raw)
    images = crossfit.Labelled(array, np.arange(200), codes, np.arange(200), np.arange(200) % 5)
    parts = crossfit.moments_by_part(images.array, images.rows, images.folds, 5)
    rows = images.of(np.arange(200), crossfit.without(parts, -1)).batches("cpu")
    for penalty in (1.0, 0.01):
        ours = fit_classes(rows, 4, penalty, Curvature.of(rows, 0), tolerance=crossfit.TOLERANCE)
        plain = fit_classes(rows, 4, penalty, Curvature(), tolerance=crossfit.TOLERANCE)
        assert_allclose(torch.softmax(ours @ ours.T, 1), torch.softmax(plain @ plain.T, 1), atol=0.02)
        assert_allclose(ours, plain, atol=0.02)


@pytest.mark.parametrize(
    ("labels", "checked", "unchecked"),
    [
        (["ant"] * 40 + ["bee"] * 79 + ["cat"], 119, ["cat"]),
        (["ant"] * 40 + ["bee"] * 40 + [None] * 40, 80, []),
        (["ant"] * 60 + ["bee"] * 57 + ["cat"] * 3, 120, []),
    ],
)
def test_few_images__of_a_class_are_judged_where_two_are_apart(tmp_path, labels, checked, unchecked):
    study = planted(tmp_path, label=np.array(labels, object))
    table, facts = study.table("label_issues"), study.summary("crossfit")
    n = sum(one is not None for one in labels)
    assert len(table) == n and facts["n_checked"] == checked and facts["unchecked_classes"] == unchecked
    alone = ~np.isfinite(table["margin"].to_numpy())
    assert alone.sum() == n - checked and not table["listed"][alone].any()
    assert table.loc[alone, "suggested"].isna().all() and (np.flatnonzero(alone) >= checked).all()
    assert study.answers["crossfit"].facts["n"] == checked


def test_groups__and_copies_are_in_one_fold_and_no_evidence(tmp_path):
    study = planted(tmp_path, patient=np.arange(N) // 3)
    with_groups = run_with_groups(study)
    folds = with_groups.vector("crossfit_fold")
    assert_array_equal(folds[::3], folds[1::3])
    assert_array_equal(folds[::3], folds[2::3])
    table = with_groups.table("label_issues")
    row_of = {name: row for row, name in enumerate(with_groups.images["image_id"])}
    for near in ("near_1", "near_2", "near_3"):
        pairs = zip(table["image_id"], table[near], strict=True)
        assert all(row_of[one] // 3 != row_of[other] // 3 for one, other in pairs)


def run_with_groups(study: Study) -> Study:
    with edited_manifest(study.path) as manifest:
        manifest["steps"]["embed"]["summary"]["group"] = "patient"
    run_step("crossfit", study.path, {"redo": True}, Progress.silent())
    return open_study(study.path)


@pytest.mark.parametrize("labels", [[None] * N, ["ant"] * N, [f"c{row}" for row in range(N)]])
def test_study__without_labels_to_check_says_why(tmp_path, labels):
    study = planted(tmp_path, label=np.array(labels, object))
    assert study.why_skipped("crossfit") and not study.has("label_issues") and "crossfit" not in study.answers
    assert (info(study)["label_issues"] is None) == (labels[0] is None)
