"""The words of the view Compare: shared concepts, words gained and lost."""

import streamlit as st

from core.charts import compared_words
from core.common.formatting import first_of
from core.comparison.compare import Comparison
from core.figures.cells import CellRequest
from dashboard.components import widgets
from dashboard.components.chart import cell_beside, chart, download
from dashboard.research import parts


def words(comparison: Comparison) -> None:
    """Shared concepts, and words gained and lost."""
    st.caption("What the features of each study look at, in words", help=widgets.help_text("n_concepts"))
    if comparison.words is None:
        lacking = next(study for study in comparison.shared.studies if not study.has("concepts"))
        widgets.needs(lacking, "concepts", "The comparison of words")
        return
    left, right = st.columns([2, 3], gap="large")
    matrix = comparison.words.matrix
    first, *others = [study for study in comparison.shared.studies if study.has("concepts")]
    with left:
        chart(
            comparison.shared.studies[0],
            "compare_words",
            lambda theme: compared_words.concept_matrix(matrix, theme=theme),
            *comparison.shared.studies[1:],
            alt="Number of words that each pair of studies shares",
            data=matrix.reset_index(names="study"),
            cell=cell_beside(CellRequest("compared_words"), first, others),
        )
    with right:
        for name, changes in comparison.words.changes.items():
            st.markdown(f"**{widgets.plain(name)}**")
            for what, one in changes.items():
                text = widgets.plain(first_of(one, 24)) if one else "none"
                st.markdown(f"{what.capitalize()} ({len(one):,}): {text}")
    st.dataframe(
        comparison.words.shared,
        hide_index=True,
        height=240,
        alt="In how many features of each study a word stands",
    )
    download(comparison.shared.studies, comparison.words.shared, name="compare_shared_words")
    for show in parts.BELOW_COMPARED_WORDS:
        show(comparison)
