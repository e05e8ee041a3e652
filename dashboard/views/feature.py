"""One feature: what it looks at, what it means in words, and what it does to the answer."""

import streamlit as st

from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.features import feature_reads
from dashboard.components.page_link import link
from dashboard.components.stable_container import stable_container
from dashboard.panels.features import controls, feature_charts, feature_images, one_feature, related
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session


def feature_page(study: Study, population: Slice) -> None:
    if not one_feature.ready(study):
        return
    every = feature_reads.listed(study, population)
    asked = controls.from_query()
    features = feature_reads.in_order(study, population, asked)
    feature = one_feature.chosen_feature(features, len(every))
    row = one_feature.rows_of(every, feature)
    one_feature.header(study, population, row, asked, features)
    filter_bar(study, population)
    feature_images.strongest_images(study, feature, population)
    with st.container(key="stacked_charts"):
        parts = st.columns(3, gap="large")
    with parts[0]:
        feature_charts.classes(study, feature, row["tail"], population)
    with parts[1]:
        feature_charts.push(study, feature, population)
    with parts[2]:
        feature_charts.activations(study, feature, row["tail"], population)
        feature_charts.heat(study, feature)
    related.similar(study, feature, population)
    related.words(study, feature, population)
    _elsewhere(study, feature)


@stable_container
def _elsewhere(study: Study, feature: int) -> None:
    related.groups(study, feature)
    link(
        "heatmaps", "All heatmaps of this feature", study, icon="local_fire_department",
        heat_of="One feature", feature=str(feature),
    )  # fmt: skip


feature_page(session.current_study(), image_filter.population())
