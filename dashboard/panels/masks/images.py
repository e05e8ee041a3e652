"""The images whose heat lies most, or least, on one of the masks."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.captions import ON_MASKS
from core.common.dataframes import numbers
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, overlap_reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_one
from dashboard.panels import heatmap_grid

ORDERS = {
    "Most on the background first": ("spurious", False),
    "Least on the background first": ("spurious", True),
    "Most on the object first": ("core", False),
    "Least on the object first": ("core", True),
}
TILES = 24


@widgets.stable_container
def overlap_by_image(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """Images with their heatmaps and masks, by the share of the heat that lies on a mask."""
    table = overlap_reads.rows(study, population)
    table = table.loc[np.isfinite(numbers(table, "energy"))]
    has = set(table["mask"])
    orders = [order for order, (mask, _) in ORDERS.items() if mask in has] or list(ORDERS)
    with controls:
        order = select_one("Order", orders, key="overlap_image_order", width=255)
        kinds = ("Overlay", "Masks")
        display = heatmap_grid.display(study, key="overlap_look", several=True, default=kinds)
    mask, ascending = ORDERS[order]
    heatmap_grid.legend(
        [kind for kind in heatmap_reads.mask_kinds(study) if kind in display.kinds], display.style.colour_map
    )
    table = table.loc[table["mask"] == mask].sort_values("energy", ascending=ascending, kind="stable")
    share = dict(zip(table["row"].tolist(), table["energy"].tolist(), strict=True))
    shown_rows = table["row"].to_numpy()

    def badge(row: int) -> str:
        return widgets.percent(share[row], digits=0)

    label = f"images by the share of their heat on the {mask} mask"
    heatmap_grid.gallery(
        study,
        shown_rows,
        display.style,
        key="overlap_gallery",
        kinds=display.shown,
        badges=badge,
        page_size=TILES,
        label=label,
    )
    st.caption(f"The number on each picture is the share of its heat that lies on the {ON_MASKS[mask]}.")
