"""CLIP in the pass of `embed`: the vectors of a pass of their own, and gone once they are stored."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.concepts import clip_and_captions, search, search_index, whole_pictures
from core.concepts.clip import load_clip
from core.concepts.crop_store import FOLDER, WHOLE, CropStore
from core.concepts.crops import OriginalReader
from core.concepts.search_index import clip_in_pass
from core.concepts.whole_pictures import ClipLook, ClipScratch, WholePictures
from core.config import SearchConfig
from core.data.decode import CLIP_SIDE
from core.data.images import open_images
from core.pipeline.run import analyze, run_step
from core.store import open_study
from core.study.progress import Progress
from core.study.scratch import CLIP
from tests.analysis.heatmap_studies import HERE, make_images
from tests.command_line import contents
from tests.concepts.tiny_clip import tiny_asset

NARROW = {"encoder": "timm:test_resnet?output_stride=8", "input_size": 64, "resize": 64}
WORDS = {"k": 1.5, "min_images": 2, "split": "all"}


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clip_and_captions.opened_clip.cache_clear()
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    return str(tiny_asset(tmp_path_factory.mktemp("clip") / "tiny"))


@pytest.fixture
def decoded(monkeypatch):
    """The images that are decoded for CLIP alone."""
    ids: list[str] = []
    read = OriginalReader.__getitem__
    monkeypatch.setattr(
        OriginalReader,
        "__getitem__",
        lambda self, rows: ids.extend(self.ids[row] for row in rows) or read(self, rows),
    )
    return ids


def asked_for(images, clip_file, tmp_path) -> dict:
    captions = tmp_path / "captions.txt"
    captions.write_text("a brown dog\na red boat\nsnow on a house\n")
    given = {"images": str(images), "clip": clip_file, "captions": str(captions), "epsilon": 1.5}
    return given | NARROW | HERE


def made(folder, options):
    analyze(folder, options, Progress.silent(), by_step={"concepts": WORDS})
    return open_study(folder)


@pytest.mark.slow
def test_analysis__lets_clip_see_whole_images_once(images, clip_file, tmp_path, decoded, monkeypatch):
    options = asked_for(images, clip_file, tmp_path)
    study = made(tmp_path / "study", options)
    crops = len(decoded)  # of features, which need their maps
    assert not (study.path / CLIP).exists()
    again = made(tmp_path / "again", options)
    assert contents(study.path / search.CLIP_IMAGES) == contents(again.path / search.CLIP_IMAGES)
    decoded.clear()
    monkeypatch.setattr(search_index, "clip_in_pass", lambda asked, source: None)
    own = made(tmp_path / "own", options)
    assert len(decoded) == crops + 2 * own.n_images  # of `concepts` and of `search`
    for name in ("representations", "quality"):
        assert contents(study.path / name) == contents(own.path / name)
    assert_allclose(study.vector(search.CLIP_IMAGES), own.vector(search.CLIP_IMAGES), atol=1e-3)
    rows, units = np.arange(own.n_images), np.full(own.n_images, WHOLE, object)
    (one,), (other,) = (list((each.path / FOLDER).iterdir()) for each in (study, own))
    held = []
    for store in map(CropStore, (one, other)):
        crops_of = store.locate(rows, units)
        assert crops_of.there.all() and crops_of.hot.all()
        vectors = np.empty((own.n_images, 16), np.float32)
        for which, block in store.blocks(crops_of, 100):
            vectors[which] = block["embeddings"]
        held.append((crops_of.boxes, vectors))
    assert_array_equal(held[0][0], held[1][0])
    assert_allclose(held[0][1], held[1][1], atol=1e-5)
    assert study.table("concepts").equals(own.table("concepts"))


@pytest.mark.slow
def test_search__reads_what_is_not_there(images, clip_file, tmp_path, decoded, monkeypatch):
    """As after a crash of the machine: a file of vectors is damaged, another is gone."""
    options = {"images": str(images), **NARROW, **HERE, "batch_size": 4}
    monkeypatch.setattr(search_index, "clip_in_pass", lambda asked, source: clip_file)
    run_step("embed", tmp_path / "study", options, Progress.silent())
    whole = shutil.copytree(tmp_path / "study", tmp_path / "whole")
    run_step("search", whole, {"clip": clip_file, **HERE}, Progress.silent())
    assert not decoded and not (whole / CLIP).exists()
    files = sorted((tmp_path / "study" / CLIP).glob("*/*.npz"))
    assert len(files) == 5
    files[1].write_bytes(files[1].read_bytes()[:-9] + b"other end")
    files[3].unlink()
    run_step("search", tmp_path / "study", {"clip": clip_file, **HERE}, Progress.silent())
    one, two = (open_study(folder) for folder in (tmp_path / "study", whole))
    assert decoded == one.images["image_id"].iloc[[4, 5, 6, 7, 12, 13, 14, 15]].tolist()
    assert_allclose(one.vector(search.CLIP_IMAGES), two.vector(search.CLIP_IMAGES), atol=1e-3)


@pytest.mark.slow
def test_embed_again__leaves_nothing_where_the_index_stands(images, clip_file, tmp_path, monkeypatch):
    options = {"images": str(images), **NARROW, **HERE}
    monkeypatch.setattr(search_index, "clip_in_pass", lambda asked, source: clip_file)
    run_step("embed", tmp_path / "study", options, Progress.silent())
    run_step("search", tmp_path / "study", {"clip": clip_file, **HERE}, Progress.silent())
    run_step("embed", tmp_path / "study", {**options, "redo": True}, Progress.silent())
    assert not (tmp_path / "study" / CLIP).exists()


@pytest.mark.slow
def test_in_bfloat16__pictures_and_no_texts(images, clip_file, tmp_path, monkeypatch):
    monkeypatch.setattr("core.encoders.fast_inference.multiplies_bfloat16", lambda: True)
    options = {"images": str(images), **NARROW, **HERE, "precision": "bfloat16"}
    run_step("embed", tmp_path / "study", options, Progress.silent())
    run_step("search", tmp_path / "study", {"clip": clip_file, **HERE}, Progress.silent())
    study, clip = open_study(tmp_path / "study"), load_clip(clip_file)
    assert study.summary("search")["clip_precision"] == "bfloat16"
    assert study.summary("search")["clip_fingerprint"] == clip.fingerprint
    exact = clip.embed_images([study.image(row) for row in range(study.n_images)])
    clip.image_precision = "mixed"
    reduced = clip.embed_images([study.image(row) for row in range(study.n_images)])
    stored = study.vector(search.CLIP_IMAGES).astype(np.float32)
    assert_allclose(stored, reduced, atol=1e-3)
    assert 1e-3 < np.abs(stored - exact).max() < 0.1
    identity = search_index.clip_fingerprint(
        study, SearchConfig(clip=clip_file), clip_and_captions.RunOptions(device="cpu")
    )
    assert identity == {"clip": clip.picture_fingerprint} != {"clip": clip.fingerprint}


def test_vectors__of_rows_that_are_there(tmp_path):
    scratch = ClipScratch(tmp_path, "f" * 64)
    scratch.begin()
    for rows in ([0, 2], [4, 5, 7]):
        vectors = np.array(rows, np.float32)[:, None] * [1, 10]
        scratch.write(rows[0], {"rows": np.array(rows), "vectors": vectors.astype(np.float32)})
    taken = scratch.take(np.array([7, 0, 3, 5, 9]), 2)
    assert_array_equal(taken, [[7, 70], [0, 0], [np.nan] * 2, [5, 50], [np.nan] * 2])
    assert np.isnan(ClipScratch(tmp_path, "e" * 64).take(np.array([0]), 2)).all()


def test_look__is_of_the_picture_that_a_pass_of_its_own_reads_and_changes_it_not(clip_file, rng):
    clip = load_clip(clip_file)
    pixels = rng.integers(0, 256, (40, CLIP_SIDE + 300, 3), np.uint8)
    picture = Image.fromarray(pixels)
    seen = torch.from_numpy(ClipLook(clip.preprocess)(picture))[None]
    assert_array_equal(np.asarray(picture), pixels)
    assert_array_equal(
        clip.embed_pixels(seen), clip.embed_images([whole_pictures.reduced(picture, CLIP_SIDE)])
    )


def test_consumer__has_no_array_in_the_study(clip_file, tmp_path):
    consumer = WholePictures(load_clip(clip_file), ClipScratch(tmp_path, "a" * 64))
    looks = torch.zeros(2, 3, 32, 32)
    assert consumer.rows(looks, [3, 5]) == {} == consumer.empty
    assert consumer.look_bytes == 4 * 3 * 32 * 32
    taken = consumer.scratch.take(np.arange(6), consumer.clip.width)
    assert (~np.isnan(taken[:, 0])).nonzero()[0].tolist() == [3, 5]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, None),
        ({"concepts": {"clip": "TINY"}}, None),  # a step alone
        ({"search": {"clip": None}}, None),
        ({"search": {"clip": "TINY"}}, "TINY"),
        ({"search": {"clip": None}, "concepts": {"clip": "TINY"}}, "TINY"),
        ({"search": {"clip": "ViT-B-32@/no/such/file.pt"}}, None),
    ],
    ids=str,
)
def test_clip_in_pass__is_one_that_will_be_asked_for_and_is_here(
    asked, expected, images, clip_file, monkeypatch
):
    monkeypatch.setattr(search_index, "clip_here", lambda: None)
    source = open_images(str(images))
    named = {
        step: {name: clip_file if value == "TINY" else value for name, value in settings.items()}
        for step, settings in asked.items()
    }
    assert clip_in_pass(named, source) == (clip_file if expected else None)


def test_clip_in_pass__of_the_embedded_world():
    source = open_images("glyphworld?train=4&val=2")
    assert clip_in_pass({"search": {}}, source) == "asset:glyphworld"
