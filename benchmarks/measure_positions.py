"""Times of questions to the index of a basis on positions, of made-up codes as skewed as real ones, as JSON.

`python -m benchmarks.measure_positions FOLDER N_IMAGES SIDE LATENTS K QUESTIONS`
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.results import peak_bytes
from core.bases.basis import STEP, Basis
from core.bases.encoding import IMAGES
from core.bases.position_index import at_position, similar_positions, strongest_positions, write_index
from core.encoders.transform import Transform
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.writer import write_study

NAME = "made"
ITEM = f"basis_{NAME}"


def write_made_study(folder: Path, n_images: int, n_positions: int, size: int, k: int) -> float:
    """Write a study of random codes whose latents are as unequal as 1 / rank; return seconds of the index."""
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 48)).save(jpeg, "JPEG")
    images = pd.DataFrame({"image_id": [f"{row:07d}" for row in range(n_images)]})
    about = {"encoder": {"transform": Transform(256, 224).to_dict()}}
    share = np.cumsum(1 / (np.arange(size) + 10.0))
    with write_study(folder) as writer:
        with writer.step("embed", {}) as out:
            out.table("images", images.assign(path=images["image_id"], split="train", label="a"))
            starts = range(0, n_images, CHUNK_ROWS)
            for chunk, start in enumerate(starts):
                n = min(CHUNK_ROWS, n_images - start)
                out.array("thumbnails").put(chunk, np.frombuffer(jpeg.getvalue() * n, np.uint8))
                out.array("thumbnail_sizes").put(chunk, np.full(n, len(jpeg.getvalue()), np.int32))
            for name in ("thumbnails", "thumbnail_sizes"):
                out.finish_array(name, len(starts))
            out.summary = about
        with writer.step(STEP.format(name=NAME), {}, ("images",)) as out:
            starts = range(0, n_images, IMAGES)
            for chunk, start in enumerate(starts):
                rng = np.random.default_rng(chunk)
                n = min(IMAGES, n_images - start) * n_positions
                drawn = np.sort(np.searchsorted(share, rng.random((n, k)) * share[-1]), 1)
                first = np.diff(drawn, axis=1, prepend=-1) > 0
                values = rng.gamma(1.0, 1.0, int(first.sum())).astype(np.float32)
                parts = (first.sum(1).astype(np.int32), drawn[first].astype(np.uint16), values)
                for part, written in zip(("count", "features", "values"), parts, strict=True):
                    out.array(f"{ITEM}_position_{part}").put(chunk, written)
            for part in ("count", "features", "values"):
                out.finish_array(f"{ITEM}_position_{part}", len(starts))
            out.vector(f"{ITEM}_decoder", np.zeros((size, 1), np.float32))
            began = time.perf_counter()
            write_index(out, ITEM, size)
            return time.perf_counter() - began


def percentile(ask: Callable[[int, float, float], object], n_images: int, questions: int) -> list[float]:
    """Median, 95th percentile and maximum of the seconds of questions at random points."""
    rng, seconds = np.random.default_rng(7), []
    for _ in range(questions):
        row, x, y = int(rng.integers(n_images)), *rng.uniform(0.2, 0.8, 2)
        began = time.perf_counter()
        ask(row, float(x), float(y))
        seconds.append(time.perf_counter() - began)
    return [float(one) for one in np.percentile(seconds, [50, 95, 100])]


def measure(folder: Path, n_images: int, side: int, size: int, k: int, questions: int) -> dict[str, object]:
    """Seconds of each question, of writing the index, and bytes on disk and in memory."""
    wrote = write_made_study(folder, n_images, side * side, size, k)
    peak = peak_bytes()
    study: Study = Study(folder)
    basis = Basis(NAME, "topk", STEP.format(name=NAME), {"size": size, "grid": [side, side]})
    found = {
        "similar": lambda row, x, y: similar_positions(study, basis, row, x, y),
        "at_position": lambda row, x, y: at_position(study, basis, row, x, y),
        "strongest": lambda row, x, y: strongest_positions(study, basis, int(x * size)),
    }
    seconds = {name: percentile(ask, n_images, questions) for name, ask in found.items()}
    files = [path for path in folder.rglob("*") if path.is_file() and "index" in str(path)]
    index = sum(path.stat().st_size for path in files)
    entries = len(study.array(f"{ITEM}_index_places"))
    return {**seconds, "index_s": wrote, "peak": peak, "index_bytes": index, "entries": entries}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
