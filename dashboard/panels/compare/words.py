"""The words of the view Compare: shared concepts, words gained and lost, words carried over."""

from __future__ import annotations

import streamlit as st

from core.charts import compared_words
from core.common.command_line import command_line
from core.comparison.compare import Comparison
from core.comparison.text import listed
from core.comparison.words import carries_words
from core.figures.cells import CellRequest
from dashboard.components import widgets
from dashboard.components.chart import cell_beside, chart, download

COLUMNS = {"carried": "words carried", "direct": "its own words", "n_shared": "in both"}


def words(found: Comparison) -> None:
    """Shared concepts, words gained and lost, and words carried from one study to another."""
    st.caption("What the features of each study look at, in words", help=widgets.help_text("n_concepts"))
    if found.words is None:
        _words_missing(found)
        return
    left, right = st.columns([2, 3], gap="large")
    matrix = found.words.matrix
    with left:
        chart(
            found.shared.studies[0],
            "compare_words",
            lambda theme: compared_words.concept_matrix(matrix, theme=theme),
            *found.shared.studies[1:],
            alt="Number of words that each pair of studies shares",
            data=matrix.reset_index(names="study"),
            cell=_cell(found),
        )
    with right:
        for name, changes in found.words.changes.items():
            st.markdown(f"**{widgets.plain(name)}**")
            for what, one in changes.items():
                said = widgets.plain(listed(one, 24)) if one else "none"
                st.markdown(f"{what.capitalize()} ({len(one):,}): {said}")
    st.dataframe(
        found.words.shared,
        hide_index=True,
        height=240,
        alt="In how many features of each study a word stands",
    )
    download(found.shared.studies, found.words.shared, name="compare_shared_words")
    transferred(found)


def _cell(found: Comparison) -> CellRequest:
    first, *rest = [study for study in found.shared.studies if study.has("concepts")]
    return cell_beside(CellRequest("compared_words"), first, rest)


def _words_missing(found: Comparison) -> None:
    for study in found.shared.studies:
        if not study.has("concepts"):
            widgets.needs(study, "concepts", "The comparison of words")
            return


def transferred(found: Comparison) -> None:
    """Words carried by a linear map between two encoders, beside those found directly."""
    if not found.transfers:
        paths = [study.path for study in found.shared.studies[:2]]
        st.caption("Words can also be carried from one study to another and checked against its own:")
        st.code(command_line("transfer", *paths[:2]), language="bash", wrap_lines=True)
        return
    for one in found.transfers:
        st.markdown(f"**Words carried from {widgets.plain(one.source)} to {widgets.plain(one.target)}**")
        for method, about in one.about.items():
            said = f"{method}: {one.explained(method)}."
            if carries_words(one.explained_share.get(method)):
                alike, chance = (widgets.number(about.get(name)) for name in ("jaccard", "chance"))
                said += (
                    f" {about.get('n_with_words', 0):,} features got words; of these words "
                    f"{widgets.percent(about.get('precision'))} are among the feature's own; Jaccard "
                    f"{alike}, by chance {chance}."
                )
            st.caption(widgets.plain(said))
        shown = one.features.rename(columns=COLUMNS)
        st.dataframe(shown, hide_index=True, alt="Carried words of each feature beside its own")
        pair = [found.shared.studies[found.names.index(name)] for name in (one.source, one.target)]
        download(pair, one.features, name=f"compare_transfer_{found.names.index(one.target)}")
