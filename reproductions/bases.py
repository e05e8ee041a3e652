"""What a basis of features is worth: units beside dictionaries and controls (docs/method.md 18.7).

python -m reproductions.bases studies/demo

Copies the study, fits each basis, runs every step in it, and measures how well single features know classes
and attributes, how well words fit them, where they look, and whether Q of them predicts errors. What is
done and current is kept, so an interrupted run continues. The rows of `demo`: about an hour of two cores of
an x86 machine; those of `cifar` (`--pooled-only --size 128 --steps 200`) are of the classifier of
`examples/classifier.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.bases.requests import add_basis
from core.common.dataframes import known_mean, numbers
from core.concepts.concept_features import concept_features, concept_means
from core.config import BasisConfig
from core.measures.intervals import mean_intervals
from core.pipeline.run import resume, run_step
from core.store import Study
from core.study.layers import layer
from core.study.progress import Progress
from reproductions import common

NAME = "bases"
UNITS, POOLED, POSITIONS = "units", "pooled", "positions"
MOST, K, SEEDS = 1024, 16, 2
SIZES = {"pca": 256, "topk": MOST, "random": MOST, "kmeans": 256, "matryoshka": MOST, "nmf": 128}
TRAINED = ("topk", "matryoshka")
ON_POSITIONS = ("pca", "random", "topk", "matryoshka")
MEASURES = {"ap": "map", "inverted_ap": "inverted", "probe_ap": "five_features"}
MEASURES |= {"purity": "purity", "coverage": "coverage"}
SMOKE_IMAGES = "glyphworld?train=200&val=200"
STEPS = ("embed", "features", "neighbours", "probe", "quality")


def fit(folder: Path, kind: str, on: str, most: int, steps: int | None, smoke: bool) -> Study:
    """Fit a basis and compute everything in it; what is current is kept."""
    name = kind if on == POOLED else f"{kind}-{on}"
    steps = steps if kind in TRAINED else None
    config = BasisConfig(
        kind=kind, k=K, on=on, seeds=1 if smoke else SEEDS, size=min(SIZES[kind], most), steps=steps
    )
    with Progress.for_command(folder) as progress:
        add_basis(folder, name, config, progress)
        if smoke:
            for step in ("features", "quality"):
                run_step(step, layer(folder, name), {}, progress)
        else:
            resume(layer(folder, name), {}, progress)
    return Study(folder).in_basis(name)


def with_bounds(name: str, values: Sequence[float]) -> dict[str, float]:
    """Name a value and the bounds of its interval as three columns."""
    return {
        f"{name}{end}": round(float(value), 3)
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


def word_fit(study: Study) -> dict[str, float]:
    """Measure how well kept words tell the held-out images of which they are true, a mean over features."""
    words = study.table("concepts") if study.has("concepts") else pd.DataFrame()
    if "auc" not in words:
        return with_bounds("word_auc", [np.nan] * 3) | {"n_named": np.nan}
    kept = words.loc[words["kept"].to_numpy(bool)]
    means = [known_mean(numbers(rows, "auc")) for _, rows in kept.groupby("group")]
    (mean,), (low,), (high,), (n,) = mean_intervals(np.reshape(means, (-1, 1)))
    return with_bounds("word_auc", (mean, low, high)) | {"n_named": int(n)}


def overlap(study: Study) -> dict[str, float]:
    """Read mIoU of the discriminative heatmaps with both masks; NaN without masks."""
    summary, columns = study.summary("overlap"), {}
    for mask in ("core", "spurious"):
        value = summary.get(f"miou_{mask}")
        bounds = [np.nan] * 3 if value is None else [value, *summary[f"miou_{mask}_interval"]]
        columns |= with_bounds(f"miou_{mask}", bounds)
    return columns


def basis_row(name: str, study: Study, basis: str, on: str) -> dict[str, Any]:
    """Measure the features of one basis."""
    card = study.basis.card if study.basis else {}
    means = concept_means(concept_features(study)).set_index("measure")
    q = study.table("quality_metrics").set_index("score").loc["q_score"]
    row: dict[str, Any] = {"study": name, "basis": basis, "on": on}
    row["width"] = study.array("representations").shape[1]
    row |= {fact: card.get(fact) for fact in ("r2", "l0", "stability", "dead")}
    for measure, column in MEASURES.items():
        row |= with_bounds(column, means.loc[measure, ["mean", "low", "high"]])
    row |= word_fit(study) | overlap(study)
    return row | with_bounds("q_auroc", q[["auroc", "auroc_low", "auroc_high"]])


def smoke_study(folder: Path) -> Path:
    """Make a small study of the embedded encoder."""
    options = {"images": SMOKE_IMAGES, "encoder": "asset:simclr_glyphworld", "epsilon": "auto", "workers": 0}
    with Progress.for_command(folder) as progress:
        for step in STEPS:
            run_step(step, folder, options, progress)
    return folder


def rows(args: Any, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for the units, and one for each basis."""
    folder = common.output_folder(args) / "studies" / (NAME if smoke else args.study.name)
    if smoke:
        smoke_study(folder)
    elif not folder.exists():
        shutil.copytree(args.study, folder)
    yield basis_row(folder.name, Study(folder), UNITS, POOLED)
    kinds = ["random", "topk"] if smoke else SIZES
    most, steps = (16, 2) if smoke else (args.size, args.steps)
    pairs = [(kind, POOLED) for kind in kinds]
    if not smoke and not args.pooled_only:
        pairs += [(kind, POSITIONS) for kind in ON_POSITIONS]
    for kind, on in pairs:
        yield basis_row(folder.name, fit(folder, kind, on, most, steps, smoke), kind, on)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the mean average precision of each basis with its interval, a colour a study."""
    figure = go.Figure()
    for study, part in table.groupby("study", sort=False):
        above, below = part["map_high"] - part["map"], part["map"] - part["map_low"]
        labels = part["basis"] + part["on"].map(lambda on: "" if on == POOLED else f", {on}")
        bounds = {"type": "data", "array": above, "arrayminus": below}
        figure.add_bar(x=labels, y=part["map"], error_y=bounds, name=str(study))
    title = "How well the best single feature knows a class or attribute"
    return figure.update_layout(title=title, yaxis_title="mean average precision (95 % interval)")


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, measure and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument("study", type=Path, nargs="?", default=Path("studies/demo"))
    parser.add_argument("--pooled-only", action="store_true", help="leave out the positions")
    parser.add_argument("--size", type=int, default=MOST, help="latents of a basis, at most")
    parser.add_argument("--steps", type=int, help="of training; as the command basis takes them without")
    args = parser.parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
