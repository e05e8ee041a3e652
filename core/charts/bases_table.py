"""The bases of a study side by side: how well their single features stand for known concepts."""

from collections.abc import Mapping

import pandas as pd

from core.bases.basis import UNITS, Basis, latents_table
from core.bases.position_index import grid_of
from core.bases.worth import dictionary_verdicts
from core.common.dataframes import numbers
from core.concepts.concept_features import concept_features, concept_means
from core.concepts.concept_maps import MaskedPositions, concept_maps, map_means
from core.measures.intervals import mean_intervals
from core.store import Study

CONTROL = "random"  # the kind of basis that learned nothing
DIFFERENCES = ("ap", "inverted_ap", "probe_ap", "purity", "coverage")


def bases_table(study: Study, *, maps: bool = True) -> pd.DataFrame:
    """Table of a chart of bases: a row a basis, the encoder's units first, and how well they name concepts.

    Returns:
        basis, kind, on, width, r2, l0, dead, stability; verdict (one of the four words, or ""); n_concepts;
        and of each measure of `concept_means`
        the mean over concepts with the ends of its 95 % interval. Of DIFFERENCES the same of what a concept
        has more than with the units (ap_minus_units, ap_minus_units_low, ...), and than with a random basis
        (ap_minus_random, ...), the first one of the same kind of vectors, if there is any; NaN of a basis
        minus itself. stability_low, stability_high: its interval as a mean over latents that are not dead.
        With `maps`, of bases on positions of a study with masks, the same of maps (`concept_maps`):
        ap_of_maps, ap_of_maps_low, ..., ap_of_maps_minus_random, ...; centre_ap_of_maps of a blob in the
        middle of every image, and ap_minus_centre_of_maps.
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
    of_maps = _map_tables(whole, read) if maps else {}
    worth = dictionary_verdicts(whole, whole.bases)
    rows = []
    for name in names:
        facts = {key: cards[name].get(key) for key in ("r2", "l0", "dead", "stability")}
        width = read[name].array("representations").shape[1]
        row = {"basis": name, "kind": cards[name]["kind"], "on": on[name], "width": width, **facts}
        row["verdict"] = worth[name].word if name in worth else ""
        row |= _stability_ends(whole, read[name].basis)
        means = concept_means(tables[name])
        row["n_concepts"] = int(numbers(means, "n").max())
        row |= _with_ends(means, "")
        against = {"units": UNITS, "random": min(controls, key=lambda one: on[one] != on[name], default=None)}
        for control, other in against.items():
            if other not in (None, name):
                means = concept_means(tables[name], minus=tables[other])
                row |= _with_ends(means.loc[means["measure"].isin(DIFFERENCES)], f"_minus_{control}")
        if name in of_maps:
            row |= _with_ends(map_means(of_maps[name]), "_of_maps")
            if (other := against["random"]) in of_maps and other != name:
                means = map_means(of_maps[name], minus=of_maps[other])
                row |= _with_ends(means.loc[means["measure"].isin(DIFFERENCES)], "_of_maps_minus_random")
        rows.append(row)
    return pd.DataFrame(rows)


def _map_tables(whole: Study, read: Mapping[str, Study]) -> dict[str, pd.DataFrame]:
    """`concept_maps` of the bases on positions, by name."""
    masked: dict[tuple[int, int], MaskedPositions] = {}
    tables = {}
    for name, one in read.items():
        if one.basis is not None and one.basis.card.get("grid") and whole.masks is not None:
            grid = grid_of(one.basis)
            masked[grid] = masked.get(grid) or MaskedPositions(whole, grid)
            if masked[grid].names:
                tables[name] = concept_maps(one, masked[grid])
    return tables


def _stability_ends(whole: Study, basis: Basis | None) -> dict[str, float]:
    if basis is None or basis.card.get("stability") is None:
        return {}
    table = latents_table(whole, basis)
    alive = numbers(table.loc[~table["dead"]], "stability")
    _, low, high, _ = mean_intervals(alive[:, None], within=(0.0, 1.0))
    return {"stability_low": float(low[0]), "stability_high": float(high[0])}


def _with_ends(means: pd.DataFrame, of: str) -> dict[str, float]:
    """Three entries a measure: for `_minus_units` ap_minus_units, ap_minus_units_low, ap_minus_units_high."""
    cells = means[["measure", "mean", "low", "high"]].itertuples(index=False)
    ends = ("", "_low", "_high")
    row = {}
    for measure, *values in cells:
        row |= {f"{measure}{of}{end}": value for end, value in zip(ends, values, strict=True)}
    return row
