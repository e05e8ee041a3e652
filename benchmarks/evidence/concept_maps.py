"""Maps of single latents beside masks: bases of positions, units and controls (docs/method.md 18.7).

python -m benchmarks.evidence.concept_maps studies/demo --size 256 --steps 300

Reads the positions of at most 1,000 images of either split once, fits each kind of basis on those of the
train images, and prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.__main__ import machine
from benchmarks.evidence.bases import BASES, K
from core.analysis.overlap.concept_maps import Entries, MaskedPositions, map_means, maps_of_entries
from core.analysis.positions import PositionReader
from core.bases.dictionary import Coder, Dictionary
from core.bases.kinds import KINDS
from core.bases.vectors import FitRun, Vectors
from core.common.formatting import with_interval
from core.jobs.progress import Progress
from core.store import Study, open_study
from core.topics import function_named

BATCH = 64  # images
COLUMNS = {"ap": "AP of maps", "inverted_ap": "inverted", "purity": "purity@16", "coverage": "coverage@.3"}


def positions_of(study: Study, reader: PositionReader, rows: np.ndarray) -> np.ndarray:
    """(len(rows) * n_positions, width) float32, image after image."""
    batches = np.array_split(rows, -(-len(rows) // BATCH))
    parts = [vectors.flatten(0, 1).cpu().numpy() for _, vectors in reader.read(batches)]
    if reader.missing:
        raise SystemExit(f"{len(reader.missing)} images of '{study.path}' can no longer be read")
    return np.concatenate(parts)


def entries_of(vectors: np.ndarray, dictionary: Dictionary | None) -> Entries:
    """The active codes of positions; without a dictionary what is not 0 of the units."""
    if dictionary is None:
        places, units = np.nonzero(vectors)
        return places, units, vectors[places, units]
    coder, parts = Coder(dictionary), []
    for start in range(0, len(vectors), coder.block_rows):
        codes = coder.encode(torch.from_numpy(vectors[start : start + coder.block_rows]))
        parts.append([(codes.rows + start).numpy(), codes.latents.numpy(), codes.values.numpy()])
    places, latents, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return places, latents, values


def row(name: str, size: int, table: pd.DataFrame, controls: dict[str, pd.DataFrame]) -> str:
    """A line of the table; controls: tables of which differences of the same concepts are shown."""

    def cell(means: pd.DataFrame, measure: str) -> str:
        one = means.set_index("measure").loc[measure]
        return with_interval(float(one["mean"]), float(one["low"]), float(one["high"]))

    means = map_means(table)
    cells = [name, f"{size:,}", *(cell(means, measure) for measure in COLUMNS)]
    for control, other in controls.items():
        cells.append("" if control == name else cell(map_means(table, minus=other), "ap"))
    return f"| {' | '.join([*cells, cell(means, 'ap_minus_centre')])} |"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--size", type=int, default=1024, help="latents of a basis, at most")
    parser.add_argument("--steps", type=int, help="of training; as the command basis takes them without")
    args = parser.parse_args(argv)
    study, device = open_study(args.study), torch.device("cpu")
    reader = PositionReader(study, device)
    masked = MaskedPositions(study, reader.grid)
    learnt, judged = (positions_of(study, reader, rows) for rows in masked.images)
    vectors, sizes = Vectors(learnt, np.arange(len(learnt))), {"units": learnt.shape[1]}
    entries = [entries_of(part, None) for part in (learnt, judged)]
    tables = {"units": maps_of_entries(entries, masked, sizes["units"])}
    for kind in ("random", *(one for one in BASES if one != "random")):
        with tempfile.TemporaryDirectory() as folder, Progress.for_command(Path(folder)) as progress:
            run = FitRun(progress, device, Path(folder) / "state", {}, args.steps)
            sizes[kind] = min(BASES[kind]["size"], args.size)
            dictionary = function_named(KINDS[kind].fit)(vectors, sizes[kind], K, 0, run)
        entries = [entries_of(part, dictionary) for part in (learnt, judged)]
        tables[kind] = maps_of_entries(entries, masked, sizes[kind])
    means = map_means(tables["units"]).set_index("measure")["mean"]
    images, grid = " and ".join(f"{len(rows):,}" for rows in masked.images), "x".join(map(str, reader.grid))
    print(f"{len(masked.names)} concepts, {images} images of {grid} positions. {machine()}")
    print(f"A uniform map reaches {means['base_rate']:.3f}, a blob in the middle {means['centre_ap']:.3f}.\n")
    print(f"| basis | width | {' | '.join(COLUMNS.values())} | minus units | minus random | minus blob |")
    print(f"|{'---|' * (len(COLUMNS) + 5)}")
    for name, table in tables.items():
        controls = {control: tables[control] for control in ("units", "random")}
        print(row(name, sizes[name], table, controls), flush=True)


if __name__ == "__main__":
    main()
