"""A study once more with corrected labels: the same images, ids, splits and settings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.config.options import OPTIONS
from core.data.images import describe_images, open_images
from core.errors import StudyError
from core.publish.rerun import rerun_command, rerun_table
from core.store import open_study
from core.study import label_decisions
from core.study.writer import write_study
from tests import small
from tests.publish.test_label_forms import made as made


def test_table__opens_as_the_same_images_with_other_labels(made, tmp_path):
    table = rerun_table(made)
    table.to_parquet(tmp_path / "labels.parquet", index=False)
    source = open_images(tmp_path / "labels.parquet")
    listed, images = source.table, made.images
    assert listed["image_id"].tolist() == images["image_id"].tolist()
    assert listed["split"].tolist() == images["split"].tolist()
    right = label_decisions.corrected_labels(made)
    assert listed["label"].fillna("").tolist() == right.fillna("").tolist()
    for row in range(len(listed)):
        assert np.array_equal(np.asarray(source.read(row)), np.asarray(made.image(row)))


def test_command__has_the_settings_that_were_given(tmp_path):
    folder = tmp_path / "study"
    study = small.write_small_study(folder, features=False)
    settings = {"images": "photos", "encoder": "timm:x", "mean": [0.5, 0.4, 0.3], "pool": None, "seed": 3}
    attributes = study.table("attributes").assign(patient_id=list("aabbccdd"))
    with write_study(folder) as writer:
        with writer.step("embed", settings) as step:
            step.table("images", study.images)
            step.table("attributes", attributes)
            step.summary = {"n_images": 8, "group": "patient_id"}
        with writer.step("features", {"epsilon": 2.5, "low": 50.0}, ("images",)) as step:
            step.table("features", pd.DataFrame({"feature": [0]}))
        with writer.step("probe", {"lr": None, "solver": "lbfgs"}, ("images",)) as step:
            step.table("probe", pd.DataFrame({"predicted": ["dog"] * 8}))
    command = rerun_command(open_study(folder), tmp_path / "next", tmp_path / "labels.parquet")
    assert dict(command.options) == {
        "images": f"{tmp_path / 'labels.parquet'}?group=patient_id",
        "encoder": "timm:x",
        "mean": "0.5,0.4,0.3",
        "seed": "3",
        "epsilon": "2.5",
        "solver": "lbfgs",
    }
    assert all(OPTIONS[name].read(text) for name, text in command.options)


def test_table__of_images_that_are_no_files(tmp_path):
    study = small.write_small_study(tmp_path / "study", features=False)
    images = study.images
    with write_study(study.path) as writer, writer.step("embed", {"images": "glyphworld"}) as step:
        source = open_images("glyphworld?train=20&val=10")
        step.table("images", source.table)
        step.summary = {"source": describe_images(source)}
    with pytest.raises(StudyError, match="no files"):
        rerun_table(open_study(study.path))
    with write_study(study.path) as writer, writer.step("embed", {"representations": "a.npy"}) as step:
        step.table("images", images)
    with pytest.raises(StudyError, match="representations"):
        rerun_table(open_study(study.path))
