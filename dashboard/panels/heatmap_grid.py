"""Heatmaps as views show them: the controls of their style, rows of pictures, and what to do without them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from core.common.records import Record
from core.heatmaps.overlay_image import OverlayStyle, colour_table
from core.storage.missing import nothing
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import KINDS, overlay_urls
from dashboard.cache import heatmap_reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one, press_some

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
        kinds = pictures(study, key=f"{key}_shown", default=default)
        style = controls(study, key=key, several=several)
    return Display(style, kinds)


def controls(study: Study, *, key: str, several: bool, plain: OverlayStyle | None = None) -> OverlayStyle:
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


def pictures(study: Study, *, key: str, default: Sequence[str] = PICTURES) -> list[str]:
    """Which pictures of an image stand side by side."""
    there = [name for name in PICTURES if name != "Masks" or heatmap_reads.mask_kinds(study)]
    return press_some("Side by side", there, key=key, default=default) or ["Overlay"]


def gallery(
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
    held = [set(style.features) <= heatmap_reads.features_of(study, row) for row in rows]
    return [url if there else unstored(row) for row, url, there in zip(rows, urls, held, strict=True)]


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
