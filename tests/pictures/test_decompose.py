from __future__ import annotations

import base64
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from core.analysis.heatmaps_on_demand import on_demand
from core.bases.requests import add_basis
from core.common.dataframes import unit_rows
from core.concepts.crops import box_on_image
from core.concepts.falcon import K_CANDIDATES
from core.config import BasisConfig
from core.errors import SettingsError
from core.pictures.decompose import decompose, with_pictures
from core.pictures.decomposition import stored
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.overlay_image import feature_crop
from core.study.progress import Progress
from core.study.writer import write_study
from tests.analysis.heatmap_studies import HERE, make, make_images
from tests.command_line import runner

BOX = [3, 4, 50, 61]


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
        strongest = int(np.argmax(h[13]))
        where = {"group": [str(strongest)], "image_id": [open_study(path).images["image_id"].iat[13]]}
        box = dict(zip(("left", "top", "right", "bottom"), map(float, BOX), strict=True))
        step.table("highly_activating", pd.DataFrame(where).assign(**box))
        step.summary = {"alpha": float(np.sort(h[13])[-4]) + 1e-9, "k": 3.0}
    return open_study(path)


@pytest.mark.slow
def test_decompose__an_image_of_the_study(study):
    description = decompose(study, study.image(13))
    raw = study.vector("representations")[13].astype(np.float64)
    h = raw / np.linalg.norm(raw)
    expected = [int(j) for j in np.argsort(-h) if h[j] > description["alpha"]]
    assert len(expected) == description["n_features"] == 3
    assert [part["feature"] for part in description["features"]] == expected
    assert description["group"] == "+".join(map(str, sorted(expected)))
    assert_allclose([part["activation"] for part in description["features"]], h[expected], rtol=1e-4)
    for part in description["features"]:
        assert part["words"] == ([f"word{part['feature']}"] if part["feature"] < 500 else [])
        region = feature_crop(on_demand(study, 13, [part["feature"]]))
        assert region is not None
        assert part["box"] == list(box_on_image(region, study.transform.box(90, 70), 64, 90, 70))
    row = study.table("probe").iloc[13]
    assert description["answer"]["predicted"] == row["predicted"]
    assert description["answer"]["confidence"] == pytest.approx(row["confidence"], abs=1e-3)
    assert json.loads(json.dumps(description)) == description


def test_stored__says_the_same_without_the_encoder(study):
    label = study.images["label"].iat[13]
    computed, description = decompose(study, study.image(13), true=label), stored(study, 13)
    assert [part["feature"] for part in description["features"]] == [
        part["feature"] for part in computed["features"]
    ]
    for mine, other in zip(description["features"], computed["features"], strict=True):
        assert mine["activation"] == pytest.approx(other["activation"], rel=1e-4)
        assert mine["words"] == other["words"]
    strongest = str(description["features"][0]["feature"])
    assert [part["box"] for part in description["features"]] == [
        BOX if str(part["feature"]) == strongest else None for part in description["features"]
    ]
    for side in ("answer", "truth"):
        assert description[side]["features"] == computed[side]["features"]
        assert description[side]["confidence"] == pytest.approx(computed[side]["confidence"], abs=1e-3)
    assert description["truth"]["true"] == label
    raw, weights = study.vector("representations")[13], study.vector("probe_weights")
    added = raw.astype(np.float64) * weights[study.class_names.index(label)]
    assert description["truth"]["features"] == [int(j) for j in np.argsort(-added)[:5]]
    assert_allclose(description["truth"]["contributions"], np.sort(added)[::-1][:5])


def test_pictures__are_inside_the_result_and_small(study):
    picture = Image.new("RGB", (900, 300), (200, 30, 90))
    description = with_pictures(decompose(study, picture, top=2), picture)
    for address in [
        description["preview"],
        *(part["crop"] for part in description["features"] if part["box"]),
    ]:
        kind, _, body = address.partition("base64,")
        assert kind == "data:image/jpeg;"
        assert max(Image.open(io.BytesIO(base64.b64decode(body))).size) <= 720


def test_unknown_class__names_near_ones(study):
    with pytest.raises(SettingsError, match="has no class"):
        decompose(study, Image.new("RGB", (8, 8)), true="nothing of the kind")


@pytest.mark.slow
def test_command__a_file_and_an_image(study, tmp_path, capsys):
    run = runner(capsys)
    path = tmp_path / "mine.png"
    study.image(13).save(path)
    label = study.images["label"].iat[13]
    outcome = run("decompose", study.path, "--file", path, "--true", label, "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    by_file = json.loads(outcome.out)
    written = tmp_path / "result.json"
    name = study.images["image_id"].iat[13]
    outcome = run("decompose", study.path, "--image", name, "--device", "cpu", "--pictures", "-o", written)
    assert outcome.code == 0, outcome.err
    by_image = json.loads(written.read_text())
    assert by_file["size"] == by_image["size"] == [90, 70]
    assert by_file["answer"] == by_image["answer"] and by_file["truth"]["true"] == label
    strip = [{key: value for key, value in part.items() if key != "crop"} for part in by_image["features"]]
    assert strip == by_file["features"]
    outcome = run("decompose", study.path, "--file", path, "--device", "cpu", "--top", 1)
    assert f"feature {by_file['features'][0]['feature']}" in outcome.out
    assert "strongest 1 " in outcome.out and path.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<svg></svg>", "an SVG drawing"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC file"),
        (b"<html></html>", "an HTML page"),
        (b"", "zero bytes"),
        (b"\xff\xd8\xff" + bytes(50), "truncated or corrupt"),
    ],
)
def test_command__a_file_that_is_no_picture(study, tmp_path, capsys, content, said):
    path = tmp_path / "picture"
    path.write_bytes(content)
    words = ("decompose", study.path, "--file", path, "--device", "cpu")
    assert said in runner(capsys)(*words).error


def test_command__either_a_file_or_an_image(study, capsys):
    with pytest.raises(SystemExit):
        runner(capsys)("decompose", study.path)
    assert "'zz'" in runner(capsys)("decompose", study.path, "--image", "zz").error


@pytest.mark.slow
def test_decompose__a_strangers_picture_of_any_size(study):
    for size in ((7, 300), (640, 480), (1, 1)):
        description = decompose(study, Image.new("RGB", size, (200, 30, 90)), top=2)
        assert len(description["features"]) <= 2
        for part in description["features"]:
            left, top, right, bottom = part["box"] or (0, 0, 1, 1)
            assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]


def test_decompose__without_captions_has_no_words_and_says_so(study, tmp_path, capsys):
    bare = shutil.copytree(study.path, tmp_path / "bare")
    with write_study(bare) as writer:
        writer.forget("concepts")
    name = study.images["image_id"].iat[13]
    outcome = runner(capsys)("decompose", bare, "--image", name, "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    found, worded = json.loads(outcome.out), decompose(study, study.image(13))
    h = unit_rows(study.vector("representations")[study.is_val])
    ks = [(found["alpha"] - h.mean()) / h.std()]  # alpha is mean + k std, for a k that the rule knows
    assert min(abs(ks[0] - k) for k in K_CANDIDATES) < 1e-6
    assert all(part["words"] == [] and part["activation"] > found["alpha"] for part in found["features"])
    assert found["answer"]["predicted"] == worded["answer"]["predicted"]
    assert "no feature has words yet" in found["notes"][0] and "core concepts" in found["notes"][0]


def test_command__in_a_basis_names_latents_and_answers_as_the_study_does(study, tmp_path, capsys):
    folder = shutil.copytree(study.path, tmp_path / "study")
    config = BasisConfig(kind="random", size=8, k=2, seeds=1)
    add_basis(folder, "few", config, Progress.silent(), device="cpu")
    image, run = study.images["image_id"].iat[13], runner(capsys)
    units, latents = (
        run("decompose", folder, "--image", image, "--basis", basis, "--device", "cpu").out
        for basis in ("units", "few")
    )
    lines = [line.split() for line in latents.splitlines()]
    assert next(line.split() for line in units.splitlines() if line.startswith("predicted")) in lines
    assert " latent " in latents and " feature " not in latents.partition("note")[0]
