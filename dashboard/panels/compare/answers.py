"""Two answers of one study against each other, on the page Compare."""

import streamlit as st

from core.answers.answer import PROBE
from core.common.formatting import full_sentence
from core.common.write_access import guest_is_asking
from core.comparison.answers import mcnemar_text
from core.comparison.compare import Comparison
from core.jobs.commands import AddAnswer
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.cache import comparison_reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_one
from dashboard.components.job_follower import start_button
from dashboard.panels.compare import numbers, pictures

AGAINST = "compare_answer"  # widget key and part of the URL


def answers(study: Study, among: Slice) -> None:
    """The answer that the page reads, and another one of the study."""
    mine = study.answer.name if study.answer else PROBE
    others = others_of(study)
    if not others:
        with st.container(border=True):
            st.markdown("**This study has one answer**")
            add_button(study)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="compare_answers_controls"):
        st.caption(f"**{widgets.plain(mine)}** against", width="content")
        other = select_one("Against", others, key=AGAINST, width=220)
    comparison = comparison_reads.answers_compared(study, mine, other, among=among)
    if comparison.pair is None or not comparison.pair.n:
        widgets.empty_state("No image has a verdict of both answers", nothing("no_common_verdict"))
        return
    numbers.verdict(comparison, other)
    _agreement(comparison, other)
    pictures.changed_sides(comparison, other)
    numbers.classes_and_scores(comparison, other)
    for note in comparison.notes:
        st.caption(widgets.plain(full_sentence(note.text)))
    with st.expander("All numbers", icon=":material/table:"):
        numbers.table(comparison, other)


def others_of(study: Study) -> list[str]:
    """The answers that the one a study is read by is compared with: none out of fold, a probe once more."""
    mine = study.answer.name if study.answer else PROBE
    return [name for name, one in study.answers.items() if name != mine and not one.is_out_of_fold]


def add_button(study: Study) -> None:
    """The button of another answer, which needs nothing but the labels."""
    if guest_is_asking():
        return
    if study.column("images", "label").value_counts().max() < 2:
        st.caption("The nearest train images cannot vote: each class has one image.")
        return
    st.caption("Another one is a vote of the 20 nearest train images.")
    start_button(AddAnswer(study.path), "Add nearest neighbours", key="compare_add_answer")


def _agreement(comparison: Comparison, other: str) -> None:
    pair = comparison.pair
    assert pair is not None
    of_answer, of_agreement = st.columns([2, 1])
    with of_answer:
        numbers.cards(comparison, other)
    with of_agreement:
        widgets.metric(
            "Same class",
            f"{100 * pair.agreement:.1f} %",
            explain="agreement",
            detail=f"{100 * pair.agreement_low:.1f} to {100 * pair.agreement_high:.1f}; "
            f"{pair.n:,} images  \n{widgets.plain(mcnemar_text(pair))}",
        )
