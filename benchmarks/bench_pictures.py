"""Eight readers ask for the largest allowed picture at once: the server's memory, and who waits for them."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.browsing import server_memory
from benchmarks.results import Result
from benchmarks.studies import FOLDER
from core.store import open_study
from tests.browser.harness import dashboard
from tests.synthetic import make_study

SERVED = FOLDER / "served_pictures"
READERS, SIDE = 8, 9_900  # 98 megapixels
MOST_BYTES, MOST_SECONDS = 1.5e9, 1.0
FORMATS = {"PNG": {"compress_level": 1}, "JPEG": {"progressive": True}}
PATIENCE = 300.0


def run() -> Iterator[Result]:
    for kind, options in FORMATS.items():
        study = _study(kind, options)
        with dashboard(SERVED.resolve()) as address:
            yield from _asked_at_once(address, study.name, kind)


def _study(kind: str, options: dict[str, object]) -> Path:
    """A small study whose first picture is as large as is allowed, in one of the formats."""
    folder = SERVED / kind.lower()
    if not folder.is_dir():
        shutil.rmtree(folder.with_name(f"{folder.name}.input"), ignore_errors=True)
        make_study(folder, n_train=60, n_val=30, n_features=32)
    study = open_study(folder)
    Image.radial_gradient("L").resize((SIDE, SIDE)).convert("RGB").save(_first(study), kind, **options)
    return folder


def _first(study) -> Path:
    return Path(study.source.place(0))


def _asked_at_once(address: str, name: str, kind: str) -> Iterator[Result]:
    with httpx.Client(base_url=address, timeout=PATIENCE) as http, ThreadPoolExecutor(READERS) as pool:
        http.get(f"/thumb/{name}/1").raise_for_status()
        before = server_memory(address)
        readers = [
            pool.submit(httpx.get, f"{address}/image/{name}/0", timeout=PATIENCE) for _ in range(READERS)
        ]
        began = time.perf_counter()
        slowest, n = _slowest_thumbnail(http, name, readers)
        took = time.perf_counter() - began
        statuses = Counter(reader.result().status_code for reader in readers)
    peak = server_memory(address, "VmHWM")
    detail = f"{kind}, {SIDE} x {SIDE}: {dict(statuses)} in {took:.1f} s, {before / 1e6:,.0f} MB before, "
    detail += f"{server_memory(address) / 1e6:,.0f} after"
    yield Result(f"pictures, {READERS} at once: peak", peak / 1e9, "GB", MOST_BYTES / 1e9, False, detail)
    said = f"slowest of {n} of another client meanwhile"
    yield Result("pictures, a thumbnail", slowest, "s", MOST_SECONDS, False, said)


def _slowest_thumbnail(
    http: httpx.Client, name: str, readers: list[Future[httpx.Response]]
) -> tuple[float, int]:
    slowest, n = 0.0, 0
    while not all(reader.done() for reader in readers):
        began = time.perf_counter()
        http.get(f"/thumb/{name}/{1 + n % 20}").raise_for_status()
        slowest = max(slowest, time.perf_counter() - began)
        n += 1
        time.sleep(0.05)
    return slowest, n
