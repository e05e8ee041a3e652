"""What a basis of features is worth: units beside dictionaries and controls, on one study.

python -m benchmarks.evidence.bases studies/demo -o build/bases

Copies the study, fits each basis, runs every step in it, and prints Markdown. What is done and current is
kept, so an interrupted run goes on where it was. About 15 minutes of two cores on the embedded study.

Concepts are the classes and the values of attributes that hold words (Glyphworld's truth), those that at
least 20 images of either split have. For each the feature with the best average precision on the train
images is taken, so that many features are no advantage by chance, and judged on the evaluation images
(Stevens et al. 2025, arXiv 2511.17735: mAP, purity@16, coverage@.3, there for positions and masks).
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import machine
from benchmarks.evidence.tables import metric_text
from core.bases.requests import add_basis
from core.common.formatting import with_interval
from core.common.statistics.intervals import mean_intervals
from core.config import BasisConfig
from core.jobs.progress import Progress
from core.pipeline.run import resume
from core.storage.layers import layer
from core.store import Study, open_study

K, SIZE, SEEDS = 16, 1024, 2
BASES: dict[str, dict[str, Any]] = {
    "pca": {"size": 256},
    "topk": {"size": SIZE},
    "random": {"size": SIZE},
    "kmeans": {"size": 256},
    "matryoshka": {"size": SIZE},
    "nmf": {"size": 128},
}
ON_POSITIONS = ("pca", "random", "topk", "matryoshka")
FEWEST, TOP, COVERED = 20, 16, 0.3


@dataclass(frozen=True)
class Concepts:
    """Truth of images: has[c, i] says whether image i has concept c."""

    names: list[str]
    has: np.ndarray  # (n_concepts, n_images) bool


def concepts_of(study: Study) -> Concepts:
    """The classes and the words of attributes that enough images of both splits have."""
    columns = {"class": study.images["label"]}
    if study.has("attributes"):
        table = study.table("attributes").drop(columns=["image_id", "caption"], errors="ignore")
        columns |= {name: table[name] for name in table if table[name].dtype.kind in "OT"}
    names, rows = [], []
    for column, values in columns.items():
        for value in sorted(values.dropna().unique(), key=str):
            has = (values == value).fillna(False).to_numpy(bool)
            if min(has[study.is_val].sum(), has[~study.is_val].sum()) >= FEWEST:
                names.append(f"{column}={value}")
                rows.append(has)
    return Concepts(names, np.array(rows))


def average_precision(values: np.ndarray, has: np.ndarray) -> np.ndarray:
    """(n_concepts, n_features) average precision of each feature (columns of `values`) for each concept."""
    order = np.argsort(-values, axis=0, kind="stable")
    ranks = np.arange(1, len(values) + 1)[:, None]
    found = np.empty((len(has), values.shape[1]))
    for at, one in enumerate(has):
        hits = one[order]
        found[at] = (np.cumsum(hits, 0) / ranks * hits).sum(0) / max(one.sum(), 1)
    return found


def named(study: Study, concepts: Concepts) -> dict[str, np.ndarray]:
    """For each concept, of the feature that is best on train images: its AP and purity on the others."""
    values, val = study.array("representations")[:], study.is_val
    precise = average_precision(values[~val], concepts.has[:, ~val])
    best = precise.argmax(1)
    judged = values[val][:, best]
    has = concepts.has[:, val]
    ap = np.array([average_precision(judged[:, [at]], has[[at]])[0, 0] for at in range(len(best))])
    top = np.argsort(-judged, axis=0, kind="stable")[:TOP]
    purity = np.array([has[at, top[:, at]].mean() for at in range(len(best))])
    return {"ap": ap, "purity": purity, "covered": (ap > COVERED).astype(float)}


def build(folder: Path, kind: str, on: str) -> Study:
    """Fit a basis, and run every step in it; what is current is kept."""
    name = kind if on == "pooled" else f"{kind}-positions"
    config = BasisConfig(kind=kind, k=K, on=on, seeds=SEEDS, **BASES[kind])
    with Progress.for_command(folder, stages_total=1) as progress:
        add_basis(folder, name, config, progress)
    with Progress.for_command(layer(folder, name), stages_total=8) as progress:
        resume(layer(folder, name), {}, progress)
    return open_study(folder).in_basis(name)


def row(name: str, study: Study, concepts: Concepts) -> str:
    """A line of the table."""
    card = study.basis.card if study.basis else {}
    truth = named(study, concepts)

    def mean(values: np.ndarray) -> str:
        centre, low, high, _ = (float(one[0]) for one in mean_intervals(values[:, None], within=(0.0, 1.0)))
        return with_interval(centre, low, high)

    overlap, words = study.summary("overlap"), study.summary("concepts").get("word_auc") or {}
    score = study.table("quality_metrics").set_index("score").loc["q_score"]
    core, spurious = overlap.get("miou_core"), overlap.get("miou_spurious")
    facts = (card.get(key) for key in ("r2", "l0", "stability", "dead"))
    known = ["" if value is None else f"{value:.2f}" for value in facts]
    cells = (
        *(name, f"{study.array('representations').shape[1]:,}", *known),
        *(mean(truth["ap"]), f"{truth['purity'].mean():.2f}", f"{truth['covered'].mean():.2f}"),
        *("" if value is None else f"{value:.3f}" for value in (words.get("mean"), core, spurious)),
        metric_text(score.to_dict(), "auroc"),
    )
    return f"| {' | '.join(cells)} |"


def report(folder: Path, kinds: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The table, a basis a line."""
    whole = open_study(folder)
    concepts = concepts_of(whole)
    yield f"{len(concepts.names)} concepts, {int(whole.is_val.sum()):,} evaluation images. {machine()}"
    yield ""
    yield (
        "| basis | width | R2 | L0 | stability | dead | mAP (95 % interval) | purity@16 | coverage@.3 | "
        "word AUC | mIoU object | mIoU background | AUROC of Q (95 % interval) |"
    )
    yield f"|{'---|' * 13}"
    yield row("units", whole, concepts)
    for kind, on in kinds:
        yield row(kind if on == "pooled" else f"{kind}, positions", build(folder, kind, on), concepts)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bases"))
    parser.add_argument("--pooled-only", action="store_true", help="leave out the positions")
    args = parser.parse_args(argv)
    folder = args.output / args.study.name
    if not folder.exists():
        shutil.copytree(args.study, folder)
    kinds = [(kind, "pooled") for kind in BASES]
    kinds += [] if args.pooled_only else [(kind, "positions") for kind in ON_POSITIONS]
    for line in report(folder, kinds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
