"""Do worst slices hold on scenes that nobody has seen?

`python -m benchmarks.evidence.fresh_slices STUDY [STUDY ...]`

Prints Markdown: for each Glyphworld study its worst slices with the error rate on the evaluation images, on
which they were selected, and on newly rendered scenes of the same description; and for any study the same
search on one half of the evaluation images, measured on the other half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from core.analysis.gradcam.on_demand import study_encoder
from core.common.dataframes import known_mean, numbers
from core.common.statistics.intervals import mean_intervals, wilson
from core.jobs.progress import Progress
from core.research.rendered_scenes.fresh_slices import MOST_RENDERED, SCENES, check_fresh, verify_slices
from core.slices.evaluate import result_column
from core.slices.finder import worst_slices
from core.slices.slice import Slice
from core.store import Study, open_study

WORST, SHOWN, SPLITS, FEWEST = 20, 10, 5, 5


def rate(value: float, low: float, high: float) -> str:
    return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def fresh(study: Study, worst: int, n: int, most_rendered: int) -> None:
    """Print the worst slices of a study, and how many hold on fresh scenes."""
    check_fresh(study)
    table, usual = verify_slices(
        study,
        worst_slices(study, limit=worst),
        study_encoder(study),
        n=n,
        most_rendered=most_rendered,
        progress=Progress.silent(),
    )
    print("| slice | selected on | n | fresh scenes | n | holds |\n|---|---|---|---|---|---|")
    for row in table.head(SHOWN).to_dict("records"):
        seen = rate(row["fresh_error_rate"], row["fresh_low"], row["fresh_high"])
        print(
            f"| `{row['where']}` | {rate(row['error_rate'], row['low'], row['high'])} | {row['n']} "
            f"| {seen if row['fresh_n'] else '–'} | {row['fresh_n']} | {row['holds']} |"
        )
    measured_slices = table.loc[numbers(table, "fresh_n") >= FEWEST].reset_index(drop=True)
    rates, measured = numbers(measured_slices, "error_rate"), numbers(measured_slices, "fresh_error_rate")
    change = measured - rates
    mean, low, high, _ = mean_intervals(change[:, None])
    print(
        f"\nUsual fresh scenes: {rate(usual['error_rate'], usual['low'], usual['high'])} misclassified. "
        f"{sum(measured_slices['holds'])} of {len(measured_slices)} slices hold (interval above that), "
        f"{sum(measured_slices['within'])} lie in the interval that the study gave. Selected at "
        f"{100 * known_mean(rates):.1f} % on average, measured at "
        f"{100 * known_mean(measured):.1f} %: difference {100 * mean[0]:+.1f} points "
        f"({100 * low[0]:+.1f} to {100 * high[0]:+.1f}, resampling slices). "
        f"{usual['n_rendered']:,} scenes rendered."
    )


def halves(study: Study, worst: int) -> None:
    """Print how many slices that were selected on one half of the evaluation images hold on the other."""
    correct = result_column(study, "correct")
    evaluated = study.is_val & np.isfinite(correct)
    rows = []
    for seed in range(SPLITS):
        first = evaluated & (np.random.default_rng(seed).random(study.n_images) < 0.5)
        second = evaluated & ~first
        usual = 1 - correct[second].mean()
        for row in worst_slices(study, limit=worst, among=first).to_dict("records"):
            in_slice = Slice.parse(row["where"]).mask(study) & second
            n, errors = int(in_slice.sum()), int((correct[in_slice] == 0).sum())
            if n >= FEWEST:
                low = float(wilson(errors, n)[0])
                rows.append((row["error_rate"], errors / n, low > usual))
    halves = pd.DataFrame(rows, columns=["selected", "measured", "holds"])
    print(
        f"\nSelected on a random half of the evaluation images and measured on the other, {SPLITS} seeds, "
        f"{worst} slices each: {100 * halves['selected'].mean():.1f} % became "
        f"{100 * halves['measured'].mean():.1f} %, and {sum(halves['holds'])} of {len(halves)} slices "
        f"hold (with at least {FEWEST} images there)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.fresh_slices", description=__doc__)
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--worst", type=int, default=WORST, help=f"slices of each study (default: {WORST})")
    parser.add_argument("--scenes", type=int, default=SCENES, help=f"of each slice (default: {SCENES})")
    parser.add_argument(
        "--rendered",
        type=int,
        default=MOST_RENDERED,
        help=f"scenes that a study may take (default: {MOST_RENDERED})",
    )
    args = parser.parse_args()
    for path in args.studies:
        study = open_study(path)
        print(f"\n### {study.name}: {args.worst} worst slices\n")
        fresh(study, args.worst, args.scenes, args.rendered)
        halves(study, args.worst)


if __name__ == "__main__":
    main()
