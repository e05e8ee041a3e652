"""Predicting errors: which score tells which images are misclassified, and what a cut-off on it catches."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.figures import baselines
from core.figures.cells import CellRequest
from core.figures.options import FigureOptions
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses.pages import PAGES
from dashboard.cache import reads, score_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.stable_container import own_place
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.scores import details, picked_score, trust_check
from dashboard.state import session

DISTRIBUTION, CUTOFF, PAIR, CAUSE, NUMBERS, IMAGES, TRUST = (
    "Distribution",
    "Cut-off",
    "Two scores",
    "By cause",
    "Numbers",
    "Images",
    "Trust",
)
PLOTS = (DISTRIBUTION, *details.CURVES, CUTOFF, PAIR, CAUSE, NUMBERS, IMAGES, TRUST)
WITHOUT_VERDICTS = (DISTRIBUTION, IMAGES, TRUST)


def page(study: Study) -> None:
    widgets.page_header(PAGES["predicting_errors"].title, PAGES["predicting_errors"].question)
    if not widgets.needs(study, "quality", "The table of quality scores"):
        return
    population = filter_bar(study)
    about = st.container()
    aurocs = score_reads.aurocs(study, population)
    judged = bool((aurocs["n"] > 0).any())
    left, right = st.columns([11, 9], gap="large")
    with right:
        pick, slider = st.columns(2, vertical_alignment="bottom")
        with pick:
            score = picked_score.choose(study)
        with about:
            details.about(study, score)
        threshold = picked_score.cutoff(study, population, score, slider) if judged else None
    with left:
        if judged:
            _scores(study, population, score)
        else:
            _why_not_judged(study, population)
    _parts(study, population, score, threshold)


@own_place
def _scores(study: Study, population: Slice, score: str) -> None:
    """AUROC of every score; a click picks one."""
    aurocs = score_reads.aurocs(study, population)
    if not np.isfinite(aurocs["auroc"]).any():
        why = str(aurocs["note"].iloc[0])
        widgets.empty_state("No AUROC", f"{why[:1].upper()}{why[1:]}, so there is nothing to predict.")
        return
    st.markdown(f"**{widgets.plain(baselines.finding(aurocs))}**")

    if calibrated := reads.summary(study, "quality").get("calibration_sentence"):
        st.caption(widgets.plain(calibrated))

    def clicked(points: list[dict]) -> None:
        picked_score.pick(str(points[-1]["customdata"][0]))

    chart(
        study,
        "quality_rivals",
        lambda theme: baselines.rivals(aurocs, selected=score, marked="q_score", theme=theme),
        *(population, score),
        alt="AUROC of every score with its 95 % interval",
        data=aurocs,
        on_select=clicked,
        cell=CellRequest("rivals", FigureOptions(score=score), str(population)),
    )


def _why_not_judged(study: Study, population: Slice) -> None:
    if not study.labelled:
        widgets.empty_state(
            "Nothing is judged",
            "These images carry no labels, so nobody knows which of them a classifier gets wrong. "
            "The scores need no labels: see their distribution and their extreme images.",
        )
    elif widgets.needs(study, "probe", "What the scores predict"):
        notes = [note for note in score_reads.aurocs(study, population)["note"] if note]
        why = notes[0] if notes else "the probe has no verdict on these images"
        widgets.empty_state("Nothing is judged", f"{why[:1].upper()}{why[1:]}.")


@own_place
def _parts(study: Study, population: Slice, score: str, threshold: float | None) -> None:
    """One part at a time."""
    plots = PLOTS if threshold is not None else WITHOUT_VERDICTS
    session.drop_unknown("quality_plot", PLOTS)
    plot = st.segmented_control(
        "Part", plots, default=DISTRIBUTION, required=True, key="quality_plot", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if plot in details.CURVES:
        details.curve(study, population, str(plot), score)
    elif plot == CUTOFF and threshold is not None:
        details.cut_off(study, population, score, threshold)
    elif plot == PAIR:
        details.two_scores(study, population)
    elif plot == CAUSE:
        details.by_cause(study, population)
    elif plot == NUMBERS:
        details.all_numbers(study, population, score)
    elif plot == IMAGES:
        details.extremes(study, population, score, judged=threshold is not None)
    elif plot == TRUST:
        if session.filter_text():
            st.caption("Of all evaluation images, whatever the filter.")
        trust_check.show(study)
    else:
        details.distribution(study, population, score, threshold)


page(session.current_study())
