"""An encoder's numbers in memory are those that a study of it has."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.errors import ShapeError
from core.measures.evaluate import class_column
from core.pipeline.run import run_step
from core.research.transfer_learning_evaluate import (
    Represented,
    discriminative_mask,
    evaluate_representations,
)
from core.store import open_study
from core.study.progress import Progress


@pytest.fixture
def represented(shared_study) -> Represented:
    study = open_study(shared_study)
    raw = study.array("representations")[:]
    return Represented(raw, class_column(study, "label"), study.is_val, study.class_names)


def test_judge__agrees_with_the_steps_of_a_study(shared_study, represented, tmp_path):
    path = shutil.copytree(shared_study, tmp_path / "study")
    run_step("probe", path, {"solver": "sgd", "device": "cpu"}, Progress.silent())
    run_step("quality", path, {"device": "cpu"}, Progress.silent())
    study = open_study(path)
    epsilon = study.summary("features")["epsilon"]
    row = evaluate_representations(
        represented, epsilon=epsilon, resamples=study.settings("quality")["bootstrap"]
    )
    probe, quality = study.summary("probe"), study.summary("quality")
    assert_allclose([row["top1"], row["lr"]], [probe["top1"], probe["lr"]])
    assert_allclose(row["top5"], study.table("probe").loc[study.is_val, "top5_correct"].mean())
    names = {"q_auroc": "q_auroc", "q_auprc": "q_auprc", "q_auprc_error": "q_auprc_error"}
    names |= {"base_rate": "base_rate", "mean_firing": "mean_firing", "share_nonempty": "share_nonempty"}
    for name, theirs in names.items():
        assert_allclose(row[name], quality[theirs], rtol=1e-6, err_msg=name)
    assert_allclose([row["q_auroc_low"], row["q_auroc_high"]], quality["q_auroc_interval"], rtol=1e-6)
    assert row["n_discriminative"] == study.summary("features")["n_discriminative"]
    table = study.table("quality").loc[study.is_val]
    for verdict, name in ((True, "mean_q_correct"), (False, "mean_q_misclassified")):
        mean_q = table.loc[table["correct"].astype(bool) == verdict, "q_score"].mean()
        assert_allclose(row[name], mean_q, rtol=1e-6)
    assert row["top1_low"] <= row["top1"] <= row["top1_high"]


def test_judge__with_features_chosen_elsewhere(represented):
    computed_here = evaluate_representations(represented, epsilon=1.5, lr=0.1, resamples=0)
    discriminative = discriminative_mask(represented.raw[~represented.is_val], epsilon=1.5)
    same = evaluate_representations(
        represented, discriminative=discriminative, epsilon=1.5, lr=0.1, resamples=0
    )
    assert same == computed_here
    none = evaluate_representations(
        represented, discriminative=np.zeros_like(discriminative), epsilon=1.5, lr=0.1, resamples=0
    )
    assert none["share_nonempty"] == 0 == none["mean_q_correct"] and none["q_auroc"] == 0.5
    assert none["top1"] == computed_here["top1"] and "top1_low" not in none


def test_judge__says_why_it_cannot(represented):
    unlabelled = Represented(represented.raw, np.full(len(represented.raw), -1), represented.is_val, [])
    row = evaluate_representations(unlabelled)
    assert row["note"] == "the images have no labels" and "top1" not in row
    train_only = Represented(
        represented.raw, represented.codes, np.zeros_like(represented.is_val), represented.class_names
    )
    assert evaluate_representations(train_only)["note"] == "no labelled evaluation images"
    one = Represented(represented.raw, np.zeros_like(represented.codes), represented.is_val, ["a"])
    assert evaluate_representations(one)["note"] == "fewer than two labelled classes to train on"


def test_judge__without_a_discriminative_feature(represented):
    row = evaluate_representations(represented, epsilon=40.0, lr=0.1, resamples=10)
    assert row["n_discriminative"] == 0 and "discriminative" in row["note"]
    assert row["q_auroc"] == 0.5 and 0 < row["top1"] <= 1


def test_represented__refuses_lengths_that_differ(represented):
    with pytest.raises(ShapeError):
        Represented(represented.raw[1:], represented.codes, represented.is_val, represented.class_names)
