"""What the checksum of a table costs before it is parsed, at 1,281,167 images: once a file and process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results import Result
from benchmarks.studies import FOLDER
from core.common.parquet_footer import count_rows, read_footer
from core.store import open_study
from core.study import table_files
from core.study.writer import write_study

N_IMAGES, N_SCORES, REPEATS = 1_281_167, 24, 3
MOST_OF_READING, MOST_SECONDS = 0.5, 0.1


def run() -> Iterator[Result]:
    folder = _study(FOLDER / "tables")
    for table, column in (("images", "label"), ("quality", "score_0")):
        path = folder / f"{table}.parquet"
        whole = _seconds(lambda table=table: open_study(folder).table(table))
        first = _seconds(lambda table=table, column=column: open_study(folder).table(table, [column]))
        checksum = _seconds(lambda path=path: table_files.file_sha256(path))
        table_files._remembered_sha256.cache_clear()
        open_study(folder).table(table, [column])
        again = _seconds(lambda t=table, c=column: open_study(folder).table(t, [c]), forget=False)
        detail = (
            f"{path.stat().st_size / 1e6:,.0f} MB: checksum {checksum:.3f} s; whole table {whole:.2f} s, one "
            f"column {first:.3f} s the first time and {again:.3f} s after that (processor time)"
        )
        yield Result(f"checksum / reading {table}", checksum / whole, "x", MOST_OF_READING, False, detail)
    footers = _seconds(lambda: [read_footer(path) for path in folder.glob("*.parquet")])
    rows = _seconds(lambda: [count_rows(path) for path in folder.glob("*.parquet")])
    detail = f"both tables; their numbers of rows alone, as when a study is opened: {rows:.4f} s"
    yield Result("footers", footers, "s", MOST_SECONDS, False, detail)


def _study(folder: Path) -> Path:
    """A study of two tables as `embed` and `quality` write them: names and labels; scores."""
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(0)
    labels = pd.Series(np.arange(N_IMAGES) * 1000 // N_IMAGES).map(lambda number: f"n{number:08d}")
    names = labels.str.cat(pd.Series(np.arange(N_IMAGES)).astype("str"), sep="/ILSVRC2012_train_")
    images = pd.DataFrame({"image_id": names, "path": names, "label": labels, "split": "train"})
    scores = {f"score_{number}": rng.normal(size=N_IMAGES) for number in range(N_SCORES)}
    with write_study(folder) as writer, writer.step("embed", {}) as step:
        step.table("images", images)
        step.table("quality", pd.DataFrame({"image_id": names, **scores}))
    return folder


def _seconds(work: Callable[[], object], *, forget: bool = True) -> float:
    """The least processor time of a few runs; each reads the checksum again, unless told otherwise."""
    times = []
    for _ in range(REPEATS):
        if forget:
            table_files._remembered_sha256.cache_clear()
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    for result in run():
        print(result.line())
