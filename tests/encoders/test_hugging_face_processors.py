"""Settings of image processors: the pixels that they say, or a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.encoders.hugging_face_processors import View, read_view
from core.encoders.registry import load_encoder
from core.encoders.transform import Transform
from core.errors import CheckpointError
from tests.encoders.test_hugging_face_networks import write
from tests.sentences import as_record

SQUARE: dict[str, Any] = {"size": {"height": 64, "width": 64}}
CROPPED = {"size": {"shortest_edge": 73}, "crop_size": {"height": 64, "width": 64}}
TABLE: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [  # class, settings, (input size, resize, crop)
    ("ViTImageProcessor", SQUARE, (64, None, "squash")),
    ("ViTFeatureExtractor", {"size": 64}, (64, None, "squash")),
    ("ViTImageProcessorFast", {"size": {"height": 64, "width": 96}}, ((64, 96), None, "squash")),
    ("ViTImageProcessor", CROPPED | {"do_center_crop": True}, (64, 73, "floor")),
    ("ViTImageProcessor", CROPPED | {"do_center_crop": True, "do_resize": False}, (64, None, "unscaled")),
    ("BitImageProcessor", CROPPED, (64, 73, "floor")),
    ("CLIPFeatureExtractor", {"size": 73, "crop_size": 64}, (64, 73, "floor")),
    ("CLIPImageProcessor", {}, (224, 224, "floor")),
    ("DeiTImageProcessor", CROPPED | {"size": {"height": 73, "width": 73}}, (64, 73, "squash floor")),
    ("DeiTImageProcessor", {}, (224, 256, "squash floor")),
    ("SiglipImageProcessor", SQUARE, (64, None, "squash")),
    ("BeitImageProcessor", SQUARE | {"do_center_crop": False, "crop_size": 64}, (64, None, "squash")),
    ("LevitImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": 64}, (64, 73, "floor")),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}, "crop_pct": 0.9}, (384, None, "squash")),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 288}, "crop_pct": 0.9}, (288, 320, "floor")),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}, (224, 256, "floor")),
    ("ConvNextFeatureExtractor", {"size": 192, "crop_pct": 0.75}, (192, 256, "floor")),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("ViTImageProcessor", {"size": {"shortest_edge": 64}}, "proportions"),
    ("ViTImageProcessor", {"size": {"longest_edge": 64}}, "several sizes"),
    ("ViTImageProcessor", {"do_resize": False}, "do_resize"),
    ("DeiTImageProcessor", {"size": {"height": 64, "width": 96}}, "64 x 96"),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 64}, "do_center_crop": True}, "do_center_crop"),
    ("ConvNextImageProcessor", SQUARE, "no square"),
    ("MobileViTImageProcessor", SQUARE, "MobileViT"),
    ("Siglip2ImageProcessor", {"patch_size": 16, "max_num_patches": 256}, "NaFlex"),
    ("ViTImageProcessor", SQUARE | {"do_flip_channel_order": True}, "do_flip_channel_order"),
    ("ViTImageProcessor", SQUARE | {"rescale_offset": True}, "rescale_offset"),
    ("ViTImageProcessor", SQUARE | {"do_pad": True, "pad_size": {"height": 70, "width": 70}}, "padded"),
]
DAMAGED = [
    {"size": {"shortest_edge": "x"}}, {"size": {"height": 0, "width": 3}}, {"resample": [3]}, {"resample": 9},
    {"image_mean": ["x"]}, {"image_std": [0, 0, 0]}, {"rescale_factor": "os"}, {"rescale_factor": 0},
]  # fmt: skip


def view(folder: Path, settings: Any, family: str = "ViT", name: str = "preprocessor_config.json") -> View:
    (folder / name).write_text(json.dumps(settings))
    return read_view(folder, family, Transform())


@pytest.mark.parametrize(("kind", "said", "seen"), TABLE)
def test_the_class_of_the_processor_decides_what_a_size_means(tmp_path, kind, said, seen):
    found = view(tmp_path, said | {"image_processor_type": kind}, family="ConvNeXt")
    transform = found.transform
    assert (transform.input_size, transform.resize, transform.crop) == seen
    assert found.stated and found.source == "preprocessor_config.json"


@pytest.mark.parametrize(("kind", "said", "why"), REFUSED)
def test_what_one_view_cannot_show_is_a_problem(tmp_path, kind, said, why):
    found = view(tmp_path, said | {"image_processor_type": kind})
    assert why in found.problem and not found.stated


@pytest.mark.parametrize("said", DAMAGED, ids=str)
def test_damaged_settings_are_refused(tmp_path, said):
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
        view(tmp_path, said | {"image_processor_type": "ViTImageProcessor"})
    (tmp_path / "preprocessor_config.json").write_text('{"size": ')
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
        read_view(tmp_path, "ViT", Transform())


@pytest.mark.parametrize(
    "said",
    [
        {"do_normalize": False},
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False, "image_mean": [100, 120, 140], "image_std": [50, 60, 70]},
        {"do_rescale": False, "do_normalize": False},
        {"image_mean": 0.5, "image_std": 0.25},
    ],
    ids=str,
)
def test_pixels_are_those_of_the_processor(tmp_path, said):
    """As its own code computes them: x * rescale_factor, then (x - mean) / std."""
    transform = view(tmp_path, SQUARE | said | {"image_processor_type": "ViTImageProcessor"}).transform
    x = np.arange(0, 256, 5, dtype=float)[:, None] * np.ones(3)
    expected = x * (said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1)
    if said.get("do_normalize", True):
        expected = (expected - said.get("image_mean", 0.5)) / said.get("image_std", 0.5)
    assert_allclose((x / 255 - transform.mean) / transform.std, expected, rtol=1e-9, atol=1e-9)


def test_settings_within_those_of_a_processor_come_first(tmp_path):
    """transformers 5 writes only processor_config.json, and reads it first where there are two."""
    view(tmp_path, SQUARE | {"image_mean": [0.1] * 3, "image_processor_type": "ViTImageProcessor"})
    nested = {
        "image_processor": CROPPED | {"image_mean": [0.2] * 3, "image_processor_type": "CLIPImageProcessor"}
    }
    found = view(tmp_path, nested, "CLIP", "processor_config.json")
    assert found.transform.mean[0] == 0.2 and found.source == "processor_config.json"
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "CLIPProcessor"}))
    assert read_view(tmp_path, "CLIP", Transform()).transform.mean[0] == 0.1


def test_what_is_not_taken_is_a_note_and_nothing_is_called_stated(tmp_path):
    said = SQUARE | {"image_processor_type": "ViTImageProcessor", "gamma": 2.2, "do_convert_rgb": True}
    found = view(tmp_path, said)
    notes = [as_record(note) for note in found.notes]
    assert [(note.kind, note.names) for note in notes] == [("settings_untaken", ("gamma",))]
    assert not found.stated and found.source


def test_a_middle_that_transformers_4_did_not_cut_is_said(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"transformers_version": "4.57.3"}))
    said = SQUARE | {"image_processor_type": "ViTImageProcessor", "do_center_crop": True, "crop_size": 32}
    assert [as_record(note).kind for note in view(tmp_path, said).notes] == ["cropped_since_5"]


def test_a_refused_view_is_given_by_flags_or_a_sidecar(tmp_path):
    folder = write(tmp_path / "net", "ViT")
    view(folder, {"image_processor_type": "MyImageProcessor", "image_mean": [0.1] * 3})
    with pytest.raises(CheckpointError, match="--input-size"):
        load_encoder(str(folder))
    encoder = load_encoder(str(folder), mean=[0.3] * 3, std=[0.2] * 3, input_size=32)
    assert encoder.transform.mean[0] == 0.3 and not encoder.normalisation_stated
    Path(f"{folder}.json").write_text(json.dumps({"transform": {"mean": [0.4] * 3, "input_size": 32}}))
    assert load_encoder(str(folder)).transform.mean[0] == 0.4


def test_a_view_of_another_size_than_the_weights_have_places_for_is_refused(tmp_path):
    folder = write(tmp_path, "ViT")
    view(folder, {"size": 64, "image_processor_type": "ViTImageProcessor"})
    with pytest.raises(CheckpointError, match="64 x 64.*32 x 32"):
        load_encoder(str(folder))
    assert load_encoder(str(folder), input_size=32).transform.input_size == 32


@pytest.mark.parametrize(("width", "height"), [(67, 91), (130, 75), (64, 64), (94, 95), (40, 30)])
def test_crops_begin_where_those_of_transformers_begin(width, height):
    """int((size - crop) / 2) of a longer side, and a margin of (crop - size) // 2 before a shorter one."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    seen = Transform(resize=None, input_size=(48, 64), crop="unscaled").pixels(picture)
    padded = np.pad(np.asarray(picture), [(max(48 - height, 0),) * 2, (max(64 - width, 0),) * 2, (0, 0)])
    expected = padded
    for axis, side in ((0, 48), (1, 64)):
        size = np.asarray(picture).shape[axis]
        start = (size - side) // 2 if size >= side else max(side - size, 0) - (side - size) // 2
        expected = np.take(expected, range(start, start + side), axis)
    assert_array_equal(seen, expected)
    for crop, resized in (("squash floor", (60, 60)), ("floor", None)):
        transform = Transform(resize=60, input_size=41, crop=crop)
        short = min(width, height)
        size = resized or (
            (60, int(60 * height / width)) if width == short else (int(60 * width / height), 60)
        )
        whole = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        top, left = (int((side - 41) / 2) for side in whole.shape[:2])
        assert_array_equal(transform.pixels(picture), whole[top : top + 41, left : left + 41])
