"""One feature: what it looks at, what it means in words, and what it does to the answer."""

from __future__ import annotations

import streamlit as st

from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.features import feature_reads
from dashboard.components.stable_container import own_place
from dashboard.panels.features import controls, feature_charts, feature_images, one_feature, related
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session


def page(study: Study, chosen: Slice) -> None:
    if not one_feature.ready(study):
        return
    every = feature_reads.listed(study, chosen)
    asked = controls.from_query()
    found = feature_reads.in_order(study, chosen, asked)
    feature = one_feature.chosen_feature(found, len(every))
    row = one_feature.rows_of(every, feature)
    one_feature.header(study, chosen, row, asked, found)
    filter_bar(study, chosen)
    feature_images.show(study, feature, chosen)
    with st.container(key="stacked_charts"):
        parts = st.columns(3, gap="large")
    with parts[0]:
        feature_charts.classes(study, feature, row["tail"], chosen)
        feature_charts.heat(study, feature)
    with parts[1]:
        feature_charts.push(study, feature, chosen)
    with parts[2]:
        feature_charts.activations(study, feature, row["tail"], chosen)
    related.similar(study, feature, chosen)
    related.words(study, feature, chosen)
    _elsewhere(study, feature)


@own_place
def _elsewhere(study: Study, feature: int) -> None:
    related.groups(study, feature)
    query = session.link_query(served_studies.name_of(study))
    st.page_link(
        "views/heatmaps.py",
        label="All heatmaps of this feature",
        icon=":material/local_fire_department:",
        query_params=query | {"heat_of": "One feature", "feature": str(feature)},
    )


page(session.current_study(), image_filter.population())
