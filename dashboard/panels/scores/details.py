"""More on the scores, one part at a time: distribution, curves, causes, all numbers, and extreme images."""

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.quality.recommendation import advise
from core.charts import baselines, score_curves, score_pair, sentences
from core.charts.by_cause import BY_CAUSE
from core.charts.cutoff import apply_cutoff
from core.charts.errors_found import ERRORS_FOUND, at_shares
from core.charts.options import FigureOptions
from core.charts.q_distribution import Q_DISTRIBUTION
from core.common.formatting import formatted
from core.common.score_names import score_family, score_label
from core.common.statistics.chance import FEW, outcomes, too_few
from core.common.step_facts import QualityFacts
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.cache import reads, score_reads
from dashboard.cache.chart_reads import chart_table
from dashboard.components import widgets
from dashboard.components.chart import bold, download, show_chart
from dashboard.components.verdict import NOT_JUDGED, verdict
from dashboard.state import session

TILES = 12


@widgets.stable_container
def about(study: Study, population: Slice, score: str) -> None:
    """What the picked score is, and what it is worth on the images of the filter."""
    if worth := score_reads.verdict(study, population, score):
        verdict(worth)
    st.caption(widgets.plain(sentences.describe_score(score)), help=widgets.help_text(score))


@widgets.stable_container
def distribution(study: Study, population: Slice, score: str, threshold: float | None) -> None:
    options = FigureOptions(score=score, cutoff=threshold)
    show_chart(study, Q_DISTRIBUTION, options, among=population, name="score_histogram")


@widgets.stable_container
def errors_found_part(study: Study, population: Slice, score: str, threshold: float) -> None:
    """How many errors looking at the lowest scores finds, and which score is recommended for that."""
    _, values, correct = score_reads.values(study, population, score)
    looked = apply_cutoff(values, correct, threshold).n_flagged
    options = FigureOptions(against=(score,), images=looked)
    show_chart(study, ERRORS_FOUND, options, among=population, title=bold)
    best = score_reads.recommended(study, population)
    is_other = best is not None and best.score != score  # the picked one has its verdict beside the chart
    worth = score_reads.verdict(study, population, best.score) if best and is_other else None
    st.caption(widgets.plain(advise(best, worth)))
    shares = at_shares(chart_table(study, population, ERRORS_FOUND.name, options))
    if len(shares):
        names = {"n_looked": "Images looked at"} | {name: score_label(name) for name in shares.columns[1:]}
        st.dataframe(
            shares.rename(columns=names).round().astype(int),
            hide_index=True,
            alt="Errors found, by images looked at",
        )
    if calibrated := study.facts(QualityFacts).calibration_sentence:
        st.caption(widgets.plain(calibrated))


@widgets.stable_container
def two_scores(study: Study, population: Slice) -> None:
    """Share of errors by distinctiveness and the similarity to train images."""
    held = reads.scores(study)
    lacking = tuple(score_label(name) for name in score_pair.usual_pair(held) if name not in held)
    if lacking:
        widgets.empty_state("Not two scores", nothing("lacking_scores", names=lacking))
        return
    show_chart(study, score_pair.SCORE_PAIR, among=population)


CURVES = {  # part of the page: its name there, and the chart
    "ROC": ("score_roc", score_curves.ROC),
    "Precision-recall": ("score_pr", score_curves.PRECISION_RECALL),
    "Finding errors": ("score_pr_error", score_curves.FINDING_ERRORS),
    "Risk-coverage": ("score_risk", score_curves.RISK_COVERAGE),
}


@widgets.stable_container
def curve(study: Study, population: Slice, plot: str, score: str) -> None:
    options = FigureOptions(score=score, against=tuple(_compared(study, score)))
    name, what = CURVES[plot]
    show_chart(study, what, options, among=population, name=name)


def _compared(study: Study, score: str) -> list[str]:
    labels = {score_label(name): name for name in reads.scores(study) if name != score}
    session.drop_unknown("quality_with", [score_label(score), *labels])
    titles = st.multiselect(
        "Compare with",
        list(labels),
        key="quality_with",
        bind="query-params",
        max_selections=3,
        placeholder="Compare with other scores",
        width=420,
        label_visibility="collapsed",
    )
    return [labels[label] for label in titles]


@widgets.stable_container
def by_cause(study: Study, population: Slice) -> None:
    if reads.slice_table(study, population, "quality_by_cause").empty:
        widgets.empty_state("No causes", nothing("no_cause"))
        return
    show_chart(study, BY_CAUSE, among=population, name="score_causes", title=st.markdown)


@widgets.stable_container
def all_numbers(study: Study, population: Slice, score: str) -> None:
    metrics = score_reads.metrics(study, population, reads.scores(study))
    ranked = baselines.ranked(metrics, "auroc")
    worth = score_reads.verdicts(study, population)
    if ranked.empty:
        widgets.empty_state("No numbers", nothing("left_out", why=next(iter(metrics["note"]), "")))
        return
    st.markdown(widgets.plain(baselines.rank_sentence(metrics, score, "auroc")))
    columns = {
        "Rank": ranked["rank"],
        "Score": [score_label(name) for name in ranked["score"]],
        "Family": [score_family(name) for name in ranked["score"]],
        "Verdict": [worth[name].word or NOT_JUDGED for name in ranked["score"]],
        "Needs a classifier": ~ranked["label_free"].to_numpy(bool),
    }
    for column, heading in (
        ("auroc", "AUROC"),
        ("auroc_within", "AUROC within predicted classes"),
        ("rival_difference", "AUROC minus the best other without labels"),
        ("auprc_correct", "AUPRC (correct)"),
        ("auprc_error", "AUPRC (errors)"),
        ("aurc", "AURC"),
        ("augrc", "AUGRC"),
    ):
        columns[heading] = [
            score_curves.metric_with_interval(row, column) for row in ranked.to_dict("records")
        ]
    columns["AUROC minus Q's"] = [
        score_curves.metric_with_interval(row, "auroc_difference")
        if np.isfinite(row["auroc_difference"])
        else ""
        for row in ranked.to_dict("records")
    ]
    st.dataframe(pd.DataFrame(columns), hide_index=True, alt="Every score with all its metrics and intervals")
    first = ranked.iloc[0]  # of most images
    st.caption(
        f"In brackets: 95 % intervals over {int(first['n']):,} images. Base rates: "
        f"0.500 for AUROC, {first['base_rate_correct']:.3f} for the AUPRC of correct images, "
        f"{first['base_rate_error']:.3f} for that of errors and for AURC, half of that for AUGRC. "
        "Differences are paired: they are over the same images."
    )
    if few := too_few(*outcomes(first.to_dict()), least=FEW):
        st.caption(f"Few errors: with {few}, intervals of differences are rough.")
    download(study, metrics, population, name="quality_numbers")


@widgets.stable_container
def extremes(study: Study, population: Slice, score: str, *, n: int = TILES) -> None:
    """The `n` images with the lowest and with the highest score."""
    rows, values, _ = score_reads.values(study, population, score)
    keep = np.isfinite(values)
    rows, values = rows[keep], values[keep]
    order = np.argsort(values, kind="stable")
    left, right = st.columns(2, gap="large")
    for side, name, places in ((left, "Lowest", order[:n]), (right, "Highest", order[::-1][:n])):
        with side:
            st.markdown(f"**{name} {score_label(score)}**")
            widgets.image_gallery(
                study,
                rows[places],
                key=f"quality_{name.lower()}",
                badges={int(rows[at]): formatted(values[at], ".3g") for at in places},
                tile=96,
                label=f"images with the {name.lower()} {score_label(score)}",
            )
