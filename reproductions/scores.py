"""Scores without labels as predictors of errors, and their consensus by the rule of prereg_scores.md.

python -m reproductions.scores [STUDY ...]

The rule, `combined`, is computed here only: it left the workbench, since it missed its goal and is below
chance on supervised encoders. Without studies, those of the embedded encoders are made: `demo` with three
poolings, and its fine-tuning. The stored table: two cores, from 5 minutes a study to hours of training
(docs/RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.common.dataframes import numbers
from core.common.score_names import SCORES, available_scores
from core.measures.intervals import auroc_difference, auroc_interval
from core.measures.metrics import auroc
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress
from reproductions import common

NAME = "scores"
RULE, CONFIDENCE, Q = "combined", "confidence", "q_score"
PARTS = ("distinctiveness", "raw_distinctiveness", "soft_q", "norm", "whitened_norm", "knn_similarity")
STEPS = ("embed", "features", "neighbours", "probe", "quality")
EMBEDDED = {
    "demo": {"encoder": "asset:simclr_glyphworld", "pool": "gap"},
    "demo-finetuned": {"encoder": "asset:simclr_q_glyphworld", "pool": "gap"},
    "max": {"encoder": "asset:simclr_glyphworld", "pool": "max"},
    "top4": {"encoder": "asset:simclr_glyphworld", "pool": "top4"},
}
SMOKE_IMAGES = "glyphworld?train=100&val=100"


def build(folder: Path, options: dict[str, Any]) -> Study:
    """Make a study as far as the scores need it, or the steps that it lacks."""
    with Progress.for_command(folder, stages_total=len(STEPS)) as progress:
        for step in STEPS:
            run_step(step, folder, {"epsilon": "auto", "workers": 0} | options, progress)
    return Study(folder)


def combined(table: pd.DataFrame) -> np.ndarray:
    """Combine six scores of the images of one split by the first principal component of their ranks.

    w = first principal component of the centred ranks, with the sign that makes its entries add up to more
    than 0; combined = ranks w. A score that is not defined for all images is left out.

    Returns:
        (n_images,) float64, higher is better.
    """
    used = [name for name in PARTS if np.isfinite(numbers(table, name)).all()]
    ranks = table[used].rank().to_numpy(float)
    ranks = ranks - ranks.mean(0)
    axis = np.linalg.eigh(ranks.T @ ranks).eigenvectors[:, -1]
    return ranks @ axis * np.sign(axis.sum())


def evaluation_images(study: Study) -> pd.DataFrame:
    """Return the scores of the evaluation images whose correctness is known, with the consensus."""
    table = study.table("quality")
    judged = (table["split"] == "val").to_numpy(bool) & np.isfinite(numbers(table, "correct"))
    table = table.loc[judged].reset_index(drop=True)
    return table.assign(**{RULE: combined(table)})


def free_scores(table: pd.DataFrame) -> list[str]:
    """List the scores that need no label and are known of all images."""
    known = [name for name in available_scores(table) if np.isfinite(numbers(table, name)).all()]
    return [name for name in known if SCORES[name].label_free]


def study_row(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Measure how well the consensus, Q, the best single score and confidence predict errors."""
    correct = numbers(table, "correct")
    rule, low, high, _ = auroc_interval(numbers(table, RULE), correct)
    gap, gap_low, gap_high = auroc_difference(numbers(table, RULE), numbers(table, Q), correct)
    single = {score: auroc(numbers(table, score), correct) for score in free_scores(table) if score != RULE}
    best = max(single, key=single.__getitem__)
    confidence = auroc(numbers(table, CONFIDENCE), correct)
    measures = {
        "top1": correct.mean(),
        "combined": rule,
        "combined_low": low,
        "combined_high": high,
        "minus_q": gap,
        "minus_q_low": gap_low,
        "minus_q_high": gap_high,
        "best_auroc": single[best],
        "q_score": single[Q],
        "confidence": confidence,
        "share_of_gain": (rule - 0.5) / (confidence - 0.5),
    }
    return {"encoder": name, "best": best} | {key: round(float(value), 3) for key, value in measures.items()}


def rows(args: Any, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a study."""
    folder = common.output_folder(args) / "studies" / NAME
    if not args.studies:
        images = SMOKE_IMAGES if smoke else "glyphworld"
        for name in list(EMBEDDED)[:1] if smoke else EMBEDDED:
            study = build(folder / name, {"images": images} | EMBEDDED[name])
            yield study_row(name, evaluation_images(study))
    for path in args.studies:
        yield study_row(path.name, evaluation_images(Study(path)))


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the AUROC of the consensus, of the best single score, of Q and of confidence by encoder."""
    figure = go.Figure()
    for column, title in {"combined": "combined", "best_auroc": "best single score, by hindsight"}.items():
        figure.add_bar(x=table["encoder"], y=table[column], name=title)
    for column in (Q, CONFIDENCE):
        figure.add_scatter(x=table["encoder"], y=table[column], name=SCORES[column].label, mode="markers")
    figure.add_hline(y=0.5, line_dash="dot")
    return figure.update_layout(yaxis_title="AUROC of correct images", yaxis_range=[0.35, 1.0])


def main(argv: Sequence[str] | None = None) -> None:
    """Make studies, measure and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument("studies", type=Path, nargs="*", metavar="STUDY")
    args = parser.parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
