"""Maps that `embed` keeps against those of a pass of their own (docs/method.md 4.3).

    python -m benchmarks.measure_maps build/bench/maps PHOTOGRAPHS asset:efficientnet_lite0 …

Of each encoder two studies are made in float32, the second with `--no-maps`; which images and features have a
map is the same in both, and it is printed how far their values differ. A map's values are in units of its
largest; half precision, in which a study holds them, keeps 1e-3.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress

SAME = ("representations", "heatmap_rows", "heatmap_count", "heatmap_features", "heatmap_fallback")


class Differences(NamedTuple):
    """Of all stored maps of two studies.

    Attributes:
        n_images, n_maps: how many there are. largest: difference of two values, in units of the map's
            largest. share: of values that differ. peaks: largest relative difference of the largest values.
    """

    n_images: int
    n_maps: int
    largest: float
    share: float
    peaks: float


def study_of(folder: Path, images: str, encoder: str, *, no_maps: bool) -> tuple[Study, str]:
    """A study with heatmaps, and on how many images the network was run for them."""
    options = {"images": images, "encoder": encoder, "precision": "float32", "device": "cpu"}
    run_step("embed", folder, {**options, "no_maps": no_maps}, Progress.silent())
    run_step("features", folder, {}, Progress.silent())
    progress = Noting()
    run_step("heatmaps", folder, {"device": "cpu"}, progress)
    return open_study(folder), next(note for note in progress.notes if note.startswith("heatmaps: network"))


class Noting(Progress):
    """Keeps the notes of a step."""

    def __init__(self) -> None:
        super().__init__(None, terminal=False)
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


def differences(one: Study, other: Study) -> Differences:
    """Raises AssertionError: the studies differ in more than the values of maps."""
    for name in SAME:
        np.testing.assert_array_equal(one.vector(name), other.vector(name), err_msg=name)
    largest, n_different, n_values = 0.0, 0, 0
    for row in one.vector("heatmap_rows").tolist():
        features = one.heatmap_reader.features_of(row)
        maps, others = (study.heatmap_reader.maps(row, features)[0] for study in (one, other))
        off = np.abs(maps - others)
        largest = max(largest, float(off.max(initial=0)))
        n_different, n_values = n_different + np.count_nonzero(off), n_values + off.size
    peaks, others = (study.vector("heatmap_peaks").astype(float) for study in (one, other))
    relative = np.abs(peaks - others) / np.maximum(np.abs(others), np.finfo(np.float32).tiny)
    n_images = len(one.vector("heatmap_rows"))
    return Differences(n_images, len(peaks), largest, n_different / n_values, float(relative.max(initial=0)))


def main(folder: str, images: str, *encoders: str) -> None:
    print(
        "| encoder | maps | of images | largest difference | values that differ | peaks differ by | network |"
    )
    print("|---|---|---|---|---|---|---|")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for encoder in encoders:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = [
                study_of(Path(scratch) / name, images, encoder, no_maps=no_maps)
                for name, no_maps in (("kept", False), ("own-pass", True))
            ]
            of = differences(*(study for study, _ in made))
            passes = " / ".join(note.partition("network on ")[2] for _, note in made)
        counts = f"{of.n_maps:,} | {of.n_images}"
        cells = f"{of.largest:.1e} | {100 * of.share:.2f} % | {of.peaks:.1e} | {passes}"
        print(f"| {encoder} | {counts} | {cells} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
