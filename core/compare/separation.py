"""Separation of correct from misclassified images by each score, in each of several studies. No torch."""

from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.records import Templates
from core.common.score_names import score_label
from core.compare.images import Shared
from core.measures.design_effect import groups_among
from core.measures.evaluate import result_column
from core.measures.intervals import auroc_interval

SEPARATED = {  # score -> the measure that is its AUROC, where there is one
    "q_score": "q_auroc",
    "combined": "combined_auroc",
    "distinctiveness": "distinctiveness_auroc",
    "confidence": "confidence_auroc",
}
_say = Templates.beside(__file__)
COLUMNS = ["study", "score", "n_correct", "n_misclassified", "auroc", "low", "high"]


def separation_table(shared: Shared, measures: pd.DataFrame) -> pd.DataFrame:
    """Compute the AUROC of each score of SEPARATED, correct above misclassified, on the evaluation images.

    An AUROC that `measures` holds is taken from there, so that both always agree; others have the same
    kind of interval (`auroc_interval`).

    Returns:
        study, score, n_correct, n_misclassified, auroc, low, high (NaN where undefined).
    """
    rows = []
    for name, study, places in zip(shared.names, shared.studies, shared.rows[:, shared.judged], strict=True):
        if not study.has("probe"):
            continue
        columns = study.columns("quality") if study.has("quality") else []
        correct = result_column(study, "correct")[places]
        for score, measure in SEPARATED.items():
            if score not in columns:
                continue
            values = result_column(study, score)[places]
            groups = [int((np.isfinite(values) & (correct == side)).sum()) for side in (1, 0)]
            measured = measures.loc[(measures["measure"] == measure) & (measures["study"] == name)]
            judged = np.isfinite(correct)
            groups_held = groups_among(study.groups, places[judged])
            auroc = auroc_interval(values[judged], correct[judged] == 1, groups_held)[:3]
            rows.append([name, score, *groups, *(_ends(measured) if len(measured) else auroc)])
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _ends(measure: pd.DataFrame) -> tuple[float, float, float]:
    value, low, high = (float(numbers(measure, name)[0]) for name in ("value", "low", "high"))
    return value, low, high


def side_of(row: dict[str, Any]) -> str:
    """Return on which images, correct or misclassified, a score is higher in a compared study; or ""."""
    if not np.isfinite([row["auroc"], row["low"], row["high"]]).all():
        return ""
    return "correct" if row["low"] > 0.5 else "misclassified" if row["high"] < 0.5 else "neither"


def separation_sentence(table: pd.DataFrame, score: str) -> str:
    """State on which images a score is higher in each study, with the AUROC that says so; no full stop.

    Args:
        table: from `separation_table`.
    """
    label = score_label(score)
    rows = table.loc[table["score"] == score].to_dict("records")
    sides = {row["study"]: side_of(row) for row in rows}
    decided = [row for row in rows if sides[row["study"]]]
    if not decided:
        groups = {kind: sum(row[f"n_{kind}"] for row in rows) for kind in ("correct", "misclassified")}
        there = [kind for kind, n in groups.items() if n]
        if not there:
            return _say("no_images", what=label)
        return _say("too_few" if len(there) > 1 else "one_group", what=label, why=there[0])
    first = sides[decided[0]["study"]]
    if all(sides[row["study"]] == first for row in decided):
        aurocs = tuple(_say("auroc", what=row["study"], value=row["auroc"]) for row in decided)
        return _say(ALL_ALIKE[first], what=label, parts=aurocs)
    parts = [_say(OF_ONE[sides[row["study"]]], what=row["study"], value=row["auroc"]) for row in decided]
    return _say("each", what=label, parts=tuple(parts))


# Kinds of sentences by `side_of`.
ALL_ALIKE = {"correct": "higher", "misclassified": "lower", "neither": "level"}
OF_ONE = {"correct": "higher_in", "misclassified": "lower_in", "neither": "level_in"}


def scores_of(table: pd.DataFrame) -> list[str]:
    """Return the scores of which compared studies tell how they separate, in the order of SEPARATED."""
    return [score for score in SEPARATED if score in set(table["score"])]
