"""Features that one study has and the other lacks, in pictures."""

import numpy as np
import pandas as pd
import streamlit as st

from core.common.formatting import counted
from core.comparison.compare import Comparison
from core.comparison.features import LEAST
from core.slices.inspection.populations import with_split
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import comparison_reads
from dashboard.components import widgets
from dashboard.panels.features import feature_cards

EACH = 6  # features on either side, a page


@widgets.stable_container
def gained_and_lost(comparison: Comparison, other: str) -> None:
    """Discriminative features of the other study that the first one has nothing like, and the other way."""
    number = comparison.names.index(other)
    if comparison.pair or not all(one.has("features") for one in comparison.shared.studies):
        return
    if int(comparison.shared.judged.sum()) < LEAST:
        st.caption(f"Which features either study lacks is told by {LEAST} evaluation images or more.")
        return
    studies, among = tuple(comparison.shared.studies), comparison.among
    gained = comparison_reads.lone_features(studies, among, number, 0)
    lost = comparison_reads.lone_features(studies, among, 0, number)
    st.header(
        f"{counted(len(gained), 'feature')} gained, {len(lost):,} lost",
        anchor=False,
        help=widgets.help_text("lone_features"),
    )
    tables, which = (gained, lost), "Only in {}, unlike any of {}"
    if gained.empty and lost.empty:
        tables, which = _least_alike(studies, among, number), "Of {}, the least like any of {}"
        if all(table.empty for table in tables):
            st.caption(f"No discriminative feature fires on {LEAST} of these images or more.")
            return
    names = comparison.names[0], other
    for column, table, at in zip(st.columns(2, gap="medium"), tables, (number, 0), strict=True):
        with column:
            only, than = (names[1], names[0]) if at else names
            st.caption(which.format(widgets.plain(only), widgets.plain(than)))
            _cards(comparison, at, table, than)


def _least_alike(studies: tuple[Study, ...], among: Slice, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Where no feature is gained or lost, those of either study that changed most."""
    tables = [
        comparison_reads.lone_features(studies, among, one, other, np.inf)
        .sort_values("likeness", kind="stable")
        .head(EACH)
        for one, other in ((number, 0), (0, number))
    ]
    return tables[0], tables[1]


def _cards(comparison: Comparison, number: int, table: pd.DataFrame, than: str) -> None:
    study = comparison.shared.studies[number]
    key, label = f"compare_lone_{'gained' if number else 'lost'}", "features that only one of the studies has"
    slot = st.container()
    table = table.iloc[widgets.page_span(len(table), EACH, key=f"{key}_page")]
    lines = {
        feature: f"fires on {counted(n, 'image')}; most alike in {than}: #{closest}, "
        f"{widgets.percent(likeness, digits=0)} of the images shared"
        for feature, n, closest, likeness in table.itertuples(index=False)
    }
    with slot:
        if not lines:
            st.caption("None.")
            return
        feature_cards.with_lines(study, with_split(study, Slice()), lines, key=key, label=label, width=150)
