"""The heatmap half of an opened image: which features, how drawn, how it lies on the masks, and what is not
stored computed on request.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.heatmaps.overlay_image import OverlayStyle
from core.jobs.commands import RequestHeatmaps
from core.jobs.jobs import Job, read_job
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import KINDS, overlay_urls
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import with_menu
from dashboard.components.gallery import Tile, gallery
from dashboard.components.job_follower import follow, start_button
from dashboard.panels import heatmap_grid
from dashboard.state import session

MEASURES = {
    "paper": "IoU, heat-weighted",
    "binary": "IoU, binarised",
    "soft": "IoU, soft",
    "energy": "share of the heat",
}
FEATURES = "detail_features"  # part of the URL: the features whose map is drawn, as 3,98
MOST_FEATURES = 24
SIDE = 720  # pixels
BUSY = "It can be computed when the job that is running now has ended."
SEEN_PART = "The encoder saw the framed part of the picture only."


def heatmap_part(
    study: Study, row: int, facts: dict[str, Any], verdict: Callable[[Study, dict[str, Any]], None]
) -> None:
    """Original and overlay side by side, what they show beside them, their controls below."""
    if not heatmap_grid.ready(study):
        return
    left, right = st.columns([7, 4], gap="medium")
    features = _choose(study, row)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        several = len(features) != 1
        style = heatmap_grid.controls(study, key="detail", several=several, plain=OverlayStyle(masks=KINDS))
    style = replace(heatmap_grid.masked(study, row, style), features=tuple(features))
    missing = sorted(set(features) - heatmap_reads.features_of(study, row))
    with left:
        if missing:
            compute_missing(study, [row], missing)
        _pictures(study, row, facts, style, stored=not missing)
        heatmap_grid.legend(style.masks, style.colour_map)
    with right:
        verdict(study, facts)
        if not missing:
            st.markdown(_sentence(study, row, features))
            if heatmap_reads.shows_view(study, row):
                st.caption(SEEN_PART)
        _overlaps(study, row)


def _choose(study: Study, row: int) -> list[int]:
    """The features asked for in the URL; a row of pills lets one choose among those that fire here."""
    n_features = len(reads.table(study, "features", ("feature",)))
    features = _in_url(n_features)
    firing = reads.firing(study, row)["feature"].tolist()[:MOST_FEATURES]
    options = [*firing, *(feature for feature in features if feature not in firing)]
    if not options:
        return features
    key = f"detail_features_{row}"

    def write() -> None:
        session.set_url(FEATURES, ",".join(map(str, session.value(key))) or None)

    st.pills(
        "Features, strongest first; without a choice, all discriminative features that fire",
        options,
        selection_mode="multi",
        default=features,
        format_func=lambda feature: widgets.plain(reads.list_names(study, [feature])[0]),
        key=key,
        on_change=write,
    )
    return features


def _in_url(n_features: int) -> list[int]:
    parts = (session.url_text(FEATURES) or "").split(",")
    valid = [int(part) for part in parts if part.isdecimal() and len(part) < 12 and int(part) < n_features]
    if len(valid) < len([part for part in parts if part]):
        session.set_url(FEATURES, ",".join(map(str, valid)) or None)
        session.notify("The link named a feature that this study does not have; it was dropped.")
    return list(dict.fromkeys(valid))[:MOST_FEATURES]


def _pictures(study: Study, row: int, facts: dict[str, Any], style: OverlayStyle, *, stored: bool) -> None:
    """The picture with its masks, and beside it the heatmap where it is stored."""
    original = served_studies.picture_url(study, row, "image")
    if style.masks:
        original = overlay_urls(study, [row], [OverlayStyle(opacity=0.0, masks=style.masks)], side=SIDE)[0]
    bare = replace(style, masks=())  # masks would dim the heat
    overlay = overlay_urls(study, [row], [bare], side=SIDE)[0] if stored else ""
    name = widgets.image_name(facts)
    file = f"image_{facts['image_id']}"
    with with_menu(study, "detail_pictures", alt=f"{name} and its heatmap", file=file):
        _side_by_side(row, name, original, overlay)


def _side_by_side(row: int, name: str, original: str, overlay: str) -> None:
    names = ("Original", "Heatmap")
    gallery(
        [Tile(id=row, src=original, alt=name, beside=(overlay,), names=names)],
        key="detail_heatmap",
        label=f"{name} and its heatmap",
        tile=420,
        zoom=True,
    )


def _sentence(study: Study, row: int, features: Sequence[int]) -> str:
    if features:
        return f"Heatmap of {_names(study, features)}."
    firing, fallback = heatmap_reads.heatmap_features(study, row)
    if fallback:
        return (
            f"No discriminative feature fires here. This is the heatmap of the strongest of them, "
            f"{_names(study, firing)}."
        )
    return f"Heatmap of the discriminative features that fire here: {_names(study, firing)}."


def _names(study: Study, features: Sequence[int]) -> str:
    return ", ".join(f"**{widgets.plain(reads.feature_name(study, feature))}**" for feature in features)


def _overlaps(study: Study, row: int) -> None:
    """How the image's own discriminative heatmap lies on its masks, in all four measures."""
    table = heatmap_reads.overlaps(study)
    if table.empty or not len(table.columns):
        return
    overlaps = table.iloc[row]
    columns = pd.DataFrame({"Overlap": list(MEASURES.values())})
    for kind in KINDS:
        values = [overlaps.get(f"{kind}_{variant}", np.nan) for variant in MEASURES]
        if np.isfinite(values).any():
            columns[kind.capitalize()] = values
    if len(columns.columns) == 1:
        return
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        columns,
        hide_index=True,
        height="content",
        alt="Overlap of this image's heatmap with its masks",
        column_config={name: number for name in columns.columns[1:]},
    )
    st.caption("These numbers are of the heatmap of all discriminative features, whichever is shown.")


def compute_missing(study: Study, rows: Sequence[int], features: Sequence[int]) -> None:
    """Maps that are not stored: a button that computes them, the progress, or why that failed."""
    job = read_job(study.path)
    first, *further = study.column("images", "image_id").iloc[list(rows)].astype(str)
    command = RequestHeatmaps(study.path, first, tuple(features), tuple(further))
    if job is not None and job.running and command.words[-1] in job.arguments:  # of these features
        follow(study.path, _waiting, every=0.7)
        return
    these = "this image is" if len(rows) == 1 else f"{len(rows)} of these images is"
    with st.container(border=True):
        st.markdown(f"The heatmap of {_names(study, features)} on {these} not stored.")
        if job is not None and job.running:
            follow(study.path, lambda _: st.caption(BUSY), every=0.7)
            return
        about = "Loads the encoder, which takes a few seconds. The maps are kept beside the study."
        refused = start_button(command, "Compute it now", key="detail_compute", about=about)
        if refused:  # a tooltip of a button that does nothing is not found
            st.caption(widgets.plain(refused))
        if job is not None and list(job.arguments) == command.words and job.state == "failed":
            st.warning(widgets.plain(job.error or "It ended with an error."), icon=":material/warning:")


def _waiting(job: Job) -> None:
    st.progress(0.0 if job.fraction is None else job.fraction, text="Computing the heatmap …")
