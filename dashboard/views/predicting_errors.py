"""Quality: can the Q-Score be trusted here, what does it predict, and do its rivals do better?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import equals, where
from core.common.score_names import score_label
from core.figures import baselines
from core.figures import quality as figures
from core.figures.cutoff import apply_cutoff, cutoff_curve, cutoff_table, threshold_for
from core.figures.options import FigureOptions
from core.figures.sentences import cutoff_sentence
from core.figures.study_charts import score_histogram
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import catalogue_chart, chart
from dashboard.components.stable_container import own_place
from dashboard.panels import trust_check
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

DISTRIBUTION, ROC, PR, PR_ERROR, RISK, CUTOFF = PLOTS = (
    "Distribution",
    "ROC",
    "Precision-recall",
    "Finding errors",
    "Risk-coverage",
    "Cut-off",
)
SHOWN = {"All": None, "Correct": 1.0, "Misclassified": 0.0}
TILES = 12


def page(study: Study) -> None:
    widgets.page_header(
        "Quality", "Does a score of an image's representation tell whether the image will be misclassified?"
    )
    if not widgets.needs(study, "quality", "The table of quality scores"):
        return
    filter_bar(study, says="The filter narrows the evaluation images at the end; the numbers are of all.")
    trust_check.show(study)
    score = _choose(study)
    judged = bool(np.isfinite(reads.evaluation(study, score)[2]).any())
    if judged:
        threshold = _cutoff(study, score)
        _curves(study, score, threshold)
        _rivals(study, score)
        _causes(study)
    else:
        _distribution(study, score, None)
        _why_no_verdicts(study)
    _extremes(study, score, judged)


def _choose(study: Study) -> str:
    """The score that the whole page is about."""
    scores = reads.scores(study)
    labels = {score_label(score): score for score in scores}
    session.drop_unknown("score", labels)
    chosen = st.selectbox(
        "Score",
        list(labels),
        key="score",
        bind="query-params",
        width=340,
        help="Everything below is about this score: Q, or any of its rivals.",
    )
    score = labels[chosen]
    st.caption(widgets.plain(figures.describe_score(score)) + " Numbers are for the evaluation images.")
    return score


def _why_no_verdicts(study: Study) -> None:
    if not study.labelled:
        widgets.empty_state(
            "No ROC, precision-recall, risk-coverage, cut-off and rivals",
            "These images carry no labels, so nobody knows which of them a classifier gets wrong. The scores "
            "above and the galleries below need no labels.",
        )
        return
    if not widgets.needs(study, "probe", "What the scores predict"):
        return
    widgets.empty_state("No verdicts", "The probe has no verdict on the evaluation images.")


@own_place
def _cutoff(study: Study, score: str) -> float:
    """The slider, and what it catches; returns the threshold."""
    rows, values, correct = reads.evaluation(study, score)
    st.subheader("What a cut-off catches")
    percent = st.slider(
        "Flag this share of the images, lowest score first",
        min_value=0,
        max_value=100,
        value=10,
        format="%d %%",
        key="quality_cutoff",
        bind="query-params",
    )
    threshold = threshold_for(values, percent)
    result = apply_cutoff(values, correct, threshold)
    st.markdown(widgets.plain(cutoff_sentence(score, result)))
    if result.n_flagged:
        st.page_link(
            "views/images.py",
            label="Look at the flagged images",
            icon=":material/photo_library:",
            query_params=image_filter.link(
                served_studies.name_of(study), f"split=val {score}=..{_upwards(threshold)}"
            ),
        )
    return threshold


def _upwards(value: float) -> str:
    """Six significant digits that are not below `value`, so that the filter keeps the image at the limit."""
    text = f"{value:.6g}"
    return text if float(text) >= value else f"{value + abs(value) * 1e-5:.6g}"


@own_place
def _curves(study: Study, score: str, threshold: float) -> None:
    session.drop_unknown("quality_plot", PLOTS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        plot = st.segmented_control(
            "Chart", PLOTS, default=DISTRIBUTION, required=True, key="quality_plot", bind="query-params"
        )
        others = _compared(study, score) if plot in (ROC, PR, PR_ERROR, RISK) else []
    if plot == DISTRIBUTION:
        _distribution(study, score, threshold)
    elif plot == CUTOFF:
        _cutoff_chart(study, score, threshold)
    elif widgets.needs(study, "quality_curves", "This curve"):
        _curve(study, plot or ROC, [score, *others])


def _compared(study: Study, score: str) -> list[str]:
    labels = {score_label(name): name for name in reads.scores(study) if name != score}
    session.drop_unknown("quality_with", [score_label(score), *labels])
    chosen = st.multiselect(
        "Compare with",
        list(labels),
        key="quality_with",
        bind="query-params",
        max_selections=3,
        placeholder="Other scores",
        width=420,
    )
    return [labels[label] for label in chosen]


def _distribution(study: Study, score: str, threshold: float | None) -> None:
    _, values, correct = reads.evaluation(study, score)
    catalogue_chart(
        study,
        "q_distribution",
        FigureOptions(score=score, cutoff=threshold),
        name="quality_distribution",
        alt=f"Distribution of {score_label(score)} over the evaluation images",
        data=score_histogram(values, correct, score),
    )


def _cutoff_chart(study: Study, score: str, threshold: float) -> None:
    _, values, correct = reads.evaluation(study, score)
    table = cutoff_table(values, correct)
    flagged = apply_cutoff(values, correct, threshold).flagged
    chart(
        study,
        "quality_cutoff_chart",
        lambda theme: cutoff_curve(table, flagged=flagged, theme=theme),
        score,
        threshold,
        alt=f"Share of errors caught against share of images flagged by {score_label(score)}",
        data=table,
    )


CURVES = {  # figure of the catalogue, and rows of the table `quality_curves`
    ROC: ("roc", "roc"),
    PR: ("precision_recall", "pr"),
    PR_ERROR: ("finding_errors", "pr_error"),
    RISK: ("risk_coverage", "risk"),
}


def _curve(study: Study, plot: str, scores: list[str]) -> None:
    curves, (entry, kind) = reads.table(study, "quality_curves"), CURVES[plot]
    drawn = equals(curves, "curve", kind) & np.isin(curves["score"].to_numpy(object), scores)
    catalogue_chart(
        study,
        entry,
        FigureOptions(score=scores[0], against=tuple(scores[1:])),
        name=f"quality_{kind}",
        alt=f"{plot} of {', '.join(score_label(score) for score in scores)}",
        data=where(curves, drawn),
    )


@own_place
def _rivals(study: Study, score: str) -> None:
    st.subheader("The Q-Score and its rivals")
    if not widgets.needs(study, "quality_metrics", "The comparison"):
        return
    metrics = reads.table(study, "quality_metrics")
    titles = {metric.title: metric.column for metric in baselines.METRICS.values()}
    session.drop_unknown("quality_metric", titles)
    chosen = st.selectbox("Measured by", list(titles), key="quality_metric", bind="query-params", width=420)
    metric = titles[chosen]
    st.markdown(widgets.plain(baselines.rank_sentence(metrics, score, metric)))
    catalogue_chart(
        study,
        "rivals",
        FigureOptions(score=score, metric=metric),
        name="quality_rivals",
        alt=f"{chosen} of every score with its 95 % interval",
        data=metrics,
    )
    with st.expander("All numbers", icon=":material/table:"):
        _table(baselines.ranked(metrics, metric))


def _table(ranked: pd.DataFrame) -> None:
    shown = {
        "Rank": ranked["rank"],
        "Score": [score_label(name) for name in ranked["score"]],
        "Needs labels": ~ranked["label_free"].to_numpy(bool),
    }
    for column, title in (
        ("auroc", "AUROC"),
        ("auprc_correct", "AUPRC (correct)"),
        ("auprc_error", "AUPRC (errors)"),
        ("aurc", "AURC"),
    ):
        shown[title] = [figures.metric_with_interval(row, column) for row in ranked.to_dict("records")]
    st.dataframe(pd.DataFrame(shown), hide_index=True, alt="Every score with all its metrics and intervals")
    if not len(ranked):
        return
    first = ranked.iloc[0]
    st.caption(
        f"In brackets: 95 % bootstrap intervals over {int(first['n']):,} evaluation images. Base rates: "
        f"0.500 for AUROC, {first['base_rate_correct']:.3f} for the AUPRC of correct images, "
        f"{first['base_rate_error']:.3f} for that of errors and for AURC."
    )


@own_place
def _causes(study: Study) -> None:
    if not study.has("quality_by_cause"):
        return
    st.subheader("For which failures a score works")
    st.caption(
        "These images come with the cause of their difficulty. Each cell is the AUROC between the failures "
        "of one cause and the correct images: 0.5 is guessing, below 0.5 points the wrong way."
    )
    catalogue_chart(
        study,
        "by_cause",
        name="quality_causes",
        alt="AUROC of each score by cause of failure",
        data=reads.table(study, "quality_by_cause"),
    )


def _extremes(study: Study, score: str, judged: bool) -> None:
    """The images with the lowest and the highest score."""
    st.subheader(f"Lowest and highest {score_label(score)}")
    group = "All"
    if judged:
        session.drop_unknown("quality_shown", SHOWN)
        group = st.segmented_control(
            "Among", list(SHOWN), default="All", required=True, key="quality_shown", bind="query-params"
        )
    rows, values, correct = reads.evaluation(study, score)
    keep = np.isfinite(values) & reads.mask(study, image_filter.current(study))[rows]
    if SHOWN.get(group or "All") is not None:
        keep &= correct == SHOWN[group]
    rows, values = rows[keep], values[keep]
    order = np.argsort(values, kind="stable")
    left, right = st.columns(2, gap="large")
    for side, name, chosen in ((left, "Lowest", order[:TILES]), (right, "Highest", order[::-1][:TILES])):
        with side:
            st.markdown(f"**{name}**")
            widgets.image_gallery(
                study,
                rows[chosen],
                key=f"quality_{name.lower()}",
                badges={int(rows[at]): f"{values[at]:.3g}" for at in chosen},
                tile=96,
                label=f"images with the {name.lower()} {score_label(score)}",
            )


page(session.current_study())
