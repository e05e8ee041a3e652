from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from core import pipeline
from core.analysis.heatmap_request import on_demand
from core.concepts.crops import box_on_image
from core.concepts.decompose import decompose
from core.concepts.falcon import feature_crop
from core.errors import StudyError
from core.progress import Progress
from core.store import open_study
from core.writer import write_study
from tests.heatmap_studies import HERE, make, make_images


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study whose features 0 … 511 mean `word0` …, and a threshold that a few of them pass."""
    folder = tmp_path_factory.mktemp("decompose")
    path = make(folder / "study", make_images(folder / "images"))
    pipeline.run_step("probe", path, {"lr": 0.1, **HERE}, Progress.silent())
    words = pd.DataFrame({"group": [str(j) for j in range(500)], "rank": 1, "kept": True})
    with write_study(path) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", words.assign(word="word" + words["group"]))
        raw = open_study(path).vector("representations")
        h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        step.summary = {"alpha": float(np.sort(h[13])[-4]) + 1e-9, "k": 3.0}
    return open_study(path)


def test_decompose__an_image_of_the_study(study):
    found = decompose(study, study.image(13))
    raw = study.vector("representations")[13].astype(np.float64)
    h = raw / np.linalg.norm(raw)
    expected = [int(j) for j in np.argsort(-h) if h[j] > found["alpha"]]
    assert len(expected) == found["n_features"] == 3
    assert [part["feature"] for part in found["features"]] == expected
    assert found["group"] == "_".join(map(str, sorted(expected)))
    assert_allclose([part["activation"] for part in found["features"]], h[expected], rtol=1e-4)
    for part in found["features"]:
        assert part["words"] == ([f"word{part['feature']}"] if part["feature"] < 500 else [])
        region = feature_crop(on_demand(study, 13, [part["feature"]]))
        assert region is not None
        assert part["box"] == list(box_on_image(region, study.transform.box(90, 70), 64, 90, 70))
    row = study.table("probe").iloc[13]
    assert found["answer"]["predicted"] == row["predicted"]
    assert found["answer"]["confidence"] == pytest.approx(row["confidence"], abs=1e-3)
    assert json.loads(json.dumps(found)) == found


def test_decompose__a_strangers_picture_of_any_size(study):
    for size in ((7, 300), (640, 480), (1, 1)):
        found = decompose(study, Image.new("RGB", size, (200, 30, 90)), top=2)
        assert len(found["features"]) <= 2
        for part in found["features"]:
            left, top, right, bottom = part["box"] or (0, 0, 1, 1)
            assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]


def test_decompose__needs_concepts(study, tmp_path):
    bare = shutil.copytree(study.path, tmp_path / "bare")
    with write_study(bare) as writer:
        writer.forget("concepts")
    with pytest.raises(StudyError, match="has no concepts"):
        decompose(open_study(bare), Image.new("RGB", (8, 8)))
