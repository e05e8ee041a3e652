"""Words carried by a linear map between two encoders, in the view Compare."""

import streamlit as st

from core.common.command_line import command_line
from core.comparison.compare import Comparison
from core.research.transfer.analysis.compared_words import carries_words
from dashboard.components import widgets
from dashboard.components.chart import download

COLUMNS = {"carried": "words carried", "direct": "its own words", "n_shared": "in both"}


def carried_words(comparison: Comparison) -> None:
    """Words carried by a linear map between two encoders, beside those found directly."""
    if not comparison.transfers:
        paths = [study.path for study in comparison.shared.studies[:2]]
        st.caption("Words can also be carried from one study to another and checked against its own:")
        st.code(command_line("transfer", *paths[:2]), language="bash", wrap_lines=True)
        return
    for one in comparison.transfers:
        st.markdown(f"**Words carried from {widgets.plain(one.source)} to {widgets.plain(one.target)}**")
        for method, about in one.about.items():
            line = f"{method}: {one.explained(method)}."
            if carries_words(one.explained_share.get(method)):
                alike, chance = (widgets.number(about.get(name)) for name in ("jaccard", "chance"))
                line += (
                    f" {about.get('n_with_words', 0):,} features got words; of these words "
                    f"{widgets.percent(about.get('precision'))} are among the feature's own; Jaccard "
                    f"{alike}, by chance {chance}."
                )
            st.caption(widgets.plain(line))
        table = one.features.rename(columns=COLUMNS)
        st.dataframe(table, hide_index=True, alt="Carried words of each feature beside its own")
        pair = [comparison.shared.studies[comparison.names.index(name)] for name in (one.source, one.target)]
        download(pair, one.features, name=f"compare_transfer_{comparison.names.index(one.target)}")
