"""`embed` against the least it could do: decode every image, and run the encoder on ready batches; and what
share of its processor time the columns of the pictures themselves take.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks.results import Result
from benchmarks.studies import FOLDER
from core.analysis.picture_table import measure_picture
from core.common.device import resolve_device
from core.common.threads import own_cores
from core.config import RunOptions
from core.data.images import ImageSource, open_images
from core.encoders.registry import Encoder, load_encoder
from core.pipeline.run import run_step
from core.study.progress import Progress

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 2000))
IMAGES = f"glyphworld?train={N_IMAGES * 3 // 4}&val={N_IMAGES // 4}"
ENCODER = "asset:simclr_glyphworld"
REPEATS = 3


def bare_decode(source: ImageSource, encoder: Encoder) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    pixels = np.stack([encoder.transform.pixels(source.read(row)) for row in range(len(source.table))])
    return time.perf_counter() - began, pixels


def bare_forward(encoder: Encoder, pixels: np.ndarray, batch_size: int) -> float:
    batches = torch.from_numpy(pixels).split(batch_size)
    with torch.inference_mode():
        encoder.represent(batches[0])
        began = time.perf_counter()
        for batch in batches:
            encoder.represent(batch).cpu()
    return time.perf_counter() - began


def embed(folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    run_step("embed", folder, {"images": IMAGES, "encoder": ENCODER, "device": "auto"}, Progress.silent())
    return time.perf_counter() - began


def columns_share(source: ImageSource, encoder: Encoder, batch_size: int) -> tuple[float, str]:
    """The share of processor time that columns of pictures take beside decoding, view and forward pass."""
    seconds: dict[str, float] = dict.fromkeys(("decode", "view", "columns", "forward"), 0.0)

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        seconds[part] += time.process_time() - began

    for start in range(0, len(source.table), batch_size):
        rows = range(start, min(start + batch_size, len(source.table)))
        with timed("decode"):
            pictures = [source.read(row) for row in rows]
        with timed("view"):
            views = np.stack([encoder.transform.pixels(picture) for picture in pictures])
        with timed("columns"):
            for picture in pictures:
                measure_picture(picture)
        with timed("forward"), torch.inference_mode():
            encoder.represent(torch.from_numpy(views)).cpu()
    each = ", ".join(f"{part} {1e3 * time / len(source.table):.2f}" for part, time in seconds.items())
    return seconds["columns"] / sum(seconds.values()), f"milliseconds of processor time an image: {each}"


def run() -> Iterator[Result]:
    device = resolve_device("auto")
    source, encoder = open_images(IMAGES), load_encoder(ENCODER, device=str(device))
    size = RunOptions().batch_size
    decode, forward, whole = [], [], []
    for _ in range(REPEATS):
        seconds, pixels = bare_decode(source, encoder)
        decode.append(seconds)
        forward.append(bare_forward(encoder, pixels, size))
        whole.append(embed(FOLDER / "embed"))
    on_gpu = device.type == "cuda"  # there the cores decode while it computes
    bare = max(min(forward), min(decode) / own_cores()) if on_gpu else min(decode) + min(forward)
    detail = (
        f"{len(source.table)} scenes on {device}: decode {min(decode):.1f} s, forward {min(forward):.1f} s, "
        f"embed {min(whole):.1f} s, min of {REPEATS}"
    )
    name = "embed / the slower of decode and forward" if on_gpu else "embed / (decode + forward)"
    yield Result(name, bare / min(whole), "x", 0.9 if on_gpu else 0.85, True, detail)
    share, detail = min(columns_share(source, encoder, size) for _ in range(REPEATS))
    yield Result("columns of pictures / embed, processor time", share, "", 0.05, False, detail)
