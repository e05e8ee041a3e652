"""Crops: where they are cut, how they are kept, what happens when images are gone."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.analysis.gradcam import gradcam_maps
from core.analysis.heatmaps_on_demand import on_demand, study_encoder
from core.common.group_names import group_features
from core.concepts.crop_store import WHOLE, CropBatch, CropStore
from core.concepts.crops import Cropper, box_on_image, crop_of, unit_features
from core.errors import UnreadableImage
from core.store import open_study
from core.study.heatmaps import combine, place_on_image
from core.study.overlay_image import feature_crop
from core.study.progress import Progress
from tests.analysis.heatmap_studies import VIT, make, make_images
from tests.concepts.fakes import ColourClip, unit


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("crops") / "images")


@pytest.fixture(scope="module")
def embedded(pictures):
    return make(pictures.parent / "study", pictures)


@pytest.fixture(scope="module")
def vit(pictures):
    return make(pictures.parent / "vit", pictures, VIT)


def cropper(study, folder, *, looks=True, **options):
    load = partial(study_encoder, study) if looks else None
    return Cropper(study, CropStore(folder), load, ColourClip(), 0.6, **options)


def embed(worker, rows, units):
    with Progress.silent().stage("crops") as bar:
        return worker.embed(np.array(rows), np.array(units, object), bar)


def test_store__gives_back_what_was_put(tmp_path, rng):
    store = CropStore(tmp_path / "crops")
    empty = np.empty((2, 0))
    for start in (0, 2):
        rows = np.array([start, start + 1])
        batch = CropBatch(
            rows, np.array(["12", "3+12"]), np.ones((2, 4), np.int32), np.array([True, False]),
            unit(rng.random((2, 3))), empty.astype(np.str_), empty.astype(np.float32),
        )  # fmt: skip
        store.put(batch)
    crops = store.locate(np.array([3, 0, 0, 9]), np.array(["3+12", "12", "3+12", "12"], object))
    assert crops.there.tolist() == [True, True, False, False]
    assert crops.hot.tolist() == [False, True, False, False]
    ((which, held),) = store.blocks(crops, 100)
    assert which.tolist() == [1, 0]
    assert_array_equal(held["embeddings"][1], batch.embeddings[1])
    assert [len(part) for part, _ in store.blocks(crops, 1)] == [1, 1]


def test_store__forgets_a_file_that_was_cut_short(tmp_path, rng):
    store = CropStore(tmp_path)
    nothing = np.empty((1, 0))
    store.put(
        CropBatch(
            np.array([5]),
            np.array(["1"]),
            np.zeros((1, 4), np.int32),
            np.array([True]),
            unit([[1, 2, 3]]),
            nothing.astype(np.str_),
            nothing.astype(np.float32),
        )  # fmt: skip
    )
    (path,) = store.files()
    path.write_bytes(path.read_bytes()[:100])
    assert not store.locate(np.array([5]), np.array(["1"], object)).there.any()
    assert not store.files()


def test_crop_of__a_picture_smaller_than_the_original():
    pixels = np.arange(40 * 20, dtype=np.uint8).reshape(20, 40)
    picture = Image.fromarray(np.stack([pixels] * 3, 2))
    part = crop_of(picture, (100, 40, 200, 80), (400, 200))
    assert_array_equal(np.asarray(part)[..., 0], pixels[4:8, 10:20])
    assert crop_of(picture, (399, 199, 400, 200), (400, 200)).size == (1, 1)
    for far in ((-(10**9), -(10**9), 10**9, 10**9), (0, -5, 400, 999)):  # a box that a file holds
        assert crop_of(picture, far, (400, 200)).size == picture.size
    assert crop_of(picture, (10**9, 10**9, 2 * 10**9, 2 * 10**9), (400, 200)).size == (1, 1)


def test_unit_features__are_each_there_once():
    assert unit_features(["12", "3+12", WHOLE]) == [3, 12]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["embedded", "vit"])
def test_crops__are_where_the_heatmap_is(kind, request, tmp_path):
    study = open_study(request.getfixturevalue(kind))
    encoder = study_encoder(study)
    raw = study.vector("representations")
    one, other = np.argsort(-raw[[12, 14]].min(0))[:2].tolist()
    rows, units = [12, 12, 14, 14], [str(one), f"{one}_{other}", str(other), WHOLE]
    worker = cropper(study, tmp_path)
    crops = embed(worker, rows, units)
    assert crops.there.all()
    for row, name, box in zip(rows, units, crops.boxes.tolist(), strict=True):
        image = study.image(row)
        if name == WHOLE:
            assert box == [0, 0, *image.size]
            continue
        features = list(group_features(name))
        heat = on_demand(study, row, features, "min", encoder=encoder)
        if not (heat >= 0.6).any():
            heat = on_demand(study, row, features, "sum", encoder=encoder)
        frame, region = study.transform.box(*image.size), feature_crop(heat)
        assert region is not None
        assert tuple(box) == box_on_image(region, frame, 64, *image.size)
        # the region of the heatmap laid over the original lies in the box, within a pixel of rounding
        placed = np.nan_to_num(place_on_image(heat, frame, *image.size))
        left, top, right, bottom = feature_crop(placed) or (0, 0, 0, 0)
        assert left >= box[0] - 1 and top >= box[1] - 1 and right <= box[2] + 1 and bottom <= box[3] + 1
    which, parts = next(worker.store.blocks(crops, 9))
    for number, embedding in zip(which, parts["embeddings"], strict=True):
        crop = study.image(rows[number]).crop(tuple(crops.boxes[number].tolist()))
        assert_allclose(embedding, unit([np.asarray(crop).mean((0, 1))])[0], atol=1e-6)


@pytest.mark.slow
def test_crops__of_features_that_do_not_meet_are_where_their_sum_is(vit, tmp_path):
    """With negative activations the heatmap of a sum is not the sum of the single heatmaps."""
    study = open_study(vit)
    encoder, pairs, unlike = study_encoder(study), [], 0
    strongest = np.argsort(-study.vector("representations")[12])[:9].tolist()
    for pair in itertools.combinations(sorted(strongest), 2):
        pixels = torch.from_numpy(encoder.transform.pixels(study.image(12)))[None]
        maps = gradcam_maps(encoder, pixels, np.array(pair))[0].numpy()
        heats = [combine(maps, np.ones(2), how, 64) for how in ("min", "sum")]
        if feature_crop(heats[0]) is None:
            pairs.append(pair)
            unlike += np.abs(heats[1] - on_demand(study, 12, pair, "sum", encoder=encoder)).max() > 0.05
    assert pairs and unlike
    crops = embed(cropper(study, tmp_path), [12] * len(pairs), [f"{one}_{other}" for one, other in pairs])
    frame = study.transform.box(*study.image(12).size)
    for pair, box in zip(pairs, crops.boxes.tolist(), strict=True):
        region = feature_crop(on_demand(study, 12, pair, "sum", encoder=encoder))
        assert tuple(box) == box_on_image(region or (0, 0, 64, 64), frame, 64, *study.image(12).size)


@pytest.mark.slow
def test_crops__are_embedded_once(embedded, tmp_path):
    study = open_study(embedded)
    first = cropper(study, tmp_path)
    embed(first, [12, 13, 12], ["5", "5", "5"])
    assert first.clip.seen == 2
    second = cropper(study, tmp_path)
    crops = embed(second, [13, 14, 12], ["5", "5", "7"])
    assert second.clip.seen == 2 and crops.there.all()
    third = cropper(study, tmp_path)
    third.load_encoder = lambda: pytest.fail("the encoder is not needed: all crops are there")
    assert embed(third, [12, 13, 14], ["7", "5", "5"]).there.all()
    assert third.clip.seen == 0


def test_crops__of_a_study_without_encoder_are_whole_images(embedded, tmp_path):
    study = open_study(embedded)
    crops = embed(cropper(study, tmp_path, looks=False), [12, 13], ["5", WHOLE])
    assert crops.boxes.tolist() == [[0, 0, 90, 70]] * 2


@pytest.mark.slow
def test_crops__leave_out_images_that_are_gone(tmp_path):
    folder = make(tmp_path / "study", make_images(tmp_path / "images"))
    study = open_study(folder)
    (tmp_path / "images" / study.images["path"].iloc[13]).unlink()
    worker = cropper(study, tmp_path / "crops")
    crops = embed(worker, [12, 13, 14], ["5", "5", "5"])
    assert crops.there.tolist() == [True, False, True]
    assert list(worker.gone) == [13]
    with pytest.raises(UnreadableImage):
        study.image(13)


def test_crops__of_a_captioner_carry_its_captions(embedded, tmp_path):
    study = open_study(embedded)

    def captioner(image):
        return [("wide" if image.width > 60 else "narrow", 0.2), ("a\0b", 0.9), ("last", 0.1)]

    worker = cropper(study, tmp_path, looks=False, captioner=captioner, n_captions=2)
    crops = embed(worker, [12, 13], [WHOLE, WHOLE])
    _, held = next(worker.store.blocks(crops, 9))
    assert held["captions"].tolist() == [["a b", "wide"]] * 2
    assert_allclose(held["scores"], [[0.9, 0.2]] * 2, rtol=1e-6)
