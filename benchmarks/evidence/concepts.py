"""How good the words of a Glyphworld study are, as Markdown: `python -m benchmarks.evidence.concepts STUDY`.

FALCON, its ablations, whole-image scoring and random words against the planted truth
(docs/method.md 6.11, 8). The tables stay in the study, as the step `evaluation`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.evidence.concept_evaluation import SHARES, compute_evaluation
from core.common.dataframes import numbers
from core.config import as_settings
from core.jobs.progress import Progress
from core.steps import settings_of
from core.storage.writer import write_study
from core.store import Study, open_study

INPUTS = ("representations", "images", "concepts")


def evaluate(folder: Path) -> Study:
    """Run the evaluation with the settings that the study's concepts were made with."""
    study = open_study(folder)
    config = settings_of("concepts", study.settings("concepts"))
    with (
        Progress.for_command(folder, stages_total=1) as progress,
        write_study(folder) as writer,
        writer.step("evaluation", as_settings(config), INPUTS) as step,
    ):
        compute_evaluation(study, step, config, progress=progress)
    return open_study(folder)


MEASURED = ("precision", "recall_true", "recall_pooled")


def scores(study: Study, share: float) -> Iterator[str]:
    """Precision, recall of all true words and pooled recall at K, a word being related when it is true of
    `share` of the feature's images."""
    table = study.table("concept_scores")
    table = table.loc[numbers(table, "share") == share].reset_index(drop=True)
    ranks = sorted(set(table["k"]))
    heads = " | ".join(f"K = {k}" for k in ranks)
    yield f"| precision / recall of all true words / pooled recall, share {share:g} | {heads} |"
    yield "|---|" + "---|" * len(ranks)
    for method, rows in table.groupby("method", sort=False):
        by_rank = rows.set_index("k")
        cells = [" / ".join(f"{by_rank.at[k, name]:.3f}" for name in MEASURED) for k in ranks]
        yield f"| {method} | {' | '.join(cells)} |"


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        study = evaluate(folder)
        summary = study.summary("evaluation")
        print(f"## {study.name}: {summary['n_groups']} features\n")
        for share in SHARES:
            print("\n".join(scores(study, share)), end="\n\n")
        print(
            f"planted cues: {summary['n_cues']}, of which {summary['n_cues_driving']} drive a feature, "
            f"and {summary['n_cues_found']} of these are among its words"
        )


if __name__ == "__main__":
    main()
