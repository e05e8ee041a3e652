"""Whether the label of an opened image may be wrong, as models that had not seen it judge: of both splits."""

from typing import Any

import streamlit as st

from core.common.write_access import guest_is_asking
from core.measures.label_issues import doubt_sentence
from core.store import Study
from dashboard.addresses.pages import of_labels
from dashboard.cache import label_reads
from dashboard.components import widgets
from dashboard.components.page_link import link
from dashboard.panels.errors import label_desk


@widgets.stable_container
def label_doubt(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The sentence, and the way to the desk; nothing where the label is not doubted, or was decided on."""
    issue = label_reads.issue_of(study, row)
    sentence = None if issue is None else doubt_sentence(issue)
    if sentence is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="image_label_doubt"):
        st.markdown(f":orange[:material/flag:] {widgets.plain(sentence)}", width="content")
        parts = of_labels() | {label_desk.AT: str(facts["image_id"])}
        way = "Among the doubtful labels" if guest_is_asking() else "Decide on it"
        link("errors", way, study, icon="arrow_forward", where="", **parts)
