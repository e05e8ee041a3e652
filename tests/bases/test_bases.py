"""Bases of a study: codes and numbers against loops, controls, resuming, what commands say, and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from core.bases.basis import codes_of
from core.bases.dictionary import check_latents
from core.bases.kinds import KINDS
from core.bases.requests import add_basis, remove_basis
from core.cli import main
from core.config import BasisConfig
from core.errors import SettingsError
from core.pipeline.verify import verify
from core.publish.basis_export import export_basis
from core.publish.summary import info
from core.store import Study, open_study
from core.study.manifest import read_manifest, write_manifest
from core.study.progress import Progress
from core.study.writer import StepWriter
from core.training.dictionaries import DictionaryRun


@pytest.fixture
def study(shared_study: Path, tmp_path: Path) -> Study:
    return open_study(shutil.copytree(shared_study, tmp_path / "study"))


def add(study: Study, kind: str, name: str | None = None, **settings: object) -> Study:
    config = BasisConfig(kind=kind, **{"size": 12, "k": 3, "steps": 40, **settings})  # type: ignore[arg-type]
    add_basis(study.path, name, config, Progress.silent(), device="cpu")
    return open_study(study.path)


def raw_of(study: Study) -> np.ndarray:
    return study.array("representations")[:].astype(np.float64)


def dense(study: Study, name: str) -> np.ndarray:
    return codes_of(study, study.bases[name]).dense(study.bases[name].card["size"]).astype(np.float64)


def part(study: Study, name: str, item: str) -> np.ndarray:
    return study.vector(study.bases[name].item(item)).astype(np.float64)


def topk_loop(study: Study, name: str, k: int) -> np.ndarray:
    """z = the k largest of (x - b) We + be, those below 0 left out; vector by vector."""
    encoder, bias, centre = (part(study, name, item) for item in ("encoder", "bias", "pre_bias"))
    codes = np.zeros((study.n_images, len(encoder)))
    for row, x in enumerate(raw_of(study)):
        pre = encoder @ (x - centre) + bias
        for latent in np.argsort(-pre)[:k]:
            codes[row, latent] = max(pre[latent], 0)
    return codes


@pytest.mark.parametrize("kind", ["topk", "matryoshka", "random"])
def test_codes_and_numbers_of_a_sparse_dictionary_are_those_of_a_loop(study, kind):
    study = add(study, kind, "d")
    codes, card, raw = dense(study, "d"), study.bases["d"].card, raw_of(study)
    np.testing.assert_allclose(codes, topk_loop(study, "d", 3), atol=1e-4 * np.abs(raw).max())
    decoder, offset = part(study, "d", "decoder"), part(study, "d", "offset")
    np.testing.assert_allclose(np.linalg.norm(decoder, axis=1), 1, atol=1e-5)
    errors = ((raw - codes @ decoder - offset) ** 2).sum(1)
    spread = ((raw - raw.mean(0)) ** 2).sum()
    assert card["r2"] == pytest.approx(1 - errors.sum() / spread, abs=1e-4)
    val = study.is_val
    spread_val = ((raw[val] - raw[val].mean(0)) ** 2).sum()
    assert card["r2_val"] == pytest.approx(1 - errors[val].sum() / spread_val, abs=1e-4)
    assert card["l0"] == pytest.approx((codes != 0).sum(1).mean())
    assert card["dead"] == pytest.approx((codes == 0).all(0).mean())
    table = study.table("basis_d")
    assert table["l0"].sum() == pytest.approx(card["l0"])
    latent = int(table["r2"].to_numpy().argmax())
    without = codes.copy()
    without[:, latent] = 0
    lost = ((raw - without @ decoder - offset) ** 2).sum() - errors.sum()
    assert table["r2"][latent] == pytest.approx(lost / spread, abs=1e-4)
    alive = ~table["dead"].to_numpy()
    assert card["stability"] == pytest.approx(table["stability"][alive].mean())


def test_kmeans_and_pca_are_those_of_scikit_learn(study):
    study = add(add(study, "kmeans", size=4), "pca", size=5, k=5)
    raw, train = raw_of(study), ~study.is_val
    fitted = raw[train].astype(np.float32)
    mean = fitted.mean(0, dtype=np.float64).astype(np.float32)
    make: Any = MiniBatchKMeans
    kmeans = make(4, batch_size=4096, n_init=1, random_state=0).fit(fitted - mean)
    assert (dense(study, "kmeans").argmax(1) == kmeans.predict((raw - mean).astype(np.float32))).all()
    assert (dense(study, "kmeans").sum(1) == 1).all()
    pca = PCA(5, random_state=0).fit(fitted)
    np.testing.assert_allclose(
        dense(study, "pca"), pca.transform(raw.astype(np.float32)), atol=1e-3 * np.abs(raw).max()
    )
    assert study.bases["pca"].card["stability"] == pytest.approx(1)
    assert set(np.diff(codes_of(study, study.bases["kmeans"]).indptr)) == {1}


def test_nmf_has_codes_and_components_of_at_least_0_and_refuses_negative_features(study, tmp_path):
    study = add(study, "nmf", size=4, k=4)
    assert dense(study, "nmf").min() >= 0 and part(study, "nmf", "decoder").min() >= 0
    assert study.bases["nmf"].card["r2"] > 0.5
    from core.study.writer import write_study

    with write_study(tmp_path / "signed") as writer, writer.step("embed", {}) as step:
        step.table("images", study.images)
        step.array("representations").put(0, raw_of(study).astype(np.float32) - 1)
        step.finish_array("representations", 1)
    with pytest.raises(SettingsError, match="negative"):
        add(open_study(tmp_path / "signed"), "nmf")


def test_a_basis_is_added_listed_exported_and_removed(study, tmp_path, capsys):
    path = str(study.path)
    small = ["--size", "12", "--k", "3", "--steps", "20", "--device", "cpu"]
    assert main(["basis", path, "--kind", "topk", "--name", "sae", *small, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["bases"]
    facts = info(open_study(study.path))["bases"]
    assert listed == facts and [one["name"] for one in facts] == ["sae"]
    assert {"name", "kind", "size", "k", "r2", "l0", "dead", "stability"} <= set(facts[0])
    assert (facts[0]["kind"], facts[0]["size"], facts[0]["k"]) == ("topk", 12, 3)
    assert main(["info", path]) == 0
    assert "sae (topk, 12 " in capsys.readouterr().out
    assert verify(study.path) == []

    assert main(["export", path, "basis", "--basis", "sae", "-o", str(tmp_path / "b.npz")]) == 0
    with np.load(tmp_path / "b.npz") as held:
        card = json.loads(str(held["card"]))
        assert held["decoder"].shape == (12, study.array("representations").shape[1])
        assert held["decoder"].dtype == np.float32 and len(held["indptr"]) == study.n_images + 1
        codes = np.zeros((study.n_images, 12))
        for row, (low, high) in enumerate(zip(held["indptr"][:-1], held["indptr"][1:], strict=True)):
            codes[row, held["indices"][low:high]] = held["data"][low:high]
    study = open_study(study.path)
    np.testing.assert_array_equal(codes, dense(study, "sae"))
    assert (
        card["encoder"] == study.summary("embed")["encoder"]["fingerprint"] and card["r2"] == facts[0]["r2"]
    )
    assert export_basis(study, "sae", tmp_path / "latents.csv") == 12
    columns = {"latent", "stability", "r2", "l0", "dead"}
    assert columns <= set(pd.read_csv(tmp_path / "latents.csv").columns)

    before = {entry.name for entry in study.path.iterdir()}
    assert main(["basis", path, "--remove", "sae"]) == 0
    assert not [name for name in {e.name for e in study.path.iterdir()} if "sae" in name] and before
    assert open_study(study.path).bases == {} and verify(study.path) == []


def test_card__says_what_random_directions_explain_and_how_many_latents_are_found_again(study):
    study = add(add(study, "topk", "d", seeds=2), "random", "r", seeds=1)
    card, table = study.bases["d"].card, study.table("basis_d")
    alive = table.loc[~table["dead"].to_numpy(bool), "stability"]
    assert (card["n_alive"], card["n_again"]) == (len(alive), int((alive >= 0.7).sum()))
    assert card["r2_random"] == pytest.approx(study.bases["r"].card["r2_val"], abs=1e-4)  # the same draw
    assert "r2_random" not in study.bases["r"].card
    judged = {one["name"]: one for one in info(study)["bases"]}
    assert judged["d"]["verdict_record"]["value"] == card["r2_val"] and judged["r"]["verdict"] is None


def test_default_sizes__fit_the_number_of_images(study):
    add_basis(study.path, "few", BasisConfig(kind="random", seeds=1), Progress.silent(), device="cpu")
    card = open_study(study.path).bases["few"].card
    n_train = int((~study.is_val).sum())
    assert card["size"] == min(8 * study.array("representations").shape[1], n_train // 4)
    assert card["k"] == max(1, min(32, card["size"] // 8))


def test_k_that_nobody_gave_is_at_most_the_latents(study, capsys):
    few = ["basis", str(study.path), "--kind", "random", "--size", "6", "--seeds", "1", "--device", "cpu"]
    assert main(few) == 0
    assert open_study(study.path).bases["random"].card["k"] == 1  # an eighth of them
    assert main([*few, "--k", "32", "--name", "more"]) == 2
    assert "lower k" in capsys.readouterr().err


def test_one_latent_alone_is_refused(study, capsys):
    for kind, more in {"random": ["--size", "1"], "kmeans": ["--size", "1"]}.items():
        assert main(["basis", str(study.path), "--kind", kind, *more, "--seeds", "1", "--device", "cpu"]) == 2
        assert "--size 1:" in capsys.readouterr().err
    assert open_study(study.path).bases == {} and KINDS["nmf"].default_size(4, 100) == 3
    with pytest.raises(SettingsError, match=r"sae\.pt: .*3"):
        check_latents(1, "sae.pt")


def test_a_changed_index_is_no_index(study):
    study = add(study, "random")
    basis = study.bases["random"]
    (file,) = (study.path / "basis_random_features").glob("*.npy")
    values = np.load(file)
    values[3] = 99
    np.save(file, values)
    with pytest.raises(Exception, match="99, .*12"):
        codes_of(open_study(study.path), basis)


def test_a_new_representation_makes_a_basis_stale(study):
    study = add(study, "random")
    from core.study.writer import write_study

    images, raw = study.images, raw_of(study).astype(np.float32)
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", images)
        step.array("representations").put(0, raw * 2)
        step.finish_array("representations", 1)
    assert open_study(study.path).bases == {}


def test_an_interrupted_training_goes_on_to_the_same_bits(study, tmp_path, monkeypatch):
    other = open_study(shutil.copytree(study.path, tmp_path / "other"))
    straight = add(other, "topk")
    review = DictionaryRun.review

    def interrupted(run: DictionaryRun) -> None:
        review(run)
        if run.seed == 1 and run.step == 25:
            raise KeyboardInterrupt

    monkeypatch.setattr(DictionaryRun, "review", interrupted)
    monkeypatch.setattr("core.training.dictionaries.SAVE_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        add(study, "topk")
    assert len(list(study.path.glob(".basis-topk-*.resume"))) == 2 and verify(study.path) == []
    monkeypatch.setattr(DictionaryRun, "review", review)
    done: list[int] = []
    advance = DictionaryRun.advance
    monkeypatch.setattr(DictionaryRun, "advance", lambda run: (done.append(run.step), advance(run))[1])
    resumed = add(study, "topk")
    assert len(done) < 40  # the first seed is kept, the second goes on
    for item in ("decoder", "encoder", "values", "features"):
        np.testing.assert_array_equal(part(resumed, "topk", item), part(straight, "topk", item))
    assert resumed.bases["topk"].card == straight.bases["topk"].card
    assert not list(study.path.glob(".basis-*"))


def test_an_interrupted_training_does_not_go_on_after_another_split(study, monkeypatch):
    done: list[int] = []
    advance = DictionaryRun.advance

    def interrupted(run: DictionaryRun) -> None:
        if run.step == 5:
            raise KeyboardInterrupt
        advance(run)

    monkeypatch.setattr(DictionaryRun, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add(study, "topk", seeds=1)
    frame, manifest, out = study.table("images"), read_manifest(study.path), StepWriter(study.path, "")
    out.table("images", frame.assign(split=frame["split"].map({"train": "val", "val": "train"})))
    manifest["items"]["images"] |= out.items["images"]
    write_manifest(study.path, manifest)
    monkeypatch.setattr(DictionaryRun, "advance", lambda run: (done.append(run.step), advance(run))[1])
    add(open_study(study.path), "topk", seeds=1)
    assert len(done) == 40 and not list(study.path.glob(".basis-*"))


def test_the_same_command_again_does_nothing(study, capsys):
    study = add(study, "random")
    before = (study.path / "manifest.json").read_bytes()
    add(study, "random")
    assert (study.path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "topk", "k": 13}, "there are only 12 latents"),
        ({"kind": "pca", "size": 9999}, "components"),
        ({"kind": "topk", "name": "units"}, "is not 'units'"),
    ],
)
def test_what_does_not_suit_the_study_is_one_line_and_changes_nothing(study, given, said):
    before = (study.path / "manifest.json").read_bytes()
    with pytest.raises(SettingsError, match=said) as caught:
        add(study, **given)
    assert "\n" not in str(caught.value)
    assert (study.path / "manifest.json").read_bytes() == before


def test_a_basis_that_is_not_there_names_what_is(study):
    study = add(study, "random")
    with pytest.raises(SettingsError, match=r"no basis 'randon'.*'?random'?.*To add one"):
        remove_basis(study.path, "randon")
