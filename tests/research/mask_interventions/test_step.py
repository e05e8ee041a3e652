"""The step `mask-interventions` on a small study whose features are hues: those of discs, the objects."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.cli import main
from core.errors import EncoderError, MaskError, StudyError, UnreadableImage
from core.jobs.progress import Progress
from core.pipeline import run as pipeline
from core.research.mask_interventions.alterations import ALTERATIONS, alterations
from core.research.mask_interventions.sampled import AlteredPictures, sample_pictures
from core.steps import STEPS, in_analysis
from core.storage.writer import write_study
from core.store import Study, open_study
from tests.planted_encoder import hues
from tests.synthetic import make_seen_study, make_study

STEP = "mask-interventions"
TABLES = STEPS[STEP].outputs
pytestmark = pytest.mark.usefixtures("trusted")


def alter(folder: Path, **options: object) -> Study:
    quick = {"device": "cpu", "workers": 0, "bootstrap": 40} | options
    pipeline.run_step(STEP, folder, quick, Progress.silent())
    return open_study(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        path = make_seen_study(tmp_path_factory.mktemp("altered") / "study", n_train=48, n_val=60)
        alter(path)
    return path


@pytest.fixture
def own(folder, tmp_path) -> Path:
    """A copy of the study alone: its pictures and masks stay where they are."""
    return shutil.copytree(folder, tmp_path / "study")


def test_step__is_run_only_when_asked(folder):
    assert STEP not in in_analysis() and STEP in STEPS
    study = open_study(folder)
    assert study.state(STEP) == "done" and STEP not in study.missing()
    assert all(study.has(name) for name in TABLES)
    assert study.summary(STEP)["n_images"] == 60 and study.summary(STEP)["split"] == "val"


def test_step__features_of_the_discs_answer_to_the_object(folder):
    table = open_study(folder).table("mask_contrasts")
    core = table[(table["n"] >= 10) & (table["called"] == "core")]
    assert len(core) >= 4 and (core["difference_low"] > 0).all() and (core["excess_low"] > 0).all()
    assert (core["responds_to"] == "object").all()
    agreement = open_study(folder).table("mask_agreement").set_index(["called", "measure"])
    assert (agreement.loc["core", "n_features"] == len(core)).all()
    assert (agreement.loc[[("core", "difference"), ("core", "per_area")], "clearly"] == 1).all()


@pytest.mark.slow
def test_step__the_same_features_are_spurious_where_the_masks_say_that_squares_are_the_objects(
    folder, tmp_path
):
    study, masks = shutil.copytree(folder, tmp_path / "study"), tmp_path / "masks"
    for kind, other in (("core", "spurious"), ("spurious", "core")):
        shutil.copytree(folder.with_name("study.input") / "masks" / kind, masks / other)
    pipeline.run_step("overlap", study, {"masks": str(masks), "workers": 0}, Progress.silent())
    table = alter(study).table("mask_contrasts")
    spurious = table[(table["n"] >= 8) & (table["called"] == "spurious")]
    assert len(spurious) >= 4 and (spurious["difference_high"] < 0).all()
    assert (table[table["called"] == "core"]["n"] < 10).all()


def test_step__matches_pictures_altered_and_embedded_one_by_one(folder):
    study = open_study(folder)
    sampled = sample_pictures(study, 300, 0, workers=0, progress=Progress.silent())
    encoder, fill = hues(), np.zeros(3, np.uint8)
    firing = np.split(study.vector("firing_features"), np.cumsum(study.vector("firing_count"))[:-1])
    scales = study.vector("raw_moments")[1]
    changes: dict[tuple[int, str], list[float]] = {}

    def view(position: int) -> np.ndarray:
        return encoder.transform.pixels(study.image(int(sampled.rows[position])))

    def mask(position: int) -> np.ndarray:
        return study.mask(int(sampled.rows[position]), "core") >= 0.5

    for position in range(len(sampled.rows)):
        donor, other = int(sampled.donors[position]), int(sampled.others[position])
        assert_array_equal(sampled.mask(position), mask(position))
        lent = {"donor": view(donor), "donor_mask": mask(donor), "other_mask": mask(other)}
        made = alterations(view(position), mask(position), **lent, fill=fill)
        raw = encoder.represent(torch.from_numpy(np.concatenate([view(position)[None], made]))).numpy()
        for j in firing[int(sampled.rows[position])]:
            for number, name in enumerate(ALTERATIONS, start=1):
                changes.setdefault((int(j), name), []).append((raw[number, j] - raw[0, j]) / scales[j])
    table = study.table("mask_responses").set_index(["feature", "alteration"])
    assert set(changes) <= set(table.index)
    for key, values in changes.items():
        assert table.loc[key, "n"] == len(values)
        assert_allclose(table.loc[key, "change"], np.mean(values), rtol=1e-4, atol=1e-5)
    silent = table[~table.index.isin(list(changes))]
    assert (silent["n"] == 0).all() and np.isnan(np.asarray(silent["change"], float)).all()


def test_step__accuracy_is_the_probes(folder):
    study = open_study(folder)
    table = study.table("mask_accuracy").set_index("alteration")
    verdicts = study.table("probe")["correct"].to_numpy(bool)[study.is_val]
    assert table.loc["none", "n"] == len(verdicts) == 60
    assert table.loc["none", "accuracy"] == pytest.approx(verdicts.mean())
    assert table.loc["object removed", "accuracy"] < table.loc["background removed", "accuracy"]
    assert_allclose(table["change"], table["accuracy"] - table.loc["none", "accuracy"], atol=1e-12)


def test_step__the_same_seed_gives_the_same_tables(own):
    before = {name: (own / f"{name}.parquet").read_bytes() for name in TABLES}
    alter(own, redo=True)
    assert {name: (own / f"{name}.parquet").read_bytes() for name in TABLES} == before
    study = alter(own, seed=1, sample=20)
    assert study.summary(STEP)["n_images"] == 20
    assert study.table("mask_responses")["n"].max() <= 20


def test_step__interrupted_keeps_what_was_there(own, monkeypatch):
    before = {name: (own / f"{name}.parquet").read_bytes() for name in TABLES}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("core.research.mask_interventions.step.represent_altered", stop)
    with pytest.raises(KeyboardInterrupt):
        alter(own, seed=5)
    study = open_study(own)
    assert study.state(STEP) == "done" and study.settings(STEP)["seed"] == 0
    assert {name: (own / f"{name}.parquet").read_bytes() for name in TABLES} == before


def spoiled(folder: Path, tmp_path: Path, value: int | None, keep: int) -> Path:
    """A copy with masks of its own, of which all but `keep` are of one value (None: removed)."""
    study = tmp_path / "study"
    shutil.copytree(folder, study)
    masks = shutil.copytree(folder.with_name("study.input") / "masks", tmp_path / "masks")
    for path in sorted((masks / "core").rglob("*.png"))[keep:]:
        Image.new("L", (64, 48), value or 0).save(path)
    pipeline.run_step("overlap", study, {"masks": str(masks), "workers": 0}, Progress.silent())
    return study


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 255], ids=["empty", "full"])
def test_step__masks_that_divide_no_picture(folder, tmp_path, value):
    with pytest.raises(MaskError, match=r"108 images with a core mask, and 107 of those .*overlap"):
        alter(spoiled(folder, tmp_path, value, keep=1))


@pytest.mark.slow
def test_step__train_images_where_no_evaluation_image_has_a_mask(folder, tmp_path):
    study = alter(spoiled(folder, tmp_path, 0, keep=5))  # train comes first
    about = study.summary(STEP)
    assert (about["split"], about["n_images"], about["n_unusable_masks"]) == ("train", 5, 103)
    assert any("train images" in note for note in about["notes"])
    assert any("fires on at least 10 of the altered images, so none" in note for note in about["notes"])
    assert about["n_core"] == 0 and "core against spurious" not in about  # undefined


def test_step__unreadable_pictures_are_left_out_with_those_they_would_lend_to(own, monkeypatch):
    seen = AlteredPictures._view

    def view(self: AlteredPictures, position: int) -> np.ndarray:
        if position == 3:
            raise UnreadableImage("gone")
        return seen(self, position)

    monkeypatch.setattr(AlteredPictures, "_view", view)
    study = alter(own, redo=True)
    sampled = sample_pictures(study, 300, 0, workers=0, progress=Progress.silent())
    about, lost = study.summary(STEP), (sampled.donors == 3) | (np.arange(60) == 3)
    assert (about["n_images"], about["n_unreadable"]) == (60 - lost.sum(), lost.sum()) and lost.sum() > 1
    assert study.table("mask_accuracy")["n"].iloc[0] == about["n_images"]
    monkeypatch.setattr(AlteredPictures, "_view", lambda self, position: view(self, 3))
    with pytest.raises(UnreadableImage, match="none of the 60 images drawn from"):
        alter(own, redo=True)


def test_bad_input__a_study_without_masks(tmp_path):
    study = make_study(tmp_path / "bare", n_train=24, n_val=12, n_features=16)
    with pytest.raises(EncoderError, match=r"made from representations.*--images DIR --encoder SPEC"):
        alter(study)


def test_bad_input__overlap_was_skipped_or_never_run(own):
    manifest = json.loads((own / "manifest.json").read_text())
    assert "overlap" in manifest["steps"]
    for why, advice in (
        ("no masks: give --masks DIR or --salient-imagenet DIR", r"Run: .* overlap .* --masks DIR"),
        ("no heatmaps to compare with masks: the maps are small", "are small$"),
    ):
        with write_study(own) as writer, writer.step("overlap", {}) as step:
            step.summary = {"skipped": why}
        with pytest.raises(MaskError, match=f"no overlap with masks: no .*{advice}"):
            alter(own)
    with write_study(own) as writer:
        writer.forget("overlap")
    with pytest.raises(StudyError, match=r"'mask-interventions' needs 'overlap', which is not run yet"):
        alter(own)


def test_bad_input__a_sample_of_one(own, capsys):
    with pytest.raises(SystemExit):
        main([STEP, str(own), "--sample", "1"])
    assert "'1' is not a whole number above 1" in capsys.readouterr().err
