"""Features of known concepts: average precision against scikit-learn, choice on train images only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from core.bases.requests import add_basis
from core.cli import main
from core.concepts import concept_features as module
from core.concepts.concept_features import (
    average_precision,
    concept_features,
    concept_means,
    known_concepts,
    share_of_strongest,
)
from core.config import BasisConfig
from core.errors import StudyError
from core.pipeline.run import analyze, run_step
from core.store import Study, open_study
from core.study.progress import Progress
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("known") / "study", n_train=200, n_val=160)


@pytest.fixture
def study(folder: Path) -> Study:
    return open_study(folder)


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_average_precision__is_that_of_sklearn_also_with_ties(block: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block * 50)
    random = np.random.default_rng(0)
    values = random.normal(size=(50, 12)).astype(np.float32)
    values[:, 4:8] = np.maximum(values[:, 4:8], 0.7)  # most are equal, as codes of latents are
    values[:, 8] = 1.0
    has = random.random((5, 50)) < 0.3
    has[4] = True
    found = average_precision(values, has)
    for at, one in enumerate(has):
        for feature in range(12):
            assert found[at, feature] == pytest.approx(average_precision_score(one, values[:, feature]))
    assert found[0, 8] == pytest.approx(has[0].mean())  # no knowledge: the base rate
    order = random.permutation(50)
    assert np.allclose(average_precision(values[order], has[:, order]), found)


def test_concepts__are_those_that_enough_images_of_both_splits_have_and_lack(study: Study) -> None:
    names, has = known_concepts(study)
    labels, is_val = study.images["label"].to_numpy(object), study.is_val
    for name, one in zip(names, has, strict=True):
        column, _, value = name.partition("=")
        truth = labels == value if column == "label" else study.table("attributes")[column] == value
        assert one.tolist() == np.asarray(truth).tolist()
    counts = pd.Series(labels[is_val]).value_counts()
    assert {name for name in names if name.startswith("label=")} == {
        f"label={label}"
        for label in counts.index
        if counts[label] >= 20 and (labels[~is_val] == label).sum() >= 20
    }


def test_concepts__no_class_is_lacked_by_images_without_a_label(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["ant"] * 30 + ["bee"] * 10 + [""] * 40)
    images = pd.DataFrame({"path": [f"{i}.png" for i in range(160)], "label": [*labels, *labels]})
    images["split"] = np.repeat(["train", "val"], 80)
    images.to_csv(tmp_path / "images.csv", index=False)
    np.save(tmp_path / "raw.npy", rng.random((160, 4), dtype=np.float32))
    options = {"images": str(tmp_path / "images.csv"), "representations": str(tmp_path / "raw.npy")}
    run_step("embed", tmp_path / "study", options, Progress.silent())
    assert known_concepts(open_study(tmp_path / "study"))[0] == []  # 10 of either split are no ants


def test_table__matches_a_loop(study: Study) -> None:
    names, has = known_concepts(study)
    raw, is_val = study.array("representations")[:], study.is_val
    table = concept_features(study).set_index("concept")
    assert list(table.index) == names and len(names)
    for name, one in zip(names, has, strict=True):
        row, train, truth = table.loc[name], one[~is_val], one[is_val]
        for sign, feature, ap in ((1, "feature", "ap"), (-1, "inverted_feature", "inverted_ap")):
            scores = [average_precision_score(train, sign * values) for values in raw[~is_val].T]
            assert row[feature] == int(np.argmax(scores))
            judged = sign * raw[is_val][:, row[feature]]
            assert row[ap] == pytest.approx(average_precision_score(truth, judged))
        strongest = np.argsort(-raw[is_val][:, row["feature"]], kind="stable")[:16]
        assert row["purity"] == pytest.approx(truth[strongest].mean())
        assert row["n"] == truth.sum() and row["base_rate"] == pytest.approx(truth.mean())
        learnt = raw[~is_val].astype(float)
        apart = np.abs(learnt[train].mean(0) - learnt[~train].mean(0)) / learnt.std(0)
        used = sorted(np.argsort(-apart)[:5])
        assert row["probe_features"] == " ".join(map(str, used))
        scaled = (raw.astype(float)[:, used] - learnt[:, used].mean(0)) / learnt[:, used].std(0)
        logits = (
            LogisticRegression(max_iter=1000).fit(scaled[~is_val], train).decision_function(scaled[is_val])
        )
        assert row["probe_ap"] == pytest.approx(average_precision_score(truth, logits), abs=1e-4)


def test_classes__are_judged_on_images_with_a_label_alone(folder: Path, tmp_path: Path) -> None:
    source = folder.with_name("study.input")
    images = pd.read_csv(source / "images.csv").assign(path=lambda table: str(source) + "/" + table["path"])
    raw, is_val = np.load(source / "raw.npy"), (images["split"] == "val").to_numpy()
    unlabelled = np.random.default_rng(1).random(len(images)) < 0.3
    images.loc[unlabelled, "label"] = None
    images["weather"] = np.where(np.arange(len(images)) % 3 == 0, "sun", "rain")
    images.to_csv(tmp_path / "images.csv", index=False)
    options = {"images": str(tmp_path / "images.csv"), "representations": str(source / "raw.npy")}
    options |= {"epsilon": "auto", "workers": 0, "method": "pca"}
    analyze(tmp_path / "study", options, Progress.silent())
    table = concept_features(open_study(tmp_path / "study")).set_index("concept")
    assert {name.partition("=")[0] for name in table.index} == {"label", "weather"}
    for name, row in table.iterrows():
        column, _, value = str(name).partition("=")
        judged = is_val & ~unlabelled if column == "label" else is_val
        truth = (images[column] == value).to_numpy()[judged]
        assert (row["n"], row["base_rate"]) == (truth.sum(), pytest.approx(truth.mean()))
        assert row["ap"] == pytest.approx(average_precision_score(truth, raw[judged][:, row["feature"]]))


def test_share_of_strongest__does_not_depend_on_the_order_of_equal_values(rng) -> None:
    values = np.array([0, 0, 3, 0, 2, 0], np.float32)
    truth = np.array([True, True, True, False, False, False])
    assert share_of_strongest(values, truth, 2) == 0.5  # those of 3 and 2
    expected = (1 + 2 * 0.5) / 4  # and two of four zeros, half of which have it
    assert share_of_strongest(values, truth, 4) == expected
    order = rng.permutation(6)
    assert share_of_strongest(values[order], truth[order], 4) == expected
    assert share_of_strongest(values, truth, 9) == 0.5  # of all six


def test_concepts__of_which_too_few_images_are_looked_at_are_none(study: Study, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST", 60)  # 15 of each class
    with pytest.raises(StudyError, match="concepts"):
        concept_features(study)


def test_means__are_over_concepts_with_an_interval(study: Study) -> None:
    table = concept_features(study)
    means = concept_means(table).set_index("measure")
    assert means.at["ap", "mean"] == pytest.approx(table["ap"].mean())
    assert means.at["coverage", "mean"] == (table["ap"] > 0.3).mean()
    assert means.at["ap", "low"] < means.at["ap", "mean"] < means.at["ap", "high"]


def test_differences__are_those_of_each_concept_in_any_order(study: Study) -> None:
    table = concept_features(study)
    other = table.assign(ap=table["ap"].to_numpy()[::-1] / 2).sample(frac=1, random_state=0)
    means = concept_means(table, minus=other).set_index("measure")
    apart = table["ap"] - other.set_index("concept")["ap"].loc[table["concept"]].to_numpy()
    low, high = student.interval(0.95, len(apart) - 1, apart.mean(), apart.sem())
    assert means.loc["ap", ["mean", "low", "high"]].tolist() == pytest.approx([apart.mean(), low, high])
    assert means.at["purity", "mean"] == means.at["purity", "high"] == 0


def test_features_that_know_nothing__reach_the_base_rate(study: Study, monkeypatch) -> None:
    raw = study.array("representations")[:]
    noise = np.random.default_rng(0).normal(size=raw.shape).astype(np.float32)

    class Noise:
        def rows(self, rows: np.ndarray) -> np.ndarray:
            return noise[rows]

    monkeypatch.setattr(type(study), "array", lambda self, name: Noise())
    means = concept_means(concept_features(study)).set_index("measure")["mean"]
    assert means["ap"] < 2 * means["base_rate"] and means["inverted_ap"] < 2 * means["base_rate"]
    assert means["purity"] < 3 * means["base_rate"]


@pytest.mark.slow
def test_export__has_a_row_for_each_basis_and_is_that_of_the_basis(folder: Path, tmp_path: Path) -> None:
    for name, kind in (("sae", "topk"), ("control", "random")):
        config = BasisConfig(kind=kind, size=24, k=4, steps=60, seeds=1)
        add_basis(folder, name, config, Progress.silent(), device="cpu")
    out = tmp_path / "bases.csv"
    assert main(["export", str(folder), "bases", "-o", str(out)]) == 0
    table = pd.read_csv(out).set_index("basis")
    assert sorted(table.index[1:]) == ["control", "sae"] and table.at["sae", "width"] == 24
    for name in table.index:
        means = concept_means(concept_features(open_study(folder).in_basis(name))).set_index("measure")
        assert table.at[name, "ap"] == pytest.approx(means.at["ap", "mean"])
        assert table.at[name, "probe_ap_high"] == pytest.approx(means.at["probe_ap", "high"])
        for against, other in (("units", "units"), ("random", "control")):
            apart = table.at[name, "purity"] - table.at[other, "purity"]
            found = table.at[name, f"purity_minus_{against}"]
            assert np.isnan(found) if name == other else found == pytest.approx(apart, abs=1e-12)
    of_latents = tmp_path / "latents.csv"
    assert main(["export", str(folder), "concept_features", "--basis", "sae", "-o", str(of_latents)]) == 0
    assert pd.read_csv(of_latents)["feature"].max() < 24


def test_nothing_known__is_one_line(tmp_path: Path) -> None:
    bare = make_study(tmp_path / "bare", labels=False, n_train=30, n_val=20)
    with pytest.raises(StudyError, match="concepts"):
        concept_features(open_study(bare))
