"""The numbers of the view Compare, of two studies or of two answers of one."""

import html

import numpy as np
import streamlit as st

from core.charts.compared_studies import (
    COMPARED_CLASSES,
    COMPARED_SCORES,
    ClassChanges,
    ComparedScores,
    score_table,
)
from core.charts.options import FigureOptions
from core.common.dataframes import numbers
from core.common.formatting import UNDEFINED, full_sentence
from core.compare.answers import mcnemar_text
from core.compare.compare import Comparison
from core.compare.measures import AUROCS, MEASURES
from core.compare.notes import why_unjudged
from core.compare.separation import scores_of, separation_sentence
from core.compare.text import STAR, amount, headline_rows, numbers_table
from core.compare.verdict import (
    BETTER,
    CHANGED,
    SAME,
    UNCLEAR,
    UNKNOWN,
    WORSE,
    change_of,
    changed_sentence,
    judged_changes,
    judged_line,
    unjudged_changes,
    unjudged_line,
    verdict_sentence,
)
from core.measures.slice import Slice
from core.store import Study
from core.study.commands import AddAnswer
from core.study.missing import nothing
from core.study.write_access import guest_is_asking
from dashboard.cache import comparison_reads, feature_reads, reads
from dashboard.components import tooltips, widgets
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import choose_one, select_one
from dashboard.components.job_follower import start_button, why_not
from dashboard.panels import compared_pictures

# The numbers of the view Compare: headline cards, the table, distributions, change by class.


ALL_BELOW = "Each measure stands under All numbers, below."
HELP = {
    "accuracy": "accuracy",
    "q_correct": "q_score",
    "q_misclassified": "q_score",
    "q_gap": "q_gap",
    "q_auroc": "q_auroc",
    "q_auprc": "auprc",
    "base_rate": "accuracy",
    "q_auprc_gain": "q_auprc_gain",
    "confidence_auroc": "confidence",
    "mean_firing": "mean_firing",
    "mean_firing_discriminative": "n_firing_discriminative",
    "share_scored": "share_scored",
    "confidence": "confidence",
    "miou_core": "miou",
    "miou_spurious": "miou",
    "n_discriminative": "discriminative",
    "n_explainable": "explainable",
    "n_interpretable_features": "interpretable",
    "n_concepts": "n_concepts",
}
MARKS = {
    BETTER: ":green[▲ better:]",
    WORSE: ":orange[▼ worse:]",
    CHANGED: "◆ changed:",
    UNCLEAR: ":gray[◆ could be chance:]",
    SAME: ":gray[◆ the same in both:]",
    UNKNOWN: "",
}
CARDS = ("accuracy", "confidence_auroc", "q_auroc", "miou_core", "confidence")  # the first that are there
MOST_CARDS = 4
SCORES = {
    "Q-Score": "q_score",
    "Combined score": "combined",
    "Distinctiveness": "distinctiveness",
    "Confidence": "confidence",
}


def cards(comparison: Comparison, other: str) -> None:
    """The headline numbers of both studies, each with its change."""
    offered = CARDS if comparison.pair is None else CARDS[:2]
    in_other = [name for name in offered if comparison.value(name, other)]
    in_both = [name for name in in_other if np.isfinite(change_of(comparison, name, other).difference)]
    card_names = in_both[:MOST_CARDS]
    for name, column in zip(card_names, st.columns(max(len(card_names), 1)), strict=False):
        measure, change = MEASURES[name], change_of(comparison, name, other)
        before, after = (
            amount({**comparison.value(name, study), "low": np.nan}, measure.unit, measure.digits)
            for study in (comparison.names[0], other)
        )
        if name in AUROCS and (why := _why_unjudged(comparison, other)):
            with column:
                widgets.metric(measure.title, UNDEFINED, explain=HELP[name], detail=widgets.plain(why))
            continue
        with column:
            widgets.metric(
                measure.title,
                after,
                explain=HELP[name],
                detail=f"in {widgets.plain(other)}; {before} in {widgets.plain(comparison.names[0])}  \n"
                f"{MARKS[change.verdict]} {change.words}",
            )


def _why_unjudged(comparison: Comparison, other: str) -> str:
    """Why the AUROCs of one of the two studies are not judged; "" where both are."""
    shared = comparison.shared
    for name in (comparison.names[0], other):
        number = comparison.names.index(name)
        if why := why_unjudged(name, shared.studies[number], shared.rows[number, shared.judged]):
            return why
    return ""


def verdict(comparison: Comparison, other: str) -> None:
    """On what the other study is better and worse, and of which images the numbers are."""
    if sentence := verdict_sentence(comparison, other):
        st.header(widgets.plain(sentence.removesuffix(".")))
        has_masks = any(comparison.value(name, other) for name in ("miou_core", "miou_spurious"))
        masked = ", mIoU on those with masks" if has_masks else ""
        st.caption(widgets.plain(f"Measured on {comparison.population}{masked}."))
        _judged_measures(comparison, other)
        last = (changed_sentence(comparison, other), ALL_BELOW)
        st.caption(widgets.plain(" ".join(filter(None, last))))


def _judged_measures(comparison: Comparison, other: str) -> None:
    """The measures that the headline counts, each once with its interval, and why others are not judged."""
    judged = judged_changes(comparison, other).items()
    lines = [f"{MARKS[verdict]} {widgets.plain(judged_line(changes))}" for verdict, changes in judged]
    few_errors = _why_unjudged(comparison, other)
    changes = unjudged_changes(comparison, other)
    areas = [change for change in changes if few_errors and change.measure.name in AUROCS]
    for why, group in (few_errors, areas), ("", [change for change in changes if change not in areas]):
        if group:
            lines.append(widgets.plain(unjudged_line(group, why)))
    if lines:
        st.markdown("  \n".join(lines))


def table(comparison: Comparison, other: str) -> None:
    """All numbers of all studies; what each means is told on hover."""
    head, *rows = headline_rows(comparison)
    cells = [f"<tr>{''.join(f'<th scope=col>{html.escape(cell)}</th>' for cell in head[1:])}</tr>"]
    body = []
    for name, title, *values in rows:
        meaning = tooltips.TEXTS[HELP[name]].what if name in HELP else ""
        heading = (
            f'<abbr title="{html.escape(meaning)}">{html.escape(title)}</abbr>'
            if meaning
            else html.escape(title)
        )
        parts = [
            f"<td{_kind(head[at], cell)}>{html.escape(cell)}</td>" for at, cell in enumerate(values, start=2)
        ]
        body.append(f"<tr><th scope=row>{heading}</th>{''.join(parts)}</tr>")
    st.html(f"<table class=compare><thead>{cells[0]}</thead><tbody>{''.join(body)}</tbody></table>")
    how = (
        "(Wilson's of a share, Newcombe's of an AUROC, else from resampling the images; a change is measured "
        "on the same resampled images in both studies)."
        if comparison.pair is None
        else "(Wilson's of an accuracy, Newcombe's for paired samples of its change, else from resampling)."
    )
    st.caption(
        f"In brackets: 95 % intervals {how} Bold: the interval of the change leaves out 0."
        + (" †: measured differently, see the notes above." if comparison.not_comparable else "")
    )
    download(comparison.shared.studies, numbers_table(comparison), comparison.among, name="compare")


def _kind(title: str, cell: str) -> str:
    if title != "change":
        return ""
    return " class=clear" if cell.endswith(STAR) else " class=quiet"


def classes_and_scores(comparison: Comparison, other: str) -> None:
    """What became of the classes, where they have enough images to tell, and of a score beside it; of one
    class the number above says it all.
    """
    is_one = len(comparison.classes) <= len(comparison.names)  # a row for each class and study
    if is_one or not feature_reads.classes_tell(comparison.shared.studies[0]):
        _distributions(comparison)
        return
    with st.container(key="stacked_comparison"):
        left, right = st.columns(2, gap="large")
    with left:
        _classes(comparison, other)
    with right:
        _distributions(comparison)


def _distributions(comparison: Comparison) -> None:
    """A score over correct and misclassified images in each study, one above the other."""
    title_slot = st.container()
    scores = scores_of(comparison.separation) or ["q_score"]
    choices = {label: name for label, name in SCORES.items() if name in scores}
    label = choose_one("Score", choices, key="compare_score", default=next(iter(choices)))
    score = choices[label]
    values = {}
    for number, name in enumerate(comparison.names):
        study, rows = (
            comparison.shared.studies[number],
            comparison.shared.rows[number, comparison.shared.judged],
        )
        images = reads.images(study)
        if score in images and "correct" in images:
            values[name] = numbers(images, score)[rows], numbers(images, "correct")[rows]
    title_slot.header(widgets.plain(separation_sentence(comparison.separation, score)))
    first, *others = comparison.shared.studies
    show_chart(
        first,
        COMPARED_SCORES,
        FigureOptions(score=score),
        among=comparison.among,
        others=others,
        name="compare_distributions",
        shown=ComparedScores(score_table(values, score=score), score),
    )


def _classes(comparison: Comparison, other: str) -> None:
    """Which classes gained and which lost."""
    first, *others = comparison.shared.studies
    beside = comparison.shared.studies[comparison.names.index(other)]
    show_chart(
        first,
        COMPARED_CLASSES,
        among=comparison.among,
        others=[beside, *(study for study in others if study is not beside)],
        name="compare_classes",
        title=st.header,
        shown=ClassChanges(comparison.classes, comparison.names[0], other),
    )


# Two answers of one study against each other, on the page Compare.


AGAINST = "compare_answer"  # widget key and part of the URL


def answers(study: Study, among: Slice) -> None:
    """The answer that the page reads, and another one of the study."""
    mine = study.answer_name
    others = others_of(study)
    if not others:
        with st.container(border=True):
            st.markdown("**This study has one answer**", help=widgets.help_text("answer"))
            add_button(study)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="compare_answers_controls"):
        help_text = widgets.help_text("answer")
        st.caption(f"**{widgets.plain(mine)}** against", width="content", help=help_text)
        other = select_one("Against", others, key=AGAINST, width=220)
    comparison = comparison_reads.answers_compared(study, mine, other, among=among)
    if comparison.pair is None or not comparison.pair.n:
        widgets.empty_state("No image has a verdict of both answers", nothing("no_common_verdict"))
        return
    verdict(comparison, other)
    _agreement(comparison, other)
    compared_pictures.changed_sides(comparison, other)
    classes_and_scores(comparison, other)
    for note in comparison.notes:
        st.caption(widgets.plain(full_sentence(note.text)))
    with st.expander("All numbers", icon=":material/table:"):
        table(comparison, other)


def others_of(study: Study) -> list[str]:
    """The answers that the one a study is read by is compared with: none out of fold, a probe once more."""
    others = (answer for answer in study.answers.values() if not answer.is_out_of_fold)
    return [answer.name for answer in others if answer.name != study.answer_name]


def add_button(study: Study) -> None:
    """The button of another answer, which needs nothing but the labels."""
    if guest_is_asking():
        return
    if study.column("images", "label").value_counts().max() < 2:
        st.caption("The nearest train images cannot vote: each class has one image.")
        return
    st.caption("Another one is a vote of the 20 nearest train images.")
    why_not(start_button(AddAnswer(study.path), "Add nearest neighbours", key="compare_add_answer"))


def _agreement(comparison: Comparison, other: str) -> None:
    pair = comparison.pair
    assert pair is not None
    of_answer, of_agreement = st.columns([2, 1])
    with of_answer:
        cards(comparison, other)
    with of_agreement:
        widgets.metric(
            "Same class",
            f"{100 * pair.agreement:.1f} %",
            explain="agreement",
            detail=f"{100 * pair.agreement_low:.1f} to {100 * pair.agreement_high:.1f}; "
            f"{pair.n:,} images  \n{widgets.plain(mcnemar_text(pair))}",
        )
