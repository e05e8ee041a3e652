"""How mIoU is measured: the threshold, known heatmaps, and how it goes with a score of each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import threshold_sweep
from core.charts.options import FigureOptions
from core.charts.q_against_miou import mask_correlations, q_against_miou
from core.common.dataframes import columns, equals, numbers, where
from core.common.score_names import score_label
from core.figures.cells import CellRequest
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import overlap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import catalogue_chart, chart
from dashboard.components.stable_container import own_place
from dashboard.panels.masks import measure
from dashboard.state import session

MASKS = ("core", "spurious")
CONTROLS = {
    "perfect core": "Exactly the core mask",
    "perfect spurious": "Exactly the spurious mask",
    "core at map resolution": "The core mask, as coarse as the encoder's maps",
    "spurious at map resolution": "The spurious mask, as coarse as the encoder's maps",
    "uniform": "The same everywhere",
    "random": "Random noise",
    "centre": "A blob in the centre",
}
SWEPT = ("paper", "binary")


@own_place
def show(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """The score of each image of the page against its overlap; then what holds for the whole study."""
    with controls:
        variant = measure.choose()
        score = _score(study)
    if score is None:
        widgets.needs(study, "quality", "The table of quality scores")
    else:
        _scatter(study, population, score, variant)
    _controls(study, variant)
    _sweep(study, variant)
    for line in _remarks(reads.summary(study, "overlap")):
        st.caption(widgets.plain(line))


def _remarks(summary: dict[str, Any]) -> list[str]:
    notes = (summary.get("mask_report") or {}).get("notes") or []
    line = "Each image's heatmap is that of its firing discriminative features, "
    line += f"its region what is at least {summary.get('threshold', 0.5):g} of its peak."
    if undefined := summary.get("n_undefined"):
        line += f" {undefined:,} images of the study have no heat or an empty mask and are left out."
    return [line, *[f"Masks: {note}." for note in map(str, notes)]]


def _score(study: Study) -> str | None:
    """The score that is drawn against the overlap; None without any."""
    labels = {score_label(name): name for name in reads.scores(study)}
    if not labels:
        return None
    session.drop_unknown("overlap_score", labels)
    chosen = st.selectbox(
        "Score",
        list(labels),
        key="overlap_score",
        bind="query-params",
        width=190,
        label_visibility="collapsed",
    )
    return labels[chosen]


@own_place
def _scatter(study: Study, population: Slice, score: str, variant: str) -> None:
    label = score_label(score)
    table = overlap_reads.rows(study, population)
    table = table.assign(**{score: reads.images(study)[score].to_numpy(float)[table["row"].to_numpy()]})
    st.subheader(_title(table, score, label, variant))
    chart(
        study,
        "overlap_scatter",
        lambda theme: q_against_miou(table, score=score, variant=variant, theme=theme),
        *(score, variant, population),
        alt=f"{label} of each image against the overlap of its heatmap with its masks",
        data=columns(table, ["image_id", "mask", score, variant, "correct"]),
        on_select=lambda points: session.open_image(study, int(points[-1]["customdata"][0])),
        cell=CellRequest("q_against_miou", FigureOptions(score=score, variant=variant), str(population)),
    )
    st.caption("One point per image; click one to open the image.")


def _title(table: pd.DataFrame, score: str, label: str, variant: str) -> str:
    """What the scatter shows, with the rank correlation on either mask."""
    places = {"core": "object", "spurious": "background"}
    found = mask_correlations(table, score=score, variant=variant)
    parts = [
        f"{rho:.2f} on the {places[mask]}".replace("-", "\N{MINUS SIGN}")
        for mask, rho in found.items()
        if np.isfinite(rho)
    ]
    if not parts:
        return f"{label} and overlap: too few images for a rank correlation"
    return f"{label} and overlap: rank correlation {', '.join(parts)}"


@own_place
def _controls(study: Study, variant: str) -> None:
    """What the chosen measure says of heatmaps whose truth is known."""
    if not study.has("overlap_controls"):
        return
    table = reads.table(study, "overlap_controls")
    table = where(table, equals(table, "variant", variant))
    if table.empty:
        return
    n = int(numbers(table, "n").max(initial=0))
    st.subheader("What the measure says of known heatmaps")
    shown = pd.DataFrame({"Heatmap": list(dict.fromkeys(table["control"]))})
    for mask in MASKS:
        part = where(table, equals(table, "mask", mask)).to_dict("records")
        said = {row["control"]: widgets.interval(row["mean"], row["low"], row["high"]) for row in part}
        shown[f"On the {mask} mask"] = [said.get(name, "") for name in shown["Heatmap"]]
    shown["Heatmap"] = [CONTROLS.get(name, name) for name in shown["Heatmap"]]
    st.dataframe(shown, hide_index=True, alt="Overlap of control heatmaps with the masks")
    st.caption(
        f"Of {n:,} images of the whole study, with made-up heatmaps instead of the encoder's. "
        "A measure can be trusted as far as these come out as they should."
    )


@own_place
def _sweep(study: Study, variant: str) -> None:
    if not widgets.needs(study, "overlap_sweep", "The sweep of the threshold"):
        return
    swept = variant if variant in SWEPT else "paper"
    table = reads.table(study, "overlap_sweep")
    used = study.settings("overlap").get("threshold")
    rows = where(table, equals(table, "variant", swept))
    st.subheader(threshold_sweep.threshold_finding(rows, None if used is None else float(used)))
    catalogue_chart(
        study,
        "threshold_sweep",
        FigureOptions(variant=swept),
        name="overlap_sweep",
        alt="Mean overlap against the threshold from which heat counts",
        data=where(table, equals(table, "variant", swept)),
    )
    line = "Of all images of the study with both masks, whatever the filter."
    if swept != variant:
        line += " The measure chosen above has no threshold; this is the paper's."
    st.caption(line)
