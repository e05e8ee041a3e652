"""The bases of a study side by side: how well their single features stand for known concepts."""

from __future__ import annotations

import pandas as pd

from core.bases.basis import UNITS
from core.common.dataframes import numbers
from core.measures.concept_features import concept_features, concept_means
from core.store import Study


def bases_table(study: Study) -> pd.DataFrame:
    """One row a basis, the units of the encoder first: what it is, and how well its features name concepts.

    Returns:
        basis, kind, on, width, r2, l0, dead, stability; n_concepts; and of each measure of `concept_means`
        the mean over concepts with the ends of its 95 % interval.
    Raises:
        StudyError: no concepts are known.
    """
    whole, rows = study.in_basis(UNITS), []
    for name in (UNITS, *whole.bases):
        read = whole.in_basis(name)
        card = read.basis.card if read.basis else {"kind": UNITS, "on": "pooled"}
        facts = {key: card.get(key) for key in ("r2", "l0", "dead", "stability")}
        width = read.array("representations").shape[1]
        row = {"basis": name, "kind": card["kind"], "on": card.get("on", "pooled"), "width": width, **facts}
        means = concept_means(concept_features(read))
        row["n_concepts"] = int(numbers(means, "n").max())
        for measure, mean, low, high in means[["measure", "mean", "low", "high"]].itertuples(index=False):
            row |= {measure: mean, f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)
