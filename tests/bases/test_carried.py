"""A basis that is exported and read back, also into another study, has the same codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.bases.basis import codes_of
from core.bases.requests import add_basis, load_basis
from core.config import BasisConfig
from core.errors import CheckpointError, SettingsError
from core.publish.basis_export import export_basis
from core.store import Study, open_study
from core.study.progress import Progress

SMALL = {"topk": 12, "pca": 4, "kmeans": 5, "random": 12}


@pytest.fixture(scope="module")
def fitted(shared_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a basis of each kind of SMALL."""
    folder = tmp_path_factory.mktemp("carried") / "study"
    shutil.copytree(shared_study, folder)
    for kind, size in SMALL.items():
        config = BasisConfig(kind=kind, size=size, k=3, seeds=1, steps=20 if kind == "topk" else None)
        add_basis(folder, kind, config, Progress.silent(), device="cpu")
    return folder


def codes(study: Study, name: str) -> np.ndarray:
    basis = study.bases[name]
    return codes_of(study, basis).dense(basis.card["size"])


def read_back(study: Path, path: Path, tmp_path: Path) -> Study:
    other = shutil.copytree(study, tmp_path / "other")
    load_basis(other, path, "again", BasisConfig(), Progress.silent(), device="cpu")
    return open_study(other)


@pytest.mark.parametrize("kind", SMALL)
def test_an_exported_npz_is_read_back_with_the_same_codes(fitted: Path, tmp_path: Path, kind: str):
    export_basis(open_study(fitted), kind, tmp_path / "b.npz")
    other = read_back(fitted, tmp_path / "b.npz", tmp_path)
    np.testing.assert_allclose(codes(other, "again"), codes(other, kind), atol=1e-5)
    assert len(other.bases["again"].notes) == (2 if kind == "random" else 1)  # which describes little


@pytest.mark.parametrize("kind", ["topk", "pca", "random"])
def test_settings_of_sae_lens_are_read_back_with_the_same_codes(fitted: Path, tmp_path: Path, kind: str):
    export_basis(open_study(fitted), kind, tmp_path / "out" / "sae_weights.safetensors")
    other = read_back(fitted, tmp_path / "out", tmp_path)
    np.testing.assert_allclose(codes(other, "again"), codes(other, kind), atol=1e-4)
    assert len(other.bases["again"].notes) == (2 if kind == "random" else 1)  # which describes little


def test_sae_lens_has_the_stated_forward_pass(fitted: Path, tmp_path: Path):
    """W_enc, b_enc, W_dec, b_dec as SAELens 6 multiplies them."""
    study = open_study(fitted)
    export_basis(study, "topk", tmp_path / "sae_weights.safetensors")
    w = load_file(tmp_path / "sae_weights.safetensors")
    about = json.loads((tmp_path / "cfg.json").read_text())
    assert (about["architecture"], about["k"], about["d_sae"]) == ("topk", 3, 12)
    x = study.array("representations")[:].astype(np.float64)
    pre = (x - w["b_dec"] * about["apply_b_dec_to_input"]) @ w["W_enc"] + w["b_enc"]
    least = np.sort(pre, 1)[:, [-3]]
    np.testing.assert_allclose(np.where(pre >= least, np.maximum(pre, 0), 0), codes(study, "topk"), atol=1e-4)


def test_what_sae_lens_does_not_have_is_refused_and_so_is_anothers_folder(fitted: Path, tmp_path: Path):
    study = open_study(fitted)
    with pytest.raises(SettingsError, match="nearest.*npz"):
        export_basis(study, "kmeans", tmp_path / "k.safetensors")
    (tmp_path / "cfg.json").write_text('{"d_in": 3}')
    with pytest.raises(SettingsError, match="a folder of its own"):
        export_basis(study, "topk", tmp_path / "sae_weights.safetensors")


def test_an_export_of_before_without_its_encoder(fitted: Path, tmp_path: Path):
    export_basis(open_study(fitted), "pca", tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as held:
        kept = {name: held[name] for name in ("decoder", "offset", "indptr", "indices", "data", "card")}
    np.savez(tmp_path / "old.npz", **kept)
    other = read_back(fitted, tmp_path / "old.npz", tmp_path)
    np.testing.assert_allclose(codes(other, "again"), codes(other, "pca"), atol=1e-5)


def test_what_a_file_says_of_its_layer_and_network_is_kept(fitted: Path, tmp_path: Path):
    out = tmp_path / "out"
    export_basis(open_study(fitted), "pca", out / "sae_weights.safetensors")
    about = json.loads((out / "cfg.json").read_text())
    about["metadata"] |= {
        "model_name": "openai/clip-vit-base-patch32",
        "hook_name": "blocks.9.hook_resid_post",
    }
    (out / "cfg.json").write_text(json.dumps(about))
    other = read_back(fitted, out, tmp_path)
    card = other.bases["again"].card
    assert card["origin"] == {
        "model": about["metadata"]["model_name"],
        "layer": "blocks.9.hook_resid_post",
        "block": 9,
    }


def test_a_matrix_that_is_no_basis_is_refused(fitted: Path, tmp_path: Path):
    width = open_study(fitted).array("representations").shape[1]
    rows = np.random.default_rng(0).standard_normal((5, width)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(CheckpointError, match="not orthonormal.*npz"):
        read_back(fitted, tmp_path / "rows.npy", tmp_path)
