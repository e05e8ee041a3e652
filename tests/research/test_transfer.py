from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.compare.compare import compare
from core.errors import SettingsError, ShapeError, StudyError
from core.research.transfer import (
    agreement,
    carried_words,
    explained_share,
    fit_ridge,
    fit_sgd,
    jaccard,
    mapped_features,
)
from core.research.transfer_step import check_same_images, compute_transfer, transfer_inputs
from core.research.transfer_topic import TransferConfig
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests.concepts import reference_concepts as reference
from tests.manifests import edited_manifest


def pair_of_rows(rng, n=60):
    target = np.abs(rng.normal(size=(n, 7)))
    source = target @ rng.normal(size=(7, 5)) + 0.01 * rng.normal(size=(n, 5))
    return target / np.linalg.norm(target, axis=1, keepdims=True), source


def test_fit_sgd__matches_loop(rng):
    target, source = pair_of_rows(rng)
    found = fit_sgd(target, source, lr=0.7, batch_size=16, epochs=2, seed=5)
    order = np.random.default_rng(5)
    batches = []
    for _ in range(2):
        rows = order.permutation(len(target))
        batches += [rows[start : start + 16] for start in range(0, len(rows), 16)]
    assert_allclose(found, reference.sgd_map(target, source, batches, 0.7), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("penalty", [1e-6, 1e-2, 1.0])
def test_fit_ridge__matches_least_squares(rng, penalty):
    target, source = pair_of_rows(rng)
    found = fit_ridge(target, source, penalty=penalty)
    assert_allclose(found, reference.ridge(target, source, penalty), rtol=1e-6, atol=1e-9)


def test_fit_ridge__finds_a_planted_map(rng):
    target, _ = pair_of_rows(rng, 300)
    z = rng.normal(size=(4, 7))
    assert_allclose(fit_ridge(target, target @ z.T, penalty=1e-12), z, atol=1e-6)


def test_planted_permutation__is_explained_by_sgd():
    """Averaged over all entries, the error has a gradient r times smaller, and the map explains less than the
    mean."""
    rng = np.random.default_rng(0)
    raw = rng.gamma(0.5, size=(3000, 1)) * rng.gamma(0.4, size=(3000, 64)) + 0.02
    source = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    order = rng.permutation(64)
    target = source[:, order]
    ridge, sgd = fit_ridge(target, source), fit_sgd(target, source)
    assert explained_share(ridge, target, source) > 0.99
    assert explained_share(sgd, target, source) > 0.85
    averaged = fit_sgd(target, source, lr=1 / 64)
    assert explained_share(averaged, target, source) < 0.2
    pairs = mapped_features(sgd, n_std=4.0)
    assert len(pairs) >= 60 and (order[pairs["target_feature"]] == pairs["source_feature"]).all()


def test_both_refuse_other_images():
    for fit in (fit_sgd, fit_ridge):
        with pytest.raises(ShapeError, match="3.*target.*4"):
            fit(np.ones((3, 2)), np.ones((4, 2)))


def test_explained_share__of_the_truth_and_of_nothing(rng):
    target, _ = pair_of_rows(rng)
    z = rng.normal(size=(4, 7))
    source = target @ z.T
    assert explained_share(z, target, source) == pytest.approx(1.0)
    assert explained_share(np.zeros_like(z), target, source - source.mean(0)) == pytest.approx(0.0)
    assert np.isnan(explained_share(z, target, np.ones((60, 4))))


def test_mapped_features__by_hand():
    z = np.zeros((10, 10))
    z[3, 4], z[3, 1], z[7, 2] = 1.0, 2.0, 0.01
    found = mapped_features(z, n_std=4.0)  # mean 0.0301, deviation 0.2215: above 0.916
    assert found.to_dict("list") == {"source_feature": [3, 3], "target_feature": [1, 4], "weight": [2.0, 1.0]}


def test_mapped_features__do_not_depend_on_the_scale_of_z(rng):
    z = rng.standard_t(2, size=(40, 30))
    pairs = ["source_feature", "target_feature"]
    assert_array_equal(mapped_features(z)[pairs], mapped_features(1e-3 * z)[pairs])
    assert len(mapped_features(z)) > 0


def test_carried_words__by_hand():
    mapping = pd.DataFrame(
        {"source_feature": [3, 3, 5], "target_feature": [1, 4, 1], "weight": [2.0, 1.0, 0.5]}
    )
    found = carried_words(mapping, {3: ["dog", "red"], 5: ["red"]})
    assert found.to_dict("list") == {
        "feature": [1, 1, 4, 4],
        "rank": [1, 2, 1, 2],
        "word": ["red", "dog", "dog", "red"],
        "score": [2.5, 2.0, 1.0, 1.0],
        "source_features": ["3;5", "3", "3", "3"],
    }
    assert carried_words(mapping, {}).empty


def test_agreement__by_hand():
    carried = {1: ["dog", "red"], 2: ["cat"], 9: ["sky"]}
    direct = {1: ["dog", "grass", "ball"], 2: ["bee"], 3: ["red"]}
    found = agreement(carried, direct)
    assert found.table["feature"].tolist() == [1, 2]
    assert found.table["n_shared"].tolist() == [1, 0]
    assert found.precision == pytest.approx((1 / 2 + 0) / 2)
    assert found.recall == pytest.approx((1 / 3 + 0) / 2)
    assert found.jaccard == pytest.approx((1 / 4 + 0) / 2)
    assert found.chance == pytest.approx(((0 + 1 / 2) / 2 + 0) / 2)
    assert jaccard(set(), set()) != jaccard(set(), set())  # NaN


def test_agreement__of_nothing():
    found = agreement({}, {1: ["dog"]})
    assert found.table.empty and np.isnan(found.jaccard)


def add_concepts(folder, words):
    rows = [(str(f), rank, w) for f, found in words.items() for rank, w in enumerate(found, start=1)]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", pd.DataFrame(rows, columns=["group", "rank", "word"]).assign(kept=True))


def transfer(source, target, **options):
    with write_study(target) as writer:
        opened = open_study(source)
        with writer.step("transfer", {}, outside=transfer_inputs(opened)) as step:
            config = TransferConfig(**options)
            compute_transfer(opened, open_study(target), step, config, progress=Progress.silent())
    return open_study(target)


@pytest.fixture(scope="module")
def permuted(tmp_path_factory):
    """Two studies of the same images: the target's features are the source's, in another order."""
    from tests.synthetic import make_study

    folder = tmp_path_factory.mktemp("transfer")
    source = make_study(folder / "source", pictures=False, n_train=240, n_features=24)
    shutil.copytree(source.with_name("source.input"), folder / "target.input")
    order = np.random.default_rng(3).permutation(24)
    raw = np.load(folder / "target.input" / "raw.npy")
    np.save(folder / "target.input" / "raw.npy", raw[:, order])
    from core.pipeline.run import analyze

    options = {"images": str(folder / "target.input" / "images.csv")}
    options |= {"representations": str(folder / "target.input" / "raw.npy")}
    options |= {"epsilon": "auto", "bootstrap": 5, "method": "pca"}
    analyze(folder / "target", options, Progress.silent())
    add_concepts(source, {j: [f"word{j}", "common"] for j in range(24)})
    add_concepts(folder / "target", {t: [f"word{s}", "common"] for t, s in enumerate(order)})
    return source, folder / "target", order


@pytest.mark.slow
def test_transfer__carries_words_along_a_permutation(permuted):
    source, target, order = permuted
    study = transfer(source, target, n_std=3.0)
    mapping = study.table("transfer")
    assert mapping["method"].unique().tolist() == ["ridge", "sgd"]  # the closed form first
    ridge = mapping[mapping["method"] == "ridge"]
    assert len(ridge) > 10
    assert (order[ridge["target_feature"]] == ridge["source_feature"]).all()
    summary = study.summary("transfer")
    assert summary["ridge"]["jaccard"] == 1.0 > summary["ridge"]["chance"]
    assert list(summary["explained_share"]) == ["ridge", "sgd"]
    assert summary["explained_share"]["ridge"] > 0.99 and summary["explained_share"]["sgd"] > 0
    assert summary["ridge"]["explained_share"] == summary["explained_share"]["ridge"]
    taken = study.table("transfer_concepts")
    assert set(taken["method"]) == {"sgd", "ridge"} and set(taken["word"]) > {"common"}


def test_transfer__a_map_that_explains_less_than_nothing_carries_no_words(permuted):
    source, target, _ = permuted
    study = transfer(source, target, n_std=3.0, lr=1e-6)
    summary = study.summary("transfer")
    assert summary["explained_share"]["sgd"] < 0 < summary["explained_share"]["ridge"]
    assert set(study.table("transfer_concepts")["method"]) == {"ridge"}
    assert set(study.table("transfer_check")["method"]) == {"ridge"}
    assert summary["sgd"]["n_with_words"] == 0 and summary["sgd"]["jaccard"] is None
    assert summary["sgd"]["n_mapped"] > 0  # which features it would map is still there


def test_command__says_what_each_map_explains(permuted, run):
    source, target, _ = permuted
    lines = run("transfer", source, target, "--lr", 0.000001).out.splitlines()
    assert lines[0].startswith("ridge  explains 99") or lines[0].startswith("ridge  explains 100")
    assert "features get words" in lines[0]
    assert lines[1].startswith("sgd    explains −") and "no words" in lines[1]


def test_compare__shows_no_words_of_a_map_that_explains_less_than_nothing(permuted):
    """Also not those that an older version stored."""
    source, target, _ = permuted
    transfer(source, target, n_std=3.0)
    with edited_manifest(target) as manifest:
        summary = manifest["steps"]["transfer"]["summary"]
        summary["explained_share"] = {"sgd": -0.5, "ridge": 0.99}
    found = compare([open_study(source), open_study(target)], resamples=10)
    (carried,) = found.transfers
    assert list(carried.about) == ["ridge", "sgd"] and set(carried.features["method"]) == {"ridge"}
    first, second = found.transfers.sentences()
    assert "(ridge): its map explains 99.0 % of source; " in first and "features get words" in first
    assert second.endswith("its map explains less of source than its mean does (−50.0 %): no words")


def test_transfer__is_repeatable(permuted):
    source, target, _ = permuted
    first = transfer(source, target).table("transfer")
    pd.testing.assert_frame_equal(transfer(source, target).table("transfer"), first)


@pytest.mark.slow
def test_transfer__refuses_other_images_and_itself(permuted, study_path):
    source, _, _ = permuted
    other = study_path(pictures=False, n_val=10)
    with pytest.raises(StudyError, match="different"):
        transfer(source, other)
    with pytest.raises(SettingsError, match="target"):
        transfer(source, source)


def test_transfer__needs_words(permuted, tmp_path):
    source, target, _ = permuted
    bare = shutil.copytree(source, tmp_path / "bare")
    with write_study(bare) as writer:
        writer.forget("concepts")
    with pytest.raises(StudyError, match="concepts"):
        transfer(bare, target)
    assert "has no concepts to check" in transfer(source, bare).summary("transfer")["note"]


def test_check_same_images__finds_them_in_another_order(shared_study, tmp_path):
    study = open_study(shared_study)
    other = shutil.copytree(shared_study, tmp_path / "other")
    turned = study.images.iloc[::-1].reset_index(drop=True)
    with write_study(other) as writer, writer.step("embed", {}) as step:
        step.table("images", turned)
    rows = check_same_images([study, open_study(other)])
    assert rows[0].tolist() == list(range(120)) and rows[1].tolist() == list(range(119, -1, -1))


@pytest.mark.slow
def test_check_same_images__refuses_others(shared_study, study_path):
    study, other = open_study(shared_study), open_study(study_path(pictures=False, n_val=30))
    with pytest.raises(StudyError, match=r"\(120.*\(110\).*110"):
        check_same_images([study, other])
    with pytest.raises(StudyError, match="different"):
        check_same_images([other, study])
