"""`perturbed` and `robust-features` on a small trained study: what they write, and what they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.pipeline.verify import verify
from core.store import open_study
from core.training import files
from tests.manifests import edited_manifest
from tests.tables import rows_where

pytestmark = pytest.mark.slow


@pytest.fixture
def trained(begun, tmp_path):
    """A copy of the study of a small trained encoder, which has a head."""
    shutil.copytree(begun, tmp_path / "study")
    return tmp_path / "study"


def test_perturbed__writes_neighbours_in_the_space_of_the_head(run, trained):
    words = ("perturbed", trained, "--pairs", "30", "--device", "cpu", "--workers", "0")
    said = run(*words, "--json")
    assert said.code == 0, said.err
    study, summary = open_study(trained), json.loads(said.out)
    assert summary["space"] == "head" and summary["own_first"] == 1.0 and summary["pairs"] == 30
    vectors, views = study.array("head_vectors")[:], study.array("head_views")[:]
    assert vectors.shape == views.shape == (study.n_images, summary["dimensions"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert 0.2 < float((vectors * views).sum(1).mean()) < 1 - 1e-6
    near = study.table("perturbed_neighbours")
    assert len(near) == 2 * 4 * 30 and near["own"][near["epsilon"] == 0].all()
    assert set(near["neighbour"]) <= set(study.images["image_id"][~study.is_val])
    shares = study.table("perturbed")
    assert {"label", "glyph", "background"} <= set(shares["factor"])
    assert summary["keep the anchor's value"]["positive, label"][0] == 1 and summary["epsilons"] == [
        0,
        0.1,
        0.2,
        1,
    ]
    start = rows_where(shares, (shares["epsilon"] == 0) & (shares["kind"] == "positive"))
    assert (start["share"] == 1).all()
    assert shares["share"][(shares["kind"] == "positive") & (shares["epsilon"] == 1)].mean() < 1
    again = run(*words)
    assert again.code == 0 and "date" in again.err and verify(trained) == []


def test_perturbed__without_a_head_in_the_backbones_space(run, trained, tmp_path):
    original = Path(open_study(trained).settings("embed")["encoder"])
    own = tmp_path / "alone" / original.name
    own.parent.mkdir()
    for path in (original, original.with_name(f"{original.name}.json")):
        shutil.copy(path, own.parent)
    with edited_manifest(trained) as manifest:
        manifest["steps"]["embed"]["settings"]["encoder"] = str(own)
    assert files.head_path(original).exists() and not files.head_path(own).exists()
    said = run("perturbed", trained, "--pairs", "5", "--epsilons", "0,1,0", "--device", "cpu", "--json")
    summary = json.loads(said.out)
    assert (summary["space"], summary["epsilons"]) == ("backbone, not the trained space", [0, 1])
    assert len(open_study(trained).table("perturbed_neighbours")) == 2 * 2 * 5
    assert run("perturbed", trained, "--epsilons", "0,-1").error == "epsilon -1 must be 0 or more"
    assert open_study(trained).summary("perturbed")["space"] == "backbone, not the trained space"


def test_robust_features__trains_on_changed_images_and_tests_on_clean_ones(run, trained):
    words = ("robust-features", trained, "--images", "40", "--device", "cpu", "--workers", "0")
    said = run(*words, "--json")
    assert said.code == 0, said.err
    summary, table = json.loads(said.out), open_study(trained).table("robust_features")
    assert table["trained_on"].tolist() == ["clean images", "robust features", "non-robust features"]
    assert table["accuracy"].between(0, 1).all() and (table["n_val"] == table["n_val"][0]).all()
    assert (
        summary["reached"] + summary["not_reached"] + summary["zero_gradient"] == summary["n_changed"] == 40
    )
    assert table["n_train"].tolist() == [40, summary["reached"], summary["reached"]]
    assert 0 < summary["mean_change"] <= summary["largest_change"] <= 0.5 and summary["mean_steps"] > 0
    drawn = run("figure", trained, "robust_bars", "-o", trained.parent / "robust.json")
    assert drawn.code == 0, drawn.err
    [line] = json.loads((trained.parent / "robust.json").read_text())["layout"]["shapes"]
    labels = rows_where(open_study(trained).images, open_study(trained).is_val)["label"]
    assert line["y0"] == line["y1"] == pytest.approx(100 * labels.value_counts(normalize=True).max())
    other = run(*words, "--other-target", "--json")
    assert json.loads(other.out)["target_is_label"] == 0 < summary["target_is_label"]


def test_commands__refuse_studies_without_encoder_or_probe(run, given, trained):
    ready = trained.parent / "ready"
    assert run("analyze", ready, *given).code == 0
    for command in ("perturbed", "robust-features"):
        assert "(--representations)" in run(command, ready).error
    fresh, own = trained.parent / "fresh", open_study(trained).settings("embed")
    made = run("embed", fresh, "--images", own["images"], "--encoder", own["encoder"], "--device", "cpu")
    assert made.code == 0
    said = run("robust-features", fresh)
    assert (
        f"has no probe, which gives the classes: the step is not run yet. Run: python -m core probe {fresh}"
        in said.error
    )


def test_perturbed_sheet__draws_the_neighbours(run, trained):
    assert "perturbed" in run("figure", trained, "perturbed_sheet", "-o", trained.parent / "a.json").error
    assert run("perturbed", trained, "--pairs", "4", "--device", "cpu").code == 0
    drawn = run("figure", trained, "perturbed_sheet", "-o", trained.parent / "sheet.json")
    assert drawn.code == 0, drawn.err
    assert isinstance(pd.read_json(trained.parent / "sheet.json", typ="series"), pd.Series)
