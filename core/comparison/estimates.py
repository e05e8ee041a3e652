"""Accuracy without labels, as `transfer-probe --into` keeps it in studies: for `compare`. No torch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.analysis.probe.accuracy_estimates import TITLES
from core.common.command_line import command_line
from core.common.dataframes import numbers, select
from core.common.formatting import counted, number, percent
from core.comparison.images import Shared
from core.comparison.notes import Note
from core.store import Study

TABLE, STEP = "accuracy_estimates", "accuracy"
COLUMNS = (
    *("study", "source", "n_images", "method", "title", "estimate", "low", "high"),
    *("error_slices", "error_copies", "chosen", "error", "error_assumed", "truth"),
)


def estimate_table(shared: Shared) -> pd.DataFrame:
    """Estimates of accuracy that the studies hold, a row per study and method.

    Returns:
        columns COLUMNS: study; source, the study whose probe it is; n_images it speaks of (all or the
        evaluation images of the study, not only the shared ones); method, title; estimate with low and high;
        error_slices and error_copies, its mean absolute errors in back tests; chosen, whether it was best
        there; error, error_assumed and truth (None where labels do not tell), the same for all its rows.
    """
    parts = [_of_study(name, study) for name, study in zip(shared.names, shared.studies, strict=True)]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _of_study(name: str, study: Study) -> pd.DataFrame:
    if not study.has(TABLE):
        return pd.DataFrame(columns=list(COLUMNS))
    table, about = study.table(TABLE), study.summary(STEP)
    found = table.assign(
        study=name,
        source=about["source_name"],
        n_images=about["n_images"],
        title=[TITLES[method] for method in table["method"]],
        chosen=(table["method"] == about["by"]).to_numpy(bool),
        **{key: about[key] for key in ("error", "error_assumed", "truth")},
    )
    return select(found, list(COLUMNS))


def estimate_sentences(table: pd.DataFrame) -> list[str]:
    """Say what is estimated of each study, in one sentence each."""
    return [_sentence(row) for row in table.to_dict("records") if row["chosen"]]


def _sentence(row: dict) -> str:
    images = counted(int(row["n_images"]), "image")
    said = (
        f"{row['study']}: without labels, the probe of {row['source']} is estimated to be right on "
        f"{percent(row['estimate'])} ({percent(row['low'])} to {percent(row['high'])}) of {images}, by the "
        f"{row['title'].removeprefix('the ')}"
    )
    if row["error"] is not None and np.isfinite(row["error"]):
        said += (
            f", off by {number(100 * row['error'], 1)} points in back tests (assuming the accuracy on "
            f"evaluation images: {number(100 * row['error_assumed'], 1)})"
        )
    known = row["truth"] is not None and np.isfinite(row["truth"])
    return said + (f"; by their labels: {percent(row['truth'])}" if known else "")


def unlabelled_notes(shared: Shared) -> list[Note]:
    """A note on each study whose accuracy nothing tells, and the command that estimates it."""
    return [
        Note(
            f"how many images {name} classifies correctly is not known without labels; the probe of a "
            "labelled study with the same encoder gives an estimate",
            command_line("transfer-probe", "LABELLED", into=study.path),
        )
        for name, study in zip(shared.names, shared.studies, strict=True)
        if not study.has("probe") and not study.has(TABLE) and not study.class_names
    ]


def estimates_by_method(table: pd.DataFrame) -> pd.DataFrame:
    """Return the estimates of all methods in percent and points, for people: a row per study and method."""
    ends = [
        numbers(table, name) * 100 for name in ("estimate", "low", "high", "error_slices", "error_copies")
    ]
    shown = [number_or_dash(values) for values in ends]
    return pd.DataFrame(
        {
            "Study": table["study"],
            "Probe of": table["source"],
            "Method": [
                title[:1].upper() + title[1:] + (" (best in back tests)" if chosen else "")
                for title, chosen in zip(table["title"], table["chosen"], strict=True)
            ],
            "Accuracy, %": [
                f"{value} ({low} to {high})" for value, low, high in zip(*shown[:3], strict=True)
            ],
            "Error on slices, points": shown[3],
            "Error on corrupted copies, points": shown[4],
        }
    )


def number_or_dash(values: np.ndarray) -> list[str]:
    """One digit each; a dash for what is not known."""
    return [f"{value:.1f}" if np.isfinite(value) else "–" for value in values]
