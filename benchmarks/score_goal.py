"""The measurement that prereg_scores.md fixes: `python -m benchmarks.score_goal STUDY [STUDY ...]`.

Prints every score of each study, and whether `combined` reaches the goal. All resamples are of images, the
same for all scores of a study.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.analysis.quality.metrics import auroc
from core.common.dataframes import equals, numbers, where
from core.common.score_names import SCORES
from core.store import Study, open_study

RULE, GOAL, SHARE, FEWEST = "combined", 0.75, 0.60, 4
TUNED = ("demo", "demo-finetuned")  # the rule was chosen with these
RESAMPLES = 1000


@dataclass(frozen=True)
class Measured:
    """The AUROC of each score on the images and on each resample, and what the table of metrics holds."""

    name: str
    metrics: pd.DataFrame  # quality_metrics by score
    draws: dict[str, np.ndarray]  # score -> (RESAMPLES,)
    n: int

    def value(self, score: str) -> float:
        return float(numbers(self.metrics, "auroc")[self.metrics.index.get_loc(score)])

    @property
    def rival(self) -> str:
        """The best other score that needs no labels, by hindsight."""
        free = self.metrics.loc[self.metrics["label_free"].to_numpy(bool)].drop(index=RULE)
        return str(free.index[int(np.nanargmax(numbers(free, "auroc")))])

    def share_of_confidence(self) -> float:
        return (self.value(RULE) - 0.5) / (self.value("confidence") - 0.5)

    def difference(self, other: str) -> str:
        gaps = self.draws[RULE] - self.draws[other]
        low, high = np.nanpercentile(gaps, [2.5, 97.5])
        return f"{self.value(RULE) - self.value(other):+.3f} ({low:+.3f} to {high:+.3f})"


def measure(study: Study, name: str) -> Measured:
    """Resample the evaluation images with a probe result, all scores together."""
    table = study.table("quality")
    table = where(table, equals(table, "split", "val") & np.isfinite(numbers(table, "correct")))
    metrics = study.table("quality_metrics").set_index("score")
    known = set(metrics.index[np.isfinite(numbers(metrics, "auroc"))])
    if RULE not in known:
        raise SystemExit(f"{name}: no AUROC of '{RULE}'. Run: python -m core quality {name} --redo")
    names = [score for score in SCORES if score in known]
    columns, correct = {score: numbers(table, score) for score in names}, numbers(table, "correct")
    draws = {score: np.empty(RESAMPLES) for score in names}
    for number in range(RESAMPLES):
        rows = np.random.default_rng([0, number]).integers(0, len(table), len(table))
        for score, values in columns.items():
            draws[score][number] = auroc(values[rows], correct[rows])
    return Measured(name, metrics, draws, len(table))


def report(found: Measured) -> None:
    first = found.metrics.loc[RULE]
    print(f"\n## {found.name}: {found.n:,} evaluation images, accuracy {first['base_rate_correct']:.3f}\n")
    print(
        "| score | labels | AUROC | within predicted class | AUPRC of errors | AURC |\n"
        "|---|---|---|---|---|---|"
    )
    for row in found.metrics.sort_values("auroc", ascending=False).reset_index().to_dict("records"):
        cells = [
            f"{row[one]:.3f} ({row[f'{one}_low']:.3f} to {row[f'{one}_high']:.3f})"
            for one in ("auroc", "auroc_within", "auprc_error", "aurc")
        ]
        print(f"| {row['score']} | {'no' if row['label_free'] else 'yes'} | {' | '.join(cells)} |")
    rate = first["base_rate_error"]
    print(f"\nBase rate of the AUPRC of errors, and AURC of a random order: {rate:.3f}.")
    print(f"{RULE} - q_score: {found.difference('q_score')}")
    print(f"{RULE} - {found.rival} (best by hindsight): {found.difference(found.rival)}")
    print(f"{RULE} has {100 * found.share_of_confidence():.0f} % of what confidence gains over chance.")


def verdict(found: list[Measured], which: str) -> None:
    """State the mean over encoders with its interval, and whether both parts of the goal hold."""
    if not found:
        print(f"\n{which}: no encoder.")
        return
    means = np.mean([one.draws[RULE] for one in found], 0)
    low, high = np.percentile(means, [2.5, 97.5])
    mean = np.mean([one.value(RULE) for one in found])
    least = min(one.share_of_confidence() for one in found)
    enough = len(found) >= FEWEST
    reached = "reached" if mean >= GOAL and enough else "not reached"
    print(
        f"\n{which}, {len(found)} encoders: mean AUROC of {RULE} {mean:.3f} ({low:.3f} to {high:.3f}). "
        f"Goal (a), at least {GOAL} over at least {FEWEST}: {reached}. "
        f"Goal (b), at least {100 * SHARE:.0f} % of confidence's gain on each: "
        f"{'reached' if least >= SHARE else 'not reached'} (least {100 * least:.0f} %)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score_goal", description=__doc__)
    parser.add_argument("studies", nargs="+", type=Path)
    found = [measure(open_study(path), path.name) for path in parser.parse_args().studies]
    for one in found:
        report(one)
    verdict(found, "All encoders")
    verdict([one for one in found if one.name not in TUNED], "Without those that chose the rule")


if __name__ == "__main__":
    main()
