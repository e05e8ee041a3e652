"""What a basis of features is worth: units beside dictionaries and controls, on one study.

python -m benchmarks.evidence.bases studies/demo -o build/bases

Copies the study, fits each basis, runs every step in it, and prints Markdown. What is done and current is
kept, so an interrupted run goes on where it was. About an hour of two cores on the embedded study. Of a
Glyphworld study words are tested on rendered twins, too (docs/method.md 6.13).

Concepts are the classes and the values of attributes that hold words (Glyphworld's truth); how features are
judged by them: docs/method.md 18.7.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import machine
from benchmarks.evidence.tables import metric_text
from core.bases.requests import add_basis
from core.common.dataframes import by_values, known_mean, numbers
from core.common.formatting import with_interval
from core.common.statistics.intervals import mean_intervals
from core.concepts.tools import is_glyphworld
from core.config import BasisConfig
from core.jobs.progress import Progress
from core.measures.concept_features import concept_features, concept_means, known_concepts
from core.pipeline.run import resume, run_step
from core.research.rendered_scenes.word_twins import PAIRS
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
TRAINED = ("topk", "matryoshka")
WORDS = (("concepts", "auc"), ("word_twins", "twin_auc"))  # tables and columns
ON_POSITIONS = ("pca", "random", "topk", "matryoshka")


def build(folder: Path, kind: str, on: str, steps: int | None, most: int) -> Study:
    """Fit a basis of at most so many latents, and run every step in it; what is current is kept."""
    name = kind if on == "pooled" else f"{kind}-positions"
    size, steps = min(BASES[kind]["size"], most), steps if kind in TRAINED else None
    config = BasisConfig(kind=kind, k=K, on=on, seeds=SEEDS, size=size, steps=steps)
    with Progress.for_command(folder, stages_total=1) as progress:
        add_basis(folder, name, config, progress)
    with Progress.for_command(layer(folder, name), stages_total=8) as progress:
        resume(layer(folder, name), with_twins(open_study(folder)), progress)
    return open_study(folder).in_basis(name)


def with_twins(whole: Study) -> dict[str, Any]:
    """The options that test the words of a Glyphworld study on rendered twins."""
    return {"twins": PAIRS} if is_glyphworld(whole) else {}


def row(name: str, study: Study) -> str:
    """A line of the table."""
    card = study.basis.card if study.basis else {}
    means = concept_means(concept_features(study)).set_index("measure")

    def mean(measure: str) -> str:
        centre, low, high = (float(means.at[measure, end]) for end in ("mean", "low", "high"))
        return with_interval(centre, low, high)

    overlap = study.summary("overlap")
    score = study.table("quality_metrics").set_index("score").loc["q_score"]
    facts = (card.get(key) for key in ("r2", "l0", "stability", "dead"))
    known = ["" if value is None else f"{value:.2f}" for value in facts]
    cells = (
        *(name, f"{study.array('representations').shape[1]:,}", *known),
        *(mean("ap"), mean("inverted_ap"), mean("probe_ap"), mean("purity"), mean("coverage")),
        *(_of_words(study, *column) for column in WORDS),
        *(_mean_overlap(overlap, name) for name in ("miou_core", "miou_spurious")),
        metric_text(score.to_dict(), "auroc"),
    )
    return f"| {' | '.join(cells)} |"


def _of_words(study: Study, table: str, column: str) -> str:
    """The mean over features of the means over their words, with Student's interval over features."""
    if not study.has(table):
        return ""
    words = study.table(table)
    if "kept" in words:
        words = words.loc[words["kept"].to_numpy(bool)].reset_index(drop=True)
    by_feature = by_values(words, ["group"])
    means = [known_mean(numbers(rows, column)) for _, rows in sorted(by_feature, key=lambda pair: pair[0])]
    (mean,), (low,), (high,), (n,) = mean_intervals(np.reshape(means, (-1, 1)))
    return f"{with_interval(mean, low, high)}, {n}"


def _mean_overlap(overlap: dict[str, Any], name: str) -> str:
    value = overlap.get(name)
    return "" if value is None else with_interval(value, *overlap[f"{name}_interval"])


def report(
    folder: Path, kinds: Sequence[tuple[str, str]], steps: int | None = None, most: int = SIZE
) -> Iterator[str]:
    """The table, a basis a line."""
    if options := with_twins(open_study(folder)):
        with Progress.for_command(folder, stages_total=8) as progress:
            run_step("concepts", folder, options, progress)
    whole = open_study(folder)
    n = len(known_concepts(whole)[0])
    yield f"{n} concepts, {int(whole.is_val.sum()):,} evaluation images. {machine()}"
    yield ""
    yield (
        "| basis | width | R2 | L0 | stability | dead | mAP (95 % interval) | inverted | five features | "
        "purity@16 | coverage@.3 | "
        "word AUC, features with words | twins' AUC, features | mIoU object | mIoU background | "
        "AUROC of Q (95 % interval) |"
    )
    yield f"|{'---|' * 16}"
    yield row("units", whole)
    for kind, on in kinds:
        yield row(kind if on == "pooled" else f"{kind}, positions", build(folder, kind, on, steps, most))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/bases"))
    parser.add_argument("--pooled-only", action="store_true", help="leave out the positions")
    parser.add_argument("--steps", type=int, help="of training; as the command basis takes them without")
    parser.add_argument("--size", type=int, default=SIZE, help="latents of a basis, at most")
    args = parser.parse_args(argv)
    folder = args.output / args.study.name
    if not folder.exists():
        shutil.copytree(args.study, folder)
    kinds = [(kind, "pooled") for kind in BASES]
    kinds += [] if args.pooled_only else [(kind, "positions") for kind in ON_POSITIONS]
    for line in report(folder, kinds, args.steps, args.size):
        print(line, flush=True)


if __name__ == "__main__":
    main()
