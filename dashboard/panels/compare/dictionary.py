"""A dictionary that two encoders share: which of its latents either of them lacks."""

from typing import Any

import pandas as pd
import streamlit as st

from core.bases.basis import UNITS
from core.bases.kinds import KINDS
from core.charts.chart import Chart
from core.charts.shared_latents import LACKING_LATENTS, SHARED_LATENTS
from core.common.formatting import full_sentence
from core.comparison.shared_dictionary import (
    FIRST,
    KNOWS,
    LACKS,
    OTHER,
    SharedDictionary,
    bases_shared_with,
    judgeable_latents,
    latent_words,
    read_out_note,
    shared_finding,
)
from core.config import BasisConfig
from core.errors import PeregrineError
from core.jobs.commands import FitBasis
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import comparison_reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart
from dashboard.components.choose_one import select_one
from dashboard.components.page_link import link
from dashboard.panels.features.bases import unused_name
from dashboard.state import session

DICTIONARY = "Dictionary"  # what is compared
WHAT = (
    "One dictionary describes the images for both encoders: each of its latents is a mix of the neurons of "
    "either. An encoder knows a latent if its neurons alone tell on which images it is active."
)
SHOWN = 50  # latents in the table
KIND = "topk"  # of a dictionary that is fitted here


def dictionary(study: Study, others: dict[str, Study], among: Slice) -> None:
    """What either encoder knows of the latents that the study shares with one of `others`."""
    whole = study.in_basis(UNITS)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        other = others[select_one("Shared with", others, key="compare_shared", shows_label=True, width=260)]
        names = bases_shared_with(whole, other)
        if names:
            name = select_one("Dictionary", names, key="compare_dictionary", shows_label=True, width=260)
    st.caption(WHAT)
    if not names:
        if bases_shared_with(other.in_basis(UNITS), whole):
            first, second = (widgets.plain(served_studies.name_of(one)) for one in (other, whole))
            there = {"compare_what": DICTIONARY, "compare_shared": served_studies.name_of(whole)}
            link("compare", f"Compare {first} with {second}", other, icon="swap_horiz", **there)
            st.caption(f"{first} has the dictionary that these encoders share.")
        else:
            _fit(whole, other)
        return
    data = comparison_reads.shared(study, other, name, among)
    st.header(widgets.plain(shared_finding(data)), anchor=False)
    st.caption(
        f"Knows: AUROC of {KNOWS} or more. Lacks: below {LACKS}, where the other one knows it. Judged on "
        "evaluation images, whatever the filter is; answers are those of the images of the filter."
    )
    if note := read_out_note(data):
        st.caption(widgets.plain(full_sentence(note)))
    _chart(SHARED_LATENTS, data, study, other, name, among)
    _pictures(study, other, name, among)
    _table(data, whole)


def _fit(whole: Study, other: Study) -> None:
    """Two sizes and a button: one dictionary more, of the images of both."""
    width = sum(one.array("representations").shape[1] for one in (whole, other))
    n_judged = int(whole.is_val.sum()) or whole.n_images // 2
    k = min(BasisConfig.k, width)
    most = max(k, judgeable_latents(n_judged, k))
    usual = {"Latents": min(KINDS[KIND].default_size(width, whole.n_images), most), "Active at once": k}
    with st.container(horizontal=True, gap="small"):
        size, k = (
            st.number_input(label, 1, value=value, key=f"compare_fit_{label}_{other.name}", width=160)
            for label, value in usual.items()
        )
    each = f"some {n_judged * k // size:,} for each of {size:,}"
    st.caption(f"A latent is judged by the evaluation images on which it is active: {each}.")
    widgets.empty_state(
        "These encoders share no dictionary yet",
        "Learn one from the images of both. Its latents get words when the study is read in it",
        FitBasis(whole.path, unused_name(whole, "shared"), KIND, size, k, other=other.path),
    )


def _pictures(study: Study, other: Study, name: str, among: Slice) -> None:
    """Images of the latents that one of them lacks."""
    try:
        pictures = comparison_reads.lacking(study, other, name, among)
    except PeregrineError as error:
        st.caption(widgets.plain(full_sentence(str(error))))
        return
    _chart(LACKING_LATENTS, pictures, study, other, name, among)


def _chart(what: Chart, shown: Any, study: Study, other: Study, dictionary: str, among: Slice) -> None:
    show_chart(
        study,
        what,
        among=among,
        others=[other],
        name=f"compare_{what.name}",
        title=None,
        shown=shown,
        depends_on=(dictionary,),
    )


def _table(data: SharedDictionary, whole: Study) -> None:
    """The latents of either side, each with a link to its page."""
    rows = pd.concat([data.known_to(OTHER), data.known_to(FIRST)], ignore_index=True).head(SHOWN)
    if rows.empty:
        return
    first, other = data.names
    links = [
        session.href("feature", whole, feature=str(one), basis=data.basis.name) for one in rows["latent"]
    ]
    columns = {
        "Latent": links,
        "Words": [latent_words(row) for row in rows.to_dict("records")],
        "Lacking in": [first if side == OTHER else other for side in rows["known_to"]],
        f"AUROC {first}": rows["told_by_first"],
        f"AUROC {other}": rows["told_by_other"],
        "Images": rows["n"],
        f"{first} right": 100 * rows["accuracy_first"],
        f"{other} right": 100 * rows["accuracy_other"],
    }
    area, percent = (st.column_config.NumberColumn(format=one) for one in ("%.2f", "%.0f %%"))
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        alt="The latents that one of the encoders lacks",
        column_config={
            "Latent": st.column_config.LinkColumn("Latent", display_text=r"feature=(\d+)"),
            "Words": st.column_config.TextColumn(width=230),
            **{f"AUROC {one}": area for one in data.names},
            **{f"{one} right": percent for one in data.names},
        },
    )
