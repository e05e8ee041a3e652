"""Embedding: order, skipping, resuming, and what must stop it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image

from core.analysis import representations
from core.analysis.picture_table import measure_picture
from core.analysis.representations import (
    Representations,
    ThumbnailLook,
    batches_of,
    check_finite_representations,
    embed_tables,
    load_ready_representations,
)
from core.data.decode import decode
from core.data.images import open_images
from core.data.source import image_table
from core.encoders.registry import load_encoder
from core.errors import EncoderError, ImageSourceError, SettingsError, ShapeError, UnreadableImage
from core.pipeline import run as pipeline
from core.publish.export_files import COLUMNS
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import Collected
from tests.command_line import contents

ENCODER = {"encoder": "timm:resnet10t", "input_size": 32, "resize": 32, "workers": 0, "device": "cpu"}


@pytest.fixture
def folder(tmp_path, rng) -> Path:
    """Twelve images of two classes; one is truncated, one empty."""
    for split, count in (("train", 8), ("val", 4)):
        for number in range(count):
            path = tmp_path / "images" / split / ("ab"[number % 2]) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(path)
    broken = tmp_path / "images" / "train" / "a" / "2.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "images" / "val" / "b" / "1.png").write_bytes(b"")
    return tmp_path / "images"


def embed(study: Path, images: Path | str, **options: object) -> dict:
    return pipeline.run_step("embed", study, {"images": str(images)} | ENCODER | options, Progress.silent())


@pytest.mark.slow
def test_consumers__look_at_one_picture_and_leave_it_as_it_is(rng):
    """Pictures are larger than thumbnails, else nothing would be scaled."""
    pixels = rng.integers(0, 255, (150, 200, 3), dtype=np.uint8)
    transform = load_encoder(ENCODER["encoder"], device="cpu", input_size=32).transform
    for consumer in (transform.pixels, ThumbnailLook(128), measure_picture):
        picture = Image.fromarray(pixels)
        consumer(picture)
        assert_array_equal(np.asarray(picture), pixels)


@pytest.mark.slow
def test_embed__measures_pictures_at_their_stored_size(tmp_path, rng):
    for number in range(4):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (150, 200, 3), dtype=np.uint8)).save(path)
    embed(tmp_path / "study", tmp_path / "images")
    study = open_study(tmp_path / "study")
    table, ids = study.table("pictures"), study.images["image_id"]
    assert (table["width"] == 200).all() and (table["height"] == 150).all()
    for image_id, row in zip(ids, study.vector("picture_values"), strict=True):
        assert_array_equal(row, measure_picture(decode(tmp_path / "images" / image_id))[0])


@pytest.mark.parametrize("n_rows", [1, 7, 8, 20])
def test_batches__cover_every_row_once_and_never_cross_a_chunk(monkeypatch, n_rows):
    monkeypatch.setattr(representations, "CHUNK_ROWS", 8)
    chunks = range(-(-n_rows // 8))
    batches = batches_of(chunks, n_rows, 3)
    assert [row for batch in batches for row in batch] == list(range(n_rows))
    assert all(batch.start // 8 == (batch.stop - 1) // 8 for batch in batches)


@pytest.mark.slow
def test_embed__each_row_is_its_image_through_the_encoder(tmp_path, folder):
    summary = embed(tmp_path / "study", folder, batch_size=5)
    study = open_study(tmp_path / "study")
    assert (summary["n_images"], summary["n_skipped"], summary["n_train"]) == (10, 2, 7)
    encoder = load_encoder("timm:resnet10t", input_size=32, resize=32)
    for row, image_id in enumerate(study.images["image_id"]):
        image = Image.open(folder / image_id)
        alone = encoder.represent(torch.from_numpy(encoder.transform.pixels(image))[None])
        np.testing.assert_allclose(study.array("representations")[row], alone[0], rtol=1e-4, atol=1e-5)
        assert study.thumbnail_image(row).size == (48, 40)
        assert study.image(image_id).size == (48, 40)


def test_embed__lists_what_it_skipped_and_why(tmp_path, folder):
    embed(tmp_path / "study", folder)
    skipped = open_study(tmp_path / "study").table("skipped").set_index("path")["reason"]
    assert [Path(str(path)).name for path in skipped.index] == ["2.png", "1.png"]
    assert "truncated" in skipped.iloc[0] and "zero bytes" in skipped.iloc[1]


def test_embed__a_column_of_the_images_that_is_called_as_their_name_stays():
    extras = pd.DataFrame({"image_id": [7]})
    source: Any = SimpleNamespace(
        table=image_table(["x"], ["x"], ["train"], ["a"]), extras=extras, group=None
    )
    step: Any = Collected()
    embed_tables(step, source, [])
    assert step.items["attributes"].to_dict("records") == [{"image_id_": 7, "image_id": "x"}]


def test_embed__strict_stops_and_names_the_image(tmp_path, folder):
    with pytest.raises(UnreadableImage, match=r"2\.png: .*truncated.*--strict"):
        embed(tmp_path / "study", folder, strict=True)


def test_embed__nothing_readable(tmp_path, folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"not an image")
    with pytest.raises(ImageSourceError, match="12.*images"):
        embed(tmp_path / "study", folder)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("chunk_rows", [3, 4096])
def test_embed__is_independent_of_workers_and_chunks(tmp_path, folder, monkeypatch, workers, chunk_rows):
    embed(tmp_path / "plain", folder, batch_size=3)
    monkeypatch.setattr(representations, "CHUNK_ROWS", chunk_rows)
    embed(tmp_path / "other", folder, workers=workers, batch_size=3)
    one, two = (open_study(tmp_path / name) for name in ("plain", "other"))
    np.testing.assert_array_equal(one.vector("representations"), two.vector("representations"))
    assert [one.thumbnail(row) for row in range(10)] == [two.thumbnail(row) for row in range(10)]
    assert one.table("skipped").equals(two.table("skipped"))


@pytest.mark.slow
def test_embed__interrupted_then_resumed_is_byte_identical(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(representations, "CHUNK_ROWS", 3)
    embed(tmp_path / "straight", folder)
    seen, original = [], Representations.rows

    def interrupted(self, looks, listing_rows):
        seen.append(listing_rows)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(self, looks, listing_rows)

    monkeypatch.setattr(Representations, "rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(tmp_path / "broken", folder)
    embed(tmp_path / "broken", folder)
    assert contents(tmp_path / "broken") == contents(tmp_path / "straight")
    assert len(seen) == 3 + 2  # of four chunks two were done: the others are not computed again


@pytest.mark.slow
def test_embed__again_does_nothing_unless_something_changed(tmp_path, folder, monkeypatch):
    embed(tmp_path / "study", folder)
    before = contents(tmp_path / "study")
    calls, original = [], representations.embed_chunks
    monkeypatch.setattr(representations, "embed_chunks", lambda *a, **k: calls.append(1) or original(*a, **k))
    embed(tmp_path / "study", folder)
    assert not calls and contents(tmp_path / "study") == before
    (folder / "val" / "b" / "1.png").unlink()
    embed(tmp_path / "study", folder)
    assert calls and open_study(tmp_path / "study").summary("embed")["n_skipped"] == 1
    embed(tmp_path / "study", folder, input_size=64, resize=64)
    assert len(calls) == 2


@pytest.mark.slow
def test_embed__half_precision_is_stored_as_asked(tmp_path, folder):
    embed(tmp_path / "full", folder)
    embed(tmp_path / "half", folder, dtype="float16")
    full, half = (open_study(tmp_path / name).vector("representations") for name in ("full", "half"))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, full, rtol=1e-3, atol=1e-4)


def test_embed__pictures_that_repeat_others_and_their_numbers(tmp_path, folder):
    twin = folder / "val" / "a" / "twin.png"
    twin.write_bytes((folder / "train" / "a" / "0.png").read_bytes())
    summary = embed(tmp_path / "study", folder)
    study = open_study(tmp_path / "study")
    table = study.table("pictures").set_index("image_id")
    assert list(table.index) == list(study.images["image_id"])
    assert ["image_id", *table.columns] == list(COLUMNS["pictures"])
    first = "train/a/0.png"
    assert table["duplicate_of"].dropna().to_dict() == {"val/a/twin.png": first}
    assert table["near_duplicate_of"].dropna().to_dict() == {"val/a/twin.png": first}
    assert summary["pictures"] == {"n_without": 0, "n_exact": 1, "n_near": 1, "n_cut": 0}
    one = Image.open(folder / first)
    assert table.loc[first, "brightness"] == pytest.approx(measure_picture(one)[0][0])
    assert table["width"].eq(48).all() and not table["turned"].any()


def test_embed__given_representations_keep_their_order_and_missing_pictures_stay(tmp_path, folder, rng):
    raw = rng.random((12, 5)).astype(np.float32)
    np.save(tmp_path / "raw.npy", raw)
    options = {"images": str(folder), "representations": str(tmp_path / "raw.npy"), "workers": 0}
    pipeline.run_step("embed", tmp_path / "study", options, Progress.silent())
    study = open_study(tmp_path / "study")
    np.testing.assert_array_equal(study.vector("representations"), raw)
    assert study.summary("embed")["n_skipped"] == 0 and len(study.images) == 12
    table = study.table("pictures")  # two files cannot be read
    assert (
        table["brightness"].isna().sum() == table["turned"].isna().sum() == table["width"].isna().sum() == 2
    )
    assert study.summary("embed")["pictures"]["n_without"] == 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2)), "has 3 rows but 12 images were found; there must be one row for each"),
        (np.zeros(12), r"expected floats of shape \(N, r\)"),
        (np.zeros((12, 2), int), "expected floats"),
    ],
)
def test_given_representations__errors(tmp_path, array, message):
    np.save(tmp_path / "raw.npy", array)
    with pytest.raises(ShapeError, match=message):
        load_ready_representations(str(tmp_path / "raw.npy"), 12)
    np.savez(tmp_path / "raw.npz", array)
    (tmp_path / "raw.npy").write_bytes(b"<html>")
    for name in ("raw.npy", "raw.npz"):
        with pytest.raises(ShapeError, match="representations"):
            load_ready_representations(str(tmp_path / name), 12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_check_finite__names_the_image(folder, bad):
    raw = np.zeros((3, 4))
    raw[1, 2] = bad
    source = open_images(str(folder))
    with pytest.raises(EncoderError, match=f"for image '{source.table['image_id'][5]}' .1 of 3"):
        check_finite_representations(raw, [4, 5, 6], source)
    with pytest.raises(EncoderError, match=".--representations.*--dtype"):
        check_finite_representations(raw, [4, 5, 6], source, ready=True)


def test_embed__which_images_with_what(tmp_path, folder):
    with pytest.raises(SettingsError, match="which images"):
        pipeline.run_step("embed", tmp_path / "study", ENCODER, Progress.silent())
    with pytest.raises(SettingsError, match="which encoder"):
        both = {"images": str(folder), **ENCODER, "representations": "raw.npy"}
        pipeline.run_step("embed", tmp_path / "study", both, Progress.silent())
