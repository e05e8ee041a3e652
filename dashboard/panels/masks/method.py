"""How mIoU is measured: the threshold, known heatmaps, and how it goes with a score of each image."""

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts.options import FigureOptions
from core.charts.overlap_rows import VARIANTS
from core.charts.q_against_miou import Q_AGAINST_MIOU
from core.charts.threshold_sweep import SWEPT, THRESHOLD_SWEEP
from core.common.dataframes import numbers
from core.common.step_facts import OverlapFacts
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart
from dashboard.components.choose_one import select_one
from dashboard.state import session

MASKS = ("core", "spurious")
Q_SCORE = "q_score"
CONTROLS = {
    "perfect core": "Exactly the core mask",
    "perfect spurious": "Exactly the spurious mask",
    "core at map resolution": "The core mask, as coarse as the encoder's maps",
    "spurious at map resolution": "The spurious mask, as coarse as the encoder's maps",
    "uniform": "The same everywhere",
    "random": "Random noise",
    "centre": "A blob in the centre",
}


@widgets.stable_container
def overlap_method(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """The Q-Score of each image of the page against its overlap; then what holds for the whole study."""
    with controls:
        variant = choose_variant()
    if scores := reads.scores(study):
        _scatter(study, population, Q_SCORE if Q_SCORE in scores else scores[0], variant)
    else:
        widgets.needs(study, "quality", "The table of quality scores")
    _controls(study, variant)
    _sweep(study, variant)
    for line in _remarks(study.facts(OverlapFacts)):
        st.caption(widgets.plain(line))


def _remarks(facts: OverlapFacts) -> list[str]:
    line = "Each image's heatmap is that of its firing discriminative features, "
    line += f"its region what is at least {facts.threshold:g} of its peak."
    if facts.n_undefined:
        line += f" {facts.n_undefined:,} images of the study have no heat or an empty mask and are left out."
    return [line, *[f"Masks: {note}." for note in facts.mask_report.notes]]


@widgets.stable_container
def _scatter(study: Study, population: Slice, score: str, variant: str) -> None:
    options = FigureOptions(score=score, variant=variant)

    def clicked(points: list[dict]) -> None:
        session.open_image(study, int(points[-1]["customdata"][0]))

    show_chart(
        study,
        Q_AGAINST_MIOU,
        options,
        among=population,
        name="overlap_scatter",
        title=st.header,
        on_select=clicked,
    )
    st.caption("One point per image; click one to open the image.")


@widgets.stable_container
def _controls(study: Study, variant: str) -> None:
    """What the chosen measure says of heatmaps whose truth is known."""
    if not study.has("overlap_controls"):
        return
    table = reads.table(study, "overlap_controls")
    table = table.loc[table["variant"] == variant].reset_index(drop=True)
    if table.empty:
        return
    n = int(numbers(table, "n").max(initial=0))
    st.header("What the measure says of known heatmaps")
    columns = pd.DataFrame({"Heatmap": list(dict.fromkeys(table["control"]))})
    for mask in MASKS:
        part = table.loc[table["mask"] == mask].to_dict("records")
        intervals = {row["control"]: widgets.interval(row["mean"], row["low"], row["high"]) for row in part}
        columns[f"On the {mask} mask"] = [intervals.get(name, "") for name in columns["Heatmap"]]
    columns["Heatmap"] = [CONTROLS.get(name, name) for name in columns["Heatmap"]]
    st.dataframe(columns, hide_index=True, alt="Overlap of control heatmaps with the masks")
    st.caption(
        f"Of {n:,} images of the whole study, with made-up heatmaps instead of the encoder's. "
        "A measure can be trusted as far as these come out as they should."
    )


@widgets.stable_container
def _sweep(study: Study, variant: str) -> None:
    if not widgets.needs(study, "overlap_sweep", "The sweep of the threshold"):
        return
    if not np.isfinite(numbers(reads.table(study, "overlap_sweep"), "mean")).any():
        return  # no image has both masks
    options = FigureOptions(variant=variant if variant in SWEPT else "paper")
    show_chart(study, THRESHOLD_SWEEP, options, name="overlap_sweep", title=st.header)
    line = "Of all images of the study with both masks, whatever the filter."
    if options.variant != variant:
        line += " The measure chosen above has no threshold; this is the paper's."
    st.caption(line)


def choose_variant() -> str:
    """Draw the choice; return a key of VARIANTS."""
    titles = {title: name for name, title in VARIANTS.items()}
    return titles[select_one("Measured by", titles, key="overlap_variant", width=290)]
