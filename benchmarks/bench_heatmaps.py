"""Heatmaps: the closed form against pytorch-grad-cam, storing maps against embedding, drawing a grid."""

from __future__ import annotations

import copy
import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results import Result
from benchmarks.studies import FOLDER
from core.analysis.gradcam import gradcam_maps
from core.common.device import resolve_device
from core.data.images import open_images
from core.encoders.registry import Encoder, load_encoder
from core.pipeline.run import run_step
from core.store import Study
from core.study.heatmaps import combine
from core.study.progress import Progress

REPEATS = 3
N_IMAGES, N_FEATURES = 8, 8
SCENES = "glyphworld?train=300&val=200"
ENCODER = "asset:simclr_glyphworld"
N_PHOTOGRAPHS, GRID, SIDE = 48, 24, 320


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def closed_form(encoder: Encoder, pixels: torch.Tensor, features: np.ndarray) -> np.ndarray:
    """(B, K, S, S): heatmaps of every feature on every image."""
    maps, size = gradcam_maps(encoder, pixels, features).cpu().numpy(), encoder.transform.input_size
    one = np.ones(1, np.float32)
    return np.stack(
        [np.stack([combine(map_[None], one, "mean", size) for map_ in of_image]) for of_image in maps]
    )


def by_the_library(
    encoder: Encoder, model: torch.nn.Module, x: torch.Tensor, features: np.ndarray
) -> np.ndarray:
    """The same, as the library's README does it: a call for each feature."""
    from pytorch_grad_cam import GradCAM  # its home in core/ is analysis/heatmaps.py; this is the peer

    with GradCAM(model, [model.get_submodule(encoder.target_layer)]) as cam:
        show: Any = cam  # the library declares its targets as modules, and calls them as functions
        return np.stack([show(x, [lambda raw, j=j: raw[j]] * len(x)) for j in features], axis=1)


def against_the_library() -> Result:
    device = resolve_device("auto")
    encoder = load_encoder("torchvision:resnet18?weights=none", device=str(device))
    encoder.precision = "float32"
    height, width = encoder.transform.sides
    pixels = torch.randint(0, 256, (N_IMAGES, height, width, 3), dtype=torch.uint8)
    features = encoder.represent(pixels).min(0).values.topk(N_FEATURES).indices.cpu().numpy()
    model, x = copy.deepcopy(encoder.base).requires_grad_(True), encoder.normalise(pixels)
    ours, theirs = closed_form(encoder, pixels, features), by_the_library(encoder, model, x, features)
    gap = float(np.abs(ours - theirs).max())
    fast = min(seconds(lambda: closed_form(encoder, pixels, features)) for _ in range(REPEATS))
    slow = min(seconds(lambda: by_the_library(encoder, model, x, features)) for _ in range(REPEATS))
    detail = (
        f"{N_FEATURES} features of {N_IMAGES} images, ResNet-18 at {width} px on {device}: {fast:.2f} s, "
        f"library {slow:.2f} s; largest difference {gap:.0e}"
    )
    return Result("heatmaps / pytorch-grad-cam", slow / fast, "x", 20.0, True, detail)


def storing_against_embedding() -> Result:
    folder = FOLDER / "heatmaps"
    embed, store = [], []
    for _ in range(REPEATS):
        shutil.rmtree(folder, ignore_errors=True)
        options = {"images": SCENES, "encoder": ENCODER}
        embed.append(seconds(lambda options=options: run_step("embed", folder, options, Progress.silent())))
        run_step("features", folder, {"epsilon": "auto"}, Progress.silent())
        everything = {"train": True, "top": 0}
        store.append(seconds(lambda o=everything: run_step("heatmaps", folder, o, Progress.silent())))
    summary = Study(folder).summary("heatmaps")
    detail = (
        f"the same {summary['n_images']} scenes, {summary['n_maps']} maps: embed {min(embed):.1f} s, "
        f"heatmaps {min(store):.1f} s, min of {REPEATS}"
    )
    return Result("store heatmaps / embed", min(store) / min(embed), "x", 1.3, False, detail)


def photographs(folder: Path) -> Path:
    """Scenes as JPEG files of the size that photographs in data sets have."""
    scenes = open_images(f"glyphworld?train={N_PHOTOGRAPHS // 2}&val={N_PHOTOGRAPHS // 2}")
    for row in range(N_PHOTOGRAPHS):
        path = folder / scenes.table["split"].iloc[row] / "all" / f"{row:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        scenes.read(row).resize((500, 375)).save(path, quality=90)
    return folder


def draw_grid(study_folder: Path) -> int:
    """What the route of the dashboard does for a page of images, one after the other; bytes of JPEG."""
    study, n_bytes = Study(study_folder), 0
    for row in study.heatmap_reader.rows[:GRID]:
        file = io.BytesIO()
        study.overlay(int(row), max_side=SIDE).save(file, "JPEG", quality=85)
        n_bytes += file.tell()
    return n_bytes


def drawing() -> Result:
    folder = FOLDER / "overlays"
    if not (folder / "heatmap_maps").exists():
        for stale in (folder, FOLDER / "photographs"):
            shutil.rmtree(stale, ignore_errors=True)
        images = photographs(FOLDER / "photographs")
        run_step("embed", folder, {"images": str(images), "encoder": ENCODER}, Progress.silent())
        run_step("features", folder, {"epsilon": "auto"}, Progress.silent())
        run_step("heatmaps", folder, {"top": 0, "train": True}, Progress.silent())
    draw_grid(folder)
    began = time.process_time()
    taken = [1000 * seconds(lambda: draw_grid(folder)) for _ in range(2 * REPEATS)]
    worked = 1000 * (time.process_time() - began) / len(taken)
    detail = (
        f"500 x 375 JPEG files at {SIDE} px, opened anew, median of {len(taken)}, best {min(taken):.0f} ms, "
        f"processor time {worked:.0f} ms"
    )
    return Result(f"grid of {GRID} overlays", float(np.median(taken)), "ms", 500.0, False, detail)


def run() -> Iterator[Result]:
    yield against_the_library()
    yield storing_against_embedding()
    yield drawing()
