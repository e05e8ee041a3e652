"""Features: which fire on the images of the filter, what they look at, and what is special there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import numbers
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.features import feature_reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one
from dashboard.components.stable_container import own_place
from dashboard.panels.features import (
    controls,
    feature_cards,
    feature_plot,
    feature_table,
    group_list,
    one_feature,
    subject,
    word_list,
)
from dashboard.panels.features.finding import finding
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

FORMS = ("Cards", "Table", "Plot", "Words", "Groups")
PAGE_SIZE = 24


def page(study: Study, chosen: Slice) -> None:
    if not one_feature.ready(study):
        return
    features = feature_reads.listed(study, chosen)
    form = _header(study, chosen, features)
    if form == "Groups":
        group_list.show(study)
        return
    filter_bar(study, chosen)
    n_dead = int(np.count_nonzero(numbers(features, "rate") == 0))
    asked = controls.listing(study, n_dead, ordered=form != "Words")
    if form == "Words":
        word_list.show(study, chosen, asked.find)
        return
    _list(study, chosen, asked, form)
    _notes(study)


def _header(study: Study, chosen: Slice, features: pd.DataFrame) -> str:
    """Title and finding, and on their right the form of the list."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="features_header"):
        place = st.container()
        form = choose_one("Show as", FORMS, key="features_as")
    with place:
        name = subject.subject(chosen)
        if form == "Groups":  # the step that finds groups knows no filter, so none stands here
            widgets.page_header(
                "Features", "Groups of features that fire together, over all images explained."
            )
        else:
            title = f"Features of :blue[{widgets.plain(name)}]" if name else "Features"
            widgets.page_header(title, widgets.plain(finding(study, chosen, features)))
    return form


@own_place
def _list(study: Study, chosen: Slice, asked: feature_reads.Listing, form: str) -> None:
    if form == "Plot" and subject.subject(chosen):  # what never fires here may fire elsewhere
        found = feature_reads.in_order(study, chosen, replace(asked, dead=True))
    else:
        found = feature_reads.in_order(study, chosen, asked)
    if found.empty:
        _nothing(study, chosen, asked)
    elif form == "Table":
        feature_table.show(found, chosen, controls.as_query(asked))
    elif form == "Plot":
        feature_plot.show(study, found, chosen, controls.as_query(asked))
    else:
        _cards(study, chosen, asked, found)


def _cards(study: Study, chosen: Slice, asked: feature_reads.Listing, found: pd.DataFrame) -> None:
    place = st.container()
    some = found.iloc[widgets.page_span(len(found), PAGE_SIZE, key="features_page")]
    with place:
        feature_cards.draw(
            study,
            some,
            chosen,
            key="features_cards",
            label=f"{len(found):,} features",
            shown=controls.as_query(asked),
        )
        full = widgets.percent(feature_cards.full_bar(some))
        what = f"Bars: the share of the images on which a feature fires; a full bar is {full}."
        several = not subject.subject(chosen) and len(study.class_names) > 1
        if several and any(known and not known.few for known in some["firing_class"]):
            what += " Grey bars: of the images on which it fires, the share of their most common class."
        if reads.named_from(study):
            what += " Words: heat, seen in the crops around the heat; scene, only in the whole images."
        st.caption(what)


def _nothing(study: Study, chosen: Slice, asked: feature_reads.Listing) -> None:
    if asked.find.strip() and not asked.numbers and study.has("concepts"):
        why = "No feature has a word that begins so. Words are in lower case and in the singular."
    elif asked.find.strip() and not asked.numbers:
        why = "The features of this study have no words yet, so only numbers can be searched."
    elif asked.numbers:
        why = "This study has no feature of that number."
    elif asked.verdict:
        why = "No feature that fires on these images has this verdict."
    else:
        why = "No feature fires on these images."
    widgets.empty_state("No features", why)


@own_place
def _notes(study: Study) -> None:
    """What a reader should know of the features of this encoder, and what it means to fire."""
    summary = reads.summary(study, "features")
    notes = [*reads.feature_notes(study), *_dense(study)]
    if "epsilon" in summary:
        notes.append(
            f"A feature fires on an image when it lies {summary['epsilon']:g} standard deviations above the "
            "image's mean."
        )
    for note in notes:
        st.caption(widgets.plain(note))


def _dense(study: Study) -> list[str]:
    encoder = reads.summary(study, "embed").get("encoder")
    if not isinstance(encoder, dict) or encoder.get("nonnegative", True):
        return []
    return [
        "This encoder's representations are dense and have negative values. The paper's notion of firing "
        "features is made for sparse, non-negative ones, so it does not cover this case."
    ]


page(session.current_study(), image_filter.population())
