"""What the pooling of one encoder's last map changes: probe, and every score as a predictor of its errors.

python -m benchmarks.evidence.poolings -o build/poolings

Makes a study for each pooling of the embedded encoder (--encoder and --images name others), as far as the
evaluation of the scores needs it, and prints Markdown. Steps that are done and current are not repeated, so
that an interrupted run goes on where it was. About 3 minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.__main__ import machine
from benchmarks.evidence.tables import metric_text
from core.common.formatting import with_interval
from core.common.statistics.intervals import mean_intervals, wilson
from core.config import POOLINGS
from core.jobs.progress import Progress
from core.pipeline.run import run_step
from core.store import Study, open_study

STEPS = ("embed", "features", "neighbours", "probe", "quality")
SHOWN = ("gap", "max", "top4")


def build(folder: Path, pool: str, encoder: str, images: str, workers: int | None) -> Study:
    """Make one study, or the steps that it lacks."""
    options = {"images": images, "encoder": encoder, "pool": pool, "epsilon": "auto"}
    with Progress.for_command(folder, stages_total=len(STEPS)) as progress:
        for step in STEPS:
            run_step(step, folder, options | ({"workers": workers} if workers is not None else {}), progress)
    return open_study(folder)


def correct_of(study: Study) -> np.ndarray:
    """(n_val,) float: 1 where the probe classifies an evaluation image correctly, in the study's order."""
    judged = study.table("probe", ["split", "correct"])
    return judged.loc[judged["split"] == "val", "correct"].to_numpy(float)


def report(studies: dict[str, Study]) -> Iterator[str]:
    """Markdown: the probe, with differences over the same images, then AUROC of each score by pooling."""
    first = next(iter(studies))
    yield (
        "| pooling | probe top-1 (95 % interval) | difference to " + first + " (same images) | epsilon | D |"
    )
    yield "|---|---|---|---|---|"
    begun = correct_of(studies[first])
    for pool, study in studies.items():
        correct = correct_of(study)
        low, high = (float(end) for end in wilson(correct.sum(), len(correct)))
        cells = [pool, with_interval(correct.mean(), low, high), "", *chosen(study)]
        if pool != first:
            mean, low, high, _ = (float(one[0]) for one in mean_intervals((correct - begun)[:, None]))
            cells[2] = with_interval(mean, low, high)
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield f"| AUROC of | labels | {' | '.join(studies)} |"
    yield "|---|---|" + "---|" * len(studies)
    tables = [study.table("quality_metrics").set_index("score") for study in studies.values()]
    for score in dict.fromkeys(name for table in tables for name in table.index):
        cells = [metric_text(t.loc[score], "auroc") if score in t.index else "" for t in tables]
        free = next(bool(t.loc[score, "label_free"]) for t in tables if score in t.index)
        yield f"| {score} | {'no' if free else 'yes'} | {' | '.join(cells)} |"


def chosen(study: Study) -> list[str]:
    """The epsilon that auto chose, and how many features are discriminative there."""
    summary, n_features = study.summary("features"), study.array("representations").shape[1]
    return [f"{summary['epsilon']:g}", f"{summary['n_discriminative']} of {n_features}"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.poolings", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/poolings"), metavar="FOLDER")
    parser.add_argument("--encoder", default="asset:simclr_glyphworld", metavar="SPEC")
    parser.add_argument("--images", default="glyphworld", metavar="DIR")
    parser.add_argument("--pools", nargs="+", default=SHOWN, choices=POOLINGS)
    parser.add_argument("--workers", type=int, metavar="N")
    options = parser.parse_args(arguments)
    studies = {
        pool: build(options.output / pool, pool, options.encoder, options.images, options.workers)
        for pool in options.pools
    }
    print(f"machine: {machine()}")
    print("\n".join(report(studies)))


if __name__ == "__main__":
    main()
