"""Studies in the order of one training: numbers along it, and when the features of the last one appear."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.formatting import percent
from core.common.records import Record, Templates
from core.compare.compare import EVERYTHING, Comparison, compare
from core.compare.features import UNLIKE, features_along
from core.compare.measures import MEASURES
from core.compare.text import amount, columns_text, markdown_table
from core.measures.intervals import leaves_out_0
from core.measures.slice import Slice
from core.store import Study

SHOWN = ("accuracy", "confidence_auroc", "q_auroc", "miou_core", "miou_spurious", "mean_firing")
DISCRIMINATIVE, THERE = "n_discriminative", "features_there"
_say = Templates.beside(__file__)
NOTHING = "Neither accuracies nor features can be compared"
TITLES = {name: MEASURES[name].title for name in SHOWN} | {
    DISCRIMINATIVE: "Features discriminative on train images",
    THERE: "Features of the last one that are there",
}


@dataclass(frozen=True)
class Checkpoints:
    """What changes along a training.

    Attributes:
        comparison: of the studies in their order.
        frame: measure (a name of TITLES), study, value, low, high (95 %, NaN where there is no interval), n,
            by_chance (of features_there, else NaN). Shares are from 0 to 1.
        features: see `features_along`.
    """

    comparison: Comparison
    frame: pd.DataFrame
    features: pd.DataFrame

    @property
    def names(self) -> list[str]:
        return self.comparison.names

    def appearing(self, name: str) -> pd.DataFrame:
        """The features of the last study that appear with a study, most frequent first: feature, n, and the
        columns of `features` of that study."""
        rows = self.features.loc[(self.features["appears"] == name) & (self.features["study"] == name)]
        return rows.sort_values("n", ascending=False, kind="stable").reset_index(drop=True)


def along(
    studies: Sequence[Study], *, among: Slice = EVERYTHING, resamples: int = 1000, seed: int = 0
) -> Checkpoints:
    """Read studies over the same images as checkpoints of one training, in the order that they are given.

    Raises:
        SettingsError, StudyError, SliceError: as `compare`.
    """
    comparison = compare(studies, among=among, resamples=resamples, seed=seed)
    features = features_along(comparison.shared, seed)
    return Checkpoints(comparison, _frame(comparison, features), features)


def _frame(comparison: Comparison, features: pd.DataFrame) -> pd.DataFrame:
    measured = comparison.measures.loc[comparison.measures["measure"].isin(SHOWN)]
    parts = [measured[["measure", "study", "value", "low", "high", "n"]]]
    facts = comparison.facts
    if DISCRIMINATIVE in facts:
        counts = facts.assign(measure=DISCRIMINATIVE, value=numbers(facts, DISCRIMINATIVE))
        parts.append(counts.assign(n=numbers(facts, "n_features"))[["measure", "study", "value", "n"]])
    if len(features):
        there = features.assign(
            value=features["likeness"] >= UNLIKE, by_chance=features["by_chance"] >= UNLIKE
        )
        shares = pd.DataFrame(there.groupby("study", sort=False)[["value", "by_chance"]].mean())
        parts.append(shares.reset_index().assign(measure=THERE, n=len(set(features["feature"]))))
    columns = ["measure", "study", "value", "low", "high", "n", "by_chance"]
    frame = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    frame = frame.astype(dict.fromkeys(["value", "low", "high", "n", "by_chance"], "float64"))
    frame = frame.loc[np.isfinite(frame["value"])]
    order = frame["measure"].map(list(TITLES).index)
    return frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def checkpoints_finding(data: Checkpoints) -> str:
    """Say in one sentence what changed from the first to the last of compared checkpoints."""
    parts: list[Record] = []
    accuracy = data.frame.loc[data.frame["measure"] == "accuracy"].set_index("study")["value"]
    first, last = data.names[0], data.names[-1]
    if {first, last} <= set(accuracy.index):
        change = data.comparison.value("accuracy", last)
        clear = leaves_out_0(change["difference_low"], change["difference_high"])
        kind = "goes" if clear else "goes_by_chance"
        if data.comparison.is_chosen_by_result:
            kind = "goes_unjudged"
        if accuracy[first] == accuracy[last]:
            kind = "stays"
        parts.append(_say(kind, names=(percent(accuracy[first]), percent(accuracy[last]))))
    if len(data.features):
        n = len(set(data.features["feature"]))
        parts.append(_say("there", n=len(data.appearing(first)), of=n, what=last, why=first))
    text = "; ".join(parts) or NOTHING
    return text[:1].upper() + text[1:]


def amounts(data: Checkpoints) -> list[list[str]]:
    """Tabulate compared checkpoints as text: a row per measure, a column per study, with intervals."""
    rows = [["", *data.names]]
    for measure, part in data.frame.groupby("measure", sort=False):
        cells = part.set_index("study")
        rows.append([TITLES[str(measure)], *(_amount(str(measure), cells, name) for name in data.names)])
    if len(data.features):
        rows.append(["Appear here and stay", *(f"{len(data.appearing(name)):,}" for name in data.names)])
    return rows


def _amount(measure: str, cells: pd.DataFrame, name: str) -> str:
    if name not in cells.index:
        return ""
    row = cells.loc[name].to_dict()
    if measure == DISCRIMINATIVE:
        return f"{row['value']:,.0f}"
    if measure == THERE:
        return _say("by_chance", names=(percent(row["value"]), percent(row["by_chance"])))
    return amount(row, MEASURES[measure].unit, MEASURES[measure].digits)


def checkpoints_report(data: Checkpoints) -> dict[str, Any]:
    """Return the numbers and features of compared checkpoints as a JSON-able dict."""
    notes = list(map(str, data.comparison.notes))
    n_judged = int(data.comparison.shared.judged.sum())
    return {
        "studies": data.names,
        "n_judged": n_judged,
        "notes": notes,
        "numbers": data.frame.to_dict("records"),
        "features": data.features.to_dict("records"),
    }


def checkpoints_text(data: Checkpoints, *, as_markdown: bool = False) -> str:
    """Return what `compare --checkpoints` prints, or the same as Markdown."""
    table = "\n".join(markdown_table(amounts(data))) if as_markdown else columns_text(amounts(data))
    notes = [f"{'* ' * as_markdown}note: {note}" for note in data.comparison.notes]
    return "\n".join([*notes, *([""] * bool(notes)), table, "", f"{checkpoints_finding(data)}."])
