"""`embed` of photographs against the same with torchvision's nvJPEG decoder, where there is a GPU with CUDA.

Today processes of the CPU decode and resize while the GPU computes. The other way hands whole files to the
GPU, which decodes, resizes, crops and represents a batch. It writes no study: that it is fast enough to be
worth it is what the row tells.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional

from benchmarks.results import Absent, Result
from benchmarks.scale import photographs
from benchmarks.studies import FOLDER
from core.encoders.registry import Encoder, load_encoder
from core.encoders.transform import Transform
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress

NAME = "embed / embed with nvJPEG"
N_IMAGES, N_DRAWN = 8192, 256  # files, and pictures of which they are copies
ENCODER = "timm:resnet50"
BATCH, READERS = 128, 8
GOAL = 1.0  # today's as fast


def write_photographs(folder: Path, n: int, n_drawn: int) -> list[Path]:
    """Write `n` JPEG files, copies of `n_drawn` drawn pictures; return their paths in listing order."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    drawn = photographs(min(n, n_drawn))
    paths = [folder / f"{number:06d}.jpg" for number in range(n)]
    for number, path in enumerate(paths):
        path.write_bytes(drawn[number % len(drawn)])
    return paths


def views(files: Sequence[Tensor], transform: Transform, device: torch.device) -> Tensor:
    """(n, S, S, 3) uint8 input views of JPEG files (uint8 bytes each), decoded and resized on the device.

    Of transforms that resize the shorter side and cut out the centre.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision says that its decoders will move
        pictures = decode_jpeg(list(files), mode=ImageReadMode.RGB, device=device)
    side, mode = (
        transform.resize or min(transform.sides),
        functional.InterpolationMode(transform.interpolation),
    )
    cut = [
        functional.center_crop(functional.resize(one, [side], mode, antialias=True), list(transform.sides))
        for one in pictures
    ]
    return torch.stack(cut).permute(0, 2, 3, 1).contiguous()


def read_bytes(path: Path) -> Tensor:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def represent_files(paths: Sequence[Path], encoder: Encoder) -> Tensor:
    """(n, n_features) on the CPU: threads read the files of the next batch while the GPU has the last one."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    raw = []
    with ThreadPoolExecutor(READERS) as pool, torch.inference_mode():
        waiting = [pool.submit(read_bytes, path) for path in batches[0]] if batches else []
        for number in range(len(batches)):
            files = [one.result() for one in waiting]
            following = batches[number + 1] if number + 1 < len(batches) else []
            waiting = [pool.submit(read_bytes, path) for path in following]
            raw.append(encoder.represent(views(files, encoder.transform, encoder.device)).cpu())
    return torch.cat(raw)


def embedded(folder: Path, study: Path) -> tuple[float, Tensor]:
    """Seconds of `embed` as it is, and the representations."""
    shutil.rmtree(study, ignore_errors=True)
    began = time.perf_counter()
    options = {"images": str(folder), "encoder": ENCODER, "device": "cuda", "no_maps": True}
    run_step("embed", study, options, Progress.silent())
    seconds = time.perf_counter() - began
    return seconds, torch.from_numpy(open_study(study).array("representations")[:]).float()


def run() -> Iterator[Result | Absent]:
    if not torch.cuda.is_available():
        yield Absent(NAME, "there is no CUDA device")
        return
    device = torch.device("cuda")
    paths = write_photographs(FOLDER / "decoding" / "images", N_IMAGES, N_DRAWN)
    encoder = load_encoder(ENCODER, device="cuda")
    try:
        views([read_bytes(paths[0])], encoder.transform, device)
    except RuntimeError as error:
        yield Absent(NAME, f"torchvision decodes no JPEG there: {str(error).splitlines()[0]}")
        return
    represent_files(paths[:BATCH], encoder)  # kernels are loaded in the first call
    began = time.perf_counter()
    there = represent_files(paths, encoder)
    on_gpu = time.perf_counter() - began
    today, here = embedded(paths[0].parent, FOLDER / "decoding" / "study")
    likeness = torch.nn.functional.cosine_similarity(there.float(), here, dim=1).min()
    detail = (
        f"{len(paths):,} photographs, {ENCODER}: {len(paths) / today:,.0f} and "
        f"{len(paths) / on_gpu:,.0f} images/s; smallest cosine of both {likeness:.4f}"
    )
    yield Result(NAME, on_gpu / today, "x", GOAL, True, detail)
