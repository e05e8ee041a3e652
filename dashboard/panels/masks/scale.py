"""The hero of the page Masks and mIoU: the scale, in a sentence what it means, and pictures of either end."""

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts.miou_scale import MIOU_SCALE
from core.common.captions import ON_MASKS
from core.common.dataframes import numbers
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.inspection.overlap_sentence import overlap_sentence
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import overlap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart
from dashboard.panels import heatmap_grid

EACH = 2  # pictures of either end


@widgets.stable_container
def finding(study: Study, population: Slice) -> None:
    """The sentence, and how far the heat prefers the object."""
    sentence = overlap_sentence(reads.slice_table(study, population, "overlap_scale"))
    with st.container(gap=None):
        st.header(sentence.removesuffix("."), help=widgets.help_text("miou"))
        _preference(study, population)


@widgets.stable_container
def overlap_scale(study: Study, population: Slice, controls: DeltaGenerator | None = None) -> None:
    """Pictures of either end, the scale of either mask, and how many images stand behind them."""
    table = reads.slice_table(study, population, "overlap_scale")
    example_overlays(study, population)
    if not np.isfinite(numbers(table, "value")).any():
        return
    show_chart(study, MIOU_SCALE, among=population, name="overlap_scale", title=None)
    st.caption(_images(table), help=widgets.help_text("overlap_controls"))


def _preference(study: Study, population: Slice) -> None:
    """How far the heat prefers the object, as one number."""
    if line := preference(study, population):
        n = reads.object_preference(study, population).n
        st.markdown(
            f"{line}, over {n:,} images with a mask of the object",
            help=widgets.help_text("object_preference"),
        )


def preference(study: Study, population: Slice) -> str:
    """The object preference and its interval in words; "" where it is not defined."""
    value, low, high, _ = reads.object_preference(study, population)
    if not np.isfinite(low):
        return ""
    return f"**Object preference {100 * value:+.1f} points** ({100 * low:+.1f} to {100 * high:+.1f})".replace(
        "-", "−"
    )


def _images(table: pd.DataFrame) -> str:
    """How many images the scale is of, said once."""
    encoder = table.loc[table["heatmap"] == "encoder"].reset_index(drop=True)
    masks = dict(zip(encoder["mask"], encoder["n"].tolist(), strict=True))
    n = max(masks.values(), default=0)
    if (encoder["images"] == "both masks").any():
        those = f"**{n:,}** images that have" if n > 1 else "the only image that has"
        return f"Based on {those} a heatmap and both masks."
    counts = [f"**{count:,}** with a {mask} mask" for mask, count in masks.items() if count]
    return f"Based on images that have a heatmap and a mask: {' and '.join(counts)}."


@widgets.stable_container
def example_overlays(study: Study, population: Slice) -> None:
    """Draw two images of either end, with heatmap and masks side by side.

    Without masks of the background, the ends are the most and the least on the object.
    """
    table = overlap_reads.rows(study, population)
    table = table.loc[np.isfinite(numbers(table, "energy"))].sort_values("energy", kind="stable")
    lowest, background = (table.loc[table["mask"] == mask].reset_index(drop=True) for mask in ON_MASKS)
    ends = {"Most on the object": lowest[::-1], "Most on the background": background[::-1]}
    if background.empty and len(lowest) >= 2 * EACH:
        ends = {"Most on the object": lowest[::-1], "Least on the object": lowest}
    if any(len(end) < EACH for end in ends.values()):
        return
    for column, (title, end) in zip(st.columns(2, gap="medium"), ends.items(), strict=True):
        with column, st.container(gap="xxsmall"):
            st.markdown(f"**{title}** (share of the heat)")
            _pictures(study, title.lower(), end)
    heatmap_grid.legend(overlap_reads.kinds(study), OverlayStyle().colour_map)


def _pictures(study: Study, end: str, ordered: pd.DataFrame) -> None:
    rows, shares = ordered["row"].to_numpy(np.int64), numbers(ordered, "energy")
    for number, column in enumerate(st.columns(EACH, gap="small")):
        with column:
            heatmap_grid.gallery(
                study,
                rows[number : number + 1],
                OverlayStyle(),
                key=f"overlap_example_{end.replace(' ', '_')}_{number}",
                kinds=("Overlay", "Masks"),
                badges=lambda row, share=shares[number]: widgets.percent(share, digits=0),
                label=f"image whose heat lies {'second ' * number}{end}",
            )
