"""The hero of the page Masks and mIoU: the scale, and in one sentence what it means."""

import numpy as np
import pandas as pd
import streamlit as st

from core.charts.miou_scale import MIOU_SCALE
from core.common.dataframes import equals, numbers, where
from core.slices.inspection.overlap_sentence import overlap_sentence
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart
from dashboard.components.stable_container import stable_container
from dashboard.panels.masks import examples


@stable_container
def overlap_scale(study: Study, population: Slice) -> None:
    """The sentence, the scale of either mask, and how many images stand behind them."""
    table = reads.slice_table(study, population, "overlap_scale")
    sentence = overlap_sentence(table)
    st.subheader(sentence.removesuffix("."), help=widgets.help_text("miou"))
    _preference(study, population)
    examples.example_overlays(study, population)
    if not np.isfinite(numbers(table, "value")).any():
        return
    show_chart(study, MIOU_SCALE, among=population, name="overlap_scale", title=None)
    st.caption(_images(table), help=widgets.help_text("overlap_controls"))


def _preference(study: Study, population: Slice) -> None:
    """How far the heat prefers the object, as one number."""
    value, low, high, n = reads.object_preference(study, population)
    if np.isfinite(low):
        points = f"{100 * value:+.1f} points".replace("-", "−")
        between = f"({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")
        st.markdown(
            f"**Object preference {points}** {between}, over {n:,} images with a mask of the object",
            help=widgets.help_text("object_preference"),
        )


def _images(table: pd.DataFrame) -> str:
    """How many images the scale is of, said once."""
    encoder = where(table, equals(table, "heatmap", "encoder"))
    masks = dict(zip(encoder["mask"], encoder["n"].tolist(), strict=True))
    n = max(masks.values(), default=0)
    if equals(encoder, "images", "both masks").any():
        those = f"**{n:,}** images that have" if n > 1 else "the only image that has"
        return f"Based on {those} a heatmap and both masks."
    counts = [f"**{count:,}** with a {mask} mask" for mask, count in masks.items() if count]
    return f"Based on images that have a heatmap and a mask: {' and '.join(counts)}."
