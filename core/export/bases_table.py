"""The bases of a study side by side: how well their single features stand for known concepts."""

from __future__ import annotations

import pandas as pd

from core.bases.basis import UNITS
from core.common.dataframes import numbers
from core.measures.concept_features import concept_features, concept_means
from core.store import Study

CONTROL = "random"  # the kind of basis that learned nothing
DIFFERENCES = ("ap", "inverted_ap", "probe_ap", "purity", "coverage")


def bases_table(study: Study) -> pd.DataFrame:
    """One row a basis, the units of the encoder first: what it is, and how well its features name concepts.

    Returns:
        basis, kind, on, width, r2, l0, dead, stability; n_concepts; and of each measure of `concept_means`
        the mean over concepts with the ends of its 95 % interval. Of DIFFERENCES the same of what a concept
        has more than with the units (ap_minus_units, ap_minus_units_low, ...), and than with a random basis
        (ap_minus_random, ...), the first one of the same kind of vectors, if there is any; NaN of a basis
        minus itself.
    Raises:
        StudyError: no concepts are known.
    """
    whole = study.in_basis(UNITS)
    names = (UNITS, *whole.bases)
    read = {name: whole.in_basis(name) for name in names}
    tables = {name: concept_features(one) for name, one in read.items()}
    cards = {name: one.basis.card if one.basis else {"kind": UNITS} for name, one in read.items()}
    on = {name: card.get("on", "pooled") for name, card in cards.items()}
    controls = [name for name in names if cards[name]["kind"] == CONTROL]
    rows = []
    for name in names:
        facts = {key: cards[name].get(key) for key in ("r2", "l0", "dead", "stability")}
        width = read[name].array("representations").shape[1]
        row = {"basis": name, "kind": cards[name]["kind"], "on": on[name], "width": width, **facts}
        means = concept_means(tables[name])
        row["n_concepts"] = int(numbers(means, "n").max())
        row |= _with_ends(means, "")
        against = {"units": UNITS, "random": min(controls, key=lambda one: on[one] != on[name], default=None)}
        for control, other in against.items():
            if other not in (None, name):
                means = concept_means(tables[name], minus=tables[other])
                row |= _with_ends(means.loc[means["measure"].isin(DIFFERENCES)], f"_minus_{control}")
        rows.append(row)
    return pd.DataFrame(rows)


def _with_ends(means: pd.DataFrame, of: str) -> dict[str, float]:
    """Three entries a measure: for `_minus_units` ap_minus_units, ap_minus_units_low, ap_minus_units_high."""
    cells = means[["measure", "mean", "low", "high"]].itertuples(index=False)
    return {
        f"{measure}{of}{end}": value
        for measure, *values in cells
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
