"""Scores that predict errors: the picked one with its cut-off, more on all, and the trust check."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.recommendation import CONFIDENCE, advise
from core.analysis.trust_check import headline_of_all
from core.charts import baselines, score_curves, score_pair, sentences
from core.charts.causes import BY_CAUSE
from core.charts.errors_found import (
    ERRORS_FOUND,
    CutoffResult,
    apply_cutoff,
    at_shares,
    reachable_percent,
    threshold_for,
    tie_sentence,
)
from core.charts.options import FigureOptions
from core.charts.q_distribution import Q_DISTRIBUTION
from core.common.formatting import formatted
from core.common.score_names import score_family, score_label
from core.common.step_facts import QualityFacts
from core.common.verdict_words import Verdict
from core.measures.chance import FEW, outcomes, too_few
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import reads, score_reads
from dashboard.cache.chart_reads import chart_table
from dashboard.components import widgets
from dashboard.components.chart import bold, download, show_chart
from dashboard.components.choose_one import select_one
from dashboard.components.page_link import link
from dashboard.components.widgets import NOT_JUDGED, verdict
from dashboard.state import session

# The picked score: a cut-off, what it catches in three numbers, and the images that it flags.


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
        values = tuple(extra for extra in population.extras[score] if float(extra) <= threshold)
        return replace(population, extras={**population.extras, score: values})
    low, high = population.ranges.get(score, (-np.inf, np.inf))
    return replace(population, ranges={**population.ranges, score: (low, min(high, _upwards(threshold)))})


def _upwards(value: float) -> float:
    """Six significant digits that are not below `value`, so that the filter keeps the image at the limit."""
    rounded = float(f"{value:.6g}")
    return rounded if rounded >= value else float(f"{value + abs(value) * 1e-5:.6g}")


# More on the scores, one part at a time: distribution, curves, causes, all numbers, and extreme images.


DETAIL_TILES = 12


@widgets.stable_container
def about_scores(study: Study, population: Slice, score: str) -> None:
    """What the picked score is, and what it is worth on the images of the filter."""
    if worth := score_reads.verdict(study, population, score):
        verdict(worth)
    if score == CONFIDENCE and (calibrated := score_reads.confidence_sentence(study, population)):
        st.markdown(widgets.plain(calibrated))
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
    scores = reads.scores(study)
    lacking = tuple(score_label(name) for name in score_pair.usual_pair(scores) if name not in scores)
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


# By titles, what decides first: the last columns are not drawn where the page is too narrow.
METRICS = {"AUROC": "auroc", "AUPRC (errors)": "auprc_error", "AUGRC": "augrc"}
FURTHER_METRICS = {
    "AURC": "aurc",
    "AUPRC (correct)": "auprc_correct",
    "AUROC within predicted classes": "auroc_within",
    "AUROC minus the best other without labels": "rival_difference",
    "AUROC minus Q's": "auroc_difference",
}


@widgets.stable_container
def all_numbers(study: Study, population: Slice, score: str) -> None:
    metrics = score_reads.metrics(study, population, reads.scores(study))
    ranked = baselines.ranked(metrics, "auroc")
    worth = score_reads.verdicts(study, population)
    if ranked.empty:
        widgets.empty_state("No numbers", nothing("left_out", why=next(iter(metrics["note"]), "")))
        return
    st.markdown(widgets.plain(baselines.rank_sentence(metrics, score, "auroc")))
    _table_of_scores(ranked, worth)
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


def _table_of_scores(ranked: pd.DataFrame, worth: Mapping[str, Verdict]) -> None:
    rows, as_text = ranked.to_dict("records"), st.column_config.TextColumn
    described = {
        "Rank": st.column_config.NumberColumn(width=50),
        "Score": as_text(width=150),
        "Verdict": as_text(width=80, help=widgets.help_text("verdict")),
        **dict.fromkeys(METRICS, as_text(width=144)),
        "Classifier": st.column_config.CheckboxColumn(width=84, help="Whether it needs a classifier."),
        **dict.fromkeys(FURTHER_METRICS, as_text(width=144)),
        "Family": as_text(width=170),
    }
    cells = {
        "Rank": ranked["rank"],
        "Score": [score_label(name) for name in ranked["score"]],
        "Verdict": [worth[name].word or NOT_JUDGED for name in ranked["score"]],
        "Classifier": ~ranked["label_free"].to_numpy(bool),
        "Family": [score_family(name) for name in ranked["score"]],
    }
    for title, name in (METRICS | FURTHER_METRICS).items():
        texts = (score_curves.metric_with_interval(row, name) for row in rows)
        cells[title] = [
            "" if widgets.undefined(row[name]) else text for row, text in zip(rows, texts, strict=True)
        ]
    table = pd.DataFrame({title: cells[title] for title in described})
    widgets.fitted_table(table, described, alt="Every score with all its metrics and intervals")


@widgets.stable_container
def extremes(study: Study, population: Slice, score: str, *, n: int = DETAIL_TILES) -> None:
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
                badges={int(rows[at]): formatted(float(values[at]), ".3g") for at in places},
                tile=96,
                label=f"images with the {name.lower()} {score_label(score)}",
            )


# The trust check (docs/method.md 2.5): what the Q-Score is worth for this study, and on what evidence.


def trust_checks(study: Study) -> None:
    """The verdict first, then the facts beside it, then those of the whole representation."""
    facts = headline_of_all(study)
    with st.container(border=True):
        if trust := reads.trust_check(study):
            verdict(trust.verdict)
        _cards(_decisive(facts), key="premise_evidence")
        st.caption("Other facts about this encoder (they do not decide the verdict):")
        _cards(_facts(facts), key="premise_facts")
        for note in reads.feature_notes(study):
            st.caption(widgets.plain(note))
        with st.expander("The whole representation in numbers", icon=":material/analytics:"):
            _cards(_whole(study, facts), key="premise_whole")


def _cards(cards: list[tuple[str, str, str, str]], *, key: str) -> None:
    with st.container(horizontal=True, gap="small", key=key):
        for label, value, explain, detail in cards:
            if value != "not defined":
                widgets.metric(label, value, explain=explain, detail=detail)


def _decisive(facts: QualityFacts) -> list[tuple[str, str, str, str]]:
    """Label, value, explanation and second line of the AUROC, whose interval alone decides."""
    low, high = facts.q_auroc_interval or (np.nan, np.nan)
    around = widgets.interval(facts.q_auroc or np.nan, low, high).partition("(")[2].rstrip(")")
    auroc = widgets.number(facts.q_auroc)
    return [("Q-Score AUROC", auroc, "q_auroc", f"{around}; guessing: 0.500")]


def _facts(facts: QualityFacts) -> list[tuple[str, str, str, str]]:
    """Label, value, explanation and second line of each fact beside the verdict."""
    rank = "not defined" if facts.q_rank is None else f"{facts.q_rank} of {facts.n_scores}"
    return [
        ("Rank of Q by AUROC", rank, "q_rank", "among all scores"),
        ("Near zero", widgets.percent(facts.near_zero_share), "near_zero", "of all entries"),
        ("Negative", widgets.percent(facts.negative_share), "negative", "of all entries"),
        ("Firing features", widgets.number(facts.mean_firing, digits=1), "mean_firing", "an image"),
        (
            "Images with Q above 0",
            widgets.percent(facts.share_nonempty),
            "n_firing_discriminative",
            "a discriminative feature fires",
        ),
    ]


def _whole(study: Study, facts: QualityFacts) -> list[tuple[str, str, str, str]]:
    n_features = len(reads.table(study, "features", ("feature",))) if study.has("features") else 0
    of_all = f"of at most {n_features:,}" if n_features else ""
    return [
        ("RankMe", widgets.number(facts.rankme, digits=1), "rankme", of_all),
        ("alpha-ReQ", widgets.number(facts.alpha_req, digits=2), "alpha_req", "best near 1"),
        ("Dead features", widgets.percent(facts.dead_share), "dead", "0 on every train image"),
        ("Mean confidence", widgets.percent(facts.mean_confidence), "confidence", "evaluation images"),
    ]
