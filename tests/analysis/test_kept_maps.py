"""Maps that `embed` keeps: those of a pass of their own, and gone once they are stored."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.analysis import heatmaps_step as heatmap_step
from core.analysis import kept_maps
from core.analysis.gradcam import scaled_maps
from core.analysis.heatmaps_on_demand import encoder_of
from core.analysis.kept_maps import MapKeeper, settle_precision
from core.common.step_facts import EmbedFacts
from core.encoders import fast_inference
from core.encoders.registry import load_encoder
from core.pipeline.run import run_step
from core.pipeline.verify import verify
from core.store import open_study
from core.study import stored_heatmaps
from core.study.progress import Progress
from core.study.scratch import MAPS as FOLDER
from core.study.stored_heatmaps import BatchMaps, MapScratch, StoredMaps, pack_maps
from core.study.study_folders import copy_study, foreign_entries
from tests.analysis.heatmap_studies import ENCODER, HERE, N_TRAIN, N_VAL, VIT, heatmaps, make, make_images
from tests.command_line import contents

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("heatmap_rows", "heatmap_count", "heatmap_features", "heatmap_fallback")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory, images):
    """A study with its maps kept, and no heatmaps."""
    return make(tmp_path_factory.mktemp("kept") / "study", images, no_maps=False)


@pytest.fixture(scope="module")
def own_pass(tmp_path_factory, images):
    """The same with heatmaps by a pass of their own."""
    folder = make(tmp_path_factory.mktemp("own") / "study", images)
    heatmaps(folder)
    return folder


@pytest.fixture
def copy(tmp_path, kept):
    return shutil.copytree(kept, tmp_path / "study")


@pytest.fixture
def by_network(monkeypatch):
    """How many images the encoder read for heatmaps."""
    counts, plain = [], heatmap_step.packed_maps
    monkeypatch.setattr(
        heatmap_step,
        "packed_maps",
        lambda encoder, pixels, features: counts.append(len(pixels)) or plain(encoder, pixels, features),
    )
    return counts


def check_same(folder, other):
    one, two = open_study(folder), open_study(other)
    for name in NAMES:
        assert_array_equal(one.vector(name), two.vector(name), err_msg=name)
    for name in ("heatmap_peaks", "heatmap_floors"):
        assert_allclose(one.vector(name), two.vector(name), rtol=1e-4, atol=1e-7)
    assert_allclose(
        one.vector("heatmap_maps").astype(float), two.vector("heatmap_maps").astype(float), atol=2e-3
    )


def test_maps_are_those_of_a_pass_of_their_own(copy, own_pass, by_network, monkeypatch):
    """They need no encoder, and the summary is the same without one."""
    monkeypatch.setattr(heatmap_step, "study_encoder", lambda *_: pytest.fail("loaded once more"))
    heatmaps(copy)
    assert open_study(copy).summary("heatmaps") == open_study(own_pass).summary("heatmaps")
    assert not by_network and not (copy / FOLDER).exists()
    check_same(copy, own_pass)


@pytest.mark.slow
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "own pass"])
def test_in_bfloat16_maps_are_those_of_its_precision(keeps, tmp_path, images, by_network, monkeypatch):
    """This network is near float32, so its maps are made in bfloat16, in whichever pass."""
    monkeypatch.setattr(fast_inference, "multiplies_bfloat16", lambda: True)
    folder = tmp_path / "study"
    options = {"images": str(images), **ENCODER, "precision": "bfloat16", "no_maps": not keeps}
    run_step("embed", folder, options | HERE, Progress.silent())
    about = open_study(folder).facts(EmbedFacts).encoder
    assert (about.precision, about.map_precision) == ("bfloat16", "bfloat16")
    run_step("features", folder, {"epsilon": 2.5, **HERE}, Progress.silent())
    heatmaps(folder)
    study = open_study(folder)
    assert sum(by_network) == (0 if keeps else study.summary("heatmaps")["n_images"])
    row = int(study.vector("heatmap_rows")[0])
    features = study.heatmap_reader.features_of(row)
    encoder = encoder_of(study)
    encoder.fold()
    pixels = torch.from_numpy(encoder.transform.pixels(study.image(row)))[None]
    expected = scaled_maps(encoder.represent_with_map(pixels)[1], encoder)[0][features.tolist()]
    assert_allclose(
        study.heatmap_reader.maps(row, features)[0],
        pack_maps(features, expected.numpy()).restored(),
        atol=5e-3,
    )


@pytest.mark.parametrize("asked", ["bfloat16", "mixed", "auto", "float32"])
def test_maps_far_from_float32_are_made_in_float32(asked, monkeypatch):
    encoder = load_encoder(ENCODER["encoder"], input_size=64, resize=64)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    encoder.precision = asked
    near = settle_precision(encoder, pixels)
    monkeypatch.setattr(kept_maps, "CLOSE", 0.0)
    assert settle_precision(encoder, pixels) == "float32"
    assert near == (asked if asked in ("bfloat16", "mixed") else "float32")
    assert encoder.precision == asked


def test_few_products_in_single_precision_bring_maps_near_float32(monkeypatch):
    """The threshold lies between what no precise product and a quarter of them reach."""
    encoder = load_encoder(ENCODER["encoder"], input_size=64, resize=64)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    encoder.precision = "float32"
    exact = encoder.represent_with_map(pixels)[1]
    encoder.precision = "bfloat16"

    def error(n_precise):
        encoder.end_precisely(n_precise)
        return float((encoder.represent_with_map(pixels)[1] - exact).abs().max())

    n_products = len(encoder.products())
    errors = [error(round(share * n_products)) for share in kept_maps.PRECISE]
    assert errors == sorted(errors, reverse=True) and errors[1] < errors[0]
    assert error(n_products) == 0 and error(0) == errors[0]
    shares = iter([0.9, 0.995])
    monkeypatch.setattr(kept_maps, "_share_close", lambda *_: next(shares))
    assert settle_precision(encoder, pixels) == "bfloat16"
    assert encoder.n_precise == round(n_products / 4)


@pytest.mark.slow
def test_maps_in_float32_are_made_beside_representations_in_bfloat16(
    tmp_path, images, own_pass, by_network, monkeypatch
):
    """All of them are kept, so heatmaps decode no picture again."""
    monkeypatch.setattr(fast_inference, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(kept_maps, "SHARE", 2.0)  # no maps are near enough
    folder = tmp_path / "study"
    run_step(
        "embed",
        folder,
        {"images": str(images), **ENCODER, "precision": "bfloat16", **HERE},
        Progress.silent(),
    )
    about = open_study(folder).facts(EmbedFacts).encoder
    assert (about.precision, about.map_precision, about.n_precise) == ("bfloat16", "float32", 0)
    run_step("features", folder, {"epsilon": 2.5, **HERE}, Progress.silent())
    heatmaps(folder)
    assert not by_network
    made, expected = open_study(folder).heatmap_reader, open_study(own_pass).heatmap_reader
    for row in open_study(folder).vector("heatmap_rows"):
        shared = np.intersect1d(made.features_of(int(row)), expected.features_of(int(row)))
        assert_allclose(made.maps(int(row), shared)[0], expected.maps(int(row), shared)[0], atol=2e-3)


def test_representations_and_features_do_not_depend_on_it(kept, own_pass):
    assert_array_equal(
        open_study(kept).vector("representations"), open_study(own_pass).vector("representations")
    )


@pytest.mark.slow
def test_above_the_limit__the_strongest_and_the_first_of_each_feature(
    tmp_path, images, own_pass, by_network, monkeypatch
):
    monkeypatch.setattr(stored_heatmaps, "MOST_BYTES", 2 * 64 * (N_TRAIN + N_VAL) * 3)  # 3 maps an image
    folder = make(tmp_path / "study", images, no_maps=False)
    batch = MapScratch.of(open_study(folder))._batch(0)
    assert batch is not None
    numbers = np.add.reduceat(batch.strongest, np.cumsum([0, *batch.counts[:-1]]))
    assert (numbers == 3).all() and (batch.counts > 3).any()
    heatmaps(folder)
    assert 0 < sum(by_network) < open_study(folder).summary("heatmaps")["n_images"]
    check_same(folder, own_pass)


def test_the_first_of_each_feature_are_there__however_the_images_were_shared(rng, tmp_path, monkeypatch):
    """Two processes that read half of the batches each keep what one keeps of the first images."""
    monkeypatch.setattr(stored_heatmaps, "MOST_BYTES", 0)
    raw = rng.gamma(0.3, 1.0, (120, 9)).astype(np.float32)
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    first = {(int(row), j) for j in range(9) for row in np.argsort(-h[:, j])[: stored_heatmaps.TOP]}
    encoder: Any = FakeLayer()
    for order in ([0, 1, 2], [2, 0], [1]):
        keeper = MapKeeper(MapScratch(tmp_path, "x"), encoder, 120, 4, "float32")
        for start in (40 * part for part in order):
            maps = torch.ones(40, 9, 2, 2)
            keeper.keep(range(start, start + 40), torch.from_numpy(raw[start : start + 40]), maps)
    taken = MapScratch(tmp_path, "x")
    for row, feature in first:
        (one,) = taken.take([row], [np.array([feature], np.int32)], first)
        assert one is not None
        (other,) = taken.take([row], [np.array([feature], np.int32)], set())
        assert other is None  # it may be there by chance


class FakeLayer:
    """What a keeper asks of an encoder."""

    n_features, pool, pools_globally = 9, "gap", True
    dtype, device = torch.float32, torch.device("cpu")


@pytest.mark.slow
def test_interrupted_then_resumed_is_byte_identical(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(heatmap_step, "CHUNK_IMAGES", 4)
    broken = shutil.copytree(copy, tmp_path / "broken")
    heatmaps(copy)
    calls, plain = [], heatmap_step._Chunk.write

    def interrupted(self, step, chunk, *rest):
        calls.append(chunk)
        if len(calls) == 3:
            raise KeyboardInterrupt
        plain(self, step, chunk, *rest)

    monkeypatch.setattr(heatmap_step._Chunk, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        heatmaps(broken)
    assert (broken / FOLDER).is_dir()
    heatmaps(broken)
    assert contents(broken) == contents(copy)


def test_other_images_than_those_embedded__take_a_pass(copy, images, tmp_path, by_network):
    """A listing with one more image has other rows."""
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    study = make(tmp_path / "other", folder, no_maps=False)
    Image.new("RGB", (90, 70)).save(folder / "train/a/00-first.png")
    heatmaps(study)
    assert sum(by_network) == open_study(study).summary("heatmaps")["n_images"]


def test_a_damaged_file__takes_a_pass(copy, own_pass, by_network):
    (file,) = (copy / FOLDER).rglob("*.npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    heatmaps(copy)
    assert sum(by_network) == open_study(copy).summary("heatmaps")["n_images"]
    check_same(copy, own_pass)


def test_a_study_whose_maps_are_kept__is_sound_and_is_copied_without_them(copy):
    assert not verify(copy) and not foreign_entries(copy)
    other = copy_study(copy.parent, copy, "other")
    assert not (other / FOLDER).exists()


def test_encoders_without_a_closed_form_keep_none(tmp_path, images):
    run_step("embed", tmp_path / "vit", {"images": str(images), **VIT, **HERE}, Progress.silent())
    assert not (tmp_path / "vit" / FOLDER).exists()


def test_embedding_again_deletes_those_of_another_encoder(copy, images):
    before = set((copy / FOLDER).iterdir())
    options = {"images": str(images), **ENCODER, "input_size": 96, "resize": 96}
    run_step("embed", copy, options | HERE, Progress.silent())
    after = set((copy / FOLDER).iterdir())
    assert len(before) == len(after) == 1 and before != after


def test_what_is_taken_is_what_was_put(rng, tmp_path):
    maps = rng.random((5, 3, 3)).astype(np.float32)
    packed = pack_maps(np.array([1, 4, 0, 2, 4]), maps)
    rows, counts = np.array([3, 7]), np.array([2, 3], np.int32)
    there = MapScratch(tmp_path, "a")
    there.begin()
    there.put(BatchMaps(rows, counts, packed.features, np.array([1, 1, 1, 0, 1], bool), *packed[1:]))
    wanted = [np.array([4], np.int32), np.array([0, 4], np.int32), np.array([2], np.int32)]
    first, second, third = there.take([3, 7, 7], wanted, {(7, 2)})
    assert_same_maps(first, packed, [1])
    assert_same_maps(second, packed, [2, 4])
    assert_same_maps(third, packed, [3])
    missing = there.take([3, 5, 1, 7], [np.array([2], np.int32)] * 4, set())
    assert list(missing) == [None] * 4


def assert_same_maps(taken: StoredMaps | None, packed: StoredMaps, places: list[int]) -> None:
    assert taken is not None
    for one, other in zip(taken, packed, strict=True):
        assert_array_equal(one, other[places])
