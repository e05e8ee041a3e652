"""Slices: which kinds of images are misclassified too often, and how two slices differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import equals, where
from core.figures import slices as figures
from core.slices.finder import ALL, CLASS, MIN_IMAGES
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import reads, slice_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.stable_container import own_place
from dashboard.panels import slice_pair
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

AGAINST = {"All other images": ALL, "The rest of its class": CLASS}
KINDS = {"Classes": "class", "Features": "feature", "Concepts": "concept", "Further columns": "column"}
CHARTED = 15
SHOWN = "slice"  # part of the URL: the slice whose images stand below the table
TILES = 24


def page(study: Study) -> None:
    widgets.page_header(
        "Slices", "Which kinds of images are misclassified too often, and how do two slices differ?"
    )
    chosen = filter_bar(study, says="The filter is one of the slices that can be compared below.")
    _worst(study)
    slice_pair.show(study, chosen)


@own_place
def _worst(study: Study) -> None:
    st.subheader("Worst slices", help=widgets.help_text("worst_slices"))
    if not study.labelled:
        widgets.empty_state(
            "No worst slices", "These images carry no labels, so none is classified correctly or wrongly."
        )
        return
    if not widgets.needs(study, "probe", "The probe's verdict on each image"):
        return
    errors = slice_reads.errors(study)
    if errors is None:
        widgets.empty_state("No verdicts", "The probe has no verdict on any image.")
        return
    table, sure = _choose(study)
    _sentence(table, sure, *errors)
    shown = where(table, (table["q"] <= 0.05).to_numpy()) if sure else table
    if shown.empty:
        return
    shown = shown.assign(name=_names(study, shown))
    selected = _selected(shown)
    _chart(study, shown.head(CHARTED), errors[0], selected)
    _table(shown)
    _images(study, shown, selected)


def _choose(study: Study) -> tuple[pd.DataFrame, bool]:
    """What is compared with what; the table of candidates, and whether only sure ones are shown."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        session.drop_unknown("slices_against", AGAINST)
        against = st.segmented_control(
            "Compared with",
            list(AGAINST),
            default="All other images",
            required=True,
            key="slices_against",
            bind="query-params",
        )
        least = st.number_input(
            "Least images", 2, 10_000, MIN_IMAGES, key="slices_least", bind="query-params", width=130
        )
        sure = st.toggle(
            "Only sure ones", value=True, key="slices_sure", bind="query-params",
            help="Those whose q, corrected for having looked at many slices, is at most 0.05.",
        )  # fmt: skip
        table = slice_reads.worst(study, int(least), AGAINST[against or "All other images"])
        held = set(table["kind"])
        there = [title for title, kind in KINDS.items() if kind in held]
        session.drop_unknown("slices_kinds", there)
        kinds = st.pills(
            "Kinds", there, selection_mode="multi", default=there, key="slices_kinds", bind="query-params"
        )
    return figures.kept_kinds(table, [KINDS[title] for title in kinds or there]), sure


def _sentence(table: pd.DataFrame, sure: bool, overall: float, n: int, split: str | None) -> None:
    found = int(np.count_nonzero(table["q"].to_numpy() <= 0.05))
    kind = {"val": "evaluation ", "train": "train "}.get(split or "", "")
    line = f"The probe misclassifies {widgets.percent(overall)} of {n:,} {kind}images. "
    if found:
        line += f"**{found:,}** slice{'s are' if found != 1 else ' is'} significantly worse than "
        line += "what they are compared with; the most significant come first."
    else:
        line += "No slice is significantly worse than what it is compared with."
        line += " Switch *Only sure ones* off to see the others." if sure and len(table) else ""
    st.markdown(line)


def _names(study: Study, table: pd.DataFrame) -> list[str]:
    """Class and trait of each slice, features called by their words."""
    traits = table["trait"].astype(str).to_numpy(object)
    of_feature = equals(table, "kind", "feature")
    numbers = [int(trait.removeprefix("feature ")) for trait in traits[of_feature]]
    traits[of_feature] = reads.feature_names(study, numbers)
    return [
        " · ".join(part for part in (None if widgets.undefined(label) else str(label), trait) if part)
        for label, trait in zip(table["label"], traits, strict=True)
    ]


def _selected(table: pd.DataFrame) -> int:
    """The row whose images are shown: the one in the URL, or the first."""
    asked = session.url_text(SHOWN)
    if asked is None:
        return 0
    found = np.flatnonzero((table["where"] == asked).to_numpy())
    if found.size:
        return int(found[0])
    session.set_url(SHOWN, None)
    session.note(f"The slice '{asked[:80]}' is not in this table, so that part of the link was dropped.")
    return 0


def _chart(study: Study, table: pd.DataFrame, overall: float, selected: int) -> None:
    places = table["where"].tolist()

    def clicked(points: list[dict]) -> None:
        session.set_url(SHOWN, places[int(points[-1]["customdata"][0])])

    chart(
        study,
        "slices_worst",
        lambda theme: figures.worst(table, overall=overall, selected=selected, theme=theme),
        *(*places, overall, selected),
        alt="Error rates of the worst slices with their 95 % intervals",
        data=table.drop(columns=["name"]),
        on_select=clicked,
    )


def _table(table: pd.DataFrame) -> None:
    places = table["where"].tolist()

    def picked() -> None:
        if rows := session.selected_rows("slices_table"):
            session.set_url(SHOWN, places[rows[0]])

    shown = pd.DataFrame(
        {
            "Slice": table["name"],
            "Images": table["n"],
            "Misclassified": table["errors"],
            "Error rate": 100 * table["error_rate"],
            "Interval": [
                f"{100 * low:.0f} to {100 * high:.0f} %"
                for low, high in zip(table["low"], table["high"], strict=True)
            ],
            "The others": 100 * table["rest"],
            "Lift": table["lift"],
            "q": table["q"],
            "The same images": table["also"],
        }
    )
    st.caption(f"{len(shown):,} slices; pick a row to see its images below.")
    st.dataframe(
        shown,
        key="slices_table",
        hide_index=True,
        height=min(38 + 35 * len(shown), 320),
        on_select=picked,
        selection_mode="single-row",
        alt="The worst slices; select a row to see its images below",
        column_config={
            "Slice": st.column_config.TextColumn(width="large"),
            "Error rate": st.column_config.NumberColumn(format="%.1f %%"),
            "Interval": st.column_config.TextColumn(help=widgets.help_text("slice_accuracy")),
            "The others": st.column_config.NumberColumn(
                format="%.1f %%", help="Error rate of the images that it is compared with."
            ),
            "Lift": st.column_config.NumberColumn(
                format="%.2f", help="Its error rate, divided by that of the others."
            ),
            "q": st.column_config.NumberColumn(format="%.2g", help=widgets.help_text("worst_slices")),
            "The same images": st.column_config.TextColumn(
                help="Other names that hold exactly the same images."
            ),
        },
    )


def _images(study: Study, table: pd.DataFrame, selected: int) -> None:
    """The images of one slice, misclassified ones first, and the ways on."""
    row = table.iloc[selected]
    chosen = Slice.parse(str(row["where"]))
    st.markdown(
        f"**{widgets.plain(row['name'])}**: {int(row['errors']):,} of {int(row['n']):,} images misclassified"
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            "Make it the filter",
            key="slices_make_filter",
            icon=":material/filter_alt:",
            on_click=session.set_filter,
            args=(str(chosen),),
        )
        st.page_link(
            "views/images.py",
            label="Open its images",
            icon=":material/photo_library:",
            query_params=image_filter.link(served_studies.name_of(study), chosen),
        )
    rows = np.flatnonzero(reads.mask(study, chosen))
    right = reads.images(study)["correct"].to_numpy(dtype=float, na_value=np.nan)[rows]
    widgets.image_gallery(
        study,
        rows[np.argsort(right, kind="stable")],
        key="slices_gallery",
        page_size=TILES,
        tile=96,
        label=f"images of {row['name']}",
    )


page(session.current_study())
