"""AUROC by cause of failure: the scores without labels beside Q, and what an older study holds of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.evidence import tables
from core.analysis.quality.label_free.consensus import COMBINED
from core.storage.writer import write_study
from core.store import Study, open_study


def write(folder: Path, scores: tuple[str, ...]) -> Study:
    """A study where score number k has an AUROC of k / 100 for one cause, and no number for the other."""
    numbers = [
        {"cause": cause, "score": score, "n_errors": n, "auroc": k / 100, "low": k / 200, "high": k / 50}
        for cause, n in (("small", 7), ("faded", 5))
        for k, score in enumerate(scores, start=1)
    ]
    table = pd.DataFrame(numbers)
    table.loc[table["cause"] == "faded", ["auroc", "low", "high"]] = float("nan")
    with write_study(folder) as writer, writer.step("embed", {}) as step:
        step.table("quality_by_cause", table)
    return open_study(folder)


def test_by_cause__names_all_scores_of_the_rule():
    assert {"combined", "q_score", "confidence", "pca_residual", *COMBINED} == set(tables.BY_CAUSE)
    assert len(tables.BY_CAUSE) == 10


@pytest.mark.parametrize("shown", [tables.BY_CAUSE, ("q_score", "knn_similarity")], ids=["now", "older"])
def test_causes__a_column_for_each_known_score(tmp_path, shown):
    held = ("hoyer", *reversed(shown))
    header, _, small, faded = tables.causes(write(tmp_path / "study", held))
    ordered = [score for score in tables.BY_CAUSE if score in shown]
    assert header == f"| cause of failure | failures | {' | '.join(ordered)} |"
    cells = {score: 1 + held.index(score) for score in ordered}
    said = [f"{k / 100:.2f} ({k / 200:.2f} to {k / 50:.2f})" for k in cells.values()]
    assert small == f"| small | 7 | {' | '.join(said)} |"
    assert faded == f"| faded | 5 | {' | '.join(['not defined'] * len(ordered))} |"
