"""Maps of single latents beside masks: bases of positions, units and controls (docs/method.md 18.7).

python -m reproductions.latent_maps studies/demo --size 256 --steps 300

Reads the positions of at most 1,000 images of either split once, fits each kind of basis on those of the
train images, and judges the value of a latent at a position by the masks. The stored table: seed 0, two
cores of an x86 machine without a GPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch

from core.analysis.readouts import PositionReader
from core.bases.dictionary import Coder, Dictionary
from core.bases.kinds import KINDS
from core.bases.vectors import FitRun, Vectors
from core.common.topics import function_named
from core.concepts.concept_maps import Entries, MaskedPositions, map_means, maps_of_entries
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress
from reproductions import common
from reproductions.bases import SIZES, UNITS, K, with_bounds

NAME = "latent_maps"
BATCH = 64  # images
CONTROL = "random"
SMOKE = {  # 24 scenes of each class in either split: a concept needs 20
    "images": "glyphworld?train=480&val=480&size=32",
    "encoder": "timm:resnet10t?output_stride=8",
    "input_size": 32,
    "resize": 32,
    "workers": 0,
}
COLUMNS = {"ap": "ap", "inverted_ap": "inverted", "purity": "purity", "coverage": "coverage"}


def positions_of(reader: PositionReader, rows: np.ndarray) -> np.ndarray:
    """Read the vectors of positions, image after image: (len(rows) * n_positions, width) float32."""
    batches = np.array_split(rows, -(-len(rows) // BATCH))
    parts = [vectors.flatten(0, 1).cpu().numpy() for _, vectors in reader.read(batches)]
    if reader.missing:
        raise SystemExit(f"{len(reader.missing)} images can no longer be read")
    return np.concatenate(parts)


def entries_of(vectors: np.ndarray, dictionary: Dictionary | None) -> Entries:
    """Return the active codes of positions; without a dictionary what is not 0 of the units."""
    if dictionary is None:
        places, units = np.nonzero(vectors)
        return places, units, vectors[places, units]
    coder, parts = Coder(dictionary), []
    for start in range(0, len(vectors), coder.block_rows):
        codes = coder.encode(torch.from_numpy(vectors[start : start + coder.block_rows]))
        parts.append([(codes.rows + start).numpy(), codes.latents.numpy(), codes.values.numpy()])
    places, latents, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return places, latents, values


def fit(kind: str, learnt: np.ndarray, size: int, steps: int | None) -> Dictionary:
    """Fit a dictionary of a kind on vectors of positions, seed 0."""
    vectors = Vectors(learnt, np.arange(len(learnt)))
    with tempfile.TemporaryDirectory() as folder, Progress.for_command(Path(folder)) as progress:
        run = FitRun(progress, torch.device("cpu"), Path(folder) / "state", {}, steps)
        return function_named(KINDS[kind].fit)(vectors, size, K, 0, run)


def map_row(basis: str, width: int, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Summarise a basis, and its differences to units, random directions and a blob, concept by concept."""
    table, ends = tables[basis], ["mean", "low", "high"]
    means = map_means(table).set_index("measure")
    row: dict[str, Any] = {"basis": basis, "width": width}
    for measure, column in COLUMNS.items():
        row |= with_bounds(column, means.loc[measure, ends])
    for control in (UNITS, CONTROL):
        bounds = [np.nan] * 3
        if control != basis and control in tables:
            bounds = map_means(table, minus=tables[control]).set_index("measure").loc["ap", ends]
        row |= with_bounds(f"minus_{control}", bounds)
    return row | with_bounds("minus_blob", means.loc["ap_minus_centre", ends])


def measured(study: Study, kinds: Sequence[str], most: int, steps: int | None) -> Iterator[dict[str, Any]]:
    """Yield a row for the units, and one for each basis."""
    reader = PositionReader(study, torch.device("cpu"))
    masked = MaskedPositions(study, reader.grid)
    learnt, judged = (positions_of(reader, some) for some in masked.images)
    widths: dict[str, int] = {UNITS: learnt.shape[1]}
    tables = {}
    for kind in (CONTROL, UNITS, *kinds):
        widths.setdefault(kind, min(SIZES.get(kind, most), most))
        dictionary = None if kind == UNITS else fit(kind, learnt, widths[kind], steps)
        entries = [entries_of(part, dictionary) for part in (learnt, judged)]
        tables[kind] = maps_of_entries(entries, masked, widths[kind])
    for kind in (UNITS, CONTROL, *kinds):
        yield map_row(kind, widths[kind], tables)


def rows(args: Any, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table of a study."""
    if smoke:
        folder = common.output_folder(args) / "studies" / NAME
        run_step("embed", folder, SMOKE, Progress.silent())
        return measured(Study(folder), [], 16, 2)
    kinds = [kind for kind in SIZES if kind != CONTROL]
    return measured(Study(args.study), kinds, args.size, args.steps)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the average precision of maps by basis, with its interval."""
    bounds = {
        "type": "data",
        "array": table["ap_high"] - table["ap"],
        "arrayminus": table["ap"] - table["ap_low"],
    }
    figure = go.Figure(go.Bar(x=table["basis"], y=table["ap"], error_y=bounds))
    return figure.update_layout(
        title="How well maps of single latents mark what masks mark", yaxis_title="AP of maps"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, measure and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("studies/demo"))
    parser.add_argument("--size", type=int, default=256, help="latents of a basis, at most")
    parser.add_argument("--steps", type=int, default=300, help="of training")
    args = parser.parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
