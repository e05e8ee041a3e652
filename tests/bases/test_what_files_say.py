"""Which activation, k, bias and orientation a file of a dictionary means, and which files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.bases.dictionary import Coder
from core.bases.dictionary_measures import chosen
from core.bases.files import ReadDictionary, read_dictionary
from core.bases.reading import StatedSettings
from core.errors import CheckpointError
from tests.bases.foreign_files import K, M, R, saev, tensors, torch_file, weights

W = weights()
LAYERS = {"encoder__weight": W["W"], "encoder__bias": W["b"], "decoder__weight": W["D"].T}
OPEN = {**LAYERS, "decoder__bias": W["o"]}  # two Linear layers of anybody
LEARNED = {**LAYERS, "b_dec": W["o"], "k": np.array(K), "threshold": np.array(0.3, np.float32)}
MATRICES = {"W_enc": W["W"].T, "W_dec": W["D"], "b_enc": W["b"], "b_dec": W["o"]}
FINAL = {"encoder__final_block__0__weight": W["W"], "encoder__final_block__0__bias": W["b"]}
COMPLETE = {**FINAL, "dictionary___weights": W["D"]}
SAE_LENS = {"apply_b_dec_to_input": True, "d_in": R, "d_sae": M}


def read(folder: Path, arrays: dict[str, Any], settings: Any = None, **asked: Any) -> ReadDictionary:
    path = torch_file(folder / "sae.pt", **arrays)
    if settings is not None:
        (folder / "config.json").write_text(json.dumps(settings))
    return read_dictionary(path, asked=StatedSettings(**asked))


def kinds(found: ReadDictionary) -> list[str]:
    return [note.kind for note in found.notes]  # pyright: ignore


@pytest.mark.parametrize(
    ("arrays", "settings", "asked", "activation", "k", "notes"),
    [
        (OPEN, {"activation": "topk", "k": K}, {}, "topk", K, ["bias_kept"]),
        (OPEN, {"activation": "topk:3"}, {}, "topk", 3, ["bias_kept"]),
        (OPEN, {"model": {"activation": "nn.ReLU()"}}, {}, "relu", None, ["bias_kept"]),
        (OPEN, None, {"k": 5}, "topk", 5, ["bias_kept"]),
        (OPEN, None, {"activation": "relu", "pre_bias": False}, "relu", None, []),
        (OPEN, {"activation": "relu", "threshold": 0.2}, {}, "jumprelu", None, ["bias_kept"]),
        (LEARNED, None, {"activation": "threshold"}, "jumprelu", None, []),
        (LEARNED, None, {"k": 2}, "topk", 2, []),
        (LEARNED, {"trainer": {"dict_class": "AutoEncoderTopK", "k": K}}, {}, "topk", K, []),
        (LEARNED, {"trainer": {"dict_class": "BatchTopKSAE", "k": K}}, {}, "jumprelu", None, []),
        (MATRICES, {**SAE_LENS, "architecture": "abstopk", "k": K}, {}, "magnitude", K, []),
        (MATRICES, {**SAE_LENS, "activation_fn": "relu"}, {}, "relu", None, []),
        (MATRICES, None, {"k": K}, "topk", K, ["bias_subtracted"]),
        ({**MATRICES, "threshold": W["t"]}, None, {}, "jumprelu", None, ["bias_kept"]),
        (COMPLETE, {"top_k": K}, {}, "topk", K, []),
        (COMPLETE, {"activation": "batchtopk", "threshold": 0.3}, {}, "jumprelu", None, []),
        ({**COMPLETE, "jump_thresholds": W["t"]}, {"activation": "jumprelu"}, {}, "jumprelu", None, []),
        (OPEN, {"k": K, "layer_norm": True, "lr": 1e-3}, {}, "topk", K, ["bias_kept", "settings_left"]),
    ],
)  # fmt: skip
def test_what_decides_on_the_codes(tmp_path, arrays, settings, asked, activation, k, notes):
    found = read(tmp_path, arrays, settings, **asked)
    assert (found.dictionary.activation, found.dictionary.k) == (activation, k)
    assert kinds(found) == notes


@pytest.mark.parametrize(
    ("arrays", "settings", "said"),
    [
        (OPEN, None, "nothing in the file says.*--k K.*--activation relu"),
        (OPEN, {"activation": "silu"}, "its activation is 'silu'"),
        (OPEN, {"activation": "topk"}, "does not say k: give --k K"),
        (OPEN, {"activation": "batchtopk", "k": K}, "--k K"),
        (LEARNED, None, "BatchTopKSAE and AutoEncoderTopK write the same"),
        (LEARNED, {"trainer": {"dict_class": "AutoEncoderTopK", "k": 9}}, "'k' says 3, trainer.k says 9"),
        (LEARNED, {"trainer": {"dict_class": "Mine"}}, "dict_class is 'Mine'"),
        (MATRICES, {**SAE_LENS, "architecture": "mine"}, "architecture is 'mine'"),
        (MATRICES, {**SAE_LENS, "activation_fn_str": "tanh-relu"}, "activation_fn is 'tanh-relu'"),
        (MATRICES, {**SAE_LENS, "normalize_activations": "mine"}, "normalize_activations is 'mine'"),
        (MATRICES, {**SAE_LENS, "architecture": "temporal"}, "temporal"),
        (MATRICES, {**SAE_LENS, "d_sae": 77}, r"10 latents of 6 features, but config.json says d_sae 77"),
        ({**OPEN, "norm__weight": W["o"], "norm__bias": W["o"]}, {"k": K}, "norm.bias, norm.weight, a norm"),
        ({**OPEN, "norm__weight": W["o"]}, None, "norm.weight, a normalisation"),
        ({**MATRICES, "x_scale": W["o"]}, {**SAE_LENS}, "x_scale, a factor"),
        ({**COMPLETE, "Q": W["b"][:4]}, {"top_k": K}, "quantised"),
        ({"dictionary___weights": W["D"]}, None, "matching pursuit"),
        (COMPLETE, None, "--k K"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(tmp_path, arrays, settings, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        read(tmp_path, arrays, settings)
    assert "\n" not in str(caught.value)


def test_a_module_around_all_tensors_is_taken_off(tmp_path):
    wrapped = {f"sae__{name}": one for name, one in LEARNED.items()}
    assert read(tmp_path, wrapped, k=2).dictionary.k == 2


def test_n_tensors_are_those_that_were_used(tmp_path):
    arrays = {**LEARNED, "num_batches": np.array(7)}
    found = read(tmp_path, arrays, {"trainer": {"dict_class": "AutoEncoderTopK", "k": K}})
    assert found.dictionary.facts["n_tensors"] == 5  # not the threshold, and not the count


def test_settings_of_a_checkpoint_lie_one_folder_up_and_in_the_file_itself(tmp_path):
    place = tmp_path / "trainer_0" / "checkpoints"
    place.mkdir(parents=True)
    (tmp_path / "trainer_0" / "config.json").write_text(
        json.dumps({"trainer": {"dict_class": "BatchTopKSAE"}})
    )
    assert read_dictionary(torch_file(place / "ae_5.pt", **LEARNED)).dictionary.activation == "jumprelu"
    held = {"state_dict": tensors(**OPEN), "cfg": {"activation": "topk", "k": K}, "epoch": 3}
    torch.save(held, tmp_path / "sae.pt")
    assert read_dictionary(tmp_path / "sae.pt").dictionary.k == K
    (tmp_path / "config.json").write_text(json.dumps({"k": K + 1}))
    with pytest.raises(CheckpointError, match="the file itself says k 3, and config.json beside it says 4"):
        read_dictionary(tmp_path / "sae.pt")


@pytest.mark.parametrize(("asked", "subtracted"), [(None, True), (False, False)])
def test_saev_without_a_schema_subtracts_unless_told_otherwise(tmp_path, asked, subtracted):
    path = saev(tmp_path, W, {"d_vit": R, "exp_factor": 2})
    found = read_dictionary(path, asked=StatedSettings(pre_bias=asked))
    assert found.dictionary.pre_bias.any() == subtracted and not found.notes


def test_a_later_schema_of_saev_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="schema 9"):
        read_dictionary(saev(tmp_path, W, {"schema": 9, "cfg": {"d_model": R}}))


def test_factors_and_whitening_beside_a_checkpoint_of_sae_lens_are_taken(rng, tmp_path):
    x = rng.standard_normal((20, R)).astype(np.float32)
    mean, matrix = rng.standard_normal(R), rng.standard_normal((R, R)) + 3 * np.eye(R)
    inverse = np.linalg.inv(matrix)
    for name, scaler, seen in (
        ("expected_average_only_in", {"scaling_factor": 2.5}, x * 2.5),
        ("covariance_whitening", {"scaling_factor": None, "has_whitening": True}, (x - mean) @ matrix),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "activation_scaler.json").write_text(json.dumps(scaler))
        if "whitening" in name:
            from safetensors.numpy import save_file

            parts = {"mean": mean, "matrix": matrix, "inverse_matrix": inverse}
            save_file(parts, folder / "activation_whitening.safetensors")
        settings = {**SAE_LENS, "architecture": "topk", "k": K, "normalize_activations": name}
        found = read(folder, MATRICES, settings)
        pre = (seen - W["o"]) @ W["W"].T + W["b"]
        codes = Coder(found.dictionary).encode(torch.from_numpy(x))
        values = torch.zeros(20, M)
        values[codes.rows, codes.latents] = codes.values
        least = np.sort(pre, 1)[:, [-K]]
        np.testing.assert_allclose(values, np.where(pre >= least, np.maximum(pre, 0), 0), atol=1e-4)
        assert not found.notes


def test_of_as_many_latents_as_features_the_orientation_that_fits_is_taken(rng, tmp_path):
    """An orthogonal dictionary, of which one orientation reconstructs and the other does not."""
    rows = np.linalg.qr(rng.standard_normal((R, R)))[0].astype(np.float32)
    x = rng.standard_normal((200, R)).astype(np.float32)
    for stored in (rows, rows.T):  # as a row for each latent, and as a Linear layer
        arrays = {"encoder__weight": rows, "decoder__weight": stored}
        found = read(tmp_path, arrays, {"activation": "topk", "k": R})
        dictionary, notes = chosen(found, R, x, "cpu")
        np.testing.assert_array_equal(dictionary.decoder, rows)
        assert [note.kind for note in notes] == ["orientation"]  # pyright: ignore


def test_components_of_scikit_learn_are_what_transform_makes(rng, tmp_path):
    from sklearn.decomposition import NMF, PCA, FastICA

    x = rng.laplace(size=(80, R)) @ rng.standard_normal((R, R)) + 1
    for model, values in (
        (PCA(4), x),
        (PCA(4, whiten=True), x),
        (FastICA(4, random_state=0, max_iter=2000), x),
        (NMF(n_components=4, tol=1e-7, max_iter=5000), np.abs(x)),  # pyright: ignore[reportArgumentType]
    ):
        model.fit(values)
        arrays = {n: v for n, v in vars(model).items() if n.endswith("_") and isinstance(v, np.ndarray)}
        about = {"kind": type(model).__name__, "whiten": str(getattr(model, "whiten", False))}
        about |= {
            name: str(getattr(model, name)) for name in ("beta_loss", "alpha_W") if hasattr(model, name)
        }
        np.savez(tmp_path / "m.npz", **about, **arrays)  # pyright: ignore
        found = read_dictionary(tmp_path / "m.npz")
        codes = Coder(found.dictionary).encode(torch.from_numpy(values.astype(np.float32)))
        dense = torch.zeros(80, 4)
        dense[codes.rows, codes.latents] = codes.values
        np.testing.assert_allclose(dense, model.transform(values), atol=2e-3)
        assert not found.notes


@pytest.mark.parametrize(
    ("said", "refused", "kinds"),
    [
        ({"beta_loss": "frobenius", "alpha_W": "0.0"}, "", []),
        ({"beta_loss": "kullback-leibler", "alpha_W": "0.0"}, "kullback-leibler", []),
        ({"beta_loss": "frobenius", "alpha_W": "0.05"}, "0.05", []),
        ({}, "", ["least_squares"]),
    ],
)
def test_codes_of_another_nmf_are_refused(rng, tmp_path, said, refused, kinds):
    """`transform` of other losses and with a penalty is no plain least squares."""
    components = np.abs(rng.standard_normal((3, R)))
    np.savez(tmp_path / "m.npz", kind="NMF", components_=components, **said)
    if refused:
        with pytest.raises(CheckpointError, match=refused):
            read_dictionary(tmp_path / "m.npz")
        return
    found = read_dictionary(tmp_path / "m.npz")
    assert [note.kind for note in found.notes] == kinds  # pyright: ignore


def test_nothing_of_a_joblib_is_run_and_its_refusal_has_the_line(tmp_path):
    import joblib
    from sklearn.decomposition import PCA

    joblib.dump(PCA(2).fit(np.eye(4)), tmp_path / "pca.joblib")
    with pytest.raises(CheckpointError, match=r"python -c .*numpy.savez\('pca.joblib.npz'"):
        read_dictionary(tmp_path / "pca.joblib")


@pytest.mark.parametrize(("model", "named"), [("Pipeline", r"m\[-1\]"), ("GridSearchCV", "best_estimator_")])
def test_an_npz_of_a_model_around_another_names_that_one(tmp_path, model, named):
    """What the line for a joblib writes of them: they have no arrays of their own."""
    np.savez(tmp_path / "m.npz", kind=model, whiten="False")
    with pytest.raises(CheckpointError, match=named):
        read_dictionary(tmp_path / "m.npz")


def test_a_matrix_alone_or_no_array_names_what_an_npz_needs(rng, tmp_path):
    """overcomplete: NMF has one matrix in its state, SkPCA none; `get_dictionary` gives a tensor."""
    rows = torch.from_numpy(rng.standard_normal((3, R)))
    torch.save({"D": rows}, tmp_path / "nmf.pt")
    torch.save({}, tmp_path / "pca.pt")
    torch.save(rows, tmp_path / "tensor.pt")
    np.savez(tmp_path / "dictionary.npz", dictionary=rows.numpy())
    for name in ("nmf.pt", "pca.pt", "tensor.pt", "dictionary.npz"):
        with pytest.raises(CheckpointError, match=r"an \.npz with components .* is read$"):
            read_dictionary(tmp_path / name)


def test_a_whole_object_around_scikit_learn_names_what_an_npz_needs(tmp_path):
    from sklearn.decomposition import PCA

    module: Any = torch.nn.Module()
    module.model = PCA(2).fit(np.eye(4))
    torch.save(module, tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match=r"get_dictionary.*an \.npz with components"):
        read_dictionary(tmp_path / "whole.pt")


@pytest.mark.parametrize("name", ["cut.npz", "object.npz", "cut.npy"])
def test_damaged_arrays_are_refused(tmp_path, name):
    np.savez(tmp_path / "cut.npz", components=np.eye(4), kind="PCA")
    np.save(tmp_path / "cut.npy", np.eye(40))
    np.savez(tmp_path / "object.npz", components=np.array([{}], object))
    if name.startswith("cut"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="cannot be read as arrays of NumPy"):
        read_dictionary(tmp_path / name)
