"""Whether one feature harms: the answers with it and without it, beside random features."""

import pandas as pd
import streamlit as st

from core.common.captions import shortened, with_class_names
from core.common.formatting import counted, signed
from core.errors import PeregrineError
from core.measures.feature_harm import harm, harm_by_class, harm_finding, random_gains
from core.measures.paired_accuracy import PairedAccuracy
from core.measures.switched_off import switched_off_table
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import image_reads
from dashboard.cache.pictures import tried_reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.panels.features import without

CLASSES = 5  # that gain, and as many that lose


@widgets.stable_container
def harm_part(study: Study, feature: int, population: Slice) -> None:
    """What the answers on the images of a filter would be without a feature; nothing where they cannot be
    asked again.
    """
    if image_reads.asked(study) is None:
        return
    try:
        one = tried_reads.without_one(study, population, feature)
    except PeregrineError as error:
        st.header("Does it harm?", help=widgets.help_text("removal"))
        st.caption(widgets.plain(str(error)))
        return
    if not len(one.rows):
        return
    paired = harm(one.made, one.units)
    st.header(
        widgets.plain(harm_finding(paired, random_gains(one.made))), help=widgets.help_text("feature_harm")
    )
    if len(one.rows) < one.n_slice:
        st.caption(f"Of {len(one.rows):,} images at even distances of the {one.n_slice:,} of the filter.")
    without.numbers(switched_off_table(one.made).set_index("features"), 1)
    _classes(study, harm_by_class(one.made, one.names), paired)
    without.changed_images(study, one.spoken, one.rows, one.made, key="harm_images")


def _classes(study: Study, table: pd.DataFrame, paired: PairedAccuracy) -> None:
    """The classes that gain and those that lose, and the interval of the whole."""
    if table.empty:
        return
    net = table["net"].to_numpy()
    interval = f"{signed(100 * paired.low, 1)} to {signed(100 * paired.high, 1)}, 95 % interval"
    parts = [f"Accuracy {signed(100 * paired.difference, 1)} points ({interval})"]
    for name, rows in (
        ("without it more images are right of", table.loc[net > 0].reset_index(drop=True)),
        ("fewer of", table.loc[net < 0].iloc[::-1].reset_index(drop=True)),
    ):
        if len(rows):
            parts.append(f"{name} {_listed(rows)}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{'; '.join(parts)}.", width="content")
        download(study, table, name="feature_harm_classes", label="Classes as CSV")


def _listed(rows: pd.DataFrame) -> str:
    """Classes with their change, the largest first."""
    named = []
    for name, net in zip(rows["class"].head(CLASSES), rows["net"].head(CLASSES), strict=True):
        short = widgets.plain(shortened(with_class_names(str(name))))
        named.append(f"{short} {signed(int(net), 0)}")
    more = len(rows) - CLASSES
    return ", ".join([*named, *([f"and {counted(more, 'more class', 'more classes')}"] if more > 0 else [])])
