"""Predicting errors: how many errors are found among the images with the lowest scores, and what each score
is worth.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from core.charts.baselines import BASELINES, RankedScores
from core.charts.options import FigureOptions
from core.common.score_names import SCORES
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import image_filter, reads, score_reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart
from dashboard.components.choose_one import pick_one
from dashboard.panels import scores
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import session
from dashboard.state.pages import PAGES

Q = "q_score"
FEW = 3  # images with the lowest and with the highest score, beside a part
ROW = 18  # pixels of a score in the chart, so that all of them and what is picked fit on a screen
PART = "quality_plot"  # part of the URL
GROUP, MEMBER = "quality_group", "quality_member"  # widget keys
FOUND, CHART, NUMBERS, DISTRIBUTION, CAUSE, PAIR, IMAGES, TRUST = (
    "Errors found",
    "Chart",
    "Numbers",
    "Distribution",
    "By cause",
    "Two scores",
    "Images",
    "Trust",
)
GROUPS: dict[str, tuple[str, ...]] = {
    "Errors found": (FOUND,),
    "Scores": (CHART, NUMBERS),
    "Distribution": (DISTRIBUTION,),
    "Curves": ("ROC", "Precision-recall", "Finding errors", "Risk-coverage"),
    "When it works": (CAUSE, PAIR),
    "Images": (IMAGES,),
    "Verdict on Q": (TRUST,),
}
WITHOUT_VERDICTS = {name: GROUPS[name] for name in ("Distribution", "Images", "Verdict on Q")}
WIDE = (NUMBERS, CAUSE, IMAGES)  # need the width of the page


def predicting_errors_page(study: Study, population: Slice) -> None:
    widgets.page_header(PAGES["predicting_errors"].title, PAGES["predicting_errors"].question)
    if not widgets.needs(study, "quality", "The table of quality scores"):
        return
    filter_bar(study, population)
    aurocs = score_reads.aurocs(study, population)
    judged = bool((aurocs["n"] > 0).any())
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="quality_controls"):
        part = choose_part(judged=judged)
    if part == TRUST:  # of Q and all evaluation images, whatever score is picked
        _why_nothing(study, population, aurocs, judged)
        _trust(study)
        return
    with st.container(horizontal=True, gap="large", key="quality_row"):
        part_slot = st.container(key=f"quality_{'wide' if part in WIDE else 'narrow'}")
        with st.container(key="quality_picked"):
            score = scores.choose_score(study)
            scores.about_scores(study, population, score)
            threshold = scores.cutoff(study, population, score) if judged else None
            if not judged and part != IMAGES:
                scores.extremes(study, population, score, n=FEW)
    with part_slot:
        _why_nothing(study, population, aurocs, judged)
        _part(study, population, part, score, threshold)


@widgets.stable_container
def _why_nothing(study: Study, population: Slice, aurocs: pd.DataFrame, judged: bool) -> None:
    """Why no score has an AUROC here, whatever part is shown."""
    if judged and not np.isfinite(aurocs["auroc"]).any():
        why = str(aurocs["note"].iloc[0])
        widgets.empty_state("No AUROC", nothing("nothing_to_predict", why=why))
    elif not judged and not study.labelled:
        widgets.empty_state("No known outcomes", nothing("no_labels"))
        st.caption("The scores need no labels: see their distribution and their extreme images.")
    elif not judged and widgets.needs(study, "probe", "What the scores predict"):
        notes = [note for note in score_reads.aurocs(study, population)["note"] if note]
        why = nothing("left_out", why=notes[0]) if notes else nothing("no_verdict")
        why = why if study.is_val.any() else reads.NONE_HELD_OUT
        widgets.empty_state("No known outcomes", why)


@widgets.stable_container
def _part(study: Study, population: Slice, part: str, score: str, threshold: float | None) -> None:
    if part == FOUND and threshold is not None:
        scores.errors_found_part(study, population, score, threshold)
    elif part == CHART:
        _scores(study, population, score)
    elif part in scores.CURVES:
        scores.curve(study, population, part, score)
    elif part == PAIR:
        scores.two_scores(study, population)
    elif part == CAUSE:
        scores.by_cause(study, population)
    elif part == NUMBERS:
        scores.all_numbers(study, population, score)
    elif part == IMAGES:
        scores.extremes(study, population, score)
    else:
        scores.distribution(study, population, score, threshold)


@widgets.stable_container
def _trust(study: Study) -> None:
    if session.filter_text():
        st.caption("Of all evaluation images, whatever the filter.")
    scores.trust_checks(study)


@widgets.stable_container
def _scores(study: Study, population: Slice, score: str) -> None:
    """AUROC of every score; a click picks one."""
    aurocs = score_reads.aurocs(study, population)
    if not np.isfinite(aurocs["auroc"]).any():
        return

    def clicked(points: list[dict]) -> None:
        scores.pick(str(points[-1]["customdata"][0]))

    show_chart(
        study,
        BASELINES,
        FigureOptions(score=score),
        among=population,
        name="score_aurocs",
        shown=RankedScores(aurocs, score, Q, ROW),
        on_select=clicked,
    )
    if score != Q and Q in reads.scores(study):
        st.caption(f"Shaded, {SCORES[Q].label}: {SCORES[Q].meaning}.", help=widgets.help_text(Q))


def choose_part(*, judged: bool) -> str:
    """Draw the choice and return the part; the first one where the address names none that is there."""
    groups = GROUPS if judged else WITHOUT_VERDICTS
    part = _asked(groups)
    group = next(name for name, members in groups.items() if part in members)

    st.segmented_control(
        "Part",
        list(groups),
        default=group,
        required=True,
        label_visibility="collapsed",
        **session.show_in_widget(GROUP, group, lambda name: _show(groups, groups[name][0])),
    )
    with st.container(width="content"):  # keeps its place, as in `stable_container`
        if len(groups[group]) > 1:
            _member(groups, group, part)
    return part


def _member(groups: Mapping[str, tuple[str, ...]], group: str, part: str) -> None:
    members = groups[group]
    key = f"{MEMBER}_{list(groups).index(group)}"  # another widget for each group, with options of its own
    pick_one(f"Part of {group}", members, part, key=key, on_pick=partial(_show, groups), width=170)


def _asked(groups: Mapping[str, tuple[str, ...]]) -> str:
    """The part that the address names; one that is not there is dropped, with a note if none has the name."""
    all_parts = [part for members in groups.values() for part in members]
    asked = session.url_text(PART)
    if asked is None or asked in all_parts:
        return asked or all_parts[0]
    session.drop_unknown(PART, [part for members in GROUPS.values() for part in members])
    session.set_url(PART, None)
    return all_parts[0]


def _show(groups: Mapping[str, tuple[str, ...]], part: str) -> None:
    first = next(iter(groups.values()))[0]
    session.set_url(PART, None if part == first else part)


predicting_errors_page(session.current_study(), image_filter.population())
