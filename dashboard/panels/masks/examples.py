"""Pictures above the scale of mIoU: the images whose heat lies most on the object, and on the background."""

import numpy as np
import pandas as pd
import streamlit as st

from core.common.captions import LOOKS, ON_MASKS
from core.common.dataframes import equals, numbers, where
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import overlap_reads
from dashboard.components import widgets
from dashboard.components.stable_container import stable_container
from dashboard.panels import heatmap_grid

EACH = 2


@stable_container
def example_overlays(study: Study, population: Slice) -> None:
    """Draw two images for each mask, with heatmap and masks side by side."""
    table = overlap_reads.rows(study, population)
    table = where(table, np.isfinite(numbers(table, "energy")))
    sides = {mask: where(table, equals(table, "mask", mask)) for mask in ON_MASKS}
    if any(len(side) < EACH for side in sides.values()):
        return
    for column, (mask, side) in zip(st.columns(2, gap="medium"), sides.items(), strict=True):
        with column, st.container(gap="xxsmall"):
            st.markdown(f"**Most {LOOKS[mask]}**")
            _images(study, mask, side.sort_values("energy", ascending=False, kind="stable"))


def _images(study: Study, mask: str, side: pd.DataFrame) -> None:
    rows, shares = side["row"].to_numpy(np.int64), numbers(side, "energy")
    for number, column in enumerate(st.columns(EACH, gap="small")):
        with column:
            heatmap_grid.gallery(
                study,
                rows[number : number + 1],
                OverlayStyle(),
                key=f"overlap_example_{mask}_{number}",
                kinds=("Overlay", "Masks"),
                badges=lambda row, share=shares[number]: widgets.percent(share, digits=0),
                label=f"image with the {'second ' * number}largest share of its heat on the {mask} mask",
            )
