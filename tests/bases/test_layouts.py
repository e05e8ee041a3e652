"""Dictionaries of other libraries: their codes, the mistakes that are named, and files that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.bases.basis import codes_of
from core.bases.dictionary import Coder, SparseRows
from core.bases.files import read_dictionary
from core.bases.requests import load_basis
from core.cli import main
from core.config import BasisConfig
from core.errors import PeregrineError
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests.bases.foreign_files import Case, M, R, cases, sae_lens, topk, weights


def dense(codes: SparseRows) -> np.ndarray:
    found = torch.zeros(codes.n, M)
    found[codes.rows, codes.latents] = codes.values
    return found.numpy()


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.library}-{case.name}")
def test_codes_and_reconstructions_are_those_of_the_librarys_forward_pass(rng, tmp_path, case: Case):
    found = read_dictionary(case.write(tmp_path))
    dictionary, report = found.dictionary, found.report
    assert dictionary.facts["library"] == case.library and report.startswith(f"read as {case.library}: ")
    x = rng.standard_normal((50, R)).astype(np.float32)
    expected = case.codes(x.astype(np.float64))
    coder, raw = Coder(dictionary), torch.from_numpy(x)
    codes = coder.encode(raw)
    np.testing.assert_allclose(dense(codes), expected, atol=2e-5)
    np.testing.assert_allclose(
        coder.decode(codes, raw)[0], case.decoded(expected, x.astype(np.float64)), atol=1e-4
    )
    assert 0 < (expected != 0).mean() < 1  # so that the activation matters


@pytest.fixture
def study(shared_study: Path, tmp_path: Path) -> Study:
    return open_study(shutil.copytree(shared_study, tmp_path / "study"))


def perfect(vectors: np.ndarray, n: int = 2) -> dict[str, np.ndarray]:
    """A dictionary of the n leading directions of vectors, either way: ReLU codes that lose little."""
    centre = vectors.mean(0)
    axes = np.linalg.svd(vectors - centre, full_matrices=False)[2][:n]
    rows = np.concatenate([axes, -axes])
    parts = {"W": rows, "D": rows, "b": np.zeros(len(rows)), "o": centre}
    return {name: np.ascontiguousarray(one, np.float32) for name, one in parts.items()}


def load(study: Study, path: Path, name: str = "theirs", **settings: Any) -> Study:
    load_basis(study.path, path, name, BasisConfig(**settings), Progress.silent(), device="cpu")
    return open_study(study.path)


def raw_of(study: Study) -> np.ndarray:
    return study.array("representations")[:].astype(np.float64)


def test_a_dictionary_that_fits_has_its_numbers_and_no_warning(study, tmp_path, capsys):
    raw = raw_of(study)
    width = raw.shape[1]
    folder = sae_lens(tmp_path, perfect(raw, width // 2), architecture="topk", k=width)
    assert main(["basis", str(study.path), "--load", str(folder), "--name", "theirs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["bases"]
    study = open_study(study.path)
    card = study.bases["theirs"].card
    assert listed["r2"] == card["r2"] > 0.7
    assert listed["verdict"] is None and listed["verdict_record"]["kind"] == "once"  # one run alone
    assert listed["notes"][1:] == [card["report"]]
    assert card["stability"] is None and listed["kind"] == "file"
    codes = codes_of(study, study.bases["theirs"]).dense(width)
    parts = perfect(raw, width // 2)
    np.testing.assert_allclose(codes, topk((raw - parts["o"]) @ parts["W"].T, width), atol=1e-3)


def test_a_k_that_would_do_nothing_is_refused(study, tmp_path, capsys):
    folder = sae_lens(tmp_path, perfect(raw_of(study), 4), architecture="standard")
    assert main(["basis", str(study.path), "--load", str(folder), "--k", "3"]) == 2
    assert "relu" in (said := capsys.readouterr().err) and "--k" in said


@pytest.mark.parametrize("norm", ["layer_norm", "sqrt_d", "mean_norm", "centred"])
def test_a_missing_normalisation_is_named_and_mends_it(study, tmp_path, norm):
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((study.n_images, 6)) @ rng.standard_normal((6, 24))
    raw = 0.05 * rng.lognormal(0, 0.1, (study.n_images, 1)) * (3 * rng.standard_normal(24) + parts)
    raw, is_train = raw.astype(np.float32).astype(np.float64), ~study.is_val
    study, train = with_vectors(study, raw), raw[is_train]
    centred = raw - raw.mean(1, keepdims=True)
    lengths, width = np.linalg.norm(raw, axis=1, keepdims=True), raw.shape[1]
    spread = np.sqrt(((train - train.mean(0)) ** 2).sum(1).mean())
    seen = {
        "layer_norm": lambda: centred / centred.std(1, ddof=1, keepdims=True),
        "sqrt_d": lambda: raw / lengths * width**0.5,
        "mean_norm": lambda: raw / np.linalg.norm(train, axis=1).mean() * width**0.5,
        "centred": lambda: (raw - train.mean(0)) / spread * width**0.5,
    }[norm]()
    shifted = {**perfect(seen, width // 3), "b": np.full(2 * (width // 3), -0.5, np.float32)}
    folder = sae_lens(tmp_path, shifted, architecture="standard")
    note = load(study, folder).bases["theirs"].notes[-1]
    assert "--norm" in note
    mended = load(study, folder, normalisation=norm)
    assert mended.bases["theirs"].card["r2"] > 0.7 and len(mended.bases["theirs"].notes) == 1


@pytest.mark.slow
def test_a_wrong_token_and_a_wrong_layer_are_named(tmp_path):
    """The study's vectors are CLS tokens after the norm; the dictionaries are of other readings."""
    from core.analysis.readouts import other_readouts
    from core.pipeline.run import run_step
    from tests.bases.transformer_study import write_images

    given = {"images": str(write_images(tmp_path / "images")), "workers": 0, "device": "cpu"}
    given |= {"encoder": "timm:vit_tiny_patch16_224?img_size=32&depth=3&patch_size=8", "tokens": "cls"}
    run_step("embed", tmp_path / "study", {**given, "token_norm": "after"}, Progress.silent())
    study = open_study(tmp_path / "study")
    others = dict(other_readouts(study))
    for words in ("tokens (--tokens mean --token-norm before)", "layer (--layer blocks.0)"):
        folder = tmp_path / words[:5]
        folder.mkdir()
        sae_lens(folder, perfect(others[words], 12), architecture="standard")
        note = load(study, folder).bases["theirs"].notes[-1]
        assert f"Likely the {words.split(' (')[0]}" in note, note


class Whole(torch.nn.Module):
    """A module that is pickled as a whole."""


def bad(path: Path, what: str) -> Path:
    w = weights(width=5 if what == "width" else 8)
    if what == "pickle":
        torch.save(Whole(), path / "sae.pt")
    elif what in ("html", "lfs"):
        text = {"html": "<!DOCTYPE html><p>Not found", "lfs": "version https://git-lfs.github.com/spec/v1\n"}
        (path / "sae.pt").write_text(text[what])
    elif what == "lfs settings":
        sae_lens(path, w, architecture="topk", k=3)
        (path / "cfg.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    elif what == "strange":
        torch.save({"weight": torch.zeros(2)}, path / "sae.pt")
    elif what == "empty":
        (path / "notes.txt").write_text("no weights")
    elif what == "header":
        (path / "sae.pt").write_bytes(b'{"schema": 5, "cfg": {}}\nPK\x03\x04broken')
    elif what in ("transcoder", "batchtopk"):
        return sae_lens(path, w, architecture=what, k=3)
    elif what == "gated":
        torch.save({"r_mag": torch.zeros(2), "gate_bias": torch.zeros(2)}, path / "sae.pt")
    else:
        w = w | {"NaN": {"W": w["W"] * np.nan}, "dead": {"b": w["b"] - 1e6}}.get(what, {})
        return sae_lens(path, w, architecture="topk", k=99 if what == "k" else 3)
    return path


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("width", "its vectors have 5 features, those of this study"),
        ("NaN", "encoder holds NaN or infinity"),
        ("dead", "no latent is active on any of"),
        ("k", "k is 99, but it has 10 latents"),
        ("pickle", r"its pickle asks for .*re-save the weights alone"),
        ("html", "is a web page"),
        ("lfs", "is a git-lfs pointer"),
        ("lfs settings", "cfg.json' is a git-lfs pointer.* run `git lfs pull`"),
        ("strange", "no dictionary that is known .*its weights: weight"),
        ("empty", "no weights: name the file"),
        ("header", "not a readable PyTorch checkpoint"),
        ("gated", "gated autoencoder"),
        ("transcoder", "it is a transcoder"),
        (
            "batchtopk",
            r"\(architecture batchtopk\), but neither its weights nor its settings hold a thr.*--k K",
        ),
    ],
)
def test_a_bad_dictionary_is_one_line_and_loses_nothing(study, tmp_path, what, said):
    folder = tmp_path / "given"
    folder.mkdir()
    before = (study.path / "manifest.json").read_bytes()
    path = bad(folder, what)
    if what != "width":
        study = with_vectors(study, np.random.default_rng(0).standard_normal((study.n_images, 8)))
        before = (study.path / "manifest.json").read_bytes()
    with pytest.raises(PeregrineError, match=said) as caught:
        load(study, path)
    assert "\n" not in str(caught.value) and (study.path / "manifest.json").read_bytes() == before


def with_vectors(study: Study, vectors: np.ndarray) -> Study:
    """The study with other representations."""
    images = study.images
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", images)
        step.array("representations").put(0, vectors.astype(np.float32))
        step.finish_array("representations", 1)
    return open_study(study.path)
