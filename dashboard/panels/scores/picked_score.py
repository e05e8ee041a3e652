"""The picked score: a cut-off, what it catches in three numbers, and the images that it flags."""

from dataclasses import replace

import numpy as np
import streamlit as st

from core.charts.cutoff import CutoffResult, apply_cutoff, reachable_percent, threshold_for, tie_sentence
from core.common.score_names import score_label
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads, score_reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_one
from dashboard.components.page_link import link
from dashboard.state import session

Q = "q_score"
SCORE, CUTOFF = "score", "quality_cutoff"  # widget keys and parts of the URL
ASKED, SET = "_cutoff_asked", "_cutoff_set"  # of this session: what the reader chose, what the thumb shows
USUAL_PERCENT = 10
TILES = 8


def choose_score(study: Study) -> str:
    """Draw the selector of the score that the page is about, and one click to the Q-Score and back."""
    labels = {score_label(score): score for score in reads.scores(study)}
    first = score_reads.picked_first(study)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        label = select_one("Score", labels, key=SCORE, default=score_label(first))
        score = labels[label]
        other = first if score == Q else Q
        with st.container(width="content"):  # keeps its place, as in `stable_container`
            if other in labels.values() and other != score:
                name = score_label(other)
                st.button(name, key="score_other", on_click=pick, args=(other,), help=f"Show {name} instead")
    return score


def pick(score: str) -> None:
    """Choose a score. Meant for callbacks."""
    session.set_widget(SCORE, score_label(score))


@widgets.stable_container
def cutoff(study: Study, population: Slice, score: str) -> float:
    """The slider and what it catches among the images with a known outcome; returns the threshold."""
    rows, values, correct = score_reads.values(study, population, score)
    judged = np.isfinite(correct)
    rows, values, correct = rows[judged], values[judged], correct[judged]
    percent = _slider(values)
    threshold = threshold_for(values, percent)
    result = apply_cutoff(values, correct, threshold)
    if tie := tie_sentence(values, threshold) if percent else "":
        st.caption(tie)
    _numbers(result)
    _strip(study, population, rows, values, score, threshold, every=bool(judged.all()))
    return threshold


def _numbers(result: CutoffResult) -> None:
    """Three big numbers, each with what chance would give or what it is a share of."""
    n, errors = result.n_images, result.n_errors
    of_all = f"{result.flagged:.1f} % of {n:,}" if n else ""
    error_rate = f"{100 * errors / n:.1f} % of all" if n else ""
    of_errors = f"{result.n_caught:,} of {errors:,}" if errors else "there are no errors"
    lines = (
        ("Looked at", f"{result.n_flagged:,}", "flagged", of_all),
        ("Are errors", _percent(result.precision), "flagged_errors", error_rate),
        ("Errors found", _percent(result.caught), "caught", of_errors),
    )
    with st.container(key="quality_numbers"):
        for column, (label, value, explain, detail) in zip(st.columns(3), lines, strict=True):
            with column, st.container(gap=None):
                st.metric(label, value, help=widgets.help_text(explain))
                st.caption(detail)


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0f} %"


def _slider(values: np.ndarray) -> int:
    """How many images to flag, in percent. What equal scores do not allow moves on to the next share; what
    the reader asked for is kept for another score.
    """
    now = session.recall(CUTOFF)
    asked = session.recall(ASKED) if now is not None and now == session.recall(SET) else now
    if asked is None and session.url_text(CUTOFF) is None:
        asked = USUAL_PERCENT
    if asked is not None and (reachable := reachable_percent(values, int(asked))) != now:
        session.set_widget(CUTOFF, reachable)
    percent = st.slider(
        "Look at the lowest", 0, 100, USUAL_PERCENT, format="%d %%", key=CUTOFF, bind="query-params"
    )
    session.set_widget(ASKED, percent if asked is None else asked)
    session.set_widget(SET, percent)
    return percent


def _strip(
    study: Study,
    population: Slice,
    rows: np.ndarray,
    values: np.ndarray,
    score: str,
    threshold: float,
    *,
    every: bool,
) -> None:
    """The images looked at, lowest score first, and the way to all of them; every: no outcome is unknown."""
    flagged = np.flatnonzero(values <= threshold)
    if not flagged.size:
        st.caption("No image is looked at.")
        return
    order = flagged[np.argsort(values[flagged], kind="stable")]
    widgets.image_gallery(
        study,
        rows[order],
        key="quality_flagged",
        captions=widgets.truth_then_answer,
        page_size=TILES,
        columns=4,
        label="images looked at, lowest score first",
    )
    link(
        "images",
        "All these images" if every else "All images up to this score, also without a known outcome",
        study,
        icon="photo_library",
        where=_looked_at(population, score, threshold),
    )


def _looked_at(population: Slice, score: str, threshold: float) -> Slice:
    """The images of a population up to a threshold; what it asks of the score itself still holds."""
    if score in population.extras:  # single values, such as n_firing=2,3
        values = tuple(one for one in population.extras[score] if float(one) <= threshold)
        return replace(population, extras={**population.extras, score: values})
    low, high = population.ranges.get(score, (-np.inf, np.inf))
    return replace(population, ranges={**population.ranges, score: (low, min(high, _upwards(threshold)))})


def _upwards(value: float) -> float:
    """Six significant digits that are not below `value`, so that the filter keeps the image at the limit."""
    rounded = float(f"{value:.6g}")
    return rounded if rounded >= value else float(f"{value + abs(value) * 1e-5:.6g}")
