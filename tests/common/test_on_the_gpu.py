"""What a GPU computes is what the CPU computes, up to its rounding; `python -m benchmarks.gpu` runs this.

Without a GPU nothing is compared. PEREGRINE_TEST_DEVICE=cpu runs the same lines on the CPU, to try them out.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from core.analysis.gradcam import channel_maps, gradcam_maps
from core.analysis.neighbours import nearest_rows
from core.analysis.probe_step import train_probe
from core.answers.knn import nearest, vote
from core.bases.dictionary import Coder, largest_of_rows
from core.bases.requests import add_basis
from core.bases.vectors import FitRun, Vectors
from core.concepts.nearest_captions import retrieve
from core.config import BasisConfig
from core.encoders.encoder import Encoder
from core.encoders.registry import load_encoder
from core.encoders.transform import Transform
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress
from core.training.augment import augment
from core.training.config import AugmentConfig
from core.training.dictionaries import DictionaryRun, gradients_of
from core.training.methods import METHODS
from core.training.trainer import TrainingRun
from tests.encoders.planted import narrow_resnet, some_pixels
from tests.training import worker
from tests.training.conftest import TinySource

DEVICE = os.environ.get("PEREGRINE_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "")
TF32 = 1e-2  # a GPU multiplies float32 matrices with 10 bits of mantissa where it may
SCENES = "glyphworld?train=48&val=24"
STEPS: dict[str, dict[str, object]] = {
    **dict.fromkeys(("neighbours", "probe"), {}),
    "answers": {"answers": ["knn"]},
    **dict.fromkeys(("quality", "map", "heatmaps", "overlap", "concepts", "failures", "search"), {}),
}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DEVICE, reason="needs a GPU")]


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.standard_normal(shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def narrow(device: str) -> Encoder:
    encoder = Encoder(
        narrow_resnet(), Transform(resize=None, input_size=64), arch="narrow", device=torch.device(device)
    )
    encoder.precision = "float32"
    return encoder


def test_representations_and_maps():
    pixels = some_pixels(64, 4)
    (raw, maps), (there, maps_there) = (channel_maps(narrow(name), pixels) for name in ("cpu", DEVICE))
    assert there.device.type == torch.device(DEVICE).type
    assert_close(there.cpu(), raw, rtol=TF32, atol=TF32)
    assert_close(maps_there.cpu(), maps, rtol=TF32, atol=TF32)


def test_heatmaps_of_a_transformer():
    maps = []
    for device in ("cpu", DEVICE):
        encoder = load_encoder("timm:vit_tiny_patch16_224?img_size=64&depth=2", device=device)
        encoder.precision = "float32"
        maps.append(gradcam_maps(encoder, some_pixels(64, 2), np.arange(3)).cpu())
    assert maps[0].max() > 0
    assert_close(maps[1], maps[0], rtol=5 * TF32, atol=TF32 * float(maps[0].max()))


def test_retrieval_of_captions(rng):
    crops, captions = unit(rng, 20, 64), [unit(rng, 3000, 64), unit(rng, 500, 64)]
    here, there = (retrieve(crops, captions, device=name) for name in ("cpu", DEVICE))
    np.testing.assert_allclose(there[1], here[1], atol=TF32)
    np.testing.assert_allclose(there[2], here[2], atol=100 * TF32)


def test_nearest_rows(rng):
    queries, train = (torch.from_numpy(unit(rng, n, 64)) for n in (50, 2000))
    here = nearest_rows(queries, train)[1]
    assert_close(nearest_rows(queries.to(DEVICE), train)[1].cpu(), here, rtol=TF32, atol=TF32)


def test_votes_of_the_nearest(rng):
    """In half precision on the GPU, as there `knn` does it."""
    raw, codes = torch.from_numpy(unit(rng, 3000, 64)), torch.from_numpy(rng.integers(0, 7, 2500))
    votes = []
    for name, dtype in (("cpu", torch.float32), (DEVICE, torch.float16)):
        rows = raw.to(name, dtype)
        keys, numbers = list(rows[:2500].split(1000)), torch.arange(3000, device=name)
        cosines, places = nearest(rows, numbers, keys, numbers[:2500])
        votes.append(vote(cosines, codes.to(name)[places], 7).cpu())
    assert (votes[1].argmax(1) == votes[0].argmax(1)).float().mean() > 0.98
    assert_close(votes[1], votes[0], rtol=0, atol=0.1)


@pytest.mark.parametrize("prefixes", [(96,), (6, 24, 96)])
def test_a_dictionary(tmp_path: Path, rng, prefixes: tuple[int, ...]):
    raw = rng.standard_normal((2000, 32)).astype(np.float32)
    runs = []
    for name in ("cpu", DEVICE):
        run = FitRun(Progress.silent(), torch.device(name), tmp_path / name, {}, 20)
        runs.append(DictionaryRun(Vectors(raw, np.arange(2000)), prefixes, 5, 0, run))
    x, dead = torch.from_numpy(raw[:500]), torch.arange(96) % 3 == 0
    here, there = (
        gradients_of(run.model, x.to(run.device), 5, prefixes, dead=dead.to(run.device)) for run in runs
    )
    assert_close(there[0].cpu(), here[0], rtol=TF32, atol=0)
    for name, gradient in here[1].items():
        assert_close(there[1][name].cpu(), gradient, rtol=TF32, atol=TF32 * float(gradient.abs().max()))
    for run in runs:
        while run.step < run.n_steps:
            run.advance()
    losses = [torch.stack(run.losses).cpu() for run in runs]
    assert losses[0][-1] < losses[0][0]
    assert_close(losses[1], losses[0], rtol=TF32, atol=0)
    for run in runs:  # as a long training does every hundred steps
        run.review()
        run.advance()
        run.review()
    dictionary = runs[0].dictionary()
    codes = [Coder(dictionary, name).encode(x.to(name)) for name in ("cpu", DEVICE)]
    back = [
        Coder(dictionary, name).decode(of, x.to(name))[0].cpu()
        for of, name in zip(codes, ("cpu", DEVICE), strict=True)
    ]
    assert codes[0].counts.sum() == codes[1].counts.sum()
    assert_close(back[1], back[0], rtol=TF32, atol=TF32 * float(back[0].abs().max()))


@pytest.mark.parametrize(("width", "k"), [(7, 7), (96, 5), (4096, 32), (5000, 40), (20_000, 32)])
def test_the_largest_of_rows(rng, width: int, k: int):
    """Of equal numbers torch takes any, the kernel those further left."""
    values = torch.from_numpy(rng.standard_normal((50, width)).astype(np.float32))
    assert torch.equal(largest_of_rows(values.to(DEVICE), k).cpu(), largest_of_rows(values, k))
    coarse = (2 * values).round().to(DEVICE)
    columns = largest_of_rows(coarse, k)
    assert bool((columns.diff(dim=1) > 0).all())
    assert torch.equal(coarse.gather(1, columns).sort(1).values, coarse.topk(k, 1).values.flip(1))


def test_the_probe(rng):
    codes = rng.integers(0, 5, 600)
    raw = (rng.standard_normal((5, 32))[codes] + rng.standard_normal((600, 32))).astype(np.float32)
    right = []
    for device in ("cpu", DEVICE):
        probe = train_probe(torch.from_numpy(raw[:400]).to(device), torch.from_numpy(codes[:400]), 5, lr=0.1)
        right.append(float((probe.logits(raw[400:]).argmax(1).cpu().numpy() == codes[400:]).mean()))
    assert right[0] > 0.8 and abs(right[1] - right[0]) <= 0.02


def test_views_are_drawn_the_same(rng):
    images = torch.from_numpy(rng.integers(0, 256, (6, 40, 40, 3)).astype(np.uint8))
    views = [
        augment(images.to(name), 24, AugmentConfig(), torch.Generator().manual_seed(3)).cpu()
        for name in ("cpu", DEVICE)
    ]
    assert_close(views[1], views[0], rtol=0, atol=TF32)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str):
    source = TinySource()
    monkeypatch.setattr("core.training.setup.open_training_images", lambda config: source)
    losses = []
    for device in ("cpu", DEVICE):
        config = worker.settings(tmp_path, method, device=device, output=str(tmp_path / f"{device}.pt"))
        run = TrainingRun(config, source, Progress.silent())
        run.advance()
        losses.append(run.losses[0])
        assert all(torch.isfinite(part).all() for part in run.method.state_dict().values())
    assert losses[1] == pytest.approx(losses[0], rel=5 * TF32, abs=5 * TF32)


def test_the_steps_of_a_study(tmp_path: Path):
    studies = []
    for name in ("cpu", DEVICE):
        folder = tmp_path / f"on {name}"
        options = {"images": SCENES, "encoder": "asset:simclr_glyphworld", "precision": "float32"}
        run_step("embed", folder, options | {"device": name}, Progress.silent())
        run_step("features", folder, {"epsilon": "2", "device": name}, Progress.silent())
        for step, more in STEPS.items():
            run_step(step, folder, {"device": name} | more, Progress.silent())
        for on in ("pooled", "positions"):
            config = BasisConfig(kind="topk", size=64, k=4, steps=20, on=on)
            add_basis(folder, on, config, Progress.silent(), device=name)
        studies.append(open_study(folder))
    here, there = studies
    assert_close(
        *(torch.from_numpy(study.array("representations")[:]) for study in (there, here)),
        rtol=TF32,
        atol=TF32,
    )
    scores = [study.table("quality", ["norm"])["norm"].to_numpy(float) for study in studies]
    np.testing.assert_allclose(scores[1], scores[0], rtol=TF32)
    predicted = [study.table("probe", ["predicted"])["predicted"].to_numpy(object) for study in studies]
    assert (predicted[0] == predicted[1]).mean() > 0.9
    assert here.summary("heatmaps")["n_images"] == there.summary("heatmaps")["n_images"] > 0
    assert here.summary("overlap")["n_images"] == there.summary("overlap")["n_images"] > 0
    found = [study.array("clip_images")[:].astype(np.float32) for study in studies]
    np.testing.assert_allclose(found[1], found[0], atol=TF32)
    for name in ("pooled", "positions"):
        of_both = [study.bases[name].card for study in studies]
        assert of_both[1]["r2"] == pytest.approx(of_both[0]["r2"], abs=5 * TF32)
