"""Heatmaps as views show them: their style, rows of pictures, an opened image, and one feature's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.common.records import Record, Templates
from core.measures.slice import Slice
from core.store import Study
from core.study.commands import RequestHeatmaps
from core.study.jobs import Job, read_job
from core.study.missing import nothing
from core.study.overlay_image import OverlayStyle, colour_table
from dashboard.cache import feature_reads, heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import with_menu
from dashboard.components.choose_one import choose_one, pick_one, press_some
from dashboard.components.gallery import Tile, gallery
from dashboard.components.job_follower import follow, start_button, why_not
from dashboard.components.tooltips import plain
from dashboard.state import served_studies, session
from dashboard.state.overlay_images import KINDS, overlay_urls

# Heatmaps as views show them: the controls of their style, rows of pictures, and what to do without them.


_say = Templates.beside(__file__)
COMBINE = {"Mean": "mean", "Sum": "sum", "Largest": "max", "Smallest": "min"}
MASKS = {"Core": "core", "Spurious": "spurious"}
PICTURES = ("Original", "Overlay", "Masks")
WIDTHS = {1: 150, 2: 205, 3: 300}  # least pixels of a tile with so many pictures


def ready(study: Study) -> bool:
    """True when the study holds heatmaps; else says why not and what to run."""
    if why := why_no_heatmaps(study):
        widgets.empty_state("There are no heatmaps of this study", why)
        return False
    return widgets.needs(study, "heatmap_maps", "The collection of heatmaps")


def why_no_heatmaps(study: Study) -> Record | None:
    """Explain why the step of the heatmaps made none; None where it made some, or did not run."""
    skipped = study.why_skipped("heatmaps")
    if not skipped:
        return None
    has_vectors_alone = study.settings("embed").get("representations")
    return nothing("no_pictures") if has_vectors_alone else nothing("left_out", why=skipped)


@dataclass(frozen=True)
class Display:
    """How pictures are shown: the style of the overlays, and which pictures stand side by side."""

    style: OverlayStyle
    shown: list[str]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The masks that are drawn anywhere."""
        return KINDS if "Masks" in self.shown else self.style.masks


def display(
    study: Study, *, key: str, several: bool, default: Sequence[str] = ("Original", "Overlay")
) -> Display:
    """Show a button with the choices behind it: pictures side by side, and the style of overlays.

    The choices stand in the URL under names that start with `key`. `default`: the first choice.
    """
    with st.popover("Display", icon=":material/tune:", key=f"{key}_display"):
        kinds = heatmap_pictures(study, key=f"{key}_shown", default=default)
        style = heatmap_controls(study, key=key, several=several)
    return Display(style, kinds)


def heatmap_controls(
    study: Study, *, key: str, several: bool, plain: OverlayStyle | None = None
) -> OverlayStyle:
    """Show the controls of a style and return it, without features: how features are combined, and masks,
    both in the URL under names that start with `key`. `plain`: the first choice, and the rest of the style.
    """
    plain = plain or OverlayStyle()
    with st.container(width="content"):  # keeps its place, as in `stable_container`
        combine = _combination(study, key, plain) if several else plain.combine
    return replace(plain, features=(), combine=combine, masks=_masks(study, key, plain))


def _combination(study: Study, key: str, plain: OverlayStyle) -> str:
    exact = study.heatmap_reader.sums_are_exact  # the heatmap of a sum can be drawn from stored maps
    options = [word for word, how in COMBINE.items() if how != "sum" or exact]
    before = next((word for word in options if COMBINE[word] == plain.combine), options[0])
    about = widgets.help_text("combine")
    word = choose_one(
        "Several features", options, key=f"{key}_combine", default=before, shows_label=True, help=about
    )
    return COMBINE[word]


def _masks(study: Study, key: str, plain: OverlayStyle) -> tuple[str, ...]:
    kinds = heatmap_reads.mask_kinds(study)
    options = [word for word, kind in MASKS.items() if kind in kinds]
    if not options:
        return ()
    usual = [word for word in options if MASKS[word] in plain.masks]
    pressed = press_some("Masks", options, key=f"{key}_masks", default=usual, help=widgets.help_text("masks"))
    return tuple(MASKS[word] for word in pressed)


def heatmap_pictures(study: Study, *, key: str, default: Sequence[str] = PICTURES) -> list[str]:
    """Which pictures of an image stand side by side."""
    there = [name for name in PICTURES if name != "Masks" or heatmap_reads.mask_kinds(study)]
    return press_some("Side by side", there, key=key, default=default) or ["Overlay"]


def heatmap_gallery(
    study: Study,
    rows: np.ndarray | Sequence[int],
    style: OverlayStyle,
    *,
    key: str,
    kinds: Sequence[str] = PICTURES,
    captions: widgets.Captions | None = None,
    badges: widgets.Badges | None = None,
    page_size: int = 12,
    label: str = "heatmaps",
    names: Sequence[str] = (),
    on_open: Callable[[int], None] | None = None,
    unstored: Callable[[int], str] = lambda row: "",
) -> None:
    """Tiles that show each image's original, overlay and masks side by side; a click opens the image.

    names: what the pictures are called, if not by their kind. on_open: instead of opening the image.
    unstored: the address of a row's overlay where the study does not hold its map.
    """

    def addresses(some: list[int]) -> list[tuple[str, ...]]:
        sources = {
            "Original": lambda: served_studies.picture_urls(study, some),
            "Overlay": lambda: _overlay_urls(study, some, style, unstored),
            "Masks": lambda: mask_urls(study, some),
        }
        return list(zip(*(sources[name]() for name in kinds), strict=True))

    tile = WIDTHS[len(kinds)]
    titles = tuple(names or kinds)
    widgets.image_gallery(
        study,
        rows,
        key=key,
        captions=captions,
        badges=badges,
        page_size=page_size,
        tile=tile,
        label=label,
        pictures=addresses,
        names=titles,
        on_open=on_open,
    )


def _overlay_urls(
    study: Study, rows: list[int], style: OverlayStyle, unstored: Callable[[int], str]
) -> list[str]:
    """Addresses of the overlays, also of those whose maps the study does not hold."""
    urls = overlay_urls(study, rows, [masked(study, row, style) for row in rows])
    is_stored = [set(style.features) <= heatmap_reads.features_of(study, row) for row in rows]
    return [url if there else unstored(row) for row, url, there in zip(rows, urls, is_stored, strict=True)]


def masked(study: Study, row: int, style: OverlayStyle) -> OverlayStyle:
    """Keep the masks of a style that this image has."""
    there = heatmap_reads.masked_rows(study)
    return replace(style, masks=tuple(kind for kind in style.masks if there[kind][row]))


def mask_urls(study: Study, rows: list[int]) -> list[str]:
    """Addresses of the images with all their masks; empty where an image has none."""
    styles = [masked(study, row, OverlayStyle(opacity=0.0, masks=KINDS)) for row in rows]
    urls = overlay_urls(study, rows, styles)
    return [url if style.masks else "" for url, style in zip(urls, styles, strict=True)]


MEANINGS = {"core": "dimmed: outside the core mask", "spurious": "hatched: the spurious mask"}
SWATCHES = {
    "core": "background:linear-gradient(90deg,#B8BFC9 50%,#3F444B 50%)",
    "spurious": "background:repeating-linear-gradient(-45deg,#FFF 0 2px,#3F444B 2px 4px,#9AA3AF 4px 7px)",
}


@widgets.stable_container
def legend(kinds: Sequence[str], colour_map: str) -> None:
    """What the colours of the heat mean, and what is dimmed and what is hatched on the pictures."""
    steps = ",".join("rgb({},{},{})".format(*rgb) for rgb in colour_table(colour_map)[::32])
    marks = (
        '<span style="white-space:nowrap;margin-right:1.4em">no heat <span style="display:inline-block;'
        f"width:7em;height:.85em;vertical-align:-.05em;border-radius:2px;margin:0 .4em;"
        f'background:linear-gradient(90deg,{steps})"></span> most</span>'
    )
    marks += "".join(
        f'<span style="white-space:nowrap;margin-right:1.4em"><span style="display:inline-block;width:1.9em;'
        f'height:.85em;vertical-align:-.05em;border-radius:2px;margin-right:.5em;{SWATCHES[kind]}"></span>'
        f"{MEANINGS[kind]}</span>"
        for kind in KINDS
        if kind in kinds
    )
    st.html(f'<p style="margin:0;font-size:.875rem;opacity:.85">{marks}</p>', width="content")


# The heatmap half of an opened image: which features, how drawn, how it lies on the masks, and what is not
# stored computed on request.


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
    if not ready(study):
        return
    left, right = st.columns([7, 4], gap="medium")
    features = _choose(study, row)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        several = len(features) != 1
        style = heatmap_controls(study, key="detail", several=several, plain=OverlayStyle(masks=KINDS))
    style = replace(masked(study, row, style), features=tuple(features))
    missing = sorted(set(features) - heatmap_reads.features_of(study, row))
    with left:
        if missing:
            compute_missing(study, [row], missing)
        _pictures(study, row, facts, style, stored=not missing)
        legend(style.masks, style.colour_map)
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

    def write(choice: list[int]) -> None:
        session.set_url(FEATURES, ",".join(map(str, choice)) or None)

    st.pills(
        "Features, strongest first; without a choice, all discriminative features that fire",
        options,
        selection_mode="multi",
        default=features,
        format_func=lambda feature: widgets.plain(reads.list_names(study, [feature])[0]),
        **session.show_in_widget(f"detail_features_{row}", features, write),
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
        return _say("of_features", names=_names(study, features))
    firing, fallback = heatmap_reads.heatmap_features(study, row)
    return _say("of_strongest" if fallback else "of_firing", names=_names(study, firing))


def _names(study: Study, features: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"**{widgets.plain(reads.feature_name(study, feature))}**" for feature in features)


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
        why_not(refused)
        if job is not None and list(job.arguments) == command.words and job.state == "failed":
            st.warning(widgets.plain(job.error or "It ended with an error."), icon=":material/warning:")


def _waiting(job: Job) -> None:
    st.progress(0.0 if job.fraction is None else job.fraction, text="Computing the heatmap …")


# Choosing one feature by its words or number, first those that are strongest in the images of the page.


FEATURE = "feature"  # part of the URL: the number of the feature
OF, ONE = "heat_of", "One feature"  # part of the URL: some feature, whichever says most here
WIDGET = "heat_feature"
ALL = "All features that fire"


def choose_feature(study: Study, population: Slice) -> int | None:
    """Draw the choice and a link to the feature's page; None stands for all features that fire on an image.

    A link that asks for one feature without naming it gets the strongest one on the images of the page.
    """
    n_features = len(reads.table(study, "features", ("feature",)))
    feature = session.url_int(FEATURE, below=n_features, what="feature")
    some = session.url_text(OF) == ONE
    options = ranked(study, population)
    if feature is None and some:
        feature = options[0]
    if feature is not None and feature not in options:
        options.append(feature)
    names = dict(zip(reads.list_names(study, options), options, strict=True))
    name = next((name for name, number in names.items() if number == feature), ALL)

    def picked(label: str) -> None:
        session.set_url(FEATURE, names.get(label))
        session.set_url(OF, None)

    here = f"in {plain(population.labels[0])}" if len(population.labels) == 1 else "in these images"
    pick_one(
        "Feature",
        [ALL, *names],
        name,
        key=WIDGET,
        on_pick=picked,
        width=220,
        filter_mode="contains",
        help=f"By word or number; first those that are strongest {here}",
    )
    if feature is not None:
        st.button(
            "About",
            key="heat_about",
            icon=":material/arrow_outward:",
            help=f"All about {plain(name)}",
            on_click=session.go,
            args=("feature",),
            kwargs={FEATURE: str(feature)},
        )
    return feature


def ranked(study: Study, population: Slice) -> list[int]:
    """The features with a stored heatmap: first those with one on the page's images: the
    most telling, or of one class those with the largest mean in it, first.
    """
    order = np.array(feature_reads.telling(study, population), np.int64)
    if len(population.labels) == 1 and study.has("class_means"):
        means = reads.vector(study, "class_means")[:, study.class_names.index(population.labels[0])]
        order = order[np.argsort(-np.nan_to_num(means[order], nan=-np.inf), kind="stable")]
    here, anywhere = heatmap_reads.map_counts(study, population), heatmap_reads.map_counts(study, Slice())
    on_these = here[order] > 0
    elsewhere = ~on_these & (anywhere[order] > 0)
    first, second = order[on_these], order[elsewhere]
    return [*first.tolist(), *second.tolist()] or order.tolist()
