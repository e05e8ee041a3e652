"""The step `heatmaps` on a small real study: which maps, what they hold, resuming, what must stop it."""

from __future__ import annotations

import shutil
import tracemalloc
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.analysis import heatmap_selection
from core.analysis import heatmaps_step as heatmap_step
from core.analysis.gradcam import gradcam_maps
from core.analysis.heatmap_selection import class_pairs, discriminative_pairs
from core.analysis.heatmaps_on_demand import on_demand, request_heatmaps, study_encoder
from core.errors import EncoderError, HeatmapNotStored, ImageSourceError, StudyError, UnreadableImage
from core.store import open_study
from core.study.heatmaps import combine
from core.study.progress import Progress
from tests.analysis.heatmap_studies import HALF, N_TRAIN, N_VAL, heatmaps, make
from tests.command_line import contents

pytestmark = pytest.mark.usefixtures("one_thread")


def expected_pairs(study, top, rows):
    """Which maps must be stored, image by image: slowly, from the tables."""
    inside = study.table("features")["discriminative"].to_numpy()
    raw, count = study.vector("representations"), study.vector("firing_count")
    firing, starts = study.vector("firing_features"), np.cumsum([0, *count])
    top_images = study.vector("top_images")
    pairs, fallback = {}, {}
    best = best_of_classes(study)
    rows = set(rows) | {int(row) for row in top_images[:, :top].ravel() if row >= 0}
    for row in sorted(rows):
        of_image = {int(j) for j in firing[starts[row] : starts[row + 1]] if inside[j]}
        fallback[row] = not of_image
        if not of_image:
            of_image = {max(np.flatnonzero(inside), key=lambda j, row=row: (raw[row, j], -j))}
        of_image |= {j for j in range(len(top_images)) if row in top_images[j, :top]}
        of_image |= {j for j in range(len(top_images)) if (row, j) in best}
        pairs[row] = sorted(of_image)
    return pairs, fallback


def best_of_classes(study, each=4):
    """(row, feature) of the evaluation images of each class on which a feature fires most, slowly."""
    raw = study.vector("representations").astype(np.float64)
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    count, firing = study.vector("firing_count"), study.vector("firing_features")
    starts = np.cumsum([0, *count])
    on = {}
    for row in np.flatnonzero(study.is_val).tolist():
        for j in firing[starts[row] : starts[row + 1]].tolist():
            on.setdefault((study.images["label"].iat[row], j), []).append(row)
    best = set()
    for (_, j), rows in on.items():
        best |= {(row, j) for row in sorted(rows, key=lambda row, j=j: (-h[row, j], row))[:each]}
    return best


def test_features_outside_d__have_maps_on_every_class_on_which_they_fire(copy):
    heatmaps(copy, top=0)
    study = open_study(copy)
    outside = set(np.flatnonzero(~study.table("features")["discriminative"].to_numpy()).tolist())
    best = {(row, j) for row, j in best_of_classes(study) if j in outside}
    assert best and all(j in study.heatmap_reader.features_of(row) for row, j in best)
    row, feature = class_pairs(study, each=1)
    label = study.images["label"].to_numpy()[row]
    assert len(row) == len(set(zip(label, feature.tolist(), strict=True)))
    assert set(zip(row.tolist(), feature.tolist(), strict=True)) == best_of_classes(study, each=1)


def test_class_pairs__are_picked_from_some_images_at_a_time(rng, monkeypatch):
    """At 50,000 images with 300 features each, all pairs at once took 1.2 GB."""
    n, each = 3000, 40
    stored = {
        "firing_features": np.argsort(rng.random((n, 60)), axis=1)[:, :each].astype(np.int32).ravel(),
        "firing_excess": rng.integers(0, 9, n * each).astype(np.float32),  # with many ties
    }
    fake = Mock(is_val=rng.random(n) < 0.9)
    fake.images = pd.DataFrame({"label": rng.choice(np.array(["a", "b", "c", None], object), n)})
    fake.vector.return_value = np.full(n, each, np.int32)
    fake.table.return_value = pd.DataFrame({"mean": np.zeros(n)})
    fake.array.side_effect = lambda name: Mock(rows=stored[name].__getitem__)
    whole = class_pairs(fake)
    monkeypatch.setattr(heatmap_selection, "CHUNK_ROWS", 200)
    tracemalloc.start()
    parts = class_pairs(fake)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(whole[0]) == 4 * 4 * 60  # 4 images of each class, or none, and feature
    assert_array_equal(np.stack(parts), np.stack(whole))
    assert peak < 16 * n * each


def test_discriminative_pairs__are_read_of_some_chosen_images_at_a_time(rng, monkeypatch):
    """At 1.3 million images with 250 features each, the owners of all pairs took 1.3 GB."""
    n, each = 3000, 40
    firing = rng.integers(0, 60, n * each).astype(np.int32)
    selected, fake = rng.random(n) < 0.1, Mock(n_images=n, discriminative=rng.random(60) < 0.5)
    fake.vector.side_effect = {"firing_count": np.full(n, each, np.int32), "firing_features": firing}.get
    fake.array.return_value = Mock(rows=firing.__getitem__, dtype=firing.dtype)
    monkeypatch.setattr(heatmap_selection, "CHUNK_ROWS", 200)
    tracemalloc.start()
    rows, features = discriminative_pairs(fake, selected)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pairs = [(row, j) for row in np.flatnonzero(selected) for j in firing[row * each : (row + 1) * each]]
    assert list(zip(rows, features, strict=True)) == [pair for pair in pairs if fake.discriminative[pair[1]]]
    assert rows.dtype == features.dtype == np.int32 and peak < 4 * n * each
    assert [len(part) for part in discriminative_pairs(fake, selected & False)] == [0, 0]


def stored_pairs(study):
    reader = study.heatmap_reader
    return {int(row): reader.features_of(int(row)).tolist() for row in reader.rows}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"top": 2}, {"top": 0}, {"top": 1, "train": True}], ids=str)
def test_which_maps_are_stored(copy, options):
    summary = heatmaps(copy, **options)
    study = open_study(copy)
    base = range(N_TRAIN + N_VAL) if "train" in options else range(N_TRAIN, N_TRAIN + N_VAL)
    pairs, fallback = expected_pairs(study, options["top"], base)
    assert stored_pairs(study) == pairs
    assert_array_equal(study.vector("heatmap_fallback"), list(fallback.values()))
    assert summary["n_images"] == len(pairs) and summary["n_maps"] == sum(map(len, pairs.values()))
    assert summary["n_fallback"] == sum(fallback.values())
    if "train" in options:
        assert any(fallback.values()) and not all(fallback.values())  # both kinds are in this study
    assert [study.heatmap_reader.discriminative(row)[1] for row in pairs] == list(fallback.values())


@pytest.mark.slow
def test_every_map_is_that_of_its_image(finished):
    study, encoder = open_study(finished), None
    encoder = study_encoder(study)
    reader = study.heatmap_reader
    for row in reader.rows.tolist():
        features = reader.features_of(row)
        pixels = torch.from_numpy(encoder.transform.pixels(study.image(row)))[None]
        expected = gradcam_maps(encoder, pixels, features)[0].numpy()
        maps, peaks = reader.maps(row, features)
        assert_allclose(peaks, expected.max((1, 2)), rtol=1e-4, atol=1e-7)
        assert_allclose(maps * peaks[:, None, None], expected, atol=1e-3 * max(peaks.max(), 1e-6))
        for at, feature in enumerate(features.tolist()):
            one = expected[at : at + 1]
            heat = study.heatmap(row, [feature])
            assert heat.shape == (64, 64) and heat.dtype == np.float32
            assert_allclose(heat, combine(one, np.ones(1), "mean", 64), atol=HALF)


def test_what_the_summary_says(finished):
    study = open_study(finished)
    summary = study.summary("heatmaps")
    assert (summary["native"], summary["input_size"]) == ([8, 8], 64)
    assert (summary["layer"], summary["method"]) == ("layer4.0", "closed form")
    assert summary["n_missing"] == 0 and len(study.table("heatmaps_missing")) == 0
    peaks, floors = study.vector("heatmap_peaks"), study.vector("heatmap_floors")
    assert summary["n_zero"] == (peaks <= floors).sum()
    assert study.array("heatmap_maps").dtype == np.float16


@pytest.mark.slow
def test_interrupted_then_resumed_is_byte_identical(tmp_path, embedded, monkeypatch):
    monkeypatch.setattr(heatmap_step, "CHUNK_IMAGES", 4)
    straight, broken = (shutil.copytree(embedded, tmp_path / name) for name in ("straight", "broken"))
    heatmaps(straight)
    calls, original = [], heatmap_step.packed_maps

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(heatmap_step, "packed_maps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        heatmaps(broken)
    assert not open_study(broken).has("heatmap_rows")
    heatmaps(broken)
    n_chunks = -(-open_study(straight).summary("heatmaps")["n_images"] // 4)
    assert len(calls) == n_chunks + 1 and n_chunks > 3  # what was done is not computed again
    assert contents(broken) == contents(straight)


def test_batches_are_as_large_as_asked(embedded, tmp_path, monkeypatch):
    sizes, plain = [], heatmap_step.picture_batches
    monkeypatch.setattr(
        heatmap_step,
        "picture_batches",
        lambda pictures, batches, **how: sizes.extend(map(len, batches)) or plain(pictures, batches, **how),
    )
    heatmaps(shutil.copytree(embedded, tmp_path / "other"), top=0, batch_size=3)
    assert max(sizes) == 3 and sum(sizes) == N_VAL


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
def test_batches_and_chunks_do_not_matter(tmp_path, finished, embedded, monkeypatch, batch):
    monkeypatch.setattr(heatmap_step, "CHUNK_IMAGES", 5)
    folder = shutil.copytree(embedded, tmp_path / "other")
    heatmaps(folder, top=2, batch_size=batch)
    one, two = open_study(finished), open_study(folder)
    assert stored_pairs(one) == stored_pairs(two)
    assert_allclose(two.vector("heatmap_peaks"), one.vector("heatmap_peaks"), rtol=1e-4, atol=1e-7)


def test_again_does_nothing(copy, monkeypatch):
    before = heatmaps(copy)
    monkeypatch.setattr(heatmap_step, "study_encoder", lambda *_: pytest.fail("computed again"))
    assert heatmaps(copy) == before


@pytest.mark.slow
def test_images_that_are_gone_are_counted_and_come_back(own, monkeypatch):
    study = open_study(own)
    first, last = (study.images["image_id"].iat[row] for row in (N_TRAIN, N_TRAIN + 1))
    paths = [own.parent / "images" / image_id for image_id in (first, last)]
    contents = [path.read_bytes() for path in paths]
    paths[0].unlink()
    paths[1].write_bytes(contents[1][:60])
    summary = heatmaps(own, top=0)
    assert (summary["n_images"], summary["n_missing"]) == (N_VAL - 2, 2)
    study = open_study(own)
    lost = study.table("heatmaps_missing").set_index("image_id")["reason"]
    assert list(lost.index) == [first, last] and "truncated" in lost[last]
    with pytest.raises(HeatmapNotStored, match="heatmap"):
        study.heatmap(first)
    with pytest.raises(UnreadableImage):
        on_demand(study, study.row_of(first))
    rest = study.images["image_id"].iat[N_TRAIN + 2]
    assert study.overlay(rest).size == (90, 70)

    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert heatmaps(own, top=0, redo=True)["n_missing"] == 0
    assert open_study(own).heatmap(first).shape == (64, 64)


@pytest.mark.slow
def test_all_images_gone_then_back(own):
    paths = sorted((own.parent / "images" / "val").rglob("*.png"))
    contents = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    with pytest.raises(ImageSourceError, match="8.*images"):
        heatmaps(own, top=0)
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert heatmaps(own, top=0)["n_missing"] == 0


def test_masked_images_are_stored_too(copy, pictures, tmp_path):
    study = open_study(copy)
    masked = study.images["image_id"].iat[3]
    for kind, image_id in (("core", masked), ("spurious", study.images["image_id"].iat[N_TRAIN])):
        path = tmp_path / "masks" / kind / image_id
        path.parent.mkdir(parents=True)
        Image.new("L", (90, 70), 255).save(path)
    heatmaps(copy, top=0, masks=str(tmp_path / "masks"))
    assert open_study(copy).heatmap_reader.rows.tolist() == [3, *range(N_TRAIN, N_TRAIN + N_VAL)]


@pytest.mark.slow
def test_without_an_encoder(study_path):
    folder = study_path()
    summary = heatmaps(folder)
    assert list(summary) == ["skipped"] and "heatmaps need an encoder" in summary["skipped"]
    study = open_study(folder)
    for ask in (lambda: study.heatmap(0), lambda: on_demand(study, 0)):
        with pytest.raises(StudyError, match="representations"):
            ask()


def test_an_encoder_that_cannot_be_loaded_or_has_changed(tmp_path, pictures):
    from safetensors.torch import save_file

    from tests.encoders.planted import narrow_resnet

    checkpoint = tmp_path / "weights.safetensors"
    model = narrow_resnet(bottleneck=False)
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    save_file(state, checkpoint)
    folder = make(tmp_path / "study", pictures, {"encoder": f"{checkpoint}", "input_size": 64, "resize": 64})
    save_file(
        {key: tensor + 1 if key.endswith("bias") else tensor for key, tensor in state.items()}, checkpoint
    )
    with pytest.raises(EncoderError, match="changed"):
        heatmaps(folder)
    checkpoint.unlink()
    with pytest.raises(EncoderError, match="weights.safetensors") as caught:
        heatmaps(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_maps_of_one_position__are_left_out_with_what_to_do(tmp_path, pictures):
    folder = make(tmp_path / "tiny", pictures, {"encoder": "timm:resnet10t", "input_size": 32, "resize": 32})
    why = heatmaps(folder, top=0)["skipped"]
    assert "layer layer4.0 have a single position for an image of 32 pixels" in why and "--input-size" in why
    assert not open_study(folder).has("heatmap_maps")
    study = open_study(folder)
    for ask in (
        lambda: study.heatmap(N_TRAIN),
        lambda: request_heatmaps(study, [], [0], progress=Progress(None, terminal=False)),
    ):
        with pytest.raises(StudyError, match="single position"):
            ask()
