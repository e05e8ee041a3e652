"""Leakage on the first page: evaluation images that train has, too, with pairs of them and a filter."""

import streamlit as st

from core.common.formatting import counted
from core.measures.leaks import sentence_on_leaks
from core.slices.repeats import LEAK
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.page_link import link
from dashboard.state import session

PAIRS = 200  # that are listed
COLUMNS = {
    "image_id": "Evaluation image",
    "label": "Class",
    "train_image": "Train image",
    "train_label": "Class there",
    "exact": "Same pixels",
}


def leakage(study: Study, population: Slice) -> None:
    """How many evaluation images of the filter have a duplicate in train; nothing where none has."""
    leaks = reads.slice_table(study, population, "leaks")
    n_val = int((reads.mask(study, population) & study.is_val).sum())
    sentence = sentence_on_leaks(leaks, n_val)
    if sentence is None:
        return
    with st.container(border=True, key="overview_leakage", gap="xsmall"):
        st.markdown(f":orange[:material/content_copy:] **Leakage:** {widgets.plain(sentence)}.")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Leave them out",
                key="leakage_without",
                help="Filter by leak=false, on every page",
                on_click=session.set_filter,
                args=(str(Slice.joined([population, _leak("false")])),),
            )
            where = Slice.joined([population, _leak("true")])
            link(
                "images",
                f"Show {counted(len(leaks), 'image')}",
                study,
                where=where,
                icon_right="arrow_forward",
            )
        with st.expander("Pairs"):
            listed = leaks.head(PAIRS)[list(COLUMNS)].rename(columns=COLUMNS)
            st.dataframe(listed, hide_index=True, alt="Evaluation images and their duplicates in train")


def _leak(value: str) -> Slice:
    return Slice(extras={LEAK: (value,)})
