"""The words of the view Compare: shared concepts, words gained and lost."""

from __future__ import annotations

import streamlit as st

from core.charts import compared_words
from core.comparison.compare import Comparison
from core.comparison.text import listed
from core.figures.cells import CellRequest
from dashboard.components import widgets
from dashboard.components.chart import cell_beside, chart, download
from dashboard.research import parts


def words(found: Comparison) -> None:
    """Shared concepts, and words gained and lost."""
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
    for show in parts.BELOW_COMPARED_WORDS:
        show(found)


def _cell(found: Comparison) -> CellRequest:
    first, *rest = [study for study in found.shared.studies if study.has("concepts")]
    return cell_beside(CellRequest("compared_words"), first, rest)


def _words_missing(found: Comparison) -> None:
    for study in found.shared.studies:
        if not study.has("concepts"):
            widgets.needs(study, "concepts", "The comparison of words")
            return
