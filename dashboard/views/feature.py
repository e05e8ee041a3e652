"""One feature: what it looks at, what it means in words, and what it does to the answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from core.common.formatting import counted, signed
from core.common.group_names import group_features
from core.common.records import Templates
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import concept_reads, feature_reads, image_filter, reads
from dashboard.components import widgets
from dashboard.components.cards import Bar
from dashboard.components.chart_menu import ON_PAGE
from dashboard.components.page_link import link
from dashboard.panels import feature_cards, feature_list, one_feature, without_features, word_evidence
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import session

_say = Templates.beside(__file__)
MOST_SIMILAR = 6
MOST_GROUPS = 12


def feature_page(study: Study, population: Slice) -> None:
    if not one_feature.ready(study):
        return
    every = feature_reads.listed(study, population)
    asked = feature_list.from_query()
    features = feature_reads.in_order(study, population, asked)
    feature = one_feature.chosen_feature(features, len(every))
    row = one_feature.rows_of(every, feature)
    with ON_PAGE.collect() as of_page:
        one_feature.header(study, population, row, asked, features, of_page)
        filter_bar(study, population)
        _parts(study, population, feature, row)


def _parts(study: Study, population: Slice, feature: int, row: dict[str, Any]) -> None:
    """Everything below the name and the filter. row: of `feature_reads.listed`."""
    one_feature.strongest_images(study, feature, population)
    classes = one_feature.has_classes(study, feature, population)
    with st.container(key="stacked_charts"):
        *first, middle, last = st.columns(2 + classes, gap="large")
    for column in first:
        with column:
            one_feature.classes_chart(study, feature, row["tail"], population)
    with middle:
        one_feature.push_chart(study, feature, row, population)
    with last:
        one_feature.activations_chart(study, feature, row["tail"], population)
    left, right = st.columns(word_evidence.BESIDE, gap="large")
    with right:
        has_words = words(study, feature, population)
    with left:
        if has_words:
            word_evidence.scored_words(study, str(feature))
        one_feature.heat_chart(study, feature)
    without_features.harm_part(study, feature, population)
    similar(study, feature, population)
    _elsewhere(study, feature)


@widgets.stable_container
def _elsewhere(study: Study, feature: int) -> None:
    groups(study, feature)
    if study.has("heatmap_maps"):
        link(
            "heatmaps", "All heatmaps of this feature", study, icon="local_fire_department",
            heat_of="One feature", feature=str(feature),
        )  # fmt: skip


def similar(study: Study, feature: int, population: Slice) -> None:
    """The features that fire on the same images of the filter's split."""
    st.header("Similar features", help=widgets.help_text("similar_features"))
    similar_features = feature_reads.similar(study, feature, population)
    both = similar_features["both"].to_numpy() > 0
    similar_features = similar_features.loc[both].head(MOST_SIMILAR).reset_index(drop=True)
    if similar_features.empty:
        st.caption("No other feature fires on an image on which it fires.")
        return
    rows = (
        feature_reads.listed(study, population)
        .set_index("feature", drop=False)
        .loc[similar_features["feature"]]
    )
    alike = similar_features.set_index("feature").to_dict("index")

    def bars(row: Mapping[str, Any]) -> tuple[Bar, ...]:
        of = alike[row["feature"]]
        both = Bar("fire together", of["jaccard"], widgets.percent(of["jaccard"], digits=0))
        if widgets.undefined(of["profile"]):
            return (both,)
        profile = max(float(of["profile"]), 0.0)
        return both, Bar("same classes", profile, signed(of["profile"], 2), "quiet")

    feature_cards.draw(study, rows, population, key="feature_similar", label="similar features", bars=bars)


def words(study: Study, feature: int, population: Slice) -> bool:
    """The evidence for its words; False, with the reason, where it has none."""
    if not word_evidence.ready(study):
        return False
    group = str(feature)
    if concept_reads.of_group(study, "highly_activating", group).empty:
        st.header("What it means")
        st.caption(why_wordless(study, feature))
        return False
    word_evidence.evidence(study, group, population)
    return True


def why_wordless(study: Study, feature: int) -> str:
    """Why a feature has no words."""
    if not study.has("concept_features"):
        return _say("wordless")
    facts = reads.table(study, "concept_features")
    rows = facts.loc[facts["feature"].to_numpy() == feature].reset_index(drop=True)
    if rows.empty or bool(rows["explainable"].iat[0]):
        return _say("wordless")
    n = int(rows["n_images"].iat[0])
    return _say("few_images" if n else "no_images", n=n)


def groups(study: Study, feature: int) -> None:
    """The groups of several features that it is a member of."""
    if not study.has("groups"):
        return
    table = reads.table(study, "groups")
    several = table.loc[
        (table["n_features"].to_numpy() > 1) & (table["n_images"].to_numpy() > 1)
    ].reset_index(drop=True)
    mine = np.array([feature in group_features(str(name)) for name in several["group"]], bool)
    groups_table = (
        several.loc[mine].reset_index(drop=True).sort_values(["n_images", "group"], ascending=[False, True])
    )
    if groups_table.empty:
        return
    st.header("Groups it belongs to", help=widgets.help_text("group"))
    n = len(groups_table)
    st.caption(
        f"{counted(n, 'set')} of features that images activate together"
        + ("" if n <= MOST_GROUPS else f"; the {MOST_GROUPS} with most images")
        + "."
    )
    with st.container(horizontal=True, gap="medium"):
        for row in groups_table.head(MOST_GROUPS).to_dict("records"):
            name = f"{concept_reads.plain_name(str(row['group']))} ({counted(row['n_images'], 'image')})"
            link("features", name, study, icon="hub", features_as="Groups", group=str(row["group"]))


feature_page(session.current_study(), image_filter.population())
