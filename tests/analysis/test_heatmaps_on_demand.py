"""Stored, requested and freshly computed heatmaps of a study are the same; and what cannot be asked for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.heatmaps_on_demand import on_demand, request_heatmaps, study_encoder
from core.errors import HeatmapNotStored, SettingsError, StudyError, UnreadableImage
from core.pipeline import run as pipeline
from core.pipeline.verify import verify
from core.store import open_study
from core.study import stored_heatmaps
from core.study.heatmaps import COMBINATIONS
from core.study.progress import Progress
from core.study.stored_heatmaps import REQUESTED, read_requested, requested_path
from tests.analysis.heatmap_studies import ENCODER, HALF, HERE, N_TRAIN, N_VAL, heatmaps
from tests.command_line import contents

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
@pytest.mark.parametrize("how", COMBINATIONS)
def test_computed_on_demand_and_stored_agree(finished, how):
    study = open_study(finished)
    encoder = study_encoder(study)
    reader = study.heatmap_reader
    fullest = max(reader.rows.tolist(), key=lambda row: len(reader.features_of(row)))
    features = reader.features_of(fullest).tolist()
    assert len(features) > 1
    stored = study.heatmap(fullest, features, how)
    assert_allclose(stored, on_demand(study, fullest, features, how, encoder=encoder), atol=HALF)
    from_study = study.heatmap(fullest, None, how)
    assert_allclose(from_study, on_demand(study, fullest, None, how, encoder=encoder), atol=HALF)


def test_features_come_in_the_order_asked_for(finished):
    reader = open_study(finished).heatmap_reader
    row = max(reader.rows.tolist(), key=lambda row: len(reader.features_of(row)))
    features = reader.features_of(row)
    maps, peaks = reader.maps(row, features)
    turned = reader.maps(row, features[::-1])
    assert_array_equal(turned[0], maps[::-1])
    assert_array_equal(turned[1], peaks[::-1])


def test_the_overlay_has_the_images_own_size_and_the_crop_is_undone(finished):
    study = open_study(finished)
    row = int(study.heatmap_reader.rows[-1])
    drawn = np.asarray(study.overlay(row, opacity=1.0), int)
    original = np.asarray(study.image(row), int)
    assert drawn.shape == original.shape == (70, 90, 3)
    margin = np.r_[0:9, 81:90]  # a 70 x 70 square of the 90 x 70 pixels was seen; a line surrounds it
    assert_allclose(drawn[:, margin], 0.6 * original[:, margin], atol=1)
    assert study.overlay(row, max_side=45).size == (45, 35)
    image_id = study.images["image_id"].iat[row]
    assert_array_equal(np.asarray(study.overlay(image_id, opacity=1.0)), drawn)


@pytest.mark.slow
def test_requests_are_kept_beside_the_study(copy):
    heatmaps(copy, top=0)
    study, before = open_study(copy), contents(copy)
    ids = [study.images["image_id"].iat[row] for row in (0, N_TRAIN)]
    ask = {"progress": Progress.silent(), "device": "cpu"}
    with pytest.raises(HeatmapNotStored, match=f"heatmaps .* --image {ids[0]} --feature 3"):
        study.heatmap(ids[0], [3])
    stored = [j for j in (3, 9) if j in study.heatmap_reader.features_of(N_TRAIN)]
    summary = request_heatmaps(study, ids, [9, 3, 3], **ask)
    assert summary == {"n_images": 2, "n_maps": 4 - len(stored), "n_stored": len(stored), "missing": []}
    assert study.heatmap_reader.features_of(0).tolist() == [3, 9]
    encoder = study_encoder(study)
    for image in (0, N_TRAIN):
        expected = on_demand(study, image, [9, 3], "max", encoder=encoder)
        assert_allclose(study.heatmap(image, [9, 3], "max"), expected, atol=HALF)
        mixed = [3, int(study.heatmap_reader.features_of(image)[-1])]
        assert_allclose(
            study.heatmap(image, mixed), on_demand(study, image, mixed, encoder=encoder), atol=HALF
        )
    assert request_heatmaps(study, ids, [3, 9], **ask)["n_maps"] == 0
    assert request_heatmaps(study, ids[:1], [200], **ask)["n_maps"] == 1
    held = read_requested(requested_path(study, 0))
    assert held is not None and held.features.tolist() == [3, 9, 200]
    assert not verify(copy)
    after = contents(copy)
    assert {path: after[path] for path in before} == before
    assert all(str(path).startswith(REQUESTED) for path in set(after) - set(before))


def test_requests_at_the_same_time_lose_nothing(tmp_path, monkeypatch):
    def slowly(path):
        held = read_requested(path)
        time.sleep(0.1)
        return held

    monkeypatch.setattr(stored_heatmaps, "read_requested", slowly)
    path, one_map = tmp_path / REQUESTED / "0-a.npz", np.eye(2, dtype=np.float32)[None]
    with ThreadPoolExecutor(2) as threads:
        list(
            threads.map(
                lambda j: stored_heatmaps.add_requested(
                    path, stored_heatmaps.pack_maps(np.array([j]), one_map)
                ),
                (7, 3),
            )
        )
    held = read_requested(path)
    assert held is not None and held.features.tolist() == [3, 7]


@pytest.mark.slow
def test_requests_of_another_encoder_are_not_read(tmp_path, pictures, copy):
    study = open_study(copy)
    image_id = study.images["image_id"].iat[0]
    request_heatmaps(study, [image_id], [3], progress=Progress.silent(), device="cpu")
    assert study.heatmap_reader.features_of(0).tolist() == [3]
    pipeline.run_step(
        "embed", copy, {"images": str(pictures), **ENCODER, "layer": "layer2"} | HERE, Progress.silent()
    )
    again = open_study(copy)
    assert again.row_of(image_id) == 0 and again.heatmap_reader.features_of(0).tolist() == []


@pytest.mark.slow
def test_a_damaged_request_is_computed_again(copy):
    study = open_study(copy)
    ask = {"progress": Progress.silent(), "device": "cpu"}
    image_id = study.images["image_id"].iat[0]
    request_heatmaps(study, [image_id], [3], **ask)
    path = requested_path(study, 0)
    path.write_bytes(path.read_bytes()[:100])
    assert request_heatmaps(study, [image_id], [3], **ask)["n_maps"] == 1
    assert study.heatmap(0, [3]).shape == (64, 64)


@pytest.mark.slow
def test_requests_that_cannot_be_met(own):
    study = open_study(own)
    ids = list(study.images["image_id"].iloc[:2])
    ask = {"progress": Progress.silent(), "device": "cpu"}
    with pytest.raises(SettingsError, match="512.*512.*0.*511"):
        request_heatmaps(study, ids, [512], **ask)
    with pytest.raises(SettingsError, match="feature"):
        request_heatmaps(study, ids, [], **ask)
    with pytest.raises(StudyError, match="'nowhere.png'"):
        request_heatmaps(study, ["nowhere.png"], [1], **ask)
    (own.parent / "images" / ids[0]).unlink()
    summary = request_heatmaps(study, ids, [1], **ask)
    assert summary["n_maps"] == 1 and summary["missing"][0].startswith(ids[0])
    with pytest.raises(UnreadableImage, match="1.*1.*missing"):
        request_heatmaps(study, ids[:1], [2], **ask)


@pytest.mark.slow
def test_a_vision_transformer(vit_study):
    study = open_study(vit_study)
    summary = study.summary("heatmaps")
    assert (summary["method"], summary["native"]) == ("pytorch-grad-cam", [4, 4])
    assert summary["n_images"] == N_VAL
    encoder, row = study_encoder(study), N_TRAIN
    features = study.heatmap_reader.features_of(row).tolist()
    for combination in ("mean", "max", "min"):
        expected = on_demand(study, row, features, combination, encoder=encoder)
        assert_allclose(study.heatmap(row, features, combination), expected, atol=HALF)
    if len(features) > 1:  # the sum of the positive parts is not the positive part of the sum
        with pytest.raises(HeatmapNotStored, match="negative activations"):
            study.heatmap(row, features, "sum")
    assert on_demand(study, row, [0, 1], "sum", encoder=encoder).max() <= 1


def test_bad_features_and_settings(finished, copy):
    study = open_study(finished)
    with pytest.raises(SettingsError, match="999.*0.*511"):
        study.heatmap(0, [999])
    with pytest.raises(SettingsError, match="feature.*-1"):
        on_demand(study, 0, [-1])
    with pytest.raises(SettingsError, match="'avg'"):
        study.heatmap(0, [1], "avg")
    with pytest.raises(StudyError, match="image.*99"):
        study.heatmap(99)
    with pytest.raises(SettingsError, match="--top.*65.*0.*64"):
        heatmaps(copy, top=65)


def test_without_the_step(copy):
    with pytest.raises(HeatmapNotStored, match="heatmaps"):
        open_study(copy).heatmap(0)
