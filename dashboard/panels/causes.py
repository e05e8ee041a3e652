"""Why images are wrong: the errors of a filter by cause, and an opened image in a paragraph."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts.causes import ERROR_CAUSES
from core.common.captions import with_class_names
from core.common.formatting import full_sentence
from core.common.step_facts import CausesFacts, EmbedFacts
from core.measures.image_columns import CAUSES, NO_CAUSE, PICTURE, TABLE, WHY, cause_name, tells_causes
from core.measures.slice import Slice
from core.pictures.cause_words import (
    DECIDED,
    corrected_class,
    evidence_text,
    image_sentences,
    sampled_sentence,
    shares_sentence,
    unjudged_sentence,
)
from core.store import Study
from core.study.commands import ExplainError
from core.study.missing import nothing
from core.study.write_access import guest_is_asking
from dashboard.cache import reads, score_reads
from dashboard.components import widgets
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import choose_one
from dashboard.components.job_follower import is_run_now, start_button, step_command
from dashboard.components.page_link import link
from dashboard.panels import marks
from dashboard.state import served_studies, session

# The errors of a filter by cause: their shares beside the false rates, and the images with the evidence.


ALL = "All"
RATES = "cause_rates"
PAGE = 24  # images


def causes_of_errors(
    study: Study, population: Slice, head: DeltaGenerator, answer_slot: DeltaGenerator
) -> None:
    """Draw the section; `head`, the row of the page's headline, takes the button, and `answer_slot`, the line
    below the title, the shares.
    """
    if not _is_there(study):
        return
    rates = reads.slice_table(study, population, RATES)
    if not shares_sentence(rates):
        widgets.empty_state("No causes", nothing("left_out", why="No error of this filter was tested."))
        return
    answer_slot.caption(_line(study, rates), help=widgets.help_text("causes"))
    causes = reads.slice_table(study, population, TABLE)
    with head:
        download(study, causes, population, name=TABLE)
    show_chart(study, ERROR_CAUSES, among=population, title=None)
    notes = study.facts(CausesFacts).notes
    if notes:
        st.caption(widgets.plain(" ".join(map(full_sentence, notes))))
    _images(study, population, causes)


def _is_there(study: Study) -> bool:
    """Whether the study holds shares of the errors of this answer; else say what makes them."""
    answer = served_studies.answer_option(study)
    options = {"answer": answer} if answer else {}
    if study.has(RATES) and tells_causes(study):
        return True
    if study.has(TABLE) or study.why_missing(RATES) is None:
        why = (
            "Causes were tested on single images only."
            if tells_causes(study)
            else "They were tested for another classifier."
        )
        widgets.empty_state(
            "Why images are wrong",
            nothing("left_out", why=why),
            step_command(study, TABLE, options),
            score_reads.trials_cost(study),
        )
        return False
    if options and study.state(TABLE) == "missing":
        why = nothing("left_out", why="No error was tested yet.")
        command = step_command(study, TABLE, options)
        widgets.empty_state(
            "Why images are wrong: not computed", why, command, score_reads.trials_cost(study)
        )
        return False
    return widgets.needs(study, RATES, "Why images are wrong", lambda: score_reads.trials_cost(study))


def _line(study: Study, rates: pd.DataFrame) -> str:
    facts = study.facts(CausesFacts)
    sampled = sampled_sentence(facts.n_errors, facts.n_all_errors)
    parts = (shares_sentence(rates), sampled, unjudged_sentence(rates))
    return widgets.plain(" ".join(filter(None, parts)))


def _images(study: Study, population: Slice, causes: pd.DataFrame) -> None:
    """The errors with their first cause, of one cause or of all, and the numbers behind it."""
    first = causes.drop_duplicates("image_id")
    counts = first[WHY].value_counts().to_dict()
    there = {cause_name(cause): cause for cause in (*CAUSES, *NO_CAUSE) if counts.get(cause)}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = choose_one("Cause", [ALL, *there], key="errors_cause")
        cause = there.get(name, ALL)
        if cause != ALL:
            where = Slice.joined([population, Slice(extras={WHY: (cause,)})])
            link("images", "Open in Images", study, icon="photo_library", where=where)
    listed = first if cause == ALL else first.loc[first[WHY] == cause]
    by_cause = listed.loc[:, WHY].map({name: at for at, name in enumerate((*CAUSES, *NO_CAUSE))})
    order = np.lexsort((-listed["gain"].fillna(0).to_numpy(), by_cause))  # those that are explained first
    listed = listed.iloc[order]
    rows = session.rows_held(study, listed["image_id"])
    records = dict(zip(rows, listed.to_dict("records"), strict=True))
    marks.action_bar(study, rows, key="causes_bar")
    widgets.image_gallery(
        study,
        rows,
        key="causes",
        captions={row: _caption(record) for row, record in records.items()},
        badges={row: _badge(record) for row, record in records.items()},
        page_size=PAGE,
        select=True,
        label="misclassified images with their causes",
    )


def _badge(row: dict[str, Any]) -> str:
    return DECIDED if row["rank"] == 1 and corrected_class(row) is not None else cause_name(str(row[WHY]))


def _caption(row: dict[str, Any]) -> tuple[str, ...]:
    line = " → ".join(with_class_names(str(row[name])) for name in ("label", "predicted"))
    return (line, evidence_text(row)) if row["rank"] == 1 else (line,)


# Why an opened image is wrong: a paragraph, or the button that finds out.


QUESTION = "Why is this wrong?"
FINDING_OUT = "It is being found out now. The answer appears here when that has ended."
ABOUT = "Tries crops, turns, light and features on it, in the background."


@widgets.stable_container
def known_reasons(study: Study, row: int, facts: dict[str, Any]) -> None:
    """What is known of a misclassified image: whether its picture is unusual, and why it is wrong, where
    changes of it were tried; nothing for others.
    """
    correct = facts.get("correct")
    if widgets.undefined(correct) or correct:
        return
    rows = score_reads.causes_of_image(study, row)
    _unusual(study, row, rows)
    if rows is not None:
        _reasons(rows)


def why_wrong(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The section of a misclassified image; nothing for others."""
    correct = facts.get("correct")
    if widgets.undefined(correct) or correct:
        return
    rows = score_reads.causes_of_image(study, row)
    _unusual(study, row, rows)
    if rows is not None:
        _reasons(rows)
    elif not (study.facts(EmbedFacts).encoder.is_given or guest_is_asking()):
        command = ExplainError(
            study.below or study.path, str(facts["image_id"]), served_studies.answer_option(study)
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{QUESTION}**", help=widgets.help_text("causes"), width="content")
            if is_run_now(command):
                st.caption(FINDING_OUT, width="content")
                return
            reason = start_button(command, "Find out", key="run_why_wrong", about=ABOUT)
        st.caption(widgets.plain(full_sentence(reason or score_reads.trials_cost_of_image(study))))


def _unusual(study: Study, row: int, tried: pd.DataFrame | None) -> None:
    """How dark, pale or blurred the picture is beside the others, unless that was tried and is a cause.

    tried: rows of the image in table `causes`.
    """
    if tried is not None and np.any((tried["cause"] == PICTURE) & (tried["rank"] > 0)):
        return
    if sentence := score_reads.unusual_picture(study, row):
        st.markdown(f":orange[:material/brightness_4:] {widgets.plain(sentence)}")


def _reasons(rows: pd.DataFrame) -> None:
    """Every sentence on why one image is wrong. rows: those of the image in table `causes`."""
    sentences = widgets.plain(" ".join(image_sentences(rows)))
    st.markdown(f"**{QUESTION}** {sentences}", help=widgets.help_text("causes"))
