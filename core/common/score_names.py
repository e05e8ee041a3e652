"""Display names of the quality scores, the same in every figure, table and sentence."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Score:
    """The name and explanation of a column of the `quality` table."""

    column: str
    label: str
    meaning: str
    label_free: bool = True
    whole_number: bool = False
    zero_means: str = ""  # meaning of a score of exactly 0, as opposed to small scores


SCORES: dict[str, Score] = {
    score.column: score
    for score in (
        Score(
            "q_score",
            "Q-Score",
            "how far the firing discriminative features rise above the image's mean activation",
            zero_means="no discriminative feature fires",
        ),
        Score(
            "q_all_features",
            "Q over all firing features",
            "the same excess over every firing feature, discriminative or not",
            zero_means="no feature fires",
        ),
        Score(
            "n_firing", "Number of firing features", "how many features fire on the image", whole_number=True
        ),
        Score(
            "n_firing_discriminative",
            "Number of firing discriminative features",
            "how many discriminative features fire on the image",
            whole_number=True,
        ),
        Score("norm", "Raw norm", "length of the image's raw representation"),
        Score("max_activation", "Largest activation", "largest value of the normalised representation"),
        Score("hoyer", "Hoyer sparsity", "0 = all features equally active, 1 = a single feature active"),
        Score(
            "knn_similarity", "Similarity to training images", "mean cosine to the 10 nearest training images"
        ),
        Score(
            "confidence",
            "Probe confidence",
            "largest class probability of the linear probe",
            label_free=False,
        ),
        Score("margin", "Probe margin", "gap between the probe's two top classes", label_free=False),
        Score("energy", "Probe energy", "log-sum-exp of the probe's logits", label_free=False),
    )
}


def score_label(column: str) -> str:
    """Return the score's display name; an unknown column keeps its own name."""
    score = SCORES.get(column)
    return score.label if score else column.replace("_", " ")


def available_scores(quality: pd.DataFrame) -> list[str]:
    """List the score columns of `quality` that hold at least one number, in the order of SCORES."""
    return [column for column in SCORES if column in quality and bool(quality[column].notna().any())]
