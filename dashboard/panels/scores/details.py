"""More on the scores, one part at a time: distribution, curves, causes, all numbers, and extreme images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.quality.label_free.consensus import weights_sentence
from core.charts import baselines, q_distribution, score_curves, score_pair, sentences
from core.charts.by_cause import by_cause as cause_cells
from core.charts.cutoff import apply_cutoff, cutoff_curve, cutoff_table
from core.charts.options import FigureOptions
from core.charts.sentences import cutoff_sentence
from core.common.dataframes import equals, where
from core.common.score_names import SCORES, score_label
from core.common.statistics.chance import FEW, outcomes, too_few
from core.figures.cells import CellRequest
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads, score_reads
from dashboard.components import widgets
from dashboard.components.chart import chart, download
from dashboard.components.choose_one import choose_one
from dashboard.components.stable_container import own_place
from dashboard.state import session

SHOWN = {"All": None, "Correct": 1.0, "Misclassified": 0.0}
TILES = 12
HEIGHT = 380  # pixels of the distribution
IMAGES_OF = {"val": "evaluation images", "train": "train images"}


@own_place
def about(study: Study, score: str) -> None:
    """What the picked score is; of the combined one, how much each of its parts weighs."""
    line = widgets.plain(sentences.describe_score(score))
    weights = reads.summary(study, "quality").get("combined_weights", {}).get("val")
    if score == "combined" and weights:
        ordered = sorted(weights.items(), key=lambda pair: -pair[1])
        shares = ", ".join(f"{score_label(name)} {weight:.2f}".replace("-", "−") for name, weight in ordered)
        line += f" Weights: {widgets.plain(shares)}. {widgets.plain(weights_sentence(weights))}"
    st.caption(line, help=widgets.help_text(score))


@own_place
def distribution(study: Study, population: Slice, score: str, threshold: float | None) -> None:
    _, values, correct = score_reads.values(study, population, score)
    zero = q_distribution.zero_mass(values, correct) if SCORES[score].zero_means else None
    whole = SCORES[score].whole_number
    histogram = q_distribution.score_histogram(values, correct, whole=whole, drop_zero=zero is not None)
    st.markdown(f"**{widgets.plain(q_distribution.distribution_finding(values, correct, score))}**")
    chart(
        study,
        "score_histogram",
        lambda theme: q_distribution.score_distribution(
            histogram, score=score, zero=zero, cutoff=threshold, theme=theme, height=HEIGHT
        ),
        *(population, score, threshold),
        alt=f"Distribution of {score_label(score)} over the images",
        data=histogram,
        cell=CellRequest("q_distribution", FigureOptions(score=score, cutoff=threshold), str(population)),
    )


@own_place
def cut_off(study: Study, population: Slice, score: str, threshold: float) -> None:
    _, values, correct = score_reads.values(study, population, score)
    table = cutoff_table(values, correct)
    result = apply_cutoff(values, correct, threshold)
    what = IMAGES_OF.get(population.split or "", "images")
    st.markdown(widgets.plain(cutoff_sentence(score, result, what=what)))
    chart(
        study,
        "score_cutoff",
        lambda theme: cutoff_curve(table, flagged=result.flagged, theme=theme),
        *(population, score, threshold),
        alt=f"Share of errors caught against share of images flagged by {score_label(score)}",
        data=table,
    )


@own_place
def two_scores(study: Study, population: Slice) -> None:
    """Share of errors by distinctiveness and the similarity to train images."""
    lacking = [score_label(name) for name in score_pair.PAIR if name not in reads.scores(study)]
    if lacking:
        what = f"This study does not hold {' and '.join(lacking)} of its images."
        steps = "Run the steps Neighbours and Quality scores again to have both."
        widgets.empty_state("Not two scores", f"{what} {steps}")
        return
    table = score_reads.pair(study, population, score_pair.PAIR)
    st.markdown(f"**{widgets.plain(score_pair.pair_finding(table))}**")
    chart(
        study,
        "score_pair",
        lambda theme: score_pair.pair_heat(table, theme=theme),
        population,
        alt=f"Share of errors by {' and '.join(map(score_label, score_pair.PAIR))}",
        data=table,
        cell=CellRequest("score_pair", where=str(population)),
    )


CURVES = {  # name of the chart: kind of curve, drawing function
    "ROC": ("roc", score_curves.roc),
    "Precision-recall": ("pr", score_curves.precision_recall),
    "Finding errors": (
        "pr_error",
        lambda *tables, theme: score_curves.precision_recall(*tables, positive="error", theme=theme),
    ),
    "Risk-coverage": ("risk", score_curves.risk_coverage),
}
ENTRIES = {  # of the catalogue, by kind of curve
    "roc": "roc",
    "pr": "precision_recall",
    "pr_error": "finding_errors",
    "risk": "risk_coverage",
}


@own_place
def curve(study: Study, population: Slice, plot: str, score: str) -> None:
    kind, draw = CURVES[plot]
    scores = [score, *_compared(study, score)]
    options = FigureOptions(score=score, against=tuple(scores[1:]))
    curves = score_reads.curves(study, population, tuple(scores))
    metrics = score_reads.metrics(study, population, tuple(scores))
    st.markdown(f"**{widgets.plain(score_curves.curve_finding(metrics, score, kind))}**")
    chart(
        study,
        f"score_{kind}",
        lambda theme: draw(curves, metrics, scores, theme=theme),
        *(population, plot, tuple(scores)),
        alt=f"{plot} of {', '.join(score_label(one) for one in scores)}",
        data=where(curves, equals(curves, "curve", kind)),
        cell=CellRequest(ENTRIES[kind], options, str(population)),
    )


def _compared(study: Study, score: str) -> list[str]:
    labels = {score_label(name): name for name in reads.scores(study) if name != score}
    session.drop_unknown("quality_with", [score_label(score), *labels])
    chosen = st.multiselect(
        "Compare with",
        list(labels),
        key="quality_with",
        bind="query-params",
        max_selections=3,
        placeholder="Compare with other scores",
        width=420,
        label_visibility="collapsed",
    )
    return [labels[label] for label in chosen]


@own_place
def by_cause(study: Study, population: Slice) -> None:
    table = reads.slice_table(study, population, "quality_by_cause")
    if table.empty:
        widgets.empty_state(
            "No causes",
            "These images do not record what makes them hard, or too few are misclassified or correct.",
        )
        return
    best = table.loc[table["auroc"].idxmax()]
    st.markdown(
        widgets.plain(
            f"AUROC between the errors of one cause and the correct images. Highest: "
            f"{score_label(str(best['score']))} on {best['cause']} ({best['auroc']:.2f})."
        )
    )
    chart(
        study,
        "score_causes",
        lambda theme: cause_cells(table, theme=theme),
        population,
        alt="AUROC of each score by cause of failure",
        data=table,
        cell=CellRequest("by_cause", where=str(population)),
    )


@own_place
def all_numbers(study: Study, population: Slice, score: str) -> None:
    titles = {metric.title: metric.column for metric in baselines.METRICS.values()}
    session.drop_unknown("quality_metric", titles)
    chosen = st.selectbox(
        "Order by", list(titles), key="quality_metric", bind="query-params", width=420,
        label_visibility="collapsed",
    )  # fmt: skip
    metrics = score_reads.metrics(study, population, reads.scores(study))
    ranked = baselines.ranked(metrics, titles[chosen])
    if ranked.empty:
        widgets.empty_state("No numbers", next(iter(metrics["note"]), ""))
        return
    st.markdown(widgets.plain(baselines.rank_sentence(metrics, score, titles[chosen])))
    shown = {
        "Rank": ranked["rank"],
        "Score": [score_label(name) for name in ranked["score"]],
        "Needs a classifier": ~ranked["label_free"].to_numpy(bool),
    }
    for column, title in (
        ("auroc", "AUROC"),
        ("auroc_within", "AUROC within predicted classes"),
        ("rival_difference", "AUROC minus the best other without labels"),
        ("auprc_correct", "AUPRC (correct)"),
        ("auprc_error", "AUPRC (errors)"),
        ("aurc", "AURC"),
        ("augrc", "AUGRC"),
    ):
        shown[title] = [score_curves.metric_with_interval(row, column) for row in ranked.to_dict("records")]
    shown["AUROC minus Q's"] = [
        score_curves.metric_with_interval(row, "auroc_difference")
        if np.isfinite(row["auroc_difference"])
        else ""
        for row in ranked.to_dict("records")
    ]
    st.dataframe(pd.DataFrame(shown), hide_index=True, alt="Every score with all its metrics and intervals")
    first = ranked.iloc[0]
    st.caption(
        f"In brackets: 95 % intervals over {int(first['n']):,} images. Base rates: "
        f"0.500 for AUROC, {first['base_rate_correct']:.3f} for the AUPRC of correct images, "
        f"{first['base_rate_error']:.3f} for that of errors and for AURC, half of that for AUGRC. "
        "Differences are paired: they are over the same images."
    )
    if few := too_few(*outcomes(first.to_dict()), least=FEW):
        st.caption(f"Few errors: with {few}, intervals of differences are rough.")
    download(study, metrics, population, name="quality_numbers")


@own_place
def extremes(study: Study, population: Slice, score: str, *, judged: bool) -> None:
    """The images with the lowest and the highest score."""
    group = "All"
    if judged:
        group = choose_one("Among", SHOWN, key="quality_shown", default="All")
    rows, values, correct = score_reads.values(study, population, score)
    keep = np.isfinite(values)
    if SHOWN[group] is not None:
        keep &= correct == SHOWN[group]
    rows, values = rows[keep], values[keep]
    order = np.argsort(values, kind="stable")
    left, right = st.columns(2, gap="large")
    for side, name, chosen in ((left, "Lowest", order[:TILES]), (right, "Highest", order[::-1][:TILES])):
        with side:
            st.markdown(f"**{name} {score_label(score)}**")
            widgets.image_gallery(
                study,
                rows[chosen],
                key=f"quality_{name.lower()}",
                badges={int(rows[at]): f"{values[at]:.3g}" for at in chosen},
                tile=96,
                label=f"images with the {name.lower()} {score_label(score)}",
            )
