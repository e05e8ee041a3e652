"""The words of the view Compare: shared concepts, words gained and lost."""

import streamlit as st

from core.charts.compared_words import COMPARED_WORDS, SharedWords
from core.common.formatting import first_of
from core.comparison.compare import Comparison
from dashboard.components import widgets
from dashboard.components.chart import download, show_chart
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
        shared = SharedWords(matrix.reset_index(names="study"), matrix)
        show_chart(first, COMPARED_WORDS, others=others, name="compare_words", shown=shared)
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
