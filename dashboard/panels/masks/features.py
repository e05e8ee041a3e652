"""The features that look at the object, at the background, or at neither more than the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.captions import LOOKS
from core.common.dataframes import numbers, words
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.cache import overlap_reads, reads
from dashboard.cache.features import feature_reads
from dashboard.components import widgets
from dashboard.components.cards import Bar, Card, Picture, Tone, cards
from dashboard.components.chart import download
from dashboard.components.choose_one import pick_one, select_one
from dashboard.panels.features.feature_cards import pictures
from dashboard.state import session

TONES: dict[str, Tone] = {"core": "good", "spurious": "bad", "undecided": "quiet"}
ORDERS = {
    "Firing most here first": "rate",
    "Most on the object first": "core_lift",
    "Most on the background first": "spurious_lift",
}
CARDS = 24


@widgets.stable_container
def overlap_by_feature(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """Cards of the features that fire on the page's images, each with its heatmaps of these images."""
    if not widgets.needs(study, "overlap_by_feature", "The overlap of single features"):
        return
    wide = overlap_reads.feature_overlaps(study, population)
    if wide.empty:
        widgets.empty_state("No features", nothing("too_few_masks"))
        return
    with controls:
        wide = _chosen(wide)
    if wide.empty:
        widgets.empty_state("No features", nothing("no_feature_of_verdict"))
        return
    title_slot = st.container()
    page_features = wide.iloc[widgets.page_span(len(wide), CARDS, key="overlap_feature_page")]
    drawn = pictures(study, population, tuple(page_features["feature"].tolist()))
    with title_slot:
        made = [_card(study, row, drawn[row["feature"]]) for row in page_features.to_dict("records")]
        cards(
            made,
            key="overlap_features",
            label="features with their heatmaps",
            on_open=lambda feature: session.go("feature", feature=feature),
        )
    download(study, wide, population, name="overlap_features", label="Data as CSV")
    st.caption(
        "Verdict and shares are of all images of the study with masks, pictures of the images of this page "
        "(without heat where no heatmap is stored). Tick: a uniform heatmap.",
        help=widgets.help_text("feature_verdict"),
    )


def _chosen(wide: pd.DataFrame) -> pd.DataFrame:
    """The features of a verdict, in an order."""
    verdicts = words(wide, "verdict")
    options = {"All": f"All {len(wide):,} features"}
    options |= {name: f"{words.capitalize()} {verdicts.count(name):,}" for name, words in LOOKS.items()}
    asked = session.url_text("verdict")
    if asked is not None and asked not in options:
        session.drop_unknown("verdict", options)
        session.set_url("verdict", None)
    before = asked if asked in options else "All"

    def pick(name: str) -> None:
        session.set_url("verdict", None if name == "All" else name)

    pick_one(
        "Verdict",
        list(options),
        before,
        key="overlap_verdict",
        on_pick=pick,
        width=180,
        format_func=lambda name: options[name],
    )
    orders = [title for title, column in ORDERS.items() if np.isfinite(numbers(wide, column)).any()]
    order = select_one("Order", orders, key="overlap_order", width=205)
    if before != "All":
        wide = wide.loc[wide["verdict"] == before].reset_index(drop=True)
    by = -numbers(wide, ORDERS[order])
    return wide.iloc[np.argsort(by, kind="stable")].reset_index(drop=True)


def _card(study: Study, row: Mapping[str, Any], pictures: tuple[Picture, ...]) -> Card:
    feature = int(row["feature"])
    workers = str(row.get("keywords") or "")
    has_name = feature in feature_reads.names(study)
    bars = [_bar(row, mask) for mask in ("core", "spurious") if np.isfinite(row[f"{mask}_energy"])]
    verdict = row["verdict"]
    address = session.href("feature", study, feature=str(feature))
    note = f"#{feature}" if has_name else reads.class_words(study, feature)
    lines = (f"People call it: {workers}",) if workers else ()
    title, tag, tone = feature_reads.title(study, feature), LOOKS[verdict], TONES[verdict]
    return Card(
        id=str(feature),
        title=title,
        href=address,
        note=note,
        tag=tag,
        tone=tone,
        pictures=pictures,
        bars=tuple(bars),
        lines=lines,
    )


def _bar(row: Mapping[str, Any], mask: str) -> Bar:
    """The share of the feature's heat that lies on a mask, and what a uniform heatmap has there."""
    share, lift = float(row[f"{mask}_energy"]), float(row[f"{mask}_lift"])
    of_uniform = f", {lift:.2f} × uniform" if np.isfinite(lift) else ""
    uniform_share = share / lift if np.isfinite(lift) and lift > 0 else None
    text = f"{100 * share:.0f} %{of_uniform}"
    return Bar(label=f"Heat {LOOKS[mask]}", share=share, text=text, tone=TONES[mask], mark=uniform_share)
