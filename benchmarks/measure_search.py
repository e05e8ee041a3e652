"""Times of a search in an index of random rows, and of a query by text from end to end, as JSON.

`python -m benchmarks.measure_search FOLDER N_IMAGES WIDTH REPEATS`
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.results import peak_bytes
from core.concepts.search import embed_text, most_alike
from core.study import resident
from core.study.chunked_array import CHUNK_ROWS, ChunkedArray, chunk_name

FOUND = 240  # as many as the page Images shows
CLIP = "asset:glyphworld"


def make_index(folder: Path, n_images: int, width: int) -> ChunkedArray:
    """Random rows of length 1 in half precision, in the chunks of a study; made once."""
    study_folder = folder / f"{n_images}-{width}"
    study_folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, n_images, CHUNK_ROWS)
    for chunk, start in enumerate(starts):
        path = study_folder / chunk_name(chunk)
        if not path.exists():
            rng = np.random.default_rng(chunk)
            rows = rng.standard_normal((min(CHUNK_ROWS, n_images - start), width), np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            np.save(path, rows.astype(np.float16))
    heights = [min(CHUNK_ROWS, n_images - start) for start in starts]
    return ChunkedArray(study_folder, heights, "<f2", (width,))


def timed(search: Callable[[], object]) -> float:
    began = time.perf_counter()
    search()
    return time.perf_counter() - began


def forget_pages(index: ChunkedArray) -> None:
    """Let the system forget what it holds of the files, so that the next search reads the disk."""
    for chunk in range(index.n_chunks):
        with open(index.folder / chunk_name(chunk), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    n_images, width, repeats = map(int, sys.argv[2:])
    index = make_index(Path(sys.argv[1]), n_images, width)
    queries = np.random.default_rng(1).standard_normal((repeats, width))
    among = np.arange(n_images) % 5 == 0
    most_alike(ChunkedArray(index.folder, [CHUNK_ROWS], "<f2", (width,)), queries[0], FOUND)
    start = peak_bytes()
    forget_pages(index)
    cold = timed(lambda: most_alike(index, queries[0], FOUND))
    busy = time.process_time()
    warm = [timed(lambda query=query: most_alike(index, query, FOUND)) for query in queries]
    cpu = (time.process_time() - busy) / repeats
    fifth = [timed(lambda query=query: most_alike(index, query, FOUND, among=among)) for query in queries]
    peak = peak_bytes()
    loading = timed(lambda: resident.resident("clip", CLIP).wait())
    texts = [
        timed(lambda number=number: embed_text(CLIP, f"a red ball {number}")) for number in range(repeats)
    ]
    resident.end_all()
    print(
        json.dumps(
            {
                "cold_s": cold,
                "warm_s": float(np.median(warm)),
                "slowest_s": max(warm),
                "cpu_s": cpu,
                "fifth_s": float(np.median(fifth)),
                "above": peak - start,
                "loading_s": loading,
                "text_s": float(np.median(texts)),
            }
        )
    )


if __name__ == "__main__":
    main()
