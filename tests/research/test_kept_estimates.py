"""Estimates of accuracy that a study of unlabelled images keeps, and what `compare` says of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.cli import main
from core.compare.compare import compare
from core.compare.text import comparison_text
from core.data.images import open_images
from core.research.transfer_learning_estimates import ASSUMED, METHODS
from core.store import open_study
from tests.tables import rows_where

WORLD = "glyphworld?train=48&val=32&size=32&seed=5"
QUICK = ("--device", "cpu", "--bootstrap", "40", "--corrupted", "12")


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images without labels."""
    folder, source = tmp_path_factory.mktemp("flat"), open_images(WORLD)
    for number in range(30):
        source.read(number).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def unlabelled(begun, flat, tmp_path_factory):
    """A study of these images with the encoder of `begun`, to be copied."""
    folder = tmp_path_factory.mktemp("unlabelled") / "study"
    encoder = open_study(begun).settings("embed")["encoder"]
    words = ["--images", str(flat), "--encoder", encoder, "--workers", "0", "--device", "cpu"]
    assert main(["embed", str(folder), *words]) == 0
    return folder


@pytest.fixture
def kept(begun, unlabelled, tmp_path, run):
    """The same with estimates."""
    folder = shutil.copytree(unlabelled, tmp_path / "kept")
    outcome = run("transfer-probe", begun, "--into", folder, *QUICK, "--json")
    assert outcome.code == 0
    return folder, json.loads(outcome.out)["rows"][0]


@pytest.mark.slow
def test_into__keeps_what_transfer_probe_says_of_the_same_images(begun, flat, kept, run):
    folder, row = kept
    again = run("transfer-probe", begun, "--images", flat, *QUICK, "--workers", "0", "--json")
    (direct,) = json.loads(again.out)["rows"]
    study = open_study(folder)
    table = study.table("accuracy_estimates").set_index("method")
    assert list(table.index) == list(METHODS) and row["top1"] is None
    for method in METHODS:
        assert_allclose(table.loc[method, "estimate"], direct[method], atol=1e-6)
        assert_allclose(
            table.loc[method, ["error_slices", "error_copies"]].to_numpy(float),
            [
                np.nan if value is None else value
                for value in (direct[f"{method}_error_slices"], direct[f"{method}_error_copies"])
            ],
        )
    about = study.summary("accuracy")
    assert (about["by"], about["n_images"], about["truth"]) == (direct["estimate_by"], 30, None)
    assert_allclose(table.loc[ASSUMED, "estimate"], open_study(begun).summary("probe")["top1"])
    for name in ("margin", "error", "noise", "n_slices", "n_copies"):
        assert about[name] == direct.get(f"estimate_{name}", direct.get(name)), name
    assert table["margin"].tolist() == [direct[f"{method}_margin"] for method in METHODS]


@pytest.mark.slow
def test_compare__shows_the_estimates_of_unlabelled_studies(kept, unlabelled):
    first, second = open_study(kept[0]), open_study(unlabelled)
    comparison = compare([first, second], resamples=20)
    assert (
        set(comparison.estimates.table["study"]) == {"kept"}
        and comparison.estimates.table["chosen"].sum() == 1
    )
    (note,) = [note for note in comparison.notes if "--into" in note.command]
    assert "not known without labels" in note.text and str(second.path) in note.command
    (is_best,) = rows_where(comparison.estimates.table, comparison.estimates.table["chosen"]).to_dict(
        "records"
    )
    for text in (comparison_text(comparison), comparison_text(comparison, as_markdown=True)):
        assert "estimated" in text
        assert f"{100 * is_best['estimate']:.1f} %" in text and all(part in text for part in ("30", "images"))


@pytest.mark.slow
def test_into__is_stale_when_the_images_have_changed(kept, flat):
    folder, _ = kept
    source = open_images(WORLD)
    source.read(40).save(flat / "new.png")
    try:
        assert main(["embed", str(folder), "--workers", "0", "--device", "cpu"]) == 0
    finally:
        (flat / "new.png").unlink()
    assert not open_study(folder).has("accuracy_estimates")


@pytest.mark.slow
def test_into__refuses_another_encoder_and_no_probe(begun, unlabelled, tmp_path, run, shared_study):
    assert "encoder" in run("transfer-probe", begun, "--into", shared_study).error
    assert "study" in run("transfer-probe", begun, "--into", begun).error
    twice = run("transfer-probe", begun, begun, "--into", unlabelled)
    assert "--into" in twice.error
    without = shutil.copytree(unlabelled, tmp_path / "without")
    assert main(["features", str(without), "--epsilon", "1"]) == 0
    outcome = run("transfer-probe", without, "--into", unlabelled)
    assert "probe" in outcome.error
