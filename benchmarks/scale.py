"""The constants of docs/scale.md, measured on this machine, and its tables: `python -m benchmarks.scale`.

Times are those of `--dry-run`, in processor time of one core; memory comes from studies of two sizes. What no
machine here can hold is simulated: a manifest of so many images, written and opened by the project's code.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from PIL import Image

from benchmarks.results import in_own_process
from benchmarks.studies import FOLDER, large_study
from core.errors import PeregrineError
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.manifest import LONG, MOST_BYTES
from core.study.writer import write_study

SIZES = (10**6, 10**8, 10**9)
N_VAL, N_CLASSES, WIDTH = 50_000, 1000, 2048  # as ImageNet's, and ResNet-50
MEASURED = (100_000, 400_000)  # images of the studies whose memory is compared
EMBED_ARRAYS, HEATMAP_ARRAYS, HEATMAP_ROWS = 5, 7, 512  # with head logits and search index
SPARE = 1.25  # cores that wait for the last chunks and batches of a step
# Names and list prices of machines for rent (on demand, US dollars an hour, 2026); vCPUs are half cores.
MACHINES = {
    "64 vCPU, 128 GiB": (32, 128, 2.9),
    "64 vCPU, 512 GiB": (32, 512, 4.2),
    "128 vCPU, 2 TiB": (64, 2048, 13.3),
}


@dataclass(frozen=True)
class Constants:
    """What an image costs.

    Attributes:
        embed_ms: of one core, reading and the encoder. heatmap_ms: of an image with maps. Both are shared.
        rows_ms, alone_ms, neighbours_ms: what the first process does alone: passes over the rows of numbers;
            the training of the probe, failures; and of an evaluation image, its neighbours.
        crossfit_ms: the probes that check labels, also of the first process alone.
        disk_bytes: representations in half precision, thumbnail, firing sets, tables.
        memory_bytes: of the first process, above start_bytes. manifest_bytes: of the study's manifest.
        heatmap_manifest_bytes: of an image with maps.
    """

    embed_ms: float
    rows_ms: float
    alone_ms: float
    crossfit_ms: float
    neighbours_ms: float
    heatmap_ms: float
    disk_bytes: float
    memory_bytes: float
    start_bytes: float
    manifest_bytes: float
    heatmap_manifest_bytes: float


@dataclass(frozen=True)
class Cost:
    """What a study of n images costs: hours of one core, TB of disk, GB of memory, MB of manifest."""

    n_images: int
    core_hours: float
    alone_hours: float
    disk_tb: float
    memory_gb: float
    manifest_mb: float

    def hours(self, cores: int) -> float:
        return (SPARE * self.core_hours + self.alone_hours) / cores


def cost(n_images: int, c: Constants, n_val: int = N_VAL) -> Cost:
    """The formulas of docs/scale.md."""
    shared_ms = n_images * c.embed_ms + n_val * c.heatmap_ms
    alone_ms = n_images * (c.rows_ms + c.alone_ms + c.crossfit_ms) + n_val * c.neighbours_ms
    return Cost(
        n_images,
        core_hours=shared_ms / 3.6e6,
        alone_hours=alone_ms / 3.6e6,
        disk_tb=n_images * c.disk_bytes / 1e12,
        memory_gb=(c.start_bytes + n_images * c.memory_bytes) / 1e9,
        manifest_mb=(n_images * c.manifest_bytes + n_val * c.heatmap_manifest_bytes) / 1e6,
    )


def constants() -> Constants:
    """Measure them."""
    memory, start = memory_of_images()
    chunk = manifest_bytes({"representations": CHUNK_ROWS}, 2 * LONG * CHUNK_ROWS)
    return Constants(
        **times(),
        memory_bytes=memory,
        start_bytes=start,
        manifest_bytes=EMBED_ARRAYS * chunk / CHUNK_ROWS,
        heatmap_manifest_bytes=HEATMAP_ARRAYS * chunk / HEATMAP_ROWS,
    )


def times() -> dict[str, float]:
    """Milliseconds and bytes of an image, as `--dry-run` measures them, on one core."""
    from core.common.threads import one_torch_thread
    from core.config import EmbedConfig, RunOptions
    from core.encoders.registry import load_encoder
    from core.pipeline import dry_run, estimates

    pictures, run = photographs(32), RunOptions(workers=1)
    clock = SimpleNamespace(perf_counter=process_time)  # other work of the machine does not count
    with one_torch_thread(), patch.object(estimates, "time", clock):
        encoder = load_encoder("timm:resnet50", device="cpu")
        began = process_time()
        for file in pictures:
            Image.open(io.BytesIO(file)).convert("RGB")
        reading = (process_time() - began) / len(pictures)
        opened = [Image.open(io.BytesIO(file)).convert("RGB") for file in pictures]
        decode = estimates.decode_rate(opened, reading, 128, run, len(opened))
        rates = estimates.image_rates(encoder, opened, decode, run, 4.0)
        sizes = [estimates.Sizes(n, 0, N_CLASSES) for n in SIZES[:2]]
        few, many = (
            {one.step: one.seconds or 0.0 for one in estimates.estimate_steps(size, rates, {}, 0.0)}
            for size in sizes
        )
        step = sizes[1].n_images - sizes[0].n_images
        each = {name: 1000 * (many[name] - few[name]) / step for name in few}
        of_val = estimates.Sizes(SIZES[1], N_VAL, N_CLASSES)
        with_val = {one.step: one.seconds or 0.0 for one in estimates.estimate_steps(of_val, rates, {}, 0.0)}
    stored = dry_run._bytes(1, WIDTH, opened, EmbedConfig(images="", encoder="", dtype="float16"))
    return {
        "embed_ms": each["embed"],
        "rows_ms": sum(each[name] for name in ("features", "quality", "map", "answers")),
        "alone_ms": each["probe"] + each["failures"],
        "crossfit_ms": each["crossfit"],
        "neighbours_ms": 1000 * (with_val["neighbours"] - many["neighbours"]) / N_VAL,
        "heatmap_ms": 1000 * (rates.map_seconds or 0.0),
        "disk_bytes": float(stored),
    }


def photographs(n: int) -> list[bytes]:
    """JPEG files of 500 x 375 pixels with detail at every scale, as photographs have it."""
    rng, files = np.random.default_rng(0), []
    for _ in range(n):
        picture = np.zeros((375, 500, 3))
        for side in (4, 16, 64, 256):
            noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
            picture += np.asarray(noise.resize((500, 375), Image.Resampling.BICUBIC), float) / side**0.5
        buffer = io.BytesIO()
        Image.fromarray((255 * picture / picture.max()).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def memory_of_images(sizes: tuple[int, int] = MEASURED) -> tuple[float, float]:
    """Bytes an image of the peak of `features` and `quality`, and bytes for no image: a line through two."""
    peaks = [
        in_own_process("benchmarks.measure_features", str(large_study(f"scale_{n}", n, 64)), "1")["peak"]
        for n in sizes
    ]
    slope = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])
    return slope, peaks[0] - slope * sizes[0]


def manifest_bytes(rows: Mapping[str, int], n_images: int) -> float:
    """Bytes that the manifest has for a chunk of an array."""
    sizes = [simulated(rows, n).stat().st_size for n in (n_images, 2 * n_images)]
    return (sizes[1] - sizes[0]) / (n_images / next(iter(rows.values())))


def simulated(rows: Mapping[str, int], n_images: int, folder: Path = FOLDER / "scale_manifest") -> Path:
    """Write the manifest of a study with arrays of so many rows a chunk, and no files; return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    with write_study(folder) as writer, writer.step("embed", {}) as step:
        for name, n_rows in rows.items():
            whole, rest = divmod(n_images, n_rows)
            sizes = [n_rows] * whole + [rest] * bool(rest)
            chunks = [{"rows": size, "sha256": "0" * 64} for size in sizes]
            shape = [n_images, WIDTH]
            step.items[name] = {"kind": "array", "shape": shape, "dtype": "<f2", "chunks": chunks}
    return folder / "manifest.json"


def most_images(c: Constants) -> float:
    """The largest number of images whose manifest is read."""
    return MOST_BYTES / c.manifest_bytes


def opens(rows: Mapping[str, int], n_images: int) -> bool:
    try:
        Study(simulated(rows, n_images).parent)
    except PeregrineError:
        return False
    return True


def table(c: Constants) -> Iterator[str]:
    """The table of docs/scale.md, a line of Markdown at a time."""
    yield (
        "| images | hours of one core | hours on "
        + " | … on ".join(MACHINES)
        + " | disk | memory | manifest |"
    )
    yield "|---" * (5 + len(MACHINES)) + "|"
    for n in SIZES:
        one = cost(n, c)
        cells = [f"10^{round(math.log10(n))}", f"{one.core_hours:,.0f} + {one.alone_hours:,.0f}"]
        cells += [
            f"{one.hours(cores):,.1f} h, {one.hours(cores) * price:,.0f} $"
            for cores, _, price in MACHINES.values()
        ]
        cells += [f"{one.disk_tb:.3g} TB", f"{one.memory_gb:,.1f} GB", f"{one.manifest_mb:,.1f} MB"]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    measured = constants()
    print("| constant | value |\n|---|---|")
    for one in fields(Constants):
        print(f"| `{one.name}` | {getattr(measured, one.name):.4g} |")
    print("\n".join(table(measured)))
    print(f"the manifest of {most_images(measured):.2g} images is the largest that is opened")
    began = process_time()
    assert opens({f"array{number}": CHUNK_ROWS for number in range(EMBED_ARRAYS)}, SIZES[-1])
    print(f"that of {SIZES[-1]:.0e} images was written and opened in {process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
