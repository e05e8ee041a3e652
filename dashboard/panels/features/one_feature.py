"""What the page of a feature says above its pictures: its name, a sentence, and the way to the next one."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.charts.one_feature import class_shares
from core.charts.sentences import feature_sentence
from core.common.captions import cut_text, split_images
from core.common.dataframes import numbers
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses.pages import PAGES
from dashboard.cache import reads, slice_reads
from dashboard.cache.features import feature_reads
from dashboard.cache.features.feature_reads import Listing
from dashboard.components import widgets
from dashboard.components.page_link import link
from dashboard.panels import traces
from dashboard.panels.features import controls
from dashboard.panels.features.feature_cards import VERDICTS, others_name, population_name, title_and_note
from dashboard.state import session

NEEDED = {
    "features": "The table of features",
    "row_stats": "The means of the representations",
    **dict.fromkeys(
        (
            "firing_by_feature_ptr",
            "firing_by_feature_rows",
            "firing_count",
            "firing_features",
            "firing_excess",
        ),
        "The sets of firing features",
    ),
}
LONGEST_NAME = 68  # letters: two lines beside the buttons at 1280 px
COLOURS: dict[str, Literal["green", "orange", "gray"]] = {"good": "green", "bad": "orange", "quiet": "gray"}


def file_of(study: Study, feature: int, part: str) -> str:
    """What files of a part of the page of a feature are called: they stand beside those of other features."""
    return f"{study.feature_kind.lower()}-{feature}_{part}"


def ready(study: Study) -> bool:
    """True when the study holds its features and the images on which each fires; else says what to run."""
    for item, what in NEEDED.items():
        if not study.has(item):
            session.url_text("feature")  # no part of the link is unknown
            widgets.page_header("Features", PAGES["features"].question)
            return widgets.needs(study, item, what)
    return True


def chosen_feature(features: pd.DataFrame, n_features: int) -> int:
    """The feature of the address; without one, or with one that is not there, the first of the list."""
    feature = session.url_int("feature", below=n_features, what="feature")
    if feature is None:
        feature = int(features["feature"].iat[0]) if len(features) else 0
        session.set_url("feature", feature)
    return feature


def header(
    study: Study, population: Slice, row: dict[str, Any], asked: Listing, features: pd.DataFrame
) -> None:
    """Draw the name, on its right the steps along the list that led here.

    Args:
        row: of `feature_reads.listed`. asked, features: the list, and its rows.
    """
    title, note = title_and_note(study, row)
    verdict, tone = VERDICTS.get(row["verdict"], ("", "quiet"))
    with st.container(gap=None, key="feature_header"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(
                horizontal=True,
                vertical_alignment="center",
                gap="small",
                width="content",
                key="feature_title",
            ):
                number = f" :gray[{widgets.plain(note.partition(' ')[0])}]" if row["name"] else ""
                short = cut_text(title, LONGEST_NAME)
                whole = widgets.plain(title) if short != title else None
                st.title(f"{widgets.plain(short)}{number}", width="content", help=whole)
                traces.of_feature(study, row["feature"])
            _steps(study, row["feature"], asked, features)
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="feature_sentence"):
            if source := reads.named_from(study).get(int(row["feature"])):
                st.badge(f"words: {source}", color="gray", help=widgets.help_text("named_from"))
            if verdict:
                st.badge(verdict, color=COLOURS[tone], help=widgets.help_text("feature_verdict"))
            st.caption(widgets.plain(sentence(study, population, row)))
        if latent := reads.latent_sentence(study, row["feature"]):
            st.caption(widgets.plain(latent))
        traces.note_of_feature(study, row["feature"])


def _steps(study: Study, feature: int, asked: Listing, features: pd.DataFrame) -> None:
    numbers_in_order = features["feature"].tolist()
    at = numbers_in_order.index(feature) if feature in numbers_in_order else None
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", width="content", key="feature_steps"
    ):
        position = "not in this list" if at is None else f"{at + 1:,} of {len(features):,}"
        link("features", "All features", study, icon="apps", **controls.widgets_query(asked))
        st.caption(position, width="content")
        for label, icon, step in (("Previous", "arrow_back", -1), ("Next", "arrow_forward", 1)):
            to = None if at is None else at + step
            target = numbers_in_order[to] if to is not None and 0 <= to < len(numbers_in_order) else None
            what = None if target is None else _called(study, target)
            icon_name = f":material/{icon}:"
            st.button(
                label,
                icon=icon_name,
                key=f"feature_{label.lower()}",
                disabled=target is None,
                on_click=session.set_url,
                args=("feature", target),
                help=what,
            )


def _called(study: Study, feature: int) -> str:
    words = feature_reads.names(study).get(feature)
    return widgets.plain(f"{study.feature_kind} {feature}" + (f" ({words})" if words else ""))


def sentence(study: Study, population: Slice, row: dict[str, Any]) -> str:
    """Say how often the feature fires on the images of a filter, and on what."""
    rate = row["rate"]
    name = population_name(population)
    if widgets.undefined(rate):
        return "No image fits the filter."
    if not name:
        images = split_images(population.split)
        classes = firing.images if (firing := row["firing_class"]) and firing.few else row["classes"]
        called = f"{study.feature_kind} {row['feature']}"
        return feature_sentence(called, 100 * rate, row["tail"], classes, images=images)
    n = slice_reads.count(study, population)
    text = f"Fires on {round(rate * n):,} of {n:,} images of {name} ({widgets.percent(rate)})"
    if widgets.undefined(row["rate_against"]):
        return f"{text}."
    text += f" and on {widgets.percent(row['rate_against'])} of {others_name(population)}"
    q = row["q"]
    chance = "" if widgets.undefined(q) else "; hardly chance" if q < 0.05 else "; could be chance"
    return f"{text}{chance}."


def shares_by_class(study: Study, feature: int, population: Slice) -> pd.DataFrame | None:
    """See `class_shares`, over all classes of a filter's images, also those that it leaves out by name."""
    if not (study.labelled and study.has("firing_by_feature_ptr")):
        return None
    counts, sizes = feature_reads.class_firing(study, feature_reads.every_class(population))
    return class_shares(counts[feature], sizes, list(study.class_names))


def rows_of(features: pd.DataFrame, feature: int) -> dict[str, Any]:
    """The row of a feature in `feature_reads.listed` as a dict."""
    at = int(np.flatnonzero(numbers(features, "feature") == feature)[0])
    return features.iloc[at].to_dict()
