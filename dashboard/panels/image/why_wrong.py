"""Why an opened image is wrong: a paragraph, or the button that finds out."""

from typing import Any

import streamlit as st

from core.common.formatting import full_sentence
from core.common.step_facts import EmbedFacts
from core.common.write_access import guest_is_asking
from core.jobs.commands import ExplainError
from core.measures.cause_sentences import image_sentences
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import cause_reads
from dashboard.components import widgets
from dashboard.components.job_follower import start_button
from dashboard.components.page_link import link
from dashboard.state import session

PAGE = "More on the page of this image"
QUESTION = "Why is this wrong?"
ABOUT = "Tries crops, turns, light and features on it, in the background."


@widgets.stable_container
def first_cause(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The best cause of a misclassified image in a line, and the way to its page; nothing where none was
    looked for.
    """
    correct = facts.get("correct")
    rows = None if widgets.undefined(correct) or correct else cause_reads.of_image(study, row)
    if rows is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        first = image_sentences(rows)[0]
        st.markdown(f"**{QUESTION}** {widgets.plain(first)}", width="content")
        link("image", PAGE, study, icon="arrow_forward", **{session.IMAGE: str(facts["image_id"])})


def why_wrong(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The section of a misclassified image; nothing for others."""
    correct = facts.get("correct")
    if widgets.undefined(correct) or correct:
        return
    rows = cause_reads.of_image(study, row)
    if rows is not None:
        first, *others = image_sentences(rows)
        more = f" Also: {' '.join(others)}" if others else ""
        st.markdown(f"**{QUESTION}** {widgets.plain(first + more)}", help=widgets.help_text("causes"))
    elif not (study.facts(EmbedFacts).encoder.is_given or guest_is_asking()):
        command = ExplainError(
            study.below or study.path, str(facts["image_id"]), served_studies.answer_option(study)
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{QUESTION}**", help=widgets.help_text("causes"), width="content")
            refused = start_button(command, "Find out", key="run_why_wrong", about=ABOUT)
        st.caption(widgets.plain(full_sentence(refused or cause_reads.cost_for_image(study))))
