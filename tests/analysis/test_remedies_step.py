"""The step `remedies` against a twin in loops, leakage between folds, planted faults, and empty studies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from core.analysis import remedy_recipes as heads_module
from core.analysis.folds import assign_folds
from core.analysis.judged_images import JudgedImages, decided_outside, spurious_features
from core.analysis.remedies import COLUMNS, NOT_TRIED, untried_row, why_none_left_out
from core.analysis.remedies_step import best_pair
from core.analysis.remedy_recipes import (
    ImageFacts,
    Pool,
    with_corrections,
    with_equal_classes,
    with_weighted_slices,
    without_spurious_features,
    without_wrong_labels,
)
from core.cli import main
from core.common.step_facts import RemediesFacts
from core.config import RemediesConfig, RunOptions
from core.errors import SettingsError
from core.measures.label_issues import listed_issues
from core.measures.traits import Tokens
from core.pipeline.run import run_step
from core.publish.export_files import read_table
from core.store import Study, open_study
from core.study import trace_changes
from core.study.label_decisions import decide_label
from core.study.progress import Progress
from tests import reference

N, N_VAL = 150, 30
C = 0.01
FEW = RemediesConfig(strengths=(C,))


def planted(folder: Path, *, seed: int = 0, wrong: int = 15, rare: bool = False, **columns: object) -> Study:
    """150 images of 3 classes, 30 of them for evaluation; `wrong` labels are those of another class."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    truth = np.arange(N) % 3
    if rare:
        truth = np.where((truth == 2) & (rng.random(N) < 0.7), 0, truth)
    raw = rng.normal(size=(3, 12))[truth] + 1.2 * rng.normal(size=(N, 12))
    labels = truth.copy()
    rows = rng.choice(N, wrong, replace=False)
    labels[rows] = (truth[rows] + 1) % 3
    names = np.array(["ant", "bee", "cat"])
    table = pd.DataFrame({"image_id": [f"{row:03d}" for row in range(N)], "label": names[labels]})
    table["split"] = np.where(np.arange(N) < N - N_VAL, "train", "val")
    table["truth"] = names[truth]
    table.assign(**columns).to_csv(folder / "images.csv", index=False)
    np.save(folder / "raw.npy", raw.astype(np.float32))
    options = {"images": str(folder / "images.csv"), "representations": str(folder / "raw.npy")}
    run_step("embed", folder / "study", options, Progress.silent())
    return open_study(folder / "study")


def decide(study: Study, n: int) -> Study:
    """Correct the first n wrong labels."""
    truth = study.table("attributes")["truth"].to_numpy(object)
    labels, ids = (study.column("images", name).to_numpy(object) for name in ("label", "image_id"))
    for row in np.flatnonzero(truth != labels)[:n]:
        decide_label(study, str(ids[row]), str(truth[row]))
    return open_study(study.path)


def with_remedies(study: Study, **options: object) -> Study:
    run_step("remedies", study.path, {"strengths": (C,), "device": "cpu", **options}, Progress.silent())
    return open_study(study.path)


@pytest.fixture(scope="module")
def mended(tmp_path_factory) -> Study:
    study = planted(tmp_path_factory.mktemp("remedies"))
    run_step("probe", study.path, {}, Progress.silent())
    return with_remedies(decide(study, 15))


def slow_fit(
    raw: np.ndarray, codes: np.ndarray, pool: np.ndarray, counts: np.ndarray
) -> tuple[LogisticRegression, np.ndarray, np.ndarray]:
    """A head, and mean and scale of its features: by scikit-learn, on features standardised on the pool; its
    penalty is per image, as ours."""
    mean, std = raw[pool].mean(0), raw[pool].std(0)
    used = counts > 0
    weights = counts[used] / counts[used].mean()
    model = LogisticRegression(C=C, tol=1e-9, max_iter=5000)
    model.fit((raw[used] - mean) / std, codes[used], weights)
    return model, mean, std


def slow_answers(raw: np.ndarray, labels: np.ndarray, folds: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The class of each image by a head that has not seen its fold; codes: -1 leaves an image out."""
    answers = np.full(len(labels), -1)
    for fold in range(5):
        pool = folds != fold
        model, mean, std = slow_fit(raw, codes, pool, (pool & (codes >= 0)).astype(float))
        answers[~pool] = model.predict((raw[~pool] - mean) / std)
    return answers


def test_gain__is_the_slow_twin_from_the_text_alone(mended):
    raw = mended.vector("representations").astype(float)
    names, table = mended.class_names, mended.table("attributes")
    labels = np.array([names.index(one) for one in mended.images["label"]])
    truth = np.array([names.index(one) for one in table["truth"]])
    folds = assign_folds(labels, np.arange(N), 5, 0)
    before, after = (slow_answers(raw, labels, folds, codes) for codes in (labels, truth))
    row = mended.table("remedies").set_index("remedy").loc["corrected"]
    expected = reference.remedy_gain(
        (before == truth).tolist(), (after == truth).tolist(), list(range(N)), 2000, 0
    )
    assert_allclose(row[["gain", "low", "high"]].astype(float), expected, atol=1e-9)
    assert mended.facts(RemediesFacts).accuracy == pytest.approx((before == truth).mean())
    images = mended.table("remedy_images")
    mine = images.loc[images["remedy"] == "corrected"].set_index("image_id")
    ids = mended.images["image_id"].to_numpy(object)
    right = before == truth, after == truth
    assert set(mine.index[mine["change"] == "mended"]) == set(ids[right[1] & ~right[0]])
    assert set(mine.index[mine["change"] == "broken"]) == set(ids[right[0] & ~right[1]])
    errors = images.loc[images["remedy"] == "refit"]
    assert set(errors["image_id"]) == set(ids[~right[0]]) and set(errors["change"]) == {"wrong"}
    assert errors["before"].tolist() == [names[before[mended.row_of(one)]] for one in errors["image_id"]]
    assert row["mended"] == (mine["change"] == "mended").sum()
    assert row["broken"] == (mine["change"] == "broken").sum()


def test_refit__is_compared_with_the_answer_in_use_on_images_that_it_has_not_seen(mended):
    row = mended.table("remedies").iloc[0]
    assert row["remedy"] == "refit" and row["n"] == N_VAL and np.isnan(row["log_loss_gain"])
    facts = mended.facts(RemediesFacts)
    probe = mended.table("probe")
    truth = mended.table("attributes")["truth"].to_numpy(object)
    right = (probe["predicted"].to_numpy(object) == truth)[mended.is_val]
    assert facts.accuracy_in_use == pytest.approx(right.mean()) and facts.answer == "probe"
    is_changed = truth != mended.images["label"].to_numpy(object)
    assert (facts.n_in_use, facts.n_in_use_changed) == (N_VAL, is_changed[mended.is_val].sum())
    assert facts.n_changed == is_changed.sum()
    assert_allclose(row["gain"], row["accuracy"] - right.mean())


def test_heads__are_fitted_to_train_images_alone(mended):
    facts, raw = mended.facts(RemediesFacts), mended.vector("representations").astype(float)
    assert facts.n_fitted == N - N_VAL and facts.heads[0] == "refit"
    names = mended.class_names
    labels = np.array([names.index(one) for one in mended.images["label"]])
    model, mean, std = slow_fit(raw, labels, ~mended.is_val, (~mended.is_val).astype(float))
    weights = mended.vector("remedy_weights")[0].astype(float)
    logits = raw @ weights[:, :-1].T + weights[:, -1]
    expected = model.predict_proba((raw - mean) / std)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    assert_allclose(shares / shares.sum(1, keepdims=True), expected, atol=2e-4)
    assert mended.table("remedy_classes")["label"].tolist() == names


def test_worst_class__is_that_of_the_base_and_temperature_changes_no_answer(mended):
    table = mended.table("remedies").set_index("remedy")
    assert table.loc["temperature", ["gain", "mended", "broken"]].tolist() == [0, 0, 0]
    assert table.loc["temperature", "log_loss_gain"] != 0
    assert list(table.index)[-1] == "temperature" and "+" in table.index[-2]
    assert mended.facts(RemediesFacts).worst_class in mended.class_names
    assert_array_equal(read_table(mended, "remedies").columns, COLUMNS)


def test_pair__is_of_the_two_that_gain_most(mended):
    table = mended.table("remedies")
    alone = table.loc[~table["remedy"].isin(["refit", "temperature"]) & ~table["remedy"].str.contains(r"\+")]
    alone = alone.loc[alone["outcome"] != NOT_TRIED].sort_values("gain", ascending=False, kind="stable")
    pair = table["remedy"].iloc[-2].split("+")
    assert set(pair) == set(alone["remedy"].head(2))


def test_pair__holds_no_remedy_that_changes_no_answer():
    changes = {"corrected": (3, 1, 0.02), "slices": (0, 0, 0.0), "balanced": (1, 4, -0.03)}
    rows = [
        {"remedy": name, "gain": gain, "mended": mended, "broken": broken}
        for name, (mended, broken, gain) in changes.items()
    ]
    rows.append(untried_row("features_off", "no feature"))
    assert best_pair(rows) == ("corrected", "balanced")
    assert best_pair(rows[:2]) == ()


def test_no_image_of_a_fold_tells_anything_to_its_head(tmp_path, monkeypatch):
    """Labels and values of one fold are changed: what the other folds are fitted to for it stays."""
    seen: list[dict[int, np.ndarray]] = []
    real = heads_module.Heads.unseen

    def kept(self: heads_module.Heads, fold: int) -> np.ndarray:
        logits = real(self, fold)
        seen[-1][fold] = logits
        return logits

    monkeypatch.setattr(heads_module.Heads, "unseen", kept)
    first = planted(tmp_path / "one")
    folds = JudgedImages.of(first, FEW).folds
    seen.append({})
    with_remedies(first)
    raw = np.load(tmp_path / "one" / "raw.npy")
    raw[folds == 0] = 5.0
    (tmp_path / "two").mkdir()
    np.save(tmp_path / "two" / "raw.npy", raw)
    options = {
        "images": str(tmp_path / "one" / "images.csv"),
        "representations": str(tmp_path / "two/raw.npy"),
    }
    run_step("embed", tmp_path / "two" / "study", options, Progress.silent())
    seen.append({})
    with_remedies(open_study(tmp_path / "two" / "study"))
    assert_allclose(seen[0][0], seen[1][0], atol=2e-3)  # NaN inside the fold, both
    assert np.isnan(seen[0][0][folds == 0]).all()
    assert np.nanmax(np.abs(seen[0][1] - seen[1][1])) > 0.01


def pool_of(labels: list[int], truth: list[int], logits: np.ndarray, **more: object) -> Pool:
    n = len(labels)
    facts = ImageFacts(
        rows=np.arange(n),
        labels=np.array(labels),
        truth=np.array(truth),
        stays=np.zeros(n, bool),
        tokens=None,
        study_labels=np.array(labels),
        spurious=np.array([1]),
    )
    facts = ImageFacts(**{**vars(facts), **more})
    return Pool(facts, np.arange(n), logits)


def plain(pool: Pool, n_features: int = 3) -> heads_module.Training:
    n = len(pool.at)
    return heads_module.Training(pool.at, pool.facts.labels[pool.at], np.ones(n), np.ones(n_features))


def sure(codes: list[int], n_classes: int = 2) -> np.ndarray:
    return 4.0 * np.eye(n_classes)[codes]


def test_corrections__change_and_leave_out():
    pool = pool_of([0, 0, 1, 1], [0, 1, -1, 1], sure([0, 0, 1, 1]))
    training = with_corrections(plain(pool), pool)
    assert training.at.tolist() == [0, 1, 3] and training.codes.tolist() == [0, 1, 1]


def test_wrong_labels__are_left_out_but_those_that_people_decided_on():
    labels = [0] * 10 + [1] * 10
    told = labels.copy()
    told[3], told[15] = 1, 0
    pool = pool_of(labels, labels, sure(told))
    left = without_wrong_labels(plain(pool), pool)
    assert sorted({*range(20)} - {*left.at.tolist()}) == [3, 15]
    pool = pool_of(labels, labels, sure(told), stays=np.arange(20) == 3)
    left = without_wrong_labels(plain(pool), pool)
    assert sorted({*range(20)} - {*left.at.tolist()}) == [15]


def test_slices__the_worst_count_as_much_as_the_rest_at_most_fourfold():
    n = 100
    labels, told = [0] * n, [0] * 80 + [1] * 20
    rows = np.arange(70, 100, dtype=np.int32)  # 30 images, of which 20 are wrong
    tokens = Tokens(("column",), ("night",), ("time",), rows, np.zeros(30, np.int32))
    pool = pool_of(labels, labels, sure(told), tokens=tokens)
    training = with_weighted_slices(plain(pool), pool)
    assert_allclose(training.counts[70:], 70 / 30)
    assert (training.counts[:70] == 1).all()
    few = Tokens(("column",), ("night",), ("time",), rows[-15:], np.zeros(15, np.int32))
    training = with_weighted_slices(plain(pool), pool_of(labels, labels, sure(told), tokens=few))
    assert training.counts[-1] == 4
    assert with_weighted_slices(plain(pool), pool_of(labels, labels, sure(labels), tokens=few)).fits_as(
        plain(pool)
    )


def test_classes__weigh_alike_and_features_are_switched_off():
    pool = pool_of([0, 0, 0, 1], [0, 0, 0, 1], sure([0, 0, 0, 1]))
    training = with_equal_classes(plain(pool), pool)
    assert_allclose(training.counts, [2 / 3, 2 / 3, 2 / 3, 2])
    assert without_spurious_features(plain(pool), pool).scale.tolist() == [1, 0, 1]
    half = pool_of([0, 1], [0, 1], sure([0, 1]), feature_scale=0.5)
    assert without_spurious_features(plain(half), half).scale.tolist() == [1, 0.5, 1]


def test_features_off__has_no_weights_on_them(tmp_path):
    study = with_remedies(planted(tmp_path), features=(2, 5))
    facts = study.facts(RemediesFacts)
    weights = study.vector("remedy_weights")[facts.heads.index("features_off")]
    assert (weights[:, [2, 5]] == 0).all() and (weights[:, [0, 1]] != 0).all() and facts.spurious == (2, 5)
    with pytest.raises(SettingsError, match="no feature 12"):
        run_step("remedies", study.path, {"features": (12,)}, Progress.silent())


def test_spurious__are_those_that_people_call_so(tmp_path):
    study = planted(tmp_path)
    assert spurious_features(study, FEW).tolist() == []
    trace_changes.set_feature_tags(study, 7, ["Spurious"])
    trace_changes.name_feature(study, 3, "spurious grass")
    assert spurious_features(open_study(study.path), FEW).tolist() == [3, 7]


def test_decisions__make_it_stale(tmp_path):
    study = planted(tmp_path)
    before = decided_outside(study, FEW, RunOptions())
    assert decided_outside(decide(study, 1), FEW, RunOptions()) != before


@pytest.mark.slow
def test_wrong_labels_left_out__are_not_tried_once_all_are_decided(tmp_path):
    study = planted(tmp_path)
    run_step("crossfit", study.path, {}, Progress.silent())
    study = open_study(study.path)
    listed = listed_issues(study.table("label_issues"))
    assert len(listed) > 1
    for image_id, label in zip(listed["image_id"].iloc[1:], listed["label"].iloc[1:], strict=True):
        decide_label(study, image_id, label)
    row = with_remedies(study).table("remedies").set_index("remedy").loc["without_wrong"]
    assert row["outcome"] != NOT_TRIED
    decide_label(study, listed["image_id"].iat[0], listed["suggested"].iat[0])
    table = with_remedies(study).table("remedies").set_index("remedy")
    row = table.loc["without_wrong"]
    assert (row["outcome"], row["why"]) == (NOT_TRIED, why_none_left_out())
    assert table.loc["corrected", "outcome"] != NOT_TRIED
    assert not [name for name in table.index if "+" in name and "without_wrong" in name]


@pytest.mark.slow
def test_rare_class__balancing_helps_it(tmp_path):
    study = with_remedies(planted(tmp_path, rare=True, wrong=0))
    table = study.table("remedies").set_index("remedy")
    assert study.facts(RemediesFacts).worst_class == "cat"
    assert table.loc["balanced", "worst_class_gain"] > 0
    assert table.loc["corrected", "outcome"] == NOT_TRIED


def test_without_labels__only_the_reason(tmp_path):
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "raw.npy", np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32))
    options = {"images": "", "representations": str(tmp_path / "a" / "raw.npy")}
    run_step("embed", tmp_path / "a" / "study", options, Progress.silent())
    summary = run_step("remedies", tmp_path / "a" / "study", {}, Progress.silent())
    assert set(summary) == {"skipped"}


def test_command__prints_rows_as_json(mended, capsys):
    assert main(["remedies", str(mended.path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    first = report["remedies"][0]
    assert list(first) == list(COLUMNS) and first["remedy"] == "refit"
    assert main(["remedies", str(mended.path)]) == 0
    assert "corrected" in capsys.readouterr().out
