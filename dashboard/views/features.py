"""Features: which fire how often, which tell classes apart, and what one of them looks at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import columns, numbers, where
from core.figures import features as figures
from core.figures.options import FigureOptions
from core.figures.sentences import bands_sentence, feature_sentence
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import catalogue_chart, chart, download
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

FEATURE = "feature"  # widget key and part of the URL: the feature whose detail is shown
PLOTS = ["Activation rate", "Purity", "Table"]
TILES = 12


def page(study: Study) -> None:
    widgets.page_header(
        "Features", "Which features fire how often, which of them tell classes apart, and what each looks at."
    )
    if not widgets.needs(study, "features", "The table of features"):
        return
    filter_bar(study, says="The filter narrows the images of a feature; the numbers are of all.")
    features = figures.by_rate(reads.table(study, "features"))
    _facts(study, features)
    overview, detail = st.container(), st.container()
    with detail:
        chosen = _choose(features)
    with overview:
        _overview(study, features, chosen)
    with detail:
        _detail(study, features, chosen)


def _facts(study: Study, features: pd.DataFrame) -> None:
    summary = reads.summary(study, "features")
    line = bands_sentence(features)
    if "epsilon" in summary:
        line += f" A feature fires on an image when it lies {summary['epsilon']:g} standard deviations above "
        line += "the image's mean."
    st.markdown(widgets.plain(line))
    for note in reads.feature_notes(study):
        st.info(widgets.plain(note), icon=":material/info:")
    if dense := _dense(study):
        st.info(dense, icon=":material/info:")


def _dense(study: Study) -> str:
    encoder = reads.summary(study, "embed").get("encoder")
    if not isinstance(encoder, dict) or encoder.get("nonnegative", True):
        return ""
    return (
        "This encoder's representations are dense and have negative values. The paper's notion of firing "
        "features is made for sparse, non-negative ones, so it does not cover this case."
    )


def _choose(features: pd.DataFrame) -> int:
    """The feature whose detail is shown: from the URL, a click, the number field, or the buttons."""
    session.url_int(FEATURE, below=len(features), what="feature")
    st.subheader("One feature")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.number_input(
            "Feature number",
            min_value=0,
            max_value=len(features) - 1,
            value=figures.telling_features(features)[0],
            step=1,
            key=FEATURE,
            bind="query-params",
            width=170,
            help="Type a number, click a point above, or pick a row of the table.",
        )
        rank = int(np.flatnonzero(features["feature"].to_numpy() == chosen)[0])
        _step("Rarer", rank - 1, features, ":material/arrow_back:")
        _step("More frequent", rank + 1, features, ":material/arrow_forward:")
        st.caption(
            f"Place {rank + 1:,} of {len(features):,} by activation rate, rarest first", width="content"
        )
    return int(chosen)


def _step(label: str, rank: int, features: pd.DataFrame, icon: str) -> None:
    inside = 0 <= rank < len(features)
    target = int(features["feature"].iat[rank]) if inside else 0
    st.button(
        label,
        icon=icon,
        key=f"features_{label}",
        disabled=not inside,
        on_click=session.choose,
        args=(FEATURE, target),
        help=f"Feature {target}" if inside else None,
    )


def _overview(study: Study, features: pd.DataFrame, chosen: int) -> None:
    session.drop_unknown("features_plot", PLOTS)
    with st.container(horizontal=True, vertical_alignment="center"):
        plot = st.segmented_control(
            "Show",
            PLOTS,
            default=PLOTS[0],
            required=True,
            key="features_plot",
            bind="query-params",
            label_visibility="collapsed",
        )
        log = plot == PLOTS[0] and st.toggle("Logarithmic", key="features_log", bind="query-params")
    if plot == "Table":
        _table(features)
        return
    purity = plot == "Purity"
    catalogue_chart(
        study,
        "purity" if purity else "sorted_activation",
        FigureOptions(features=(chosen,), log=log),
        name="features_chart",
        alt="Purity of every feature against its activation rate"
        if purity
        else "Activation rate of every feature, rarest first, in three bands",
        data=columns(features, COLUMNS),
        on_select=_clicked,
    )


def _clicked(points: list[dict]) -> None:
    session.choose(FEATURE, int(points[-1]["customdata"][0]))


COLUMNS = ["feature", "activation_rate", "tail", "purity", "top_class", "mean", "std"]


def _table(features: pd.DataFrame) -> None:
    shown = columns(features, COLUMNS)

    def picked() -> None:
        rows = session.selected_rows("features_table")
        if rows:
            session.choose(FEATURE, int(features["feature"].iat[rows[0]]))

    st.dataframe(
        columns(shown.assign(purity=100 * numbers(shown, "purity")), COLUMNS),
        key="features_table",
        hide_index=True,
        height=420,
        on_select=picked,
        selection_mode="single-row",
        alt="All features; select a row to see that feature below",
        column_config={
            "feature": st.column_config.NumberColumn("Feature", format="%d"),
            "activation_rate": st.column_config.NumberColumn(
                "Fires on (% of train)", format="%.3f", help=widgets.help_text("activation_rate")
            ),
            "tail": st.column_config.TextColumn("Band", help=widgets.help_text("tail")),
            "purity": st.column_config.NumberColumn(
                "Purity (%)", format="%.1f", help=widgets.help_text("purity")
            ),
            "top_class": st.column_config.TextColumn("Most common class"),
            "mean": st.column_config.NumberColumn("Mean activation", format="%.5f"),
            "std": st.column_config.NumberColumn("Standard deviation", format="%.5f"),
        },
    )
    download(shown, name="features")


def _detail(study: Study, features: pd.DataFrame, chosen: int) -> None:
    row = features.iloc[int(np.flatnonzero(features["feature"].to_numpy() == chosen)[0])]
    shares = _class_shares(study, chosen)
    name = reads.feature_name(study, chosen)
    sentence = feature_sentence(chosen, float(row["activation_rate"]), str(row["tail"]), shares, name=name)
    st.markdown(widgets.plain(sentence))
    left, right = st.columns(2, gap="large")
    with left:
        _top_images(study, chosen)
    with right:
        st.subheader("Classes it fires on")
        _classes(study, shares, chosen, str(row["tail"]))
        st.subheader("How active it is")
        _histogram(study, chosen, str(row["tail"]))


def _class_shares(study: Study, feature: int) -> pd.DataFrame | None:
    if not (study.labelled and study.has("class_counts")):
        return None
    classes = reads.table(study, "classes")
    counts = reads.vector(study, "class_counts")[feature]
    return figures.class_shares(counts, numbers(classes, "n_train"), list(classes["label"]))


def _top_images(study: Study, feature: int) -> None:
    st.subheader("Images on which it is largest")
    if not widgets.needs(study, "top_images", "Its top images"):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        every = st.toggle("Show all stored", key="features_all", bind="query-params")
    rows = reads.top_rows(study, feature)
    rows = image_filter.narrowed(study, rows)
    if not rows.size:
        st.caption("None of the images on which it is largest fits the filter.")
        return
    rows = rows if every else rows[:TILES]
    values = dict(
        zip(
            reads.vector(study, "top_images")[feature].tolist(),
            reads.vector(study, "top_values")[feature].tolist(),
            strict=True,
        )
    )
    st.caption("The number on each picture is the feature's activation there; a representation has length 1.")
    widgets.image_gallery(
        study,
        rows,
        key="features_gallery",
        badges={row: f"{value:.2f}" for row, value in values.items()},
        page_size=64,
        tile=100,
        label=f"images on which feature {feature} is largest",
    )


def _classes(study: Study, shares: pd.DataFrame | None, feature: int, tail: str) -> None:
    if shares is None:
        widgets.empty_state(
            "No classes", "These images carry no labels, so it cannot be said which class a feature prefers."
        )
        return
    chart(
        study,
        "features_classes",
        lambda theme: figures.class_share_bars(shares, colour=theme.tail(tail), theme=theme),
        feature,
        alt=f"Share of each class's training images on which feature {feature} fires",
        data=where(shares, numbers(shares, "images") > 0),
    )


def _histogram(study: Study, feature: int, tail: str) -> None:
    if not widgets.needs(study, "activation_histogram", "Its histogram"):
        return
    counts = reads.vector(study, "activation_histogram")[feature]
    edges = reads.vector(study, "histogram_edges")
    threshold = reads.firing_thresholds(study)
    chart(
        study,
        "features_histogram",
        lambda theme: figures.activation_histogram(
            counts, edges, threshold=threshold, colour=theme.tail(tail), theme=theme
        ),
        feature,
        alt=f"Distribution of feature {feature}'s activation over the training images",
        data=pd.DataFrame({"left": edges[:-1], "right": edges[1:], "images": counts}),
    )
    st.caption(
        f"Over {int(counts.sum()):,} training images. Each image has its own firing threshold; the shaded "
        "band holds 90 % of them. Activations to the right of it make the feature fire."
    )


page(session.current_study())
