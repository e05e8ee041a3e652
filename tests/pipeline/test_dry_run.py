"""What a dry run says as JSON: what the view New study shows."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tests.planted_encoder
from core.cli.output import plan_text
from core.config import RunOptions
from core.pipeline.dry_run import plan
from core.pipeline.embed import load, open_source, with_encoder
from core.pipeline.estimates import ImageRates, Sizes, estimate_steps, firing_per_image, image_rates
from core.store import open_study
from core.study.steps import in_analysis, settings_of
from tests.command_line import QUICK, SMALL, photos
from tests.concepts.fakes import ColourClip
from tests.data.mask_files import put_masks
from tests.encoders.planted import narrow_resnet


def planned(run, tmp_path, *words: object) -> dict:
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    said = run(
        "analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK, "--dry-run", "--json", *words
    )
    assert said.code == 0, said.err
    assert not (tmp_path / "study").exists()
    return json.loads(said.out)


def test_folders_above_classes__are_a_table_and_a_sentence(run, tmp_path):
    for domain in ("photo", "sketch"):
        photos(tmp_path / "photos" / domain, {"cat": 6, "dog": 3, "elk": 3})
    words = ["analyze", tmp_path / "study", "--images", tmp_path / "photos", *SMALL, *QUICK, "--dry-run"]
    report = json.loads(run(*words, "--json").out)
    found, shown = report["images"], plan_text(report)
    rows = {row["role"]: (row["level"], row["n_names"], row["n_images"]) for row in found["levels"]}
    assert rows == {"domain": ("level 1", 2, 24), "class": ("level 2", 3, 24)}
    assert found["other_level"] == 1 and found["how_read"] in found["notes"]
    assert found["how_read"] in shown and re.search(r"level 1 +domain +2 +24 +photo, sketch", shown)


def test_samples__ids_always_thumbnails_on_request(run, tmp_path):
    found = planned(run, tmp_path)
    assert [one["label"] for one in found["samples"]] == ["cat", "cat", "dog"]
    assert not any("thumbnail" in one for one in found["samples"])
    assert found["images"]["smallest_class"] == 3
    assert (found["masks"], found["captions"], found["clip"]) == (None, None, None)


def test_sample__says_how_many_images_were_tried(run, tmp_path):
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    (images / "dog" / "broken.jpg").write_bytes(b"no picture")
    found = planned(run, tmp_path)["images"]
    assert len(found["unreadable_in_sample"]) == 1 and found["sampled"] == 10


def test_samples__thumbnails_are_pictures(run, tmp_path):
    found = planned(run, tmp_path, "--samples", 5)
    assert len(found["samples"]) == 5
    for one in found["samples"]:
        head, _, data = one["thumbnail"].partition(",")
        assert head == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (12, 10)


@pytest.mark.parametrize(
    ("size", "warned"), [({}, True), ({"input_size": 16}, False), ({"resize": 9}, False)]
)
def test_small_images__enlarged_unasked_a_note_names_the_flags(tmp_path, size, warned):
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})  # 12 x 10 pixels, for a view of 96
    options = {"images": str(images), "encoder": "asset:simclr_glyphworld", "device": "cpu"}
    config = settings_of("embed", options | size)
    _, about = load(config, open_source(config), RunOptions(device="cpu"))
    note = "the images are about 10 pixels wide and are enlarged to 96"
    assert any(line.startswith(note) and "--input-size 10" in line for line in about["assumptions"]) == warned


def test_ready_representations__no_picture_is_unreadable_where_none_is_read(run, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((20, 8)).astype(np.float32))
    given = ("--representations", tmp_path / "rows.npy", "--dry-run", "--json")
    found = json.loads(run("analyze", tmp_path / "study", *given).out)["images"]
    assert (found["n_images"], found["sampled"], found["unreadable_in_sample"]) == (20, 0, [])


def test_masks_and_captions__are_counted(run, tmp_path):
    half = np.repeat([0, 255], 5)[:, None] * np.ones(12)
    put_masks(tmp_path / "masks", {f"core/cat/{number}.png": half for number in range(2)})
    (tmp_path / "bank.txt").write_text("a red car\na blue car\na red car\n")
    words = ("--masks", tmp_path / "masks", "--captions", tmp_path / "bank.txt", "--clip", "ViT-B-32@openai")
    found = planned(run, tmp_path, *words)
    assert found["masks"]["n_core"] == 2 and found["masks"]["n_images"] == 9
    assert found["captions"]["n_captions"] == 2 and found["captions"]["first"][0] == "a red car"
    assert found["clip"] == {"name": "ViT-B-32@openai", "here": False}


def test_wrong_masks_and_captions__one_line(run, tmp_path):
    images = photos(tmp_path / "photos", {"cat": 6})
    start = ("analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK, "--dry-run")
    assert "captions" in run(*start, "--captions", tmp_path / "none.txt").error
    assert "none" in run(*start, "--masks", tmp_path / "none").error
    assert "no weights" in run(*start, "--clip", f"ViT-B-32@{tmp_path}/none.pt").error


@pytest.mark.parametrize("words", [("--dry-run",), ()], ids=["dry", "real"])
def test_a_file_of_class_names_that_cannot_be_read__before_anything_runs(run, tmp_path, words):
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    start = ("analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK, *words, "--head-classes")
    (tmp_path / "bad.json").write_text('{"0": []}')
    assert "cannot" in run(*start, tmp_path / "none.txt").error
    assert "output 0 has no name" in run(*start, tmp_path / "bad.json").error
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("words", [("--dry-run",), ()], ids=["dry", "real"])
def test_a_file_of_class_names_that_the_encoder_has_no_use_for__one_line(run, tmp_path, words):
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    words = (*SMALL, *QUICK, *words, "--head-classes", tmp_path / "names.txt")
    said = run("analyze", tmp_path / "study", "--images", images, *words)
    assert f"--head-classes {tmp_path / 'names.txt'}: " in said.error
    assert not (tmp_path / "study" / "representations").exists()


def test_a_file_with_another_number_of_class_names__before_any_image_is_embedded(run, tmp_path):
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    state = narrow_resnet().state_dict() | {"fc.weight": torch.randn(3, 64), "fc.bias": torch.zeros(3)}
    torch.save(state, tmp_path / "net.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    words = ("--encoder", tmp_path / "net.pth", *QUICK, "--head-classes", tmp_path / "names.txt")
    said = run("analyze", tmp_path / "study", "--images", images, *words)
    assert all(part in said.error for part in ("2", "3", "outputs"))
    assert not (tmp_path / "study" / "representations").exists()


def test_steps__every_one_is_estimated_and_adds_up(run, tmp_path):
    found = planned(run, tmp_path)
    steps = {one["step"]: one for one in found["steps"]}
    assert list(steps) == in_analysis()
    assert all(steps[name]["seconds"] > 0 for name in ("embed", "features", "quality"))
    assert steps["probe"]["seconds"] == 0 and "too few images to evaluate" in steps["probe"]["note"]
    assert found["seconds"] == pytest.approx(sum(one["seconds"] or 0 for one in found["steps"]))
    assert found["bytes"] == pytest.approx(sum(one["bytes"] for one in found["steps"]), abs=1)
    assert steps["heatmaps"]["note"] == "no maps"  # of one position, for images of 32 pixels
    assert steps["overlap"]["note"] == "no masks"
    assert steps["search"]["seconds"] is None and steps["search"]["note"] == "no CLIP is named"


def test_estimates__clip_reads_whole_images_while_they_are_embedded():
    rows = np.random.default_rng(0).gamma(0.2, size=(32, 16)).astype(np.float32)
    rates, sizes, clip = ImageRates(0.01, rows), Sizes(1_000, 200, 0), ColourClip()

    def estimated(**options: Any) -> dict[str, Any]:
        return {one.step: one for one in estimate_steps(sizes, rates, {}, 1e6, **options)}

    without, in_pass, own = estimated(), estimated(clip=clip), estimated(clip=clip, given=True)
    assert in_pass["embed"].passing == without["embed"].passing + 1_000 * 4 * clip.width
    assert in_pass["embed"].seconds > without["embed"].seconds == own["embed"].seconds
    assert in_pass["embed"].note and not own["embed"].note
    assert own["search"].seconds > in_pass["search"].seconds + 1_000 * rates.seconds
    assert own["search"].bytes == in_pass["search"].bytes > 0


def test_estimates__grow_with_what_a_step_depends_on():
    rows = np.random.default_rng(0).gamma(0.2, size=(32, 256)).astype(np.float32)
    rates = ImageRates(seconds=0.1, raw=rows, map_seconds=0.2, map_bytes=98)

    def estimated(**sizes):
        all_sizes = Sizes(**{"n_images": 10_000, "n_val": 2_000, "n_classes": 10, **sizes})
        return {one.step: one for one in estimate_steps(all_sizes, rates, {"epsilon": 4.0}, 1e6)}

    def seconds(estimates, step: str) -> float:
        return estimates[step].seconds

    plain, masked = estimated(), estimated(n_masked=500)
    assert plain["embed"].seconds == pytest.approx(1_000) and plain["embed"].bytes == 1e6
    # 2,000 evaluation images, and those of 8,000 others that 16 x 256 draws hit: 8,000 (1 - exp(-.4096))
    assert plain["heatmaps"].seconds == pytest.approx(0.2 * (2_000 + 8_000 * 0.3361), rel=0.01)
    assert masked["overlap"].seconds == pytest.approx(500 * 0.4, rel=0.01) and not plain["overlap"].seconds
    assert plain["heatmaps"].bytes == pytest.approx(
        98 * (4689 * firing_per_image(rows, 4.0) + 4096), rel=0.01
    )
    unlabelled = estimated(n_classes=0)
    assert unlabelled["probe"].seconds == 0 and unlabelled["probe"].note == "no labels"

    alone = estimated(no_probe="there are no evaluation images")
    assert alone["probe"].seconds == 0 and alone["probe"].note == "there are no evaluation images"

    again = [estimated() for _ in range(3)]  # the fastest: a busy machine can make one of them slow

    def times(step: str, **sizes) -> float:
        return seconds(estimated(**sizes), step) / min(seconds(one, step) for one in again)

    assert times("features", n_images=8_000_000) > 5 and times("probe", n_classes=2_000) > 1.5


def test_image_rates__a_slow_encoder_is_measured_on_two_images(monkeypatch):
    encoder = tests.planted_encoder.hues()
    batches = []

    def slowly(pixels):
        batches.append(len(pixels))
        time.sleep(0.05 * len(pixels))
        return type(encoder).represent(encoder, pixels)

    monkeypatch.setattr(encoder, "represent", slowly, raising=False)
    pictures = [Image.new("RGB", (48, 48), (n * 7, 90, 200)) for n in range(32)]
    rates = image_rates(encoder, pictures, 0.01, RunOptions(), 4.0)
    assert max(batches) == 2 and rates.seconds >= 0.06 and len(rates.raw) == 2


def test_without_an_encoder__one_that_suits_the_images_is_taken_and_named(tmp_path):
    photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    report = plan(tmp_path / "study", {"images": str(tmp_path / "photos")})
    assert report["encoder"]["spec"] == "asset:efficientnet_lite0" and report["encoder"]["n_features"] == 1280
    assert report["assumptions"][0].startswith("no encoder was named: asset:efficientnet_lite0, which is")
    of_world, _ = with_encoder(tmp_path / "study", {"images": "glyphworld?train=9"})
    assert of_world["encoder"] == "asset:simclr_glyphworld"


def test_without_an_encoder__a_study_keeps_its_own(run, tmp_path):
    images = photos(tmp_path / "photos", {"cat": 6, "dog": 3})
    assert run("embed", tmp_path / "study", "--images", images, *SMALL).code == 0
    named, line = with_encoder(tmp_path / "study", {"images": str(images)})
    assert named["encoder"] == open_study(tmp_path / "study").settings("embed")["encoder"]
    assert line is not None and line.endswith("as this study was made")


def test_own_classifier__the_images_of_its_classes_are_counted(tmp_path):
    images = photos(tmp_path / "photos", {"n01440764": 2, "n01484850": 1, "cat": 3})
    options = {"images": str(images), "encoder": "asset:efficientnet_lite0", "device": "cpu"}
    report = plan(tmp_path / "study", options)
    assert report["images"]["n_known_to_classifier"] == 3
    assert report["assumptions"][-1] == (
        "no classifier output matches cat: their images are excluded from the accuracy; "
        "see --head-classes FILE"
    )
    options["images"] = str(photos(tmp_path / "digits", {"0": 2, "7": 1}))
    assert plan(tmp_path / "study", options)["images"]["n_known_to_classifier"] == 0
